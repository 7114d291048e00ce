//! Carries a plan out while a view follows, and listens for interrupts.

use std::sync::Arc;

use super::args::RunArgs;
use super::session::Session;
use crate::backend::host::Interrupts;
use crate::engine::{Cancel, Events, Failure, Report, Run};
use crate::error::{Error, Exit};
use crate::plan::{Plan, Resource, World};
use crate::view::{self, Timeline, View};

pub async fn carry_out(
    session: &Session,
    plan: Plan,
    desired: Vec<Resource>,
    world: World,
    how: &RunArgs,
    cancel: &Cancel,
    view: &mut dyn View,
) -> Report {
    let (events, told) = Events::channel();
    let mut timeline = how.timeline.is_some().then(|| Timeline::of(&plan));
    let run = Run {
        driver: Arc::clone(&session.hands),
        plan,
        desired,
        world,
        key: session.cx().key.clone(),
        parallelism: how.parallelism,
        timeout: how.timeout,
        events,
        cancel: cancel.clone(),
    };
    let following = view::follow(view, told, timeline.as_mut());
    let (report, ()) = tokio::join!(run.carry_out(), following);
    if let Some((path, timeline)) = how.timeline.as_ref().zip(timeline)
        && let Err(error) = std::fs::write(path, timeline.draw(session.name()))
    {
        view.warning(&format!("cannot write the timeline to `{}`: {error}", path.display()));
    }
    if let Some(why) = session.cx().docker.cut_off() {
        view.warning(&why);
    }
    report
}

/// From now on the first interrupt lets running steps end, and the second does not.
pub fn listen() -> Result<Cancel, Error> {
    let mut interrupts = Interrupts::listen()
        .map_err(|error| Error::because("cannot listen for signals", &error))?;
    let cancel = Cancel::default();
    let told = cancel.clone();
    tokio::spawn(async move {
        interrupts.next().await;
        told.finish();
        interrupts.next().await;
        told.abort();
    });
    Ok(cancel)
}

/// For what changes nothing, and may be cut off anywhere.
pub async fn unless_interrupted<T>(cancel: &Cancel, work: impl Future<Output = T>) -> Option<T> {
    tokio::select! {
        done = work => Some(done),
        () = cancel.finishing() => None,
    }
}

/// The same, of what comes before the first change.
pub async fn prepared<T>(
    cancel: &Cancel,
    work: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    unless_interrupted(cancel, work).await.unwrap_or_else(|| Err(interrupted()))
}

pub fn interrupted() -> Error {
    let failure = Failure::new("interrupted; nothing was changed");
    Error { exit: Exit::Interrupted, failure: Some(Box::new(failure)) }
}

pub fn exit(report: &Report) -> Exit {
    if report.interrupted {
        Exit::Interrupted
    } else if report.is_complete() {
        Exit::Done
    } else {
        Exit::PartWay
    }
}
