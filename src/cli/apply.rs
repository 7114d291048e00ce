//! `topo apply`.

use std::time::{Duration, Instant};

use super::ports::{self, IsTried, ReadyPods};
use super::session::{Planned, Purpose, Session, Which};
use super::{ApplyArgs, lock, run};
use crate::engine::{Cancel, Failure, Outcome, Report};
use crate::error::{Error, Exit};
use crate::plan::{Action, Id, Plan, World};
use crate::resources;
use crate::view::{Answer, Doing, Ending, PortStatus, View};

pub async fn apply(args: &ApplyArgs, view: &mut dyn View) -> Result<Exit, Error> {
    args.run.check()?;
    let started = Instant::now();
    let cancel = run::listen()?;
    let (session, planned) = run::prepared(&cancel, Box::pin(prepare(args, &cancel, view))).await?;
    let before = session.cx().claim().await;
    if !planned.plan.in_sync() {
        session.stake(&planned.desired, &planned.world).await?;
    }

    let Planned { plan, desired, world } = planned;
    let touched = plan.touched();
    let seen = plan.in_sync().then(|| ports::only_forwards(&world));
    let report = run::carry_out(&session, plan, desired, world, &args.run, &cancel, view).await;
    if report.interrupted
        && report.changed_nothing()
        && let Err(why) = session.cx().go_back_to(before).await
    {
        view.warning(&format!("what this run has reserved stays reserved: {why}"));
    }
    let elapsed = started.elapsed();
    let context = has_new_cluster(&report).then(|| session.cx().context_name());
    let ports = if report.interrupted {
        Vec::new()
    } else {
        let is_tried = |id: &Id, _| touched.contains(id);
        let looked = look_at_ports(&session, seen, &is_tried, ports::PATIENCE, view);
        run::unless_interrupted(&cancel, looked).await.unwrap_or_default()
    };
    view.summary(&Ending {
        doing: Doing::Apply,
        topology: session.name(),
        report: &report,
        elapsed,
        context: context.as_deref(),
        ports: &ports,
    });
    Ok(run::exit(&report))
}

fn has_new_cluster(report: &Report) -> bool {
    let is_new = |id: &Id, outcome: &Outcome| {
        let is_made = matches!(outcome, Outcome::Done(Action::Create | Action::Replace));
        id.kind() == "cluster" && is_made
    };
    report.outcomes.iter().any(|(id, outcome)| is_new(id, outcome))
}

/// Everything before the first change.
async fn prepare(
    args: &ApplyArgs,
    cancel: &Cancel,
    view: &mut dyn View,
) -> Result<(Session, Planned), Error> {
    let which = Which::File(args.file.path());
    let session = Session::open(which, Purpose::Change, "topo apply", view).await?;
    session.check_claims(args.plan.moved)?;
    if args.plan.locked {
        lock::refuse_unlocked(&args.file, &session).await?;
    }
    let planned = session.plan(args.plan.wanted()).await?;
    view.plan(&planned.plan);
    session.warn(&planned.plan, view).await?;
    refuse_blocked(&planned.plan)?;
    if !planned.plan.in_sync() {
        session.refuse_held_by_others()?;
        resources::check_tools(session.cx(), &planned.plan, &planned.desired, session.snapshot())?;
        agree(&planned.plan, args.run.yes, cancel, view)?;
        let refused = resources::refuse_impossible(session.cx(), &planned.plan).await;
        refused.map_err(Error::refused)?;
    }
    Ok((session, planned))
}

/// A forward that does not answer is a warning and not a failure: its pods may just be slow. Those that
/// are not tried are shown as they were `seen` before the run, if nothing has changed since.
pub async fn look_at_ports(
    session: &Session,
    seen: Option<World>,
    is_tried: IsTried<'_>,
    patience: Duration,
    view: &mut dyn View,
) -> Vec<PortStatus> {
    if session.topology.as_ref().is_none_or(|topology| topology.ports().is_empty()) {
        return Vec::new();
    }
    let forwards = async {
        match seen {
            Some(world) => Some(world),
            None => resources::observe_ports(session.cx()).await.ok(),
        }
    };
    let (world, ready_pods) = tokio::join!(forwards, ReadyPods::look(session.cx()));
    let Some(world) = world else { return Vec::new() };
    let ports = ports::look(session, &world, &ready_pods, is_tried, patience).await;
    for port in ports.iter().filter(|port| port.address.is_some()) {
        if let (Some(false), Some(detail)) = (port.reachable, &port.detail) {
            view.warning(&format!("port {} {detail}", port.listen));
        }
    }
    ports
}

/// What stands in the way is named, and nothing is changed.
pub fn refuse_blocked(plan: &Plan) -> Result<(), Error> {
    let blocked: Vec<String> = plan
        .items
        .iter()
        .filter(|item| item.action == Action::Blocked)
        .map(|item| format!("`{}`: {}", item.id, item.why.as_deref().unwrap_or("it is blocked")))
        .collect();
    if blocked.is_empty() {
        return Ok(());
    }
    let mut failure = Failure::new("the plan cannot be carried out, and nothing was changed");
    failure.causes = blocked;
    Err(Error::refused(failure))
}

/// Asks once for everything that would be lost.
pub fn agree(plan: &Plan, yes: bool, cancel: &Cancel, view: &mut dyn View) -> Result<(), Error> {
    let asks: Vec<String> = plan.items.iter().filter_map(|item| item.asks.clone()).collect();
    if asks.is_empty() || yes {
        return Ok(());
    }
    let refusal = match view.confirm(&asks, cancel) {
        Answer::Yes => return Ok(()),
        Answer::No if cancel.is_finishing() => return Err(run::interrupted()),
        Answer::No => Failure::new("cancelled; nothing was changed"),
        Answer::Nobody => {
            let mut failure =
                Failure::new("confirmation required, but there is no terminal to ask on");
            failure.causes = asks;
            failure.hint("add `--yes` if this is what you want")
        }
    };
    Err(Error::refused(refusal))
}
