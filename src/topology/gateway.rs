//! `gateway`: the container that publishes ports of this machine and forwards them.

use std::borrow::Cow;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Deserializer, Serialize};

use super::address::Subnet;
use super::host_path::HostPath;
use super::image_ref::ImageRef;
use super::name::{DockerName, Label, NeedId, SshHost};
use super::port::{Listen, ListenSpec, PortRange};
use super::ssh_key;
use super::text::{self, Malformed, Text, string_or_map, string_or_map_schema, text_type};

/// The port of the gateway's sshd inside its container.
pub const SSH_PORT: u16 = 22;
/// The port of the gateway's squid inside its container.
pub const HTTP_PROXY_PORT: u16 = 3128;

/// The name of the tunnel that carries what the gateway publishes.
pub const EXPOSED: &str = "gateway";

/// Where a port appears on this machine that another publishes at `address`, if a tunnel carries it.
pub fn carried_to(address: IpAddr) -> IpAddr {
    match address {
        loopback if loopback.is_loopback() => loopback,
        IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
    }
}

/// The container that publishes ports of this machine and forwards them into the cluster.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Gateway {
    /// Name of the container. Default: `<name>-gw`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<DockerName>,
    /// A fixed address on the network; needs a network with a subnet of its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<IpAddr>,
    /// A finished image by its reference, or `{ base: … }` to build topo's own on a Debian, Alpine or Fedora base. Default: on `debian:bookworm-slim`.
    #[serde(default)]
    pub image: ServiceImage,
    /// `dnat` forwards in the kernel, `proxy` through nginx.
    #[serde(default)]
    pub mode: GatewayForwarding,
    /// Ports of this machine that are reserved once, as `[ADDRESS:]RANGE[/udp]`; forwards inside them change without a new container.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub publish: Vec<ListenSpec>,
    /// Who publishes at 127.0.0.1: the `engine`, with a process a port, or rules of this machine's `kernel`. Other addresses are the engine's.
    #[serde(default)]
    pub publish_by: PublishBy,
    /// Publish 500 ports or more although each costs the engine time and memory.
    #[serde(default)]
    pub allow_large_range: bool,
    /// An sshd in the gateway, by keys only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ssh: Option<Ssh>,
    /// A squid in the gateway that reaches every address of the network, but for the host's, and nothing else.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub http_proxy: Option<HttpProxy>,
    /// The forwards.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ports: Vec<Port>,
    /// With an engine on another machine: how the tcp ports that it publishes come here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expose: Option<Expose>,
}

impl Gateway {
    /// What `publish` reserves, addresses filled in.
    pub fn published(&self) -> impl Iterator<Item = Listen> {
        self.publish.iter().map(|entry| entry.resolved())
    }

    /// Everything the container publishes, with the port inside: `publish` one to one, then ssh and the http proxy.
    pub fn publications(&self) -> impl Iterator<Item = (Listen, u16)> {
        let range = self.published().map(|listen| (listen, listen.ports.first()));
        let ssh = self.ssh.iter().map(|ssh| (ssh.listen.resolved(), SSH_PORT));
        let proxy = self.http_proxy.iter().map(|proxy| (proxy.listen.resolved(), HTTP_PROXY_PORT));
        range.chain(ssh).chain(proxy)
    }

    /// Those of them that are published in this way.
    pub fn publications_by(&self, way: PublishBy) -> impl Iterator<Item = (Listen, u16)> {
        self.publications().filter(move |(listen, _)| self.published_by(listen.addr) == way)
    }

    /// Rules serve this machine alone: the engine lets nothing from outside into its networks but by
    /// its own.
    pub fn published_by(&self, address: IpAddr) -> PublishBy {
        if address.is_loopback() { self.publish_by } else { PublishBy::Engine }
    }
}

/// Who publishes the gateway's ports on this machine.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub enum PublishBy {
    #[default]
    Engine,
    Kernel,
}

/// How the gateway forwards.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub enum GatewayForwarding {
    #[default]
    Dnat,
    Proxy,
}

/// The image of a container of topo's own: built from its template on a base, or used as it is.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum ServiceImage {
    Base(ImageRef),
    Ready(ImageRef),
}

impl ServiceImage {
    /// The image that is run, or that is built on.
    pub fn reference(&self) -> &ImageRef {
        match self {
            Self::Base(image) | Self::Ready(image) => image,
        }
    }
}

impl Default for ServiceImage {
    fn default() -> Self {
        Self::Base(ImageRef::debian())
    }
}

/// An image that topo builds.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct BuiltImage {
    /// The image to build on.
    base: ImageRef,
}

impl From<BuiltImage> for ServiceImage {
    fn from(built: BuiltImage) -> Self {
        Self::Base(built.base)
    }
}

impl From<ImageRef> for ServiceImage {
    fn from(image: ImageRef) -> Self {
        Self::Ready(image)
    }
}

impl<'de> Deserialize<'de> for ServiceImage {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        string_or_map::<Self, ImageRef, BuiltImage, D>(deserializer)
    }
}

impl JsonSchema for ServiceImage {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "ServiceImage".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        string_or_map_schema::<ImageRef, BuiltImage>(generator)
    }
}

/// The gateway's sshd.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Ssh {
    /// The port of this machine, as `[ADDRESS:]PORT`.
    pub listen: ListenSpec,
    /// Who may log in: files of public keys, or the keys themselves. Default: your own, every `~/.ssh/id_*.pub`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub authorized_keys: Option<Vec<AuthorizedKey>>,
    /// Where connections through it may lead beside the network, with `mode: dnat`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub allow: Vec<Subnet>,
    /// A host of your own ssh configuration to go through where the gateway cannot be reached directly.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jump: Option<SshHost>,
}

impl Ssh {
    /// Who may log in, once the file has been loaded.
    pub fn keys(&self) -> &[AuthorizedKey] {
        self.authorized_keys.as_deref().unwrap_or_default()
    }
}

/// A public key, or the file it stands in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AuthorizedKey {
    File(HostPath),
    Key(String),
}

impl fmt::Display for AuthorizedKey {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Self::File(path) => path.fmt(f),
            Self::Key(key) => f.write_str(key),
        }
    }
}

impl FromStr for AuthorizedKey {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        if text.contains("PRIVATE KEY") {
            return Err(Malformed::instead(
                "this is a private key",
                "the public key, from the file that ends in `.pub`",
            ));
        }
        if ssh_key::is_meant(text) && !text.contains(char::is_control) {
            ssh_key::check(text)?;
            Ok(Self::Key(text.to_owned()))
        } else {
            text.parse().map(Self::File)
        }
    }
}

impl Text for AuthorizedKey {
    const FORMAT: &'static str = "authorized-key";
    const PATTERN: &'static str = HostPath::PATTERN;
}
text_type!(AuthorizedKey);

/// The gateway's squid.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HttpProxy {
    /// The port of this machine, as `[ADDRESS:]PORT`.
    pub listen: ListenSpec,
    /// Where it may lead beside the network: never to its own loopback or to link-local addresses.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub allow: Vec<Subnet>,
}

/// How ports that are published on another machine come here.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Expose {
    /// `ssh` carries them over ssh to this machine's localhost.
    pub via: ExposeVia,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub enum ExposeVia {
    Ssh,
}

/// A forward: from ports of this machine to as many of a target.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Port {
    /// Where it listens, as `[ADDRESS:]PORT_OR_RANGE[/udp]`; must lie in an entry of `publish`, whose address it takes when it has none.
    pub listen: ListenSpec,
    /// Where it leads.
    pub to: Target,
    /// With `mode: proxy`: tell the target the client's address by the PROXY protocol.
    #[serde(default)]
    pub proxy_protocol: bool,
    /// Resources it needs beside its target, by id.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub needs: Vec<NeedId>,
}

impl Port {
    pub fn listen(&self) -> Listen {
        self.listen.resolved()
    }
}

/// Where a forward leads.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "TargetFields", into = "TargetFields")]
pub enum Target {
    /// A Service's port; follows its load balancer's address.
    Service { service: ServiceRef, port: TargetPort },
    /// A port that every node serves.
    NodePort(PortRange),
    /// An address of the network.
    Address { address: IpAddr, port: PortRange },
}

impl Target {
    /// How many ports it stands for.
    pub fn count(&self) -> u32 {
        match self {
            Self::Service { port, .. } => port.count(),
            Self::NodePort(port) | Self::Address { port, .. } => port.count(),
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Self::Service { service, port } => write!(f, "{service}:{port}"),
            Self::NodePort(port) => write!(f, "nodePort:{port}"),
            Self::Address { address: IpAddr::V4(address), port } => write!(f, "{address}:{port}"),
            Self::Address { address: IpAddr::V6(address), port } => write!(f, "[{address}]:{port}"),
        }
    }
}

/// Where a forward leads: one of a Service, a node port or an address.
#[derive(Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(rename = "Target", extend("oneOf" = [
    { "required": ["service", "port"], "properties": { "nodePort": false, "address": false } },
    { "required": ["nodePort"], "properties": { "service": false, "address": false, "port": false } },
    { "required": ["address", "port"], "properties": { "service": false, "nodePort": false, "port": text::schema::<PortRange>() } },
]))]
struct TargetFields {
    /// A Service as `name` or `namespace/name`; the namespace is `default` when left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    service: Option<ServiceRef>,
    /// A port that every node serves, or a range of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    node_port: Option<PortRange>,
    /// An address of the network, or one that the gateway can reach.
    #[serde(skip_serializing_if = "Option::is_none")]
    address: Option<IpAddr>,
    /// The target's port: a number, a range as long as the listening one, or for a Service the port's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    port: Option<TargetPort>,
}

impl JsonSchema for Target {
    fn inline_schema() -> bool {
        TargetFields::inline_schema()
    }

    fn schema_name() -> Cow<'static, str> {
        TargetFields::schema_name()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        TargetFields::json_schema(generator)
    }
}

impl TryFrom<TargetFields> for Target {
    type Error = Malformed;

    fn try_from(fields: TargetFields) -> Result<Self, Malformed> {
        match fields {
            TargetFields {
                service: Some(service),
                node_port: None,
                address: None,
                port: Some(port),
            } => Ok(Self::Service { service, port }),
            TargetFields { service: None, node_port: Some(port), address: None, port: None } => {
                Ok(Self::NodePort(port))
            }
            TargetFields {
                service: None,
                node_port: None,
                address: Some(address),
                port: Some(TargetPort::Numbers(port)),
            } => Ok(Self::Address { address, port }),
            TargetFields { address: Some(_), port: Some(TargetPort::Name(name)), .. } => {
                Err(Malformed::new(format!(
                    "`{name}` is not a port number; only a Service's ports have names"
                )))
            }
            _ => Err(Malformed::new(
                "expected `service` with `port`, `nodePort`, or `address` with `port`",
            )),
        }
    }
}

impl From<Target> for TargetFields {
    fn from(target: Target) -> Self {
        match target {
            Target::Service { service, port } => {
                Self { service: Some(service), port: Some(port), ..Self::default() }
            }
            Target::NodePort(port) => Self { node_port: Some(port), ..Self::default() },
            Target::Address { address, port } => Self {
                address: Some(address),
                port: Some(TargetPort::Numbers(port)),
                ..Self::default()
            },
        }
    }
}

/// A Service, with its namespace.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ServiceRef {
    pub namespace: Label,
    pub name: Label,
}

impl fmt::Display for ServiceRef {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

impl FromStr for ServiceRef {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        match text.split_once('/') {
            None => Ok(Self { namespace: Label::default_namespace(), name: text.parse()? }),
            Some((_, name)) if name.contains('/') => Err(Malformed::instead(
                format!("`{text}` is not a valid reference to a Service"),
                "`name` or `namespace/name`",
            )),
            Some((namespace, name)) => {
                Ok(Self { namespace: namespace.parse()?, name: name.parse()? })
            }
        }
    }
}

impl Text for ServiceRef {
    const FORMAT: &'static str = "service";
    const PATTERN: &'static str =
        "^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?/)?[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$";
}
text_type!(ServiceRef);

/// A target's port: numbers, or the name of a Service's port.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum TargetPort {
    Numbers(PortRange),
    Name(String),
}

impl TargetPort {
    /// How many ports it stands for.
    pub fn count(&self) -> u32 {
        match self {
            Self::Numbers(range) => range.count(),
            Self::Name(_) => 1,
        }
    }
}

impl fmt::Display for TargetPort {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Self::Numbers(range) => range.fmt(f),
            Self::Name(name) => f.write_str(name),
        }
    }
}

impl FromStr for TargetPort {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        if !text.contains(|c: char| c.is_ascii_alphabetic()) {
            return text.parse().map(Self::Numbers);
        }
        port_name(text)?;
        Ok(Self::Name(text.to_owned()))
    }
}

/// The rule for names of ports (IANA service names, RFC 6335), which Kubernetes follows.
fn port_name(text: &str) -> Result<(), Malformed> {
    const LENGTH: usize = 15;
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if text.len() > LENGTH {
        return Err(Malformed::new(format!(
            "a port's name is limited to {LENGTH} characters, found {}",
            text.len()
        )));
    }
    if let Some(other) = text.chars().find(|&c| !allowed(c)) {
        return Err(Malformed::instead(
            format!("a port's name can only contain a-z, 0-9 and `-`, found {other:?}"),
            "the port's number, or its name",
        ));
    }
    if text.starts_with('-') || text.ends_with('-') || text.contains("--") {
        return Err(Malformed::new("a port's name cannot begin or end with `-`, or contain `--`"));
    }
    Ok(())
}

impl Text for TargetPort {
    const FORMAT: &'static str = "target-port";
    const PATTERN: &'static str = "^([1-9][0-9]{0,4}(-[1-9][0-9]{0,4})?|[a-z0-9-]{1,15})$";
    const INTEGER: bool = true;
}
text_type!(TargetPort);
