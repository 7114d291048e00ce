//! Objects that bear topo's marks and are not topo's: copies of what topo made.

use kube::api::DynamicObject;

use crate::manifest::Kind;
use crate::resources::base::kube::objects;
use crate::resources::base::{ids, marks};

const DEFAULT_NAMESPACE: &str = "default";

/// Whether it bears the marks of another object: whoever copies an object copies its labels and
/// annotations too, and what was copied is not topo's.
pub fn is_copy(kind: &Kind, object: &DynamicObject) -> bool {
    let Some(id) = marks::kube_id(object) else { return false };
    let name = object.metadata.name.as_deref().unwrap_or_default();
    if id.kind() == ids::POOL {
        return id.name() != name;
    }
    let Some((group, of_kind, namespace, of_name)) = objects::parts(&id) else { return false };
    // An object without a namespace may be of a kind of which only the cluster knows that it has one.
    let is_elsewhere = object
        .metadata
        .namespace
        .as_deref()
        .is_some_and(|there| there != namespace.unwrap_or(DEFAULT_NAMESPACE));
    !kind.is(group, of_kind) || of_name != name || is_elsewhere
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::Kinds;
    use serde_json::{Value, json};

    fn is_copy(version: &str, kind: &str, metadata: Value) -> bool {
        let object: DynamicObject = serde_json::from_value(json!({
            "apiVersion": version, "kind": kind, "metadata": metadata,
        }))
        .expect("an object");
        super::is_copy(&Kinds::default().named(&version.into(), &kind.into()), &object)
    }

    #[test]
    fn a_copy_bears_the_id_of_what_it_was_copied_from() {
        let at = |namespace: Value, name: &str, id: &str| json!({ "namespace": namespace, "name": name, "annotations": { marks::KUBE_ID: id } });
        let id = "object/core/ConfigMap/web/settings";
        assert!(!is_copy("v1", "ConfigMap", at(json!("web"), "settings", id)));
        assert!(is_copy("v1", "ConfigMap", at(json!("other"), "settings", id)));
        assert!(is_copy("v1", "ConfigMap", at(json!("web"), "settings-2", id)));
        assert!(is_copy("v1", "Secret", at(json!("web"), "settings", id)));
        let unspaced = "object/e.com/Thing/_/one";
        assert!(!is_copy("e.com/v1", "Thing", at(json!("default"), "one", unspaced)));
        assert!(!is_copy("e.com/v1", "Thing", at(Value::Null, "one", unspaced)));
        assert!(is_copy("e.com/v1", "Thing", at(json!("web"), "one", unspaced)));
        let pool = "metallb.io/v1beta1";
        assert!(!is_copy(pool, "IPAddressPool", at(json!("metallb-system"), "dev", "pool/dev")));
        assert!(is_copy(pool, "IPAddressPool", at(json!("metallb-system"), "two", "pool/dev")));
        assert!(!is_copy("v1", "ConfigMap", json!({ "name": "plain" })));
    }
}
