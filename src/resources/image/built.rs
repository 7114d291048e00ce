//! Tags of images that topo built: they go when nobody has a use for them any more.

use serde_json::Value;

use super::TABLE;
use crate::backend::docker::Snapshot;
use crate::engine::Failure;
use crate::plan::{Id, Record};
use crate::resources::{Claims, Context};

/// Of the whole topology, whose cluster has gone.
pub async fn forget_all(cx: &Context) -> Result<(), Failure> {
    let records = cx.claim().await.map(|claim| claim.records).unwrap_or_default();
    for (id, record) in records.iter().filter(|(id, _)| id.kind() == TABLE.kind) {
        forget(cx, id, record).await?;
    }
    Ok(())
}

/// Takes the tag away, if it is still what topo built and nothing else uses it.
pub async fn forget(cx: &Context, id: &Id, record: &Record) -> Result<(), Failure> {
    if record.fields.get("build").is_none() {
        return Ok(());
    }
    let snapshot = cx.snapshot().await?;
    if !is_as_built(id, record, &snapshot) || is_used(cx, id, &snapshot) {
        return Ok(());
    }
    cx.remove_image(id.name()).await
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
