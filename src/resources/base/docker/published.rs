//! Ports of the host that containers publish: by the engine, or by rules that they put in force.

use std::fmt;
use std::net::IpAddr;

use serde_json::Value;

use crate::backend::docker::Container;
use crate::plan::Span;
use crate::resources::base::{ids, marks};
use crate::topology::{Listen, PortRange, Proto};

/// The field of a publisher that says which ports its rules lead.
pub const PUBLISH: &str = "publish";

/// Ports of the host that lead to as many of a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Publication {
    pub listen: Listen,
    /// The first of the container's.
    pub inside: u16,
}

const TO: &str = " to ";

impl fmt::Display for Publication {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.listen.fmt(f)?;
        if self.inside == self.listen.ports.first() {
            Ok(())
        } else {
            write!(f, "{TO}{}", self.inside)
        }
    }
}

/// As a record has it.
fn read(text: &str) -> Option<Publication> {
    let (listen, inside) = text.split_once(TO).map_or((text, None), |(at, to)| (at, Some(to)));
    let listen: Listen = listen.parse().ok()?;
    let inside = inside.map_or(Some(listen.ports.first()), |port| port.parse().ok())?;
    Some(Publication { listen, inside })
}

/// What it publishes now.
pub fn publications(container: &Container) -> Vec<Publication> {
    let ports = container.ports.iter().filter_map(|published| {
        let proto = if published.udp { Proto::Udp } else { Proto::Tcp };
        Some((published.address?, published.port, published.inside, proto))
    });
    let mut all = in_runs(ports.collect());
    all.extend(by_rules(container));
    all
}

/// By its record, since the engine knows nothing of it.
fn by_rules(container: &Container) -> Vec<Publication> {
    let topology = container.labels.get(marks::TOPOLOGY).filter(|_| container.is_running());
    let record = topology.and_then(|topology| marks::record(topology, &container.labels));
    let record =
        record.filter(|(id, _)| id.kind() == ids::PUBLISHER && id.name() == container.name);
    let listed = record.and_then(|(_, record)| record.fields.get(PUBLISH)?.as_array().cloned());
    listed.iter().flatten().filter_map(Value::as_str).filter_map(read).collect()
}

/// Ports of the host, which only one container may publish.
pub fn span(listen: Listen) -> Span {
    Span {
        space: format!("ports {} {}", listen.addr, listen.proto).into(),
        first: listen.ports.first().into(),
        last: listen.ports.last().into(),
    }
}

/// The ports that lead to these, in the one way of writing it that two lists can be compared by.
pub fn in_words(publications: impl IntoIterator<Item = (Listen, u16)>) -> Vec<String> {
    let ports = publications.into_iter().flat_map(|(listen, inside)| one_by_one(listen, inside));
    in_runs(ports.collect()).iter().map(ToString::to_string).collect()
}

pub type OnePort = (IpAddr, u16, u16, Proto);

pub fn one_by_one(listen: Listen, inside: u16) -> impl Iterator<Item = OnePort> {
    let first = listen.ports.first();
    listen.ports.ports().map(move |port| (listen.addr, port, inside + (port - first), listen.proto))
}

fn in_runs(mut ports: Vec<OnePort>) -> Vec<Publication> {
    ports.sort_unstable_by_key(|(addr, port, _, proto)| (*addr, *proto, *port));
    ports.dedup();
    let mut runs: Vec<Publication> = Vec::new();
    for (addr, port, inside, proto) in ports {
        if let Some(run) = runs.last_mut() {
            let ports = run.listen.ports;
            let continues = run.listen.addr == addr
                && run.listen.proto == proto
                && ports.last().checked_add(1) == Some(port)
                && u32::from(run.inside) + ports.count() == u32::from(inside);
            if let Some(longer) = PortRange::new(ports.first(), port).filter(|_| continues) {
                run.listen.ports = longer;
                continue;
            }
        }
        if let Some(ports) = PortRange::one(port) {
            runs.push(Publication { listen: Listen { addr, ports, proto }, inside });
        }
    }
    runs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_published_is_read_as_it_is_written() {
        for text in ["127.0.0.1:10000-10099/tcp", "127.0.0.1:122/tcp to 22", "127.0.0.1:53/udp"] {
            assert_eq!(read(text).expect("is one").to_string(), text);
        }
        assert_eq!(read("nowhere"), None);
    }
}
