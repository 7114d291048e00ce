//! The certificate of MetalLB's webhook.

use kube::api::DynamicObject;
use serde_json::Value;

use super::kind;
use crate::backend::kube::{Deadline, Kube, Target, Verdict, WaitError};

/// What its controller does last, once it has written a certificate.
pub async fn until_certified(
    kube: &Kube,
    deadline: Deadline,
    said: impl Fn(&str),
) -> Result<(), WaitError> {
    let webhooks = kind("admissionregistration.k8s.io/v1", "ValidatingWebhookConfiguration");
    let target = Target { kind: &webhooks, namespace: None, name: "metallb-webhook-configuration" };
    kube.until(&target, deadline, has_certificates, said).await
}

fn has_certificates(live: Option<&DynamicObject>) -> Verdict<()> {
    let webhooks = live.and_then(|live| live.data.get("webhooks")?.as_array());
    let served = webhooks.is_some_and(|webhooks| {
        let certificate = |hook: &Value| hook["clientConfig"]["caBundle"].as_str().is_some();
        !webhooks.is_empty() && webhooks.iter().all(certificate)
    });
    if served {
        Verdict::Done(())
    } else {
        Verdict::NotYet("its webhook has no certificate yet".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_hook_has_one() {
        let hooks = |bundles: Value| -> DynamicObject {
            serde_json::from_value(json!({"metadata": {}, "webhooks": bundles})).expect("an object")
        };
        let ready = json!([{"clientConfig": {"caBundle": "x"}}]);
        assert_eq!(has_certificates(Some(&hooks(ready))), Verdict::Done(()));
        let half = json!([{"clientConfig": {"caBundle": "x"}}, {"clientConfig": {}}]);
        assert!(matches!(has_certificates(Some(&hooks(half))), Verdict::NotYet(_)));
        assert!(matches!(has_certificates(None), Verdict::NotYet(_)));
    }
}
