//! Waiting for an object to go, also where what was to let go of it has ended.
//!
//! cloud-provider-kind puts a finalizer on every Service of type LoadBalancer of every kind cluster of the
//! engine, and takes it off when the Service is deleted. After it has ended nothing does, and the Service
//! would stay for ever.

use std::time::Duration;

use kube::api::DynamicObject;
use serde_json::{Value, json};

use crate::backend::kube::{Deadline, Kube, KubeError, Target, WaitError};
use crate::resources::base::kube::service;

const FINALIZER: &str = "service.kubernetes.io/load-balancer-cleanup";

/// For which it is left to cloud-provider-kind, which takes a second or two while it runs.
const ITS_TURN: Duration = Duration::from_secs(8);

/// Waits for an object that is being deleted.
pub async fn until_gone(
    kube: &Kube,
    target: &Target<'_>,
    there: &DynamicObject,
    deadline: Deadline,
    say: impl Fn(&str),
) -> Result<(), WaitError> {
    let uid = there.metadata.uid.as_deref();
    if !is_held(there) || !service::is_of_kind(kube).await? {
        return kube.until_gone(target, uid, deadline).await;
    }
    match kube.until_gone(target, uid, Deadline::after(ITS_TURN)).await {
        Err(WaitError::TooLate { .. }) => {}
        done => return done,
    }
    say("taking off the finalizer that cloud-provider-kind left on it");
    if let Some(there) = kube.get(target).await?.filter(|now| now.metadata.uid.as_deref() == uid) {
        match kube.patch(target, &let_go(&there)).await {
            // It is gone by now, or was changed meanwhile: the wait below finds out which.
            Ok(()) | Err(KubeError::NotFound(_) | KubeError::Conflict { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    kube.until_gone(target, uid, deadline).await
}

fn is_held(object: &DynamicObject) -> bool {
    object.metadata.finalizers.iter().flatten().any(|it| it == FINALIZER)
}

/// A patch of this very version of the object, that keeps the finalizers of others.
fn let_go(object: &DynamicObject) -> Value {
    let others = object.metadata.finalizers.iter().flatten().filter(|it| *it != FINALIZER);
    json!({ "metadata": {
        "resourceVersion": object.metadata.resource_version,
        "finalizers": others.collect::<Vec<_>>(),
    } })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_finalizers_of_others_stay() {
        let service = json!({
            "apiVersion": "v1", "kind": "Service",
            "metadata": {
                "name": "web", "resourceVersion": "7",
                "finalizers": ["example.org/mine", FINALIZER],
            },
        });
        let service: DynamicObject = serde_json::from_value(service).expect("an object");
        assert!(is_held(&service));
        let patch = json!({ "metadata": {
            "resourceVersion": "7",
            "finalizers": ["example.org/mine"],
        } });
        assert_eq!(let_go(&service), patch);
    }
}
