//! The objects of the manifests as a person reads them, templates filled in.

use serde_json::Value;

use crate::resources::base::kube::objects::Objects;
use crate::topology::MASK;

pub fn bodies(objects: &Objects, show_secrets: bool) -> Vec<Value> {
    let manifests = &objects.manifests;
    manifests
        .objects
        .iter()
        .map(|object| {
            let mut body = manifests.body(object);
            if object.secret && !show_secrets {
                mask(&mut body);
            }
            body
        })
        .collect()
}

/// Everything but what names the object.
fn mask(body: &mut Value) {
    let Some(fields) = body.as_object_mut() else { return };
    for (name, field) in fields.iter_mut() {
        if !matches!(name.as_str(), "apiVersion" | "kind" | "metadata" | "type") {
            mask_words(field);
        }
    }
    // What kubectl keeps of an earlier version holds the whole object.
    if let Some(annotations) = body.pointer_mut("/metadata/annotations") {
        mask_words(annotations);
    }
}

fn mask_words(value: &mut Value) {
    match value {
        Value::Object(fields) => fields.values_mut().for_each(mask_words),
        Value::Array(items) => items.iter_mut().for_each(mask_words),
        Value::String(text) => MASK.clone_into(text),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_masked_object_keeps_its_name_and_its_keys() {
        let mut secret = json!({
            "apiVersion": "v1", "kind": "Secret", "type": "Opaque",
            "metadata": { "name": "db", "annotations": { "last": "hunter2" } },
            "stringData": { "password": "hunter2", "hosts": ["hunter2"] },
        });
        mask(&mut secret);
        assert_eq!(
            secret,
            json!({
                "apiVersion": "v1", "kind": "Secret", "type": "Opaque",
                "metadata": { "name": "db", "annotations": { "last": "(sensitive)" } },
                "stringData": { "password": "(sensitive)", "hosts": ["(sensitive)"] },
            })
        );
    }
}
