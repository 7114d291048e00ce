//! Whether an object works, by its kind.

use kube::api::DynamicObject;
use serde_json::Value;

use crate::backend::kube::Verdict;
use crate::manifest::Kind;
use crate::plan::Outputs;
use crate::resources::base::kube::pods::{complaint, conditions, has_condition, text};
use crate::resources::base::kube::service;

/// What an object comes to. Kinds that have no notion of being ready are so by being there.
pub fn judge(kind: &Kind, object: Option<&DynamicObject>) -> Verdict<Outputs> {
    let Some(object) = object else {
        return Verdict::NotYet("it is not there".to_owned());
    };
    if object.metadata.deletion_timestamp.is_some() {
        return Verdict::NotYet("it is being deleted".to_owned());
    }
    let body = &object.data;
    match (&*kind.group, &*kind.name) {
        ("", "Service") => service::judge(object),
        ("", "Pod") => pod(body),
        ("", "PersistentVolumeClaim") => claim(body),
        ("", "Namespace") => phase(body, "Active"),
        ("apps", "Deployment") => current(object, deployment),
        ("apps", "StatefulSet") => current(object, stateful_set),
        ("apps", "DaemonSet") => current(object, daemon_set),
        ("apps", "ReplicaSet") => current(object, |body| {
            counted(count(body, "/status/readyReplicas"), wanted_replicas(body))
        }),
        ("batch", "Job") => job(body),
        ("apiextensions.k8s.io", "CustomResourceDefinition") => condition(body, "Established"),
        ("apiregistration.k8s.io", "APIService") => condition(body, "Available"),
        _ => ready(),
    }
}

/// Whether objects of this kind become ready some time after they are there.
pub fn is_awaited(kind: &Kind) -> bool {
    let kinds: &[&str] = match &*kind.group {
        "" => &["Service", "Pod", "PersistentVolumeClaim", "Namespace"],
        "apps" => &["Deployment", "StatefulSet", "DaemonSet", "ReplicaSet"],
        "batch" => &["Job"],
        "apiextensions.k8s.io" => &["CustomResourceDefinition"],
        "apiregistration.k8s.io" => &["APIService"],
        _ => &[],
    };
    kinds.contains(&&*kind.name)
}

fn ready() -> Verdict<Outputs> {
    Verdict::Done(Outputs::new())
}

/// A status that speaks of an older spec says nothing about this one.
fn current(object: &DynamicObject, judge: impl Fn(&Value) -> Verdict<Outputs>) -> Verdict<Outputs> {
    let observed = object.data.pointer("/status/observedGeneration").and_then(Value::as_i64);
    if observed < object.metadata.generation {
        return Verdict::NotYet("its controller has not looked at it yet".to_owned());
    }
    judge(&object.data)
}

fn deployment(body: &Value) -> Verdict<Outputs> {
    let stalled = conditions(body).find(|condition| {
        condition["type"] == "Progressing" && condition["reason"] == "ProgressDeadlineExceeded"
    });
    if let Some(condition) = stalled {
        return Verdict::Failed(text(condition, "message"));
    }
    let wanted = wanted_replicas(body);
    let updated = count(body, "/status/updatedReplicas");
    if updated < wanted {
        return Verdict::NotYet(format!("{updated} of {wanted} pods are of the new version"));
    }
    counted(count(body, "/status/availableReplicas"), wanted)
}

fn stateful_set(body: &Value) -> Verdict<Outputs> {
    let wanted = wanted_replicas(body);
    let status = &body["status"];
    let rolls = body.pointer("/spec/updateStrategy/type").is_none_or(|kind| kind != "OnDelete");
    if rolls && status["updateRevision"] != status["currentRevision"] {
        let updated = count(body, "/status/updatedReplicas");
        if updated < wanted {
            return Verdict::NotYet(format!("{updated} of {wanted} pods are of the new version"));
        }
    }
    counted(count(body, "/status/readyReplicas"), wanted)
}

fn daemon_set(body: &Value) -> Verdict<Outputs> {
    let wanted = count(body, "/status/desiredNumberScheduled");
    let updated = count(body, "/status/updatedNumberScheduled");
    if updated < wanted {
        return Verdict::NotYet(format!("{updated} of {wanted} nodes have the new version"));
    }
    counted(count(body, "/status/numberAvailable"), wanted)
}

fn counted(ready: u64, wanted: u64) -> Verdict<Outputs> {
    if ready >= wanted {
        self::ready()
    } else {
        Verdict::NotYet(format!("{ready} of {wanted} pods are ready"))
    }
}

fn job(body: &Value) -> Verdict<Outputs> {
    for condition in conditions(body).filter(|condition| condition["status"] == "True") {
        match condition["type"].as_str() {
            Some("Complete" | "SuccessCriteriaMet") => return ready(),
            Some("Failed") => return Verdict::Failed(text(condition, "message")),
            _ => {}
        }
    }
    if body.pointer("/spec/suspend") == Some(&Value::Bool(true)) {
        return ready();
    }
    let wanted = body.pointer("/spec/completions").and_then(Value::as_u64).unwrap_or(1);
    let done = count(body, "/status/succeeded");
    Verdict::NotYet(format!("{done} of {wanted} runs are complete"))
}

fn pod(body: &Value) -> Verdict<Outputs> {
    match body.pointer("/status/phase").and_then(Value::as_str) {
        Some("Succeeded") => ready(),
        Some("Failed") => Verdict::Failed("it has ended in failure".to_owned()),
        _ if has_condition(body, "Ready") => ready(),
        phase => Verdict::NotYet(
            complaint(body).unwrap_or_else(|| phase.unwrap_or("not looked at yet").to_owned()),
        ),
    }
}

fn claim(body: &Value) -> Verdict<Outputs> {
    match body.pointer("/status/phase").and_then(Value::as_str) {
        Some("Lost") => Verdict::Failed("its volume is lost".to_owned()),
        // Most classes bind a claim only when a pod uses it, and that pod may come later.
        _ => ready(),
    }
}

fn phase(body: &Value, wanted: &str) -> Verdict<Outputs> {
    match body.pointer("/status/phase").and_then(Value::as_str) {
        Some(phase) if phase == wanted => ready(),
        phase => Verdict::NotYet(phase.unwrap_or("not looked at yet").to_owned()),
    }
}

fn condition(body: &Value, wanted: &str) -> Verdict<Outputs> {
    if has_condition(body, wanted) {
        return ready();
    }
    let refused = conditions(body)
        .find(|condition| condition["type"] == "NamesAccepted" && condition["status"] == "False");
    match refused {
        Some(condition) => Verdict::Failed(text(condition, "message")),
        None => Verdict::NotYet(format!("not {wanted} yet")),
    }
}

fn count(body: &Value, pointer: &str) -> u64 {
    body.pointer(pointer).and_then(Value::as_u64).unwrap_or(0)
}

fn wanted_replicas(body: &Value) -> u64 {
    body.pointer("/spec/replicas").and_then(Value::as_u64).unwrap_or(1)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::manifest::Kinds;

    fn judged(api_version: &str, kind: &str, generation: i64, body: Value) -> Verdict<Outputs> {
        let kind = Kinds::default().named(&api_version.into(), &kind.into());
        let mut object: DynamicObject = serde_json::from_value(body).expect("an object");
        object.metadata.generation = Some(generation);
        judge(&kind, Some(&object))
    }

    fn not_yet(verdict: Verdict<Outputs>) -> String {
        match verdict {
            Verdict::NotYet(why) => why,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_deployment_is_ready_when_all_pods_of_the_new_version_are() {
        let status = |generation: i64, updated: u64, available: u64| {
            json!({"metadata": {}, "spec": {"replicas": 2}, "status": {
                "observedGeneration": generation,
                "updatedReplicas": updated,
                "availableReplicas": available,
            }})
        };
        let judge = |body| judged("apps/v1", "Deployment", 2, body);
        assert!(not_yet(judge(status(1, 2, 2))).contains("has not looked"));
        assert_eq!(not_yet(judge(status(2, 1, 2))), "1 of 2 pods are of the new version");
        assert_eq!(not_yet(judge(status(2, 2, 1))), "1 of 2 pods are ready");
        assert_eq!(judge(status(2, 2, 2)), ready());
    }

    #[test]
    fn a_failed_job_fails_at_once() {
        let body = json!({"metadata": {}, "spec": {}, "status": {"conditions": [
            {"type": "Failed", "status": "True", "message": "Job has reached the specified backoff limit"},
        ]}});
        let verdict = judged("batch/v1", "Job", 1, body);
        assert_eq!(
            verdict,
            Verdict::Failed("Job has reached the specified backoff limit".to_owned())
        );
    }
}
