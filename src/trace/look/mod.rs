//! One look along a way. What can be asked at the same time is; rules are counted before and after a
//! connection is tried, and the second time only where it failed.

mod cluster;
mod gateway;
mod node;
mod sections;

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use futures::future::join_all;
use tokio::time::timeout;

use super::rules::Drops;
use super::sight::{
    Cluster, Container, Dial, Door, Endpoint, Gateway, Inside, Look, Node, Publisher, Remedy, Sight,
};
use super::way::{Goal, Through, Way};
use crate::backend::docker::{self, Snapshot};
use crate::backend::host::{self, sockets};
use crate::resources::{
    Context, Whose, kind_nodes, object_id, of_container, publications, publisher_id,
    rules_are_in_force,
};
use crate::topology::{Listen, Proto, PublishBy, ServiceRef};

/// A person waits for the answer, so that nothing is waited for for long.
const API_LIMIT: Duration = Duration::from_secs(3);
const EXEC_LIMIT: Duration = Duration::from_secs(4);
/// Nodes that are looked into, and pods on them.
const MOST_NODES: usize = 3;
const MOST_PODS: usize = 3;

/// Of a container in which nothing was run.
const UNSEEN: &str = "it was not inspected";

/// What cloud-provider-kind puts on the containers that it starts for a cluster.
pub const OTHER_BALANCER: &str = "io.x-k8s.cloud-provider-kind.cluster";

pub async fn look(cx: &Context, snapshot: &Snapshot, way: &Way, apply: String) -> Sight {
    let (door, mut sight) =
        tokio::join!(door(cx, snapshot, way), past_the_door(cx, snapshot, way, apply));
    sight.door = door;
    if sight.fails() {
        count_again(cx, &mut sight).await;
    }
    sight
}

/// As `look`, but nothing is run in any container, and no connection tried but the one to the port.
pub async fn glance(cx: &Context, snapshot: &Snapshot, way: &Way, apply: String) -> Sight {
    let (door, cluster) = tokio::join!(door(cx, snapshot, way), cluster_of(cx, way));
    let unseen = || UNSEEN.to_owned();
    let publisher = publisher(cx, way, Err(unseen()));
    let gateway = own_gateway(cx, snapshot, way)
        .map(|found| gateway_of(found, way, publisher, Err(unseen())));
    let mut sight = unnoded(cx, snapshot, way, apply, gateway, cluster).await;
    if sight.has_own_nodes {
        let nodes = kind_nodes::kubernetes_nodes(snapshot, &cx.name);
        let node = |node| Node { container: container(node, way), inside: Err(UNSEEN.to_owned()) };
        sight.nodes = nodes.map(node).collect();
    }
    sight.door = door;
    sight
}

/// All but the port on this machine, which may take its time to be tried.
async fn past_the_door(cx: &Context, snapshot: &Snapshot, way: &Way, apply: String) -> Sight {
    let gateway = async {
        let found = own_gateway(cx, snapshot, way)?;
        let inside = async {
            match found.container {
                Some(container) => within(EXEC_LIMIT, gateway::inside(cx, container, way)).await,
                None => Err("there is no gateway".to_owned()),
            }
        };
        let in_force = within(EXEC_LIMIT, rules_in_force(cx, snapshot, way));
        let (inside, in_force) = tokio::join!(inside, in_force);
        Some(gateway_of(found, way, publisher(cx, way, in_force), inside))
    };
    let (gateway, cluster) = tokio::join!(gateway, cluster_of(cx, way));
    let mut sight = unnoded(cx, snapshot, way, apply, gateway, cluster).await;
    sight.nodes = nodes(cx, snapshot, &sight).await;
    try_out(cx, &mut sight).await;
    sight
}

/// Before anything was seen of the nodes and any connection was tried.
async fn unnoded(
    cx: &Context,
    snapshot: &Snapshot,
    way: &Way,
    apply: String,
    gateway: Option<Gateway>,
    cluster: Look<Cluster>,
) -> Sight {
    let mut sight = Sight {
        remedy: remedy(cx, apply).await,
        aim: aim(way, gateway.as_ref(), &cluster),
        way: way.clone(),
        door: None,
        gateway,
        cluster,
        has_own_nodes: cx.makes_cluster() && has_cluster(cx),
        nodes: Vec::new(),
        through_gateway: Dial::Untried("no gateway is on the way".to_owned()),
        to_aim: Dial::Untried("where it leads is not known".to_owned()),
        hardware: hardware(cx, snapshot),
        other_balancer: other_balancer(cx, snapshot),
    };
    take_protocol(&mut sight);
    sight
}

/// A Service that is followed by itself is followed by the protocol that its port has.
fn take_protocol(sight: &mut Sight) {
    let port = sight.cluster.as_ref().ok().and_then(|cluster| cluster.port(&sight.way));
    if sight.way.listen.is_none() && port.is_some_and(|port| port.carries(Proto::Udp)) {
        sight.way.proto = Proto::Udp;
    }
}

fn has_cluster(cx: &Context) -> bool {
    cx.file.as_ref().is_some_and(|topology| topology.cluster.is_some())
}

async fn remedy(cx: &Context, apply: String) -> Remedy {
    let objects = cx.objects().await.ok();
    let manifests = objects.iter().flat_map(|objects| &objects.manifests.objects);
    let made = manifests
        .map(|object| object_id(&object.kind, object.namespace.as_deref(), &object.name))
        .collect();
    let context = cx.file.as_ref().and_then(|topology| topology.context_name());
    let kubectl = match context {
        Some(context) => format!("kubectl --context {context}"),
        None => "kubectl".to_owned(),
    };
    Remedy { apply, kubectl, made }
}

/// The port on this machine, where the engine is here or what it publishes is reached from here.
async fn door(cx: &Context, snapshot: &Snapshot, way: &Way) -> Option<Door> {
    let at = way.listen?;
    let udp = way.proto == Proto::Udp;
    let (listeners, reach) = tokio::join!(
        async {
            match cx.machine().await {
                Some(machine) => Err(format!("the engine runs on {}", machine.host)),
                None => sockets::listeners(at, udp).await,
            }
        },
        async {
            if udp {
                return Err("udp has no handshake to try".to_owned());
            }
            match cx.door(at.ip()).await {
                Some(host) => Ok(host::reach(&host, at.port()).await),
                None => Err("it is on another machine's loopback".to_owned()),
            }
        },
    );
    let publishes = |container: &&docker::Container| publishes(container, at, udp);
    let is_strange = |container: &&docker::Container| {
        of_container(&cx.name, container) != Whose::Ours && container.is_running()
    };
    let other = snapshot.containers.iter().filter(is_strange).find(publishes);
    Some(Door { at, listeners, reach, other: other.map(|container| container.name.clone()) })
}

fn publishes(container: &docker::Container, at: SocketAddr, udp: bool) -> bool {
    publications(container).iter().any(|publication| {
        let Listen { addr, ports, proto } = publication.listen;
        let listens = addr == at.ip() || (addr.is_unspecified() && addr.is_ipv4() == at.is_ipv4());
        (proto == Proto::Udp) == udp && ports.contains(at.port()) && listens
    })
}

fn container(found: &docker::Container, way: &Way) -> Container {
    Container {
        name: found.name.clone(),
        state: found.state,
        status: found.status.clone(),
        publishes: way.listen.is_none_or(|at| publishes(found, at, way.proto == Proto::Udp)),
    }
}

/// The gateway's name, its container, and its addresses on the network.
struct OwnGateway<'a> {
    name: String,
    container: Option<&'a docker::Container>,
    addresses: Vec<IpAddr>,
}

/// A container of the gateway's name that topo did not make is as good as none.
fn own_gateway<'a>(cx: &Context, snapshot: &'a Snapshot, way: &Way) -> Option<OwnGateway<'a>> {
    let topology = cx.file.as_ref().filter(|_| way.through == Through::Gateway)?;
    let name = topology.gateway_name().into_owned();
    let own = |found: &&docker::Container| of_container(&cx.name, found) == Whose::Ours;
    let container = snapshot.container(&name).filter(own);
    let addresses = container.and_then(|found| found.addresses.get(&*topology.network_name()));
    let addresses = addresses.iter().flat_map(|address| [address.v4, address.v6]).flatten();
    Some(OwnGateway { name, container, addresses: addresses.collect() })
}

/// Whether rules of the kernel publish the port that is followed, and by which container.
fn publisher(cx: &Context, way: &Way, in_force: Look<bool>) -> Option<Publisher> {
    Some(Publisher { name: publisher_name(cx, way)?, in_force })
}

fn publisher_name(cx: &Context, way: &Way) -> Option<String> {
    let topology = cx.file.as_ref()?;
    let by = topology.gateway.as_ref()?.published_by(way.listen?.ip());
    (by == PublishBy::Kernel).then(|| publisher_id(topology).name().to_owned())
}

async fn rules_in_force(cx: &Context, snapshot: &Snapshot, way: &Way) -> Look<bool> {
    let Some(name) = publisher_name(cx, way) else { return Ok(false) };
    let own = |found: &&docker::Container| of_container(&cx.name, found) == Whose::Ours;
    match snapshot.container(&name).filter(own) {
        Some(container) => rules_are_in_force(cx, container).await,
        None => Ok(false),
    }
}

fn gateway_of(
    found: OwnGateway,
    way: &Way,
    publisher: Option<Publisher>,
    inside: Look<Inside>,
) -> Gateway {
    Gateway {
        container: found.container.map(|found| container(found, way)),
        name: found.name,
        publisher,
        addresses: found.addresses,
        inside,
    }
}

async fn cluster_of(cx: &Context, way: &Way) -> Look<Cluster> {
    if !has_cluster(cx) {
        return Err("the file has no cluster".to_owned());
    }
    within(API_LIMIT, Box::pin(cluster::look(cx, way))).await
}

/// The Services of the cluster that ask for an address; none where they cannot be listed.
pub async fn balanced(cx: &Context) -> Vec<ServiceRef> {
    within(API_LIMIT, Box::pin(cluster::balanced(cx))).await.unwrap_or_default()
}

async fn within<T>(limit: Duration, look: impl Future<Output = Look<T>>) -> Look<T> {
    let late = |_| Err(format!("no answer within {} s", limit.as_secs()));
    timeout(limit, look).await.unwrap_or_else(late)
}

/// Where the connection is led now. Past a node that publishes the port it is the node's own.
fn aim(way: &Way, gateway: Option<&Gateway>, cluster: &Look<Cluster>) -> Option<SocketAddr> {
    if let Some(inside) = gateway.and_then(|gateway| gateway.inside.as_ref().ok()) {
        return inside.live.or(inside.saved);
    }
    if let Goal::Address(address) = &way.to {
        return Some(*address);
    }
    let cluster = cluster.as_ref().ok()?;
    let port = cluster.port(way)?;
    let at_node = || {
        let node = cluster.nodes.iter().find_map(|node| cluster::address_of(&node.data))?;
        Some(SocketAddr::new(node, port.node_port?))
    };
    match (&way.to, cluster.addresses().first()) {
        (Goal::Service(..), Some(address)) => Some(SocketAddr::new(*address, port.number)),
        _ => at_node(),
    }
}

/// The nodes that have pods of the way come first, then those that may announce its address.
async fn nodes(cx: &Context, snapshot: &Snapshot, sight: &Sight) -> Vec<Node> {
    if !sight.has_own_nodes {
        return Vec::new();
    }
    let no_pods = Vec::new();
    let endpoints = sight.cluster.as_ref().map_or(&no_pods, |cluster| &cluster.endpoints);
    let mut found: Vec<&docker::Container> =
        kind_nodes::kubernetes_nodes(snapshot, &cx.name).collect();
    let has_pods = |node: &str| endpoints.iter().any(|endpoint| endpoint.node == node);
    found.sort_by_key(|node| (!has_pods(&node.name), node.name.clone()));
    let looks = found.into_iter().enumerate().map(async |(at, node)| {
        let pods: Vec<&Endpoint> = endpoints
            .iter()
            .filter(|endpoint| endpoint.node == node.name && endpoint.ready)
            .take(MOST_PODS)
            .collect();
        let inside = if !node.is_running() {
            Err(format!("it is stopped: {}", node.status))
        } else if at >= MOST_NODES {
            Err(format!("{MOST_NODES} nodes are inspected at most"))
        } else {
            within(EXEC_LIMIT, node::inside(cx, &node.name, sight.aim, &pods)).await
        };
        Node { container: container(node, &sight.way), inside }
    });
    join_all(looks).await
}

/// Connections past the engine's own proxy: through the gateway's rules, and to where they lead.
async fn try_out(cx: &Context, sight: &mut Sight) {
    if sight.way.proto == Proto::Udp {
        let untried = || Dial::Untried("udp has no handshake to try".to_owned());
        (sight.through_gateway, sight.to_aim) = (untried(), untried());
        return;
    }
    let inside = sight.gateway.as_ref().filter(|gateway| gateway.inside.is_ok());
    let Some(gateway) = inside else {
        if let Some(aim) = sight.aim {
            sight.to_aim = straight(cx, aim).await;
        }
        return;
    };
    let (through, aimed) = tokio::join!(through(cx, sight, gateway), async {
        let aim = sight.aim.ok_or("where it leads is not known")?;
        within(EXEC_LIMIT, gateway::aimed(cx, &gateway.name, aim)).await
    });
    sight.through_gateway = through;
    match aimed {
        Ok((dial, neighbor)) => {
            sight.to_aim = dial;
            let gateway = sight.gateway.as_mut();
            if let Some(inside) = gateway.and_then(|gateway| gateway.inside.as_mut().ok()) {
                inside.neighbor = neighbor;
            }
        }
        Err(why) => sight.to_aim = Dial::Untried(why),
    }
}

/// From a node, as from anywhere on the network, to the gateway's port.
async fn through(cx: &Context, sight: &Sight, gateway: &Gateway) -> Dial {
    let untried = |why: &str| Dial::Untried(why.to_owned());
    let Some(node) = sight.nodes.iter().find(|node| node.inside.is_ok()) else {
        return untried("no node can be inspected");
    };
    let is_v4 = sight.aim.is_none_or(|aim| aim.is_ipv4());
    let address = gateway.addresses.iter().find(|address| address.is_ipv4() == is_v4);
    match (address, sight.way.listen) {
        (Some(address), Some(listen)) => {
            node::dial(cx, &node.container.name, SocketAddr::new(*address, listen.port())).await
        }
        _ => untried("the gateway has no address of that family"),
    }
}

/// From this machine, where it has a route of its own.
async fn straight(cx: &Context, aim: SocketAddr) -> Dial {
    let is_here = cx.machine().await.is_none();
    let routes = host::routes().await;
    if !is_here || !routes.iter().any(|route| route.net.contains(&aim.ip())) {
        return Dial::Untried("this machine has no route to it".to_owned());
    }
    match host::reach(&aim.ip().to_string(), aim.port()).await {
        host::Reach::Answers | host::Reach::Holds | host::Reach::HangsUp => Dial::Connected,
        host::Reach::Refused => Dial::Refused,
        host::Reach::NoRoute => Dial::NoRoute,
        host::Reach::Silent => Dial::Silent,
    }
}

async fn count_again(cx: &Context, sight: &mut Sight) {
    let v4 = sight.aim.is_none_or(|aim| aim.is_ipv4());
    let gateway = async {
        let gateway = sight.gateway.as_ref()?;
        gateway.inside.as_ref().ok()?;
        within(EXEC_LIMIT, gateway::drops(cx, &gateway.name)).await.ok()
    };
    let nodes = join_all(sight.nodes.iter().map(async |node| -> Option<Drops> {
        node.inside.as_ref().ok()?;
        within(EXEC_LIMIT, node::drops(cx, &node.container.name, v4)).await.ok()
    }));
    let (in_gateway, on_nodes) = tokio::join!(gateway, nodes);
    if let Some(inside) = sight.gateway.as_mut().and_then(|gateway| gateway.inside.as_mut().ok()) {
        inside.after = in_gateway;
    }
    for (node, after) in sight.nodes.iter_mut().zip(on_nodes) {
        if let Ok(inside) = &mut node.inside {
            inside.after = after;
        }
    }
}

fn hardware(cx: &Context, snapshot: &Snapshot) -> Vec<(String, String)> {
    let Some(topology) = &cx.file else { return Vec::new() };
    let network = topology.network_name();
    let on_it = snapshot.on_network(&network).filter_map(|container| {
        let address = container.addresses.get(&*network)?.hardware.clone()?;
        Some((address, container.name.clone()))
    });
    on_it.collect()
}

fn other_balancer(cx: &Context, snapshot: &Snapshot) -> Option<String> {
    let serves = |found: &&docker::Container| {
        found.labels.get(OTHER_BALANCER).is_some_and(|of| *of == cx.name)
    };
    snapshot.containers.iter().find(serves).map(|found| found.name.clone())
}

/// Whether an address is of IPv4, as families are told apart all over the way.
fn family(address: IpAddr) -> &'static str {
    if address.is_ipv4() { "4" } else { "6" }
}
