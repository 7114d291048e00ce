//! What is in the cluster waits for it, and no longer than it must: kind ends when everything is up,
//! but its nodes take images long before that, and its API server takes objects.

use crate::plan::{Bond, Resource, Stage};
use crate::resources::base::ids;
use crate::topology::Topology;

/// containerd of every node answers.
pub const CONTAINERD: Stage = "containerd";
/// The API server takes objects from the administrator.
pub const API: Stage = "api";

/// What everything in the cluster is inside of; nothing if the cluster is not this topology's.
pub fn inside(topology: &Topology) -> Option<Bond> {
    let made = topology.cluster.as_ref().is_none_or(|cluster| cluster.context.is_none());
    made.then(|| Bond::Inside(ids::cluster(topology.name.as_str())))
}

/// An object in the cluster, which is applied as soon as that can be.
pub fn in_cluster(mut resource: Resource, topology: &Topology) -> Resource {
    if let Some(Bond::Inside(cluster)) = inside(topology) {
        resource = resource.bond(Bond::Inside(cluster.clone())).from_stage(cluster, API);
    }
    resource
}
