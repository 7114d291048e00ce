//! What is up: the `topo.status/v1` document, and one screen of text.

mod table;

use serde::Serialize;

pub use table::{ports_in_short, render};

use crate::plan::Id;

#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Status {
    pub topology: String,
    /// Another topo that is changing it: `pid 4711: topo apply`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at_work: Option<String>,
    /// By which kubectl reaches the cluster.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub context: Option<String>,
    pub resources: Vec<ResourceStatus>,
    pub ports: Vec<PortStatus>,
    pub pools: Vec<PoolStatus>,
    pub shares: Vec<ShareStatus>,
    pub tunnels: Vec<TunnelStatus>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ResourceStatus {
    pub id: Id,
    pub state: Health,
    pub detail: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Health {
    Ready,
    Degraded,
    Stopped,
    Missing,
    Unknown,
}

/// One forward, from the host's port to the pods behind it.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PortStatus {
    /// `127.0.0.1:10001/tcp`
    pub listen: String,
    /// What the file names: `service default/web:80`.
    pub to: String,
    /// Where it leads now: `172.22.255.201:80`.
    pub address: Option<String>,
    /// None where no pods are counted: a plain address, or a Service that cannot be seen.
    pub ready_pods: Option<u32>,
    /// None where it was not tried: udp cannot be.
    pub reachable: Option<bool>,
    /// How far a connection got, where it did not get through.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// Without the gateway, where the host has a route of its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub direct: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PoolStatus {
    pub name: String,
    pub addresses: Vec<String>,
    /// None where it cannot be told which addresses are in use.
    pub used: Option<u64>,
    pub free: Option<u64>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ShareStatus {
    pub name: String,
    pub via: String,
    pub source: String,
    /// `default/docs`, where a claim was asked for.
    pub claim: Option<String>,
    pub state: Health,
    pub detail: Option<String>,
    /// What its server does wrong, by the name that the troubleshooting page has it under.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub finding: Option<String>,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TunnelStatus {
    pub name: String,
    pub state: Health,
    pub detail: Option<String>,
}

impl Health {
    pub fn word(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::Degraded => "degraded",
            Self::Stopped => "stopped",
            Self::Missing => "missing",
            Self::Unknown => "unknown",
        }
    }
}

impl Status {
    /// Whether everything that runs was stopped.
    pub fn is_stopped(&self) -> bool {
        let runs = |resource: &&ResourceStatus| {
            let kind = resource.id.kind();
            matches!(kind, "cluster" | "node" | "gateway" | "server" | "connector")
                && resource.state != Health::Unknown
        };
        let mut running = self.resources.iter().filter(runs).peekable();
        running.peek().is_some() && running.all(|resource| resource.state == Health::Stopped)
    }

    /// Whether no port can answer because the gateway was stopped.
    pub fn is_gateway_stopped(&self) -> bool {
        let is_stopped = |one: &ResourceStatus| one.state == Health::Stopped;
        self.resources.iter().any(|one| one.id.kind() == "gateway" && is_stopped(one))
    }

    /// Whether everything works.
    pub fn is_healthy(&self) -> bool {
        let resources = self.resources.iter().map(|resource| resource.state);
        let shares = self.shares.iter().map(|share| share.state);
        let tunnels = self.tunnels.iter().map(|tunnel| tunnel.state);
        resources.chain(shares).chain(tunnels).all(|state| state == Health::Ready)
            && self.ports.iter().all(|port| port.reachable != Some(false))
    }
}
