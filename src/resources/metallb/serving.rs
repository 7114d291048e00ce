//! Waiting until MetalLB really takes pools.

use std::time::Duration;

use kube::api::DynamicObject;
use serde_json::json;

use super::certificate::until_certified;
use super::nudge::keep_nudging;
use super::{NAMESPACE, kind};
use crate::backend::kube::{Apply, Deadline, Kube, Target, Verdict, WaitError};
use crate::engine::{Failure, Turn, Work};
use crate::plan::Outputs;
use crate::resources::base::context::Context;
use crate::resources::base::kube::{pods, ready};

const WAIT: Duration = Duration::from_mins(3);

/// A pool that is only ever tried, never made.
const PROBE: &str = "topo-probe";

pub async fn wait(cx: &Context, turn: &Turn) -> Result<Outputs, Failure> {
    if turn.work == Work::Delete {
        return Ok(Outputs::new());
    }
    let kube = cx.kube().await?;
    let deadline = Deadline::after(turn.patience(WAIT));
    if matches!(turn.work, Work::Create | Work::Update) {
        tokio::select! {
            serves = until_it_serves(&kube, turn, deadline) => serves?,
            never = keep_nudging(&kube, deadline) => match never {},
        }
    } else {
        until_it_serves(&kube, turn, deadline).await?;
    }
    Ok(Outputs::new())
}

/// The controller being available does not mean that its webhook serves, so each part of the way
/// is waited for, and at its end a pool is tried.
async fn until_it_serves(kube: &Kube, turn: &Turn, deadline: Deadline) -> Result<(), Failure> {
    let not_ready = |error: WaitError| Failure::because("MetalLB does not work yet", &error);
    let definition = kind("apiextensions.k8s.io/v1", "CustomResourceDefinition");
    for plural in ["ipaddresspools", "l2advertisements"] {
        let name = format!("{plural}.metallb.io");
        let target = Target { kind: &definition, namespace: None, name: &name };
        until_ready(kube, turn, &target, deadline).await.map_err(not_ready)?;
    }
    for (workload, name) in [("Deployment", "controller"), ("DaemonSet", "speaker")] {
        let workload = kind("apps/v1", workload);
        let target = Target { kind: &workload, namespace: Some(NAMESPACE), name };
        if let Err(error) = until_ready(kube, turn, &target, deadline).await {
            let said = pods::why(kube, &target).await;
            return Err(said.into_iter().fold(not_ready(error), Failure::caused_by));
        }
    }
    until_webhook_serves(kube, turn, deadline).await.map_err(not_ready)
}

async fn until_ready(
    kube: &Kube,
    turn: &Turn,
    target: &Target<'_>,
    deadline: Deadline,
) -> Result<(), WaitError> {
    let said = |last: &str| turn.say(format!("{} {}: {last}", target.kind.name, target.name));
    let judge = |live: Option<&DynamicObject>| ready::judge(target.kind, live);
    kube.until(target, deadline, judge, said).await.map(drop)
}

async fn until_webhook_serves(
    kube: &Kube,
    turn: &Turn,
    deadline: Deadline,
) -> Result<(), WaitError> {
    let said = |last: &str| turn.say(last);
    until_certified(kube, deadline, said).await?;

    let slices = kind("discovery.k8s.io/v1", "EndpointSlice");
    let target = Target { kind: &slices, namespace: Some(NAMESPACE), name: "" };
    let service = "kubernetes.io/service-name=metallb-webhook-service";
    kube.until_all(&target, service, deadline, has_endpoint, said).await?;

    let pool_kind = kind("metallb.io/v1beta1", "IPAddressPool");
    let probe = json!({
        "apiVersion": "metallb.io/v1beta1", "kind": "IPAddressPool",
        "metadata": {"name": PROBE, "namespace": NAMESPACE},
        // An address for documentation, which no pool has.
        "spec": {"addresses": ["192.0.2.1/32"]},
    });
    let target = Target { kind: &pool_kind, namespace: Some(NAMESPACE), name: PROBE };
    let how = Apply { force: true, dry_run: true };
    kube.persist(deadline, said, || kube.apply(&target, &probe, how)).await?;
    Ok(())
}

fn has_endpoint(slices: &[DynamicObject]) -> Verdict<()> {
    let ready = slices
        .iter()
        .filter_map(|slice| slice.data["endpoints"].as_array())
        .flatten()
        .any(|endpoint| endpoint["conditions"]["ready"] == true);
    if ready {
        Verdict::Done(())
    } else {
        Verdict::NotYet("its webhook has no endpoint yet".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_webhook_without_an_endpoint_does_not_serve() {
        assert!(matches!(has_endpoint(&[]), Verdict::NotYet(_)));
    }
}
