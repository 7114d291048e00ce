//! The server's address: stable, since volumes name it, and away from all others.

use std::net::IpAddr;

use crate::backend::docker::Snapshot;
use crate::plan::Id;
use crate::resources::base::claim::{Claim, Claims};
use crate::resources::base::docker::networks;
use crate::topology::{AddressRange, Subnet, Topology, carve, reserved};

/// What an address is chosen from.
pub struct AddressInputs<'a> {
    pub topology: &'a Topology,
    pub claim: Option<&'a Claim>,
    pub snapshot: &'a Snapshot,
    /// The server that it is for.
    pub id: &'a Id,
}

impl AddressInputs<'_> {
    /// The one that was reserved before, as long as nothing in the file takes it, or a new one.
    pub fn address(&self) -> Option<IpAddr> {
        let subnet = networks::subnet(self.topology, self.snapshot)?;
        let asked = self.asked_for(subnet);
        let free = |address: &IpAddr| {
            subnet.contains(*address) && !asked.iter().any(|range| range.contains(*address))
        };
        self.reserved().filter(free).or_else(|| self.choose(subnet, asked))
    }

    fn reserved(&self) -> Option<IpAddr> {
        let network = self.topology.network_name();
        let reserved = &self.claim?.reserved;
        let own = reserved.iter().find(|one| one.by == *self.id && one.network == *network);
        own.map(|reservation| reservation.first)
    }

    /// Below the top quarter, which is for pools that come later; there only if need be.
    fn choose(&self, subnet: Subnet, mut taken: Vec<AddressRange>) -> Option<IpAddr> {
        taken.extend(self.in_use());
        let mut sheltered = taken.clone();
        sheltered.extend(top_quarter(subnet));
        let highest = |taken: &[AddressRange]| Some(carve(subnet, taken, 1).ok()?[0].first());
        highest(&sheltered).or_else(|| highest(&taken))
    }

    /// What the file gives to others, or has Docker give to others.
    fn asked_for(&self, subnet: Subnet) -> Vec<AddressRange> {
        let network = &self.topology.network;
        let mut asked = reserved(self.topology);
        asked.extend(single(network.gateway_in(subnet)));
        asked.extend(network.ip_range.map(Subnet::range));
        asked
    }

    /// What the engine and other topologies have given away.
    fn in_use(&self) -> Vec<AddressRange> {
        let name = self.topology.network_name();
        let v4 = self.snapshot.network(&name).and_then(|network| network.v4());
        let mut taken: Vec<AddressRange> = Vec::new();
        taken.extend(v4.and_then(|v4| single(v4.gateway?)));
        taken.extend(v4.and_then(|v4| Some(Subnet::of(v4.range?).range())));
        let containers = self.snapshot.on_network(&name);
        let addresses = containers.filter_map(|one| one.addresses.get(&*name));
        taken.extend(addresses.filter_map(|address| single(address.v4.or(address.fixed)?)));
        let claims = Claims::read(self.snapshot).current;
        let others = claims.values().flat_map(|claim| &claim.reserved);
        let others = others.filter(|one| one.network == *name && one.by != *self.id);
        taken.extend(others.filter_map(|one| AddressRange::new(one.first, one.last)));
        taken
    }
}

fn single(address: IpAddr) -> Option<AddressRange> {
    AddressRange::new(address, address)
}

fn top_quarter(subnet: Subnet) -> Option<AddressRange> {
    let all = subnet.range();
    let first = all.nth(all.count() / 4 * 3)?;
    AddressRange::new(first, all.last())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::resources::base::claim::Reservation;
    use crate::resources::base::ids;

    fn address(topology: Value, claim: Option<&Claim>) -> Option<String> {
        let topology: Topology = serde_json::from_value(topology).expect("a topology");
        let id = ids::server("dev");
        let snapshot = Snapshot::default();
        let inputs = AddressInputs { topology: &topology, claim, snapshot: &snapshot, id: &id };
        inputs.address().map(|address| address.to_string())
    }

    fn claim(address: &str) -> Claim {
        let mut claim = Claim::new("dev", "/topo.yaml");
        let address = address.parse().expect("an address");
        claim.reserved.push(Reservation {
            network: "topo-dev".to_owned(),
            first: address,
            last: address,
            by: ids::server("dev"),
        });
        claim
    }

    #[test]
    fn it_is_away_from_pools_the_gateway_and_what_docker_hands_out() {
        let network = json!({ "subnet": "172.22.0.0/16", "ipRange": "172.22.128.0/18" });
        let plain = json!({ "name": "dev", "network": network });
        assert_eq!(address(plain, None).as_deref(), Some("172.22.127.254"));
        let small = json!({
            "name": "dev",
            "network": { "subnet": "172.22.5.0/24" },
            "gateway": { "address": "172.22.5.191" },
            "metallb": { "pools": [{ "name": "a", "addresses": ["172.22.5.150-172.22.5.190"] }] },
        });
        assert_eq!(address(small, None).as_deref(), Some("172.22.5.149"));
    }

    #[test]
    fn what_was_reserved_is_kept_until_the_file_gives_it_to_another() {
        let topology = |pool: &str| {
            json!({
                "name": "dev",
                "network": { "subnet": "172.22.0.0/16" },
                "metallb": { "pools": [{ "name": "a", "addresses": [pool] }] },
            })
        };
        let claim = claim("172.22.7.7");
        let kept = address(topology("172.22.255.0/28"), Some(&claim));
        assert_eq!(kept.as_deref(), Some("172.22.7.7"));
        let taken = address(topology("172.22.7.0/28"), Some(&claim));
        assert_ne!(taken.as_deref(), Some("172.22.7.7"));
    }

    #[test]
    fn an_unknown_subnet_has_no_address_yet() {
        assert_eq!(address(json!({ "name": "dev" }), None), None);
    }
}
