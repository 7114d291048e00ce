//! What is saved in the gateway's volume, the rules made of it, and the rules that are in force.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::container::{LOAD, STATE, put};
use crate::backend::docker::{Archived, Container, Error};
use crate::engine::Failure;
use crate::plan::{Id, Record};
use crate::resources::base::context::Context;
use crate::topology::{GatewayForwarding, Proto, Topology};

const FORMAT: u32 = 1;

/// Readable while the gateway is stopped.
const FILE: &str = "gateway.json";
/// What the gateway itself reads of it.
const LINES: &str = "forwards";

/// The gateway and its forwards, as they were applied.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Saved {
    pub format: u32,
    pub gateway: Option<Record>,
    #[serde(default)]
    pub forwards: BTreeMap<Id, Forward>,
}

/// One forward: a port or a run of them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Forward {
    pub record: Record,
    pub entries: Vec<Entry>,
}

/// One port, and where it leads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Entry {
    pub proto: Proto,
    pub listen: u16,
    pub address: IpAddr,
    pub port: u16,
    #[serde(default)]
    pub proxy_protocol: bool,
}

impl Default for Saved {
    fn default() -> Self {
        Self { format: FORMAT, gateway: None, forwards: BTreeMap::new() }
    }
}

impl Saved {
    pub async fn read(cx: &Context, container: &str) -> Result<Option<Self>, Failure> {
        let what = || format!("cannot read the forwards of `{container}`");
        let path = format!("{STATE}/{FILE}");
        let text = cx.docker.get_file(container, &path).await;
        let Some(text) = text.map_err(|error| Failure::because(what(), &error))? else {
            return Ok(None);
        };
        let saved: Self =
            serde_json::from_slice(&text).map_err(|error| Failure::because(what(), &error))?;
        if saved.format > FORMAT {
            return Err(Failure::new(format!(
                "{}: they were written by a newer topo (format {}; this one reads up to {FORMAT})",
                what(),
                saved.format
            )));
        }
        Ok(Some(saved))
    }

    /// Saves it, with the lines that the next start puts in force.
    pub async fn write(
        &self,
        cx: &Context,
        container: &str,
        topology: &Topology,
    ) -> Result<(), Failure> {
        let json = serde_json::to_vec(self).map_err(|error| {
            Failure::because(format!("cannot write the forwards of `{container}`"), &error)
        })?;
        let lines = self.lines(topology);
        let files = [
            Archived { path: LINES, mode: 0o644, content: lines.as_bytes() },
            Archived { path: FILE, mode: 0o644, content: &json },
        ];
        put(cx, container, &files).await
    }

    /// One a port, as the gateway's `load` reads them.
    fn lines(&self, topology: &Topology) -> String {
        let mode = topology.gateway.as_ref().map(|gateway| gateway.mode).unwrap_or_default();
        let entries = self.forwards.values().flat_map(|forward| &forward.entries);
        let entries = match mode {
            GatewayForwarding::Proxy => one_a_port(entries),
            // The kernel has a table of its own for each family.
            GatewayForwarding::Dnat => {
                let (v4, v6): (Vec<&Entry>, Vec<&Entry>) =
                    entries.partition(|entry| entry.address.is_ipv4());
                [one_a_port(v4), one_a_port(v6)].concat()
            }
        };
        let line = |Entry { proto, listen, address, port, proxy_protocol }: &Entry| {
            let sends = if *proxy_protocol { "proxy-protocol" } else { "plain" };
            format!("{proto} {listen} {address} {port} {sends}\n")
        };
        entries.into_iter().map(line).collect()
    }

    /// Puts it in force in one transaction, which fails or holds as a whole, and saves it.
    pub async fn enforce(
        &self,
        cx: &Context,
        container: &str,
        topology: &Topology,
    ) -> Result<(), Failure> {
        let failed = |error: &(dyn std::error::Error + 'static)| {
            Failure::because(format!("cannot change the forwards of `{container}`"), error)
        };
        let loaded = cx.docker.exec_with_input(container, &LOAD, self.lines(topology)).await;
        loaded.map_err(|error| failed(&error))?;
        self.write(cx, container, topology).await
    }
}

/// Forwards that listen at several addresses of this machine all come in at one port of the gateway.
fn one_a_port<'a>(entries: impl IntoIterator<Item = &'a Entry>) -> Vec<&'a Entry> {
    let by_port = entries.into_iter().map(|entry| ((entry.proto, entry.listen), entry));
    by_port.collect::<BTreeMap<_, _>>().into_values().collect()
}

/// A port as packets come to it: of which protocol, over IPv4 or not.
type Door = (Proto, u16, bool);

/// The forwards that are in force.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Live(BTreeMap<Door, (IpAddr, u16)>);

impl Live {
    pub fn target(&self, entry: &Entry) -> Option<(IpAddr, u16)> {
        self.0.get(&(entry.proto, entry.listen, entry.address.is_ipv4())).copied()
    }

    /// One call, however many forwards there are.
    pub async fn read(cx: &Context, container: &str) -> Result<Self, Failure> {
        let failed = |error: &(dyn std::error::Error + 'static)| {
            Failure::because(format!("cannot list the rules of `{container}`"), error)
        };
        let listed = cx.docker.look(container, &["nft", "-j", "list", "ruleset"]).await;
        let listed = listed.map_err(|error: Error| failed(&error))?;
        let listed: Value = serde_json::from_str(&listed).map_err(|error| failed(&error))?;
        Ok(Self::from_listing(&listed))
    }

    /// A map that no rule looks into forwards nothing.
    fn from_listing(listing: &Value) -> Self {
        let parts = || listing["nftables"].as_array().into_iter().flatten();
        let is_topos = |part: &Value| part["table"] == "topo";
        let has_rule = |family: &str, chain: &str| {
            parts().any(|part| {
                let rule = &part["rule"];
                is_topos(rule) && rule["family"] == family && rule["chain"] == chain
            })
        };
        let mut live = BTreeMap::new();
        for family in ["ip", "ip6"] {
            if !has_rule(family, "prerouting") || !has_rule(family, "postrouting") {
                continue;
            }
            let maps = parts().map(|part| &part["map"]).filter(|map| {
                is_topos(map) && map["family"] == family && map["name"] == "forwards"
            });
            for element in maps.flat_map(|map| map["elem"].as_array().into_iter().flatten()) {
                live.extend(forward(element));
            }
        }
        Self(live)
    }
}

/// Where one port of a gateway leads.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Leads {
    /// As it was applied.
    pub saved: Option<SocketAddr>,
    /// By the rules in force; none where nginx forwards, which tells nothing.
    pub live: Option<SocketAddr>,
}

/// Looks at one port of a gateway that runs.
pub async fn leads(
    cx: &Context,
    gateway: &Container,
    proto: Proto,
    listen: u16,
) -> Result<Leads, Failure> {
    let saved = Saved::read(cx, &gateway.id).await?.unwrap_or_default();
    let mut entries = saved.forwards.values().flat_map(|forward| &forward.entries);
    let is_it = |entry: &&Entry| entry.proto == proto && entry.listen == listen;
    let Some(entry) = entries.find(is_it) else { return Ok(Leads::default()) };
    let mode = cx.file.as_ref().and_then(|topology| topology.gateway.as_ref()).map(|it| it.mode);
    let live = match mode {
        Some(GatewayForwarding::Proxy) => None,
        _ => Live::read(cx, &gateway.name).await?.target(entry),
    };
    let place = |(address, port)| SocketAddr::new(address, port);
    Ok(Leads { saved: Some(place((entry.address, entry.port))), live: live.map(place) })
}

/// `[{"concat": ["tcp", 10001]}, {"concat": ["172.22.255.201", 22]}]`; the protocol is a number
/// where the image has no `/etc/protocols`.
fn forward(element: &Value) -> Option<(Door, (IpAddr, u16))> {
    let side = |at: usize| {
        let pair = element.get(at)?.get("concat")?;
        Some((pair.get(0)?, u16::try_from(pair.get(1)?.as_u64()?).ok()?))
    };
    let (proto, listen) = side(0)?;
    let (address, port) = side(1)?;
    let proto = match (proto.as_str(), proto.as_u64()) {
        (Some("tcp"), _) | (_, Some(6)) => Proto::Tcp,
        (Some("udp"), _) | (_, Some(17)) => Proto::Udp,
        _ => return None,
    };
    let address: IpAddr = address.as_str()?.parse().ok()?;
    Some(((proto, listen, address.is_ipv4()), (address, port)))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn entry(proto: Proto, listen: u16, address: &str, port: u16) -> Entry {
        let address = address.parse().expect("an address");
        Entry { proto, listen, address, port, proxy_protocol: false }
    }

    fn saved(entries: Vec<Entry>) -> Saved {
        let forward = Forward { record: Record::default(), entries };
        Saved { forwards: [(Id::new("port", "p"), forward)].into(), ..Saved::default() }
    }

    fn lines(mode: &str, entries: Vec<Entry>) -> String {
        let topology: Topology = serde_json::from_value(json!({
            "apiVersion": "topo/v1alpha1", "kind": "Topology", "name": "dev", "gateway": { "mode": mode },
        }))
        .expect("a topology");
        saved(entries).lines(&topology)
    }

    #[test]
    fn every_forward_is_one_line() {
        let mut first = entry(Proto::Tcp, 10001, "172.22.255.201", 22);
        first.proxy_protocol = true;
        let second = entry(Proto::Udp, 10001, "fd00::7", 53);
        assert_eq!(
            lines("proxy", vec![second, first]),
            "tcp 10001 172.22.255.201 22 proxy-protocol\nudp 10001 fd00::7 53 plain\n"
        );
        assert_eq!(lines("dnat", vec![]), "");
    }

    #[test]
    fn a_port_that_listens_at_two_addresses_is_one_line_of_each_family_that_the_kernel_translates()
    {
        let twice = || {
            let v4 = entry(Proto::Tcp, 10001, "172.22.255.201", 22);
            vec![v4.clone(), v4, entry(Proto::Tcp, 10001, "fd00::7", 22)]
        };
        assert_eq!(lines("dnat", twice()).lines().count(), 2);
        assert_eq!(lines("proxy", twice()).lines().count(), 1);
    }

    #[test]
    fn what_is_in_force_is_read_from_nfts_listing() {
        let numbered = json!([{"concat": [6, 10001]}, {"concat": ["172.29.0.50", 22]}]);
        assert!(
            forward(&numbered)
                .is_some_and(|((proto, port, _), _)| (proto, port) == (Proto::Tcp, 10001))
        );
        let element = json!([{"concat": ["tcp", 10001]}, {"concat": ["172.29.0.50", 22]}]);
        let rule = |chain: &str| json!({"rule": {"family": "ip", "table": "topo", "chain": chain, "handle": 4, "expr": []}});
        let map = json!({"map": {"family": "ip", "name": "forwards", "table": "topo", "elem": [element]}});
        let whole = json!({"nftables": [map, rule("prerouting"), rule("postrouting")]});
        let wanted = entry(Proto::Tcp, 10001, "172.29.0.50", 22);
        let live = Live::from_listing(&whole);
        assert_eq!(live.target(&wanted), Some((wanted.address, 22)));

        let without_rule = json!({"nftables": [map, rule("postrouting")]});
        assert_eq!(Live::from_listing(&without_rule), Live::default());
    }
}
