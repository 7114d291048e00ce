//! What others hold of that which a topology would take: addresses and ports of containers.

use crate::backend::docker::{Container, Snapshot};
use crate::plan::Resource;
use crate::resources::base::claim::Reservation;
use crate::resources::base::docker::kind_nodes;
use crate::resources::base::docker::ownership::{self, Whose};
use crate::resources::base::docker::published::publications;
use crate::topology::{AddressRange, Listen, Topology};

/// The addresses that topo has chosen, as far as they are known before anything is made.
pub fn settled(topology: &Topology, desired: &[Resource]) -> Vec<Reservation> {
    let network = topology.network_name();
    let stated = |resource: &Resource| {
        let address = resource.stated().get("address")?.as_str()?.parse().ok()?;
        let range = AddressRange::new(address, address)?;
        Some(Reservation::new(&network, range, &resource.id))
    };
    desired.iter().filter_map(stated).collect()
}

/// What containers of others hold of that which this topology is about to take.
pub fn held_by_others(
    topology: &str,
    wanted: &[Reservation],
    ports: &[(&str, Listen)],
    snapshot: &Snapshot,
) -> Vec<String> {
    let others: Vec<&Container> = snapshot
        .containers
        .iter()
        .filter(|container| !is_own(container, topology, snapshot))
        .collect();
    let mut held = Vec::new();
    for container in &others {
        for reservation in wanted {
            let at = container.addresses.get(&reservation.network);
            let address = at.and_then(|at| at.v4.or(at.fixed).or(at.v6));
            if let Some(address) = address.filter(|address| reservation.holds(*address)) {
                held.push(format!(
                    "`{}` would take {address} on the network `{}`, which the container `{}` has",
                    reservation.by, reservation.network, container.name
                ));
            }
        }
        for (what, listen) in ports {
            let published = publications(container);
            if let Some(port) = published.iter().find_map(|it| meeting(it.listen, *listen)) {
                held.push(format!(
                    "{what} would publish port {port}, which the container `{}` publishes",
                    container.name
                ));
            }
        }
    }
    held.sort_unstable();
    held.dedup();
    held
}

fn is_own(container: &Container, topology: &str, snapshot: &Snapshot) -> bool {
    ownership::of_container(topology, container) == Whose::Ours
        || kind_nodes::containers(snapshot, topology).any(|node| node.id == container.id)
}

/// The first port that both take.
fn meeting(published: Listen, listen: Listen) -> Option<u16> {
    let same_address = published.addr == listen.addr
        || published.addr.is_unspecified()
        || listen.addr.is_unspecified();
    let (ports, wanted) = (published.ports, listen.ports);
    let meet = same_address && published.proto == listen.proto && ports.meets(wanted);
    meet.then(|| ports.first().max(wanted.first()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::docker::{Address, ContainerState, Labels, Published};
    use crate::resources::base::docker::ownership::CLUSTER_LABEL;
    use crate::resources::base::{ids, marks};

    fn ports() -> Vec<(&'static str, Listen)> {
        let at = |listen: &str| ("the gateway", listen.parse().expect("a place to listen"));
        ["10000-10009", "0.0.0.0:53/udp", "0.0.0.0:80"].map(at).to_vec()
    }

    fn container(labels: &[(&str, &str)], address: &str, ports: Vec<Published>) -> Container {
        let address =
            Address { v4: Some(address.parse().expect("an address")), ..Address::default() };
        Container {
            id: "1".to_owned(),
            name: "other".to_owned(),
            image: String::new(),
            image_id: String::new(),
            state: ContainerState::Running,
            status: String::new(),
            labels: labels
                .iter()
                .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
                .collect::<Labels>(),
            addresses: [("net".to_owned(), address)].into(),
            ports,
            mounts: Vec::new(),
        }
    }

    fn node(cluster: &str, mounts: &[&str]) -> Container {
        Container {
            mounts: mounts.iter().map(|place| (*place).to_owned()).collect(),
            ..container(&[(CLUSTER_LABEL, cluster)], "172.22.255.201", vec![])
        }
    }

    fn port(address: &str, port: u16, udp: bool) -> Published {
        Published { address: address.parse().ok(), port, inside: port, udp }
    }

    fn held(container: Container) -> usize {
        let pool = Reservation::new(
            "net",
            "172.22.255.200-172.22.255.250".parse().expect("a range"),
            &ids::pool("dev"),
        );
        let snapshot = Snapshot { containers: vec![container], ..Snapshot::default() };
        held_by_others("dev", &[pool], &ports(), &snapshot).len()
    }

    #[test]
    fn a_container_in_a_pool_is_in_the_way_unless_it_is_ones_own() {
        assert_eq!(held(container(&[], "172.22.255.201", vec![])), 1);
        assert_eq!(held(container(&[], "172.22.255.251", vec![])), 0);
        assert_eq!(held(container(&[(marks::TOPOLOGY, "dev")], "172.22.255.201", vec![])), 0);
        assert_eq!(held(container(&[(marks::TOPOLOGY, "other")], "172.22.255.201", vec![])), 1);
    }

    #[test]
    fn a_node_is_ones_own_by_its_mark_and_not_by_the_name_of_its_cluster() {
        assert_eq!(held(node("dev", &["/etc/topo.dev/dev"])), 0);
        assert_eq!(held(node("dev", &["/var"])), 1);
        assert_eq!(held(node("dev", &["/etc/topo.dev/dev2"])), 1);
    }

    #[test]
    fn ports_meet_by_address_and_protocol() {
        let publishes = |one| held(container(&[], "10.0.0.1", vec![one]));
        assert_eq!(publishes(port("127.0.0.1", 10005, false)), 1);
        assert_eq!(publishes(port("0.0.0.0", 10005, false)), 1);
        assert_eq!(publishes(port("192.0.2.1", 10005, false)), 0);
        assert_eq!(publishes(port("127.0.0.1", 10005, true)), 0);
        assert_eq!(publishes(port("192.0.2.1", 53, true)), 1);
        assert_eq!(publishes(port("127.0.0.1", 80, false)), 1);
    }
}
