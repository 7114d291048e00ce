//! `topo start`: what stands still runs again, as it was.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use super::apply::{look_at_ports, refuse_blocked};
use super::args::{FileArgs, RunArgs, duration};
use super::run;
use super::session::{Planned, Purpose, Session, Wanted, Which};
use crate::engine::{Cancel, Report};
use crate::error::{Error, Exit};
use crate::plan::{Action, Id, Item, Plan};
use crate::view::{Doing, Ending, View};

/// Pods come back within seconds, and after a crash or two within a minute.
const PODS: Duration = Duration::from_mins(1);
/// How many of those that only `topo apply` would put right are named.
const MOST_TOLD: usize = 5;

/// Start what was stopped, and wait until it works
///
/// After `topo stop`, or after the machine or its engine was restarted. Starts containers and tunnels
/// in the order that they need, waits for the cluster and tries every forward. Carries out no change
/// of the file: that is left to `topo apply`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    file: FileArgs,
    /// How long each resource may take to become ready, instead of its usual time: `90s`, `5m`
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    timeout: Option<Duration>,
}

pub async fn start(args: &Args, view: &mut dyn View) -> Result<Exit, Error> {
    let started = Instant::now();
    let cancel = run::listen()?;
    let how = RunArgs { timeout: args.timeout, ..RunArgs::default() };
    let (mut session, planned) = run::prepared(&cancel, Box::pin(prepare(args, view))).await?;
    let mut report = carry_out(&session, planned, &how, &cancel, view).await;
    if report.is_complete() {
        let settled = Box::pin(settle(&mut session, &how, &cancel, view));
        if let Some(more) = run::unless_interrupted(&cancel, settled).await {
            report.outcomes.extend(more?.outcomes);
        } else {
            report.interrupted = true;
        }
    }
    let patience = args.timeout.unwrap_or(PODS);
    let ports = if report.is_complete() {
        let looked = look_at_ports(&session, None, &|_, _| true, patience, view);
        run::unless_interrupted(&cancel, looked).await.unwrap_or_default()
    } else {
        Vec::new()
    };
    view.summary(&Ending {
        doing: Doing::Start,
        topology: session.name(),
        report: &report,
        elapsed: started.elapsed(),
        context: None,
        ports: &ports,
    });
    Ok(run::exit(&report))
}

/// What stands still and is otherwise as it should be, and what that needs, where it is in order.
async fn prepare(args: &Args, view: &mut dyn View) -> Result<(Session, Planned), Error> {
    let which = Which::File(args.file.path());
    let session = Session::open(which, Purpose::Change, "topo start", view).await?;
    session.check_claims(false)?;
    let Planned { plan, desired, world } = session.plan(Wanted::default()).await?;
    refuse_blocked(&plan)?;
    let stopped = plan.items.iter().filter(|item| item.action == Action::Start);
    let stopped: HashSet<Id> = stopped.map(|item| item.id.clone()).collect();
    let plan = plan.repairs(&desired, |id| stopped.contains(id)).plan;
    view.plan(&plan);
    session.refuse_held_by_others()?;
    Ok((session, Planned { plan, desired, world }))
}

async fn carry_out(
    session: &Session,
    planned: Planned,
    how: &RunArgs,
    cancel: &Cancel,
    view: &mut dyn View,
) -> Report {
    let Planned { plan, desired, world } = planned;
    run::carry_out(session, plan, desired, world, how, cancel, view).await
}

/// Looks again, now that the cluster can be asked, and waits for what is not ready yet. What differs
/// from the file is reported and left alone.
async fn settle(
    session: &mut Session,
    how: &RunArgs,
    cancel: &Cancel,
    view: &mut dyn View,
) -> Result<Report, Error> {
    session.look_afresh().await?;
    let mut planned = session.plan(Wanted::default()).await?;
    let (same, other): (Vec<Item>, Vec<Item>) =
        planned.plan.items.into_iter().partition(|item| item.action == Action::None);
    for item in other.iter().take(MOST_TOLD) {
        view.note(&format!("`topo apply` would {} `{}`", item.action, item.id));
    }
    if other.len() > MOST_TOLD {
        let more = other.len() - MOST_TOLD;
        view.note(&format!("and {more} more, which `topo diff` shows"));
    }
    planned.plan = Plan { topology: planned.plan.topology, items: same };
    Ok(carry_out(session, planned, how, cancel, view).await)
}
