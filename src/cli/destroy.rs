//! `topo destroy`: the same pipeline with nothing desired.

use std::time::Instant;

use super::apply::{agree, refuse_blocked};
use super::session::{Planned, Purpose, Session, Wanted};
use super::{DestroyArgs, run};
use crate::engine::{Cancel, Failure, Outcome};
use crate::error::{Error, Exit};
use crate::plan::Id;
use crate::resources::{self, Context};
use crate::view::{Doing, Ending, View};

pub async fn destroy(args: &DestroyArgs, view: &mut dyn View) -> Result<Exit, Error> {
    if args.dry_run {
        let (_, planned) = look(args, Purpose::Look, view).await?;
        refuse_blocked(&planned.plan)?;
        return Ok(Exit::Done);
    }
    args.run.check()?;
    let started = Instant::now();
    let cancel = run::listen()?;
    let (session, planned) = run::prepared(&cancel, Box::pin(prepare(args, &cancel, view))).await?;

    let Planned { plan, desired, world } = planned;
    let mut report = run::carry_out(&session, plan, desired, world, &args.run, &cancel, view).await;
    if report.is_complete() {
        match forget(session.cx()).await {
            Ok(left) => left.iter().for_each(|left| view.note(left)),
            Err(failure) => {
                let claim = Id::new("claim", session.name());
                report.outcomes.push((claim, Outcome::Failed(failure)));
            }
        }
    }
    view.summary(&Ending {
        doing: Doing::Destroy,
        topology: session.name(),
        report: &report,
        elapsed: started.elapsed(),
        context: None,
        ports: &[],
    });
    Ok(run::exit(&report))
}

/// Everything before the first change.
async fn prepare(
    args: &DestroyArgs,
    cancel: &Cancel,
    view: &mut dyn View,
) -> Result<(Session, Planned), Error> {
    let (session, planned) = look(args, Purpose::Change, view).await?;
    refuse_blocked(&planned.plan)?;
    agree(&planned.plan, args.run.yes, cancel, view)?;
    Ok((session, planned))
}

async fn look(
    args: &DestroyArgs,
    purpose: Purpose,
    view: &mut dyn View,
) -> Result<(Session, Planned), Error> {
    let session = Session::open(args.which.which(), purpose, "topo destroy", view).await?;
    session.check_claims(args.moved)?;
    if let Some(context) = session.cx().lost_context()? {
        session.cx().go_without_cluster();
        view.note(&format!(
            "the context `{context}` is in no kubeconfig any more: what was applied to its cluster is left in it, if it is still there"
        ));
    }
    let planned = session.plan(Wanted { nothing: true, ..Wanted::default() }).await?;
    if args.which.name.is_some() && planned.plan.items.is_empty() && !session.is_known() {
        if purpose == Purpose::Change {
            remove_state(session.cx())?;
        }
        return Err(session.not_found("destroy"));
    }
    view.plan(&planned.plan);
    Ok((session, planned))
}

/// Gives up what the topology was known by, once nothing of it is left; answers what of the user's
/// files stays and why.
async fn forget(cx: &Context) -> Result<Vec<String>, Failure> {
    cx.forget_tags().await?;
    let left = resources::leave_kubeconfigs(cx).await?;
    cx.give_up_claim().await?;
    remove_state(cx)?;
    Ok(left)
}

fn remove_state(cx: &Context) -> Result<(), Failure> {
    let removed = cx.state.remove();
    removed.map_err(|error| Failure::because("cannot remove the topology's state", &error))
}
