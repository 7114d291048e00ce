//! A cluster that kind went on making after the topo that had started it was killed.

use std::collections::BTreeSet;

use serde_json::json;

use super::roster::Roster;
use crate::backend::docker::Snapshot;
use crate::manifest::Kinds;
use crate::plan::Drifted;
use crate::resources::base::claim::Claim;
use crate::resources::base::context::Context;
use crate::resources::base::docker::kind_nodes::{containers, is_control_plane, is_worker};
use crate::resources::base::node_names;

/// In a plan: what follows kind's own part was not done.
pub const MAKING: &str = "creation";

pub fn unfinished() -> Drifted {
    Drifted {
        path: MAKING.to_owned(),
        live: json!("interrupted"),
        applied: json!("finished"),
        by: None,
    }
}

/// Its nodes, if kind came to its end: Kubernetes has every one of the file's, and the default
/// `StorageClass`, which kind makes before workers join and after all else.
pub async fn finished(cx: &Context, snapshot: &Snapshot, claim: Option<&Claim>) -> Option<Roster> {
    let topology = cx.file.as_deref()?;
    let planes = node_names::control_planes(topology);
    let workers: Vec<String> =
        node_names::workers(topology, claim).into_iter().map(|worker| worker.name).collect();
    if !is_last_step_seen(planes.len(), workers.len()) {
        return None;
    }
    let wanted: BTreeSet<&str> = planes.iter().chain(&workers).map(String::as_str).collect();
    let running = containers(snapshot, &cx.name)
        .filter(|node| (is_control_plane(node) || is_worker(node)) && node.is_running());
    if running.map(|node| node.name.as_str()).collect::<BTreeSet<_>>() != wanted {
        return None;
    }
    let roster = Roster::call(cx, snapshot).await.ok()?;
    let class = Kinds::default().named(&"storage.k8s.io/v1".into(), &"StorageClass".into());
    let classes = cx.kube().await.ok()?.list(&class, "").await.ok()?;
    let is_whole = wanted.iter().all(|name| roster.has(name)) && !classes.is_empty();
    is_whole.then_some(roster)
}

/// Workers join last. Where there are none, further control planes do, and of those it does not show
/// whether they have come to their end.
fn is_last_step_seen(planes: usize, workers: usize) -> bool {
    planes == 1 || workers > 0
}
