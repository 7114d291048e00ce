//! Kubernetes objects of the topology's manifests: applied server-side, seen by lists, pruned.

mod explain;
mod hooks;
mod lingering;
mod observe;
mod rendered;
mod unbalanced;

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use kube::api::DynamicObject;
use rayon::prelude::*;
use serde_json::{Value, json};

use crate::backend::kube::{Apply, Deadline, Kube, KubeError, Target, Verdict, WaitError};
use crate::engine::{Failure, Turn, Work};
use crate::manifest::{Facts, Kind, Object};
use crate::plan::{
    Bond, Cause, Effect, Fields, Id, Item, Origin, Outputs, Plan, Record, Resource, SecretKey,
    Table, Want, World,
};
use crate::resources::base::context::Context;
use crate::resources::base::in_cluster::in_cluster;
use crate::resources::base::kind::{Ingredients, MadeFrom, ResourceKind};
use crate::resources::base::kube::inside::Inside;
use crate::resources::base::kube::inventory::{self, Gone};
use crate::resources::base::kube::objects::{Objects, id, parts, target};
use crate::resources::base::kube::{listing, pods, ready, service};
use crate::resources::base::objection::Objections;
use crate::resources::base::rendered::{Part, Rendered};
use crate::resources::base::{ids, marks};
use crate::resources::{manifest, pool};
use crate::topology::{MASK, Topology, canonical_image};

pub use unbalanced::{asking, lacks_balancer, unbalanced};

const TABLE: Table = Table { precious: is_precious, ..Table::plain(ids::OBJECT) };

/// What a Service gives to forwards may be another after it was changed.
const SERVICE: Table = Table {
    effects: &[
        ("hash", Effect::Unsettles),
        ("metadata", Effect::Unsettles),
        ("spec", Effect::Unsettles),
    ],
    ..TABLE
};

/// A hook of a chart, which Helm makes anew whenever it runs.
const HOOK: Table = Table { effects: &[("hash", Effect::Replace)], ..TABLE };

/// A Service that a forward names and no manifest makes.
const LOOKUP: Table = Table { lookup: true, ..Table::plain(ids::OBJECT) };

/// How long something that passes, such as a webhook that cannot be called yet, is put up with.
const PASSING: Duration = Duration::from_secs(30);
/// How long an object may take to go; namespaces take what is in them along.
const GONE: Duration = Duration::from_mins(2);

pub struct ObjectKind;

impl ResourceKind for ObjectKind {
    const TABLE: Table = TABLE;

    fn desired(from: &Ingredients) -> Result<Vec<Resource>, Objections> {
        Ok(desired(from.topology, from.objects, from.key))
    }

    fn rendered(
        from: &Ingredients,
        part: Part,
        show_secrets: bool,
    ) -> Result<Vec<Rendered>, Failure> {
        Ok(match part {
            Part::Manifests => {
                Rendered::objects("manifests", rendered::bodies(from.objects, show_secrets))
            }
            _ => Vec::new(),
        })
    }

    async fn observe_inside(inside: &Inside<'_>, world: &mut World) -> Result<(), Failure> {
        observe::observe(inside, world).await
    }

    async fn explain(cx: &Context, plan: &mut Plan, from: &MadeFrom<'_>) -> Result<(), Failure> {
        explain::explain(cx, plan, from).await
    }

    async fn change(cx: &Context, turn: &Turn) -> Result<Outputs, Failure> {
        change(cx, turn).await
    }

    async fn wait(cx: &Context, turn: &Turn) -> Result<Outputs, Failure> {
        wait(cx, turn).await
    }
}

fn is_precious(id: &Id) -> bool {
    let kind = id.name().split('/').nth(1).unwrap_or_default();
    matches!(
        kind,
        "Namespace"
            | "StatefulSet"
            | "CustomResourceDefinition"
            | "PersistentVolumeClaim"
            | "PersistentVolume"
    )
}

fn desired(topology: &Topology, objects: &Objects, key: &SecretKey) -> Vec<Resource> {
    let edges = Edges::of(topology, objects);
    let lines = objects.manifests.lines();
    let mut resources: Vec<Resource> = objects
        .manifests
        .objects
        .par_iter()
        .zip(&objects.ids)
        .zip(lines)
        .enumerate()
        .map(|(at, ((object, id), line))| {
            let hash = object.hash();
            let hash = if object.secret { key.seal(&hash) } else { hash.into() };
            let file = objects.manifests.sources[object.source].name.clone();
            let table = if objects.manifests.hooks.contains_key(&at) {
                &HOOK
            } else if object.kind.is("", "Service") {
                &SERVICE
            } else {
                &TABLE
            };
            let resource = Resource::new(id.clone(), table)
                .field("hash", Want::Is(hash))
                .origin(Origin::Line { file, line });
            let mut resource = in_cluster(resource, topology);
            resource.bonds.extend(edges.bonds(at, object));
            resource
        })
        .collect();
    resources.extend(lookups(topology, objects));
    resources
}

fn lookups(topology: &Topology, objects: &Objects) -> Vec<Resource> {
    objects
        .followed(topology)
        .into_iter()
        .map(|service| in_cluster(Resource::new(ids::service(service), &LOOKUP), topology))
        .collect()
}

/// Everything an object may need, by the names that objects use.
struct Edges<'a> {
    namespaces: HashMap<&'a str, Id>,
    definitions: HashMap<(&'a str, &'a str), Id>,
    images: HashMap<String, Id>,
    pools: BTreeMap<&'a str, Id>,
    claims: HashMap<(&'a str, &'a str), Id>,
    chain: Vec<Vec<Bond>>,
    /// What goes before an object because of a chart's hooks, by its place among all.
    hooked: HashMap<usize, Vec<Bond>>,
    objects: &'a Objects,
}

impl<'a> Edges<'a> {
    fn of(topology: &'a Topology, objects: &'a Objects) -> Self {
        let (mut namespaces, mut definitions) = (HashMap::new(), HashMap::new());
        for object in &objects.manifests.objects {
            let id = || id(&object.kind, None, &object.name);
            if object.kind.is("", "Namespace") {
                namespaces.insert(&*object.name, id());
            }
            if let Facts::Defines(definition) = &object.facts {
                definitions.insert((definition.group.as_str(), definition.kind.as_str()), id());
            }
        }
        let image = |image: &crate::topology::Image| {
            (image.name.canonical(), ids::image(image.name.as_str()))
        };
        let share = |share: &'a crate::topology::Share| {
            let claim = (share.claim.namespace.as_str(), share.claim_name());
            (claim, ids::share(share.name.as_str()))
        };
        Self {
            namespaces,
            definitions,
            images: topology.images.iter().map(image).collect(),
            pools: topology
                .pools()
                .iter()
                .map(|pool| (pool.name.as_str(), ids::pool(pool.name.as_str())))
                .collect(),
            claims: topology.shares.iter().map(share).collect(),
            chain: manifest::chain(topology),
            hooked: hooks::bonds(objects),
            objects,
        }
    }

    fn bonds(&self, at: usize, object: &Object) -> Vec<Bond> {
        let mut bonds: Vec<Bond> = Vec::new();
        let namespace = object.namespace.as_deref();
        bonds
            .extend(namespace.and_then(|name| self.namespaces.get(name)).cloned().map(Bond::Holds));
        let kind = (&*object.kind.group, &*object.kind.name);
        bonds.extend(self.definitions.get(&kind).cloned().map(Bond::Holds));
        match &object.facts {
            Facts::Plain | Facts::Defines(_) => {}
            Facts::Balanced { pool: None } => {
                bonds.extend(self.pools.values().cloned().map(Bond::Uses));
            }
            Facts::Balanced { pool: Some(pool) } => {
                bonds.extend(self.pools.get(&**pool).cloned().map(Bond::Uses));
            }
            Facts::Runs { images, claims } => {
                let images =
                    images.iter().filter_map(|image| self.images.get(&canonical_image(image)));
                bonds.extend(images.cloned().map(Bond::Uses));
                let claims =
                    claims.iter().filter_map(|claim| self.claims.get(&(namespace?, &**claim)));
                bonds.extend(claims.cloned().map(Bond::Uses));
            }
        }
        let entry = self.objects.manifests.sources[object.source].entry;
        bonds.extend(self.chain.get(entry).into_iter().flatten().cloned());
        bonds.extend(self.hooked.get(&at).into_iter().flatten().cloned());
        distinct(bonds)
    }
}

/// One bond to each other resource, the first that there is; they are few.
fn distinct(bonds: Vec<Bond>) -> Vec<Bond> {
    let mut kept: Vec<Bond> = Vec::with_capacity(bonds.len());
    for bond in bonds {
        if kept.iter().all(|earlier| earlier.id() != bond.id()) {
            kept.push(bond);
        }
    }
    kept
}

async fn change(cx: &Context, turn: &Turn) -> Result<Outputs, Failure> {
    match turn.work {
        Work::Create | Work::Update => apply(cx, turn).await?,
        Work::Delete => delete(cx, turn).await?,
        Work::Start | Work::Stop | Work::Keep => {}
    }
    Ok(Outputs::new())
}

async fn apply(cx: &Context, turn: &Turn) -> Result<(), Failure> {
    let objects = cx.objects().await?;
    let (Some(object), Some(resource)) = (objects.get(turn.id()), turn.resource.as_deref()) else {
        return Ok(());
    };
    let kube = cx.kube().await?;
    let failed = |error: &KubeError| refused(object, turn.id(), error);
    let kind = objects.served(&kube, &object.kind).await.map_err(|error| failed(&error))?;
    let target = target(&kind, object);
    let is_new = turn.work == Work::Create || !turn.item.takes_over.is_empty();
    if is_new
        && !may_create(cx, &kube, &target, &turn.item).await.map_err(|error| failed(&error))?
    {
        return Ok(());
    }
    {
        let mut inventory = cx.inventory.lock().await;
        inventory.ensure(&kube).await.map_err(|error| {
            let failure = Failure::because("cannot write down what is about to be applied", &error);
            match error {
                KubeError::NotFound(_) => failure.hint(format!(
                    "make the namespace `{}` first, or name another in `cluster.inventoryNamespace`",
                    inventory.namespace()
                )),
                _ => failure,
            }
        })?;
    }
    let body = stamped(cx, &objects, object, resource, &turn.values).await;
    // What others changed of an object that the file did not change is taken back.
    let taken_back = turn.item.cause == Some(Cause::Drift);
    let how = Apply { force: taken_back || cx.forces_conflicts(), dry_run: false };
    let send = || {
        kube.persist(
            Deadline::after(turn.patience(PASSING)),
            |said| turn.say(said),
            || kube.apply(&target, &body, how),
        )
    };
    let mut sent = send().await;
    let lists = drifted_lists(&turn.item, &body);
    if taken_back
        && lists != json!({})
        && matches!(&sent, Err(WaitError::Kube(error)) if names_an_item_twice(error))
    {
        kube.patch(&target, &lists).await.map_err(|error| failed(&error))?;
        sent = send().await;
    }
    sent.map(drop).map_err(|error| match error {
        WaitError::Kube(error) => failed(&error),
        other => Failure::because(format!("cannot apply {object}"), &other),
    })
}

/// Somebody changed the key of an item in a list, so that topo's own item comes as another one
/// beside it: `spec.ports[1].name: Duplicate value`, or `Required value` where one alone needs no name.
fn names_an_item_twice(error: &KubeError) -> bool {
    let signs = ["Duplicate value", "Required value"];
    matches!(error, KubeError::Refused(message) if signs.iter().any(|sign| message.contains(sign)))
}

/// A merge patch that puts whole lists back in which something drifted.
fn drifted_lists(item: &Item, body: &Value) -> Value {
    let mut patch = json!({});
    for change in &item.changes {
        let path = change.path.split('[').next().unwrap_or_default();
        let pointer = format!("/{}", path.replace('.', "/"));
        let Some(list) = body.pointer(&pointer).filter(|value| value.is_array()) else { continue };
        let mut at = &mut patch;
        for part in path.split('.') {
            at = &mut at[part];
        }
        *at = list.clone();
    }
    patch
}

/// Looks once more, just before making it. A Namespace that is there by now is used as it is.
async fn may_create(
    cx: &Context,
    kube: &Kube,
    target: &Target<'_>,
    item: &Item,
) -> Result<bool, KubeError> {
    let Some(there) = kube.get(target).await? else { return Ok(true) };
    if marks::may_write(&there, &cx.name, item) {
        return Ok(true);
    }
    if target.kind.is("", "Namespace") {
        return Ok(false);
    }
    Err(KubeError::Refused(listing::foreign(&there, target)))
}

/// What the API server says of an object that holds a secret, without the values that it quotes.
pub fn said_of<'a>(object: &Object, message: &'a str) -> Cow<'a, str> {
    const BEFORE_VALUES: [&str; 3] = ["alue: ", "Not found: ", "error found in "];
    let quoted = BEFORE_VALUES.iter().filter_map(|words| Some(message.find(words)? + words.len()));
    match quoted.min().filter(|_| object.secret) {
        Some(at) => format!("{}{MASK}", &message[..at]).into(),
        None => message.into(),
    }
}

fn refused(object: &Object, id: &Id, error: &KubeError) -> Failure {
    let mut failure = Failure::because(format!("cannot apply {object}"), error);
    for cause in &mut failure.causes {
        *cause = said_of(object, cause).into_owned();
    }
    match error {
        KubeError::Conflict { conflicts, .. } if !conflicts.is_empty() => {
            failure.hint("`--force-conflicts` takes these fields over")
        }
        KubeError::NotFound(_) => failure.hint(format!(
            "the cluster serves no `{} {}`: what defines it belongs in an earlier manifest",
            object.kind.api_version(),
            object.kind.name
        )),
        KubeError::Refused(message)
            if message.contains("immutable") || message.contains("Forbidden: updates") =>
        {
            failure.hint(format!("`topo apply --replace {id}` recreates it"))
        }
        _ => failure,
    }
}

/// The body as it is sent: with topo's marks.
async fn stamped(
    cx: &Context,
    objects: &Objects,
    object: &Object,
    resource: &Resource,
    values: &Fields<Value>,
) -> Value {
    let mut body = objects.body(object);
    let record = Record::of(resource, values);
    let hash = record.fields.get("hash").cloned().unwrap_or_default();
    marks::stamp(&mut body, &cx.name, &resource.id);
    marks::annotate(&mut body, marks::KUBE_HASH, hash);
    marks::label(&mut body, inventory::PART_OF, cx.inventory.lock().await.id());
    body
}

async fn delete(cx: &Context, turn: &Turn) -> Result<(), Failure> {
    let objects = cx.objects().await?;
    let kube = cx.kube().await?;
    let id = turn.id();
    let failed = |error: &KubeError| Failure::because(format!("cannot delete {id}"), error);
    let Some((group, kind, namespace, name)) = parts(id) else { return Ok(()) };
    let kind = objects
        .get(id)
        .map(|object| object.kind.clone())
        .or(known_kind(&kube, group, kind).await.map_err(|error| failed(&error))?);
    let Some(kind) = kind else { return Ok(()) };
    let target = Target { kind: &kind, namespace, name };
    let there = kube.get(&target).await.map_err(|error| failed(&error))?;
    let there = there.filter(|there| marks::is_mine(there, &cx.name));
    if let Some(there) = &there {
        let uid = there.metadata.uid.as_deref();
        kube.delete(&target, uid).await.map_err(|error| failed(&error))?;
        let deadline = Deadline::after(turn.patience(GONE));
        lingering::until_gone(&kube, &target, there, deadline, |said| turn.say(said))
            .await
            .map_err(|error| Failure::because(format!("{id} does not go"), &error))?;
    }
    let mut gone = vec![Gone::Object { kind: &kind, namespace }];
    if kind.is("", "Namespace") {
        gone.push(Gone::Namespace(name));
    }
    let defined = there.as_ref().and_then(|there| defined(&there.data));
    gone.extend(defined.as_deref().map(Gone::Definition));
    let mut inventory = cx.inventory.lock().await;
    for gone in gone {
        inventory
            .forget(&kube, gone)
            .await
            .map_err(|error| Failure::because("cannot write down what is left", &error))?;
    }
    Ok(())
}

/// The kind that a definition defines, as the inventory names it.
fn defined(body: &Value) -> Option<String> {
    let spec = &body["spec"];
    Some(format!("{}.{}", spec["names"]["kind"].as_str()?, spec["group"].as_str()?))
}

/// The kind in the version that the cluster prefers.
async fn known_kind(kube: &Kube, group: &str, kind: &str) -> Result<Option<Arc<Kind>>, KubeError> {
    Ok(kube.served().await?.remove(&(group.into(), kind.into())))
}

async fn wait(cx: &Context, turn: &Turn) -> Result<Outputs, Failure> {
    let objects = cx.objects().await?;
    let Some(object) = objects.get(turn.id()).filter(|_| turn.work != Work::Delete) else {
        return Ok(Outputs::new());
    };
    let limit = cx
        .topology()?
        .manifests
        .get(objects.manifests.sources[object.source].entry)
        .map_or(PASSING, |entry| entry.wait.get());
    if limit.is_zero() || !ready::is_awaited(&object.kind) {
        return Ok(Outputs::new());
    }
    let kube = cx.kube().await?;
    let target = target(&object.kind, object);
    // What is as the file has it was given its address before pools changed in this run.
    let pools = match object.facts {
        Facts::Balanced { .. } if turn.work == Work::Keep => pool::Pools::list(&kube).await.ok(),
        _ => None,
    };
    let judge =
        |live: Option<&DynamicObject>| match (ready::judge(&object.kind, live), live, &pools) {
            (Verdict::Done(outputs), Some(live), Some(pools)) => pools.judge(live, outputs),
            (verdict, ..) => verdict,
        };
    let deadline = Deadline::after(turn.patience(limit));
    let mut waited = kube.until(&target, deadline, judge, |said| turn.say(said)).await;
    if waited.is_ok() && matches!(object.facts, Facts::Runs { .. }) {
        let body = objects.manifests.body(object);
        let stayed =
            pods::stay_up(&kube, target.namespace, &body, deadline, |said| turn.say(said)).await;
        waited = stayed.and(waited);
    }
    match waited {
        Ok(outputs) if object.kind.is("", "Service") => {
            service::at_a_node(&kube, outputs, deadline, |said| turn.say(said))
                .await
                .map_err(|error| Failure::because("cannot look for a node", &error))
        }
        Ok(outputs) => Ok(outputs),
        Err(error) => {
            let verb =
                if matches!(error, WaitError::Failed(_)) { "failed" } else { "is not ready" };
            let failure = Failure::because(format!("{object} {verb}"), &error);
            let said = pods::why(&kube, &target).await;
            Err(said.into_iter().fold(failure, Failure::caused_by))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_that_drifted_are_put_back_whole() {
        use crate::plan::{Action, Change, Shown};
        let change = |path: &str| Change {
            path: path.to_owned(),
            field: "spec".to_owned(),
            before: Shown::Absent,
            after: Shown::Absent,
            at: None,
            forces_replace: false,
            cause: Cause::Drift,
            by: None,
        };
        let mut item = Item::new(Id::new("object", "core/Service/default/web"), Action::Update);
        item.changes = vec![change("spec.ports[http]"), change("metadata.labels.a")];
        let body = json!({
            "metadata": {"labels": {"a": "b"}},
            "spec": {"ports": [{"name": "http", "port": 80}], "type": "NodePort"},
        });
        assert_eq!(
            drifted_lists(&item, &body),
            json!({"spec": {"ports": [{"name": "http", "port": 80}]}})
        );
    }

    #[test]
    fn what_holds_data_is_precious() {
        assert!(is_precious(&"object/core/Namespace/_/n".parse().expect("an id")));
        assert!(!is_precious(&"object/apps/Deployment/default/web".parse().expect("an id")));
    }
}
