//! The forwards as they are now: where each leads, how many pods stand behind it, whether it answers.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use futures::StreamExt;
use futures::future::join_all;
use futures::stream;
use kube::api::DynamicObject;
use serde_json::Value;
use tokio::time::Instant;

use super::session::Session;
use crate::backend::host::{self, Reach, Route};
use crate::manifest::Kinds;
use crate::plan::{Id, Seen, State, World};
use crate::resources::{self, Context, leads_to};
use crate::topology::gateway::ServiceRef;
use crate::topology::{GatewayForwarding, Listen, Port, Proto, Target};
use crate::view::PortStatus;

/// How long forwards that were just made are tried before it is said that nobody answers.
pub const PATIENCE: Duration = Duration::from_secs(5);
/// At first and at most: what was just made answers soon, or has to be waited for.
const TRY_AGAIN: Duration = Duration::from_millis(10);
const TRY_SELDOM: Duration = Duration::from_millis(250);
/// Why no port of it answers.
pub const STOPPED: &str = "the gateway is stopped";
/// The label of an `EndpointSlice` that names its Service.
const SERVICE_OF_SLICE: &str = "kubernetes.io/service-name";
/// Connections that are tried at the same time.
const AT_ONCE: usize = 64;

/// The ready pods behind the Services that forwards lead to, in one list. None where they could not be
/// listed; a Service that is not in it has none.
#[derive(Default)]
pub struct ReadyPods(Option<HashMap<String, u32>>);

impl ReadyPods {
    pub async fn look(cx: &Context) -> Self {
        let ports = cx.file.iter().flat_map(|topology| topology.ports());
        let services: BTreeSet<&str> =
            ports.filter_map(service).map(|to| to.name.as_str()).collect();
        if services.is_empty() {
            return Self::default();
        }
        let Ok(kube) = cx.kube().await else { return Self::default() };
        let slices = Kinds::default().named(&"discovery.k8s.io/v1".into(), &"EndpointSlice".into());
        let slices = kube.list(&slices, &selector(&services)).await;
        Self(slices.ok().map(|slices| count_pods(&slices)))
    }

    fn behind(&self, port: &Port) -> Option<u32> {
        let service = service(port)?.to_string();
        Some(self.0.as_ref()?.get(&service).copied().unwrap_or_default())
    }
}

fn service(port: &Port) -> Option<&ServiceRef> {
    match &port.to {
        Target::Service { service, .. } => Some(service),
        Target::NodePort(_) | Target::Address { .. } => None,
    }
}

/// Their slices alone, since a cluster may have many more, while the names fit into a request.
fn selector(services: &BTreeSet<&str>) -> String {
    const MANY: usize = 50;
    if services.len() > MANY {
        return SERVICE_OF_SLICE.to_owned();
    }
    let names: Vec<&str> = services.iter().copied().collect();
    format!("{SERVICE_OF_SLICE} in ({})", names.join(","))
}

/// The addresses that Services of the cluster have been given; none where they cannot be listed.
pub async fn addresses_in_use(cx: &Context) -> Option<Vec<IpAddr>> {
    let kube = cx.kube().await.ok()?;
    let services = resources::balanced(&kube).await.ok()?;
    Some(services.iter().flat_map(given).collect())
}

/// A Service may have several slices, and of each family its own: a pod that is in two counts once.
fn count_pods(slices: &[DynamicObject]) -> HashMap<String, u32> {
    let mut ready_pods = HashMap::new();
    let mut counted = HashSet::new();
    for slice in slices {
        let labels = slice.metadata.labels.as_ref();
        let Some(name) = labels.and_then(|labels| labels.get(SERVICE_OF_SLICE)) else {
            continue;
        };
        let service = format!("{}/{name}", slice.metadata.namespace.as_deref().unwrap_or_default());
        let pods: &mut u32 = ready_pods.entry(service.clone()).or_default();
        let endpoints = slice.data["endpoints"].as_array().into_iter().flatten();
        for endpoint in endpoints.filter(|one| one["conditions"]["ready"] != false) {
            // What is no pod is known by its addresses alone.
            let uid = &endpoint["targetRef"]["uid"];
            let who = if uid.is_null() { &endpoint["addresses"] } else { uid };
            if counted.insert((service.clone(), who)) {
                *pods += 1;
            }
        }
    }
    ready_pods
}

/// The addresses that a Service has been given.
fn given(service: &DynamicObject) -> Vec<IpAddr> {
    let ingress = service.data.pointer("/status/loadBalancer/ingress").and_then(Value::as_array);
    let given = ingress.into_iter().flatten();
    given.filter_map(|one| one["ip"].as_str()?.parse().ok()).collect()
}

/// The gateway and its forwards alone, of a look at everything.
pub fn only_forwards(world: &World) -> World {
    let is_one = |id: &Id| matches!(id.kind(), "gateway" | "port");
    let things = world.things.iter().filter(|(id, _)| is_one(id));
    let blind = world.blind.iter().filter(|(id, _)| is_one(id));
    World {
        things: things.map(|(id, seen)| (id.clone(), seen.clone())).collect(),
        blind: blind.map(|(id, why)| (id.clone(), why.clone())).collect(),
        ..World::default()
    }
}

/// Which forwards are tried, by id and by the ready pods behind them, where those are known.
pub type IsTried<'a> = &'a (dyn Fn(&Id, Option<u32>) -> bool + Sync);

/// Every forward of the file. Those over tcp that are to be tried are, until they answer or
/// `patience` is at its end; the others are shown as they were last seen.
pub async fn look(
    session: &Session,
    world: &World,
    ready_pods: &ReadyPods,
    is_tried: IsTried<'_>,
    patience: Duration,
) -> Vec<PortStatus> {
    let Some(topology) = &session.topology else { return Vec::new() };
    let mode = topology.gateway.as_ref().map(|gateway| gateway.mode).unwrap_or_default();
    let way = Way {
        cx: session.cx(),
        by_rules: mode == GatewayForwarding::Dnat,
        is_here: session.cx().machine().await.is_none(),
        routes: host::routes().await,
        gateway: gateway_address(world),
        is_stopped: is_gateway_stopped(world),
        deadline: Instant::now() + patience,
    };
    let forwards = topology.ports().iter().map(async |port| {
        let pods = ready_pods.behind(port);
        forward(port, pods, world, is_tried, &way).await
    });
    join_all(forwards).await
}

pub fn gateway_address(world: &World) -> Option<IpAddr> {
    gateway(world)?.outputs.get("address")?.as_str()?.parse().ok()
}

pub fn is_gateway_stopped(world: &World) -> bool {
    gateway(world).is_some_and(|gateway| gateway.state == State::Stopped)
}

fn gateway(world: &World) -> Option<&Seen> {
    world.things.iter().find(|(id, _)| id.kind() == "gateway").map(|(_, seen)| seen)
}

/// How this machine comes to the ports.
struct Way<'a> {
    cx: &'a Context,
    /// Whether the gateway's kernel forwards, which takes a connection only once the target has.
    by_rules: bool,
    /// Whether this machine is the one that the engine runs on.
    is_here: bool,
    routes: Vec<Route>,
    /// The gateway's address on the engine's network.
    gateway: Option<IpAddr>,
    is_stopped: bool,
    deadline: Instant,
}

impl Way<'_> {
    /// Whether this machine has a route of its own to what a forward leads to.
    fn leads_straight_to(&self, address: IpAddr) -> bool {
        self.is_here && self.routes.iter().any(|route| route.net.contains(&address))
    }

    /// The ports behind which nobody answers in time, and how far a connection got.
    async fn unanswered(&self, host: &str, leads: &Leads) -> Vec<(u16, Missed)> {
        let mut left: Vec<(u16, Option<Missed>)> =
            leads.0.iter().map(|(port, _)| (*port, None)).collect();
        let mut pause = TRY_AGAIN;
        loop {
            let tries = left.into_iter().map(async |(port, before)| {
                let missed = self.miss(host, port, leads).await?;
                Some((port, missed.after(before)))
            });
            let tried: Vec<_> = stream::iter(tries).buffered(AT_ONCE).collect().await;
            let missed: Vec<(u16, Missed)> = tried.into_iter().flatten().collect();
            if missed.is_empty() || Instant::now() >= self.deadline {
                return missed;
            }
            left = missed.into_iter().map(|(port, missed)| (port, Some(missed))).collect();
            tokio::time::sleep(pause).await;
            pause = TRY_SELDOM.min(pause * 2);
        }
    }

    /// Known at once where this machine comes to the gateway past the engine: what its kernel
    /// forwards is connected only when the target has taken the connection.
    async fn is_through(&self, host: &str, port: u16, leads: &Leads) -> bool {
        let gateway = self.gateway.filter(|gateway| {
            let is_the_way =
                leads.of(Some(port)).is_some_and(|target| target.is_ipv4() == gateway.is_ipv4());
            self.by_rules && is_the_way && self.leads_straight_to(*gateway)
        });
        let Some(gateway) = gateway.map(|gateway| gateway.to_string()) else { return false };
        let (door, gateway) = tokio::join!(host::opens(host, port), host::opens(&gateway, port));
        door && gateway
    }

    /// One try. The engine's own proxy takes every connection, and holds it while the gateway looks
    /// for somebody, so a connection that is only held is tried past the engine and past the
    /// gateway too, where this machine has a route.
    async fn miss(&self, host: &str, port: u16, leads: &Leads) -> Option<Missed> {
        if self.is_through(host, port, leads).await {
            return None;
        }
        let at_door = host::reach(host, port).await;
        if at_door == Reach::Answers {
            return None;
        }
        let target = leads.of(Some(port));
        let at_gateway = async {
            let gateway = SocketAddr::new(self.gateway?, port);
            // At its address of the other family the gateway may lead nowhere.
            let is_the_way = target.is_none_or(|target| target.is_ipv4() == gateway.is_ipv4());
            if is_the_way { self.straight_to(gateway).await } else { None }
        };
        let at_target = async { self.straight_to(target?).await };
        let (at_gateway, at_target) = tokio::join!(at_gateway, at_target);
        let fits = |tried: Option<(SocketAddr, Reach)>| tried.is_none_or(|(_, way)| way.is_open());
        let answers = at_door.is_open() && fits(at_gateway) && fits(at_target);
        (!answers).then_some(Missed { door: at_door, gateway: at_gateway, target: at_target })
    }

    async fn straight_to(&self, place: SocketAddr) -> Option<(SocketAddr, Reach)> {
        if !self.leads_straight_to(place.ip()) {
            return None;
        }
        Some((place, host::reach(&place.ip().to_string(), place.port()).await))
    }
}

/// How far a connection got that nobody answered.
struct Missed {
    door: Reach,
    /// The gateway's own address, past the engine.
    gateway: Option<(SocketAddr, Reach)>,
    /// Where the port leads, past the gateway.
    target: Option<(SocketAddr, Reach)>,
}

impl Missed {
    /// Kernels tell one sender only a few times in a row, and then once a second, that they reject
    /// its packets: silence after that is no other fault.
    fn after(mut self, before: Option<Self>) -> Self {
        let Some(before) = before else { return self };
        let ways = [(&mut self.gateway, before.gateway), (&mut self.target, before.target)];
        for (now, before) in ways {
            if let (Some((_, reach @ Reach::Silent)), Some((_, Reach::NoRoute))) = (now, before) {
                *reach = Reach::NoRoute;
            }
        }
        self
    }
}

impl fmt::Display for Missed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let open = self.door.is_open();
        let door = if open { "is open" } else { self.door.of_a_door() };
        let but = if open { ", but" } else { ";" };
        match (self.gateway, self.target) {
            (_, Some((target, reach))) if !reach.is_open() => {
                write!(f, "{door}{but} {target}, where it leads, {}", reach.of_a_target())
            }
            (Some((gateway, reach)), Some((target, _))) if !reach.is_open() => write!(
                f,
                "{door}{but} nothing comes through the gateway: {gateway} {}, although {target}, where it leads, answers",
                reach.of_a_target()
            ),
            _ => f.write_str(door),
        }
    }
}

async fn forward(
    port: &Port,
    ready_pods: Option<u32>,
    world: &World,
    is_tried: IsTried<'_>,
    way: &Way<'_>,
) -> PortStatus {
    let listen = port.listen();
    let id = Id::new("port", listen);
    let leads = Leads(leads_to(world, &id));
    let tried = match world.blind.get(&id) {
        _ if way.is_stopped => Tried::fails(STOPPED),
        Some(why) => Tried { answers: None, detail: Some(format!("cannot be inspected: {why}")) },
        None if leads.0.is_empty() => Tried::fails("it leads nowhere yet"),
        None if is_tried(&id, ready_pods) => try_one(listen, &leads, way).await,
        None if ready_pods == Some(0) => Tried::fails("no pod behind it is ready"),
        None => Tried::default(),
    };
    let address = leads.in_words();
    let straight = leads.first().is_some_and(|target| way.leads_straight_to(target.ip()));
    PortStatus {
        listen: listen.to_string(),
        to: match &port.to {
            Target::Service { .. } => format!("service {}", port.to),
            Target::NodePort(_) | Target::Address { .. } => port.to.to_string(),
        },
        direct: address.clone().filter(|_| straight),
        address,
        ready_pods,
        reachable: tried.answers,
        detail: tried.detail,
    }
}

/// Where each listening port leads; nothing where the gateway knows no such forward.
struct Leads(Vec<(u16, SocketAddr)>);

impl Leads {
    fn first(&self) -> Option<SocketAddr> {
        self.of(None)
    }

    /// Of one listening port, or of the first.
    fn of(&self, listen: Option<u16>) -> Option<SocketAddr> {
        let mut all = self.0.iter();
        all.find(|(port, _)| listen.is_none_or(|listen| listen == *port)).map(|(_, target)| *target)
    }

    /// `172.22.255.202:8080-8082`, or each by itself where the ports are not in a row.
    fn in_words(&self) -> Option<String> {
        let first = self.first()?;
        let in_a_row = (first.port()..)
            .zip(&self.0)
            .all(|(port, (_, target))| target.ip() == first.ip() && target.port() == port);
        Some(match self.0.last() {
            Some((_, last)) if in_a_row && last.port() > first.port() => {
                format!("{first}-{}", last.port())
            }
            _ if in_a_row => first.to_string(),
            _ => {
                let all: Vec<String> =
                    self.0.iter().map(|(_, target)| target.to_string()).collect();
                all.join(", ")
            }
        })
    }
}

/// How far connections got.
#[derive(Default)]
struct Tried {
    /// None where it was not tried: udp cannot be, and neither what another machine keeps to itself.
    answers: Option<bool>,
    detail: Option<String>,
}

impl Tried {
    fn fails(why: &str) -> Self {
        Self { answers: Some(false), detail: Some(why.to_owned()) }
    }
}

async fn try_one(listen: Listen, leads: &Leads, way: &Way<'_>) -> Tried {
    let door = way.cx.door(listen.addr).await.filter(|_| listen.proto == Proto::Tcp);
    let Some(host) = door else { return Tried::default() };
    let unanswered = way.unanswered(&host, leads).await;
    let detail = unanswered.first().map(|(port, missed)| match listen.ports.count() {
        1 => missed.to_string(),
        _ => format!("port {port} {missed}"),
    });
    Tried { answers: Some(unanswered.is_empty()), detail }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn how_far_a_connection_got_is_said_by_the_last_place_that_failed() {
        let place = |text: &str, reach| Some((text.parse().expect("an address"), reach));
        let missed = |door, gateway, target| Missed {
            door,
            gateway: place("172.22.0.12:10001", gateway),
            target: place("172.22.255.201:22", target),
        };
        let refused = missed(Reach::HangsUp, Reach::Refused, Reach::Refused);
        assert_eq!(
            refused.to_string(),
            "takes the connection, but nothing listens behind it; 172.22.255.201:22, where it leads, refuses the connection: nothing listens there"
        );
        let rejected = missed(Reach::Holds, Reach::Silent, Reach::Holds).to_string();
        assert!(
            rejected.starts_with("is open, but nothing comes through the gateway: 172.22.0.12")
        );
        let alone = Missed { door: Reach::Refused, gateway: None, target: None };
        assert_eq!(alone.to_string(), "refuses the connection: it is not published");
    }

    #[test]
    fn a_firewall_that_has_said_that_it_rejects_may_fall_silent() {
        let missed = |reach| Missed {
            door: Reach::Holds,
            gateway: Some((([172, 22, 0, 12], 10001).into(), reach)),
            target: Some((([172, 22, 255, 201], 22).into(), Reach::Holds)),
        };
        let rejected = missed(Reach::NoRoute).to_string();
        assert_ne!(missed(Reach::Silent).to_string(), rejected);
        let silent_after = |before| missed(Reach::Silent).after(Some(missed(before))).to_string();
        assert_eq!(silent_after(Reach::NoRoute), rejected);
        assert_eq!(silent_after(Reach::Refused), missed(Reach::Silent).to_string());
    }

    #[test]
    fn a_pod_of_two_families_counts_once() {
        let slice = |endpoints: Value| -> DynamicObject {
            let labels = json!({"kubernetes.io/service-name": "web"});
            let metadata = json!({"namespace": "default", "labels": labels});
            serde_json::from_value(json!({"metadata": metadata, "endpoints": endpoints}))
                .expect("an object")
        };
        let pod = |address: &str, uid: &str, ready: bool| json!({"addresses": [address], "conditions": {"ready": ready}, "targetRef": {"uid": uid}});
        let v4 = slice(json!([pod("10.0.0.1", "a", true), pod("10.0.0.2", "b", false)]));
        let v6 = slice(json!([pod("fd00::1", "a", true), {"addresses": ["fd00::9"]}]));
        assert_eq!(count_pods(&[v4, v6]).get("default/web"), Some(&2));
    }

    fn leads(targets: &[&str]) -> Option<String> {
        let targets = targets.iter().map(|text| text.parse().expect("an address"));
        Leads((10000..).zip(targets).collect()).in_words()
    }

    #[test]
    fn ports_in_a_row_are_written_as_a_range() {
        assert_eq!(leads(&["10.0.0.1:80"]).as_deref(), Some("10.0.0.1:80"));
        assert_eq!(leads(&["10.0.0.1:80", "10.0.0.1:81"]).as_deref(), Some("10.0.0.1:80-81"));
        let scattered = leads(&["10.0.0.1:30880", "10.0.0.1:30443"]);
        assert_eq!(scattered.as_deref(), Some("10.0.0.1:30880, 10.0.0.1:30443"));
        assert_eq!(leads(&[]), None);
    }
}
