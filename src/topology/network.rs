//! `network`: the Docker network that everything lives on.

use std::net::IpAddr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::address::Subnet;
use super::name::DockerName;

/// The Docker network the cluster and the gateway live on.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("dependentSchemas" = {
    "subnet": { "properties": { "subnets": false } },
    "ipRange": { "anyOf": [{ "required": ["subnet"] }, { "required": ["subnets"] }] },
    "gateway": { "anyOf": [{ "required": ["subnet"] }, { "required": ["subnets"] }] },
}))]
pub struct Network {
    /// Name of the network; an existing one of that name is used as it is. `kind` shares kind's own. Default: `topo-<name>`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<DockerName>,
    /// The network's addresses in CIDR form. Left out: a free /16 is chosen and kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subnet: Option<Subnet>,
    /// Instead of `subnet` for a dual-stack network: one IPv4 and one IPv6 subnet.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub subnets: Vec<Subnet>,
    /// The part of the subnet that Docker hands out by itself; pools and fixed addresses lie outside of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ip_range: Option<Subnet>,
    /// The address of the network's own gateway, which is the host. Default: the first of the subnet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gateway: Option<IpAddr>,
    /// Give the network IPv6 as well, with a free subnet where none is written.
    #[serde(default)]
    pub ipv6: bool,
    /// How Docker treats packets from outside to addresses of this network; a routed host needs `nat-unprotected`.
    #[serde(default)]
    pub gateway_mode: GatewayMode,
    /// Refuse every change that would remove or replace the network.
    #[serde(default)]
    pub protect: bool,
}

impl Network {
    /// All subnets that are written, `subnet` or `subnets`.
    pub fn subnets(&self) -> &[Subnet] {
        match &self.subnet {
            Some(subnet) => std::slice::from_ref(subnet),
            None => &self.subnets,
        }
    }

    pub fn ipv4_subnet(&self) -> Option<Subnet> {
        self.subnets().iter().copied().find(|subnet| subnet.is_ipv4())
    }

    pub fn ipv6_subnet(&self) -> Option<Subnet> {
        self.subnets().iter().copied().find(|subnet| !subnet.is_ipv4())
    }

    /// Whether the network is to have IPv6, by switch or by subnet.
    pub fn has_ipv6(&self) -> bool {
        self.ipv6 || self.ipv6_subnet().is_some()
    }

    /// The host's address in `subnet`: the one written, or the first.
    pub fn gateway_in(&self, subnet: Subnet) -> IpAddr {
        self.gateway
            .filter(|gateway| subnet.contains(*gateway))
            .unwrap_or_else(|| subnet.first_host())
    }
}

/// How Docker's bridge treats traffic that comes from outside.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(inline)]
pub enum GatewayMode {
    #[default]
    Nat,
    NatUnprotected,
    Routed,
}

impl GatewayMode {
    /// As Docker's `gateway_mode_ipv4` option spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Nat => "nat",
            Self::NatUnprotected => "nat-unprotected",
            Self::Routed => "routed",
        }
    }
}
