//! The list of what kinds of objects a topology has in the cluster, and where: an ApplySet parent
//! as `kubectl` knows it, so that pruning looks at those kinds only, and finds all of them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use kube::api::DynamicObject;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::marks;
use crate::backend::kube::{Apply, Kube, KubeError, Target};
use crate::manifest::{Kind, Kinds};

const ID: &str = "applyset.kubernetes.io/id";
const TOOLING: &str = "applyset.kubernetes.io/tooling";
const KINDS: &str = "applyset.kubernetes.io/contains-group-kinds";
const NAMESPACES: &str = "applyset.kubernetes.io/additional-namespaces";
pub const PART_OF: &str = "applyset.kubernetes.io/part-of";

/// The namespace that holds the lists of all topologies.
pub const NAMESPACE: &str = "topo-system";

/// A kind as the list names it: `Deployment.apps`, `Service`.
pub fn group_kind(kind: &Kind) -> String {
    if kind.group.is_empty() {
        kind.name.to_string()
    } else {
        format!("{}.{}", kind.name, kind.group)
    }
}

/// How many objects of which kinds and namespaces a topology has or is about to have.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Members {
    kinds: BTreeMap<String, usize>,
    namespaces: BTreeMap<String, usize>,
}

impl Members {
    pub fn add(&mut self, kind: &Kind, namespace: Option<&str>) {
        *self.kinds.entry(group_kind(kind)).or_default() += 1;
        if let Some(namespace) = namespace {
            *self.namespaces.entry(namespace.to_owned()).or_default() += 1;
        }
    }

    /// One object less; answers whether it was the last of its kind or namespace.
    fn remove(&mut self, kind: &Kind, namespace: Option<&str>) -> bool {
        let last_of_kind = take(&mut self.kinds, &group_kind(kind));
        let last_there = namespace.is_some_and(|namespace| take(&mut self.namespaces, namespace));
        last_of_kind || last_there
    }
}

fn take(counts: &mut BTreeMap<String, usize>, key: &str) -> bool {
    let Some(count) = counts.get_mut(key) else { return false };
    *count = count.saturating_sub(1);
    let last = *count == 0;
    if last {
        counts.remove(key);
    }
    last
}

/// The list of one topology in one cluster.
#[derive(Debug)]
pub struct Inventory {
    topology: String,
    namespace: String,
    /// Whether the namespace is topo's to make and to remove.
    own_namespace: bool,
    members: Members,
    /// What is written in the cluster now.
    written: Option<Members>,
}

impl Inventory {
    pub fn new(topology: &str, namespace: Option<&str>) -> Self {
        Self {
            topology: topology.to_owned(),
            namespace: namespace.unwrap_or(NAMESPACE).to_owned(),
            own_namespace: namespace.is_none_or(|namespace| namespace == NAMESPACE),
            members: Members::default(),
            written: None,
        }
    }

    fn name(&self) -> String {
        format!("topo-{}", self.topology)
    }

    /// What marks an object as a member.
    pub fn id(&self) -> String {
        let identity = format!("{}.{}.ConfigMap.", self.name(), self.namespace);
        let digest = BASE64_URL_SAFE_NO_PAD.encode(Sha256::digest(identity));
        format!("applyset-{digest}-v1")
    }

    /// The kinds that the list in the cluster names.
    pub async fn read(&self, kube: &Kube) -> Result<BTreeSet<(String, String)>, KubeError> {
        let kind = config_map();
        let found = kube.get(&self.target(&kind, &self.name())).await?;
        Ok(found.as_ref().map(listed).unwrap_or_default())
    }

    /// From now on these are the members.
    pub fn expect(&mut self, members: Members) {
        self.members = members;
        self.written = None;
    }

    /// Writes the list before the first object that it names is applied.
    pub async fn ensure(&mut self, kube: &Kube) -> Result<(), KubeError> {
        if self.written.as_ref() == Some(&self.members) {
            return Ok(());
        }
        if self.own_namespace {
            let kind = namespace_kind();
            let target = Target { kind: &kind, namespace: None, name: &self.namespace };
            if kube.get(&target).await?.is_none() {
                let body = json!({
                    "apiVersion": "v1", "kind": "Namespace",
                    "metadata": {"name": self.namespace, "labels": {marks::INVENTORY: "true"}},
                });
                kube.apply(&target, &body, Apply { force: true, ..Apply::default() }).await?;
            }
        }
        let kind = config_map();
        let name = self.name();
        let body = self.body(&name);
        let how = Apply { force: true, ..Apply::default() };
        kube.apply(&self.target(&kind, &name), &body, how).await?;
        self.written = Some(self.members.clone());
        Ok(())
    }

    /// After an object has been deleted: the list is narrowed, and removed with the last object.
    pub async fn forget(
        &mut self,
        kube: &Kube,
        kind: &Kind,
        namespace: Option<&str>,
    ) -> Result<(), KubeError> {
        if !self.members.remove(kind, namespace) {
            return Ok(());
        }
        if self.members.kinds.is_empty() {
            return self.remove(kube).await;
        }
        self.ensure(kube).await
    }

    async fn remove(&mut self, kube: &Kube) -> Result<(), KubeError> {
        let kind = config_map();
        kube.delete(&self.target(&kind, &self.name()), None).await?;
        self.written = None;
        if !self.own_namespace {
            return Ok(());
        }
        let others = kube.list_in(&kind, Some(&self.namespace), marks::INVENTORY).await?;
        let others = others.iter().filter(|other| other.metadata.deletion_timestamp.is_none());
        if others.filter(|other| other.metadata.name != Some(self.name())).count() > 0 {
            return Ok(());
        }
        let kind = namespace_kind();
        let target = Target { kind: &kind, namespace: None, name: &self.namespace };
        let namespace = kube.get(&target).await?;
        let made_by_topo = |object: &DynamicObject| {
            object.metadata.labels.as_ref().is_some_and(|all| all.contains_key(marks::INVENTORY))
        };
        match namespace.filter(made_by_topo) {
            Some(namespace) => kube.delete(&target, namespace.metadata.uid.as_deref()).await,
            None => Ok(()),
        }
    }

    fn body(&self, name: &str) -> Value {
        let kinds: Vec<&str> = self.members.kinds.keys().map(String::as_str).collect();
        let namespaces: Vec<&str> = self.members.namespaces.keys().map(String::as_str).collect();
        json!({
            "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {
                "name": name, "namespace": self.namespace,
                "labels": {
                    ID: self.id(),
                    marks::INVENTORY: "true",
                },
                "annotations": {
                    TOOLING: concat!("topo/v", env!("CARGO_PKG_VERSION")),
                    KINDS: kinds.join(","),
                    NAMESPACES: namespaces.join(","),
                },
            },
        })
    }

    fn target<'a>(&'a self, kind: &'a Kind, name: &'a str) -> Target<'a> {
        Target { kind, namespace: Some(&self.namespace), name }
    }
}

/// Group and name of the kinds in a list.
fn listed(parent: &DynamicObject) -> BTreeSet<(String, String)> {
    let notes = parent.metadata.annotations.as_ref();
    let kinds = notes.and_then(|notes| notes.get(KINDS)).map(String::as_str).unwrap_or_default();
    kinds
        .split(',')
        .filter(|kind| !kind.is_empty())
        .map(|kind| {
            let (name, group) = kind.split_once('.').unwrap_or((kind, ""));
            (group.to_owned(), name.to_owned())
        })
        .collect()
}

fn config_map() -> Arc<Kind> {
    Kinds::default().named(&"v1".into(), &"ConfigMap".into())
}

fn namespace_kind() -> Arc<Kind> {
    Kinds::default().named(&"v1".into(), &"Namespace".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_id_is_what_kubectl_expects() {
        let inventory = Inventory::new("dev", None);
        let id = inventory.id();
        assert!(id.starts_with("applyset-") && id.ends_with("-v1"), "{id}");
        assert_eq!(id.len(), "applyset-".len() + 43 + "-v1".len());
        assert!(id.len() <= 63, "a label's value");
    }

    #[test]
    fn members_are_forgotten_with_the_last_of_a_kind_or_namespace() {
        let service = Kinds::default().named(&"v1".into(), &"Service".into());
        let deployment = Kinds::default().named(&"apps/v1".into(), &"Deployment".into());
        let mut members = Members::default();
        members.add(&service, Some("a"));
        members.add(&service, Some("b"));
        members.add(&deployment, Some("b"));
        assert!(!members.remove(&service, Some("b")));
        assert!(members.remove(&service, Some("a")));
        assert_eq!(members.kinds.keys().collect::<Vec<_>>(), ["Deployment.apps"]);
        assert_eq!(members.namespaces.keys().collect::<Vec<_>>(), ["b"]);
    }

    #[test]
    fn a_list_is_read_as_it_is_written() {
        let deployment = Kinds::default().named(&"apps/v1".into(), &"Deployment".into());
        let mut inventory = Inventory::new("dev", Some("team"));
        inventory.members.add(&deployment, Some("a"));
        let parent: DynamicObject =
            serde_json::from_value(inventory.body("topo-dev")).expect("an object");
        assert_eq!(listed(&parent), [("apps".to_owned(), "Deployment".to_owned())].into());
    }
}
