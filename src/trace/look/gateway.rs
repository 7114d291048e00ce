//! Into the gateway.

use std::net::{IpAddr, SocketAddr};

use super::super::rules::Drops;
use super::super::sight::{Dial, Inside, Look};
use super::super::way::Way;
use super::sections::{self, by_name, dial};
use crate::backend::docker::Container;
use crate::resources::{Context, gateway_leads};
use crate::topology::GatewayForwarding;

const STATE: &str = include_str!("gateway.sh");
const AIM: &str = concat!(include_str!("dial.sh"), include_str!("aim.sh"));

pub async fn inside(cx: &Context, gateway: &Container, way: &Way) -> Look<Inside> {
    let listen = way.listen.ok_or("it does not listen")?;
    if !gateway.is_running() {
        return Err(format!("it is stopped: {}", gateway.status));
    }
    let port = listen.port().to_string();
    let arguments = [port.as_str()];
    let (leads, state) = tokio::join!(
        gateway_leads(cx, gateway, way.proto, listen.port()),
        sections::run(&cx.docker, &gateway.name, STATE, &arguments),
    );
    let state = state?;
    let state = by_name(&state);
    let leads = leads.map_err(|failure| failure.to_string())?;
    let is_proxy = cx.file.as_ref().and_then(|file| file.gateway.as_ref()).map(|it| it.mode)
        == Some(GatewayForwarding::Proxy);
    let nginx = state["nginx"];
    Ok(Inside {
        forwarding: is_proxy || state["forwarding"].trim() == "1",
        saved: leads.saved,
        live: if is_proxy { passed_to(nginx) } else { leads.live },
        proxy_runs: is_proxy.then(|| nginx.lines().any(|line| line == "runs")),
        before: Drops::of_nft(state["rules"]),
        after: None,
        neighbor: Err("it was not asked".to_owned()),
    })
}

/// `    proxy_pass 172.22.255.201:22;`
fn passed_to(servers: &str) -> Option<SocketAddr> {
    let line = servers.lines().find_map(|line| line.trim().strip_prefix("proxy_pass "))?;
    line.trim_end_matches(';').parse().ok()
}

/// A connection to where the gateway leads, and who then stands in its table for that address.
pub async fn aimed(
    cx: &Context,
    gateway: &str,
    aim: SocketAddr,
) -> Look<(Dial, Look<Option<String>>)> {
    let (address, port) = (aim.ip().to_string(), aim.port().to_string());
    let seen = sections::run(&cx.docker, gateway, AIM, &[&address, &port]).await?;
    let seen = by_name(&seen);
    let neighbor = match aim.ip() {
        IpAddr::V4(_) => neighbor(seen["arp"], &address),
        IpAddr::V6(_) => Err("neighbors are listed for IPv4 alone".to_owned()),
    };
    Ok((dial(seen["dial"]), neighbor))
}

/// `172.22.255.201   0x1         0x2         02:42:ac:14:00:02     *        eth0`; flags without 0x2
/// are of an address that nobody has answered for.
fn neighbor(table: &str, address: &str) -> Look<Option<String>> {
    let line = table.lines().find(|line| line.split_whitespace().next() == Some(address));
    let Some(line) = line else { return Err("the address is not on its own network".to_owned()) };
    let columns: Vec<&str> = line.split_whitespace().collect();
    let flags = columns
        .get(2)
        .and_then(|flags| u8::from_str_radix(flags.trim_start_matches("0x"), 16).ok());
    let is_known = flags.is_some_and(|flags| flags & 2 != 0);
    Ok(columns.get(3).filter(|_| is_known).map(|hardware| (*hardware).to_owned()))
}

pub async fn drops(cx: &Context, gateway: &str) -> Look<Drops> {
    let listed = cx.docker.exec(gateway, &["nft", "list", "ruleset"]).await;
    listed.map(|listing| Drops::of_nft(&listing)).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_answered_is_read_from_the_table_of_neighbors() {
        let table = "IP address       HW type     Flags       HW address            Mask     Device\n\
            172.20.127.200   0x1         0x2         02:42:ac:14:00:02     *        eth0\n\
            172.20.127.201   0x1         0x0         00:00:00:00:00:00     *        eth0\n";
        let hardware = Some("02:42:ac:14:00:02".to_owned());
        assert_eq!(neighbor(table, "172.20.127.200"), Ok(hardware));
        assert_eq!(neighbor(table, "172.20.127.201"), Ok(None));
        assert!(neighbor(table, "10.0.0.1").is_err());
    }

    #[test]
    fn where_nginx_leads_is_read_from_its_settings() {
        let servers = "    listen 10001;\n    proxy_pass 172.22.255.201:22;\nruns\n";
        assert_eq!(passed_to(servers), "172.22.255.201:22".parse().ok());
        assert_eq!(passed_to("runs\n"), None);
    }
}
