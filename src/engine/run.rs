//! The ready queue.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::sync::{OnceCell, Semaphore};
use tokio::task::{Id as TaskId, JoinSet};

use super::{Cancel, Driver, Event, Events, Failure, StepPhase, Turn, Work};
use crate::plan::{
    Action, Comparison, Id, Item, Known, Outputs, Owner, Phase, Plan, Record, Resource, SecretKey,
    Step, StepGraph, World, known, resolve, steps,
};

/// One carrying-out of a plan.
pub struct Run<D> {
    pub driver: Arc<D>,
    pub plan: Plan,
    pub desired: Vec<Resource>,
    pub world: World,
    pub key: SecretKey,
    /// How many changes may run at the same time; waiting does not count.
    pub parallelism: usize,
    pub events: Events,
    pub cancel: Cancel,
}

/// How a resource ended.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    Done(Action),
    Failed(Failure),
    /// Never started, because this one failed or the run was interrupted.
    Skipped(String),
}

#[derive(Debug, Clone, Default)]
pub struct Report {
    pub outcomes: Vec<(Id, Outcome)>,
    pub interrupted: bool,
}

impl Report {
    pub fn failures(&self) -> impl Iterator<Item = (&Id, &Failure)> {
        self.outcomes.iter().filter_map(|(id, outcome)| match outcome {
            Outcome::Failed(failure) => Some((id, failure)),
            Outcome::Done(_) | Outcome::Skipped(_) => None,
        })
    }

    pub fn is_complete(&self) -> bool {
        !self.interrupted
            && self.outcomes.iter().all(|(_, outcome)| matches!(outcome, Outcome::Done(_)))
    }
}

impl<D: Driver> Run<D> {
    pub async fn carry_out(self) -> Report {
        let graph = steps(&self.plan, &self.desired, &self.world);
        let mut queue = Queue::new(self, graph);
        queue.fill();
        while let Some(ended) = queue.next_ended().await {
            queue.settle(ended);
            queue.fill();
        }
        queue.report()
    }
}

struct Queue<D> {
    shared: Arc<Shared<D>>,
    graph: StepGraph,
    ready: VecDeque<usize>,
    running: JoinSet<Result<Outputs, Failure>>,
    /// Which step each running task is, and since when.
    tasks: HashMap<TaskId, (usize, Instant)>,
    ended: Vec<Option<Outcome>>,
    given: HashMap<Id, Outputs>,
    /// Why a step will not be started.
    doomed: HashMap<usize, String>,
}

/// What every task needs.
struct Shared<D> {
    driver: Arc<D>,
    items: Vec<Arc<Item>>,
    resources: HashMap<Id, Arc<Resource>>,
    world: World,
    /// A second look, taken once, for what could not be seen at first.
    later: OnceCell<Result<World, Failure>>,
    key: SecretKey,
    permits: Semaphore,
    events: Events,
    cancel: Cancel,
}

struct Ended {
    step: usize,
    elapsed: Duration,
    result: Result<Outputs, Failure>,
}

impl<D: Driver> Queue<D> {
    fn new(run: Run<D>, graph: StepGraph) -> Self {
        let ready = (0..graph.steps.len()).filter(|step| graph.waits_for[*step] == 0).collect();
        let resources = run
            .desired
            .into_iter()
            .map(|resource| (resource.id.clone(), Arc::new(resource)))
            .collect();
        Self {
            ended: vec![None; graph.steps.len()],
            graph,
            ready,
            running: JoinSet::new(),
            tasks: HashMap::new(),
            given: HashMap::new(),
            doomed: HashMap::new(),
            shared: Arc::new(Shared {
                driver: run.driver,
                items: run.plan.items.into_iter().map(Arc::new).collect(),
                resources,
                world: run.world,
                later: OnceCell::new(),
                key: run.key,
                permits: Semaphore::new(run.parallelism.max(1)),
                events: run.events,
                cancel: run.cancel,
            }),
        }
    }

    /// Starts everything that is ready. What has nothing to do ends here, without a task of its own.
    fn fill(&mut self) {
        while let Some(step) = self.ready.pop_front() {
            let item = &self.shared.items[self.graph.steps[step].item];
            if let Some(why) = self.doomed.remove(&step) {
                self.end(step, Outcome::Skipped(why), Duration::ZERO);
            } else if item.action == Action::None && item.waits.is_none() {
                self.end(step, Outcome::Done(Action::None), Duration::ZERO);
            } else if self.shared.cancel.is_finishing() {
                self.end(step, Outcome::Skipped("interrupted".to_owned()), Duration::ZERO);
            } else {
                self.start(step);
            }
        }
    }

    fn start(&mut self, at: usize) {
        let Step { item, phase } = self.graph.steps[at];
        let shared = Arc::clone(&self.shared);
        let given = self.outputs_for(&shared.items[item].id);
        let aborted = shared.cancel.clone();
        let handle = self.running.spawn(async move {
            tokio::select! {
                result = shared.perform(item, phase, given) => result,
                () = aborted.aborted() => Err(Failure::new("interrupted before it had ended")),
            }
        });
        self.tasks.insert(handle.id(), (at, Instant::now()));
    }

    /// Outputs of everything this resource names, from this run or from before it.
    fn outputs_for(&self, id: &Id) -> HashMap<Id, Outputs> {
        let Some(resource) = self.shared.resources.get(id) else { return HashMap::new() };
        crate::plan::needs_of(resource)
            .filter_map(|needed| Some((needed.clone(), self.outputs_of(needed)?)))
            .collect()
    }

    fn outputs_of(&self, id: &Id) -> Option<Outputs> {
        let before = self.shared.world.things.get(id).map(|seen| seen.outputs.clone());
        match (before, self.given.get(id)) {
            (Some(mut outputs), Some(given)) => {
                for (name, value) in given.iter() {
                    outputs.set(name.clone(), value.clone());
                }
                Some(outputs)
            }
            (None, Some(given)) => Some(given.clone()),
            (before, None) => before,
        }
    }

    async fn next_ended(&mut self) -> Option<Ended> {
        let joined = self.running.join_next_with_id().await?;
        let (task, result) = match joined {
            Ok((task, result)) => (task, result),
            Err(error) => (error.id(), Err(panicked(error))),
        };
        let (step, since) = self.tasks.remove(&task)?;
        Some(Ended { step, elapsed: since.elapsed(), result })
    }

    fn settle(&mut self, Ended { step, elapsed, result }: Ended) {
        let Step { item, phase } = self.graph.steps[step];
        let item = Arc::clone(&self.shared.items[item]);
        let outcome = match result {
            Ok(outputs) => {
                if phase == Phase::Make {
                    self.given.insert(item.id.clone(), outputs);
                }
                Outcome::Done(item.action)
            }
            Err(failure) => Outcome::Failed(failure),
        };
        self.end(step, outcome, elapsed);
    }

    fn end(&mut self, at: usize, outcome: Outcome, elapsed: Duration) {
        let Step { item, phase } = self.graph.steps[at];
        let item = &self.shared.items[item];
        // A replaced resource is done when it has been made again, and failed wherever it failed.
        let halfway = phase == Phase::Remove && item.action == Action::Replace;
        let tell = |event| self.shared.events.tell(event);
        let step = |phase, detail| Event::Step {
            id: item.id.clone(),
            action: item.action,
            phase,
            elapsed,
            detail,
        };
        match &outcome {
            Outcome::Done(Action::None) => {}
            Outcome::Done(_) if halfway => {}
            Outcome::Done(_) => tell(step(StepPhase::Done, None)),
            Outcome::Failed(failure) => tell(Event::Failed {
                id: item.id.clone(),
                action: item.action,
                elapsed,
                failure: failure.clone(),
            }),
            Outcome::Skipped(_) if item.action == Action::None || halfway => {}
            Outcome::Skipped(why) => tell(step(StepPhase::Skipped, Some(why.clone()))),
        }

        let dooms = match &outcome {
            Outcome::Done(_) => None,
            Outcome::Failed(_) => Some(format!("needs `{}`, which failed", item.id)),
            Outcome::Skipped(why) => Some(why.clone()),
        };
        for then in std::mem::take(&mut self.graph.followers[at]) {
            if let Some(why) = &dooms {
                self.doomed.entry(then).or_insert_with(|| why.clone());
            }
            self.graph.waits_for[then] -= 1;
            if self.graph.waits_for[then] == 0 {
                self.ready.push_back(then);
            }
        }
        self.ended[at] = Some(outcome);
    }

    fn report(self) -> Report {
        let mut outcomes: Vec<(Id, Outcome)> = Vec::with_capacity(self.shared.items.len());
        let mut place: HashMap<usize, usize> = HashMap::new();
        for (step, ended) in self.graph.steps.iter().zip(self.ended) {
            let outcome = ended.unwrap_or_else(|| Outcome::Skipped("never reached".to_owned()));
            if let Some(at) = place.get(&step.item) {
                // Of the two steps of a replace, the first that was not done tells how it ended.
                let earlier: &mut Outcome = &mut outcomes[*at].1;
                if matches!(earlier, Outcome::Done(_)) {
                    *earlier = outcome;
                }
            } else {
                place.insert(step.item, outcomes.len());
                outcomes.push((self.shared.items[step.item].id.clone(), outcome));
            }
        }
        let interrupted = self.shared.cancel.is_finishing()
            && outcomes.iter().any(|(_, outcome)| !matches!(outcome, Outcome::Done(_)));
        Report { outcomes, interrupted }
    }
}

impl<D: Driver> Shared<D> {
    async fn perform(
        &self,
        item: usize,
        phase: Phase,
        given: HashMap<Id, Outputs>,
    ) -> Result<Outputs, Failure> {
        let item = Arc::clone(&self.items[item]);
        let Some(mut turn) = self.turn(item, phase, &given).await? else {
            return Ok(Outputs::new());
        };
        if turn.work != Work::Keep {
            let _permit =
                self.permits.acquire().await.map_err(|_| Failure::new("the run has ended"))?;
            if self.cancel.is_finishing() {
                return Err(Failure::new("interrupted before it was started"));
            }
            self.tell(&turn, StepPhase::Started);
            let outputs = self.driver.change(&turn).await?;
            if turn.work == Work::Delete {
                return Ok(outputs);
            }
            for (name, value) in outputs {
                turn.values.set(name, value);
            }
        }
        self.tell(&turn, StepPhase::Waiting);
        let waited = self.driver.wait(&turn).await?;
        let mut outputs = turn.values;
        for (name, value) in waited {
            outputs.set(name, value);
        }
        Ok(outputs)
    }

    fn tell(&self, turn: &Turn, phase: StepPhase) {
        self.events.tell(Event::Step {
            id: turn.id().clone(),
            action: turn.action(),
            phase,
            elapsed: Duration::ZERO,
            detail: None,
        });
    }

    /// What is to be done, now that everything it needs is there. Nothing, where a value that was
    /// unknown when the plan was made has come out as it was.
    async fn turn(
        &self,
        item: Arc<Item>,
        phase: Phase,
        given: &HashMap<Id, Outputs>,
    ) -> Result<Option<Turn>, Failure> {
        let resource = self.resources.get(&item.id).cloned();
        let lookup = |giver: &Id, output: &str| given.get(giver)?.get(output).cloned();
        let mut work = match (phase, item.action) {
            (Phase::Remove, _) => Work::Delete,
            (Phase::Make, Action::Create | Action::Replace) => Work::Create,
            (Phase::Make, Action::Update) => Work::Update,
            (Phase::Make, Action::Start) => Work::Start,
            (Phase::Make, Action::None | Action::Delete | Action::Blocked) => Work::Keep,
            (Phase::Make, Action::Deferred) => match &resource {
                Some(resource) => self.deferred(resource, &lookup).await?,
                None => return Err(Failure::new(deferred_removal(&item))),
            },
        };
        let record = self.record_of(&item.id);
        let only_unknowns = item.action == Action::Update
            && item
                .changes
                .iter()
                .all(|change| matches!(change.after, crate::plan::Shown::Unknown(_)));
        if only_unknowns
            && let (Some(resource), Some(record)) = (&resource, &record)
            && resolve(resource, Some(record), &lookup) == record.fields
        {
            work = Work::Keep;
        }

        let mut turn = Turn {
            work,
            item,
            values: crate::plan::Fields::new(),
            missing: Vec::new(),
            record,
            events: self.events.clone(),
            cancel: self.cancel.clone(),
            resource: resource.clone(),
        };
        if let Some(resource) = resource {
            for (name, want) in resource.fields.iter() {
                let recorded = turn.record.as_ref().and_then(|record| record.fields.get(name));
                match known(&resource.id, want, recorded, &lookup) {
                    Known::Value(value) => turn.values.set(name.clone(), value),
                    Known::Unknown(giver) if giver != resource.id => {
                        turn.missing.push((name.clone(), giver));
                    }
                    Known::Unknown(_) => {}
                }
            }
        }
        Ok(Some(turn))
    }

    fn record_of(&self, id: &Id) -> Option<Record> {
        let record = |world: &World| match &world.things.get(id)?.owner {
            Owner::Mine(record) => Some(record.clone()),
            Owner::Foreign(_) | Owner::Borrowed => None,
        };
        record(&self.world)
            .or_else(|| self.later.get().and_then(|later| later.as_ref().ok()).and_then(record))
            .or_else(|| self.world.remembered.get(id).cloned())
    }

    /// Decides what could not be seen before. Only what loses nothing may be done without showing it first.
    async fn deferred(
        &self,
        resource: &Resource,
        lookup: &(dyn Fn(&Id, &str) -> Option<Value> + Sync),
    ) -> Result<Work, Failure> {
        let later = self.later.get_or_init(|| self.driver.look()).await;
        let world = later.as_ref().map_err(Clone::clone)?;
        let Some(seen) = world.things.get(&resource.id) else {
            return Ok(if resource.table.lookup { Work::Keep } else { Work::Create });
        };
        let record = match &seen.owner {
            Owner::Mine(record) => record,
            Owner::Borrowed => return Ok(Work::Keep),
            Owner::Foreign(whose) => return Err(Failure::new(whose.clone())),
        };
        let difference = Comparison {
            resource,
            record,
            seen,
            key: &self.key,
            given: &|giver, output| lookup(giver, output),
            places: &|_| None,
        }
        .difference();
        match difference.effect {
            None => Ok(Work::Keep),
            Some(crate::plan::Effect::Replace) => Err(Failure::new(format!(
                "`{}` would have to be replaced, which the plan did not show",
                resource.id
            ))
            .hint("run `topo apply` again: it can be seen now")),
            Some(_) => Ok(Work::Update),
        }
    }
}

fn deferred_removal(item: &Item) -> String {
    format!(
        "`{}` left the file and could not be seen when the plan was made; run `topo apply` again to remove it",
        item.id
    )
}

fn panicked(error: tokio::task::JoinError) -> Failure {
    let said = match error.try_into_panic() {
        Ok(panic) => panic
            .downcast_ref::<&str>()
            .map(ToString::to_string)
            .or_else(|| panic.downcast_ref::<String>().cloned())
            .unwrap_or_else(|| "it did not say why".to_owned()),
        Err(_) => "it was cancelled".to_owned(),
    };
    Failure::new("this step broke down, which is a mistake in topo").caused_by(said)
}
