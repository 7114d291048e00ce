//! How soon kubelet restarts a container that ended with an error.
//!
//! By default it waits 10 s after the first end, twice as long after each other one, and 5 min at
//! most. When nodes start again, pods come up before kube-proxy serves, end with an error, and would
//! wait for that although the cluster has long been there for them.

use serde_json::{Value, json};

use crate::topology::{Cluster, ImageRef};

const GATE: &str = "KubeletCrashLoopBackOffMax";
const LONGEST_WAIT: &str = "1s";

/// What a kubelet can be told of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kubelet {
    /// Nothing. Before Kubernetes 1.32 it does not start with the gate, and so it may be where the
    /// version is not known.
    Fixed,
    /// 1.32 to 1.34: behind a feature gate that is off by default.
    Gated,
    /// From 1.35 on.
    Open,
}

impl Kubelet {
    /// Where the image tells its version; in others it may be any.
    pub fn of_image(image: &str) -> Self {
        let image = image.parse::<ImageRef>().ok();
        let version = image.as_ref().and_then(ImageRef::kubernetes);
        let minor = version.and_then(|version| version.split('.').nth(1)?.parse().ok());
        minor.map_or(Self::Fixed, Self::of_minor)
    }

    /// In the node image that this release of kind takes by itself.
    pub fn of_kind(release: Option<(u32, u32)>) -> Self {
        match release {
            Some((0, 26..=30)) => Self::Gated,
            Some((0, 31..)) => Self::Open,
            _ => Self::Fixed,
        }
    }

    fn of_minor(minor: u32) -> Self {
        match minor {
            0..=31 => Self::Fixed,
            32..=34 => Self::Gated,
            35.. => Self::Open,
        }
    }

    /// The merge patch by which a node of its own image takes the configuration that the cluster has
    /// for all nodes.
    pub fn adaptation(self) -> Option<Value> {
        match self {
            Self::Fixed => {
                Some(json!({ "featureGates": { GATE: null }, "crashLoopBackOff": null }))
            }
            Self::Gated => Some(json!({ "featureGates": { GATE: true } })),
            Self::Open => None,
        }
    }
}

/// kubeadm has one configuration for the kubelets of all nodes, so every one of them must take it.
pub fn patch(cluster: &Cluster, config: &Value, kubelets: &[Kubelet]) -> Option<Value> {
    if !cluster.quick_restarts() || kubelets.contains(&Kubelet::Fixed) || is_settled_by(config) {
        return None;
    }
    let mut patch = json!({
        "kind": "KubeletConfiguration",
        "crashLoopBackOff": { "maxContainerRestartPeriod": LONGEST_WAIT },
    });
    if kubelets.contains(&Kubelet::Gated) {
        patch["featureGates"] = json!({ GATE: true });
    }
    Some(patch)
}

/// The file says it itself, or replaces parts of kubelet's configuration as it finds them.
fn is_settled_by(config: &Value) -> bool {
    let patches = config["kubeadmConfigPatchesJSON6902"].as_array();
    let replaces = patches.into_iter().flatten().any(|one| one["kind"] == "KubeletConfiguration");
    replaces || config.to_string().to_lowercase().contains("crashloopbackoff")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn patched(cluster: Value, config: Value, kubelets: &[Kubelet]) -> Option<Value> {
        let cluster: Cluster = serde_json::from_value(cluster).expect("a cluster");
        patch(&cluster, &config, kubelets)
    }

    #[test]
    fn the_version_is_known_from_kinds_own_images_alone() {
        let digest = format!("@sha256:{}", "ab".repeat(32));
        for (image, kubelet) in [
            ("kindest/node:v1.31.12", Kubelet::Fixed),
            ("kindest/node:v1.32.0", Kubelet::Gated),
            (&format!("kindest/node:v1.34.4{digest}"), Kubelet::Gated),
            ("registry.example:5000/mirror/kindest/node:v1.37.0", Kubelet::Open),
            (&format!("kindest/node{digest}"), Kubelet::Fixed),
            ("kindest/node:latest", Kubelet::Fixed),
            ("kindest/node:v1.34.0-alpha.1", Kubelet::Fixed),
            ("kindest/node:v2.34.0", Kubelet::Fixed),
            ("example/my-kindest/node:v1.34.0", Kubelet::Fixed),
            ("example/node:v1.34.0", Kubelet::Fixed),
            ("not an image", Kubelet::Fixed),
        ] {
            assert_eq!(Kubelet::of_image(image), kubelet, "{image}");
        }
    }

    #[test]
    fn a_kind_between_releases_takes_an_image_that_is_not_known() {
        assert_eq!(Kubelet::of_kind(Some((0, 25))), Kubelet::Fixed);
        assert_eq!(Kubelet::of_kind(Some((0, 30))), Kubelet::Gated);
        assert_eq!(Kubelet::of_kind(Some((0, 33))), Kubelet::Open);
        assert_eq!(Kubelet::of_kind(None), Kubelet::Fixed);
    }

    #[test]
    fn the_gate_is_named_where_a_node_needs_it() {
        let period = json!({ "maxContainerRestartPeriod": "1s" });
        let open = patched(json!({}), json!({}), &[Kubelet::Open]).expect("a patch");
        assert_eq!((&open["crashLoopBackOff"], open.get("featureGates")), (&period, None));
        let mixed = patched(json!({}), json!({}), &[Kubelet::Open, Kubelet::Gated]);
        assert_eq!(mixed.expect("a patch")["featureGates"], json!({ GATE: true }));
    }

    #[test]
    fn nothing_is_set_where_a_node_would_refuse_it_or_the_file_decides() {
        assert_eq!(patched(json!({}), json!({}), &[Kubelet::Gated, Kubelet::Fixed]), None);
        assert_eq!(patched(json!({ "quickRestarts": false }), json!({}), &[Kubelet::Open]), None);
        for config in [
            json!({ "featureGates": { GATE: false } }),
            json!({ "kubeadmConfigPatches": ["kind: KubeletConfiguration\ncrashLoopBackOff: {}"] }),
            json!({ "kubeadmConfigPatchesJSON6902": [{ "kind": "KubeletConfiguration", "patch": "[]" }] }),
        ] {
            assert_eq!(patched(json!({}), config.clone(), &[Kubelet::Gated]), None, "{config}");
        }
        let others = json!({ "kubeadmConfigPatches": ["kind: KubeletConfiguration\nmaxPods: 20"] });
        assert!(patched(json!({}), others, &[Kubelet::Gated]).is_some());
    }
}
