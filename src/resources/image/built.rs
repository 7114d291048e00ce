//! Tags of images that topo built: they go when nobody has a use for them any more.

use serde_json::Value;

use super::TABLE;
use crate::backend::docker::Snapshot;
use crate::engine::Failure;
use crate::plan::{Id, Record};
use crate::resources::base::claim::Claims;
use crate::resources::base::context::Context;

/// Of the whole topology, whose cluster has gone.
pub async fn forget_all(cx: &Context) -> Result<(), Failure> {
    let records = cx.claim().await.map(|claim| claim.records).unwrap_or_default();
    let images = records.iter().filter(|(id, _)| id.kind() == TABLE.kind);
    forget(cx, images).await
}

/// Takes their tags away, where they are still what topo built and nothing else uses them.
pub async fn forget(
    cx: &Context,
    images: impl Iterator<Item = (&Id, &Record)>,
) -> Result<(), Failure> {
    let built: Vec<_> = images.filter(|(_, record)| record.fields.get("build").is_some()).collect();
    if built.is_empty() {
        return Ok(());
    }
    let snapshot = cx.snapshot().await?;
    for (id, record) in built {
        if is_as_built(id, record, &snapshot) && !is_used(cx, id, &snapshot) {
            cx.remove_image(id.name()).await?;
        }
    }
    Ok(())
}

fn is_as_built(id: &Id, record: &Record, snapshot: &Snapshot) -> bool {
    let built = record.fields.get("id").and_then(Value::as_str);
    snapshot.image(id.name()).is_some_and(|image| built == Some(image.id.as_str()))
}

/// By a container, or by another topology that has it on its nodes.
fn is_used(cx: &Context, id: &Id, snapshot: &Snapshot) -> bool {
    let runs = snapshot.containers.iter().any(|container| container.image == id.name());
    let claims = Claims::read(snapshot).current;
    runs || claims.values().any(|claim| claim.topology != cx.name && claim.records.contains_key(id))
}
