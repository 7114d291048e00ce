//! What others have changed of an object that topo applied, told from who owns its fields.
//!
//! Server-side apply writes down which manager set which field. A field that topo set and still
//! owns holds what topo applied; one that it no longer owns was changed or removed by somebody.
//! So neither defaults nor what controllers add is ever taken for drift, and no call is made.

use kube::api::DynamicObject;
use serde_json::{Map, Value};

use crate::backend::kube::MANAGER;
use crate::plan::Drifted;

/// The fields of `wanted`, as it was applied, that are no longer topo's in `live`.
pub fn drift(wanted: &Value, live: &DynamicObject) -> Vec<Drifted> {
    let owners = Owners::of(live);
    let mut walk = Walk { drifted: Vec::new() };
    let Value::Object(fields) = wanted else { return Vec::new() };
    let metadata = serde_json::to_value(&live.metadata).unwrap_or_default();
    for (name, value) in fields {
        let at = Place::top(&owners, name);
        match name.as_str() {
            "apiVersion" | "kind" | "status" => {}
            "metadata" => walk.metadata(value, &metadata, &at),
            _ => walk.value(value, live.data.get(name), &at),
        }
    }
    walk.drifted
}

/// The live values of fields, masked: their content must not be shown.
pub fn masked(drifted: Vec<Drifted>) -> Vec<Drifted> {
    let mask = |value: Value| if value.is_null() { value } else { "(sensitive)".into() };
    drifted
        .into_iter()
        .map(|one| Drifted { live: mask(one.live), applied: mask(one.applied), ..one })
        .collect()
}

/// Who owns which fields, as the API server wrote it down.
struct Owners<'a> {
    /// Topo's own, however it set them: what a webhook changes on the way in is filed apart.
    mine: Vec<&'a Value>,
    others: Vec<(&'a str, &'a Value)>,
}

impl<'a> Owners<'a> {
    fn of(live: &'a DynamicObject) -> Self {
        let mut owners = Self { mine: Vec::new(), others: Vec::new() };
        for entry in live.metadata.managed_fields.iter().flatten() {
            let Some(fields) = &entry.fields_v1 else { continue };
            match entry.manager.as_deref().unwrap_or("somebody") {
                MANAGER => owners.mine.push(&fields.0),
                other => owners.others.push((other, &fields.0)),
            }
        }
        owners
    }
}

/// A field, and where it stands in the field sets of all managers.
struct Place<'a> {
    path: String,
    mine: Vec<&'a Value>,
    others: Vec<(&'a str, &'a Value)>,
}

impl<'a> Place<'a> {
    fn top(owners: &Owners<'a>, name: &str) -> Self {
        let root =
            Self { path: String::new(), mine: owners.mine.clone(), others: owners.others.clone() };
        root.field(name)
    }

    fn field(&self, name: &str) -> Self {
        let path = if name.contains(['.', '/']) {
            format!("{}[{name}]", self.path)
        } else if self.path.is_empty() {
            name.to_owned()
        } else {
            format!("{}.{name}", self.path)
        };
        self.inside(&format!("f:{name}"), path)
    }

    fn inside(&self, key: &str, path: String) -> Self {
        let of = |set: &'a Value| set.get(key);
        Self {
            path,
            mine: self.mine.iter().filter_map(|set| of(set)).collect(),
            others: self.others.iter().filter_map(|(who, set)| Some((*who, of(set)?))).collect(),
        }
    }

    fn is_mine(&self) -> bool {
        !self.mine.is_empty()
    }

    /// Owned as a whole: a scalar, or a map or list that the API treats as one value.
    fn is_leaf(&self) -> bool {
        self.mine.iter().any(|set| set.as_object().is_some_and(Map::is_empty))
    }

    fn others_of(&self, item: &Value) -> Vec<(&'a str, &'a Value)> {
        let of = |set: &'a Value| {
            let mut parts = set.as_object()?.iter();
            parts.find(|(key, _)| is_key_of(key, item)).map(|(_, found)| found)
        };
        self.others.iter().filter_map(|(who, set)| Some((*who, of(set)?))).collect()
    }

    /// The keys under which topo owns items of this list: `k:{"name":"web"}`.
    fn items(&self) -> Vec<&'a str> {
        let sets = self.mine.iter().filter_map(|set| set.as_object());
        let mut keys: Vec<&str> =
            sets.flat_map(Map::keys).map(String::as_str).filter(|key| *key != ".").collect();
        keys.sort_unstable();
        keys.dedup();
        keys
    }
}

struct Walk {
    drifted: Vec<Drifted>,
}

impl Walk {
    fn metadata(&mut self, wanted: &Value, live: &Value, at: &Place) {
        let Value::Object(fields) = wanted else { return };
        for (name, value) in fields {
            if !matches!(name.as_str(), "name" | "namespace" | "creationTimestamp") {
                self.value(value, live.get(name), &at.field(name));
            }
        }
    }

    fn value(&mut self, wanted: &Value, live: Option<&Value>, at: &Place) {
        if is_nothing(wanted) || at.is_leaf() {
            return;
        }
        match wanted {
            Value::Object(fields) if at.is_mine() || live.is_some_and(Value::is_object) => {
                // Part by part even where none is topo's any more, so that the report names fields.
                for (name, value) in fields {
                    self.value(value, live.and_then(|live| live.get(name)), &at.field(name));
                }
            }
            Value::Array(items) if at.is_mine() => self.list(items, live, at),
            _ => self.report(wanted, live, at),
        }
    }

    fn list(&mut self, wanted: &[Value], live: Option<&Value>, at: &Place) {
        let owned = at.items();
        for (index, item) in wanted.iter().enumerate() {
            let key = owned.iter().find(|key| is_key_of(key, item));
            let found = live.and_then(|live| {
                let items = live.as_array()?;
                match item {
                    Value::Object(_) => match key.and_then(|key| key_fields(key)) {
                        Some(fields) => items.iter().find(|one| has_fields(one, &fields)),
                        None => items.iter().find(|one| has_name_of(one, item)),
                    },
                    _ => items.iter().find(|one| *one == item),
                }
            });
            if let Some(key) = key {
                let inner = at.inside(key, format!("{}[{}]", at.path, name_of(key)));
                if item.is_object() {
                    self.value(item, found, &inner);
                }
            } else {
                let label = name_in(item).unwrap_or_else(|| index.to_string());
                let path = format!("{}[{label}]", at.path);
                let others = at.others_of(item);
                self.report(item, found, &Place { path, mine: Vec::new(), others });
            }
        }
    }

    fn report(&mut self, wanted: &Value, live: Option<&Value>, at: &Place) {
        self.drifted.push(Drifted {
            path: at.path.clone(),
            live: live.cloned().unwrap_or_default(),
            applied: wanted.clone(),
            by: at.others.first().map(|(who, _)| (*who).to_owned()),
        });
    }
}

/// Empty maps and lists and nulls: the API may drop them, and nothing is lost by it.
fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        _ => false,
    }
}

fn key_fields(key: &str) -> Option<Map<String, Value>> {
    serde_json::from_str(key.strip_prefix("k:")?).ok()
}

/// Whether this key of a field set names the item. The parts of a key that the item leaves out
/// are defaults.
fn is_key_of(key: &str, item: &Value) -> bool {
    if let Some(fields) = key_fields(key) {
        let mut said = 0;
        return fields.iter().all(|(name, value)| match item.get(name) {
            Some(has) => {
                said += 1;
                has == value
            }
            None => true,
        }) && said > 0;
    }
    key.strip_prefix("v:")
        .and_then(|value| serde_json::from_str::<Value>(value).ok())
        .is_some_and(|value| value == *item)
}

fn has_fields(item: &Value, fields: &Map<String, Value>) -> bool {
    fields.iter().all(|(name, value)| item.get(name) == Some(value))
}

fn has_name_of(one: &Value, item: &Value) -> bool {
    ["name", "port", "containerPort", "mountPath", "ip"]
        .iter()
        .find_map(|key| item.get(key).map(|value| one.get(key) == Some(value)))
        .unwrap_or(false)
}

fn name_in(item: &Value) -> Option<String> {
    match item {
        Value::Object(_) => item.get("name").and_then(Value::as_str).map(ToOwned::to_owned),
        Value::String(text) => Some(text.clone()),
        _ => None,
    }
}

/// `k:{"containerPort":80,"protocol":"TCP"}` as people read it: `80,TCP`.
fn name_of(key: &str) -> String {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned);
    match key_fields(key) {
        Some(fields) => fields.values().map(text).collect::<Vec<_>>().join(","),
        None => key.trim_start_matches("v:").trim_matches('"').to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn wanted() -> Value {
        json!({
            "apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {"name": "web", "labels": {"app": "web"}, "creationTimestamp": null},
            "spec": {
                "replicas": 2,
                "selector": {"matchLabels": {"app": "web"}},
                "template": {"spec": {"containers": [
                    {"name": "web", "image": "web:1", "ports": [{"containerPort": 80}], "resources": {}},
                ]}},
            },
        })
    }

    fn owned() -> Value {
        json!({
            "f:metadata": {"f:labels": {"f:app": {}}},
            "f:spec": {
                "f:replicas": {},
                "f:selector": {},
                "f:template": {"f:spec": {"f:containers": {"k:{\"name\":\"web\"}": {
                    ".": {}, "f:name": {}, "f:image": {},
                    "f:ports": {"k:{\"containerPort\":80,\"protocol\":\"TCP\"}": {
                        ".": {}, "f:containerPort": {},
                    }},
                }}}},
            },
        })
    }

    fn live(mine: Value, other: Value) -> DynamicObject {
        serde_json::from_value(json!({
            "apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {
                "name": "web", "labels": {"app": "web", "extra": "x"},
                "managedFields": [
                    {"manager": "topo", "operation": "Apply", "fieldsType": "FieldsV1", "fieldsV1": mine},
                    {"manager": "kubectl", "operation": "Update", "fieldsType": "FieldsV1", "fieldsV1": other},
                ],
            },
            "spec": {"replicas": 5, "template": {"spec": {"containers": [
                {"name": "web", "image": "web:2", "ports": [{"containerPort": 80, "protocol": "TCP"}]},
            ]}}},
        }))
        .expect("an object")
    }

    #[test]
    fn what_is_still_owned_is_no_drift() {
        assert_eq!(drift(&wanted(), &live(owned(), json!({}))), []);
    }

    #[test]
    fn a_field_that_another_took_is_named_with_both_values() {
        let mut mine = owned();
        mine["f:spec"].as_object_mut().expect("a map").remove("f:replicas");
        let other = json!({"f:spec": {"f:replicas": {}}});
        let found = drift(&wanted(), &live(mine, other));
        assert_eq!(
            found,
            [Drifted {
                path: "spec.replicas".to_owned(),
                live: json!(5),
                applied: json!(2),
                by: Some("kubectl".to_owned()),
            }]
        );
    }

    #[test]
    fn fields_in_lists_are_named_by_their_item() {
        let mut mine = owned();
        mine["f:spec"]["f:template"]["f:spec"]["f:containers"]["k:{\"name\":\"web\"}"]
            .as_object_mut()
            .expect("a map")
            .remove("f:image");
        let found = drift(&wanted(), &live(mine, json!({})));
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].path, "spec.template.spec.containers[web].image");
        assert_eq!((&found[0].live, &found[0].applied), (&json!("web:2"), &json!("web:1")));
        assert_eq!(found[0].by, None);
    }

    #[test]
    fn an_item_or_a_label_that_was_removed_is_drift() {
        let mut mine = owned();
        mine.as_object_mut().expect("a map").remove("f:metadata");
        mine["f:spec"]["f:template"]["f:spec"]["f:containers"]["k:{\"name\":\"web\"}"]["f:ports"] =
            json!({".": {}});
        let mut live = live(mine, json!({}));
        live.metadata.labels = None;
        live.data["spec"]["template"]["spec"]["containers"][0]["ports"] = json!([]);
        let found = drift(&wanted(), &live);
        let paths: Vec<_> = found.iter().map(|one| one.path.as_str()).collect();
        assert_eq!(paths, ["metadata.labels", "spec.template.spec.containers[web].ports[0]"]);
    }

    #[test]
    fn secrets_are_masked() {
        let found = vec![Drifted {
            path: "data.key".to_owned(),
            live: json!("aHVudGVyMg=="),
            applied: Value::Null,
            by: None,
        }];
        assert_eq!(masked(found)[0].live, json!("(sensitive)"));
    }
}
