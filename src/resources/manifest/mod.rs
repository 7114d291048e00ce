//! The chain of manifests: one resource for each entry of the file, done when its objects work, so
//! that the next entry waits for one thing instead of for every object of the one before.

use crate::engine::{Failure, Turn};
use crate::plan::{Bond, Id, Origin, Outputs, Resource, Seen, Table, World};
use crate::resources::asked;
use crate::resources::base::context::Context;
use crate::resources::base::kube::objects::Objects;
use crate::resources::base::stages;
use crate::topology::{HostPath, Topology, Url};

pub const TABLE: Table = Table::plain("manifest");

/// Numbered as in the file, since one path may be applied twice.
fn id(topology: &Topology, entry: usize) -> Id {
    let written = &topology.manifests[entry];
    let path = written.path.as_ref().map(HostPath::written);
    let source = path.or(written.url.as_ref().map(Url::as_str)).unwrap_or_default();
    Id::new(TABLE.kind, format_args!("{}-{source}", entry + 1))
}

/// What the objects of each entry need for their place in the chain.
pub fn chain(topology: &Topology) -> Vec<Vec<Bond>> {
    let before = |entry: usize| entry.checked_sub(1).map(|entry| Bond::Uses(id(topology, entry)));
    let written = topology.manifests.iter().enumerate();
    written
        .map(|(entry, written)| before(entry).into_iter().chain(asked(&written.needs)).collect())
        .collect()
}

/// Only entries that another follows have to be waited for as a whole.
pub fn desired(topology: &Topology, objects: &Objects) -> Vec<Resource> {
    let followed = topology.manifests.len().saturating_sub(1);
    let mut barriers: Vec<Resource> = (0..followed)
        .map(|entry| {
            let mut barrier = Resource::new(id(topology, entry), &TABLE)
                .origin(Origin::Key(format!("manifests.{entry}").into()));
            barrier = stages::in_cluster(barrier, topology);
            let before = entry.checked_sub(1).map(|entry| Bond::Uses(id(topology, entry)));
            barrier.bonds.extend(before);
            barrier
        })
        .collect();
    for (made, id) in objects.manifests.objects.iter().zip(&objects.ids) {
        let entry = objects.manifests.sources[made.source].entry;
        if let Some(barrier) = barriers.get_mut(entry) {
            barrier.bonds.push(Bond::Uses(id.clone()));
        }
    }
    barriers
}

/// There is nothing of it in the world: it is there as soon as its cluster is, and needs no removing.
pub fn observe(topology: &Topology, world: &mut World) {
    for entry in 0..topology.manifests.len().saturating_sub(1) {
        world.add(id(topology, entry), Seen::borrowed());
    }
}

#[allow(clippy::unused_async, reason = "the shape that every kind has")]
pub async fn change(_cx: &Context, _turn: &Turn) -> Result<Outputs, Failure> {
    Ok(Outputs::new())
}

#[allow(clippy::unused_async, reason = "the shape that every kind has")]
pub async fn wait(_cx: &Context, _turn: &Turn) -> Result<Outputs, Failure> {
    Ok(Outputs::new())
}
