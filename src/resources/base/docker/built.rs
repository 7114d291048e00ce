//! Tags of images that topo built: they go when nothing has a use for them any more.

use crate::engine::Failure;
use crate::plan::{Id, Record};
use crate::resources::base::context::Context;
use crate::resources::base::ids;

/// All of a topology whose cluster is removed.
pub async fn forget_all(cx: &Context) -> Result<(), Failure> {
    let records = cx.claim().await.map(|claim| claim.records).unwrap_or_default();
    for (id, record) in records.iter().filter(|(id, _)| id.kind() == ids::IMAGE) {
        forget(cx, id, record).await?;
    }
    Ok(())
}

pub async fn forget(cx: &Context, id: &Id, record: &Record) -> Result<(), Failure> {
    if record.fields.get("build").is_some() { cx.forget_tag(id.name()).await } else { Ok(()) }
}
