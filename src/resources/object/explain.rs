//! What a dry run tells of an object that changed: which of its fields would change, and who is in
//! the way.

use futures::{StreamExt, TryStreamExt, stream};

use crate::backend::kube::{Apply, Kube, KubeError};
use crate::engine::Failure;
use crate::plan::{Action, Cause, Item, Plan, Resource, Shown};
use crate::resources::base::context::Context;
use crate::resources::base::ids;
use crate::resources::base::kind::MadeFrom;
use crate::resources::base::kube::compare;
use crate::resources::base::kube::inside::unseen;
use crate::resources::base::kube::objects::{self, Objects};

/// How many calls are under way at a time.
const AT_ONCE: usize = 8;

pub async fn explain(cx: &Context, plan: &mut Plan, from: &MadeFrom<'_>) -> Result<(), Failure> {
    let changed = |item: &&mut Item| {
        item.action == Action::Update
            && item.id.kind() == ids::OBJECT
            && item.changes.iter().any(|change| change.field == "hash")
    };
    let items: Vec<&mut Item> = plan.items.iter_mut().filter(changed).collect();
    if items.is_empty() {
        return Ok(());
    }
    let kube = cx.kube().await?;
    let objects = cx.objects().await?;
    let explained: Vec<_> = items
        .into_iter()
        .map(|item| {
            let wanted = from.desired.get(&item.id).copied();
            explain_one(cx, &kube, &objects, wanted, item)
        })
        .collect();
    stream::iter(explained)
        .buffer_unordered(AT_ONCE)
        .try_collect::<Vec<()>>()
        .await
        .map_err(unseen)?;
    Ok(())
}

async fn explain_one(
    cx: &Context,
    kube: &Kube,
    objects: &Objects,
    wanted: Option<&Resource>,
    item: &mut Item,
) -> Result<(), KubeError> {
    let (Some(object), Some(resource)) = (objects.get(&item.id), wanted) else { return Ok(()) };
    let kind = objects.served(kube, &object.kind).await?;
    let target = objects::target(&kind, object);
    let body = super::stamped(cx, objects, object, resource, &resource.stated()).await;
    let Some(live) = kube.get(&target).await? else { return Ok(()) };
    let how = Apply { force: cx.forces_conflicts(), dry_run: true };
    match kube.apply(&target, &body, how).await {
        Ok(applied) => {
            let template = item.changes.iter().find(|change| change.field == "hash").cloned();
            let Some(template) = template else { return Ok(()) };
            let fields = compare::changes(&live, &applied);
            if fields.is_empty() && item.takes_over.is_empty() {
                return Ok(());
            }
            item.changes.retain(|change| change.field != "hash");
            item.changes.extend(fields.into_iter().map(|field| crate::plan::Change {
                path: field.path,
                before: shown(object.secret, field.before),
                after: shown(object.secret, field.after),
                ..template.clone()
            }));
        }
        Err(KubeError::Conflict { conflicts, .. }) if !conflicts.is_empty() => {
            let fields: Vec<String> = conflicts.iter().map(ToString::to_string).collect();
            item.block(format!("{}; `--force-conflicts` takes over", fields.join("; ")));
            item.cause = Some(Cause::Both);
        }
        Err(KubeError::Refused(why)) => {
            let hint = if why.contains("immutable") || why.contains("Forbidden: updates") {
                format!("; `--replace {}` recreates it", item.id)
            } else {
                String::new()
            };
            item.block(format!("{}{hint}", super::said_of(object, &why)));
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
