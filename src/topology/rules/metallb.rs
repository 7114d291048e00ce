//! Pools: inside the network, and away from everything else that has an address in it.

use std::net::IpAddr;

use super::super::address::{from_bits, to_bits};
use super::super::{AddressRange, Cluster, Pool, Subnet, Topology};
use super::Rules;

pub(super) fn check(topology: &Topology, rules: &mut Rules) {
    let pools = topology.pools();
    rules.unique(
        "duplicate",
        "the pool",
        pools.iter().enumerate().map(|(at, pool)| (format!("metallb.pools.{at}.name"), &pool.name)),
    );
    let ranges = ranges(pools);
    apart(&ranges, rules);
    let subnets = topology.network.subnets();
    for (path, range) in &ranges {
        within(path, *range, subnets, rules);
    }
    for (what, at, reserved) in reserved_paths(topology) {
        clear_of(&ranges, &what, &at, reserved, rules);
    }
    subnet_known(topology, rules);
    sizes_have_a_network(topology, rules);
    sizes_fit(topology, rules);
}

fn ranges(pools: &[Pool]) -> Vec<(String, AddressRange)> {
    pools
        .iter()
        .enumerate()
        .flat_map(|(at, pool)| {
            pool.addresses
                .iter()
                .enumerate()
                .map(move |(nth, range)| (format!("metallb.pools.{at}.addresses.{nth}"), *range))
        })
        .collect()
}

/// No two ranges may meet: sorted, only neighbours can.
fn apart(ranges: &[(String, AddressRange)], rules: &mut Rules) {
    let mut sorted: Vec<&(String, AddressRange)> = ranges.iter().collect();
    sorted.sort_by_key(|(_, range)| (range.first(), range.last()));
    let mut widest: Option<&(String, AddressRange)> = None;
    for here in sorted {
        if let Some(before) = widest.filter(|before| before.1.meets(here.1)) {
            // Said where the reader comes to it second.
            let (first, second) =
                if path_order(before, here, rules) { (before, here) } else { (here, before) };
            let problem = rules
                .error("pools-overlap", &second.0, format!("`{}` overlaps `{}`", second.1, first.1))
                .help("MetalLB rejects overlapping pools: write each address in one of them")
                .related(rules.places.find(&first.0), "the other range");
            rules.report(problem);
        }
        if widest.is_none_or(|before| !before.1.meets(here.1) || before.1.last() < here.1.last()) {
            widest = Some(here);
        }
    }
}

fn path_order(a: &(String, AddressRange), b: &(String, AddressRange), rules: &Rules) -> bool {
    rules.places.find(&a.0).span.start <= rules.places.find(&b.0).span.start
}

fn within(path: &str, range: AddressRange, subnets: &[Subnet], rules: &mut Rules) {
    let same_family: Vec<&Subnet> =
        subnets.iter().filter(|subnet| subnet.is_ipv4() == range.is_ipv4()).collect();
    if subnets.is_empty() || same_family.iter().any(|subnet| subnet.range().covers(range)) {
        return;
    }
    let names = subnets.iter().map(ToString::to_string).collect::<Vec<_>>().join(" and ");
    let problem = rules
        .error(
            "outside-subnet",
            path,
            format!("`{range}` is outside {names}: it would be unreachable from the network"),
        )
        .seen(range.to_string());
    let suggestion = same_family
        .first()
        .and_then(|subnet| carve(**subnet, &[], 50).ok())
        .and_then(|carved| carved.first().copied());
    rules.report(match suggestion {
        Some(free) => problem.write(format!("addresses of the network, such as `{free}`")),
        None => problem,
    });
}

/// Addresses of the network that no pool may hold, with what they are.
fn reserved_paths(topology: &Topology) -> Vec<(String, String, AddressRange)> {
    let network = &topology.network;
    let one = |addr: IpAddr| AddressRange::new(addr, addr);
    let hosts = super::network::written(topology).into_iter().filter_map(|(path, subnet)| {
        let at = if network.gateway.is_some() { "network.gateway".to_owned() } else { path };
        Some(("the network's own gateway".to_owned(), at, one(network.gateway_in(subnet))?))
    });
    let own_range = network.ip_range.map(|range| {
        (
            "the addresses that Docker assigns".to_owned(),
            "network.ipRange".to_owned(),
            range.range(),
        )
    });
    let gateway = topology.gateway.as_ref().and_then(|gateway| gateway.address).and_then(one);
    hosts
        .chain(own_range)
        .chain(gateway.map(|range| {
            ("the gateway's fixed address".to_owned(), "gateway.address".to_owned(), range)
        }))
        .collect()
}

/// What a pool that is carved must leave alone: everything the file gives an address to.
pub fn reserved(topology: &Topology) -> Vec<AddressRange> {
    let fixed = reserved_paths(topology).into_iter().map(|(_, _, range)| range);
    fixed.chain(topology.pools().iter().flat_map(|pool| pool.addresses.iter().copied())).collect()
}

fn clear_of(
    ranges: &[(String, AddressRange)],
    what: &str,
    at: &str,
    reserved: AddressRange,
    rules: &mut Rules,
) {
    for (path, range) in ranges.iter().filter(|(_, range)| range.meets(reserved)) {
        let shown =
            if reserved.count() == 1 { reserved.first().to_string() } else { reserved.to_string() };
        let problem = rules
            .error("pool-taken", path, format!("`{range}` overlaps {shown}, {what}"))
            .seen(range.to_string())
            .related(rules.places.find(at), "defined here");
        rules.report(problem);
    }
}

/// Every `size` must find room beside all that has an address already.
fn sizes_fit(topology: &Topology, rules: &mut Rules) {
    let Some(subnet) = topology.network.ipv4_subnet().or_else(|| topology.network.ipv6_subnet())
    else {
        return;
    };
    let sizes = || topology.pools().iter().filter_map(|pool| pool.size);
    let all = sizes().fold(0, u32::saturating_add);
    // Each pool takes the highest free addresses, so together they take what one of all their sizes would.
    let Err(NoRoom { mut free }) = carve(subnet, &reserved(topology), all) else {
        return;
    };
    for (at, pool) in topology.pools().iter().enumerate() {
        let Some(size) = pool.size else { continue };
        if size <= free {
            free -= size;
            continue;
        }
        let problem = rules
            .error(
                "no-room",
                &format!("metallb.pools.{at}.size"),
                format!("the pool needs {size} addresses, and {subnet} has {free} left"),
            )
            .seen(size.to_string());
        rules.report(problem);
    }
}

/// Addresses can be named only where it is known which there will be: without a subnet topo chooses one.
fn subnet_known(topology: &Topology, rules: &mut Rules) {
    let network = &topology.network;
    let elsewhere = topology.cluster.as_ref().is_some_and(Cluster::exists);
    if network.name.is_some()
        || elsewhere
        || rules.places.has("network.subnet")
        || rules.places.has("network.subnets")
    {
        return;
    }
    for (at, pool) in topology.pools().iter().enumerate() {
        if pool.addresses.is_empty() {
            continue;
        }
        let problem = rules
            .error(
                "unknown-subnet",
                &format!("metallb.pools.{at}.addresses"),
                "`addresses` requires a `subnet`: without one topo chooses the network's",
            )
            .write("`network: { subnet: … }` with a subnet that contains them, or `size` instead of `addresses`");
        rules.report(problem);
    }
}

/// A size is carved out of a network, and that of a cluster which exists is not topo's own.
fn sizes_have_a_network(topology: &Topology, rules: &mut Rules) {
    let exists = topology.cluster.as_ref().is_some_and(Cluster::exists);
    if !exists || topology.network.name.is_some() {
        return;
    }
    for (at, pool) in topology.pools().iter().enumerate() {
        if pool.size.is_none() {
            continue;
        }
        let problem = rules
            .misplaced(
                "unknown-subnet",
                &format!("metallb.pools.{at}.size"),
                "`size` requires a network, and that of an existing cluster is unknown",
            )
            .write("free `addresses` of the nodes' network, or `network: { name: … }` if it is a network of this engine, such as `kind`")
            .related(rules.places.find("cluster.context"), "the existing cluster");
        rules.report(problem);
    }
}

/// The network is too full for a pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("only {free} addresses are free")]
pub struct NoRoom {
    pub free: u32,
}

/// Takes `size` addresses from the top of `subnet`, away from `taken`, the network's own addresses, and those that end in .0 and .255.
///
/// # Errors
///
/// If fewer are free.
pub fn carve(
    subnet: Subnet,
    taken: &[AddressRange],
    size: u32,
) -> Result<Vec<AddressRange>, NoRoom> {
    let ipv4 = subnet.is_ipv4();
    let (bottom, top) =
        (to_bits(subnet.net().network()) + 1, to_bits(subnet.net().broadcast()).saturating_sub(1));
    let mut busy: Vec<(u128, u128)> = taken
        .iter()
        .filter(|range| range.is_ipv4() == ipv4)
        .map(|range| (to_bits(range.first()), to_bits(range.last())))
        .collect();
    busy.sort_unstable_by_key(|(_, last)| std::cmp::Reverse(*last));
    let mut busy = busy.into_iter().peekable();
    let (mut carved, mut missing, mut next) = (Vec::new(), u128::from(size), top);
    while missing > 0 && next >= bottom {
        while busy.next_if(|(first, _)| *first > next).is_some() {}
        if let Some((first, last)) = busy.peek().copied()
            && last >= next
        {
            // Below what is taken; where several overlap, the loop comes here again.
            next = first.saturating_sub(1);
            busy.next();
            continue;
        }
        // A run goes down to the next taken address, the end of the subnet, or, in IPv4, to .1.
        let floor = busy.peek().map_or(bottom, |(_, last)| (last + 1).max(bottom));
        let (high, low) =
            if ipv4 { (round_down(next), (next & !0xFF).max(floor)) } else { (next, floor) };
        let low = if ipv4 && low.is_multiple_of(0x100) { low + 1 } else { low };
        if high >= low {
            let length = (high - low + 1).min(missing);
            carved.extend(AddressRange::new(
                from_bits(high - length + 1, ipv4),
                from_bits(high, ipv4),
            ));
            missing -= length;
        }
        next =
            if ipv4 { floor.max(next & !0xFF).saturating_sub(1) } else { floor.saturating_sub(1) };
    }
    if missing == 0 {
        Ok(carved)
    } else {
        Err(NoRoom { free: size - u32::try_from(missing).unwrap_or(size) })
    }
}

/// Away from an address that ends in .255.
fn round_down(addr: u128) -> u128 {
    if addr & 0xFF == 0xFF { addr - 1 } else { addr }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::net::Ipv4Addr;

    fn carved(subnet: &str, taken: &[&str], size: u32) -> Result<String, NoRoom> {
        let taken: Vec<AddressRange> = taken.iter().map(|range| range.parse().unwrap()).collect();
        let ranges = carve(subnet.parse().unwrap(), &taken, size)?;
        Ok(ranges.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "))
    }

    #[test]
    fn a_pool_comes_from_the_top() {
        assert_eq!(
            carved("172.22.0.0/16", &[], 50).as_deref(),
            Ok("172.22.255.205-172.22.255.254")
        );
        assert_eq!(
            carved("172.22.0.0/16", &["172.22.255.200-172.22.255.254"], 5).as_deref(),
            Ok("172.22.255.195-172.22.255.199")
        );
        assert_eq!(
            carved("172.22.0.0/16", &["172.22.255.250-172.22.255.251"], 5).as_deref(),
            Ok("172.22.255.252-172.22.255.254 172.22.255.248-172.22.255.249")
        );
        assert_eq!(
            carved("172.22.0.0/16", &[], 256).as_deref(),
            Ok("172.22.255.1-172.22.255.254 172.22.254.253-172.22.254.254")
        );
        assert_eq!(
            carved("fd00::/64", &[], 2).as_deref(),
            Ok("fd00::ffff:ffff:ffff:fffd-fd00::ffff:ffff:ffff:fffe")
        );
        assert_eq!(
            carved("172.22.0.0/28", &["172.22.0.1-172.22.0.4"], 99),
            Err(NoRoom { free: 10 })
        );
    }

    proptest! {
        #[test]
        fn what_is_carved_is_free_and_as_much_as_asked(
            length in 16..=28_u8,
            size in 1..=600_u32,
            taken in proptest::collection::vec((any::<u16>(), 0..400_u32), 0..8),
        ) {
            let subnet: Subnet = format!("172.22.0.0/{length}").parse()?;
            let base = Ipv4Addr::new(172, 22, 0, 0).to_bits();
            let taken: Vec<AddressRange> = taken
                .into_iter()
                .filter_map(|(at, count)| {
                    let first = base + u32::from(at);
                    AddressRange::new(IpAddr::V4(Ipv4Addr::from_bits(first)), IpAddr::V4(Ipv4Addr::from_bits(first + count)))
                })
                .collect();
            let usable = |addr: u32| {
                let ip = IpAddr::V4(Ipv4Addr::from_bits(addr));
                !matches!(addr & 0xFF, 0 | 0xFF) && !taken.iter().any(|range| range.contains(ip))
            };
            let free = (base + 1..base + (1 << (32 - length)) - 1).filter(|addr| usable(*addr)).count();
            match carve(subnet, &taken, size) {
                Err(NoRoom { free: found }) => prop_assert!(found as usize == free && found < size),
                Ok(ranges) => {
                    prop_assert_eq!(ranges.iter().map(|range| range.count()).sum::<u128>(), u128::from(size));
                    for (at, range) in ranges.iter().enumerate() {
                        prop_assert!(subnet.range().covers(*range));
                        prop_assert!(ranges[..at].iter().chain(&taken).all(|other| !range.meets(*other)));
                        for offset in 0..range.count() {
                            let Some(IpAddr::V4(addr)) = range.nth(offset) else { panic!("an address of the range") };
                            prop_assert!(usable(addr.to_bits()), "{}", addr);
                        }
                    }
                }
            }
        }
    }
}
