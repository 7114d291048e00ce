//! What is there of the manifests' objects, and what stands in their places.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use futures::{StreamExt, TryStreamExt, stream};
use kube::api::DynamicObject;

use crate::backend::kube::{Kube, KubeError, Target, Verdict};
use crate::engine::Failure;
use crate::manifest::{Kind, Kinds};
use crate::plan::{Bond, Fields, Id, Outputs, Owner, Record, Seen, State, World};
use crate::resources::base::context::Context;
use crate::resources::base::kube::inside::{Inside, unseen};
use crate::resources::base::kube::objects::{self, Objects};
use crate::resources::base::kube::service::{self, Reached};
use crate::resources::base::kube::{drift, listing, ready};
use crate::resources::base::{ids, marks};
use crate::resources::{pool, share};
use crate::topology::Target as Forward;

/// How many calls are under way at a time.
const AT_ONCE: usize = 8;
/// In more namespaces than this, missing objects are looked for by one list over all of them.
const MANY_NAMESPACES: usize = 20;

pub async fn observe(inside: &Inside<'_>, world: &mut World) -> Result<(), Failure> {
    let Inside { cx, kube, objects, .. } = inside;
    see_own(inside, world);
    see_strangers(cx, kube, objects, world).await.map_err(unseen)?;
    see_lookups(cx, kube, objects, world).await.map_err(unseen)?;
    see_nodes(inside, world).await
}

fn see_own(inside: &Inside<'_>, world: &mut World) {
    let Inside { cx, objects, found: live, .. } = inside;
    let namespaces: HashSet<&str> = live
        .all()
        .filter(|(kind, object)| kind.is("", "Namespace") && marks::is_of(object, ids::OBJECT))
        .filter_map(|(_, object)| object.metadata.name.as_deref())
        .collect();
    let definitions: HashMap<(&str, &str), Id> = live
        .all()
        .filter(|(kind, object)| {
            kind.is("apiextensions.k8s.io", "CustomResourceDefinition")
                && marks::is_of(object, ids::OBJECT)
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
        .filter(|(id, seen)| id.kind() == ids::POOL && matches!(seen.owner, Owner::Mine(_)));
    let pools: Vec<Id> = pools.map(|(id, _)| id.clone()).collect();
    for (kind, object) in live.all().filter(|(_, object)| marks::is_of(object, ids::OBJECT)) {
        let Some(id) = marks::kube_id(object) else { continue };
        let mut needs: Vec<Bond> = Vec::new();
        if cx.makes_cluster() {
            needs.push(Bond::Inside(ids::cluster(&cx.name)));
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
                listing::stranger(&stranger, &target, &id)
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
                world.add(ids::service(service), look_up(&there));
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

/// Services that every node serves are reached at the first, which is looked for only where a forward
/// leads there.
async fn see_nodes(inside: &Inside<'_>, world: &mut World) -> Result<(), Failure> {
    let Some(topology) = inside.cx.file.as_deref() else { return Ok(()) };
    let at_nodes: Vec<Id> = topology
        .ports()
        .iter()
        .filter_map(|port| match &port.to {
            Forward::Service { service, .. } => Some(ids::service(service)),
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
    if at_nodes.is_empty() {
        return Ok(());
    }
    let Some(address) = inside.node_address().await? else { return Ok(()) };
    for id in at_nodes {
        if let Some(seen) = world.things.get_mut(&id) {
            seen.outputs.set(service::ADDRESS, address.to_string().into());
        }
    }
    Ok(())
}
