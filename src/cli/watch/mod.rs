//! `topo watch`: drift is repaired as it happens.

mod map;
mod patience;

use std::collections::HashSet;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use map::Map;
use patience::Patience;

use super::args::{FileArgs, RunArgs};
use super::listening::Listening;
use super::run;
use super::session::{Planned, Purpose, Session, WATCH, Wanted, Which};
use crate::engine::{Cancel, Outcome};
use crate::error::{Error, Exit};
use crate::plan::{Action, Cause, Id, Item, Plan, Repairs, Resource, World};
use crate::resources;
use crate::view::{Hushed, Sighting, View};

/// Changes inside a gateway or a server make no event that could be waited for.
const IDLE: Duration = Duration::from_secs(30);
/// While something is on its way to be ready.
const UNSETTLED: Duration = Duration::from_secs(2);
/// Between tries to look at an engine or a file that cannot be looked at.
const TROUBLE: Duration = Duration::from_secs(2);

/// Stay up and repair drift as it happens
///
/// Hears from the engine and the cluster what happens, and puts back what is no longer as it was
/// applied: a forward whose Service has another address, a stopped container, an object that was
/// edited or deleted. It never deletes or replaces anything, and carries out no change of the file:
/// that is left to `topo apply`. Ctrl-C ends it.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    file: FileArgs,
    /// Only say what would be repaired
    #[arg(long)]
    dry_run: bool,
    /// Serve a map of the topology to browsers that follows what happens, as `127.0.0.1:8080` or `8080`
    #[arg(long, value_name = "[ADDRESS:]PORT", value_parser = listen)]
    http: Option<SocketAddr>,
}

/// A port alone is one of this machine's own.
fn listen(text: &str) -> Result<SocketAddr, String> {
    let port = text.parse().map(|port| SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
    port.or_else(|_| text.parse())
        .map_err(|_| "write a port, or an address and a port: `127.0.0.1:8080`".to_owned())
}

pub async fn watch(args: &Args, view: &mut dyn View) -> Result<Exit, Error> {
    let cancel = run::listen()?;
    let mut watch = Watch::new(args);
    if let Some(at) = args.http {
        let map = Map::open(at).await?;
        view.note(&format!("the map is at {}", map.url()));
        watch.map = Some(map);
    }
    while let Some(looked) = run::unless_interrupted(&cancel, Box::pin(watch.look(view))).await {
        let pause = match looked {
            // What is being repaired comes to its end, as in an apply.
            Ok(looked) => watch.act(looked, &cancel, view).await,
            Err(error) if watch.is_first() => return Err(error),
            Err(error) => watch.trouble(&error, view),
        };
        if view.is_unread() {
            break;
        }
        run::unless_interrupted(&cancel, watch.listening.news(pause)).await;
    }
    Ok(Exit::Done)
}

struct Watch {
    file: PathBuf,
    dry_run: bool,
    map: Option<Map>,
    listening: Listening,
    patience: Patience,
    /// Everything seen so far: a deleted object looks like one that was never created.
    seen: HashSet<Id>,
    /// What was said last of each sort of thing that lasts, so as to say it once.
    trouble: Option<String>,
    left: Vec<Id>,
    said: bool,
}

struct Looked {
    session: Session,
    planned: Planned,
}

impl Watch {
    fn new(args: &Args) -> Self {
        Self {
            file: args.file.path(),
            dry_run: args.dry_run,
            map: None,
            listening: Listening::default(),
            patience: Patience::default(),
            seen: HashSet::new(),
            trouble: None,
            left: Vec::new(),
            said: false,
        }
    }

    /// Whether nothing was ever seen: what is wrong then is a mistake of the call.
    fn is_first(&self) -> bool {
        !self.said
    }

    /// Under the topology's lock: nobody is half-way through a change, and nobody begins one before the
    /// repair is done.
    async fn look(&mut self, view: &mut dyn View) -> Result<Looked, Error> {
        let purpose = if self.dry_run { Purpose::Look } else { Purpose::Change };
        // Warnings of the file and choices for it are said once.
        let mut hushed = Hushed(view);
        let view: &mut dyn View = if self.said { &mut hushed } else { hushed.0 };
        let which = Which::File(self.file.clone());
        let session = Session::open(which, purpose, WATCH, view).await?;
        session.check_claims(false)?;
        self.listening.hear_engine(&session);
        let planned = session.plan(Wanted::default()).await?;
        self.listening.hear_cluster(&session).await;
        if let Some(map) = &mut self.map {
            map.show(&session, &planned).await?;
        }
        Ok(Looked { session, planned })
    }

    /// Answers after how long to look again, if nothing is heard before.
    async fn act(&mut self, looked: Looked, cancel: &Cancel, view: &mut dyn View) -> Duration {
        let Looked { session, planned } = looked;
        if self.trouble.take().is_some() {
            self.see(&Sighting::Over, view);
        }
        if !std::mem::replace(&mut self.said, true) {
            self.see(&Sighting::Begins { topology: session.name() }, view);
        }
        let now = Instant::now();
        let Planned { mut plan, desired, world } = planned;
        for item in plan.items.iter_mut().filter(|item| self.seen.contains(&item.id)) {
            if item.action == Action::Create {
                item.cause = Some(Cause::Drift);
            }
        }
        self.seen.extend(world.records().map(|(id, _)| id.clone()));
        let Repairs { plan, left, unsettled } =
            plan.repairs(&desired, |id| is_repaired(id) && self.patience.allows(id, now));
        self.tell_left(&left, view);
        let drifted: Vec<Item> =
            plan.items.iter().filter(|item| item.action.changes_something()).cloned().collect();
        if drifted.is_empty() {
            let idle = if unsettled { UNSETTLED } else { IDLE };
            return self.patience.until(now).map_or(idle, |wait| wait.min(idle));
        }
        for item in &drifted {
            self.see(&Sighting::Drifted { item }, view);
            if let Some(pause) = self.patience.tried(&item.id, now) {
                self.see(&Sighting::Again { id: &item.id, pause }, view);
            }
        }
        if self.dry_run {
            return IDLE;
        }
        if let Err(error) = prepare(&session, &plan, &desired, &world).await {
            return self.trouble(&error, view);
        }
        let how = RunArgs::default();
        let mut hushed = Hushed(view);
        let report =
            run::carry_out(&session, plan, desired, world, &how, cancel, &mut hushed).await;
        let elapsed = now.elapsed();
        for (id, outcome) in &report.outcomes {
            if !drifted.iter().any(|item| item.id == *id) {
                continue;
            }
            let sighting = match outcome {
                Outcome::Done(did) => Sighting::Repaired { id, did: *did, elapsed },
                Outcome::Failed(failure) => Sighting::Failed { id, failure },
                Outcome::Pending(why) | Outcome::Skipped(why) | Outcome::Removed(why) => {
                    Sighting::NotYet { id, why }
                }
            };
            self.see(&sighting, view);
        }
        Duration::ZERO
    }

    fn see(&mut self, sighting: &Sighting, view: &mut dyn View) {
        view.sighting(sighting);
        if let Some(map) = &mut self.map {
            map.tell(sighting);
        }
    }

    fn trouble(&mut self, error: &Error, view: &mut dyn View) -> Duration {
        let why = match &error.failure {
            Some(failure) => failure.to_string(),
            None => "the file is not valid (`topo validate` says why)".to_owned(),
        };
        if self.trouble.as_ref() != Some(&why) {
            self.see(&Sighting::Trouble { why: &why }, view);
            self.trouble = Some(why);
        }
        TROUBLE
    }

    fn tell_left(&mut self, left: &[Item], view: &mut dyn View) {
        let ids: Vec<Id> = left.iter().map(|item| item.id.clone()).collect();
        let before = std::mem::replace(&mut self.left, ids);
        for item in left.iter().filter(|item| !before.contains(&item.id)) {
            self.see(&Sighting::Left { item }, view);
        }
    }
}

/// What must hold before the first change, as for an apply.
async fn prepare(
    session: &Session,
    plan: &Plan,
    desired: &[Resource],
    world: &World,
) -> Result<(), Error> {
    session.refuse_held_by_others()?;
    resources::check_tools(session.cx(), plan, desired, session.snapshot())?;
    resources::refuse_impossible(session.cx(), plan).await.map_err(Error::refused)?;
    session.stake(desired, world).await
}

/// What holds everything else is not made again behind somebody's back: it was taken down on purpose,
/// or with all that was in it.
fn is_repaired(id: &Id) -> bool {
    !matches!(id.kind(), "network" | "cluster")
}
