//! Addresses and ports are kept apart: from what other topologies have claimed, before anything is
//! changed, and from what other containers hold.

use std::net::IpAddr;
use std::time::Duration;

use crate::backend::docker::{Container, Published, Snapshot};
use crate::engine::Failure;
use crate::plan::Id;
use crate::resources::base::claim::{self, Claim, Claims, Reservation};
use crate::resources::base::context::Context;
use crate::resources::base::docker::ownership::{self, Whose};
use crate::resources::{cluster, gateway, pool};
use crate::topology::{AddressRange, Gateway, Listen, Proto, Topology};

/// Two that write at the same moment both take their own back, wait, and look again.
const ATTEMPTS: u32 = 6;
const LONGEST_FIRST_WAIT: Duration = Duration::from_millis(150);

impl Context {
    /// Writes the claim that must be there before the first change, with the addresses it reserves.
    /// Whoever sees, after writing, that another has written too takes its own back: so two never
    /// keep the same address.
    pub async fn stake(&self, wanted: &Claim) -> Result<(), Failure> {
        let mut met = None;
        for attempt in 0..ATTEMPTS {
            pause(attempt).await?;
            let claims = self.refuse_met(&wanted.reserved).await?;
            claim::sweep(&self.docker, &self.name, &claims).await?;
            let before = self.claim().await;
            let generation = before.as_ref().map_or(0, |claim| claim.generation);
            let next = Claim { generation, ..wanted.clone() };
            if before.as_ref() != Some(&next) {
                self.write_claim(next).await?;
            }
            match self.refuse_met(&wanted.reserved).await {
                Ok(_) => return Ok(()),
                Err(failure) => met = Some(failure),
            }
            match before {
                Some(claim) => self.change_claim(|held| held.reserved = claim.reserved).await?,
                None => self.give_up_claim().await?,
            }
        }
        met.map_or(Ok(()), Err)
    }

    /// Chooses addresses away from all that is taken on the network, and reserves them.
    pub async fn reserve(
        &self,
        by: &Id,
        network: &str,
        choose: impl Fn(&[AddressRange]) -> Result<Vec<AddressRange>, Failure>,
    ) -> Result<Vec<AddressRange>, Failure> {
        let _one_at_a_time = self.held.choosing.lock().await;
        let mut met = None;
        for attempt in 0..ATTEMPTS {
            pause(attempt).await?;
            let held = self.claim().await.map(|claim| claim.reserved).unwrap_or_default();
            let (before, beside): (Vec<Reservation>, Vec<Reservation>) =
                held.into_iter().partition(|held| held.by == *by);
            let chosen = choose(&self.taken(network, beside).await?)?;
            let wanted: Vec<Reservation> =
                chosen.iter().map(|range| Reservation::new(network, *range, by)).collect();
            self.hold(by, wanted.clone()).await?;
            match self.refuse_met(&wanted).await {
                Ok(_) => return Ok(chosen),
                Err(failure) => met = Some(failure),
            }
            self.hold(by, before).await?;
        }
        Err(met.unwrap_or_else(|| Failure::new(format!("cannot reserve addresses for `{by}`"))))
    }

    /// From now on a resource has these addresses and no others; none, once it is gone.
    pub async fn hold(&self, by: &Id, wanted: Vec<Reservation>) -> Result<(), Failure> {
        if wanted.is_empty() && self.claim().await.is_none() {
            return Ok(());
        }
        self.change_claim(|claim| {
            claim.reserved.retain(|held| held.by != *by);
            claim.reserved.extend(wanted);
            claim.reserved.sort_unstable();
        })
        .await
    }

    /// Everything on a network that has an address already; `beside` is this topology's own.
    async fn taken(
        &self,
        network: &str,
        beside: Vec<Reservation>,
    ) -> Result<Vec<AddressRange>, Failure> {
        let snapshot = self.snapshot().await?;
        let claims = Claims::read(&snapshot);
        let others = claims.current.values().filter(|claim| claim.topology != self.name);
        let reserved = others
            .flat_map(|claim| &claim.reserved)
            .chain(&beside)
            .filter(|reserved| reserved.network == network)
            .filter_map(Reservation::range);
        let containers = snapshot.on_network(network).flat_map(|container| {
            container.addresses.get(network).into_iter().flat_map(|at| [at.v4, at.v6, at.fixed])
        });
        let there = snapshot.network(network);
        let own_parts = there.iter().flat_map(|network| &network.subnets);
        let handed_out = own_parts.clone().filter_map(|subnet| {
            let range = subnet.range.filter(|range| *range != subnet.net)?;
            AddressRange::new(range.network(), range.broadcast())
        });
        let gateways = own_parts.map(|subnet| subnet.gateway);
        let singles = containers.chain(gateways).flatten();
        Ok(reserved
            .chain(handed_out)
            .chain(singles.filter_map(|address| AddressRange::new(address, address)))
            .collect())
    }

    /// Refuses addresses that another topology has reserved.
    async fn refuse_met(&self, wanted: &[Reservation]) -> Result<Claims, Failure> {
        let claims = Claims::read(&self.snapshot().await?);
        let Some((wanted, other, theirs)) = claims.conflict(&self.name, wanted) else {
            return Ok(claims);
        };
        Err(Failure::new(format!(
            "`{}` would take {} on the network `{}`, and `{}` of the topology `{}` has {}",
            wanted.by,
            wanted.addresses(),
            wanted.network,
            theirs.by,
            other.topology,
            theirs.addresses()
        ))
        .hint(format!("choose other addresses; the other file is `{}`", other.file)))
    }
}

/// A while that is another for each of two.
async fn pause(attempt: u32) -> Result<(), Failure> {
    if attempt == 0 {
        return Ok(());
    }
    let mut drawn = [0];
    getrandom::fill(&mut drawn)
        .map_err(|error| Failure::because("the system gives no random numbers", &error))?;
    let longest = LONGEST_FIRST_WAIT * 2_u32.pow(attempt - 1);
    tokio::time::sleep(longest * u32::from(drawn[0]) / 255).await;
    Ok(())
}

/// The addresses that the file itself names, which no other topology on the network may have.
pub fn named(topology: &Topology) -> Vec<Reservation> {
    let network = topology.network_name();
    let gateway = topology.gateway.as_ref().and_then(|gateway| {
        let address = gateway.address?;
        let range = AddressRange::new(address, address)?;
        Some(Reservation::new(&network, range, &gateway::id(topology)))
    });
    let pools = topology.pools().iter().flat_map(|pool| {
        let by = pool::id(pool.name.as_str());
        pool.addresses.iter().map(move |range| (by.clone(), *range))
    });
    let pools = pools.map(|(by, range)| Reservation::new(&network, range, &by));
    gateway.into_iter().chain(pools).collect()
}

/// What containers of others hold of that which this topology is about to take.
pub fn held_by_others(
    topology: &Topology,
    wanted: &[Reservation],
    snapshot: &Snapshot,
) -> Vec<String> {
    let name = topology.name.as_str();
    let others: Vec<&Container> =
        snapshot.containers.iter().filter(|container| !is_own(container, name, snapshot)).collect();
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
        for (what, listen) in published(topology) {
            if let Some(port) = container.ports.iter().find(|port| meets(port, listen)) {
                held.push(format!(
                    "{what} would publish port {}, which the container `{}` publishes",
                    port.port, container.name
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
        || cluster::containers(snapshot, topology).any(|node| node.id == container.id)
}

/// Ports of the engine's machine, and what publishes them.
fn published(topology: &Topology) -> Vec<(&'static str, Listen)> {
    let gateway = topology.gateway.iter().flat_map(Gateway::publications);
    let mappings = topology.cluster.iter().flat_map(|cluster| {
        cluster.ports.iter().chain(cluster.groups.iter().flat_map(|group| &group.ports))
    });
    let nodes = mappings.map(|mapping| Listen {
        addr: mapping.listen_address,
        ports: mapping.host_port,
        proto: mapping.protocol,
    });
    gateway
        .map(|(listen, _)| ("the gateway", listen))
        .chain(nodes.map(|listen| ("the cluster", listen)))
        .collect()
}

fn meets(published: &Published, listen: Listen) -> bool {
    let everywhere = |address: Option<IpAddr>| address.is_none_or(|one| one.is_unspecified());
    let same_address = published.address == Some(listen.addr)
        || everywhere(published.address)
        || listen.addr.is_unspecified();
    let same_protocol = published.udp == (listen.proto == Proto::Udp);
    let ports = listen.ports.first()..=listen.ports.last();
    same_address && same_protocol && ports.contains(&published.port)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::docker::{Address, ContainerState, Labels};
    use crate::resources::base::marks;

    fn topology() -> Topology {
        serde_yaml::from_str(
            "{name: dev, gateway: {publish: [10000-10009, \"0.0.0.0:53/udp\"]}, cluster: {ports: [{hostPort: 80, containerPort: 80}]}}",
        )
        .expect("a topology")
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
            ..container(&[(cluster::CLUSTER_LABEL, cluster)], "172.22.255.201", vec![])
        }
    }

    fn port(address: &str, port: u16, udp: bool) -> Published {
        Published { address: address.parse().ok(), port, inside: port, udp }
    }

    fn held(container: Container) -> usize {
        let pool = Reservation::new(
            "net",
            "172.22.255.200-172.22.255.250".parse().expect("a range"),
            &Id::new("pool", "dev"),
        );
        let snapshot = Snapshot { containers: vec![container], ..Snapshot::default() };
        held_by_others(&topology(), &[pool], &snapshot).len()
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
