//! `topo destroy`: the same pipeline with nothing desired.

use std::time::Instant;

use super::apply::{agree, refuse_blocked};
use super::session::{Planned, Purpose, Session, Wanted, Which};
use super::{DestroyArgs, run};
use crate::engine::{Failure, Outcome};
use crate::error::{Error, Exit};
use crate::plan::Id;
use crate::resources::{self, Context};
use crate::view::{Doing, Ending, View};

pub async fn destroy(args: &DestroyArgs, view: &mut dyn View) -> Result<Exit, Error> {
    let started = Instant::now();
    let which = match &args.name {
        Some(name) => Which::Name(name),
        None => Which::File(args.file.path()),
    };
    let session = Session::open(which, Purpose::Change, "topo destroy", view).await?;
    session.check_claims(args.moved)?;
    if let Some(context) = session.cx().lost_context()? {
        session.cx().go_without_cluster();
        view.note(&format!(
            "the context `{context}` is in no kubeconfig any more: what was applied to its cluster is left in it, if it is still there"
        ));
    }
    let planned = session.plan(Wanted { nothing: true, ..Wanted::default() }).await?;
    view.plan(&planned.plan);
    refuse_blocked(&planned.plan)?;
    agree(&planned.plan, args.run.yes, view)?;

    let Planned { plan, desired, world } = planned;
    let mut report = run::carry_out(&session, plan, desired, world, &args.run, view).await;
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
        ports: &[],
    });
    Ok(run::exit(&report))
}

/// Gives up what the topology was known by, once nothing of it is left; answers what of the user's
/// files stays and why.
async fn forget(cx: &Context) -> Result<Vec<String>, Failure> {
    cx.forget_tags().await?;
    let left = resources::leave_kubeconfigs(cx).await?;
    cx.give_up_claim().await?;
    cx.state
        .remove()
        .map_err(|error| Failure::because("cannot remove the topology's state", &error))?;
    Ok(left)
}
