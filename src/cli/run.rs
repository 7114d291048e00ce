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
    tokio::spawn(leave());
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

/// What is left once the plan was carried out may be cut off anywhere.
async fn leave() {
    if let Ok(mut interrupts) = Interrupts::listen() {
        interrupts.next().await;
        std::process::exit(Exit::Interrupted as i32);
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
