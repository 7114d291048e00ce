//! What of this machine and its engine meets the subnet of a network, told before it is made.

use ipnet::IpNet;

use super::{addresses, taken_nets};
use crate::backend::docker::Snapshot;
use crate::backend::host::{self, Route};
use crate::engine::Failure;
use crate::plan::{Action, Plan};
use crate::resources::base::context::Context;
use crate::resources::base::ids;
use crate::topology::Topology;

pub fn overlap(one: &IpNet, other: &IpNet) -> bool {
    one.contains(other) || other.contains(one)
}

/// What a person should know of the subnet of a network that the plan makes. An error is what the
/// plan would end with.
pub async fn foresee(
    cx: &Context,
    plan: &Plan,
    snapshot: &Snapshot,
) -> Result<Vec<String>, Failure> {
    let Some(topology) = cx.file.as_deref() else { return Ok(Vec::new()) };
    let network = ids::network(topology);
    let is_made = plan
        .items
        .iter()
        .any(|item| item.id == network && matches!(item.action, Action::Create | Action::Replace));
    // Routes of another machine's engine are that machine's.
    if !is_made || cx.machine().await.is_some() {
        return Ok(Vec::new());
    }
    let routes = host::routes().await;
    match topology.network.ipv4_subnet() {
        Some(subnet) => {
            let subnet = subnet.net();
            let foreign = foreign(&subnet, &routes, topology, snapshot);
            Ok(foreign.into_iter().map(|route| warning(&subnet, route)).collect())
        }
        None if addresses::free_subnet(&taken_nets(snapshot, &routes)).is_none() => {
            Err(addresses::no_subnet())
        }
        None => Ok(Vec::new()),
    }
}

/// Routes that lead elsewhere, one an interface: those to the engine's own networks are the way to
/// them, and what a connector of this topology has for the subnet is as it should be.
pub fn foreign<'a>(
    subnet: &IpNet,
    routes: &'a [Route],
    topology: &Topology,
    snapshot: &Snapshot,
) -> Vec<&'a Route> {
    let own: Vec<IpNet> = taken_nets(snapshot, &[]);
    let is_own = |net: &IpNet| own.contains(net) || (topology.connector.is_some() && net == subnet);
    let mut foreign: Vec<&Route> = Vec::new();
    for route in routes.iter().filter(|route| overlap(&route.net, subnet) && !is_own(&route.net)) {
        if foreign.iter().all(|told| told.interface != route.interface) {
            foreign.push(route);
        }
    }
    foreign
}

fn warning(subnet: &IpNet, route: &Route) -> String {
    let Route { net, interface } = route;
    let lost = if net.prefix_len() < subnet.prefix_len() {
        format!("addresses of {subnet} behind `{interface}` will be unreachable from this machine")
    } else {
        format!("the network's addresses in {net} will be unreachable from this machine")
    };
    format!("`network.subnet` {subnet} overlaps the route {net} of `{interface}`: {lost}")
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::backend::docker::{Network, Subnet};

    fn topology(extra: Value) -> Topology {
        let mut file = json!({ "apiVersion": "topo/v1alpha1", "kind": "Topology", "name": "dev" });
        file.as_object_mut().expect("a map").extend(extra.as_object().expect("a map").clone());
        serde_json::from_value(file).expect("a topology")
    }

    fn net(text: &str) -> IpNet {
        text.parse().expect("a network")
    }

    fn told(routes: &[(&str, &str)], file: Value) -> Vec<String> {
        let subnet = Subnet { net: net("172.19.0.0/16"), range: None, gateway: None };
        let network = Network { subnets: vec![subnet], ..Network::default() };
        let snapshot = Snapshot { networks: vec![network], ..Snapshot::default() };
        let routes: Vec<Route> = routes
            .iter()
            .map(|(to, interface)| Route { net: net(to), interface: (*interface).to_owned() })
            .collect();
        let wanted = net("172.22.0.0/16");
        let foreign = foreign(&wanted, &routes, &topology(file), &snapshot);
        foreign.into_iter().map(|route| warning(&wanted, route)).collect()
    }

    #[test]
    fn a_route_that_meets_the_subnet_is_told_with_its_interface() {
        let routes = [("172.16.0.0/12", "tun0"), ("172.22.7.0/24", "wg0"), ("10.0.0.0/8", "tun1")];
        assert_eq!(
            told(&routes, json!({})),
            [
                "`network.subnet` 172.22.0.0/16 overlaps the route 172.16.0.0/12 of `tun0`: addresses of 172.22.0.0/16 behind `tun0` will be unreachable from this machine",
                "`network.subnet` 172.22.0.0/16 overlaps the route 172.22.7.0/24 of `wg0`: the network's addresses in 172.22.7.0/24 will be unreachable from this machine",
            ]
        );
    }

    #[test]
    fn many_routes_of_an_interface_are_told_once() {
        assert_eq!(told(&[("172.22.7.0/24", "wg0"), ("172.22.8.0/24", "wg0")], json!({})).len(), 1);
    }

    #[test]
    fn the_way_to_an_engines_network_and_a_connectors_route_are_as_they_should_be() {
        assert_eq!(told(&[("172.19.0.0/16", "br-1")], json!({})).len(), 0);
        let routed = [("172.22.0.0/16", "utun4")];
        assert_eq!(told(&routed, json!({})).len(), 1);
        assert_eq!(told(&routed, json!({ "connector": {} })).len(), 0);
    }
}
