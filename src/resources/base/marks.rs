//! The marks by which topo knows its own again.

use std::collections::BTreeMap;

use kube::api::DynamicObject;
use serde_json::{Value, json};

use crate::plan::{Id, Item, Record};

/// Labels of containers, networks and volumes.
pub const TOPOLOGY: &str = "dev.topo.topology";
pub const ID: &str = "dev.topo.id";
pub const RECORD: &str = "dev.topo.record";

/// Labels and annotations of Kubernetes objects.
pub const KUBE_TOPOLOGY: &str = "topo.dev/topology";
pub const KUBE_ID: &str = "topo.dev/id";
pub const KUBE_HASH: &str = "topo.dev/hash";
pub const KUBE_RECORD: &str = "topo.dev/record";
/// On topo's own lists of what it applied, and on the namespace of these lists.
pub const INVENTORY: &str = "topo.dev/inventory";

/// The labels of something that topo makes.
pub fn labels(topology: &str, id: &Id, record: &Record) -> BTreeMap<String, String> {
    let record = serde_json::to_string(record).unwrap_or_default();
    [
        (TOPOLOGY.to_owned(), topology.to_owned()),
        (ID.to_owned(), id.to_string()),
        (RECORD.to_owned(), record),
    ]
    .into()
}

/// What these labels say was applied, if they are this topology's. A copy of a thing may have its
/// labels, as a container made of its image does: the caller compares the name.
pub fn record(topology: &str, labels: &BTreeMap<String, String>) -> Option<(Id, Record)> {
    if labels.get(TOPOLOGY)? != topology {
        return None;
    }
    let id = labels.get(ID)?.parse().ok()?;
    let record = serde_json::from_str(labels.get(RECORD)?).ok()?;
    Some((id, record))
}

/// Selects the objects of a topology.
pub fn selector(topology: &str) -> String {
    format!("{KUBE_TOPOLOGY}={topology}")
}

/// Marks an object, before it is applied, as this topology's.
pub fn stamp(body: &mut Value, topology: &str, id: &Id) {
    label(body, KUBE_TOPOLOGY, topology);
    annotate(body, KUBE_ID, id.as_str());
}

pub fn label(body: &mut Value, key: &str, value: impl Into<Value>) {
    write(body, "labels", key, value.into());
}

pub fn annotate(body: &mut Value, key: &str, value: impl Into<Value>) {
    write(body, "annotations", key, value.into());
}

/// Into a map that may be missing. One that is no map is left for the API server to complain of.
fn write(body: &mut Value, map: &str, key: &str, value: Value) {
    let Some(metadata) = body.get_mut("metadata").and_then(Value::as_object_mut) else { return };
    let map = metadata.entry(map).or_insert(Value::Null);
    if map.is_null() {
        *map = json!({});
    }
    if let Some(map) = map.as_object_mut() {
        map.insert(key.to_owned(), value);
    }
}

/// Writes down on an object, before it is applied, what it stands for.
pub fn stamp_record(body: &mut Value, record: &Record) {
    let record = serde_json::to_string(record).unwrap_or_default();
    annotate(body, KUBE_RECORD, record);
}

/// Whose mark it bears.
pub fn topology(object: &DynamicObject) -> Option<&str> {
    object.metadata.labels.as_ref()?.get(KUBE_TOPOLOGY).map(String::as_str)
}

pub fn is_mine(object: &DynamicObject, topology: &str) -> bool {
    self::topology(object) == Some(topology)
}

/// Whether this item may write to it: it is this topology's, or the very thing that the item takes
/// over, and no topology has marked it since.
pub fn may_write(object: &DynamicObject, topology: &str, item: &Item) -> bool {
    let is_taken = || {
        let uid = object.metadata.uid.as_ref();
        uid.is_some_and(|uid| item.takes_over.contains(uid)) && self::topology(object).is_none()
    };
    is_mine(object, topology) || is_taken()
}

pub fn kube_id(object: &DynamicObject) -> Option<Id> {
    note(object, KUBE_ID)?.parse().ok()
}

/// Whether it stands for a resource of this kind.
pub fn is_of(object: &DynamicObject, kind: &str) -> bool {
    kube_id(object).is_some_and(|id| id.kind() == kind)
}

pub fn kube_record(object: &DynamicObject) -> Option<Record> {
    serde_json::from_str(note(object, KUBE_RECORD)?).ok()
}

pub fn note<'a>(object: &'a DynamicObject, key: &str) -> Option<&'a str> {
    object.metadata.annotations.as_ref()?.get(key).map(String::as_str)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Action;

    #[test]
    fn only_the_very_thing_is_taken_over_and_only_unmarked() {
        let object = |uid: &str, labels: Value| -> DynamicObject {
            let metadata = json!({"name": "a", "uid": uid, "labels": labels});
            serde_json::from_value(json!({"metadata": metadata})).expect("an object")
        };
        let mut item = Item::new(Id::new("pool", "a"), Action::Update);
        let mine = object("1", json!({KUBE_TOPOLOGY: "dev"}));
        assert!(may_write(&mine, "dev", &item));
        assert!(!may_write(&object("1", json!({})), "dev", &item), "nobody asked for it");
        item.takes_over = vec!["1".to_owned()];
        assert!(may_write(&object("1", json!({})), "dev", &item));
        assert!(!may_write(&object("2", json!({})), "dev", &item), "it is another by now");
        let theirs = object("1", json!({KUBE_TOPOLOGY: "other"}));
        assert!(!may_write(&theirs, "dev", &item), "another topology has it by now");
    }
}
