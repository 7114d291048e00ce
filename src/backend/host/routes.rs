//! The networks that this machine already reaches, so that a new one does not get in their way.

use std::net::{Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use super::Program;

/// Where Linux lists its routes.
const ROUTE_TABLE: &str = "/proc/net/route";
const ROUTE_TABLE_6: &str = "/proc/net/ipv6_route";

/// Shorter prefixes are a way to everywhere, whoever asks for them: a VPN that takes all traffic has
/// 0.0.0.0/1 and 128.0.0.0/1, and the default route stays beside them.
const SHORTEST: u8 = 8;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    pub net: IpNet,
    pub interface: String,
}

/// The networks of the routing table; on other systems than Linux of IPv4 alone, since there an
/// engine's IPv6 ends in its virtual machine. What cannot be read counts as no routes: the engine
/// still refuses what overlaps its own networks.
pub async fn routes() -> Vec<Route> {
    let mut routes = listed().await;
    routes.retain(|route| route.net.prefix_len() >= SHORTEST);
    routes
}

async fn listed() -> Vec<Route> {
    if let Ok(table) = tokio::fs::read_to_string(ROUTE_TABLE).await {
        let table6 = tokio::fs::read_to_string(ROUTE_TABLE_6).await.unwrap_or_default();
        return [from_proc(&table), from_proc6(&table6)].concat();
    }
    let netstat = Program::new("netstat").arg("-rn").arg("-f").arg("inet");
    let listed = netstat.run(|_| {}).await;
    listed.map(|text| from_netstat(&text)).unwrap_or_default()
}

/// Addresses in /proc/net/route are hexadecimal, lowest byte first.
fn from_proc(table: &str) -> Vec<Route> {
    let route = |line: &str| {
        let columns: Vec<&str> = line.split_whitespace().collect();
        let address = |column: usize| {
            let number = u32::from_str_radix(columns.get(column)?, 16).ok()?;
            Some(Ipv4Addr::from(number.swap_bytes()))
        };
        let net = Ipv4Net::with_netmask(address(1)?, address(7)?).ok()?;
        Some(Route { net: net.trunc().into(), interface: (*columns.first()?).to_owned() })
    };
    table.lines().skip(1).filter_map(route).collect()
}

/// Here addresses are as they are sent, and beside networks there are this machine's own addresses,
/// links and groups.
fn from_proc6(table: &str) -> Vec<Route> {
    let route = |line: &str| {
        let mut columns = line.split_whitespace();
        let address = u128::from_str_radix(columns.next()?, 16).ok()?;
        let length = u8::from_str_radix(columns.next()?, 16).ok()?;
        let net = Ipv6Net::new(Ipv6Addr::from(address), length).ok()?;
        let is_network =
            length < 128 && !net.addr().is_unicast_link_local() && !net.addr().is_multicast();
        let interface = columns.next_back()?.to_owned();
        is_network.then(|| Route { net: net.trunc().into(), interface })
    };
    table.lines().filter_map(route).collect()
}

/// BSD's netstat leaves out trailing zeros (`172.22` is 172.22.0.0/16) and marks hosts by no length.
fn from_netstat(listing: &str) -> Vec<Route> {
    let heading = listing.lines().find(|line| line.starts_with("Destination")).unwrap_or_default();
    let interface_column = heading.split_whitespace().position(|name| name == "Netif");
    let route = |line: &str| {
        let columns: Vec<&str> = line.split_whitespace().collect();
        let destination = *columns.first()?;
        let (address, length) = match destination.split_once('/') {
            Some((address, length)) => (address, length.parse().ok()),
            None => (destination, None),
        };
        let bytes: Vec<u8> = address.split('.').map(str::parse).collect::<Result<_, _>>().ok()?;
        let given = u8::try_from(bytes.len()).ok().filter(|given| (1..=4).contains(given))?;
        let mut whole = [0; 4];
        whole[..bytes.len()].copy_from_slice(&bytes);
        let net = Ipv4Net::new(whole.into(), length.unwrap_or(given * 8)).ok()?;
        let interface = interface_column.and_then(|column| columns.get(column));
        let interface = interface.copied().unwrap_or_default().to_owned();
        Some(Route { net: net.trunc().into(), interface })
    };
    listing.lines().filter_map(route).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(routes: &[Route]) -> Vec<String> {
        routes.iter().map(|route| format!("{} {}", route.net, route.interface)).collect()
    }

    #[test]
    fn linux_routes_are_read() {
        let table = "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT\n\
            eth0\t00000000\t010010AC\t0003\t0\t0\t0\t00000000\t0\t0\t0\n\
            docker0\t000011AC\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0\n";
        assert_eq!(texts(&from_proc(table)), ["0.0.0.0/0 eth0", "172.17.0.0/16 docker0"]);
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
        assert_eq!(texts(&from_proc6(&table)), ["fd00:3100:96::/64 eth0", "::/0 eth0"]);
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
            ["127.0.0.0/8 lo0", "172.22.0.0/16 utun4", "192.168.1.0/24 en0", "192.168.1.7/32 en0"]
        );
    }
}
