//! What was seen of a set-up that was made by hand.

use kube::api::DynamicObject;

use super::rules::Rules;
use crate::backend::docker::{Bind, Container, Network};

pub struct Sight {
    /// Of the topology that is written.
    pub name: String,
    /// Where the nodes are or, without a cluster, the gateway.
    pub network: Network,
    pub cluster: Option<Cluster>,
    pub gateway: Option<Gateway>,
}

/// A cluster that kind made.
pub struct Cluster {
    pub name: String,
    /// In the user's kubeconfig.
    pub context: String,
    pub nodes: Vec<Node>,
    /// The tag of MetalLB's controller, if one runs.
    pub metallb: Option<String>,
    pub pools: Vec<DynamicObject>,
    pub advertisements: Vec<DynamicObject>,
    /// Those of type LoadBalancer.
    pub services: Vec<DynamicObject>,
    /// `PersistentVolumes` that are mounted over NFS.
    pub volumes: Vec<DynamicObject>,
}

pub struct Node {
    pub container: Container,
    pub binds: Vec<Bind>,
}

/// A container that publishes ports and leads them on.
pub struct Gateway {
    pub container: Container,
    /// What it runs.
    pub command: String,
    /// Or why its rules cannot be read.
    pub rules: Result<Rules, String>,
}
