//! The chain of manifests: one resource for each entry of the file, done when its objects work, so
//! that the next entry waits for one thing instead of for every object of the one before.

use std::collections::{BTreeMap, HashMap};

use crate::engine::{Failure, Turn};
use crate::plan::{Bond, Id, Origin, Outputs, Resource, Seen, Table, World};
use crate::resources::base::context::Context;
use crate::resources::base::ids;
use crate::resources::base::in_cluster::in_cluster;
use crate::resources::base::kind::{Ingredients, ResourceKind};
use crate::resources::base::kube::inside::Inside;
use crate::resources::base::kube::objects::Objects;
use crate::resources::base::objection::Objections;
use crate::resources::base::pins::{Outside, Pin};
use crate::topology::Topology;

const TABLE: Table = Table::plain(ids::MANIFEST);

pub struct ManifestKind;

impl ResourceKind for ManifestKind {
    const TABLE: Table = TABLE;

    fn desired(from: &Ingredients) -> Result<Vec<Resource>, Objections> {
        Ok(desired(from.topology, from.objects))
    }

    fn pins(topology: &Topology) -> Result<Vec<Pin>, Failure> {
        Ok(pins(topology))
    }

    async fn observe_inside(inside: &Inside<'_>, world: &mut World) -> Result<(), Failure> {
        if let Some(topology) = inside.cx.file.as_deref() {
            observe(topology, world);
        }
        Ok(())
    }

    /// Its objects are all there is of it.
    async fn change(_: &Context, _: &Turn) -> Result<Outputs, Failure> {
        Ok(Outputs::new())
    }
}

/// What the objects of each entry need for their place in the chain.
pub fn chain(topology: &Topology) -> Vec<Vec<Bond>> {
    let before =
        |entry: usize| entry.checked_sub(1).map(|entry| Bond::Uses(ids::manifest(topology, entry)));
    let written = topology.manifests.iter().enumerate();
    written
        .map(|(entry, written)| {
            before(entry).into_iter().chain(ids::asked(&written.needs)).collect()
        })
        .collect()
}

/// Which manifest each object is of, and what stands for the whole of one.
pub fn members(topology: &Topology, objects: &Objects) -> HashMap<Id, Id> {
    let made = objects.manifests.objects.iter().zip(&objects.ids).map(|(made, id)| {
        (id.clone(), ids::manifest(topology, objects.manifests.sources[made.source].entry))
    });
    let whole = (0..topology.manifests.len()).map(|entry| ids::manifest(topology, entry));
    made.chain(whole.map(|id| (id.clone(), id))).collect()
}

/// Only entries that another follows, or that something needs by name, have to be waited for as a
/// whole.
fn awaited(topology: &Topology) -> impl Iterator<Item = usize> {
    let entries = topology.manifests.len();
    (0..entries).filter(move |entry| {
        let id = ids::manifest(topology, *entry);
        entry + 1 < entries || topology.needs().any(|need| need.as_str() == id.as_str())
    })
}

fn desired(topology: &Topology, objects: &Objects) -> Vec<Resource> {
    let barrier = |entry: usize| {
        let barrier = Resource::new(ids::manifest(topology, entry), &TABLE)
            .origin(Origin::Key(format!("manifests.{entry}").into()));
        let mut barrier = in_cluster(barrier, topology);
        let before = entry.checked_sub(1);
        barrier.bonds.extend(before.map(|entry| Bond::Uses(ids::manifest(topology, entry))));
        (entry, barrier)
    };
    let mut barriers: BTreeMap<usize, Resource> = awaited(topology).map(barrier).collect();
    for (made, id) in objects.manifests.objects.iter().zip(&objects.ids) {
        let entry = objects.manifests.sources[made.source].entry;
        if let Some(barrier) = barriers.get_mut(&entry) {
            barrier.bonds.push(Bond::Uses(id.clone()));
        }
    }
    barriers.into_values().collect()
}

/// What is downloaded, by the checksum that the file itself has of it.
fn pins(topology: &Topology) -> Vec<Pin> {
    let entries = topology.manifests.iter().enumerate();
    let downloaded = entries.filter_map(|(entry, manifest)| {
        let (source, sha256) = (manifest.source()?.written(), manifest.sha256.as_ref()?);
        let version = manifest.version.as_ref().map(|version| format!("@{version}"));
        Some(Pin {
            id: format!("manifest/{source}{}", version.unwrap_or_default()),
            key: format!("manifests.{entry}"),
            outside: Outside::Known(format!("sha256:{}", sha256.as_str())),
        })
    });
    downloaded.collect()
}

/// There is nothing of it in the world: it is there as soon as its cluster is, and needs no removing.
fn observe(topology: &Topology, world: &mut World) {
    for entry in awaited(topology) {
        world.add(ids::manifest(topology, entry), Seen::borrowed());
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_something_needs_by_name_is_waited_for_as_a_whole() {
        let barriers = |needs: &str| {
            let topology: Topology = serde_json::from_value(json!({
                "name": "dev",
                "cluster": {},
                "manifests": [{ "path": "base" }, { "path": "app" }],
                "shares": [{ "name": "docs", "path": "/docs", "needs": [needs] }],
            }))
            .expect("a topology");
            let barriers = desired(&topology, &Objects::of_text(""));
            barriers.iter().map(|barrier| barrier.id.to_string()).collect::<Vec<_>>()
        };
        assert_eq!(barriers("share/other"), ["manifest/1-base"]);
        assert_eq!(barriers("manifest/2-app"), ["manifest/1-base", "manifest/2-app"]);
    }
}
