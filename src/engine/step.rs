//! One step: what is to be done at its turn, and having it done.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::{Mutex, Semaphore};

use super::stages::Herald;
use super::{Cancel, Driver, Event, Events, Failure, Run, StepPhase, Turn, Work};
use crate::plan::{
    Action, Fields, Id, Item, Known, LateRequest, Outputs, Phase, Refusal, Resource, SecretKey,
    Shown, State, World, closed_place, decide_late, known,
};

/// What every step needs of the run.
pub(super) struct Shared<D> {
    driver: Arc<D>,
    pub(super) items: Vec<Arc<Item>>,
    pub(super) resources: HashMap<Id, Arc<Resource>>,
    pub(super) world: Arc<World>,
    latest: Mutex<Option<Look>>,
    /// How many steps have changed or waited for something so far.
    done: AtomicUsize,
    key: SecretKey,
    permits: Semaphore,
    timeout: Option<Duration>,
    pub(super) events: Events,
    pub(super) cancel: Cancel,
}

/// Another look at the world, for what could not be seen at first.
struct Look {
    /// How many steps were done when it began: it may be out of date when more are.
    since: usize,
    result: Result<Arc<World>, Failure>,
}

pub(super) struct Performed {
    pub(super) did: Action,
    pub(super) outputs: Outputs,
    /// What came of it.
    pub(super) remark: Option<String>,
}

/// Why a step gave nothing.
pub(super) enum Stop {
    Failed(Failure),
    /// What it waits for is made by nobody in this run: it stays as it is, and why.
    Pending(String),
    /// The run was interrupted while the step waited for its place among the parallel ones.
    NotStarted,
    /// It went ahead of a step that failed.
    CalledBack,
}

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

type Given = HashMap<Id, Outputs>;

impl<D: Driver> Shared<D> {
    pub(super) fn new(run: Run<D>) -> Self {
        let desired = run.desired.into_iter();
        Self {
            driver: run.driver,
            items: run.plan.items.into_iter().map(Arc::new).collect(),
            resources: desired.map(|wanted| (wanted.id.clone(), Arc::new(wanted))).collect(),
            world: Arc::new(run.world),
            latest: Mutex::new(None),
            done: AtomicUsize::new(0),
            key: run.key,
            permits: Semaphore::new(run.parallelism.max(1)),
            timeout: run.timeout,
            events: run.events,
            cancel: run.cancel,
        }
    }

    pub(super) fn count_done(&self) {
        self.done.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) async fn perform(
        &self,
        item: usize,
        phase: Phase,
        given: &Given,
        herald: Herald,
    ) -> Result<Performed, Stop> {
        let item = Arc::clone(&self.items[item]);
        let (action, world) = self.action_at_its_turn(&item, phase, given).await?;
        if action == Action::None && self.is_looked_up_in_vain(&item.id, &world) {
            return Ok(Performed { did: Action::Deferred, outputs: Outputs::new(), remark: None });
        }
        let turn = self.turn(item, phase, action, &world, given, herald);
        if let Some(why) = self.pending(&turn).await {
            return Err(Stop::Pending(why));
        }
        let changed = match turn.work {
            Work::Keep => Outputs::new(),
            _ => self.change(&turn, action).await?,
        };
        if matches!(turn.work, Work::Delete | Work::Stop) {
            let did = if turn.is_kept() { Action::None } else { action };
            return Ok(Performed { did, outputs: changed, remark: turn.remarked() });
        }
        self.tell(&turn, action, StepPhase::Waiting);
        let waited = self.driver.wait(&turn).await?;
        let remark = turn.remarked();

        // What was made or started gives what it gives now; what stayed also what it gave before.
        let mut outputs = match turn.work {
            Work::Keep | Work::Update => {
                world.things.get(turn.id()).map(|seen| seen.outputs.clone()).unwrap_or_default()
            }
            Work::Create | Work::Start | Work::Stop | Work::Delete => Outputs::new(),
        };
        if turn.work != Work::Keep {
            outputs.extend(turn.values);
        }
        outputs.extend(changed);
        outputs.extend(waited);
        Ok(Performed { did: action, outputs, remark })
    }

    /// What topo only looks up is not waited for.
    fn is_looked_up_in_vain(&self, id: &Id, world: &World) -> bool {
        let ready = || world.things.get(id).is_some_and(|seen| seen.state == State::Ready);
        self.is_looked_up(id) && !ready()
    }

    fn is_looked_up(&self, id: &Id) -> bool {
        self.resources.get(id).is_some_and(|wanted| wanted.table.lookup)
    }

    /// A value that something gives which topo only looks up, and that has none yet. Nobody in this
    /// run will make it, so waiting is no use and failing no help.
    async fn pending(&self, turn: &Turn) -> Option<String> {
        if !matches!(turn.work, Work::Create | Work::Update) {
            return None;
        }
        let (_, giver) = turn.missing.iter().find(|(_, giver)| self.is_looked_up(giver))?;
        let latest = self.latest.lock().await;
        let look = latest.as_ref().and_then(|look| look.result.as_ref().ok());
        let world = look.unwrap_or(&self.world);
        Some(match world.things.get(giver).map(|seen| &seen.state) {
            None => format!("`{giver}` does not exist, and nothing in this file makes it"),
            Some(State::Unready(last)) => format!("`{giver}`: {last}"),
            Some(_) => format!("`{giver}` has nothing to give yet"),
        })
    }

    async fn change(&self, turn: &Turn, action: Action) -> Result<Outputs, Stop> {
        let _permit = if self.driver.gathers(turn) {
            None
        } else {
            Some(self.permits.acquire().await.map_err(|_| Stop::NotStarted)?)
        };
        if self.cancel.is_finishing() {
            return Err(Stop::NotStarted);
        }
        self.tell(turn, action, StepPhase::Started);
        Ok(self.driver.change(turn).await?)
    }

    fn tell(&self, turn: &Turn, action: Action, phase: StepPhase) {
        self.events.tell(Event::Step {
            id: turn.id().clone(),
            action,
            phase,
            elapsed: Duration::ZERO,
            detail: None,
        });
    }

    /// What the plan said, unless it could not know: then what turns out now, and the world as it
    /// was seen for that.
    async fn action_at_its_turn(
        &self,
        item: &Item,
        phase: Phase,
        given: &Given,
    ) -> Result<(Action, Arc<World>), Failure> {
        let unknown = |change: &crate::plan::Change| matches!(change.after, Shown::Unknown(_));
        let open = item.action == Action::Deferred
            || (item.action == Action::Update && item.changes.iter().any(unknown));
        if phase == Phase::Remove || !open {
            return Ok((item.action, Arc::clone(&self.world)));
        }
        let world = if self.world.things.contains_key(&item.id) {
            Arc::clone(&self.world)
        } else {
            self.look_for(item).await?
        };
        let action = decide_late(&LateRequest {
            item,
            resource: self.resources.get(&item.id).map(Arc::as_ref),
            world: &world,
            key: &self.key,
            given: &|giver, output| given.get(giver)?.get(output).cloned(),
        })
        .map_err(|refusal| explain(&refusal))?;
        Ok((action, world))
    }

    /// The latest look serves unless what hid the item was still closed then.
    async fn look_for(&self, item: &Item) -> Result<Arc<World>, Failure> {
        let mut latest = self.latest.lock().await;
        let since = self.done.load(Ordering::Relaxed);
        if let Some(look) = &*latest {
            let serves = match &look.result {
                Ok(world) => closed_place(world, item).is_none(),
                Err(_) => false,
            };
            if serves || look.since == since {
                return look.result.clone();
            }
        }
        let result = self.driver.look().await.map(Arc::new);
        *latest = Some(Look { since, result: result.clone() });
        result
    }

    fn turn(
        &self,
        item: Arc<Item>,
        phase: Phase,
        action: Action,
        world: &World,
        given: &Given,
        herald: Herald,
    ) -> Turn {
        let resource = self.resources.get(&item.id).cloned();
        let record =
            world.record(&item.id).or_else(|| self.world.remembered.get(&item.id)).cloned();
        let mut turn = Turn {
            work: Work::of(action, phase),
            state: world.things.get(&item.id).map(|seen| seen.state.clone()),
            item,
            values: Fields::new(),
            missing: Vec::new(),
            record,
            timeout: self.timeout,
            events: self.events.clone(),
            cancel: self.cancel.clone(),
            herald,
            remark: Arc::default(),
            kept: Arc::default(),
            said: Arc::default(),
            resource: resource.clone(),
        };
        let lookup = |giver: &Id, output: &str| given.get(giver)?.get(output).cloned();
        for (name, want) in resource.iter().flat_map(|resource| resource.fields.iter()) {
            let recorded = turn.record.as_ref().and_then(|record| record.fields.get(name));
            match known(turn.id(), want, recorded, &lookup) {
                Known::Value(value) => turn.values.set(name.clone(), value),
                Known::Unknown(giver) if giver != *turn.id() => {
                    turn.missing.push((name.clone(), giver));
                }
                Known::Unknown(_) => {}
            }
        }
        turn
    }
}

fn explain(refusal: &Refusal) -> Failure {
    let failure = Failure::new(refusal.to_string());
    match refusal {
        Refusal::NotShown(_) | Refusal::WouldReplace { .. } => {
            failure.hint("run `topo apply` again: what could not be seen can be shown now")
        }
        Refusal::Closed(..) | Refusal::Unseen(..) | Refusal::Foreign(_) | Refusal::Newer(..) => {
            failure
        }
    }
}
