//! The inside of the cluster: one look at everything that bears this topology's mark, by one list
//! for each kind of object, whatever the number of objects.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::{Arc, OnceLock};

use futures::{StreamExt, TryStreamExt, stream};

use crate::backend::docker::Snapshot;
use crate::backend::kube::{Kube, KubeError, Watched};
use crate::engine::Failure;
use crate::manifest::{Kind, Kinds};
use crate::plan::{Owner, State, World};
use crate::resources::base::context::Context;
use crate::resources::base::kube::copies;
use crate::resources::base::kube::inside::{Inside, Listed, unseen};
use crate::resources::base::kube::listing::Listing;
use crate::resources::base::kube::objects::Objects;
use crate::resources::base::{ids, marks};
use crate::topology::Target;

/// How many calls are under way at a time.
const AT_ONCE: usize = 8;

/// What the cluster has, when it has been seen itself; none where it cannot be inspected.
pub async fn inside<'a>(
    cx: &'a Context,
    snapshot: &Snapshot,
    lists: Vec<Listed>,
    world: &World,
) -> Result<Option<Inside<'a>>, Failure> {
    if cx.goes_without_cluster() {
        return Ok(None);
    }
    cx.refuse_another_cluster().await?;
    let objects = cx.objects().await?;
    cx.inventory.lock().await.expect(objects.members([].into_iter()));
    if cx.makes_cluster() && !is_up(cx, world) {
        return Ok(None);
    }
    // One that topo made has just told of its nodes.
    let kube =
        if cx.makes_cluster() { cx.kube_of(snapshot).await? } else { cx.kube_ready().await? };
    let kinds = kinds(cx, &kube, &objects, lists).await.map_err(unseen)?;
    cx.run::<Seen>().0.get_or_init(|| kinds.values().map(|listed| listed.kind.clone()).collect());
    let found = list(&kube, kinds, &marks::selector(&cx.name)).await.map_err(unseen)?;
    let there = found.all().filter(|(_, object)| marks::is_of(object, ids::OBJECT));
    let there = there.map(|(kind, object)| {
        (kind, object.metadata.namespace.as_deref(), object.metadata.name.as_deref().unwrap_or(""))
    });
    cx.inventory.lock().await.expect(objects.members(there));
    Ok(Some(Inside::new(cx, kube, objects, found)))
}

/// The kinds that were listed.
#[derive(Default)]
struct Seen(OnceLock<Vec<Arc<Kind>>>);

/// What of the cluster a change of which may be drift: the kinds that hold something of this topology's,
/// and the Services that forwards lead to. None before the cluster was seen.
pub fn watched(cx: &Context) -> Option<Vec<(Arc<Kind>, Watched)>> {
    let seen = cx.run::<Seen>();
    let own = seen.0.get()?.iter();
    let own = own.map(|kind| (kind.clone(), Watched::Labelled(marks::selector(&cx.name))));
    let service = Kinds::default().named(&"v1".into(), &"Service".into());
    let ports = cx.file.iter().flat_map(|topology| topology.ports());
    let services: BTreeSet<Watched> = ports.filter_map(|port| named(&port.to)).collect();
    Some(own.chain(services.into_iter().map(|one| (service.clone(), one))).collect())
}

fn named(target: &Target) -> Option<Watched> {
    match target {
        Target::Service { service, .. } => Some(Watched::One {
            namespace: service.namespace.to_string(),
            name: service.name.to_string(),
        }),
        Target::NodePort(_) | Target::Address { .. } => None,
    }
}

/// The cluster has been seen, and its API answers.
fn is_up(cx: &Context, world: &World) -> bool {
    let id = ids::cluster(&cx.name);
    let runs = world.things.get(&id).is_some_and(|seen| {
        matches!(seen.owner, Owner::Mine(_))
            && !matches!(seen.state, State::Partial | State::Stopped)
    });
    runs && !world.blind.contains_key(&id)
}

/// By group and name.
type Sorts = BTreeMap<(Box<str>, Box<str>), Listed>;

/// The kinds that may hold something of this topology's.
async fn kinds(
    cx: &Context,
    kube: &Kube,
    objects: &Objects,
    lists: Vec<Listed>,
) -> Result<Sorts, KubeError> {
    let mut sorts = Sorts::new();
    let mut add = |listed: Listed| {
        let key = (listed.kind.group.clone(), listed.kind.name.clone());
        let of_all = listed.of_all;
        sorts.entry(key).or_insert(listed).of_all |= of_all;
    };
    let mut met = HashSet::new();
    for object in &objects.manifests.objects {
        if met.insert(&object.kind) {
            add(Listed::own(objects.served(kube, &object.kind).await?));
        }
    }
    lists.into_iter().for_each(add);
    let listed = cx.inventory.lock().await.read(kube).await?;
    let unknown: BTreeSet<(String, String)> = listed
        .into_iter()
        .filter(|(group, name)| !sorts.contains_key(&(group.as_str().into(), name.as_str().into())))
        .collect();
    if !unknown.is_empty() {
        let mut served = kube.served().await?;
        for (group, name) in unknown {
            let key = (group.into(), name.into());
            if let Some(kind) = served.remove(&key) {
                sorts.insert(key, Listed::own(kind));
            }
        }
    }
    Ok(sorts)
}

async fn list(kube: &Kube, sorts: Sorts, labels: &str) -> Result<Listing, KubeError> {
    let found = stream::iter(sorts.into_values())
        .map(|Listed { kind, of_all }| async move {
            let mut objects = kube.list(&kind, if of_all { "" } else { labels }).await?;
            objects.retain(|object| !copies::is_copy(&kind, object));
            Ok::<(Arc<Kind>, _), KubeError>((kind, objects))
        })
        .buffer_unordered(AT_ONCE)
        .try_collect()
        .await?;
    Ok(Listing::new(found))
}
