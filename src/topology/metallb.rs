//! `metallb`: the load balancer and its address pools.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::address::AddressRange;
use super::host_path::HostPath;
use super::name::Subdomain;
use super::text::{Malformed, Text, text_type};

/// `MetalLB`, which gives Services of type `LoadBalancer` their addresses.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Metallb {
    /// The release of `MetalLB`; its manifest is fetched by a pinned address and checked.
    #[serde(default)]
    pub version: MetallbVersion,
    /// A local copy of that release's manifest, for machines without the network.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub manifest: Option<HostPath>,
    /// The addresses that Services may get.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pools: Vec<Pool>,
}

impl Metallb {
    /// The images that its release runs.
    pub fn images(&self) -> [String; 2] {
        ["controller", "speaker"].map(|part| format!("quay.io/metallb/{part}:{}", self.version))
    }
}

/// Addresses under one name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("oneOf" = [{ "required": ["addresses"] }, { "required": ["size"] }]))]
pub struct Pool {
    /// Name of the pool.
    pub name: Subdomain,
    /// The addresses: CIDRs, or ranges such as `172.22.255.200-172.22.255.250`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 1))]
    pub addresses: Vec<AddressRange>,
    /// Instead of `addresses`: how many, carved from the top of the network.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 65536))]
    pub size: Option<u32>,
    /// Give addresses to Services that ask for no pool.
    #[serde(default = "yes")]
    pub auto_assign: bool,
    /// Leave out addresses that end in .0 and .255.
    #[serde(default, rename = "avoidBuggyIPs")]
    pub avoid_buggy_ips: bool,
}

impl Pool {
    /// Its addresses as the file writes them, as MetalLB reads them.
    pub fn written(&self) -> Vec<String> {
        self.addresses.iter().map(ToString::to_string).collect()
    }
}

fn yes() -> bool {
    true
}

/// A release of `MetalLB` that is known to work.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct MetallbVersion(String);

impl MetallbVersion {
    /// With its `v`, as tags and manifests spell it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for MetallbVersion {
    fn default() -> Self {
        Self("v0.16.1".to_owned())
    }
}

impl fmt::Display for MetallbVersion {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for MetallbVersion {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        let wrong = || {
            Malformed::instead(
                format!("`{text}` is not a valid MetalLB version"),
                "`v0.16.1`, or `v0.15.3`",
            )
        };
        let numbers: Vec<u64> = text
            .strip_prefix('v')
            .ok_or_else(wrong)?
            .split('.')
            .map(|part| {
                part.parse()
                    .ok()
                    .filter(|number: &u64| number.to_string() == part)
                    .ok_or_else(wrong)
            })
            .collect::<Result<_, _>>()?;
        match numbers[..] {
            [0, 16, 0] => Err(Malformed::instead(
                "the health probes of MetalLB v0.16.0 fail; fixed in the next release",
                "`v0.16.1`",
            )),
            [0, 15, 0] => Err(Malformed::instead(
                "MetalLB v0.15.0 refuses pools on the nodes' network; fixed in the next release",
                "`v0.15.3`, or `v0.16.1`",
            )),
            [_, _, _] => Ok(Self(text.to_owned())),
            _ => Err(wrong()),
        }
    }
}

impl Text for MetallbVersion {
    const FORMAT: &'static str = "metallb-version";
    const PATTERN: &'static str = r"^v(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)$";
}
text_type!(MetallbVersion);
