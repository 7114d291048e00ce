//! A forward: ports of the gateway that lead to a Service, a node port or an address.

use std::net::{IpAddr, SocketAddr};

use rayon::prelude::*;
use serde_json::{Value, json};

use crate::backend::docker::Snapshot;
use crate::engine::{Failure, Turn, Work};
use crate::plan::{Bond, Fields, Id, Origin, Outputs, Record, Resource, Seen, Table, Want, World};
use crate::resources::base::context::Context;
use crate::resources::base::ids;
use crate::resources::base::kind::{Ingredients, ResourceKind};
use crate::resources::base::kube::objects::Objects;
use crate::resources::base::kube::service::{self, ADDRESS, ADDRESS6, PORTS, Reached};
use crate::resources::base::objection::{Objection, Objections};
use crate::resources::gateway::{self, Edit, Entry, Forward, Live, Saved, Writer};
use crate::topology::gateway::ServiceRef;
use crate::topology::{GatewayForwarding, Listen, Port, PortRange, Target, TargetPort, Topology};

const TABLE: Table = Table::plain(ids::PORT);

/// The output of a forward: its listening ports, each with what it leads to.
const LEADS_TO: &str = "leadsTo";

pub struct PortKind;

impl ResourceKind for PortKind {
    const TABLE: Table = TABLE;

    /// All forwards of a gateway are written in one transaction.
    const IS_GATHERED: bool = true;

    fn desired(from: &Ingredients) -> Result<Vec<Resource>, Objections> {
        desired(from.topology, from.objects)
    }

    async fn observe(cx: &Context, snapshot: &Snapshot, world: &mut World) -> Result<(), Failure> {
        observe(cx, snapshot, world).await
    }

    /// A rule forwards as soon as it is in force, so nothing is waited for. Whether somebody answers
    /// behind it is tried when all is done, and told: what it leads to may just be slow.
    async fn change(cx: &Context, turn: &Turn) -> Result<Outputs, Failure> {
        change(cx, turn).await
    }
}

fn desired(topology: &Topology, objects: &Objects) -> Result<Vec<Resource>, Objections> {
    let mut resources = Vec::new();
    let mut objections = Vec::new();
    let aim = |port: &Port| match &port.to {
        Target::Service { service, port } => aim_at(objects, service, port),
        Target::NodePort(_) | Target::Address { .. } => Ok(Aim::ByNumber),
    };
    let aims: Vec<Result<Aim, String>> = topology.ports().par_iter().map(aim).collect();
    for (at, (port, aim)) in topology.ports().iter().zip(aims).enumerate() {
        match aim {
            Ok(aim) => {
                let mut resource = aimed(topology, port, aim)
                    .bond(Bond::Holds(ids::gateway(topology)))
                    .leads_to(port.to.to_string())
                    .origin(Origin::Key(format!("gateway.ports.{at}").into()));
                if topology.is_listened_by_kernel(port) {
                    resource = resource.bond(Bond::Uses(ids::publisher(topology)));
                }
                resource.bonds.extend(ids::asked(&port.needs));
                if port.proxy_protocol {
                    resource = resource.field("proxyProtocol", Want::is(true));
                }
                resources.push(resource);
            }
            Err(why) => {
                let what = format!("`{}` leads to {}: {why}", ids::port(port), port.to);
                let key = format!("gateway.ports.{at}.to");
                objections.push(Objection::at(key, Failure::new(what)));
            }
        }
    }
    Objections::or(resources, objections)
}

/// How the number of the target's port is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Aim {
    /// It is the one that is written.
    ByNumber,
    /// The Service tells which it is where it is reached.
    ByService,
}

/// A Service that the file makes itself is looked at before anything is done.
fn aim_at(objects: &Objects, service: &ServiceRef, port: &TargetPort) -> Result<Aim, String> {
    let Some(object) = objects.get(&ids::service(service)) else { return Ok(Aim::ByService) };
    let body = objects.manifests.body(object);
    let place = || objects.manifests.place(object);
    let reached = Reached::of(&body);
    if reached == Reached::NotAtAll {
        return Err(format!(
            "{}; write `type: LoadBalancer` or `type: NodePort` ({})",
            service::out_of_reach(&body),
            place()
        ));
    }
    let ports = service::ports(&body);
    let lacks = match port {
        TargetPort::Name(name) => Some(name.clone()).filter(|name| ports.get(name).is_none()),
        TargetPort::Numbers(range) => {
            range.ports().map(|port| port.to_string()).find(|port| ports.get(port).is_none())
        }
    };
    if let Some(port) = lacks {
        return Err(format!("{} ({})", no_such_port(&ports, &port), place()));
    }
    match (reached, port) {
        (Reached::Balanced, TargetPort::Numbers(_)) => Ok(Aim::ByNumber),
        _ => Ok(Aim::ByService),
    }
}

fn aimed(topology: &Topology, port: &Port, aim: Aim) -> Resource {
    let resource = Resource::new(ids::port(port), &TABLE);
    match &port.to {
        Target::Address { address, port } => resource
            .field("target", Want::is(address.to_string()))
            .field("port", Want::is(port.to_string())),
        Target::NodePort(port) => {
            let cluster = ids::cluster(topology.name.as_str());
            resource
                .field("target", Want::After(cluster.clone(), ADDRESS))
                .field("port", Want::is(port.to_string()))
                .bond(Bond::Uses(cluster))
        }
        Target::Service { service, port: inside } => {
            let service = ids::service(service);
            let address = if topology.comes_over_ipv6(port) { ADDRESS6 } else { ADDRESS };
            let resource = resource
                .field("target", Want::After(service.clone(), address))
                .field("port", Want::is(inside.to_string()));
            let resource = match aim {
                Aim::ByNumber => resource,
                Aim::ByService => resource.field(PORTS, Want::After(service.clone(), PORTS)),
            };
            resource.bond(Bond::Uses(service))
        }
    }
}

/// From what is saved in the gateway and the rules that are in force: two calls, however many there are.
async fn observe(cx: &Context, snapshot: &Snapshot, world: &mut World) -> Result<(), Failure> {
    for container in &snapshot.containers {
        if gateway::own_record(cx, container).is_none() {
            continue;
        }
        let (saved, live) = tokio::join!(Saved::read(cx, &container.id), async {
            // nginx tells nothing, and a stopped gateway loads what is saved when it starts.
            let tells = container.is_running() && forwards_by_rules(cx);
            if tells { Live::read(cx, &container.name).await.map(Some) } else { Ok(None) }
        });
        for (id, forward) in saved?.unwrap_or_default().forwards {
            match &live {
                Ok(live) => world.add(id, look_at(forward, live.as_ref())),
                // What is saved says nothing about what is in force.
                Err(failure) => {
                    world.blind.insert(id.clone(), failure.to_string());
                    world.remembered.insert(id, forward.record);
                }
            }
        }
    }
    Ok(())
}

fn forwards_by_rules(cx: &Context) -> bool {
    let gateway = cx.file.as_ref().and_then(|topology| topology.gateway.as_ref());
    gateway.is_none_or(|gateway| gateway.mode == GatewayForwarding::Dnat)
}

fn look_at(forward: Forward, live: Option<&Live>) -> Seen {
    let mut fields = forward.record.fields.clone();
    let strayed = live.and_then(|live| {
        let intact = |entry: &&Entry| live.target(entry) != Some((entry.address, entry.port));
        let entry = forward.entries.iter().find(intact)?;
        Some((entry, live.target(entry)))
    });
    match strayed {
        None => {}
        Some((_, None)) => fields.set("target", Value::Null),
        Some((entry, Some((address, port)))) => {
            if address != entry.address {
                fields.set("target", json!(address));
            }
            if port != entry.port {
                fields.set("port", json!(port.to_string()));
            }
        }
    }
    let leads: Vec<(u16, SocketAddr)> = forward
        .entries
        .iter()
        .map(|entry| (entry.listen, SocketAddr::new(entry.address, entry.port)))
        .collect();
    let seen = Seen::mine(forward.record).output(LEADS_TO, json!(leads));
    Seen { fields, ..seen }
}

/// Each listening port of a forward, and where the gateway leads it.
pub fn leads_to(world: &World, id: &Id) -> Vec<(u16, SocketAddr)> {
    let leads = world.output(id, LEADS_TO).cloned();
    leads.and_then(|leads| serde_json::from_value(leads).ok()).unwrap_or_default()
}

async fn change(cx: &Context, turn: &Turn) -> Result<Outputs, Failure> {
    match turn.work {
        Work::Create | Work::Update => {
            let forward = forward(turn)?;
            let gateway = gateway_of(turn)?;
            cx.run::<Writer>()
                .commit(cx, gateway.name(), Edit::Put(turn.id().clone(), forward))
                .await?;
        }
        Work::Delete => {
            let gateway = gateway_of(turn)?;
            cx.run::<Writer>().commit(cx, gateway.name(), Edit::Remove(turn.id().clone())).await?;
        }
        Work::Start | Work::Stop | Work::Keep => {}
    }
    Ok(Outputs::new())
}

fn gateway_of(turn: &Turn) -> Result<&Id, Failure> {
    turn.item
        .bonds
        .iter()
        .map(Bond::id)
        .find(|id| id.kind() == ids::GATEWAY)
        .ok_or_else(|| Failure::new("its record names no gateway"))
}

fn forward(turn: &Turn) -> Result<Forward, Failure> {
    let resource =
        turn.resource.as_ref().ok_or_else(|| Failure::new("the file has no such port any more"))?;
    let listen: Listen = turn
        .id()
        .name()
        .parse()
        .map_err(|error| Failure::because("its id is no place to listen", &error))?;
    let entries = entries(listen, &turn.values).map_err(|why| match turn.missing.first() {
        Some((field, giver)) => {
            Failure::new(format!("its {field} is not known: `{giver}` has none yet"))
        }
        None => Failure::new(why),
    })?;
    Ok(Forward { record: Record::of(resource, &turn.values), entries })
}

/// Each listening port with the target's port of the same place in its range.
fn entries(listen: Listen, values: &Fields<Value>) -> Result<Vec<Entry>, String> {
    let text = |name: &str| values.get(name).and_then(Value::as_str);
    let address: IpAddr = text("target")
        .and_then(|text| text.parse().ok())
        .ok_or_else(|| "its target has no address".to_owned())?;
    let port = text("port").unwrap_or_default();
    let inside = match values.get(PORTS) {
        Some(ports) => told_ports(ports, port)?,
        None => written_ports(port)?.ports().collect(),
    };
    let proxy_protocol = values.get("proxyProtocol").and_then(Value::as_bool).unwrap_or_default();
    let pairs = listen.ports.ports().zip(inside);
    Ok(pairs
        .map(|(listening, port)| Entry {
            proto: listen.proto,
            listen: listening,
            address,
            port,
            proxy_protocol,
        })
        .collect())
}

fn written_ports(port: &str) -> Result<PortRange, String> {
    port.parse().map_err(|_| format!("`{port}` is no port"))
}

/// A name is one port of the Service, and so is each number of a range.
fn told_ports(ports: &Value, port: &str) -> Result<Vec<u16>, String> {
    let keys = match port.parse::<PortRange>() {
        Ok(range) => range.ports().map(|port| port.to_string()).collect(),
        Err(_) => vec![port.to_owned()],
    };
    keys.iter()
        .map(|key| {
            let number = ports.get(key).and_then(Value::as_u64);
            number
                .and_then(|number| u16::try_from(number).ok())
                .ok_or_else(|| no_such_port(ports, key))
        })
        .collect()
}

fn no_such_port(ports: &Value, wanted: &str) -> String {
    let known: Vec<&str> =
        ports.as_object().into_iter().flatten().map(|(name, _)| name.as_str()).collect();
    format!("the Service has no port `{wanted}`; it has {}", known.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn topology(ports: &Value) -> Topology {
        serde_json::from_value(json!({
            "apiVersion": "topo/v1alpha1", "kind": "Topology", "name": "dev",
            "gateway": { "publish": ["10000-10099"], "ports": ports },
        }))
        .expect("a topology")
    }

    fn objects(text: &str) -> Objects {
        Objects::of_text(text)
    }

    #[test]
    fn a_forward_follows_what_gives_its_address() {
        let file = topology(&json!([
            { "listen": 10001, "to": { "service": "web", "port": "http" } },
            { "listen": 10090, "to": { "nodePort": 30880 } },
            { "listen": 10091, "to": { "address": "172.22.0.7", "port": 80 } },
        ]));
        let resources = desired(&file, &objects("")).expect("forwards");
        let target = |at: usize| resources[at].fields.get("target").cloned();
        let service = Id::new("object", "core/Service/default/web");
        assert_eq!(resources[0].id.as_str(), "port/127.0.0.1:10001/tcp");
        assert_eq!(target(0), Some(Want::After(service.clone(), "address")));
        assert_eq!(resources[0].fields.get("ports"), Some(&Want::After(service, "ports")));
        assert_eq!(target(1), Some(Want::After(ids::cluster("dev"), "address")));
        assert_eq!(target(2), Some(Want::is("172.22.0.7")));
        let gateway = Bond::Holds(Id::new("gateway", "dev-gw"));
        assert!(resources.iter().all(|resource| resource.bonds.contains(&gateway)));
    }

    #[test]
    fn a_service_of_the_file_that_cannot_be_reached_is_refused_with_its_place() {
        let file = topology(&json!([
            { "listen": 10001, "to": { "service": "web", "port": 80 } },
            { "listen": 10002, "to": { "service": "lb", "port": 81 } },
        ]));
        let text = "apiVersion: v1\nkind: Service\nmetadata: {name: web}\nspec: {ports: [{port: 80}]}\n\
            ---\napiVersion: v1\nkind: Service\nmetadata: {name: lb}\nspec: {type: LoadBalancer, ports: [{port: 80, name: http}]}\n";
        let objections = desired(&file, &objects(text)).expect_err("is refused");
        let failure = objections.failure(&|_| None);
        assert!(failure.message.contains("it is of type ClusterIP"), "{failure}");
        assert!(failure.message.contains("test.yaml:1"), "{failure}");
        assert!(failure.causes[0].contains("no port `81`; it has http, 80"), "{failure:?}");
    }

    #[test]
    fn ranges_map_one_to_one() {
        let listen: Listen = "10080-10082".parse().expect("a place");
        let values =
            Fields::new().with("target", json!("172.22.255.201")).with("port", json!("8080-8082"));
        let pairs = |values: &Fields<Value>| -> Vec<(u16, u16)> {
            let entries = entries(listen, values).expect("resolves");
            entries.iter().map(|entry| (entry.listen, entry.port)).collect()
        };
        assert_eq!(pairs(&values), [(10080, 8080), (10081, 8081), (10082, 8082)]);
        let told = json!({ "8080": 30001, "8081": 31002, "8082": 30003 });
        let values = values.with(PORTS, told);
        assert_eq!(pairs(&values), [(10080, 30001), (10081, 31002), (10082, 30003)]);
    }

    #[test]
    fn a_named_port_is_looked_up_in_the_service() {
        let listen: Listen = "10001".parse().expect("a place");
        let values = Fields::new()
            .with("target", json!("172.22.255.201"))
            .with("port", json!("ssh"))
            .with(PORTS, json!({ "ssh": 22 }));
        assert_eq!(entries(listen, &values).expect("resolves")[0].port, 22);
        let other = values.with("port", json!("http"));
        let refused = Err("the Service has no port `http`; it has ssh".to_owned());
        assert_eq!(entries(listen, &other), refused);
    }

    #[test]
    fn a_rule_that_is_gone_is_seen_on_its_own_port() {
        let entry = |listen: u16| Entry {
            proto: crate::topology::Proto::Tcp,
            listen,
            address: "172.22.255.201".parse().expect("an address"),
            port: 22,
            proxy_protocol: false,
        };
        let fields = Fields::new().with("target", json!("172.22.255.201"));
        let record = Record { fields, ..Record::default() };
        let forward = Forward { record, entries: vec![entry(10001)] };
        let seen = look_at(forward.clone(), None);
        assert_eq!(seen.fields.get("target"), Some(&json!("172.22.255.201")));
        let seen = look_at(forward, Some(&Live::default()));
        assert_eq!(seen.fields.get("target"), Some(&Value::Null));
    }
}
