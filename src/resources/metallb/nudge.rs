//! MetalLB's controller writes its webhook's certificate into a Secret, and serves once kubelet has
//! carried it from there into the pod's volume. kubelet looks after a volume when it looks after the
//! pod: when that has changed, or else a minute and more later. So the pod is changed.

use std::convert::Infallible;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::json;
use tokio::time::sleep;

use super::certificate::until_certified;
use super::{NAMESPACE, kind};
use crate::backend::kube::{Deadline, Kube, KubeError, Target};
use crate::resources::base::kube::pods;

const ANNOTATION: &str = "topo.dev/certificate-asked-for-at";

/// kubelet may hear of the pod before it hears of the Secret.
const AGAIN: Duration = Duration::from_secs(3);

/// From when there is a certificate until nobody wants it any more. That it fails holds nothing up:
/// kubelet comes by itself in the end.
pub async fn keep_nudging(kube: &Kube, deadline: Deadline) -> Infallible {
    let _ = until_certified(kube, deadline, |_| {}).await;
    loop {
        let _ = nudge(kube).await;
        sleep(AGAIN).await;
    }
}

async fn nudge(kube: &Kube) -> Result<(), KubeError> {
    let deployment = kind("apps/v1", "Deployment");
    let target = Target { kind: &deployment, namespace: Some(NAMESPACE), name: "controller" };
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
    let changed = json!({"metadata": {"annotations": {ANNOTATION: now.to_string()}}});
    let pod_kind = kind("v1", "Pod");
    for pod in pods::of_workload(kube, &target).await? {
        let name = pod.metadata.name.as_deref().unwrap_or_default();
        let target = Target { kind: &pod_kind, namespace: Some(NAMESPACE), name };
        kube.patch(&target, &changed).await?;
    }
    Ok(())
}
