//! Which addresses a network that is about to be made has, and which of them Docker may hand out.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::overlap::overlap;
use super::{GATEWAY_MODE, fixed_addresses};
use crate::backend::docker::{Labels, NetworkRequest, SubnetRequest};
use crate::engine::{Failure, Turn};
use crate::plan::{Fields, Record};
use crate::resources::base::context::Context;
use crate::resources::base::marks;
use crate::topology::{AddressRange, GatewayMode, Subnet, Topology};

/// The addresses of a network that is about to be made.
pub struct Addresses {
    pub subnet: Ipv4Net,
    /// By the file or by the record; topo chooses no other then.
    pub was_asked_for: bool,
    range: Option<Ipv4Net>,
    gateway: IpAddr,
    subnet6: Option<Ipv6Net>,
}

impl Addresses {
    pub fn new(
        topology: &Topology,
        values: &Fields<Value>,
        taken: &[IpNet],
        reserved: Vec<AddressRange>,
    ) -> Result<Self, Failure> {
        let kept = |name: &str| values.get(name).and_then(Value::as_str);
        let asked = kept("subnet").and_then(|text| text.parse().ok());
        let subnet = asked.or_else(|| free_subnet(taken)).ok_or_else(no_subnet)?;
        let fixed: Vec<AddressRange> =
            fixed_addresses(topology).into_iter().map(|(_, range)| range).chain(reserved).collect();
        let range = match topology.network.ip_range {
            Some(_) => kept("ipRange").and_then(|text| text.parse().ok()),
            // Recorded for another subnet, or before the file named addresses in it.
            None => kept("ipRange")
                .and_then(|text| text.parse().ok())
                .filter(|range| fits(*range, subnet, &fixed))
                .or_else(|| own_range(subnet, &fixed)),
        };
        let wants_v6 = topology.network.has_ipv6();
        Ok(Self {
            subnet,
            was_asked_for: asked.is_some(),
            range,
            gateway: topology.network.gateway_in(Subnet::of(subnet.into())),
            subnet6: kept("subnet6")
                .and_then(|text| text.parse().ok())
                .or_else(|| wants_v6.then(|| free_subnet6(topology.name.as_str(), taken))),
        })
    }

    pub fn request(&self, cx: &Context, turn: &Turn) -> NetworkRequest {
        let v4 = SubnetRequest {
            net: self.subnet.into(),
            range: self.range.map(IpNet::from),
            // Told nothing, the engine takes the first address of the range.
            gateway: Some(self.gateway),
            // It would hand out the range's own first address, which ends in .0.
            withheld: self
                .range
                .map(|range| range.network())
                .filter(|first| *first != self.subnet.network())
                .map(IpAddr::from),
        };
        let v6 = self.subnet6.map(|net| SubnetRequest {
            net: net.into(),
            range: None,
            gateway: None,
            withheld: None,
        });
        let mode = turn.text("gatewayMode").filter(|mode| *mode != GatewayMode::Nat.as_str());
        NetworkRequest {
            name: turn.id().name().to_owned(),
            subnets: std::iter::once(v4).chain(v6).collect(),
            labels: self.labels(cx, turn),
            options: mode
                .map(|mode| (GATEWAY_MODE.to_owned(), mode.to_owned()))
                .into_iter()
                .collect(),
        }
    }

    fn labels(&self, cx: &Context, turn: &Turn) -> Labels {
        let Some(resource) = &turn.resource else { return Labels::new() };
        let mut values = turn.values.clone();
        values.set("subnet", json!(self.subnet));
        values.set("ipRange", self.range.map_or(Value::Null, |range| json!(range)));
        if let Some(subnet6) = self.subnet6 {
            values.set("subnet6", json!(subnet6));
        }
        marks::labels(&cx.name, turn.id(), &Record::of(resource, &values))
    }
}

pub fn no_subnet() -> Failure {
    Failure::new(
        "every subnet that topo chooses from (172.20.0.0 to 172.31.255.255 and 192.168.0.0/16) is already in use by a network of the engine or a route of this machine",
    )
    .hint("write a subnet that you know to be free in `network.subnet`, for example 10.201.0.0/16")
}

/// A private subnet that meets no other, out of those that Docker itself chooses from.
pub fn free_subnet(taken: &[IpNet]) -> Option<Ipv4Net> {
    let large = (20..=31).map(|second| Ipv4Net::new_assert(Ipv4Addr::new(172, second, 0, 0), 16));
    let small = (0..16).map(|part| Ipv4Net::new_assert(Ipv4Addr::new(192, 168, part * 16, 0), 20));
    large.chain(small).find(|net| !taken.iter().any(|other| overlap(other, &IpNet::V4(*net))))
}

/// A unique local subnet, drawn from the topology's name so that it stays the same.
fn free_subnet6(topology: &str, taken: &[IpNet]) -> Ipv6Net {
    let drawn = |attempt: u16| {
        let digest = Sha256::digest(format!("{topology}.{attempt}"));
        let mut octets = [0; 16];
        octets[0] = 0xfd;
        octets[1..8].copy_from_slice(&digest[..7]);
        Ipv6Net::new_assert(Ipv6Addr::from(octets), 64)
    };
    (0..u16::MAX)
        .map(drawn)
        .find(|net| !taken.iter().any(|other| overlap(other, &IpNet::V6(*net))))
        .unwrap_or_else(|| drawn(u16::MAX))
}

/// The part of a subnet that Docker may hand out by itself: the largest that holds none of the
/// addresses the file names and leaves the top quarter to pools that come later.
fn own_range(subnet: Ipv4Net, fixed: &[AddressRange]) -> Option<Ipv4Net> {
    /// Nodes, gateway and servers of a small topology.
    const SMALLEST: u8 = 28;
    let parts = |length| subnet.subnets(length).into_iter().flatten();
    let top_quarter = parts(subnet.prefix_len() + 2).last()?;
    (subnet.prefix_len() + 1..=SMALLEST).find_map(|length| {
        parts(length).find(|part| {
            !overlap(&IpNet::V4(*part), &IpNet::V4(top_quarter)) && fits(*part, subnet, fixed)
        })
    })
}

fn fits(range: Ipv4Net, subnet: Ipv4Net, fixed: &[AddressRange]) -> bool {
    let all = Subnet::of(IpNet::V4(range)).range();
    subnet.contains(&range) && !fixed.iter().any(|named| named.meets(all))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn net(text: &str) -> IpNet {
        text.parse().expect("a network")
    }

    fn range(text: &str) -> AddressRange {
        text.parse().expect("a range")
    }

    #[test]
    fn the_first_free_subnet_is_away_from_networks_and_routes() {
        let chosen = |taken: &[&str]| {
            let taken: Vec<IpNet> = taken.iter().map(|text| net(text)).collect();
            free_subnet(&taken).map(|net| net.to_string())
        };
        assert_eq!(chosen(&[]).as_deref(), Some("172.20.0.0/16"));
        assert_eq!(chosen(&["172.20.0.0/24", "172.21.7.7/32"]).as_deref(), Some("172.22.0.0/16"));
        assert_eq!(chosen(&["172.16.0.0/12"]).as_deref(), Some("192.168.0.0/20"));
        assert_eq!(chosen(&["172.16.0.0/12", "192.168.0.0/16"]), None);
    }

    #[test]
    fn docker_keeps_away_from_named_addresses_and_the_top() {
        let own = |subnet: &str, fixed: &[&str]| {
            let fixed: Vec<AddressRange> = fixed.iter().map(|text| range(text)).collect();
            own_range(subnet.parse().expect("a subnet"), &fixed).map(|net| net.to_string())
        };
        assert_eq!(own("172.22.0.0/16", &[]).as_deref(), Some("172.22.0.0/17"));
        assert_eq!(
            own("172.22.0.0/16", &["172.22.0.12-172.22.0.12", "172.22.255.200-172.22.255.250"])
                .as_deref(),
            Some("172.22.64.0/18")
        );
        assert_eq!(own("10.0.0.0/24", &["10.0.0.0/25"]).as_deref(), Some("10.0.0.128/26"));
        assert_eq!(own("10.0.0.0/29", &[]), None);
    }

    #[test]
    fn a_recorded_range_is_kept_only_while_it_fits() {
        let range_in = |subnet: &str, kept: &str| {
            let topology = serde_json::from_value(json!({ "name": "dev" })).expect("a topology");
            let values = Fields::new().with("subnet", json!(subnet)).with("ipRange", json!(kept));
            let addresses = Addresses::new(&topology, &values, &[], Vec::new()).expect("addresses");
            addresses.range.map(|range| range.to_string())
        };
        let kept = "172.20.64.0/18";
        assert_eq!(range_in("172.20.0.0/16", kept).as_deref(), Some(kept));
        assert_eq!(range_in("10.9.0.0/24", kept).as_deref(), Some("10.9.0.0/25"));
    }

    #[test]
    fn a_v6_subnet_is_unique_local_and_stays_the_same() {
        let first = free_subnet6("dev", &[]);
        assert_eq!(first, free_subnet6("dev", &[]));
        assert!(net("fd00::/8").contains(&IpNet::V6(first)));
        assert_ne!(first, free_subnet6("dev", &[first.into()]));
    }
}
