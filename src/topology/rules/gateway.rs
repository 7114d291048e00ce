//! The gateway: what it publishes, what forwards listen on, and where they lead.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::super::gateway::{EXPOSED, HTTP_PROXY_PORT, SSH_PORT};
use super::super::sensitive::Guarded;
use super::super::{
    Cluster, Gateway, GatewayForwarding, Listen, Port, PortRange, Proto, PublishBy, Target,
    TargetPort, Topology, Via,
};
use super::{Rules, cluster, network};

/// Something that listens on this machine, and where the file says so.
struct Listener {
    listen: Listen,
    path: String,
}

/// Gives every forward without an address that of the entry of `publish` that holds it.
pub(super) fn place_listens(topology: &mut Topology) {
    let Some(gateway) = &mut topology.gateway else { return };
    let published = Published::of(gateway);
    for port in gateway.ports.iter_mut().filter(|port| port.listen.addr.is_none()) {
        port.listen.addr = published.holder(port.listen.proto, port.listen.ports);
    }
}

pub(super) fn check(topology: &Topology, rules: &mut Rules) {
    let Some(gateway) = &topology.gateway else { return };
    address(topology, gateway, rules);
    name(topology, rules);
    single_ports(gateway, rules);
    publications(topology, gateway, rules);
    by_kernel(gateway, rules);
    budget(gateway, rules);
    keys(topology, gateway, rules);
    open_proxy(gateway, rules);
    expose(topology, gateway, rules);
    for (at, port) in gateway.ports.iter().enumerate() {
        forward(topology, gateway, at, port, rules);
    }
    if rules.places.is_whole("gateway.publish") {
        in_published(gateway, rules);
    }
    let listeners: Vec<Listener> = gateway
        .ports
        .iter()
        .enumerate()
        .map(|(at, port)| Listener {
            listen: port.listen(),
            path: format!("gateway.ports.{at}.listen"),
        })
        .collect();
    for (first, second) in overlaps(&listeners) {
        overlap(first, second, rules);
    }
    told_apart(&gateway.ports, rules);
}

fn address(topology: &Topology, gateway: &Gateway, rules: &mut Rules) {
    let Some(addr) = gateway.address else { return };
    let subnets = topology.network.subnets();
    if subnets.is_empty() {
        // An existing network may have a subnet of its own; the one that topo makes cannot be known before.
        if topology.network.name.is_none() && rules.places.is_whole("network") {
            let problem = rules
                .error(
                    "static-address-refused",
                    "gateway.address",
                    "a fixed address requires a network with a `subnet`",
                )
                .write("`network: { subnet: … }` with a subnet that contains the address")
                .seen(addr.to_string());
            rules.report(problem);
        }
        return;
    }
    network::host_address("gateway.address", addr, subnets, rules);
    let host = subnets
        .iter()
        .find(|subnet| subnet.contains(addr))
        .map(|subnet| topology.network.gateway_in(*subnet));
    let taken = if host == Some(addr) {
        Some("the address is already in use by the network's own gateway")
    } else if topology.network.ip_range.is_some_and(|range| range.contains(addr)) {
        Some("the address is inside `ipRange`, from which Docker assigns addresses by itself")
    } else {
        None
    };
    if let Some(why) = taken {
        let problem = rules.error("address", "gateway.address", why).seen(addr.to_string());
        rules.report(problem);
    }
}

/// The gateway's container must not have the name of a node, nor one that leads elsewhere: squid, the
/// tunnels and its neighbors look it up.
fn name(topology: &Topology, rules: &mut Rules) {
    let name = topology.gateway_name();
    if let Some(meaning) = other_meaning(&name) {
        let what = format!("`{name}` cannot be looked up, because it is {meaning}");
        let problem = rules
            .error("reserved-name", "gateway.name", what)
            .write(format!("`{}-gw`", topology.name));
        rules.report(problem);
        return;
    }
    let Some(rest) = name.strip_prefix(topology.name.as_str()) else { return };
    let node = ["-control-plane", "-worker", "-external-load-balancer"].iter().any(|role| {
        rest.strip_prefix(role).is_some_and(|number| number.bytes().all(|b| b.is_ascii_digit()))
    });
    if node && topology.cluster.as_ref().is_some_and(|cluster| !cluster.exists()) {
        let problem = rules
            .error(
                "reserved-name",
                "gateway.name",
                format!("`{name}` is the name of a node of this cluster"),
            )
            .write(format!("`{}-gw`", topology.name));
        rules.report(problem);
    }
}

/// What a name is to those who look it up, where that is not a name.
fn other_meaning(name: &str) -> Option<&'static str> {
    let number = |part: &str| {
        let hexadecimal = part.strip_prefix("0x").or_else(|| part.strip_prefix("0X"));
        let (digits, radix) = hexadecimal.map_or((part, 10), |digits| (digits, 16));
        digits.chars().all(|digit| digit.is_digit(radix))
    };
    let is_range = name.chars().all(|c| c.is_ascii_digit() || matches!(c, '.' | '-'));
    if is_range || name.split('.').all(number) {
        return Some("an address");
    }
    match name.to_ascii_lowercase().as_str() {
        "localhost" => Some("every machine's name for itself"),
        "all" | "ipv4" | "ipv6" => Some("squid's word for every address"),
        _ => None,
    }
}

/// sshd and squid have one TCP port each.
fn single_ports(gateway: &Gateway, rules: &mut Rules) {
    let ssh = gateway.ssh.iter().map(|ssh| ("gateway.ssh.listen", ssh.listen));
    let proxy = gateway.http_proxy.iter().map(|proxy| ("gateway.httpProxy.listen", proxy.listen));
    for (path, listen) in ssh.chain(proxy) {
        if listen.ports.count() > 1 || listen.proto == Proto::Udp {
            let problem = rules
                .error("listen", path, "expected a single TCP port")
                .seen(listen.to_string())
                .write(format!("`{}`", listen.ports.first()));
            rules.report(problem);
        }
    }
}

/// Everything that takes a port of this machine, forwards aside: they lie inside `publish`.
fn publications(topology: &Topology, gateway: &Gateway, rules: &mut Rules) {
    let publish = gateway
        .published()
        .enumerate()
        .map(|(at, listen)| Listener { listen, path: format!("gateway.publish.{at}") });
    let ssh = gateway.ssh.iter().map(|ssh| Listener {
        listen: ssh.listen.resolved(),
        path: "gateway.ssh.listen".to_owned(),
    });
    let proxy = gateway.http_proxy.iter().map(|proxy| Listener {
        listen: proxy.listen.resolved(),
        path: "gateway.httpProxy.listen".to_owned(),
    });
    let nodes =
        topology.cluster.iter().flat_map(cluster::mappings).map(|(path, mapping)| Listener {
            listen: Listen {
                addr: mapping.listen_address,
                ports: mapping.host_port,
                proto: mapping.protocol,
            },
            path: format!("{path}.hostPort"),
        });
    let listeners: Vec<Listener> = publish.chain(ssh).chain(proxy).chain(nodes).collect();
    for (first, second) in overlaps(&listeners) {
        overlap(first, second, rules);
    }
}

fn overlap(first: &Listener, second: &Listener, rules: &mut Rules) {
    let (a, b) = (rules.places.find(&first.path), rules.places.find(&second.path));
    let (before, here, place) =
        if a.span.start <= b.span.start { (first, second, a) } else { (second, first, b) };
    let problem = rules
        .error("port-taken", &here.path, format!("`{}` overlaps `{}`", here.listen, before.listen))
        .seen(here.listen.to_string())
        .related(place, "already used here");
    rules.report(problem);
}

/// Pairs that listen on the same port of the same address; 0.0.0.0 and [::] are every address of their family.
fn overlaps(listeners: &[Listener]) -> Vec<(&Listener, &Listener)> {
    let mut groups: BTreeMap<(Proto, bool), BTreeMap<IpAddr, Vec<&Listener>>> = BTreeMap::new();
    for listener in listeners {
        let Listen { addr, proto, .. } = listener.listen;
        groups.entry((proto, addr.is_ipv4())).or_default().entry(addr).or_default().push(listener);
    }
    let mut found = Vec::new();
    for addresses in groups.values() {
        let everywhere: Vec<&Listener> = addresses
            .iter()
            .filter(|(addr, _)| addr.is_unspecified())
            .flat_map(|(_, of)| of.iter().copied())
            .collect();
        for (addr, listeners) in addresses {
            let mut sorted = listeners.clone();
            if !addr.is_unspecified() {
                sorted.extend(&everywhere);
            }
            sorted.sort_by_key(|listener| listener.listen.ports);
            // Among the wild ones alone a pair is found with their own address.
            let new = |a: &Listener, b: &Listener| {
                addr.is_unspecified()
                    || !(a.listen.addr.is_unspecified() && b.listen.addr.is_unspecified())
            };
            neighbours(
                &sorted,
                |listener| listener.listen.ports,
                |a, b| {
                    if new(a, b) {
                        found.push((*a, *b));
                    }
                },
            );
        }
    }
    found
}

/// Calls `met` for ranges that meet one before them, in a list sorted by range.
fn neighbours<T>(sorted: &[T], range: impl Fn(&T) -> PortRange, mut met: impl FnMut(&T, &T)) {
    let mut widest: Option<&T> = None;
    for here in sorted {
        if let Some(before) = widest.filter(|before| range(before).meets(range(here))) {
            met(before, here);
        }
        if widest.is_none_or(|before| range(before).last() <= range(here).last()) {
            widest = Some(here);
        }
    }
}

/// Rules of the kernel publish on the engine's own machine, and over IPv4: it has no `route_localnet`
/// for IPv6.
fn by_kernel(gateway: &Gateway, rules: &mut Rules) {
    if gateway.publish_by != PublishBy::Kernel {
        return;
    }
    if gateway.expose.is_some() {
        let problem = rules
            .misplaced(
                "publish-by-kernel",
                "gateway.publishBy",
                "`publishBy: kernel` and `expose` cannot be used together: the one needs the engine on this machine, the other on another",
            )
            .write("`publishBy: engine`");
        rules.report(problem);
    }
    let ssh = gateway.ssh.iter().map(|ssh| ("gateway.ssh.listen".to_owned(), ssh.listen));
    let proxy = gateway.http_proxy.iter();
    let proxy = proxy.map(|proxy| ("gateway.httpProxy.listen".to_owned(), proxy.listen));
    let publish = gateway.publish.iter().enumerate();
    let publish = publish.map(|(at, listen)| (format!("gateway.publish.{at}"), *listen));
    for (path, listen) in publish.chain(ssh).chain(proxy) {
        let address = listen.resolved().addr;
        if address.is_ipv6() && address.is_loopback() {
            let problem = rules
                .error(
                    "publish-by-kernel",
                    &path,
                    "rules of the kernel cannot publish at [::1]: Linux leads no IPv6 loopback address to another interface",
                )
                .seen(listen.to_string())
                .write(format!("`{}` to listen at 127.0.0.1, or `publishBy: engine`", listen.ports));
            rules.report(problem);
        }
    }
}

/// The engine's way of publishing costs per port: time to start and stop, and a process each.
fn budget(gateway: &Gateway, rules: &mut Rules) {
    const SLOW: u32 = 200;
    const TOO_SLOW: u32 = 500;
    const WHY: &str = "999 ports took 59s to start and 65s to stop, with 2000 processes and 1.4 GB; 100 take less than 3s";
    let published: u32 = gateway
        .publications_by(PublishBy::Engine)
        .map(|(listen, _)| listen.ports.count())
        .fold(0, u32::saturating_add);
    let message = format!(
        "{published} ports are published, and each costs the engine time and memory: {WHY}"
    );
    if published >= TOO_SLOW && !gateway.allow_large_range {
        let problem = rules
            .error("range-is-slow", "gateway.publish", message)
            .write("a smaller range, `publishBy: kernel`, or `allowLargeRange: true`");
        rules.report(problem);
    } else if published >= SLOW {
        let problem = rules
            .warning("range-is-slow", "gateway.publish", message)
            .write("a smaller range, or `publishBy: kernel`");
        rules.report(problem);
    }
}

fn keys(topology: &Topology, gateway: &Gateway, rules: &mut Rules) {
    let Some(ssh) = &gateway.ssh else { return };
    let tunnel =
        gateway.expose.is_some() || topology.shares.iter().any(|share| share.via == Via::Ssh);
    if ssh.keys().is_empty() && !tunnel && rules.places.is_whole("gateway.ssh") {
        let problem = rules
            .warning(
                "nobody-may-log-in",
                "gateway.ssh",
                "sshd accepts public keys only, and none is authorized",
            )
            .help("create a key with `ssh-keygen -t ed25519`, or list one in `authorizedKeys`");
        rules.report(problem);
    }
}

/// squid asks nobody who they are.
fn open_proxy(gateway: &Gateway, rules: &mut Rules) {
    let Some(proxy) = &gateway.http_proxy else { return };
    if proxy.listen.resolved().addr.is_loopback() {
        return;
    }
    let problem = rules
        .warning(
            "open-proxy",
            "gateway.httpProxy.listen",
            format!(
                "anyone who reaches `{}` can connect to the cluster's network through it",
                proxy.listen
            ),
        )
        .seen(proxy.listen.to_string())
        .write(format!("`{}` to serve this machine only", proxy.listen.ports));
    rules.report(problem);
}

/// What comes here over ssh comes in by the gateway's sshd, and only tcp does.
fn expose(topology: &Topology, gateway: &Gateway, rules: &mut Rules) {
    if gateway.expose.is_none() {
        return;
    }
    if gateway.ssh.is_none() && rules.places.is_whole("gateway") {
        let problem = rules
            .error("no-sshd", "gateway.expose", "`expose` requires the gateway's sshd")
            .write("`ssh: { listen: \"0.0.0.0:122\" }` in `gateway`");
        rules.report(problem);
    }
    for (at, port) in gateway.ports.iter().enumerate() {
        if port.listen.proto == Proto::Udp && port.listen().addr.is_loopback() {
            let path = format!("gateway.ports.{at}.listen");
            let problem = rules
                .warning(
                    "udp-stays-there",
                    &path,
                    "ssh carries TCP only: this port is reachable on the engine's machine alone",
                )
                .write("an address of that machine in `publish`, such as `0.0.0.0:…/udp`");
            rules.report(problem);
        }
    }
    let namesake = topology
        .shares
        .iter()
        .position(|share| share.via == Via::Ssh && share.name.as_str() == EXPOSED);
    if let Some(at) = namesake {
        let problem = rules
            .error(
                "reserved-name",
                &format!("shares.{at}.name"),
                format!("`{EXPOSED}` is the name of the tunnel of `gateway.expose`"),
            )
            .write("another name")
            .related(rules.places.find("gateway.expose"), "has a tunnel of that name");
        rules.report(problem);
    }
}

fn forward(topology: &Topology, gateway: &Gateway, at: usize, port: &Port, rules: &mut Rules) {
    let path = |key: &str| format!("gateway.ports.{at}.{key}");
    let (listening, leading) = (port.listen.ports.count(), port.to.count());
    if listening != leading {
        let message = match &port.to {
            Target::Service { port: TargetPort::Name(name), .. } => {
                format!("ranges of different lengths: {listening} ports listen, `{name}` is one")
            }
            _ => format!(
                "ranges of different lengths: {listening} listening, {leading} of the target"
            ),
        };
        let key = if matches!(port.to, Target::NodePort(_)) { "to.nodePort" } else { "to.port" };
        let problem = rules
            .error("range-length", &path(key), message)
            .related(rules.places.find(&path("listen")), "the listening ports");
        rules.report(problem);
    }
    if port.proxy_protocol
        && (gateway.mode != GatewayForwarding::Proxy || port.listen.proto == Proto::Udp)
    {
        let problem = rules
            .misplaced(
                "proxy-protocol",
                &path("proxyProtocol"),
                "`proxyProtocol` requires `mode: proxy` and a TCP port",
            )
            .write("`mode: proxy` in `gateway`");
        rules.report(problem);
    }
    inner_ports(gateway, &path("listen"), port, rules);
    target(topology, gateway, at, port, rules);
    family(topology, gateway, at, port, rules);
}

/// The kernel translates addresses within a family. A program that ends the connection leads from
/// one to the other.
fn family(topology: &Topology, gateway: &Gateway, at: usize, port: &Port, rules: &mut Rules) {
    let comes_over_ipv6 = topology.comes_over_ipv6(port);
    let (key, leads_over_ipv6) = match &port.to {
        Target::Address { address, .. } => ("address", address.is_ipv6()),
        Target::NodePort(_) => ("nodePort", topology.cluster.as_ref().is_some_and(is_ipv6_alone)),
        Target::Service { .. } => return,
    };
    if gateway.mode == GatewayForwarding::Proxy || comes_over_ipv6 == leads_over_ipv6 {
        return;
    }
    let named = |is_ipv6: bool| if is_ipv6 { "IPv6" } else { "IPv4" };
    let (comes, leads) = (named(comes_over_ipv6), named(leads_over_ipv6));
    let problem = rules
        .error(
            "another-family",
            &format!("gateway.ports.{at}.to.{key}"),
            format!("`mode: dnat` cannot forward from {comes} to {leads}"),
        )
        .write(format!("an {leads} address to listen on, or `mode: proxy` in `gateway`"))
        .related(rules.places.find(&format!("gateway.ports.{at}.listen")), "listens here");
    rules.report(problem);
}

/// Ports of the gateway's own programs inside its container, where forwards would take their packets.
fn inner_ports(gateway: &Gateway, path: &str, port: &Port, rules: &mut Rules) {
    let programs = [
        (gateway.ssh.is_some(), SSH_PORT, "sshd", "gateway.ssh.listen"),
        (gateway.http_proxy.is_some(), HTTP_PROXY_PORT, "squid", "gateway.httpProxy.listen"),
    ];
    for (_, inner, program, at) in programs.into_iter().filter(|(runs, inner, ..)| {
        *runs && port.listen.proto == Proto::Tcp && port.listen.ports.contains(*inner)
    }) {
        let problem = rules
            .error(
                "port-taken",
                path,
                format!("port {inner} is already in use by {program} inside the gateway"),
            )
            .write("another port to listen on")
            .related(rules.places.find(at), format!("enables {program}"));
        rules.report(problem);
    }
}

fn target(topology: &Topology, gateway: &Gateway, at: usize, port: &Port, rules: &mut Rules) {
    const NODE_PORTS: (u16, u16) = (30000, 32767);
    let path = |key: &str| format!("gateway.ports.{at}.to.{key}");
    let no_cluster = topology.cluster.is_none() && !rules.places.has("cluster");
    match &port.to {
        Target::Service { .. } | Target::NodePort(_) if no_cluster => {
            let key = if matches!(port.to, Target::NodePort(_)) { "nodePort" } else { "service" };
            let problem = rules
                .error("no-cluster", &path(key), format!("`{key}` requires `cluster`"))
                .write("a `cluster` block, or `to: { address: …, port: … }`");
            rules.report(problem);
        }
        Target::NodePort(range)
            if (range.first() < NODE_PORTS.0 || range.last() > NODE_PORTS.1)
                && default_node_ports(topology) =>
        {
            let problem = rules
                .error(
                    "node-port-range",
                    &path("nodePort"),
                    format!(
                        "`{range}` is outside the node port range {}-{}",
                        NODE_PORTS.0, NODE_PORTS.1
                    ),
                )
                .seen(range.to_string())
                .write("a port of that range, or set `service-node-port-range` in `kindConfig`");
            rules.report(problem);
        }
        Target::Address { address, .. } if gateway.address == Some(*address) => {
            let problem = rules
                .error(
                    "forward-to-itself",
                    &path("address"),
                    format!("`{address}` is the gateway itself: the forward would loop"),
                )
                .related(rules.places.find("gateway.address"), "its address");
            rules.report(problem);
        }
        Target::Address { address, .. } if address.is_loopback() || address.is_unspecified() => {
            let problem = rules
                .error(
                    "address",
                    &path("address"),
                    format!("`{address}` is the gateway's own container"),
                )
                .write("an address of the network, or `service` or `nodePort`");
            rules.report(problem);
        }
        _ => {}
    }
}

/// Whether kind is told to give the nodes no IPv4 addresses that pods and Services use.
fn is_ipv6_alone(cluster: &Cluster) -> bool {
    let config = cluster.kind_config.as_ref();
    config.is_some_and(|config| config.open()["networking"]["ipFamily"] == "ipv6")
}

/// Whether the cluster's node ports are Kubernetes' own, as far as the file can tell.
fn default_node_ports(topology: &Topology) -> bool {
    topology.cluster.as_ref().is_some_and(|cluster| {
        let changed =
            |config: &Guarded| config.reveal().to_string().contains("service-node-port-range");
        !cluster.exists() && !cluster.kind_config.as_ref().is_some_and(changed)
    })
}

/// What is published, by protocol and address, sorted: looking a range up takes the logarithm of how many there are.
struct Published(BTreeMap<(Proto, IpAddr), Vec<PortRange>>);

impl Published {
    fn of(gateway: &Gateway) -> Self {
        let mut entries: BTreeMap<(Proto, IpAddr), Vec<PortRange>> = BTreeMap::new();
        for Listen { addr, ports, proto } in gateway.published() {
            entries.entry((proto, addr)).or_default().push(ports);
        }
        for ranges in entries.values_mut() {
            ranges.sort_unstable();
        }
        Self(entries)
    }

    fn holds(&self, proto: Proto, addr: IpAddr, ports: PortRange) -> bool {
        self.0.get(&(proto, addr)).is_some_and(|ranges| {
            let after = ranges.partition_point(|range| range.first() <= ports.first());
            ranges[..after].last().is_some_and(|range| range.covers(ports))
        })
    }

    /// The address of an entry that holds the range; this machine's own before any other.
    fn holder(&self, proto: Proto, ports: PortRange) -> Option<IpAddr> {
        let addresses = self.0.keys().filter(|(of, _)| *of == proto).map(|(_, addr)| *addr);
        addresses
            .filter(|addr| self.holds(proto, *addr, ports))
            .min_by_key(|addr| (!addr.is_loopback(), *addr))
    }

    /// Whether an entry holds the range on this address, or on every address of its family.
    fn carries(&self, listen: Listen) -> bool {
        let Listen { addr, ports, proto } = listen;
        let everywhere = if addr.is_ipv4() {
            IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED)
        } else {
            IpAddr::V6(std::net::Ipv6Addr::UNSPECIFIED)
        };
        self.holds(proto, addr, ports) || self.holds(proto, everywhere, ports)
    }
}

/// Every forward must lie in an entry of `publish` of its address and protocol.
fn in_published(gateway: &Gateway, rules: &mut Rules) {
    let published = Published::of(gateway);
    for (at, port) in gateway.ports.iter().enumerate() {
        let listen = port.listen();
        if published.carries(listen) {
            continue;
        }
        let other_proto = if listen.proto == Proto::Tcp { Proto::Udp } else { Proto::Tcp };
        let help = if published.holder(other_proto, listen.ports).is_some() {
            format!(
                "the range is published for {other_proto} only: add `{}/{}` to `publish`",
                listen.ports, listen.proto
            )
        } else if let Some(addr) = published.holder(listen.proto, listen.ports) {
            format!(
                "the range is published on {addr} only: listen there, or add `{listen}` to `publish`"
            )
        } else {
            format!("add `{}` to `publish`", port.listen.to_string().trim_end_matches("/tcp"))
        };
        let path = format!("gateway.ports.{at}.listen");
        let mut problem = rules
            .error("not-published", &path, format!("`{listen}` is outside every `publish` range"))
            .seen(listen.to_string())
            .help(help);
        if rules.places.has("gateway.publish") {
            problem = problem.related(rules.places.key("gateway.publish"), "published ranges");
        }
        rules.report(problem);
    }
}

/// Inside the gateway a packet no longer shows which address of this machine it came to.
fn told_apart(ports: &[Port], rules: &mut Rules) {
    let mut sorted: Vec<(usize, &Port)> = ports.iter().enumerate().collect();
    sorted.sort_by_key(|(_, port)| (port.listen.proto, port.listen.ports));
    let mut mixed = Vec::new();
    for protocol in sorted.chunk_by(|(_, a), (_, b)| a.listen.proto == b.listen.proto) {
        neighbours(
            protocol,
            |(_, port)| port.listen.ports,
            |(first, a), (second, b)| {
                if !same_address(a.listen().addr, b.listen().addr)
                    && lands(a, b.listen.ports.first()) != lands(b, b.listen.ports.first())
                {
                    mixed.push(if first < second { (*first, *second) } else { (*second, *first) });
                }
            },
        );
    }
    for (first, second) in mixed {
        let path = |at: usize| format!("gateway.ports.{at}.listen");
        let (here, before) = (ports[second].listen(), ports[first].listen());
        let problem = rules
            .error("same-port-elsewhere", &path(second), format!("`{here}` and `{before}` have different targets, and the gateway cannot tell them apart"))
            .write("the same target for both, or another port")
            .related(rules.places.find(&path(first)), "the other forward");
        rules.report(problem);
    }
}

/// Whether two forwards already overlap outright.
fn same_address(a: IpAddr, b: IpAddr) -> bool {
    a == b || (a.is_ipv4() == b.is_ipv4() && (a.is_unspecified() || b.is_unspecified()))
}

/// Where a forward takes one of the ports it listens on.
fn lands(port: &Port, listening: u16) -> (String, Option<i32>) {
    let shifted = |range: PortRange| {
        i32::from(range.first()) - i32::from(port.listen.ports.first()) + i32::from(listening)
    };
    match &port.to {
        Target::Service { service, port: TargetPort::Numbers(range) } => {
            (service.to_string(), Some(shifted(*range)))
        }
        Target::Service { service, port: TargetPort::Name(name) } => {
            (format!("{service}:{name}"), None)
        }
        Target::NodePort(range) => (String::new(), Some(shifted(*range))),
        Target::Address { address, port: range } => (address.to_string(), Some(shifted(*range))),
    }
}
