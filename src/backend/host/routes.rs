//! The networks that this machine already reaches, so that a new one does not get in their way.

use std::net::{Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use super::Program;

/// Where Linux lists its routes.
const ROUTE_TABLE: &str = "/proc/net/route";
const ROUTE_TABLE_6: &str = "/proc/net/ipv6_route";

/// The networks of the routing table, default routes left out; on other systems than Linux of IPv4
/// alone, since there an engine's IPv6 ends in its virtual machine. What cannot be read counts as no
/// routes: the engine still refuses what overlaps its own networks.
pub async fn routes() -> Vec<IpNet> {
    if let Ok(table) = tokio::fs::read_to_string(ROUTE_TABLE).await {
        let table6 = tokio::fs::read_to_string(ROUTE_TABLE_6).await.unwrap_or_default();
        return [from_proc(&table), from_proc6(&table6)].concat();
    }
    let netstat = Program::new("netstat").arg("-rn").arg("-f").arg("inet");
    let listed = netstat.run(|_| {}).await;
    listed.map(|text| from_netstat(&text)).unwrap_or_default()
}

/// Addresses in /proc/net/route are hexadecimal, lowest byte first.
fn from_proc(table: &str) -> Vec<IpNet> {
    table
        .lines()
        .skip(1)
        .filter_map(|line| {
            let columns: Vec<&str> = line.split_whitespace().collect();
            let address = |column: usize| {
                let number = u32::from_str_radix(columns.get(column)?, 16).ok()?;
                Some(Ipv4Addr::from(number.swap_bytes()))
            };
            Ipv4Net::with_netmask(address(1)?, address(7)?).ok()
        })
        .filter(|net| net.prefix_len() > 0)
        .map(|net| IpNet::V4(net.trunc()))
        .collect()
}

/// Here addresses are as they are sent, and beside networks there are this machine's own addresses,
/// links and groups.
fn from_proc6(table: &str) -> Vec<IpNet> {
    table
        .lines()
        .filter_map(|line| {
            let mut columns = line.split_whitespace();
            let address = u128::from_str_radix(columns.next()?, 16).ok()?;
            let length = u8::from_str_radix(columns.next()?, 16).ok()?;
            Ipv6Net::new(Ipv6Addr::from(address), length).ok()
        })
        .filter(|net| (1..128).contains(&net.prefix_len()))
        .filter(|net| !net.addr().is_unicast_link_local() && !net.addr().is_multicast())
        .map(|net| IpNet::V6(net.trunc()))
        .collect()
}

/// BSD's netstat leaves out trailing zeros (`172.22` is 172.22.0.0/16) and marks hosts by no length.
fn from_netstat(listing: &str) -> Vec<IpNet> {
    listing
        .lines()
        .filter_map(|line| {
            let destination = line.split_whitespace().next()?;
            let (address, length) = match destination.split_once('/') {
                Some((address, length)) => (address, length.parse().ok()),
                None => (destination, None),
            };
            let bytes: Vec<u8> =
                address.split('.').map(str::parse).collect::<Result<_, _>>().ok()?;
            let given = u8::try_from(bytes.len()).ok().filter(|given| (1..=4).contains(given))?;
            let mut whole = [0; 4];
            whole[..bytes.len()].copy_from_slice(&bytes);
            let net = Ipv4Net::new(whole.into(), length.unwrap_or(given * 8)).ok()?;
            (net.prefix_len() > 0).then(|| IpNet::V4(net.trunc()))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(nets: &[IpNet]) -> Vec<String> {
        nets.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn linux_routes_are_read_without_the_default() {
        let table = "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT\n\
            eth0\t00000000\t010010AC\t0003\t0\t0\t0\t00000000\t0\t0\t0\n\
            docker0\t000011AC\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0\n";
        assert_eq!(texts(&from_proc(table)), ["172.17.0.0/16"]);
    }

    #[test]
    fn ipv6_routes_are_read_without_addresses_links_and_groups() {
        let route = |to: &str| {
            format!(
                "{to} 00000000000000000000000000000000 00 00000000000000000000000000000000 00000100 00000001 00000000 00000001     eth0\n"
            )
        };
        let table = [
            "fd003100009600000000000000000000 40",
            "fe800000000000000000000000000000 40",
            "00000000000000000000000000000001 80",
            "ff000000000000000000000000000000 08",
            "00000000000000000000000000000000 00",
        ];
        let table: String = table.into_iter().map(route).collect();
        assert_eq!(texts(&from_proc6(&table)), ["fd00:3100:96::/64"]);
    }

    #[test]
    fn bsd_routes_are_read_with_their_shortened_addresses() {
        let listing = "Routing tables\n\nInternet:\nDestination        Gateway            Flags  Netif\n\
            default            192.168.1.1        UGScg  en0\n\
            127                127.0.0.1          UCS    lo0\n\
            172.22             192.168.251.1      UGSc   utun4\n\
            192.168.1/24       link#12            UCS    en0\n\
            192.168.1.7        aa:bb              UHLWI  en0\n";
        assert_eq!(
            texts(&from_netstat(listing)),
            ["127.0.0.0/8", "172.22.0.0/16", "192.168.1.0/24", "192.168.1.7/32"]
        );
    }
}
