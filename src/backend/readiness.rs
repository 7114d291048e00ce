//! Waiting for a cluster to work: by watching it, with a deadline, keeping what it last said.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::time::Duration;

use futures::{StreamExt, TryFutureExt, pin_mut};
use k8s_openapi::api::apps::v1::{DaemonSet, Deployment};
use k8s_openapi::api::core::v1::{Node, ServiceAccount};
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, Client, Resource, ResourceExt};
use serde::de::DeserializeOwned;

/// A wait that came to its end too early, with what was last seen.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("after {} s: {last}", limit.as_secs())]
pub struct StillUnready {
    pub limit: Duration,
    pub last: String,
}

/// What is still missing, in words; nothing when it is all there.
type Verdict = Result<(), String>;

/// All of these nodes exist and are Ready.
pub async fn nodes(
    client: &Client,
    names: &BTreeSet<String>,
    limit: Duration,
    tell: impl FnMut(String),
) -> Result<(), StillUnready> {
    until(Api::<Node>::all(client.clone()), limit, tell, |seen| {
        let waiting: Vec<&String> =
            names.iter().filter(|name| !seen.get(*name).is_some_and(is_ready)).collect();
        match waiting.as_slice() {
            [] => Ok(()),
            [name] => Err(format!("node {name} is {}", node_state(seen.get(*name)))),
            several => Err(format!("{} of {} nodes are not Ready", several.len(), names.len())),
        }
    })
    .await
}

/// What every cluster has of its own is up: `Deployment`s and `DaemonSet`s of `kube-system`, and the
/// service account without which no pod is admitted.
pub async fn system(
    client: &Client,
    limit: Duration,
    tell: impl FnMut(String) + Clone,
) -> Result<(), StillUnready> {
    let system = "kube-system";
    let deployments =
        until(Api::<Deployment>::namespaced(client.clone(), system), limit, tell.clone(), |seen| {
            let waiting = seen.values().filter(|one| !is_available(one)).map(name).collect();
            some_then_all("Deployments", seen.is_empty(), waiting)
        });
    let daemons =
        until(Api::<DaemonSet>::namespaced(client.clone(), system), limit, tell.clone(), |seen| {
            let waiting = seen.values().filter(|one| !is_everywhere(one)).map(name).collect();
            some_then_all("DaemonSets", seen.is_empty(), waiting)
        });
    let account =
        until(Api::<ServiceAccount>::namespaced(client.clone(), "default"), limit, tell, |seen| {
            seen.contains_key("default")
                .then_some(())
                .ok_or_else(|| "no default service account yet".to_owned())
        });
    tokio::try_join!(deployments, daemons, account.map_ok(|()| ()))?;
    Ok(())
}

fn some_then_all(kind: &str, none_yet: bool, waiting: Vec<String>) -> Verdict {
    match waiting.as_slice() {
        [] if none_yet => Err(format!("kube-system has no {kind} yet")),
        [] => Ok(()),
        names => Err(format!("kube-system: {} not available yet", names.join(", "))),
    }
}

async fn until<K>(
    api: Api<K>,
    limit: Duration,
    mut tell: impl FnMut(String),
    check: impl Fn(&BTreeMap<String, K>) -> Verdict,
) -> Result<(), StillUnready>
where
    K: Resource + Clone + DeserializeOwned + Debug + Send + 'static,
{
    let mut last = "nothing heard from the API server yet".to_owned();
    let events = watcher(api, watcher::Config::default());
    pin_mut!(events);
    let watching = async {
        let mut seen: BTreeMap<String, K> = BTreeMap::new();
        let mut listing = true;
        while let Some(event) = events.next().await {
            match event {
                Ok(Event::Init) => {
                    seen.clear();
                    listing = true;
                }
                Ok(Event::InitDone) => listing = false,
                Ok(Event::InitApply(object) | Event::Apply(object)) => {
                    seen.insert(object.name_any(), object);
                }
                Ok(Event::Delete(object)) => {
                    seen.remove(&object.name_any());
                }
                Err(error) => {
                    last = error.to_string();
                    // The watcher starts over by itself; without a pause it would spin on a dead API.
                    tokio::time::sleep(Duration::from_millis(200)).await;
                    continue;
                }
            }
            if listing {
                continue;
            }
            match check(&seen) {
                Ok(()) => return,
                Err(missing) => {
                    if missing != last {
                        tell(missing.clone());
                    }
                    last = missing;
                }
            }
        }
    };
    if tokio::time::timeout(limit, watching).await.is_ok() {
        return Ok(());
    }
    Err(StillUnready { limit, last })
}

fn name<K: Resource>(object: &K) -> String {
    object.name_any()
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
