//! `topo stop`: everything that runs stands still, and nothing is lost.

use std::time::Instant;

use super::args::{NamedArgs, RunArgs};
use super::run;
use super::session::{Planned, Purpose, Session};
use crate::error::{Error, Exit};
use crate::resources;
use crate::view::{Doing, Ending, View};

/// Stop what runs, and keep everything in it
///
/// Stops tunnels, gateway, nodes and NFS server, what uses others before them. Addresses, forwards,
/// images, objects and data stay. `topo start` brings it all back.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    which: NamedArgs,
}

pub async fn stop(args: &Args, view: &mut dyn View) -> Result<Exit, Error> {
    let started = Instant::now();
    let cancel = run::listen()?;
    let (session, planned) = run::prepared(&cancel, Box::pin(prepare(args, view))).await?;
    let Planned { plan, desired, world } = planned;
    let how = RunArgs::default();
    let report = run::carry_out(&session, plan, desired, world, &how, &cancel, view).await;
    view.summary(&Ending {
        doing: Doing::Stop,
        topology: session.name(),
        report: &report,
        elapsed: started.elapsed(),
        context: None,
        ports: &[],
    });
    Ok(run::exit(&report))
}

async fn prepare(args: &Args, view: &mut dyn View) -> Result<(Session, Planned), Error> {
    let session = Session::open(args.which.which(), Purpose::Change, "topo stop", view).await?;
    session.check_claims(false)?;
    let world = session.look().await?;
    if args.which.name.is_some() && !session.is_known() {
        return Err(session.not_found("stop"));
    }
    let plan = resources::halt(session.cx(), &world);
    if !plan.items.is_empty() {
        view.plan(&plan);
    }
    Ok((session, Planned { plan, desired: Vec::new(), world }))
}
