//! Carries a plan out while a view follows, and listens for interrupts.

use std::sync::Arc;

use super::args::RunArgs;
use super::session::Session;
use crate::backend::host::Interrupts;
use crate::engine::{Cancel, Events, Report, Run};
use crate::error::Exit;
use crate::plan::{Plan, Resource, World};
use crate::view::{self, View};

pub async fn carry_out(
    session: &Session,
    plan: Plan,
    desired: Vec<Resource>,
    world: World,
    how: &RunArgs,
    view: &mut dyn View,
) -> Report {
    let (events, told) = Events::channel();
    let cancel = Cancel::default();
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
    let interrupts = tokio::spawn(listen(cancel));
    let (report, ()) = tokio::join!(run.carry_out(), view::follow(view, told));
    interrupts.abort();
    if let Some(why) = session.cx().docker.cut_off() {
        view.warning(&why);
    }
    report
}

/// The first interrupt lets running steps end, the second does not.
async fn listen(cancel: Cancel) {
    let Ok(mut interrupts) = Interrupts::listen() else { return };
    interrupts.next().await;
    cancel.finish();
    interrupts.next().await;
    cancel.abort();
}

/// For what changes nothing, and may be cut off anywhere.
pub async fn unless_interrupted<T>(work: impl Future<Output = T>) -> Option<T> {
    let Ok(mut interrupts) = Interrupts::listen() else { return Some(work.await) };
    tokio::select! {
        done = work => Some(done),
        () = interrupts.next() => None,
    }
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
