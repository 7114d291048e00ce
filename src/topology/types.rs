//! The topology file as types. Doc comments here are the descriptions in the published schema.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The only version of the file format that this topo reads.
pub const API_VERSION: &str = "topo/v1alpha1";

/// The MetalLB release that is installed unless the file names another.
pub const METALLB_VERSION: &str = "v0.16.1";

/// A local Kubernetes environment: a cluster, its network, what runs in it and how it is reached.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Topology {
    /// The version of this file format: `topo/v1alpha1`.
    pub api_version: String,
    /// Always `Topology`.
    pub kind: String,
    /// Names and labels everything that topo makes.
    pub name: String,
    /// The Docker network that the cluster lives on.
    #[serde(default)]
    pub network: Network,
    /// The Kubernetes cluster: one that kind makes, or one that exists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster: Option<Cluster>,
    /// Images that every node shall have.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub images: Vec<Image>,
    /// MetalLB, which gives addresses to Services of type LoadBalancer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metallb: Option<Metallb>,
    /// Kubernetes objects, applied in this order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub manifests: Vec<Manifest>,
    /// Values for manifests that are templates.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub vars: BTreeMap<String, Value>,
    /// Names of variables whose values are never shown or stored.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sensitive: Vec<String>,
    /// The container that publishes ports of this machine and forwards them into the cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gateway: Option<Gateway>,
    /// Folders that pods read and write.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub shares: Vec<Share>,
    /// Routes from a macOS host to the Docker networks, by docker-connector.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connector: Option<Connector>,
}

/// The Docker network that the cluster lives on.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Network {
    /// Its name; `topo-<name of the topology>` by default, `kind` to share kind's own. One that exists is used as it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Its IPv4 subnet, as `172.22.0.0/16`. A free one is chosen and kept where this is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subnet: Option<String>,
    /// The part of the subnet that Docker hands out by itself, away from pools and fixed addresses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ip_range: Option<String>,
    /// An IPv6 subnet as well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ipv6_subnet: Option<String>,
    /// How the engine's bridge treats packets that are routed to it: `nat` or `nat-unprotected`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gateway_mode: Option<GatewayMode>,
    /// Refuse to replace or delete it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub protect: bool,
}

/// How the engine's bridge treats packets that are routed to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum GatewayMode {
    /// Docker's default: what comes from outside the bridge is dropped.
    Nat,
    /// Routed hosts reach containers directly.
    NatUnprotected,
}

/// The Kubernetes cluster.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Cluster {
    /// How many control planes; 1 by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub control_planes: Option<u8>,
    /// How many workers; 0 by default. Either this or `groups`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workers: Option<u16>,
    /// Groups of workers that differ in labels, image, mounts or ports.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<NodeGroup>,
    /// The node image; the default of the kind release in use where this is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// Raw kind configuration, merged over what topo renders: maps merge, lists append.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind_config: Option<BTreeMap<String, Value>>,
    /// Instead of all other keys: the kubeconfig context of a cluster that exists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context: Option<String>,
    /// Make the cluster kubectl's current context.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub use_context: bool,
    /// Where topo keeps its list of applied objects in a cluster that exists; `topo-system` by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inventory_namespace: Option<String>,
    /// Refuse to replace or delete it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub protect: bool,
}

/// Workers of one kind.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct NodeGroup {
    /// The group's name, also the nodes' label `topo.dev/group`.
    pub name: String,
    /// How many; 1 by default.
    #[serde(default = "one")]
    pub count: u16,
    /// Labels of these nodes.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Another node image than the cluster's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// Folders of this machine in these nodes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mounts: Vec<Mount>,
    /// Ports of this machine that lead to these nodes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ports: Vec<PortMapping>,
}

/// A folder of this machine in a node.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Mount {
    /// The folder here.
    pub host_path: String,
    /// Where it appears in the node.
    pub container_path: String,
    /// Not to be written.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub read_only: bool,
}

/// A port of this machine that leads to a port of a node.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct PortMapping {
    /// The node's port.
    pub container_port: u16,
    /// This machine's port.
    pub host_port: u16,
    /// This machine's address; 127.0.0.1 by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub listen_address: Option<String>,
    /// `tcp` or `udp`; tcp by default.
    #[serde(default)]
    pub protocol: Protocol,
}

/// A transport protocol.
#[derive(
    Debug,
    Clone,
    Copy,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    #[default]
    Tcp,
    Udp,
}

/// An image that every node shall have.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase", from = "ImageForm", into = "ImageForm")]
#[schemars(with = "ImageForm")]
pub struct Image {
    pub name: String,
    pub build: Option<String>,
}

/// A name alone, or a name with more.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
enum ImageForm {
    /// The image's name.
    Name(String),
    /// An image that is built first.
    Built(BuiltImage),
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct BuiltImage {
    /// The image's name.
    name: String,
    /// The folder with its Dockerfile.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    build: Option<String>,
}

impl From<ImageForm> for Image {
    fn from(form: ImageForm) -> Self {
        match form {
            ImageForm::Name(name) => Self { name, build: None },
            ImageForm::Built(BuiltImage { name, build }) => Self { name, build },
        }
    }
}

impl From<Image> for ImageForm {
    fn from(image: Image) -> Self {
        match image.build {
            None => Self::Name(image.name),
            build => Self::Built(BuiltImage { name: image.name, build }),
        }
    }
}

/// MetalLB.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Metallb {
    /// The release, as `v0.16.1`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// A manifest file of your own instead of the release's, for machines without a network.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub manifest: Option<String>,
    /// The addresses that it gives out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pools: Vec<Pool>,
}

/// Addresses for Services of type LoadBalancer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Pool {
    /// The pool's name.
    pub name: String,
    /// Ranges `a-b` or CIDRs within the network. Either this or `size`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub addresses: Vec<String>,
    /// How many addresses to carve out of the top of the network.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u32>,
    /// Give addresses to Services that name no pool; true by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auto_assign: Option<bool>,
    /// Leave out addresses that end in .0 and .255.
    #[serde(default, rename = "avoidBuggyIPs", skip_serializing_if = "std::ops::Not::not")]
    pub avoid_buggy_ips: bool,
}

/// One step of the chain of manifests.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Manifest {
    /// A file, or a folder of them. Either this or `url`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Where to download it, once. Needs `sha256`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// The checksum that the download must have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// How long to wait until its objects work; 120s by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wait: Option<String>,
    /// Further resources that must be there first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub needs: Vec<String>,
}

/// The container that publishes ports and forwards them.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Gateway {
    /// The container's name; `<name of the topology>-gw` by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// A fixed address on the network.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// Its image; built on `debian:bookworm-slim` by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<GatewayImage>,
    /// How it forwards: in the kernel, or by a proxy.
    #[serde(default)]
    pub mode: GatewayForwarding,
    /// The ports that it publishes, as `[ADDRESS:]RANGE[/udp]`; 127.0.0.1 and tcp by default. Reserved once: forwards inside change without a new container.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub publish: Vec<String>,
    /// Publish 500 ports or more although that is slow.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub allow_large_range: bool,
    /// An ssh server in the gateway, for use as a jump host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ssh: Option<Ssh>,
    /// An HTTP proxy in the gateway, which reaches every LoadBalancer address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http_proxy: Option<HttpProxy>,
    /// The forwards.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ports: Vec<Port>,
    /// How the published ports reach this machine when the engine is on another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expose: Option<Expose>,
}

/// How a gateway forwards.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum GatewayForwarding {
    /// Address translation in the kernel.
    #[default]
    Dnat,
    /// nginx, for clusters that a forwarded packet does not reach.
    Proxy,
}

/// The gateway's image: a name as it is, or a base that topo builds on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum GatewayImage {
    /// An image of your own, used as it is.
    Name(String),
    /// A base that topo builds on.
    Built(GatewayBase),
}

/// A base that topo builds the gateway on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct GatewayBase {
    /// A Debian, Ubuntu, Alpine or Fedora image.
    pub base: String,
}

/// An ssh server in the gateway.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Ssh {
    /// The port of this machine, as `[ADDRESS:]PORT`.
    pub listen: PortText,
    /// Files with the public keys that may log in.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub authorized_keys: Vec<String>,
}

/// An HTTP proxy in the gateway.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct HttpProxy {
    /// The port of this machine, as `[ADDRESS:]PORT`.
    pub listen: PortText,
}

/// A port, a range of ports or the name of a port, written as a number or as text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum PortText {
    /// A single port.
    Number(u16),
    /// Anything longer: `127.0.0.1:10020`, `10010-10019/udp`, `http`.
    Text(String),
}

impl std::fmt::Display for PortText {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Number(port) => write!(f, "{port}"),
            Self::Text(text) => f.write_str(text),
        }
    }
}

/// One forward.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Port {
    /// The port of this machine, as `[ADDRESS:]PORT[-PORT][/udp]`, within what is published.
    pub listen: PortText,
    /// Where it leads.
    pub to: Target,
    /// Tell the target who connects, by the PROXY protocol. Only in mode `proxy`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub proxy_protocol: bool,
    /// Further resources that must be there first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub needs: Vec<String>,
}

/// Where a forward leads: exactly one of `service`, `nodePort` and `address`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Target {
    /// A Service, as `name` or `namespace/name`; its LoadBalancer address is followed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// A port that every node listens on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node_port: Option<PortText>,
    /// An address on the network.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// The Service's port by number or name, or the address's port; a range where `listen` is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<PortText>,
}

/// How published ports reach this machine when the engine is on another.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Expose {
    /// The way: `ssh` carries them to localhost here.
    pub via: ExposeVia,
}

/// A way to carry published ports here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ExposeVia {
    /// Over the ssh connection to the engine's machine.
    Ssh,
}

/// A folder that pods read and write.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Share {
    /// The share's name.
    pub name: String,
    /// The folder: of this machine, or of the server for `via: external`.
    pub path: String,
    /// How it gets there; `auto` by default.
    #[serde(default)]
    pub via: Via,
    /// The NFS server, for `via: external`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server: Option<String>,
    /// `rw` or `ro`; rw by default.
    #[serde(default)]
    pub access: Access,
    /// Who files belong to: `folder` (the folder's owner), `keep`, or `UID:GID`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// The claim that pods use.
    #[serde(default)]
    pub claim: Claim,
    /// Refuse to replace or delete it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub protect: bool,
}

/// How a share gets to the pods.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Via {
    /// Decided once, then kept.
    #[default]
    Auto,
    /// A bind mount into every node.
    Mount,
    /// An NFS server in a container of topo's.
    Server,
    /// The NFS server of this machine.
    Host,
    /// The NFS server of this machine, through an ssh tunnel to the gateway.
    Ssh,
    /// An NFS server that exists.
    External,
}

/// Whether a share can be written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Access {
    #[default]
    Rw,
    Ro,
}

/// The PersistentVolumeClaim of a share.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Claim {
    /// Its namespace; `default` by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Its name; the share's by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The size it states, as `10Gi`. Nothing enforces it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<String>,
}

/// docker-connector.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Connector {
    /// The address of the tunnel's end here, with its prefix.
    pub addr: String,
    /// The port that it connects by; 2511 by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
}

fn one() -> u16 {
    1
}

impl Topology {
    pub fn network_name(&self) -> String {
        self.network.name.clone().unwrap_or_else(|| format!("topo-{}", self.name))
    }

    /// The gateway container's name, whether or not the file has one.
    pub fn gateway_name(&self) -> String {
        let named = self.gateway.as_ref().and_then(|gateway| gateway.name.clone());
        named.unwrap_or_else(|| format!("{}-gw", self.name))
    }

    /// Whether the cluster is one that kind makes for this topology.
    pub fn makes_cluster(&self) -> bool {
        self.cluster.as_ref().is_some_and(|cluster| cluster.context.is_none())
    }
}

impl Cluster {
    pub fn control_planes(&self) -> u8 {
        self.control_planes.unwrap_or(1)
    }
}

impl Metallb {
    pub fn version(&self) -> &str {
        self.version.as_deref().unwrap_or(METALLB_VERSION)
    }
}

impl Connector {
    pub fn port(&self) -> u16 {
        self.port.unwrap_or(2511)
    }
}
