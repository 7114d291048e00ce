//! The inside of the cluster: one look at everything that bears this topology's mark, by one list
//! for each kind, whatever the number of objects.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use futures::{StreamExt, TryStreamExt, stream};
use kube::api::DynamicObject;

use crate::backend::kube::{Apply, Kube, KubeError, Target, Verdict};
use crate::engine::Failure;
use crate::manifest::{Kind, Kinds};
use crate::plan::{
    Action, Bond, Cause, Fields, Id, Item, Outputs, Owner, Plan, Record, Resource, Seen, Shown,
    State, World,
};
use crate::resources::base::context::Context;
use crate::resources::base::kube::listing::{self, Found};
use crate::resources::base::kube::objects::{self, Objects};
use crate::resources::base::kube::service::{self, Reached};
use crate::resources::base::kube::{compare, drift, ready};
use crate::resources::base::{existing, marks};
use crate::resources::{cluster, copies, manifest, metallb, object, pool, share};
use crate::topology::Target as Forward;

/// How many calls are under way at a time.
const AT_ONCE: usize = 8;
/// In more namespaces than this, missing objects are looked for by one list over all of them.
const MANY_NAMESPACES: usize = 20;

/// Sees everything inside of the cluster, which has been seen before.
pub async fn observe(cx: &Context, world: &mut World) -> Result<(), Failure> {
    if cx.goes_without_cluster() {
        return Ok(());
    }
    existing::refuse_another(cx).await?;
    let objects = cx.objects().await?;
    cx.inventory.lock().await.expect(objects.members([].into_iter()));
    if cx.makes_cluster() {
        let id = cluster::id(&cx.name);
        let up = world.things.get(&id).is_some_and(|seen| {
            matches!(seen.owner, Owner::Mine(_))
                && !matches!(seen.state, State::Partial | State::Stopped)
        });
        if !up || world.blind.contains_key(&id) {
            return Ok(());
        }
    }
    let kube = cx.kube_ready().await?;
    let failed = |error: KubeError| Failure::because("cannot look into the cluster", &error);

    let kinds = kinds(cx, &kube, &objects).await.map_err(failed)?;
    let live = look(&kube, kinds, &marks::selector(&cx.name)).await.map_err(failed)?;
    if let Some(topology) = cx.file.as_deref() {
        manifest::observe(topology, world);
    }
    let foreign = foreign_metallb(cx, &kube, &live).await.map_err(failed)?;
    metallb::observe(cx, &live, foreign.as_ref(), world);
    pool::observe(cx, &live, world);
    share::observe(cx, &live, world);
    see_objects(cx, &objects, &live, world);
    see_strangers(cx, &kube, &objects, world).await.map_err(failed)?;
    see_lookups(cx, &kube, &objects, world).await.map_err(failed)?;
    see_nodes(cx, &kube, world).await.map_err(failed)?;
    share::see_strangers(cx, &kube, world).await.map_err(failed)?;

    let there = live.all().filter(|(_, object)| is_object(object)).map(|(kind, object)| {
        (kind, object.metadata.namespace.as_deref(), object.metadata.name.as_deref().unwrap_or(""))
    });
    let members = objects.members(there);
    cx.inventory.lock().await.expect(members);
    Ok(())
}

fn is_object(object: &DynamicObject) -> bool {
    marks::kube_id(object).is_some_and(|id| id.kind() == object::TABLE.kind)
}

/// The kinds that may hold something of this topology's.
async fn kinds(cx: &Context, kube: &Kube, objects: &Objects) -> Result<Vec<Arc<Kind>>, KubeError> {
    let mut kinds: BTreeMap<(Box<str>, Box<str>), Arc<Kind>> = BTreeMap::new();
    let mut add = |kind: Arc<Kind>| {
        kinds.entry((kind.group.clone(), kind.name.clone())).or_insert(kind);
    };
    let mut met = HashSet::new();
    for object in &objects.manifests.objects {
        if met.insert(&object.kind) {
            add(objects.served(kube, &object.kind).await?);
        }
    }
    pool::kinds().into_iter().for_each(&mut add);
    share::kinds().into_iter().for_each(&mut add);
    let wants_metallb = cx.file.as_ref().is_none_or(|file| file.metallb.is_some());
    if wants_metallb || !cx.makes_cluster() {
        metallb::kinds().into_iter().for_each(&mut add);
    } else {
        // What is left of a MetalLB that has left the file is found by its workload.
        let deployment = metallb::kinds().into_iter().filter(|kind| kind.is("apps", "Deployment"));
        deployment.for_each(&mut add);
    }
    let listed = cx.inventory.lock().await.read(kube).await?;
    let unknown: BTreeSet<(String, String)> = listed
        .into_iter()
        .filter(|(group, name)| !kinds.contains_key(&(group.as_str().into(), name.as_str().into())))
        .collect();
    if !unknown.is_empty() {
        let mut served = kube.served().await?;
        for (group, name) in unknown {
            let key = (group.into(), name.into());
            if let Some(kind) = served.remove(&key) {
                kinds.insert(key, kind);
            }
        }
    }
    Ok(kinds.into_values().collect())
}

async fn look(kube: &Kube, kinds: Vec<Arc<Kind>>, labels: &str) -> Result<Found, KubeError> {
    let found = stream::iter(kinds)
        .map(|kind| async move {
            // Pools of others are looked at too: they are few, and may stand in the way.
            let labels = if pool::kinds().contains(&kind) { "" } else { labels };
            let mut objects = kube.list(&kind, labels).await?;
            objects.retain(|object| !copies::is_copy(&kind, object));
            Ok::<_, KubeError>((kind, objects))
        })
        .buffer_unordered(AT_ONCE)
        .try_collect()
        .await?;
    Ok(Found::new(found))
}

async fn foreign_metallb(
    cx: &Context,
    kube: &Kube,
    live: &Found,
) -> Result<Option<DynamicObject>, KubeError> {
    let wanted = cx.file.as_ref().is_some_and(|file| file.metallb.is_some());
    if !wanted || live.with_id(&metallb::id()).next().is_some() {
        return Ok(None);
    }
    let deployment = Kinds::default().named(&"apps/v1".into(), &"Deployment".into());
    let found = kube.list(&deployment, "app=metallb,component=controller").await?;
    Ok(found.into_iter().find(|object| !marks::is_mine(object, &cx.name)))
}

fn see_objects(cx: &Context, objects: &Objects, live: &Found, world: &mut World) {
    let namespaces: HashSet<&str> = live
        .all()
        .filter(|(kind, object)| kind.is("", "Namespace") && is_object(object))
        .filter_map(|(_, object)| object.metadata.name.as_deref())
        .collect();
    let definitions: HashMap<(&str, &str), Id> = live
        .all()
        .filter(|(kind, object)| {
            kind.is("apiextensions.k8s.io", "CustomResourceDefinition") && is_object(object)
        })
        .filter_map(|(_, object)| {
            let spec = &object.data["spec"];
            let defined = (spec["group"].as_str()?, spec["names"]["kind"].as_str()?);
            Some((defined, marks::kube_id(object)?))
        })
        .collect();
    let leaving = pool::Leaving::of(cx.file.as_deref(), world);
    let pools = world
        .things
        .iter()
        .filter(|(id, seen)| id.kind() == pool::TABLE.kind && matches!(seen.owner, Owner::Mine(_)));
    let pools: Vec<Id> = pools.map(|(id, _)| id.clone()).collect();
    for (kind, object) in live.all().filter(|(_, object)| is_object(object)) {
        let Some(id) = marks::kube_id(object) else { continue };
        let mut needs: Vec<Bond> = Vec::new();
        if cx.makes_cluster() {
            needs.push(Bond::Inside(cluster::id(&cx.name)));
        }
        let namespace = object.metadata.namespace.as_deref();
        if let Some(namespace) = namespace.filter(|name| namespaces.contains(name)) {
            let of = Kinds::default().named(&"v1".into(), &"Namespace".into());
            needs.push(Bond::Holds(objects::id(&of, None, namespace)));
        }
        needs.extend(definitions.get(&(&*kind.group, &*kind.name)).cloned().map(Bond::Holds));
        if kind.is("", "Service") && object.data["spec"]["type"] == "LoadBalancer" {
            needs.extend(pools.iter().cloned().map(Bond::Uses));
        }
        needs.extend(share::held_by(world, object));
        let mut seen = see(objects, &id, kind, object, needs);
        if kind.is("", "Service") {
            seen.outputs = leaving.but(seen.outputs);
        }
        world.add(id, seen);
    }
}

fn see(objects: &Objects, id: &Id, kind: &Kind, live: &DynamicObject, needs: Vec<Bond>) -> Seen {
    let hash = marks::note(live, marks::KUBE_HASH).unwrap_or_default();
    let record = Record {
        format: crate::plan::FORMAT,
        fields: Fields::new().with("hash", hash.into()),
        needs,
        ..Record::default()
    };
    let mut seen = Seen::mine(record);
    match ready::judge(kind, Some(live)) {
        Verdict::Done(outputs) => seen.outputs = outputs,
        Verdict::NotYet(last) | Verdict::Failed(last) => seen.state = State::Unready(last),
    }
    if let Some(object) = objects.get(id) {
        // Under a changed hash the file decides; then what others changed is no drift but in the way.
        if object.secret || object.hash() == hash {
            let wanted = objects.body(object);
            let drifted = drift::drift(&wanted, live);
            seen.drift = if object.secret { drift::masked(drifted) } else { drifted };
        }
    }
    seen
}

/// Objects without this topology's mark that stand where one of its own belongs.
async fn see_strangers(
    cx: &Context,
    kube: &Kube,
    objects: &Objects,
    world: &mut World,
) -> Result<(), KubeError> {
    let mut missing: HashMap<Arc<Kind>, BTreeSet<Option<Arc<str>>>> = HashMap::new();
    let mut wanted: HashSet<Id> = HashSet::new();
    for object in &objects.manifests.objects {
        let id = objects::id(&object.kind, object.namespace.as_deref(), &object.name);
        if world.things.contains_key(&id) {
            continue;
        }
        wanted.insert(id);
        missing.entry(object.kind.clone()).or_default().insert(object.namespace.clone());
    }
    let mut looks = Vec::new();
    for (kind, namespaces) in missing {
        let served = objects.served(kube, &kind).await?;
        let everywhere = namespaces.len() > MANY_NAMESPACES || !served.namespaced;
        let scopes = if everywhere { [None].into() } else { namespaces };
        looks.extend(scopes.into_iter().map(|scope| (served.clone(), scope)));
    }
    let found: Vec<(Arc<Kind>, Vec<DynamicObject>)> = stream::iter(looks)
        .map(|(kind, namespace)| async move {
            let named = kube.marks_in(&kind, namespace.as_deref()).await?;
            Ok::<_, KubeError>((kind, named))
        })
        .buffer_unordered(AT_ONCE)
        .try_collect()
        .await?;
    for (kind, strangers) in found {
        for stranger in strangers {
            let namespace = stranger.metadata.namespace.as_deref();
            let name = stranger.metadata.name.as_deref().unwrap_or_default();
            let id = objects::id(&kind, namespace, name);
            if !wanted.contains(&id) || marks::is_mine(&stranger, &cx.name) {
                continue;
            }
            let target = Target { kind: &kind, namespace, name };
            let seen = if kind.is("", "Namespace") {
                Seen::borrowed()
            } else {
                Seen::foreign(listing::foreign(&stranger, &target))
            };
            world.add(id, seen);
        }
    }
    Ok(())
}

/// Services that forwards follow and that nothing of this topology makes.
async fn see_lookups(
    cx: &Context,
    kube: &Kube,
    objects: &Objects,
    world: &mut World,
) -> Result<(), KubeError> {
    let Some(topology) = cx.file.as_deref() else { return Ok(()) };
    let wanted = objects.followed(topology);
    let namespaces: BTreeSet<&str> =
        wanted.iter().map(|service| service.namespace.as_str()).collect();
    let kind = Kinds::default().named(&"v1".into(), &"Service".into());
    for namespace in namespaces {
        for there in kube.list_in(&kind, Some(namespace), "").await? {
            let name = there.metadata.name.as_deref().unwrap_or_default();
            let looked_for = wanted.iter().find(|service| {
                service.namespace.as_str() == namespace && service.name.as_str() == name
            });
            if let Some(service) = looked_for {
                world.add(objects::service_id(service), look_up(&there));
            }
        }
    }
    Ok(())
}

fn look_up(there: &DynamicObject) -> Seen {
    let mut seen = Seen::borrowed();
    match service::judge(there) {
        Verdict::Done(_) if Reached::of(&there.data) == Reached::NotAtAll => {
            seen.state = State::Unready(service::out_of_reach(&there.data));
        }
        Verdict::Done(outputs) => seen.outputs = outputs,
        Verdict::NotYet(last) | Verdict::Failed(last) => {
            seen.outputs = Outputs::new().with(service::PORTS, service::ports(&there.data));
            seen.state = State::Unready(last);
        }
    }
    seen
}

/// What every node serves is reached at the first, which is looked for only where a forward leads
/// there.
async fn see_nodes(cx: &Context, kube: &Kube, world: &mut World) -> Result<(), KubeError> {
    let Some(topology) = cx.file.as_deref() else { return Ok(()) };
    let at_nodes: Vec<Id> = topology
        .ports()
        .iter()
        .filter_map(|port| match &port.to {
            Forward::Service { service, .. } => Some(objects::service_id(service)),
            Forward::NodePort(_) | Forward::Address { .. } => None,
        })
        .filter(|id| {
            let ready = world.things.get(id).filter(|seen| seen.state == State::Ready);
            ready.is_some_and(|seen| {
                seen.outputs.get(service::PORTS).is_some()
                    && seen.outputs.get(service::ADDRESS).is_none()
            })
        })
        .collect();
    let in_their_cluster = cluster::lookup(topology);
    if at_nodes.is_empty() && in_their_cluster.is_none() {
        return Ok(());
    }
    let Some(address) = service::node_address(kube).await? else { return Ok(()) };
    for id in at_nodes {
        if let Some(seen) = world.things.get_mut(&id) {
            seen.outputs.set(service::ADDRESS, address.to_string().into());
        }
    }
    if let Some(lookup) = in_their_cluster {
        let seen = Seen::borrowed().output(service::ADDRESS, address.to_string());
        world.add(lookup.id, seen);
    }
    Ok(())
}

/// Fills the plan up with what only the cluster can tell: which fields of a changed object would
/// change, who is in the way, which Services would lose their address, and which pods a share.
pub async fn explain(
    cx: &Context,
    plan: &mut Plan,
    desired: &[Resource],
    world: &World,
) -> Result<(), Failure> {
    let by_id: HashMap<&Id, &Resource> =
        desired.iter().map(|resource| (&resource.id, resource)).collect();
    let changed = |item: &Item| {
        item.action == Action::Update
            && item.id.kind() == object::TABLE.kind
            && item.changes.iter().any(|change| change.path == "hash")
    };
    let pools = |item: &Item| {
        item.id.kind() == pool::TABLE.kind && matches!(item.action, Action::Update | Action::Delete)
    };
    if !plan.items.iter().any(|item| changed(item) || pools(item) || share::is_explained(item)) {
        return Ok(());
    }
    let kube = cx.kube().await?;
    let objects = cx.objects().await?;
    let failed = |error: KubeError| Failure::because("cannot look into the cluster", &error);
    if plan.items.iter().any(pools) {
        let kind = Kinds::default().named(&"v1".into(), &"Service".into());
        let services = kube.list(&kind, "").await.map_err(failed)?;
        for item in plan.items.iter_mut().filter(|item| pools(item)) {
            if let Some(seen) = world.things.get(&item.id) {
                pool::warn_of_losses(item, by_id.get(&item.id).copied(), seen, &services);
            }
        }
        let losers = pool::Leaving::of(cx.file.as_deref(), world).losers(&services, &cx.name);
        for item in plan.items.iter_mut().filter(|item| item.action == Action::None) {
            if let Some(address) = losers.get(&item.id) {
                item.waits = Some(format!("{address} leaves its pool"));
            }
        }
    }
    for item in plan.items.iter_mut().filter(|item| share::is_explained(item)) {
        share::explain(cx, &kube, item, world.things.get(&item.id)).await.map_err(failed)?;
    }
    let items: Vec<&mut Item> = plan.items.iter_mut().filter(|item| changed(item)).collect();
    stream::iter(items)
        .map(|item| explain_object(cx, &kube, &objects, &by_id, item))
        .buffer_unordered(AT_ONCE)
        .try_collect::<Vec<()>>()
        .await
        .map_err(failed)?;
    Ok(())
}

async fn explain_object(
    cx: &Context,
    kube: &Kube,
    objects: &Objects,
    resources: &HashMap<&Id, &Resource>,
    item: &mut Item,
) -> Result<(), KubeError> {
    let (Some(object), Some(resource)) = (objects.get(&item.id), resources.get(&item.id)) else {
        return Ok(());
    };
    let kind = objects.served(kube, &object.kind).await?;
    let target = objects::target(&kind, object);
    let values = Fields::new().with("hash", object.hash().into());
    let body = object::stamped(cx, objects, object, resource, &values).await;
    let Some(live) = kube.get(&target).await? else { return Ok(()) };
    let how = Apply { force: cx.forces_conflicts(), dry_run: true };
    match kube.apply(&target, &body, how).await {
        Ok(applied) => {
            let template = item.changes.iter().find(|change| change.path == "hash").cloned();
            let Some(template) = template else { return Ok(()) };
            let fields = compare::changes(&live, &applied);
            if fields.is_empty() {
                return Ok(());
            }
            item.changes.retain(|change| change.path != "hash");
            item.changes.extend(fields.into_iter().map(|field| crate::plan::Change {
                path: field.path,
                before: shown(object.secret, field.before),
                after: shown(object.secret, field.after),
                ..template.clone()
            }));
        }
        Err(KubeError::Conflict { conflicts, .. }) if !conflicts.is_empty() => {
            let fields: Vec<String> = conflicts.iter().map(ToString::to_string).collect();
            item.action = Action::Blocked;
            item.cause = Some(Cause::Both);
            item.why = Some(format!("{}; `--force-conflicts` takes over", fields.join("; ")));
        }
        Err(KubeError::Refused(why)) => {
            item.action = Action::Blocked;
            let hint = if why.contains("immutable") || why.contains("Forbidden: updates") {
                format!("; `--replace {}` removes it and makes it anew", item.id)
            } else {
                String::new()
            };
            item.why = Some(format!("{why}{hint}"));
        }
        Err(error) if error.is_passing() => {}
        Err(error) => return Err(error),
    }
    Ok(())
}

fn shown(secret: bool, value: Option<serde_json::Value>) -> Shown {
    match value {
        None => Shown::Absent,
        Some(_) if secret => Shown::Sensitive,
        Some(value) => Shown::Value(value),
    }
}
