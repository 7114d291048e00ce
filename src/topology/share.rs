//! `shares`: folders of the host in pods.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use ipnet::IpNet;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::address::{address, cidr};
use super::gateway::ServiceImage;
use super::host_path::HostPath;
use super::name::{DockerName, HostName, Label, NeedId, Subdomain};
use super::port::PortRange;
use super::size::Size;
use super::text::{Malformed, Text, text_type};

/// A folder that pods read and write through a volume and a claim.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("oneOf" = [{ "required": ["path"] }, { "required": ["volume"] }]))]
pub struct Share {
    /// Name of the share.
    pub name: Label,
    /// The folder: of this machine, or with `via: external` the exported path on that server.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<HostPath>,
    /// Instead of `path`, with `via: server`: a Docker volume.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub volume: Option<DockerName>,
    /// How it reaches the pods; `auto` is decided once and kept.
    #[serde(default)]
    pub via: Via,
    /// `rw`, or `ro` for truly read-only.
    #[serde(default)]
    pub access: Access,
    /// Whose files are written: `keep` takes the pod's ids, `folder` those of the folder's owner, `UID:GID` those.
    #[serde(default)]
    pub owner: Owner,
    /// The claim that pods name.
    #[serde(default)]
    pub claim: Claim,
    /// With `via: external`: the server's name or address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server: Option<HostName>,
    /// What is known of the NFS server, where topo does not run it: `via: host`, `ssh` or `external`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nfs: Option<Nfs>,
    /// Mount options instead of those that suit the server; `vers`, `port` and `mountport` among them go before `nfs`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mount_options: Vec<MountOption>,
    /// Refuse every change that would remove or replace the share's volume or claim.
    #[serde(default)]
    pub protect: bool,
    /// Resources it needs beside those that follow from `via`, by id.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub needs: Vec<NeedId>,
}

impl Share {
    /// The claim's name: the one written, or the share's.
    pub fn claim_name(&self) -> &str {
        self.claim.name.as_ref().map_or(self.name.as_str(), Subdomain::as_str)
    }
}

/// The container that serves every share by `via: server`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NfsServer {
    /// A finished image with nfs-ganesha by its reference, or `{ base: … }` to build topo's own on a Debian or Fedora base. Default: on `debian:bookworm-slim`.
    #[serde(default)]
    pub image: ServiceImage,
}

/// How a share reaches the pods.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub enum Via {
    #[default]
    Auto,
    Mount,
    Server,
    Host,
    Ssh,
    External,
}

impl Via {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Mount => "mount",
            Self::Server => "server",
            Self::Host => "host",
            Self::Ssh => "ssh",
            Self::External => "external",
        }
    }

    /// Whether an NFS server serves it that topo does not run.
    pub fn foreign_server(self) -> bool {
        matches!(self, Self::Host | Self::Ssh | Self::External)
    }
}

impl fmt::Display for Via {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Whether pods may write.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub enum Access {
    #[default]
    Rw,
    Ro,
}

/// Whose files a share's writers make.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Owner {
    Keep,
    #[default]
    Folder,
    Ids {
        uid: u32,
        gid: u32,
    },
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Self::Keep => f.write_str("keep"),
            Self::Folder => f.write_str("folder"),
            Self::Ids { uid, gid } => write!(f, "{uid}:{gid}"),
        }
    }
}

impl FromStr for Owner {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        let wrong = || {
            Malformed::instead(
                format!("`{text}` is not a valid owner"),
                "`keep`, `folder`, or numbers such as `1000:1000`",
            )
        };
        let id = |text: &str| {
            text.parse()
                .ok()
                .filter(|id: &u32| *id < u32::MAX && id.to_string() == text)
                .ok_or_else(wrong)
        };
        match text {
            "keep" => Ok(Self::Keep),
            "folder" => Ok(Self::Folder),
            ids => {
                let (uid, gid) = ids.split_once(':').ok_or_else(wrong)?;
                Ok(Self::Ids { uid: id(uid)?, gid: id(gid)? })
            }
        }
    }
}

impl Text for Owner {
    const FORMAT: &'static str = "owner";
    const PATTERN: &'static str = "^(keep|folder|[0-9]{1,10}:[0-9]{1,10})$";
}
text_type!(Owner);

/// The claim that pods name to get a share.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Claim {
    /// The claim's namespace.
    #[serde(default = "default_namespace")]
    pub namespace: Label,
    /// The claim's name. Default: the share's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<Subdomain>,
    /// The size that volume and claim state; nothing enforces it.
    #[serde(default = "default_size")]
    pub size: Size,
}

impl Default for Claim {
    fn default() -> Self {
        Self { namespace: default_namespace(), name: None, size: default_size() }
    }
}

fn default_namespace() -> Label {
    Label::default_namespace()
}

fn default_size() -> Size {
    Size::gibibytes(10)
}

/// An NFS server that topo does not run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Nfs {
    /// The system it runs on. Default: this machine's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub system: Option<NfsSystem>,
    /// The protocol version to mount with. Default: the newest that the system serves.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<NfsVersion>,
    /// The NFS port. Default: 2049.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port: Option<PortNumber>,
    /// The fixed port of its mountd, which version 3 needs. Default: 20048.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mount_port: Option<PortNumber>,
    /// The transport of its mountd; only `tcp` crosses a tunnel.
    #[serde(default)]
    pub mount_protocol: super::port::Proto,
    /// The clients its export admits: addresses, networks or names, as the exports file has them. Default: what `via` needs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub clients: Vec<NfsClient>,
    /// Whether it takes requests from ports above 1023, as a tunnel's are.
    #[serde(default = "yes")]
    pub unprivileged_ports: bool,
}

impl Default for Nfs {
    fn default() -> Self {
        Self {
            system: None,
            version: None,
            port: None,
            mount_port: None,
            mount_protocol: super::port::Proto::default(),
            clients: Vec::new(),
            unprivileged_ports: yes(),
        }
    }
}

fn yes() -> bool {
    true
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub enum NfsSystem {
    Linux,
    Macos,
}

/// A version of NFS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum NfsVersion {
    V3,
    V4_0,
    V4_1,
    V4_2,
}

impl NfsVersion {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::V3 => "3",
            Self::V4_0 => "4.0",
            Self::V4_1 => "4.1",
            Self::V4_2 => "4.2",
        }
    }
}

impl fmt::Display for NfsVersion {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for NfsVersion {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        match text {
            "3" => Ok(Self::V3),
            "4.0" => Ok(Self::V4_0),
            "4.1" => Ok(Self::V4_1),
            "4" | "4.2" => Ok(Self::V4_2),
            _ => Err(Malformed::instead(
                format!("unknown NFS version `{text}`"),
                "`\"3\"`, `\"4.0\"`, `\"4.1\"` or `\"4.2\"`",
            )),
        }
    }
}

impl Text for NfsVersion {
    const FORMAT: &'static str = "nfs-version";
    const PATTERN: &'static str = r"^(3|4|4\.[012])$";
    const INTEGER: bool = true;
}
text_type!(NfsVersion);

/// Exactly one port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PortNumber(u16);

impl PortNumber {
    pub fn get(self) -> u16 {
        self.0
    }
}

impl fmt::Display for PortNumber {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for PortNumber {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        let range: PortRange = text.parse()?;
        if text.contains('-') {
            return Err(Malformed::instead(
                "expected a single port, found a range",
                format!("`{}`", range.first()),
            ));
        }
        Ok(Self(range.first()))
    }
}

impl Text for PortNumber {
    const FORMAT: &'static str = "port-number";
    const PATTERN: &'static str = "^[1-9][0-9]{0,4}$";
    const INTEGER: bool = true;
}
text_type!(PortNumber);

macro_rules! word_type {
    ($(#[$doc:meta])* $type:ident, $format:literal, $pattern:literal, $allowed:expr, $what:literal, $check:path) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub struct $type(String);

        impl $type {
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl FromStr for $type {
            type Err = Malformed;

            fn from_str(text: &str) -> Result<Self, Malformed> {
                let allowed: fn(char) -> bool = $allowed;
                match text.chars().find(|&c| !allowed(c)) {
                    Some(other) => Err(Malformed::new(format!(concat!($what, " cannot contain {:?}"), other))),
                    None if text.is_empty() => Err(Malformed::new(concat!($what, " cannot be empty"))),
                    None => $check(text).map(|()| Self(text.to_owned())),
                }
            }
        }

        impl Text for $type {
            const FORMAT: &'static str = $format;
            const PATTERN: &'static str = $pattern;
        }
        text_type!($type);
    };
}

word_type!(
    /// A client of an export. What could open a second export or an option of its own is refused.
    NfsClient, "nfs-client", r"^[A-Za-z0-9.:/*?@_\[\]-]+$",
    |c| c.is_ascii_alphanumeric() || matches!(c, '.' | ':' | '/' | '*' | '?' | '@' | '_' | '[' | ']' | '-'),
    "a client of an export", export_client
);
word_type!(
    /// One option of a mount. A comma would make it two.
    MountOption, "mount-option", r"^[A-Za-z0-9.:/=_-]+$",
    |c| c.is_ascii_alphanumeric() || matches!(c, '.' | ':' | '/' | '=' | '_' | '-'),
    "a mount option", mount_option
);

/// An address, a network, a netgroup, or a name in which `*`, `?` and `[…]` stand for others.
fn export_client(text: &str) -> Result<(), Malformed> {
    let looks_numeric = text.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    if text.starts_with('-') {
        Err(Malformed::instead(
            format!("`{text}` is an option, not a client"),
            "an address, a network or a name; topo writes the options",
        ))
    } else if text.contains('/') {
        network_of(text).map(drop)
    } else if text.contains(':') || looks_numeric {
        address(text).map(drop)
    } else if text == "@" {
        Err(Malformed::new("the netgroup after `@` is missing"))
    } else {
        Ok(())
    }
}

/// A network as exports files have it: with a prefix length, or with a mask.
fn network_of(text: &str) -> Result<IpNet, Malformed> {
    let masked = text.split_once('/').and_then(|(addr, mask)| {
        let (addr, mask) = (addr.parse().ok()?, mask.parse().ok()?);
        IpNet::with_netmask(addr, mask).ok()
    });
    masked.map_or_else(|| cidr(text), Ok)
}

impl NfsClient {
    /// The addresses that it is by itself; `None` for a name or a netgroup.
    pub fn network(&self) -> Option<IpNet> {
        let single = self.0.parse::<IpAddr>().ok().map(IpNet::from);
        single.or_else(|| network_of(&self.0).ok())
    }

    /// Whether it lets in every machine there is.
    pub fn is_everybody(&self) -> bool {
        let any_name = self.0.contains('*') && self.0.chars().all(|c| matches!(c, '*' | '?' | '.'));
        any_name || self.network().is_some_and(|network| network.prefix_len() == 0)
    }
}

fn mount_option(text: &str) -> Result<(), Malformed> {
    if text.starts_with(['-', '=']) {
        return Err(Malformed::instead(
            format!("`{text}` is not a valid mount option"),
            "the option alone, such as `nolock` or `vers=4.2`",
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_no_range_not_even_of_one() {
        assert_eq!(
            "2049".parse::<PortNumber>().map(|port| port.to_string()),
            Ok("2049".to_owned())
        );
        for range in ["71-71", "71-72"] {
            let wrong = range.parse::<PortNumber>().expect_err("a range");
            assert_eq!(wrong.instead.as_deref(), Some("`71`"), "{range}");
        }
    }

    #[test]
    fn clients_are_what_exports_files_take() {
        for text in [
            "10.0.0.0/8",
            "10.0.0.0/255.0.0.0",
            "fd00::/64",
            "fd00::7",
            "127.0.0.1",
            "localhost",
            "*.lan",
            "host?",
            "node[0-9].lan",
            "@trusted",
        ] {
            assert!(text.parse::<NfsClient>().is_ok(), "{text}");
        }
        for text in [
            "10.0.0.0/33",
            "0/0",
            "999.0.0.1",
            "-rw",
            "10.0.0.0/255.0.255.0",
            "10.0.0",
            "a b",
            "@",
            "host(rw)",
            "fd00::g",
            "host/24",
            "10.0.0.0/",
        ] {
            assert!(text.parse::<NfsClient>().is_err(), "{text}");
        }
    }

    #[test]
    fn everybody_has_many_spellings() {
        let open = |text: &str| text.parse::<NfsClient>().is_ok_and(|client| client.is_everybody());
        for text in ["*", "**", "*.*", "?*", "0.0.0.0/0", "0.0.0.0/0.0.0.0", "::/0", "10.0.0.0/0"] {
            assert!(open(text), "{text}");
        }
        for text in ["*.lan", "host?", "10.0.0.0/8", "0.0.0.0", "@all"] {
            assert!(!open(text), "{text}");
        }
    }
}
