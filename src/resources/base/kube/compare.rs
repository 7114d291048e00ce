//! Which fields differ between an object as it is and as it would be.

use kube::api::DynamicObject;
use serde_json::{Map, Value};

#[derive(Debug, PartialEq)]
pub struct Difference {
    pub path: String,
    pub before: Option<Value>,
    pub after: Option<Value>,
}

/// The differences that mean something: not those of bookkeeping, of status, or of topo's marks.
pub fn changes(before: &DynamicObject, after: &DynamicObject) -> Vec<Difference> {
    let mut found = Vec::new();
    let metadata = |object: &DynamicObject| {
        let strip = |all: Option<&std::collections::BTreeMap<String, String>>| {
            let kept = all.into_iter().flatten().filter(|(key, _)| !is_mark(key));
            Value::Object(kept.map(|(key, value)| (key.clone(), value.clone().into())).collect())
        };
        let metadata = &object.metadata;
        let mut fields = Map::new();
        fields.insert("labels".to_owned(), strip(metadata.labels.as_ref()));
        fields.insert("annotations".to_owned(), strip(metadata.annotations.as_ref()));
        Value::Object(fields)
    };
    compare("metadata", Some(&metadata(before)), Some(&metadata(after)), &mut found);
    let empty = Map::new();
    let (before, after) =
        (before.data.as_object().unwrap_or(&empty), after.data.as_object().unwrap_or(&empty));
    let names: std::collections::BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    for name in names.into_iter().filter(|name| *name != "status") {
        compare(name, before.get(name), after.get(name), &mut found);
    }
    found
}

fn is_mark(key: &str) -> bool {
    [
        "topo.dev/",
        "applyset.kubernetes.io/",
        "kubectl.kubernetes.io/last-applied",
        "deployment.kubernetes.io/",
    ]
    .iter()
    .any(|prefix| key.starts_with(prefix))
}

fn compare(path: &str, before: Option<&Value>, after: Option<&Value>, found: &mut Vec<Difference>) {
    match (before, after) {
        (before, after) if before == after => {}
        (Some(Value::Object(before)), Some(Value::Object(after))) => {
            let names: std::collections::BTreeSet<&String> =
                before.keys().chain(after.keys()).collect();
            for name in names {
                compare(&inner(path, name), before.get(name), after.get(name), found);
            }
        }
        (Some(Value::Array(old)), Some(Value::Array(new))) if are_named(old) && are_named(new) => {
            let names: std::collections::BTreeSet<&str> =
                old.iter().chain(new).filter_map(name).collect();
            for one in names {
                let of = |items: &'_ [Value]| items.iter().position(|item| name(item) == Some(one));
                let (old, new) = (of(old).map(|at| &old[at]), of(new).map(|at| &new[at]));
                compare(&format!("{path}[{one}]"), old, new, found);
            }
        }
        (before, after) => found.push(Difference {
            path: path.to_owned(),
            before: before.cloned(),
            after: after.cloned(),
        }),
    }
}

fn inner(path: &str, name: &str) -> String {
    if name.contains(['.', '/']) { format!("{path}[{name}]") } else { format!("{path}.{name}") }
}

fn are_named(items: &[Value]) -> bool {
    items.iter().all(|item| name(item).is_some())
}

fn name(item: &Value) -> Option<&str> {
    item.get("name")?.as_str()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn fields_are_named_as_people_read_them() {
        let object = |image: &str, label: &str, resource_version: &str| -> DynamicObject {
            serde_json::from_value(json!({
                "metadata": {
                    "name": "web", "resourceVersion": resource_version,
                    "labels": {"app.kubernetes.io/part": label, "topo.dev/topology": image},
                },
                "spec": {"containers": [{"name": "web", "image": image}, {"name": "side", "image": "s"}]},
                "status": {"x": resource_version},
            }))
            .expect("an object")
        };
        let found = changes(&object("web:1", "a", "7"), &object("web:2", "b", "8"));
        assert_eq!(
            found,
            [
                Difference {
                    path: "metadata.labels[app.kubernetes.io/part]".to_owned(),
                    before: Some(json!("a")),
                    after: Some(json!("b")),
                },
                Difference {
                    path: "spec.containers[web].image".to_owned(),
                    before: Some(json!("web:1")),
                    after: Some(json!("web:2")),
                },
            ]
        );
    }

    #[test]
    fn what_comes_and_goes_has_one_side_only() {
        let object = |spec: Value| -> DynamicObject {
            serde_json::from_value(json!({"metadata": {}, "spec": spec})).expect("an object")
        };
        let found = changes(&object(json!({"a": 1})), &object(json!({"b": [1]})));
        assert_eq!(
            found,
            [
                Difference { path: "spec.a".to_owned(), before: Some(json!(1)), after: None },
                Difference { path: "spec.b".to_owned(), before: None, after: Some(json!([1])) },
            ]
        );
    }
}
