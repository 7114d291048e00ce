//! The network's own numbers.

use std::net::IpAddr;

use super::super::{Subnet, Topology};
use super::Rules;

pub(super) fn check(topology: &Topology, rules: &mut Rules) {
    let network = &topology.network;
    if let Some(name @ ("bridge" | "host" | "none")) =
        network.name.as_ref().map(super::super::DockerName::as_str)
    {
        let problem = rules
            .error(
                "reserved-name",
                "network.name",
                format!("Docker's own network `{name}` cannot be used"),
            )
            .help("remove `name` for a network of its own, or write `kind` to share kind's");
        rules.report(problem);
    }
    families(&network.subnets, rules);
    for (path, subnet) in written(topology) {
        usable(&path, subnet, rules);
    }
    inside(topology, rules);
}

/// The subnets that are written, with their paths.
pub(super) fn written(topology: &Topology) -> Vec<(String, Subnet)> {
    match topology.network.subnet {
        Some(subnet) => vec![("network.subnet".to_owned(), subnet)],
        None => topology
            .network
            .subnets
            .iter()
            .enumerate()
            .map(|(at, subnet)| (format!("network.subnets.{at}"), *subnet))
            .collect(),
    }
}

fn families(subnets: &[Subnet], rules: &mut Rules) {
    for (at, subnet) in subnets.iter().enumerate() {
        if let Some(before) =
            subnets[..at].iter().position(|other| other.is_ipv4() == subnet.is_ipv4())
        {
            let family = if subnet.is_ipv4() { "IPv4" } else { "IPv6" };
            let problem = rules
                .error(
                    "two-subnets",
                    &format!("network.subnets.{at}"),
                    format!("a network can have only one {family} subnet"),
                )
                .seen(subnet.to_string())
                .related(rules.places.find(&format!("network.subnets.{before}")), "the first one");
            rules.report(problem);
            return;
        }
    }
}

/// A gateway, a node and a pool have to fit, and the engine's own addresses are not for use.
fn usable(path: &str, subnet: Subnet, rules: &mut Rules) {
    const SMALLEST_IPV4: u8 = 28;
    const SMALLEST_IPV6: u8 = 124;
    let smallest = if subnet.is_ipv4() { SMALLEST_IPV4 } else { SMALLEST_IPV6 };
    let first = subnet.net().addr();
    if first.is_loopback() || first.is_multicast() || first.is_unspecified() {
        let problem = rules
            .error("subnet", path, format!("`{subnet}` cannot be used for a network"))
            .write("a private subnet such as `172.22.0.0/16`");
        rules.report(problem);
    } else if subnet.net().prefix_len() > smallest {
        let problem = rules
            .error(
                "subnet",
                path,
                format!("`{subnet}` is too small for nodes, a gateway and a pool"),
            )
            .write(format!("a prefix length of {smallest} or less"));
        rules.report(problem);
    }
}

fn inside(topology: &Topology, rules: &mut Rules) {
    let network = &topology.network;
    let subnets = network.subnets();
    let known = !subnets.is_empty();
    let names = subnets.iter().map(ToString::to_string).collect::<Vec<_>>().join(" and ");
    let unwritten = !rules.places.has("network.subnet") && !rules.places.has("network.subnets");
    if let Some(range) = network.ip_range {
        if unwritten {
            let problem =
                rules.error("no-subnet", "network.ipRange", "`ipRange` requires `subnet`");
            rules.report(problem);
        } else if known && !subnets.iter().any(|subnet| subnet.range().covers(range.range())) {
            let problem = rules
                .error("outside-subnet", "network.ipRange", format!("`{range}` is outside {names}"))
                .seen(range.to_string());
            rules.report(problem);
        }
    }
    if let Some(gateway) = network.gateway {
        if unwritten {
            let problem =
                rules.error("no-subnet", "network.gateway", "`gateway` requires `subnet`");
            rules.report(problem);
        } else if known {
            host_address("network.gateway", gateway, subnets, rules);
        }
    }
}

/// An address must lie in a subnet, and not be the network's own or its broadcast address.
pub(super) fn host_address(path: &str, addr: IpAddr, subnets: &[Subnet], rules: &mut Rules) {
    let problem = match subnets.iter().find(|subnet| subnet.contains(addr)) {
        None => {
            let names = subnets.iter().map(ToString::to_string).collect::<Vec<_>>().join(" and ");
            rules.error("outside-subnet", path, format!("`{addr}` is outside {names}"))
        }
        Some(subnet) if addr == subnet.net().network() => {
            rules.error("address", path, format!("`{addr}` is the address of the network itself"))
        }
        Some(subnet) if addr.is_ipv4() && addr == subnet.net().broadcast() => {
            rules.error("address", path, format!("`{addr}` is the network's broadcast address"))
        }
        Some(_) => return,
    };
    rules.report(problem.seen(addr.to_string()));
}
