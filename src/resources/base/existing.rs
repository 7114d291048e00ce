//! A cluster that topo did not make: which one it is, and where topo keeps its list in it.

use serde::{Deserialize, Serialize};

use crate::topology::Topology;

/// Written in the claim, so that the topology can be taken out of the cluster without its file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Existing {
    pub context: String,
    pub inventory_namespace: String,
    /// Of the cluster's kube-system: contexts get other names, and names come to mean other clusters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uid: Option<String>,
}

impl Existing {
    /// The one that the file names, if it does.
    pub fn named(topology: &Topology) -> Option<Self> {
        let cluster = topology.cluster.as_ref()?;
        Some(Self {
            context: cluster.context.clone()?,
            inventory_namespace: cluster.inventory_namespace().to_owned(),
            uid: None,
        })
    }
}
