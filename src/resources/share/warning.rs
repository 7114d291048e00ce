//! What a person is told of a plan before it is carried out: who holds a claim that is to go, and
//! why a cluster would be made anew.

use super::choice::unmounted;
use super::holders;
use super::volume::Pair;
use crate::backend::kube::{Kube, KubeError};
use crate::engine::Failure;
use crate::plan::{Action, Item, Owner, Plan, Seen};
use crate::resources::base::claim::Claim;
use crate::resources::base::context::Context;
use crate::resources::base::ids;
use crate::resources::base::kind::MadeFrom;
use crate::resources::base::kube::inside::unseen;
use crate::topology::Topology;

pub async fn explain(cx: &Context, plan: &mut Plan, from: &MadeFrom<'_>) -> Result<(), Failure> {
    if let Some(topology) = cx.file.as_deref() {
        let claim = cx.claim().await;
        plan.items.iter_mut().for_each(|item| explain_mounts(item, topology, claim.as_ref()));
    }
    for item in plan.items.iter_mut().filter(|item| gives_its_claim_up(item)) {
        let kube = cx.kube().await?;
        let seen = from.world.things.get(&item.id);
        explain_holders(cx, &kube, item, seen).await.map_err(unseen)?;
    }
    Ok(())
}

fn gives_its_claim_up(item: &Item) -> bool {
    item.id.kind() == ids::SHARE && matches!(item.action, Action::Replace | Action::Delete)
}

/// Names the pods that hold a claim which is to go.
async fn explain_holders(
    cx: &Context,
    kube: &Kube,
    item: &mut Item,
    seen: Option<&Seen>,
) -> Result<(), KubeError> {
    let record = seen.and_then(|seen| match &seen.owner {
        Owner::Mine(record) => Some(record),
        Owner::Foreign(_) | Owner::Borrowed => None,
    });
    let pair = record.and_then(|record| Pair::of(&cx.name, &item.id, &record.fields));
    let Some(pair) = pair else { return Ok(()) };
    let held = holders::holders(kube, &pair).await?;
    let alone = holders::alone(&held);
    let id = &item.id;
    item.asks = Some(match item.action {
        Action::Replace if !alone.is_empty() => {
            item.action = Action::Blocked;
            item.asks = None;
            item.why = Some(format!(
                "pods hold its claim that nothing would make again: {}; delete them first",
                holders::listed(&alone)
            ));
            return Ok(());
        }
        Action::Replace if held.is_empty() => {
            format!("replaces volume and claim of `{id}`; no pod holds it, and what is in it stays")
        }
        Action::Replace => format!(
            "replaces volume and claim of `{id}`, and restarts the pods that hold it: {}; what is in it stays",
            holders::listed(&held)
        ),
        _ if held.is_empty() => {
            format!("deletes volume and claim of `{id}`; what is in it stays")
        }
        _ => format!(
            "deletes volume and claim of `{id}` once these pods have ended: {}; what is in it stays",
            holders::listed(&held)
        ),
    });
    Ok(())
}

/// Says why a cluster would be made anew, where a mount is the reason.
fn explain_mounts(item: &mut Item, topology: &Topology, claim: Option<&Claim>) {
    let is_remade = item.id.kind() == ids::CLUSTER
        && item.action == Action::Replace
        && item.changes.iter().any(|change| change.field == "config");
    let missing = unmounted(topology, claim);
    if is_remade && item.why.is_none() && !missing.is_empty() {
        let names: Vec<String> = missing.iter().map(|share| format!("`{}`", share.name)).collect();
        item.why = Some(format!(
            "folders are mounted when nodes are made, and {} is new; `via: server` shares it with the cluster as it is",
            names.join(", ")
        ));
    }
}
