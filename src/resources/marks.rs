//! The marks by which topo knows its own again.

use std::collections::BTreeMap;

use crate::plan::{Id, Record};

/// Labels of containers, networks and volumes.
pub const TOPOLOGY: &str = "dev.topo.topology";
pub const ID: &str = "dev.topo.id";
pub const RECORD: &str = "dev.topo.record";

/// Labels and annotations of Kubernetes objects.
pub const KUBE_TOPOLOGY: &str = "topo.dev/topology";
pub const KUBE_ID: &str = "topo.dev/id";
pub const KUBE_HASH: &str = "topo.dev/hash";
pub const KUBE_RECORD: &str = "topo.dev/record";
/// On topo's own lists of what it applied, and on the namespace of these lists.
pub const INVENTORY: &str = "topo.dev/inventory";

/// The labels of something that topo makes.
pub fn labels(topology: &str, id: &Id, record: &Record) -> BTreeMap<String, String> {
    let record = serde_json::to_string(record).unwrap_or_default();
    [
        (TOPOLOGY.to_owned(), topology.to_owned()),
        (ID.to_owned(), id.to_string()),
        (RECORD.to_owned(), record),
    ]
    .into()
}

/// What these labels say was applied, if they are this topology's.
pub fn record(topology: &str, labels: &BTreeMap<String, String>) -> Option<(Id, Record)> {
    if labels.get(TOPOLOGY)? != topology {
        return None;
    }
    let id = labels.get(ID)?.parse().ok()?;
    let record = serde_json::from_str(labels.get(RECORD)?).ok()?;
    Some((id, record))
}
