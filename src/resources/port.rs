//! A forward: ports of the gateway that lead to a Service, a node port or an address.

use std::net::IpAddr;
use std::time::Duration;

use futures::future::join_all;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::gateway::{self, Edit, Entry, Forward, Live, Saved};
use super::{Context, asked, cluster};
use crate::backend::docker::Snapshot;
use crate::backend::host::{self, Reach};
use crate::engine::{Failure, Turn, Work};
use crate::plan::{Bond, Fields, Id, Origin, Outputs, Record, Resource, Seen, Table, Want, World};
use crate::topology::gateway::ServiceRef;
use crate::topology::{
    GatewayForwarding, Listen, Port, PortRange, Proto, Target, TargetPort, Topology,
};

pub const TABLE: Table = Table::plain("port");

/// How long a forward is tried before it is said that nobody answers.
const ANSWER_LIMIT: Duration = Duration::from_secs(5);
const TRY_AGAIN: Duration = Duration::from_millis(250);

/// The output of a Service and of a cluster that a forward leads to.
const ADDRESS: &str = "address";
/// The output of a Service that tells its ports' numbers by name.
const PORTS: &str = "ports";

pub fn id(port: &Port) -> Id {
    Id::new(TABLE.kind, port.listen())
}

pub fn service_id(service: &ServiceRef) -> Id {
    Id::new("object", format_args!("core/Service/{service}"))
}

pub fn desired(topology: &Topology) -> Vec<Resource> {
    topology
        .ports()
        .iter()
        .enumerate()
        .map(|(at, port)| {
            let mut resource = aimed(Resource::new(id(port), &TABLE), topology, &port.to)
                .bond(Bond::Holds(gateway::id(topology)))
                .origin(Origin::Key(format!("gateway.ports.{at}").into()));
            resource.bonds.extend(asked(&port.needs));
            if port.proxy_protocol {
                resource = resource.field("proxyProtocol", Want::is(true));
            }
            resource
        })
        .collect()
}

fn aimed(resource: Resource, topology: &Topology, target: &Target) -> Resource {
    match target {
        Target::Address { address, port } => resource
            .field("target", Want::is(address.to_string()))
            .field("port", Want::is(port.to_string())),
        Target::NodePort(port) => {
            let cluster = cluster::id(topology.name.as_str());
            resource
                .field("target", Want::After(cluster.clone(), ADDRESS))
                .field("port", Want::is(port.to_string()))
                .bond(Bond::Uses(cluster))
        }
        Target::Service { service, port } => {
            let service = service_id(service);
            let resource = resource
                .field("target", Want::After(service.clone(), ADDRESS))
                .field("port", Want::is(port.to_string()));
            let resource = match port {
                TargetPort::Numbers(_) => resource,
                TargetPort::Name(_) => resource.field("ports", Want::After(service.clone(), PORTS)),
            };
            resource.bond(Bond::Uses(service))
        }
    }
}

/// From what is saved in the gateway and the rules that are in force: two calls, however many there are.
pub async fn observe(cx: &Context, snapshot: &Snapshot, world: &mut World) -> Result<(), Failure> {
    for container in &snapshot.containers {
        let Some((id, _)) = gateway::own_record(cx, container) else { continue };
        let (saved, live) = tokio::join!(Saved::read(cx, &container.id), async {
            // nginx tells nothing, and a stopped gateway loads what is saved when it starts.
            let tells = container.is_running() && forwards_by_rules(cx);
            if tells { Live::read(cx, &container.id).await.map(Some) } else { Ok(None) }
        });
        let live = match live {
            Ok(live) => live,
            Err(failure) => {
                world.blind.insert(id, failure.to_string());
                None
            }
        };
        for (id, forward) in saved?.unwrap_or_default().forwards {
            world.add(id, look_at(forward, live.as_ref()));
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
    Seen { fields, ..Seen::mine(forward.record) }
}

pub async fn change(cx: &Context, turn: &Turn) -> Result<Outputs, Failure> {
    match turn.work {
        Work::Create | Work::Update => {
            let forward = forward(cx, turn)?;
            let gateway = gateway_of(turn)?;
            cx.forwards.commit(cx, gateway.name(), Edit::Put(turn.id().clone(), forward)).await?;
        }
        Work::Delete => {
            let gateway = gateway_of(turn)?;
            cx.forwards.commit(cx, gateway.name(), Edit::Remove(turn.id().clone())).await?;
        }
        Work::Start | Work::Keep => {}
    }
    Ok(Outputs::new())
}

/// A rule forwards as soon as it is in force; whether somebody answers behind it is tried from here,
/// and told, because what it leads to may just be slow.
pub async fn wait(cx: &Context, turn: &Turn) -> Result<Outputs, Failure> {
    let changed = matches!(turn.work, Work::Create | Work::Update);
    let listen: Option<Listen> = turn.id().name().parse().ok();
    let tried = listen.filter(|listen| changed && listen.proto == Proto::Tcp);
    let Some(listen) = tried else { return Ok(Outputs::new()) };
    if let Some(host) = cx.door(listen.addr).await {
        turn.say("trying it from here");
        for (port, reach) in unanswered(&host, listen.ports).await {
            turn.warn(format!("port {port} {}", reach.in_words()));
        }
    }
    Ok(Outputs::new())
}

/// The ports behind which nobody answers within the time that a pod takes to notice its Service.
async fn unanswered(host: &str, ports: PortRange) -> Vec<(u16, Reach)> {
    let deadline = Instant::now() + ANSWER_LIMIT;
    let mut left: Vec<(u16, Reach)> = ports.ports().map(|port| (port, Reach::Silent)).collect();
    loop {
        let tries = left.iter().map(async |(port, _)| (*port, host::reach(host, *port).await));
        left = join_all(tries).await;
        left.retain(|(_, reach)| *reach != Reach::Answers);
        if left.is_empty() || Instant::now() > deadline {
            return left;
        }
        tokio::time::sleep(TRY_AGAIN).await;
    }
}

fn gateway_of(turn: &Turn) -> Result<&Id, Failure> {
    turn.item
        .bonds
        .iter()
        .map(Bond::id)
        .find(|id| id.kind() == gateway::TABLE.kind)
        .ok_or_else(|| Failure::new("its record names no gateway"))
}

fn forward(cx: &Context, turn: &Turn) -> Result<Forward, Failure> {
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
    Ok(Forward { record: Record::of(resource, &turn.values, &cx.key), entries })
}

/// Each listening port with the target's port of the same place in its range.
fn entries(listen: Listen, values: &Fields<Value>) -> Result<Vec<Entry>, String> {
    let text = |name: &str| values.get(name).and_then(Value::as_str);
    let address: IpAddr = text("target")
        .and_then(|text| text.parse().ok())
        .ok_or_else(|| "its target has no address".to_owned())?;
    let port = text("port").unwrap_or_default();
    let inside = match values.get(PORTS) {
        Some(ports) => named_port(ports, port)?,
        None => port.parse().map_err(|_| format!("`{port}` is no port"))?,
    };
    let proxy_protocol = values.get("proxyProtocol").and_then(Value::as_bool).unwrap_or_default();
    let pairs = listen.ports.ports().zip(inside.ports());
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

fn named_port(ports: &Value, name: &str) -> Result<PortRange, String> {
    let number = ports.get(name).and_then(Value::as_u64);
    number
        .and_then(|number| PortRange::one(u16::try_from(number).ok()?))
        .ok_or_else(|| format!("the Service has no port named `{name}`"))
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

    #[test]
    fn a_forward_follows_what_gives_its_address() {
        let resources = desired(&topology(&json!([
            { "listen": 10001, "to": { "service": "web", "port": "http" } },
            { "listen": 10090, "to": { "nodePort": 30880 } },
            { "listen": 10091, "to": { "address": "172.22.0.7", "port": 80 } },
        ])));
        let target = |at: usize| resources[at].fields.get("target").cloned();
        let service = Id::new("object", "core/Service/default/web");
        assert_eq!(resources[0].id.as_str(), "port/127.0.0.1:10001/tcp");
        assert_eq!(target(0), Some(Want::After(service.clone(), "address")));
        assert_eq!(resources[0].fields.get("ports"), Some(&Want::After(service, "ports")));
        assert_eq!(target(1), Some(Want::After(Id::new("cluster", "dev"), "address")));
        assert_eq!(target(2), Some(Want::is("172.22.0.7")));
        let gateway = Bond::Holds(Id::new("gateway", "dev-gw"));
        assert!(resources.iter().all(|resource| resource.bonds.contains(&gateway)));
    }

    #[test]
    fn ranges_map_one_to_one() {
        let listen: Listen = "10080-10082".parse().expect("a place");
        let values =
            Fields::new().with("target", json!("172.22.255.201")).with("port", json!("8080-8082"));
        let pairs: Vec<(u16, u16)> = entries(listen, &values)
            .expect("resolves")
            .iter()
            .map(|entry| (entry.listen, entry.port))
            .collect();
        assert_eq!(pairs, [(10080, 8080), (10081, 8081), (10082, 8082)]);
    }

    #[test]
    fn a_named_port_is_looked_up_in_the_service() {
        let listen: Listen = "10001".parse().expect("a place");
        let values = Fields::new()
            .with("target", json!("172.22.255.201"))
            .with("port", json!("ssh"))
            .with("ports", json!({ "ssh": 22 }));
        assert_eq!(entries(listen, &values).expect("resolves")[0].port, 22);
        let other = values.with("port", json!("http"));
        assert_eq!(entries(listen, &other), Err("the Service has no port named `http`".to_owned()));
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
