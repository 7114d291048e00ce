//! Waiting for a cluster to work: by watching it, with a deadline, keeping what it last said.

use std::collections::BTreeSet;
use std::time::Duration;

use k8s_openapi::api::apps::v1::{DaemonSet, Deployment};
use k8s_openapi::api::core::v1::{Node, ServiceAccount};
use kube::{Api, Client, Resource, ResourceExt};

use super::kube::{Deadline, Verdict, WaitError, until_all};

/// All of these nodes exist and are Ready.
pub async fn nodes(
    client: &Client,
    names: &BTreeSet<String>,
    limit: Duration,
    tell: impl FnMut(&str),
) -> Result<(), WaitError> {
    let judge = |seen: &[Node]| {
        let of = |name: &str| seen.iter().find(|node| node.name_any() == name);
        let waiting: Vec<&String> =
            names.iter().filter(|name| !of(name).is_some_and(is_ready)).collect();
        match waiting.as_slice() {
            [] => Verdict::Done(()),
            [name] => Verdict::NotYet(format!("node {name} is {}", node_state(of(name)))),
            several => {
                Verdict::NotYet(format!("{} of {} nodes are not Ready", several.len(), names.len()))
            }
        }
    };
    until_all(Api::all(client.clone()), "", Deadline::after(limit), judge, tell).await
}

/// What every cluster has of its own is up: `Deployment`s and `DaemonSet`s of `kube-system`, and the
/// service account without which no pod is admitted.
pub async fn system(
    client: &Client,
    limit: Duration,
    tell: impl FnMut(&str) + Clone,
) -> Result<(), WaitError> {
    let deadline = Deadline::after(limit);
    let system = "kube-system";
    let deployments = until_all(
        Api::namespaced(client.clone(), system),
        "",
        deadline,
        |seen: &[Deployment]| up("Deployments", seen, is_available),
        tell.clone(),
    );
    let daemons = until_all(
        Api::namespaced(client.clone(), system),
        "",
        deadline,
        |seen: &[DaemonSet]| up("DaemonSets", seen, is_everywhere),
        tell.clone(),
    );
    let account = until_all(
        Api::namespaced(client.clone(), "default"),
        "",
        deadline,
        |seen: &[ServiceAccount]| {
            if seen.iter().any(|account| account.name_any() == "default") {
                Verdict::Done(())
            } else {
                Verdict::NotYet("no default service account yet".to_owned())
            }
        },
        tell,
    );
    tokio::try_join!(deployments, daemons, account)?;
    Ok(())
}

/// `DaemonSet`s with these labels run on every node that they are meant for.
pub async fn daemons(
    client: &Client,
    labels: &str,
    limit: Duration,
    tell: impl FnMut(&str),
) -> Result<(), WaitError> {
    let judge = |seen: &[DaemonSet]| match seen.iter().find(|daemon| !is_everywhere(daemon)) {
        None => Verdict::Done(()),
        Some(daemon) => {
            Verdict::NotYet(format!("DaemonSet {} is not on every node yet", daemon.name_any()))
        }
    };
    until_all(Api::all(client.clone()), labels, Deadline::after(limit), judge, tell).await
}

fn up<K: Resource>(kind: &str, seen: &[K], is_up: impl Fn(&K) -> bool) -> Verdict<()> {
    let waiting: Vec<String> =
        seen.iter().filter(|one| !is_up(one)).map(ResourceExt::name_any).collect();
    match waiting.as_slice() {
        [] if seen.is_empty() => Verdict::NotYet(format!("kube-system has no {kind} yet")),
        [] => Verdict::Done(()),
        names => Verdict::NotYet(format!("kube-system: {} not available yet", names.join(", "))),
    }
}

fn is_ready(node: &Node) -> bool {
    node_condition(node).is_some_and(|(status, _)| status == "True")
}

fn node_condition(node: &Node) -> Option<(&str, &str)> {
    let conditions = node.status.as_ref()?.conditions.as_ref()?;
    let ready = conditions.iter().find(|condition| condition.type_ == "Ready")?;
    Some((&ready.status, ready.message.as_deref().unwrap_or_default()))
}

fn node_state(node: Option<&Node>) -> String {
    match node {
        None => "not there yet".to_owned(),
        Some(node) => match node_condition(node) {
            Some((_, message)) if !message.is_empty() => format!("not Ready: {message}"),
            _ => "not Ready".to_owned(),
        },
    }
}

fn is_available(deployment: &Deployment) -> bool {
    let wanted = deployment.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1);
    deployment.status.as_ref().is_some_and(|status| {
        status.observed_generation >= deployment.metadata.generation
            && status.available_replicas.unwrap_or(0) >= wanted
    })
}

fn is_everywhere(daemon: &DaemonSet) -> bool {
    daemon.status.as_ref().is_some_and(|status| {
        status.observed_generation >= daemon.metadata.generation
            && status.number_available.unwrap_or(0) >= status.desired_number_scheduled
    })
}
