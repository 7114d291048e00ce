//! The list of what kinds of objects a topology has in the cluster, and where: an ApplySet parent
//! as `kubectl` knows it, so that pruning looks at those kinds only, and finds all of them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use kube::api::DynamicObject;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::backend::kube::{Apply, Kube, KubeError, Target};
use crate::manifest::{Kind, Kinds};
use crate::resources::base::marks;

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
    counts: BTreeMap<(String, Option<String>), usize>,
}

/// What has gone from the cluster.
#[derive(Debug, Clone, Copy)]
pub enum Gone<'a> {
    Object {
        kind: &'a Kind,
        namespace: Option<&'a str>,
    },
    /// A namespace took everything in it along.
    Namespace(&'a str),
    /// A definition took every object of its kind along, named as in the list.
    Definition(&'a str),
}

impl Members {
    pub fn add(&mut self, kind: &Kind, namespace: Option<&str>) {
        let key = (group_kind(kind), namespace.map(ToOwned::to_owned));
        *self.counts.entry(key).or_default() += 1;
    }

    fn remove(&mut self, gone: Gone) {
        match gone {
            Gone::Object { kind, namespace } => {
                let key = (group_kind(kind), namespace.map(ToOwned::to_owned));
                if let Some(count) = self.counts.get_mut(&key) {
                    *count = count.saturating_sub(1);
                }
                self.counts.retain(|_, count| *count > 0);
            }
            Gone::Namespace(name) => {
                self.counts.retain(|(_, namespace), _| namespace.as_deref() != Some(name));
            }
            Gone::Definition(defined) => self.counts.retain(|(kind, _), _| kind != defined),
        }
    }

    fn kinds(&self) -> BTreeSet<&str> {
        self.counts.keys().map(|(kind, _)| kind.as_str()).collect()
    }

    fn namespaces(&self) -> BTreeSet<&str> {
        self.counts.keys().filter_map(|(_, namespace)| namespace.as_deref()).collect()
    }

    /// What of it is written in the list.
    fn text(&self) -> [String; 2] {
        [self.kinds(), self.namespaces()].map(|names| Vec::from_iter(names).join(","))
    }
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
    written: Option<[String; 2]>,
}

impl Inventory {
    /// In a cluster of topo's own the namespace is made too, whatever its name.
    pub fn new(topology: &str, namespace: &str, own_cluster: bool) -> Self {
        Self {
            topology: topology.to_owned(),
            namespace: namespace.to_owned(),
            own_namespace: own_cluster || namespace == NAMESPACE,
            members: Members::default(),
            written: None,
        }
    }

    pub fn namespace(&self) -> &str {
        &self.namespace
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
        let text = self.members.text();
        if self.written.as_ref() == Some(&text) {
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
        self.written = Some(text);
        Ok(())
    }

    /// After something has been deleted: the list is narrowed, and removed with the last object.
    pub async fn forget(&mut self, kube: &Kube, gone: Gone<'_>) -> Result<(), KubeError> {
        let before = self.members.text();
        self.members.remove(gone);
        if self.members.counts.is_empty() {
            return self.remove(kube).await;
        }
        if self.members.text() == before { Ok(()) } else { self.ensure(kube).await }
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
        let [kinds, namespaces] = self.members.text();
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
                    KINDS: kinds,
                    NAMESPACES: namespaces,
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
        let inventory = Inventory::new("dev", NAMESPACE, true);
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
        members.remove(Gone::Object { kind: &service, namespace: Some("b") });
        assert_eq!(members.text(), ["Deployment.apps,Service", "a,b"]);
        members.remove(Gone::Object { kind: &service, namespace: Some("a") });
        assert_eq!(members.text(), ["Deployment.apps", "b"]);
        members.remove(Gone::Namespace("b"));
        assert_eq!(members.text(), ["", ""]);
    }

    #[test]
    fn a_definition_takes_its_kind_along() {
        let thing = Kinds::default().named(&"e.com/v1".into(), &"Thing".into());
        let mut members = Members::default();
        members.add(&thing, Some("a"));
        members.remove(Gone::Definition("Thing.e.com"));
        assert_eq!(members, Members::default());
    }

    #[test]
    fn a_list_is_read_as_it_is_written() {
        let deployment = Kinds::default().named(&"apps/v1".into(), &"Deployment".into());
        let mut inventory = Inventory::new("dev", "team", false);
        inventory.members.add(&deployment, Some("a"));
        let parent: DynamicObject =
            serde_json::from_value(inventory.body("topo-dev")).expect("an object");
        assert_eq!(listed(&parent), [("apps".to_owned(), "Deployment".to_owned())].into());
    }
}
