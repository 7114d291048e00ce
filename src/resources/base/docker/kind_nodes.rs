//! The containers that kind makes of a cluster, known by kind's own labels and by topo's mark.

use crate::backend::docker::{Container, Snapshot};
use crate::resources::base::docker::ownership::{self, CLUSTER_LABEL, Whose};

/// kind's own label, beside the one that names the cluster.
pub const ROLE_LABEL: &str = "io.x-k8s.kind.role";

/// What kind puts before several control planes.
const LOAD_BALANCER: &str = "external-load-balancer";

/// The containers of a topology's cluster: nodes that bear its mark, and what stands before them.
pub fn containers<'a>(
    snapshot: &'a Snapshot,
    cluster: &'a str,
) -> impl Iterator<Item = &'a Container> {
    let is_marked =
        |container: &Container| ownership::of_container(cluster, container) == Whose::Ours;
    let has_nodes = named_alike(snapshot, cluster).any(is_marked);
    // The load balancer of several control planes takes no mounts. kind makes none for a name under
    // which anything is there already, so where marked nodes are it is theirs.
    named_alike(snapshot, cluster)
        .filter(move |container| is_marked(container) || (has_nodes && is_load_balancer(container)))
}

/// Whatever kind says is of a cluster of this name, whoever made it.
pub fn named_alike<'a>(
    snapshot: &'a Snapshot,
    cluster: &'a str,
) -> impl Iterator<Item = &'a Container> {
    snapshot.containers.iter().filter(move |container| self::cluster(container) == Some(cluster))
}

/// The name of the cluster that it is of, as kind says.
pub fn cluster(container: &Container) -> Option<&str> {
    container.labels.get(CLUSTER_LABEL).map(String::as_str)
}

/// The nodes that run pods, without the load balancer before several control planes.
pub fn kubernetes_nodes<'a>(
    snapshot: &'a Snapshot,
    cluster: &'a str,
) -> impl Iterator<Item = &'a Container> {
    containers(snapshot, cluster).filter(|node| is_control_plane(node) || is_worker(node))
}

pub fn is_worker_name(cluster: &str, node: &str) -> bool {
    node.strip_prefix(cluster).is_some_and(|rest| rest.starts_with("-worker"))
}

pub fn is_control_plane(container: &Container) -> bool {
    has_role(container, "control-plane")
}

pub fn is_worker(container: &Container) -> bool {
    has_role(container, "worker")
}

pub fn is_load_balancer(container: &Container) -> bool {
    has_role(container, LOAD_BALANCER)
}

fn has_role(container: &Container, wanted: &str) -> bool {
    container.labels.get(ROLE_LABEL).is_some_and(|role| role == wanted)
}

/// The name that a node's image was asked for by. Docker forgets it once the name has moved on to
/// another image, which is no change of the node.
pub fn image_name(node: &Container) -> Option<&str> {
    Some(node.image.as_str()).filter(|image| !image.starts_with("sha256:"))
}
