//! What a topology's manifests are made of, read once and asked by id, and the ids of objects.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use rayon::prelude::*;
use serde_json::{Map, Value, json};
use tokio::sync::Mutex;

use crate::backend::download::Downloads;
use crate::backend::kube::{Kube, KubeError, ServedKinds, Target};
use crate::engine::Failure;
use crate::manifest::template::Values;
use crate::manifest::{self, Fault, Kind, Kinds, Manifests, Object, Source};
use crate::plan::{Id, IdMap};
use crate::resources::base::authorized_keys::authorized_keys;
use crate::resources::base::ids;
use crate::resources::base::kube::inventory::Members;
use crate::resources::base::kube::{chart, kustomization};
use crate::resources::base::objection::{Objection, Objections};
use crate::resources::base::variables::Variables;
use crate::topology::manifest::Source as Written;
use crate::topology::{Guarded, SHORTEST_SOUGHT, ServiceRef, Target as Forward, Topology};

/// `object/apps/Deployment/default/web`
pub fn id(kind: &Kind, namespace: Option<&str>, name: &str) -> Id {
    let group = if kind.group.is_empty() { "core" } else { &kind.group };
    Id::new(ids::OBJECT, format_args!("{group}/{}/{}/{name}", kind.name, namespace.unwrap_or("_")))
}

/// Group, kind, namespace and name of an id.
pub fn parts(id: &Id) -> Option<(&str, &str, Option<&str>, &str)> {
    let mut parts = id.name().splitn(4, '/');
    let group = parts.next()?;
    let kind = parts.next()?;
    let namespace = parts.next()?;
    let name = parts.next()?;
    let group = if group == "core" { "" } else { group };
    Some((group, kind, Some(namespace).filter(|name| *name != "_"), name))
}

/// The objects of a topology's manifests, read once.
pub struct Objects {
    pub manifests: Manifests,
    /// Of each object, in their order.
    pub ids: Vec<Id>,
    index: IdMap<Id, usize>,
    /// The scope and plural of kinds that neither the manifests nor topo know by heart.
    served: Mutex<ServedKinds>,
}

impl Objects {
    /// Those of the file's manifests; none without a file.
    pub async fn read(
        topology: Option<&Topology>,
        downloads: &Downloads,
        variable: &Variables,
    ) -> Result<Self, Objections> {
        let mut sources: Vec<Source> = Vec::new();
        let mut objections = Vec::new();
        let mut secrets = Vec::new();
        if let Some(topology) = topology {
            let values = template_values(topology)?;
            for entry in 0..topology.manifests.len() {
                match sources_of(topology, entry, &values, downloads, variable).await {
                    Ok(Ok(read)) => sources.extend(read),
                    Ok(Err(wrong)) => {
                        objections.extend(wrong.iter().map(|it| unreadable(entry, it)));
                    }
                    Err(failure) => objections.push(Objection::at(key(entry), failure)),
                }
            }
            secrets.extend(topology.sensitive.iter().filter_map(|name| variable(name.as_str())));
            secrets.retain(|value| value.len() >= SHORTEST_SOUGHT);
        }
        let entries: HashMap<Arc<str>, usize> =
            sources.iter().map(|source| (source.name.clone(), source.entry)).collect();
        let read = |sources| manifest::read(sources, &mut Kinds::default(), &secrets);
        let manifests = read(sources).and_then(|manifests| match namespaces(&manifests) {
            missing if missing.is_empty() => Ok(manifests),
            missing => read([manifests.sources, missing].concat()),
        });
        match manifests {
            Ok(manifests) if objections.is_empty() => return Ok(Self::of(manifests)),
            Ok(_) => {}
            Err(faults) => objections.extend(faults.iter().map(|fault| {
                unreadable(entries.get(&fault.place.file).copied().unwrap_or_default(), fault)
            })),
        }
        Err(Objections(objections))
    }

    fn of(manifests: Manifests) -> Self {
        let id = |object: &Object| id(&object.kind, object.namespace.as_deref(), &object.name);
        let ids: Vec<Id> = manifests.objects.par_iter().map(id).collect();
        let index = ids.iter().cloned().zip(0..).collect();
        Self { manifests, ids, index, served: Mutex::default() }
    }

    /// Those of one text, for tests of what is made of them.
    #[cfg(test)]
    pub fn of_text(text: &str) -> Self {
        let source =
            Source { name: "test.yaml".into(), text: text.to_owned(), ..Source::default() };
        let manifests = manifest::read(vec![source], &mut Kinds::default(), &[]);
        Self::of(manifests.expect("manifests"))
    }

    pub fn get(&self, id: &Id) -> Option<&Object> {
        self.index.get(id).map(|at| &self.manifests.objects[*at])
    }

    /// How the cluster addresses a kind, where that is not known by heart.
    pub async fn served(&self, kube: &Kube, kind: &Arc<Kind>) -> Result<Arc<Kind>, KubeError> {
        if kind.certain {
            return Ok(kind.clone());
        }
        let key = (kind.group.clone(), kind.name.clone());
        let mut served = self.served.lock().await;
        if !served.contains_key(&key) {
            *served = kube.served().await?;
        }
        Ok(served.get(&key).map_or_else(
            || kind.clone(),
            |known| Arc::new(Kind { version: kind.version.clone(), ..(**known).clone() }),
        ))
    }

    /// What the manifest says of an object, in the form in which the API keeps it.
    pub fn body(&self, object: &Object) -> Value {
        let mut body = self.manifests.body(object);
        if object.kind.is("", "Secret") {
            encode_string_data(&mut body);
        }
        body
    }

    /// The Services that forwards name and that come from elsewhere.
    pub fn followed<'a>(&self, topology: &'a Topology) -> BTreeSet<&'a ServiceRef> {
        let named = topology.ports().iter().filter_map(|port| match &port.to {
            Forward::Service { service, .. } => Some(service),
            _ => None,
        });
        named.filter(|service| self.get(&ids::service(service)).is_none()).collect()
    }

    /// The members that the inventory has while this file is applied: what is there and what shall be.
    pub fn members<'a>(
        &'a self,
        there: impl Iterator<Item = (&'a Kind, Option<&'a str>, &'a str)>,
    ) -> Members {
        let mut seen = HashSet::new();
        let mut members = Members::default();
        let wanted = self
            .manifests
            .objects
            .iter()
            .map(|object| (&*object.kind, object.namespace.as_deref(), &*object.name));
        for (kind, namespace, name) in wanted.chain(there) {
            if seen.insert((&kind.group, &kind.name, namespace, name)) {
                members.add(kind, namespace);
            }
        }
        members
    }
}

pub fn target<'a>(kind: &'a Kind, object: &'a Object) -> Target<'a> {
    let namespace = object.namespace.as_deref().filter(|_| kind.namespaced);
    Target { kind, namespace, name: &object.name }
}

async fn sources_of(
    topology: &Topology,
    entry: usize,
    values: &Values,
    downloads: &Downloads,
    variable: &Variables,
) -> Result<Result<Vec<Source>, Vec<Fault>>, Failure> {
    match topology.manifests[entry].source() {
        Some(Written::Path(path)) => {
            Ok(manifest::files::sources(entry, path.path(), path.written(), values))
        }
        Some(Written::Kustomize(folder)) => {
            Ok(Ok(vec![kustomization::source(entry, folder, topology, variable).await?]))
        }
        Some(Written::Chart(chart)) => {
            Ok(Ok(vec![chart::source(entry, chart, topology, downloads, variable).await?]))
        }
        Some(Written::Url { url, sha256 }) => {
            let kept = downloads.fetch(url.as_str(), sha256.as_str(), |_, _| {}).await;
            let kept = kept.map_err(|error| Failure::because("cannot fetch a manifest", &error))?;
            Ok(manifest::files::sources(entry, &kept, url.as_str(), values))
        }
        None => Ok(Ok(Vec::new())),
    }
}

/// The namespaces of charts that no manifest makes.
fn namespaces(manifests: &Manifests) -> Vec<Source> {
    const OF_EVERY_CLUSTER: [&str; 4] =
        ["default", "kube-system", "kube-public", "kube-node-lease"];
    let made = manifests.objects.iter().filter(|object| object.kind.is("", "Namespace"));
    let there: HashSet<&str> = made.map(|object| &*object.name).chain(OF_EVERY_CLUSTER).collect();
    let mut missing = BTreeMap::new();
    for source in &manifests.sources {
        if let Some(name) = source.release.as_deref().filter(|name| !there.contains(name)) {
            missing.entry(name).or_insert(source);
        }
    }
    let text =
        |name: &str| format!("apiVersion: v1\nkind: Namespace\nmetadata: {{ name: {name} }}\n");
    let source = |(name, of): (&str, &Source)| Source {
        name: format!("namespace of {}", of.name).into(),
        text: text(name),
        entry: of.entry,
        ..Source::default()
    };
    missing.into_iter().map(source).collect()
}

fn key(entry: usize) -> String {
    format!("manifests.{entry}")
}

/// What is wrong in a manifest, at the entry of the file that names it.
fn unreadable(entry: usize, fault: &Fault) -> Objection {
    let failure = Failure::new(fault.to_string());
    Objection::at(
        key(entry),
        match &fault.hint {
            Some(hint) => failure.hint(hint),
            None => failure,
        },
    )
}

/// What templates among the manifests may name.
fn template_values(topology: &Topology) -> Result<Values, Objections> {
    let keys = authorized_keys(topology)?;
    let is_secret = topology.vars.values().any(Guarded::is_secret);
    Ok(Values {
        real: values_with(topology, &keys, Guarded::reveal),
        standing_in: is_secret.then(|| values_with(topology, &keys, Guarded::stand_in)),
    })
}

fn values_with(topology: &Topology, keys: &[String], value: impl Fn(&Guarded) -> Value) -> Value {
    let vars: Map<String, Value> =
        topology.vars.iter().map(|(name, var)| (name.clone(), value(var))).collect();
    let mut values = json!(vars);
    let subnets: Vec<String> = topology.network.subnets().iter().map(ToString::to_string).collect();
    let pools: Vec<Value> = topology
        .pools()
        .iter()
        .map(|pool| json!({"name": pool.name.as_str(), "addresses": pool.written()}))
        .collect();
    values["vars"] = json!(vars);
    values["topology"] = json!({"name": topology.name.as_str()});
    values["network"] = json!({"name": topology.network_name(), "subnets": subnets});
    values["pools"] = json!(pools);
    values["gateway"] = json!({"authorizedKeys": keys});
    values
}

/// `stringData` is never read back: sent as `data`, the fields that were applied can be told from others.
fn encode_string_data(secret: &mut Value) {
    let Some(fields) = secret.as_object_mut() else { return };
    let Some(Value::Object(texts)) = fields.remove("stringData") else { return };
    let data = fields.entry("data").or_insert_with(|| json!({}));
    for (key, text) in texts {
        if let Some(text) = text.as_str() {
            data[key] = BASE64_STANDARD.encode(text).into();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_taken_apart_as_it_was_put_together() {
        let mut kinds = Kinds::default();
        let deployment = kinds.named(&"apps/v1".into(), &"Deployment".into());
        let one = id(&deployment, Some("default"), "web");
        assert_eq!(one.as_str(), "object/apps/Deployment/default/web");
        assert_eq!(parts(&one), Some(("apps", "Deployment", Some("default"), "web")));

        let role = kinds.named(&"rbac.authorization.k8s.io/v1".into(), &"ClusterRole".into());
        let two = id(&role, None, "system:x/y");
        assert_eq!(
            parts(&two),
            Some(("rbac.authorization.k8s.io", "ClusterRole", None, "system:x/y"))
        );
        let service: ServiceRef = "a/b".parse().expect("a Service");
        assert_eq!(parts(&ids::service(&service)), Some(("", "Service", Some("a"), "b")));
    }

    #[test]
    fn string_data_is_sent_as_data() {
        let mut secret = json!({"data": {"a": "eA=="}, "stringData": {"b": "y"}});
        encode_string_data(&mut secret);
        assert_eq!(secret, json!({"data": {"a": "eA==", "b": "eQ=="}}));
    }
}
