//! What Kubernetes says of the nodes. A container that runs is no node until Kubernetes has it, and
//! none that works until its kubelet reports.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use kube::api::DynamicObject;

use crate::backend::docker::Snapshot;
use crate::engine::Failure;
use crate::manifest::Kinds;
use crate::resources::base::context::Context;

/// One list of all nodes, where the API server gave one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Roster {
    Known(BTreeMap<String, Standing>),
    #[default]
    Unknown,
}

/// The one that was called last: the cluster's look at itself is the nodes' too.
#[derive(Default)]
pub struct LastRoster(Mutex<Roster>);

impl LastRoster {
    pub fn set(&self, roster: Roster) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = roster;
    }

    pub fn get(&self) -> Roster {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    Ready,
    /// In its kubelet's words.
    NotReady(String),
    /// Its kubelet has not reported for so long that Kubernetes has given it up.
    Silent(String),
}

impl Roster {
    pub async fn call(cx: &Context, snapshot: &Snapshot) -> Result<Self, Failure> {
        cx.kube_of(snapshot).await?;
        let kube = cx.kube_ready().await?;
        let node = Kinds::default().named(&"v1".into(), &"Node".into());
        let nodes = kube
            .list(&node, "")
            .await
            .map_err(|error| Failure::because("cannot list the cluster's nodes", &error))?;
        Ok(Self::of(&nodes))
    }

    fn of(nodes: &[DynamicObject]) -> Self {
        let named = |node: &DynamicObject| Some((node.metadata.name.clone()?, standing(node)));
        Self::Known(nodes.iter().filter_map(named).collect())
    }

    pub fn has(&self, name: &str) -> bool {
        matches!(self, Self::Known(nodes) if nodes.contains_key(name))
    }

    /// Kubernetes has no node of this name.
    pub fn lacks(&self, name: &str) -> bool {
        matches!(self, Self::Known(nodes) if !nodes.contains_key(name))
    }

    pub fn is_silent(&self, name: &str) -> bool {
        matches!(self, Self::Known(nodes) if matches!(nodes.get(name), Some(Standing::Silent(_))))
    }

    pub fn why_not_ready(&self, name: &str) -> Option<String> {
        let Self::Known(nodes) = self else { return None };
        match nodes.get(name) {
            Some(Standing::Ready) => None,
            Some(Standing::NotReady(why) | Standing::Silent(why)) => {
                Some(format!("node `{name}` is not Ready: {why}"))
            }
            None => Some(format!("Kubernetes has no node `{name}`")),
        }
    }
}

fn standing(node: &DynamicObject) -> Standing {
    let conditions = node.data["status"]["conditions"].as_array();
    let ready = conditions.into_iter().flatten().find(|one| one["type"] == "Ready");
    let Some(ready) = ready else {
        return Standing::NotReady("its kubelet has not reported yet".to_owned());
    };
    let why = ready["message"].as_str().unwrap_or_default().to_owned();
    match ready["status"].as_str() {
        Some("True") => Standing::Ready,
        Some("Unknown") => Standing::Silent(why),
        _ => Standing::NotReady(why),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn node(name: &str, ready: Value) -> DynamicObject {
        serde_json::from_value(json!({
            "apiVersion": "v1", "kind": "Node", "metadata": { "name": name },
            "status": { "conditions": [{ "type": "MemoryPressure", "status": "False" }, ready] },
        }))
        .expect("a node")
    }

    #[test]
    fn a_node_is_what_kubernetes_says_of_it() {
        let stopped = "Kubelet stopped posting node status.";
        let roster = Roster::of(&[
            node("up", json!({ "type": "Ready", "status": "True" })),
            node("down", json!({ "type": "Ready", "status": "False", "message": "no CNI" })),
            node("gone", json!({ "type": "Ready", "status": "Unknown", "message": stopped })),
            node("new", json!({ "type": "DiskPressure", "status": "False" })),
        ]);
        assert_eq!(roster.why_not_ready("up"), None);
        assert_eq!(
            roster.why_not_ready("down").as_deref(),
            Some("node `down` is not Ready: no CNI")
        );
        assert!(roster.is_silent("gone") && !roster.is_silent("down"));
        assert!(roster.why_not_ready("new").is_some());
        assert!(roster.lacks("never") && !roster.lacks("gone"));
        assert!(roster.has("gone") && !roster.has("never"));
        assert!(!Roster::Unknown.lacks("never") && !Roster::Unknown.is_silent("gone"));
        assert_eq!(Roster::Unknown.why_not_ready("down"), None);
    }
}
