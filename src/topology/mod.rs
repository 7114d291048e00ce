//! The topology file: its types, how it is read, and what makes it right.
//!
//! Nothing here reads a file, the environment or a clock: what comes from outside is handed in.

pub mod address;
mod braces;
pub mod cluster;
pub mod connector;
pub mod diagnostic;
pub mod duration;
mod editor;
pub mod files;
mod foreign;
pub mod gateway;
pub mod host_path;
pub mod image;
pub mod image_ref;
mod interpolate;
pub mod kind_config;
pub mod load;
mod lockfile;
pub mod manifest;
pub mod metallb;
pub mod name;
pub mod nearest;
pub mod network;
mod nfs;
mod node_label;
pub mod places;
pub mod port;
mod rules;
mod schema;
pub mod sensitive;
mod shape;
pub mod share;
mod shorthand;
pub mod size;
pub mod ssh_key;
pub mod text;
mod yaml;

use std::borrow::Cow;
use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use address::{AddressRange, InterfaceAddress, Subnet};
pub use cluster::{Cluster, Group, KubeadmPatch, Mount, PortMapping, Propagation, Taint};
pub use connector::Connector;
pub use diagnostic::{Diagnostic, Place, Problems, Related, Severity};
pub use duration::Duration;
pub use editor::schema as editor_schema;
pub use files::{FileKind, Files, FolderEntry};
pub use gateway::{
    AuthorizedKey, Gateway, GatewayForwarding, HttpProxy, Port, PublishBy, ServiceImage,
    ServiceRef, Ssh, Target, TargetPort,
};
pub use host_path::HostPath;
pub use image::{Build, Image, is_for_docker};
pub use image_ref::{ImageRef, canonical_image};
pub use load::{Input, Loaded, load};
pub use lockfile::{Difference, InUse, Lockfile};
pub use manifest::{Manifest, Sha256, Source, Url};
pub use metallb::{Metallb, MetallbVersion, Pool};
pub use name::{DockerName, Label, NeedId, ReleaseName, Subdomain, TopologyName, VariableName};
pub use network::{GatewayMode, Network};
pub use nfs::NfsPorts;
pub use places::Places;
pub use port::{Listen, ListenSpec, PortRange, Proto};
pub use rules::{NoRoom, carve, reserved};
pub use schema::schema;
pub use sensitive::{Guarded, MASK, SHORTEST_SOUGHT, Secret};
pub use share::{
    Access, Claim, Nfs, NfsServer, NfsSystem, NfsVersion, Owner, PortNumber, Share, Via,
};
pub use size::Size;

/// A whole environment: network, cluster, load balancer, gateway and shares.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Topology {
    /// The version of this format.
    #[serde(default)]
    pub api_version: ApiVersion,
    /// Always `Topology`.
    #[serde(default)]
    pub kind: Kind,
    /// Names and labels everything that topo makes.
    pub name: TopologyName,
    /// The Docker network everything lives on.
    #[serde(default)]
    pub network: Network,
    /// The Kubernetes cluster.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cluster: Option<Cluster>,
    /// Images that every node has: references, or maps with more.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub images: Vec<Image>,
    /// The load balancer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metallb: Option<Metallb>,
    /// Kubernetes objects, applied in this order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub manifests: Vec<Manifest>,
    /// A folder of your own templates, each in place of topo's of the same name: `gateway/Dockerfile`. `topo render templates` prints those there are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub templates: Option<HostPath>,
    /// Values for templates among the manifests; they may be sensitive.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub vars: BTreeMap<String, Guarded>,
    /// Variables of the environment whose values are never shown or stored. They can be used in `vars`, in `values` of a chart, in `args` of an image and in `cluster.kindConfig`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sensitive: Vec<VariableName>,
    /// The gateway.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gateway: Option<Gateway>,
    /// Folders in pods.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub shares: Vec<Share>,
    /// The container that serves shares by `via: server`.
    #[serde(default)]
    pub nfs_server: NfsServer,
    /// Routes from a macOS host.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connector: Option<Connector>,
}

impl Topology {
    pub fn network_name(&self) -> Cow<'_, str> {
        match &self.network.name {
            Some(name) => Cow::Borrowed(name.as_str()),
            None => Cow::Owned(format!("topo-{}", self.name)),
        }
    }

    pub fn gateway_name(&self) -> Cow<'_, str> {
        match self.gateway.as_ref().and_then(|gateway| gateway.name.as_ref()) {
            Some(name) => Cow::Borrowed(name.as_str()),
            None => Cow::Owned(format!("{}-gw", self.name)),
        }
    }

    /// The cluster's kubeconfig context: kind's for one that topo makes.
    pub fn context_name(&self) -> Option<Cow<'_, str>> {
        self.cluster.as_ref().map(|cluster| match &cluster.context {
            Some(context) => Cow::Borrowed(context.as_str()),
            None => Cow::Owned(format!("kind-{}", self.name)),
        })
    }

    pub fn pools(&self) -> &[Pool] {
        self.metallb.as_ref().map_or(&[], |metallb| &metallb.pools)
    }

    /// Whether the gateway's ports are carried here from the machine that publishes them.
    pub fn is_exposed(&self) -> bool {
        self.gateway.as_ref().is_some_and(|gateway| gateway.expose.is_some())
    }

    /// Whether rules of the kernel publish ports of the gateway.
    pub fn is_published_by_kernel(&self) -> bool {
        let gateway = self.gateway.as_ref();
        gateway.is_some_and(|it| it.publications_by(PublishBy::Kernel).next().is_some())
    }

    /// Whether a rule of the kernel publishes where this forward listens.
    pub fn is_listened_by_kernel(&self, port: &Port) -> bool {
        let address = port.listen().addr;
        self.gateway.as_ref().is_some_and(|it| it.published_by(address) == PublishBy::Kernel)
    }

    /// Whether any share goes this way.
    pub fn has_share_by(&self, via: Via) -> bool {
        self.shares.iter().any(|share| share.via == via)
    }

    /// What a person says that something of the file needs, beside what follows from it.
    pub fn needs(&self) -> impl Iterator<Item = &NeedId> {
        let manifests = self.manifests.iter().flat_map(|manifest| &manifest.needs);
        let shares = self.shares.iter().flat_map(|share| &share.needs);
        manifests.chain(shares).chain(self.ports().iter().flat_map(|port| &port.needs))
    }

    /// Whether volumes of the cluster name the gateway's address, which must then stay what it is.
    pub fn is_gateway_in_volumes(&self) -> bool {
        self.has_share_by(Via::Ssh)
    }

    /// Whether tunnels of the file end at the gateway, so that its host key must be known.
    pub fn has_tunnels(&self) -> bool {
        self.is_exposed() || self.has_share_by(Via::Ssh)
    }

    /// The share whose tunnel carries this one: the first by `via: ssh` with the same server, since two
    /// tunnels could not listen on one port of the gateway.
    pub fn carrier<'a>(&'a self, share: &'a Share) -> &'a Share {
        let mut over_ssh = self.shares.iter().filter(|share| share.via == Via::Ssh);
        over_ssh.find(|other| other.nfs_ports().nfs == share.nfs_ports().nfs).unwrap_or(share)
    }

    /// The images of MetalLB that the file does not name itself: brought onto the nodes ahead, so that
    /// nothing has to be pulled while its webhook is waited for.
    pub fn metallb_images(&self) -> Vec<String> {
        let Some(metallb) = &self.metallb else { return Vec::new() };
        let named = |name: &String| self.images.iter().any(|image| image.name.to_string() == *name);
        metallb.images().into_iter().filter(|name| !named(name)).collect()
    }

    pub fn ports(&self) -> &[Port] {
        self.gateway.as_ref().map_or(&[], |gateway| &gateway.ports)
    }

    /// Whether packets come over IPv6 to the gateway, and have to leave it so: its kernel translates
    /// no address to one of the other family. Without IPv6 on the network the engine's own proxy
    /// brings them over IPv4.
    pub fn comes_over_ipv6(&self, port: &Port) -> bool {
        let translates =
            self.gateway.as_ref().is_some_and(|gateway| gateway.mode == GatewayForwarding::Dnat);
        translates && self.network.has_ipv6() && port.listen().addr.is_ipv6()
    }
}

/// The versions of this format that this topo reads.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(inline)]
pub enum ApiVersion {
    #[default]
    #[serde(rename = "topo/v1alpha1")]
    V1Alpha1,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(inline)]
pub enum Kind {
    #[default]
    Topology,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn shares_of_one_server_have_one_tunnel() {
        let shares = json!([
            { "name": "a", "path": "/a", "via": "ssh" },
            { "name": "b", "path": "/b", "via": "ssh", "nfs": { "port": 2050 } },
            { "name": "c", "path": "/c", "via": "ssh" },
        ]);
        let topology: Topology =
            serde_json::from_value(json!({ "name": "dev", "shares": shares })).expect("one");
        let carriers: Vec<&str> =
            topology.shares.iter().map(|share| topology.carrier(share).name.as_str()).collect();
        assert_eq!(carriers, ["a", "b", "a"]);
    }
}
