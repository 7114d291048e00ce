//! The key by which speakers know one another. MetalLB's controller makes it once it runs; until then
//! kubelet tries the speakers' volume later and later, and they come up seconds after it. Made ahead,
//! all start at once.

use std::sync::Arc;

use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD, BASE64_STANDARD_NO_PAD};
use serde_json::{Value, json};

use super::kind;
use crate::backend::kube::{Kube, Target};
use crate::engine::Failure;
use crate::manifest::Kind;

/// What the controller is told the Secret's name by.
const NAME: &str = "METALLB_ML_SECRET_NAME";
const KEY_LENGTH: usize = 16;

/// The Secret, if this release has one that its manifest leaves to the controller. One that is
/// there stays as it is: speakers that run have read it.
pub async fn missing(
    kube: &Kube,
    objects: &[(Arc<Kind>, Value)],
) -> Result<Option<(Arc<Kind>, Value)>, Failure> {
    let Some((namespace, name)) = asked_for(objects) else { return Ok(None) };
    let secret = kind("v1", "Secret");
    let target = Target { kind: &secret, namespace: Some(namespace), name };
    if kube.get(&target).await.map_err(|error| super::failed(&error))?.is_some() {
        return Ok(None);
    }
    let body = json!({
        "apiVersion": "v1", "kind": "Secret",
        "metadata": {"name": name, "namespace": namespace},
        "data": {"secretkey": BASE64_STANDARD.encode(new_key()?)},
    });
    Ok(Some((secret, body)))
}

/// Its namespace and name.
fn asked_for(objects: &[(Arc<Kind>, Value)]) -> Option<(&str, &str)> {
    let controller = objects.iter().find(|(kind, _)| kind.is("apps", "Deployment"));
    let (_, controller) = controller?;
    let containers = controller.pointer("/spec/template/spec/containers")?.as_array()?;
    let mut variables = containers.iter().filter_map(|container| container["env"].as_array());
    let variable = variables.find_map(|all| all.iter().find(|one| one["name"] == NAME))?;
    let (namespace, name) =
        (controller["metadata"]["namespace"].as_str()?, variable["value"].as_str()?);
    let is_in_manifest = objects
        .iter()
        .any(|(kind, body)| kind.is("", "Secret") && body["metadata"]["name"] == name);
    (!is_in_manifest).then_some((namespace, name))
}

/// In letters, as the controller itself writes it.
fn new_key() -> Result<String, Failure> {
    let mut key = [0; KEY_LENGTH];
    getrandom::fill(&mut key)
        .map_err(|error| Failure::because("the system gives no random numbers", &error))?;
    Ok(BASE64_STANDARD_NO_PAD.encode(key))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn controller(env: Value) -> (Arc<Kind>, Value) {
        let body = json!({
            "metadata": {"name": "controller", "namespace": "metallb-system"},
            "spec": {"template": {"spec": {"containers": [{"name": "controller", "env": env}]}}},
        });
        (kind("apps/v1", "Deployment"), body)
    }

    #[test]
    fn it_is_made_where_the_controller_would_make_it() {
        let named = controller(json!([{"name": "X"}, {"name": NAME, "value": "memberlist"}]));
        assert_eq!(asked_for(std::slice::from_ref(&named)), Some(("metallb-system", "memberlist")));
        assert_eq!(asked_for(&[controller(json!([{"name": "X", "value": "y"}]))]), None);
        let own = (kind("v1", "Secret"), json!({"metadata": {"name": "memberlist"}}));
        assert_eq!(asked_for(&[named, own]), None);
    }

    #[test]
    fn two_keys_are_never_the_same() {
        let keys = [new_key(), new_key()].map(|key| key.expect("random numbers"));
        assert_ne!(keys[0], keys[1]);
        assert_eq!(keys[0].len(), 22);
    }
}
