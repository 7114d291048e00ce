//! The pods that hold a share's claim: they keep it from going, and would lose it.

use kube::api::DynamicObject;

use super::volume::Pair;
use crate::backend::kube::{Kube, KubeError, Target};
use crate::manifest::Kinds;

/// A pod that uses a claim.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Holder {
    namespace: String,
    name: String,
    uid: Option<String>,
    /// Something will make another in its place.
    comes_again: bool,
}

/// The pods that hold this claim now.
pub async fn holders(kube: &Kube, pair: &Pair) -> Result<Vec<Holder>, KubeError> {
    let pod = Kinds::default().named(&"v1".into(), &"Pod".into());
    let claim = pair.claim();
    let pods = kube.list_in(&pod, claim.namespace, "").await?;
    let mut holders: Vec<Holder> =
        pods.iter().filter(|pod| holds(pod, claim.name)).map(Holder::from).collect();
    holders.sort_unstable();
    Ok(holders)
}

/// Ends the pods that something makes again. Until the new claim is there, those wait.
pub async fn restart(kube: &Kube, holders: &[Holder]) -> Result<(), KubeError> {
    let pod = Kinds::default().named(&"v1".into(), &"Pod".into());
    for holder in holders.iter().filter(|holder| holder.comes_again) {
        let target = Target { kind: &pod, namespace: Some(&holder.namespace), name: &holder.name };
        kube.delete(&target, holder.uid.as_deref()).await?;
    }
    Ok(())
}

/// Those that nobody would make again: topo does not end them.
pub fn alone(holders: &[Holder]) -> Vec<Holder> {
    holders.iter().filter(|holder| !holder.comes_again).cloned().collect()
}

/// `default/web-1, default/web-2`
pub fn listed(holders: &[Holder]) -> String {
    let names: Vec<String> =
        holders.iter().map(|holder| format!("{}/{}", holder.namespace, holder.name)).collect();
    names.join(", ")
}

/// A pod that has ended holds nothing.
fn holds(pod: &DynamicObject, claim: &str) -> bool {
    let has_ended =
        pod.data["status"]["phase"].as_str().is_some_and(|it| matches!(it, "Succeeded" | "Failed"));
    let volumes = pod.data["spec"]["volumes"].as_array();
    !has_ended
        && volumes
            .into_iter()
            .flatten()
            .any(|volume| volume["persistentVolumeClaim"]["claimName"] == claim)
}

impl From<&DynamicObject> for Holder {
    fn from(pod: &DynamicObject) -> Self {
        let owners = pod.metadata.owner_references.as_deref().unwrap_or_default();
        Self {
            namespace: pod.metadata.namespace.clone().unwrap_or_default(),
            name: pod.metadata.name.clone().unwrap_or_default(),
            uid: pod.metadata.uid.clone(),
            comes_again: owners.iter().any(|owner| owner.controller == Some(true)),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn pod(name: &str, phase: &str, owners: Value) -> DynamicObject {
        serde_json::from_value(json!({
            "metadata": { "name": name, "namespace": "default", "ownerReferences": owners },
            "spec": { "volumes": [
                { "name": "a", "emptyDir": {} },
                { "name": "b", "persistentVolumeClaim": { "claimName": "docs" } },
            ] },
            "status": { "phase": phase },
        }))
        .expect("a pod")
    }

    #[test]
    fn only_pods_that_run_hold_and_only_those_with_an_owner_come_again() {
        assert!(holds(&pod("web", "Running", json!([])), "docs"));
        assert!(!holds(&pod("web", "Succeeded", json!([])), "docs"));
        assert!(!holds(&pod("web", "Running", json!([])), "other"));

        let owner = json!([{ "apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web", "uid": "1", "controller": true }]);
        let holders =
            [&pod("a", "Running", owner), &pod("b", "Running", json!([]))].map(Holder::from);
        assert_eq!(listed(&alone(&holders)), "default/b");
    }
}
