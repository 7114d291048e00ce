//! `cluster`: a kind cluster to make, or one that exists.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::host_path::HostPath;
use super::image_ref::ImageRef;
use super::name::{ContainerPath, Label};
use super::port::{PortRange, Proto};
use super::sensitive::Guarded;
use super::text::{Malformed, Text, text_type};
use super::{kind_config, nearest, node_label};

/// The Kubernetes cluster: one that topo makes with kind, or with `context` one that exists.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("dependentSchemas" = {
    "context": { "properties": {
        "controlPlanes": false, "controlPlane": false, "workers": false, "groups": false, "image": false,
        "mounts": false, "ports": false, "kindConfig": false, "quickRestarts": false, "protect": false,
    } },
    "workers": { "properties": { "groups": false } },
}))]
pub struct Cluster {
    /// How many control planes, 1 to 9; an odd number keeps etcd's majority. Default: 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 9))]
    pub control_planes: Option<u8>,
    /// What the control planes have beside what every node has.
    #[serde(default, skip_serializing_if = "ControlPlane::is_plain")]
    pub control_plane: ControlPlane,
    /// How many workers, up to 200, when they are all alike; else `groups`. Default: 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 200))]
    pub workers: Option<u16>,
    /// Instead of `workers`: groups of workers that differ.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<Group>,
    /// The node image. Default: the one that the kind release in use brings.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image: Option<ImageRef>,
    /// Folders of this machine in every node.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mounts: Vec<Mount>,
    /// Ports of this machine that lead straight to the first control plane (kind's extraPortMappings).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ports: Vec<PortMapping>,
    /// Raw kind configuration (kind.x-k8s.io/v1alpha4), merged over what topo renders: maps merge, lists append.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<BTreeMap<String, Guarded>>")]
    pub kind_config: Option<Guarded>,
    /// Restart a container that ended with an error after 1 s at most, where Kubernetes waits up to 5 min: pods are back as soon as the cluster is. From Kubernetes 1.32 on, known from the tag of a `kindest/node` or from the kind release. `false`: as Kubernetes does. Default: true.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quick_restarts: Option<bool>,
    /// Instead of all of the above: the kubeconfig context of a cluster that exists. Nothing of it is made or removed but what this file names.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1))]
    pub context: Option<String>,
    /// Make this cluster's context the current one of the kubeconfig.
    #[serde(default)]
    pub use_context: bool,
    /// The namespace in which topo keeps its list of what it applied. Default: `topo-system`, made by topo; with `context` it is `default`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub inventory_namespace: Option<Label>,
    /// Refuse every change that would remove or replace the cluster or one of its nodes.
    #[serde(default)]
    pub protect: bool,
}

impl Cluster {
    pub fn control_planes(&self) -> u8 {
        self.control_planes.unwrap_or(1)
    }

    pub fn quick_restarts(&self) -> bool {
        self.quick_restarts.unwrap_or(true)
    }

    /// Workers of all groups together.
    pub fn worker_count(&self) -> usize {
        usize::from(self.workers.unwrap_or(0))
            + self.groups.iter().map(|group| usize::from(group.count)).sum::<usize>()
    }

    pub fn node_count(&self) -> usize {
        usize::from(self.control_planes()) + self.worker_count()
    }

    pub fn inventory_namespace(&self) -> &str {
        match &self.inventory_namespace {
            Some(namespace) => namespace.as_str(),
            None if self.exists() => "default",
            None => "topo-system",
        }
    }

    /// Whether it is a cluster that topo did not make.
    pub fn exists(&self) -> bool {
        self.context.is_some()
    }
}

/// What sets the control planes apart.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ControlPlane {
    /// Labels of the nodes.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Taints of the nodes as `key[=value]:Effect`, in place of Kubernetes' own; `[]` lets every pod run there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub taints: Option<Vec<Taint>>,
    /// Patches of kubeadm's configuration for these nodes, after those of `kindConfig`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub kubeadm_config_patches: Vec<KubeadmPatch>,
}

impl ControlPlane {
    fn is_plain(&self) -> bool {
        *self == Self::default()
    }
}

/// Workers that are alike.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Group {
    /// Name of the group; its nodes carry it as the label `topo.dev/group`.
    pub name: Label,
    /// How many workers, up to 200.
    #[serde(default = "one")]
    #[schemars(range(min = 0, max = 200))]
    pub count: u16,
    /// Labels of the nodes.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Taints of the nodes, as `key[=value]:Effect`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub taints: Vec<Taint>,
    /// Patches of kubeadm's configuration for these nodes, after those of `kindConfig`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub kubeadm_config_patches: Vec<KubeadmPatch>,
    /// The node image, where it is another than the cluster's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image: Option<ImageRef>,
    /// Folders of this machine in the nodes of this group.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mounts: Vec<Mount>,
    /// Ports of this machine that lead straight to the node; only for a group of one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ports: Vec<PortMapping>,
}

fn one() -> u16 {
    1
}

/// A folder of this machine in a node.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Mount {
    /// The folder on this machine.
    pub host_path: HostPath,
    /// Where it appears in the node; absolute.
    pub container_path: ContainerPath,
    /// Mount it read-only.
    #[serde(default)]
    pub read_only: bool,
    /// Which mounts made later, on this machine or in the node, the other side sees.
    #[serde(default)]
    pub propagation: Propagation,
    /// Relabel the folder for `SELinux`, for the nodes' private use.
    #[serde(default)]
    pub selinux_relabel: bool,
}

/// How mounts below a mounted folder spread, in Kubernetes' words.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(inline)]
pub enum Propagation {
    #[default]
    None,
    HostToContainer,
    Bidirectional,
}

/// A taint as kubectl writes it: `key=value:NoSchedule`, or without the value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taint {
    pub key: String,
    pub value: Option<String>,
    pub effect: String,
}

const EFFECTS: [&str; 3] = ["NoSchedule", "PreferNoSchedule", "NoExecute"];

impl fmt::Display for Taint {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match &self.value {
            Some(value) => write!(f, "{}={value}:{}", self.key, self.effect),
            None => write!(f, "{}:{}", self.key, self.effect),
        }
    }
}

impl FromStr for Taint {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        let (named, effect) = text.rsplit_once(':').ok_or_else(|| {
            Malformed::instead(
                format!("the effect of the taint `{text}` is missing"),
                format!("`{text}:NoSchedule`"),
            )
        })?;
        if !EFFECTS.contains(&effect) {
            return Err(Malformed::instead(
                format!("unknown effect `{effect}`"),
                nearest::or_all(effect, &EFFECTS),
            ));
        }
        let (key, value) = match named.split_once('=') {
            Some((key, value)) => (key, Some(value)),
            None => (named, None),
        };
        node_label::check(key, value.unwrap_or_default()).map_err(Malformed::new)?;
        let value = value.map(str::to_owned);
        Ok(Self { key: key.to_owned(), value, effect: effect.to_owned() })
    }
}

impl Text for Taint {
    const FORMAT: &'static str = "taint";
    const PATTERN: &'static str =
        "^[A-Za-z0-9._/-]+(=[A-Za-z0-9._-]*)?:(NoSchedule|PreferNoSchedule|NoExecute)$";
}
text_type!(Taint);

/// A patch of kubeadm's configuration, as kind takes it: YAML, each document a map laid over another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KubeadmPatch(String);

impl KubeadmPatch {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for KubeadmPatch {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for KubeadmPatch {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        if text.trim().is_empty() {
            return Err(Malformed::new("the patch is empty"));
        }
        kind_config::merge_patch(text).map(|()| Self(text.to_owned()))
    }
}

impl Text for KubeadmPatch {
    const FORMAT: &'static str = "kubeadm-patch";
    const PATTERN: &'static str = r"\S";
}
text_type!(KubeadmPatch);

/// A port of this machine that leads to a port of a node.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PortMapping {
    /// The node's port, or a range of them.
    pub container_port: PortRange,
    /// The port on this machine, or a range of the same length.
    pub host_port: PortRange,
    /// The address it listens on.
    #[serde(default = "localhost")]
    pub listen_address: IpAddr,
    /// `tcp` or `udp`.
    #[serde(default)]
    pub protocol: Proto,
}

fn localhost() -> IpAddr {
    IpAddr::V4(Ipv4Addr::LOCALHOST)
}
