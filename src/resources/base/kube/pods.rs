//! The pods of a workload: what is wrong with them, in their own words, and whether they stay up.

use std::time::Duration;

use kube::api::DynamicObject;
use serde_json::Value;
use tokio::time::{Instant, sleep};

use crate::backend::kube::{Deadline, Kube, KubeError, Target, WaitError};
use crate::manifest::Kinds;

/// How much of a container's log is shown when it fails.
const LOG_LINES: i64 = 10;

/// A container that has been up for so long after it fell is not about to fall at once again.
const STEADY: Duration = Duration::from_secs(5);
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// A container that nothing is asked of counts as available as soon as it runs, also if it is about
/// to fall; the node tells that about a second later.
const UNPROBED: Duration = Duration::from_secs(2);

pub fn has_condition(body: &Value, kind: &str) -> bool {
    conditions(body).any(|condition| condition["type"] == kind && condition["status"] == "True")
}

pub fn conditions(body: &Value) -> impl Iterator<Item = &Value> {
    body.pointer("/status/conditions").and_then(Value::as_array).into_iter().flatten()
}

pub fn text(value: &Value, key: &str) -> String {
    value[key].as_str().unwrap_or("it does not say why").to_owned()
}

/// What is wrong with a pod: `Pending: 0/3 nodes are available: Insufficient cpu`,
/// `web: ImagePullBackOff: …`. Nothing if it is only not ready yet.
pub fn complaint(body: &Value) -> Option<String> {
    let unscheduled = conditions(body)
        .find(|condition| condition["type"] == "PodScheduled" && condition["status"] == "False");
    if let Some(condition) = unscheduled {
        return Some(format!("Pending: {}", text(condition, "message")));
    }
    container_statuses(body).find_map(|status| {
        let name = status["name"].as_str()?;
        if let Some(waiting) = status.pointer("/state/waiting") {
            let reason = waiting["reason"].as_str()?;
            if matches!(reason, "ContainerCreating" | "PodInitializing") {
                return None;
            }
            return Some(match waiting["message"].as_str() {
                Some(message) => format!("{name}: {reason}: {message}"),
                None => format!("{name}: {reason}"),
            });
        }
        let ended = status.pointer("/state/terminated")?;
        let code = ended["exitCode"].as_i64().filter(|code| *code != 0)?;
        let reason = ended["reason"].as_str().unwrap_or("Error");
        Some(match ended["message"].as_str() {
            Some(message) => format!("{name}: {reason}, exit code {code}: {}", message.trim()),
            None => format!("{name}: {reason}, exit code {code}"),
        })
    })
}

fn container_statuses(body: &Value) -> impl Iterator<Item = &Value> {
    ["/status/initContainerStatuses", "/status/containerStatuses"]
        .into_iter()
        .filter_map(|pointer| body.pointer(pointer)?.as_array())
        .flatten()
}

/// A container that ended or was started again: its log says why.
fn fallen(body: &Value) -> Option<(&str, bool)> {
    container_statuses(body).find_map(|status| {
        let name = status["name"].as_str()?;
        let ended = status.pointer("/state/terminated/exitCode").and_then(Value::as_i64);
        if ended.is_some_and(|code| code != 0) {
            return Some((name, false));
        }
        status.pointer("/lastState/terminated").map(|_| (name, true))
    })
}

/// Why an object does not work, as its pods tell it; nothing if they have no complaint.
pub async fn why(kube: &Kube, target: &Target<'_>) -> Vec<String> {
    let pods = behind(kube, target).await.unwrap_or_default();
    let mut said = Vec::new();
    for pod in pods.iter().filter(|pod| !has_condition(&pod.data, "Ready")) {
        let name = pod.metadata.name.as_deref().unwrap_or_default();
        let namespace = target.namespace.unwrap_or_default();
        let Some(complaint) = complaint_or_warning(kube, namespace, name, &pod.data).await else {
            continue;
        };
        said.push(format!("pod {name}: {complaint}"));
        if let Some((container, previous)) = fallen(&pod.data) {
            let log = kube.log_tail(namespace, name, container, previous, LOG_LINES).await;
            said.extend(log.unwrap_or_default().into_iter().map(|line| format!("    {line}")));
            // One log is enough: the pods of one object fail alike.
            break;
        }
    }
    said
}

/// A pod that waits for a volume, or whose probes fail, says nothing itself: its events do.
pub async fn complaint_or_warning(
    kube: &Kube,
    namespace: &str,
    name: &str,
    body: &Value,
) -> Option<String> {
    match complaint(body) {
        Some(complaint) => Some(complaint),
        None => kube.warnings("Pod", namespace, name).await.unwrap_or_default().pop(),
    }
}

/// The pods that an object has now, or that it is.
pub async fn behind(kube: &Kube, target: &Target<'_>) -> Result<Vec<DynamicObject>, KubeError> {
    if target.kind.is("", "Pod") {
        return Ok(kube.get(target).await?.into_iter().collect());
    }
    of_workload(kube, target).await
}

/// A run of a container that has a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    pub pod: String,
    pub container: String,
    /// The pod has no other container.
    pub is_alone: bool,
    /// No other run has it, in this pod or another.
    pub id: String,
}

impl Run {
    /// As people read it: the pod's name says it all where it has but one container.
    pub fn name(&self) -> String {
        if self.is_alone { self.pod.clone() } else { format!("{}/{}", self.pod, self.container) }
    }
}

/// Of each container of a pod the last run, also one that has ended.
pub fn runs(pod: &DynamicObject) -> Vec<Run> {
    let run = |status: &Value| {
        let ids = ["/containerID", "/lastState/terminated/containerID"];
        let id = ids.iter().find_map(|id| status.pointer(id)?.as_str().filter(|id| !id.is_empty()));
        Some(Run {
            pod: pod.metadata.name.clone()?,
            container: status["name"].as_str()?.to_owned(),
            is_alone: container_statuses(&pod.data).count() == 1,
            id: id?.to_owned(),
        })
    };
    container_statuses(&pod.data).filter_map(run).collect()
}

/// Whether nothing runs in it any more, nor will again.
pub fn is_over(pod: &DynamicObject) -> bool {
    let phase = pod.data.pointer("/status/phase").and_then(Value::as_str);
    matches!(phase, Some("Succeeded" | "Failed"))
}

/// None if it is not there.
pub async fn of_workload(
    kube: &Kube,
    target: &Target<'_>,
) -> Result<Vec<DynamicObject>, KubeError> {
    let labels = kube.get(target).await?.and_then(|workload| selector(&workload.data));
    match labels {
        Some(labels) => of(kube, target.namespace, &labels).await,
        None => Ok(Vec::new()),
    }
}

async fn of(
    kube: &Kube,
    namespace: Option<&str>,
    labels: &str,
) -> Result<Vec<DynamicObject>, KubeError> {
    let pod = Kinds::default().named(&"v1".into(), &"Pod".into());
    kube.list_in(&pod, namespace, labels).await
}

/// A container that ends badly counts as available until it has ended, and again when it was
/// started again, so a workload in which that happens is looked at until it has stayed up for a
/// while.
pub async fn stay_up(
    kube: &Kube,
    namespace: Option<&str>,
    body: &Value,
    deadline: Deadline,
    say: impl Fn(&str),
) -> Result<(), WaitError> {
    let Some(labels) = selector(body) else { return Ok(()) };
    if is_unprobed(body) {
        sleep(UNPROBED).await;
    }
    let mut up_since: Option<(u64, Instant)> = None;
    loop {
        let pods = of(kube, namespace, &labels).await?;
        let Some(trouble) = Trouble::of(&pods) else { return Ok(()) };
        match up_since {
            Some((restarts, since)) if trouble.is_up && restarts == trouble.restarts => {
                if since.elapsed() >= STEADY {
                    return Ok(());
                }
            }
            _ => up_since = trouble.is_up.then(|| (trouble.restarts, Instant::now())),
        }
        say(&trouble.last);
        if deadline.is_over() {
            return Err(deadline.missed(trouble.last));
        }
        sleep(LOOK_AGAIN).await;
    }
}

/// Whether one of its containers has no readiness probe.
fn is_unprobed(body: &Value) -> bool {
    let containers = body.pointer("/spec/template/spec/containers").and_then(Value::as_array);
    containers.into_iter().flatten().any(|container| container.get("readinessProbe").is_none())
}

/// How a container last ended, now or before it was started again.
fn last_end(status: &Value) -> Option<i64> {
    let ends = ["/state/terminated/exitCode", "/lastState/terminated/exitCode"];
    ends.iter().find_map(|end| status.pointer(end)).and_then(Value::as_i64)
}

/// Containers that ended badly.
#[derive(Debug, PartialEq)]
struct Trouble {
    restarts: u64,
    is_up: bool,
    last: String,
}

impl Trouble {
    fn of(pods: &[DynamicObject]) -> Option<Self> {
        let staying = pods.iter().filter(|pod| pod.metadata.deletion_timestamp.is_none());
        let all = staying.flat_map(|pod| container_statuses(&pod.data));
        let fallen: Vec<&Value> =
            all.filter(|status| last_end(status).is_some_and(|code| code != 0)).collect();
        let first = fallen.first()?;
        let restarts = |status: &Value| status["restartCount"].as_u64().unwrap_or_default();
        Some(Self {
            restarts: fallen.iter().map(|status| restarts(status)).sum(),
            is_up: fallen.iter().all(|status| status.pointer("/state/running").is_some()),
            last: format!(
                "{} has ended with code {} and was started again, {} times",
                text(first, "name"),
                last_end(first).unwrap_or_default(),
                restarts(first),
            ),
        })
    }
}

fn selector(body: &Value) -> Option<String> {
    let labels = body.pointer("/spec/selector/matchLabels")?.as_object()?;
    let pairs: Vec<String> = labels
        .iter()
        .map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or("")))
        .collect();
    (!pairs.is_empty()).then(|| pairs.join(","))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_pod_complains_in_its_own_terms() {
        let pulling = json!({"status": {"phase": "Pending", "containerStatuses": [
            {"name": "web", "state": {"waiting": {"reason": "ImagePullBackOff", "message": "no such image"}}},
        ]}});
        assert_eq!(complaint(&pulling).expect("says"), "web: ImagePullBackOff: no such image");
        let unfit = json!({"status": {"conditions": [
            {"type": "PodScheduled", "status": "False", "message": "0/1 nodes are available: Insufficient cpu"},
        ]}});
        assert!(complaint(&unfit).expect("says").starts_with("Pending: 0/1 nodes"));
        let starting = json!({"status": {"containerStatuses": [
            {"name": "web", "state": {"waiting": {"reason": "ContainerCreating"}}},
        ]}});
        assert_eq!(complaint(&starting), None);
    }

    #[test]
    fn runs_are_those_that_have_a_log() {
        let pod = |statuses: Value| -> DynamicObject {
            serde_json::from_value(json!({ "metadata": { "name": "p" }, "status": {
                "containerStatuses": statuses,
            }}))
            .expect("a pod")
        };
        let names = |statuses| -> Vec<(String, String)> {
            runs(&pod(statuses)).iter().map(|run| (run.name(), run.id.clone())).collect()
        };
        let up =
            json!({ "name": "web", "containerID": "containerd://1", "state": { "running": {} } });
        let name = |name: &str, id: &str| (name.to_owned(), id.to_owned());
        assert_eq!(names(json!([up])), [name("p", "containerd://1")]);
        let never = json!({ "name": "never", "containerID": "", "state": { "waiting": {} } });
        assert_eq!(names(json!([up, never])), [name("p/web", "containerd://1")]);
        let fell = json!({ "name": "web", "state": { "waiting": {} },
            "lastState": { "terminated": { "containerID": "containerd://2" } } });
        assert_eq!(names(json!([fell])), [name("p", "containerd://2")]);
    }

    #[test]
    fn a_container_that_was_started_again_is_not_trusted_at_once() {
        let pod = |state: Value, code: i64| -> DynamicObject {
            serde_json::from_value(json!({ "metadata": { "name": "p" }, "status": {
                "containerStatuses": [{
                    "name": "web", "restartCount": 2, "state": state,
                    "lastState": { "terminated": { "exitCode": code } },
                }],
            }}))
            .expect("a pod")
        };
        let up = Trouble::of(&[pod(json!({ "running": {} }), 1)]).expect("is troubled");
        assert_eq!((up.restarts, up.is_up), (2, true));
        assert!(up.last.contains("web has ended with code 1"), "{}", up.last);
        let down = Trouble::of(&[pod(json!({ "waiting": {} }), 1)]).expect("is troubled");
        assert!(!down.is_up);
        assert_eq!(Trouble::of(&[pod(json!({ "running": {} }), 0)]), None);
        let ended = pod(json!({ "terminated": { "exitCode": 3 } }), 0);
        assert!(Trouble::of(&[ended]).is_some_and(|trouble| !trouble.is_up));
    }

    #[test]
    fn a_workload_is_probed_if_each_of_its_containers_is() {
        let body = |containers: Value| json!({ "spec": { "template": { "spec": { "containers": containers } } } });
        let probed = json!({ "name": "a", "readinessProbe": {} });
        assert!(!is_unprobed(&body(json!([probed]))));
        assert!(is_unprobed(&body(json!([probed, { "name": "b" }]))));
    }
}
