//! How far kind has come with a cluster, told while it is still at work on it.

use std::convert::Infallible;
use std::time::Duration;

use futures::future::try_join_all;

use crate::backend::kube::{Kube, Target};
use crate::engine::Turn;
use crate::manifest::Kinds;
use crate::resources::base::context::Context;
use crate::resources::base::in_cluster::{API, CONTAINERD};

const LOOK_AGAIN: Duration = Duration::from_millis(250);

/// For how long a call to the new API server is tried again: its network is taken from it for a
/// moment when the nodes' addresses are pinned.
const PATIENCE: Duration = Duration::from_secs(20);

/// Tells how far the cluster has come, beside the program that makes it. It never ends by itself.
pub async fn announce(cx: &Context, turn: &Turn, nodes: &[String]) -> Infallible {
    while !take_images(cx, nodes).await {
        tokio::time::sleep(LOOK_AGAIN).await;
    }
    turn.reached(CONTAINERD);
    loop {
        if let Some(kube) = takes_objects(cx).await {
            cx.hold_kube(kube).await;
            turn.reached(API);
            return std::future::pending().await;
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}

async fn take_images(cx: &Context, nodes: &[String]) -> bool {
    let ask = ["ctr", "--namespace=k8s.io", "images", "list", "--quiet"];
    try_join_all(nodes.iter().map(|node| cx.docker.exec(node, &ask))).await.is_ok()
}

/// The administrator's kubeconfig is written before its rights are, so what it may do is tried.
async fn takes_objects(cx: &Context) -> Option<Kube> {
    let kube = cx.reach_kube().await.ok()?;
    let namespace = Kinds::default().named(&"v1".into(), &"Namespace".into());
    let default = Target { kind: &namespace, namespace: None, name: "default" };
    kube.get(&default).await.ok().flatten()?;
    Some(kube.patient(PATIENCE))
}
