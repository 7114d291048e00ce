//! The ready queue.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::task::{AbortHandle, Id as TaskId, JoinSet};

use super::stages::{Reached, Stages};
use super::step::{Performed, Shared, Stop};
use super::{Cancel, Driver, Event, Events, Failure, StepPhase};
use crate::plan::{
    Action, Id, Item, Outputs, Phase, Plan, Record, Resource, SecretKey, Step, StepGraph, World,
    steps,
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
    /// How long any wait may take, where a person has said so; else each wait has its own limit.
    pub timeout: Option<Duration>,
    pub events: Events,
    pub cancel: Cancel,
}

/// How a resource ended.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// What was done; for a deferred one, what it came to.
    Done(Action),
    Failed(Failure),
    /// Left as it is, because what it waits for comes from elsewhere and is not there yet; and why.
    Pending(String),
    /// Never started, and why: something it needs failed, or the run was interrupted.
    Skipped(String),
    /// Removed by itself to be made again; and why it was not.
    Removed(String),
}

#[derive(Debug, Clone, Default)]
pub struct Report {
    pub outcomes: Vec<(Id, Outcome)>,
    /// Removed to be made again, by itself or with what it lives in, and not done again.
    pub lost: Vec<Id>,
    pub interrupted: bool,
}

impl Report {
    pub fn failures(&self) -> impl Iterator<Item = (&Id, &Failure)> {
        self.outcomes.iter().filter_map(|(id, outcome)| match outcome {
            Outcome::Failed(failure) => Some((id, failure)),
            Outcome::Done(_) | Outcome::Pending(_) | Outcome::Skipped(_) | Outcome::Removed(_) => {
                None
            }
        })
    }

    /// Whether all is as it was before the run.
    pub fn changed_nothing(&self) -> bool {
        let is_as_it_was = |outcome: &Outcome| match outcome {
            Outcome::Done(did) => matches!(did, Action::None | Action::Deferred),
            Outcome::Pending(_) | Outcome::Skipped(_) => true,
            Outcome::Failed(_) | Outcome::Removed(_) => false,
        };
        self.outcomes.iter().all(|(_, outcome)| is_as_it_was(outcome))
    }

    pub fn is_complete(&self) -> bool {
        !self.interrupted
            && self
                .outcomes
                .iter()
                .all(|(_, outcome)| matches!(outcome, Outcome::Done(_) | Outcome::Pending(_)))
    }
}

impl<D: Driver> Run<D> {
    pub async fn carry_out(self) -> Report {
        let graph = steps(&self.plan, &self.desired, &self.world);
        let mut queue = Queue::new(self, graph);
        queue.fill();
        while let Some(news) = queue.next().await {
            match news {
                News::Reached(reached) => queue.let_go_ahead(&reached),
                News::Ended(ended) => queue.settle(ended),
            }
            queue.fill();
        }
        queue.report()
    }
}

struct Queue<D> {
    shared: Arc<Shared<D>>,
    graph: StepGraph,
    ready: VecDeque<usize>,
    running: JoinSet<Result<Performed, Stop>>,
    /// Which step each running task is, and since when.
    tasks: HashMap<TaskId, Task>,
    stages: Stages,
    /// Of steps that are still running: what did not have to wait for their end.
    ahead: HashMap<usize, Vec<usize>>,
    ended: Vec<Option<Outcome>>,
    given: HashMap<Id, Outputs>,
    /// What came of steps, in their own words.
    remarks: HashMap<usize, String>,
    /// Steps that will not be started.
    doomed: HashMap<usize, Doom>,
    removed: HashSet<Id>,
    /// What each resource goes with.
    holders: HashMap<Id, Id>,
    said_what_it_waits_for: bool,
}

#[derive(Clone)]
struct Doom {
    why: String,
    /// The failure of the resource's own first step has been told already.
    told: bool,
}

struct Task {
    step: usize,
    since: Instant,
    handle: AbortHandle,
}

struct Ended {
    step: usize,
    elapsed: Duration,
    result: Result<Performed, Stop>,
}

enum News {
    Reached(Reached),
    Ended(Ended),
}

impl<D: Driver> Queue<D> {
    fn new(run: Run<D>, graph: StepGraph) -> Self {
        let holder = |item: &Item| Some((item.id.clone(), item.goes_with.clone()?));
        Self {
            removed: HashSet::new(),
            holders: run.plan.items.iter().filter_map(holder).collect(),
            ready: (0..graph.steps.len()).filter(|step| graph.waits_for[*step] == 0).collect(),
            ended: vec![None; graph.steps.len()],
            graph,
            running: JoinSet::new(),
            tasks: HashMap::new(),
            stages: Stages::new(),
            ahead: HashMap::new(),
            given: HashMap::new(),
            remarks: HashMap::new(),
            doomed: HashMap::new(),
            said_what_it_waits_for: false,
            shared: Arc::new(Shared::new(run)),
        }
    }

    /// Starts everything that is ready. What has nothing to do ends here, without a task of its own.
    fn fill(&mut self) {
        while let Some(step) = self.ready.pop_front() {
            let item = Arc::clone(&self.shared.items[self.graph.steps[step].item]);
            let doom = self.doomed.remove(&step);
            let told = doom.as_ref().is_some_and(|doom| doom.told) || item.action == Action::None;
            if item.action == Action::Blocked {
                let why = item.why.clone().unwrap_or_default();
                self.end(step, Outcome::Failed(Failure::new(why)), Duration::ZERO, false);
            } else if let Some(doom) = doom {
                self.end(step, Outcome::Skipped(doom.why), Duration::ZERO, told);
            } else if item.action == Action::None && item.waits.is_none() {
                self.end(step, Outcome::Done(Action::None), Duration::ZERO, told);
            } else if self.shared.cancel.is_finishing() {
                self.end(step, interrupted(), Duration::ZERO, told);
            } else {
                self.start(step);
            }
        }
    }

    fn start(&mut self, at: usize) {
        let Step { item, phase } = self.graph.steps[at];
        let shared = Arc::clone(&self.shared);
        let given = self.outputs_for(&shared.items[item].id);
        let herald = self.stages.herald(at);
        let handle = self.running.spawn(async move {
            tokio::select! {
                result = shared.perform(item, phase, &given, herald) => result,
                () = shared.cancel.aborted() => {
                    Err(Failure::new("interrupted before it had ended").into())
                }
            }
        });
        self.tasks.insert(handle.id(), Task { step: at, since: Instant::now(), handle });
    }

    /// Outputs of everything this resource needs, from this run or from before it.
    fn outputs_for(&self, id: &Id) -> HashMap<Id, Outputs> {
        let Some(resource) = self.shared.resources.get(id) else { return HashMap::new() };
        let outputs_of = |needed: &Id| {
            let before = || self.shared.world.things.get(needed).map(|seen| &seen.outputs);
            self.given.get(needed).or_else(before).cloned()
        };
        resource.needs().filter_map(|id| Some((id.clone(), outputs_of(id)?))).collect()
    }

    async fn next(&mut self) -> Option<News> {
        let joined = loop {
            tokio::select! {
                biased;
                reached = self.stages.next(), if !self.running.is_empty() => {
                    return Some(News::Reached(reached));
                }
                () = self.shared.cancel.finishing(), if self.has_to_say_what_it_waits_for() => {
                    self.say_what_it_waits_for();
                }
                joined = self.running.join_next_with_id() => break joined?,
            }
        };
        let (task, result) = match joined {
            Ok((task, result)) => (task, result),
            Err(error) if error.is_cancelled() => (error.id(), Err(Stop::CalledBack)),
            Err(error) => (error.id(), Err(panicked(error).into())),
        };
        let Task { step, since, .. } = self.tasks.remove(&task)?;
        Some(News::Ended(Ended { step, elapsed: since.elapsed(), result }))
    }

    fn has_to_say_what_it_waits_for(&self) -> bool {
        !(self.said_what_it_waits_for || self.running.is_empty() || self.shared.cancel.is_aborted())
    }

    /// At once, since what runs may take minutes to end.
    fn say_what_it_waits_for(&mut self) {
        const SHOWN: usize = 3;
        self.said_what_it_waits_for = true;
        let running = self.tasks.values().map(|task| self.graph.steps[task.step].item);
        let mut running: Vec<&Id> = running.map(|item| &self.shared.items[item].id).collect();
        running.sort_unstable();
        let mut names: Vec<String> =
            running.iter().take(SHOWN).map(|id| format!("`{id}`")).collect();
        if running.len() > SHOWN {
            names.push(format!("{} more", running.len() - SHOWN));
        }
        let message = format!(
            "interrupted: waiting for {} to finish; no other step is started; press Ctrl-C again to stop at once",
            names.join(", ")
        );
        self.shared.events.tell(Event::Warning { id: None, message });
    }

    /// What needs no more of a step than it has come to does not wait for its end.
    fn let_go_ahead(&mut self, reached: &Reached) {
        let at = reached.step;
        if self.ended[at].is_some() {
            return;
        }
        let early = &self.graph.early;
        let followers = std::mem::take(&mut self.graph.followers[at]);
        let (ahead, others): (Vec<usize>, Vec<usize>) =
            followers.into_iter().partition(|then| early.get(&(at, *then)) == Some(&reached.stage));
        self.graph.followers[at] = others;
        for then in &ahead {
            self.is_one_nearer(*then);
        }
        self.ahead.entry(at).or_default().extend(ahead);
    }

    fn is_one_nearer(&mut self, step: usize) {
        self.graph.waits_for[step] -= 1;
        if self.graph.waits_for[step] == 0 {
            self.ready.push_back(step);
        }
    }

    fn settle(&mut self, Ended { step, elapsed, result }: Ended) {
        let outcome = match result {
            Ok(Performed { did, outputs, remark }) => {
                self.remarks.extend(remark.map(|remark| (step, remark)));
                let Step { item, phase } = self.graph.steps[step];
                if phase == Phase::Make {
                    self.given.insert(self.shared.items[item].id.clone(), outputs);
                }
                self.shared.count_done();
                Outcome::Done(did)
            }
            Err(Stop::Failed(failure)) => Outcome::Failed(failure),
            Err(Stop::Pending(why)) => Outcome::Pending(why),
            Err(Stop::NotStarted) => interrupted(),
            Err(Stop::CalledBack) => {
                let doom = self.doomed.remove(&step);
                doom.map_or_else(interrupted, |doom| Outcome::Skipped(doom.why))
            }
        };
        self.end(step, outcome, elapsed, false);
    }

    fn end(&mut self, at: usize, outcome: Outcome, elapsed: Duration, told: bool) {
        let Step { item, phase } = self.graph.steps[at];
        let item = &self.shared.items[item];
        let outcome = match outcome {
            // What was in something else may be back with it.
            Outcome::Skipped(why) if self.removed.contains(&item.id) => Outcome::Removed(why),
            outcome => outcome,
        };
        if let (Phase::Remove, Outcome::Done(did)) = (phase, &outcome) {
            let is_kept = *did == Action::None && item.action != Action::None;
            if !is_kept {
                self.removed.insert(item.id.clone());
            }
        }
        if !told {
            self.tell(at, &outcome, elapsed);
        }
        for then in std::mem::take(&mut self.graph.followers[at]) {
            if let Some(doom) = self.doom(at, &outcome, then) {
                let first = self.doomed.entry(then).or_insert_with(|| doom.clone());
                first.told |= doom.told;
            }
            self.is_one_nearer(then);
        }
        for then in self.ahead.remove(&at).unwrap_or_default() {
            if let Some(doom) = self.doom(at, &outcome, then) {
                self.call_back(then, doom);
            }
        }
        self.ended[at] = Some(outcome);
    }

    /// Removed by itself, or with what it was in: by the plan, or by what was recorded when it was made,
    /// since what goes with another and is not wanted any more has no item of its own.
    fn is_gone(&self, id: &Id) -> bool {
        let mut open = vec![id];
        let mut met = HashSet::new();
        while let Some(id) = open.pop() {
            if self.removed.contains(id) {
                return true;
            }
            if met.insert(id) {
                open.extend(self.holders.get(id));
                open.extend(self.shared.world.record(id).into_iter().flat_map(Record::holders));
            }
        }
        false
    }

    /// What went ahead of a step that then failed has nothing to stand on.
    fn call_back(&mut self, step: usize, doom: Doom) {
        if self.ended[step].is_some() {
            return;
        }
        self.doomed.entry(step).or_insert(doom);
        if let Some(task) = self.tasks.values().find(|task| task.step == step) {
            task.handle.abort();
        }
    }

    fn tell(&self, at: usize, outcome: &Outcome, elapsed: Duration) {
        let Step { item, phase } = self.graph.steps[at];
        let item = &self.shared.items[item];
        // A replaced resource is done when it has been made again, and failed wherever it failed.
        let halfway = phase == Phase::Remove && item.action == Action::Replace;
        let step = |action, phase, detail| Event::Step {
            id: item.id.clone(),
            action,
            phase,
            elapsed,
            detail,
        };
        self.shared.events.tell(match outcome {
            Outcome::Done(_) | Outcome::Skipped(_) if halfway => return,
            Outcome::Done(did) => step(*did, StepPhase::Done, self.remarks.get(&at).cloned()),
            Outcome::Pending(why) => step(item.action, StepPhase::Pending, Some(why.clone())),
            Outcome::Skipped(why) => step(item.action, StepPhase::Skipped, Some(why.clone())),
            Outcome::Removed(why) => step(item.action, StepPhase::Removed, Some(why.clone())),
            Outcome::Failed(failure) => Event::Failed {
                id: item.id.clone(),
                action: item.action,
                elapsed,
                failure: failure.clone(),
            },
        });
    }

    /// What the end of one step means for another that waits for it.
    fn doom(&self, ended: usize, outcome: &Outcome, then: usize) -> Option<Doom> {
        let (ended, then) = (self.graph.steps[ended], self.graph.steps[then]);
        let id = &self.shared.items[ended.item].id;
        let is_in_it = self.shared.items[then.item].bonds.iter().any(|bond| bond.id() == id);
        match outcome {
            Outcome::Done(_) | Outcome::Pending(_) => None,
            Outcome::Skipped(why) | Outcome::Removed(why) => {
                Some(Doom { why: why.clone(), told: false })
            }
            Outcome::Failed(_) => Some(Doom {
                why: match (ended.phase, then.phase) {
                    (_, Phase::Make) => format!("needs `{id}`, which failed"),
                    (Phase::Make, Phase::Remove) if is_in_it => {
                        format!("is in `{id}`, which failed")
                    }
                    (Phase::Remove, Phase::Remove) => {
                        format!("`{id}`, which needs it, is still there")
                    }
                    (Phase::Make, Phase::Remove) => format!("`{id}` still needs it: that failed"),
                },
                told: ended.item == then.item,
            }),
        }
    }

    fn report(mut self) -> Report {
        let mut outcomes: Vec<(Id, Outcome)> = Vec::with_capacity(self.shared.items.len());
        let mut place: HashMap<usize, usize> = HashMap::new();
        for (step, ended) in self.graph.steps.iter().zip(std::mem::take(&mut self.ended)) {
            let Some(outcome) = ended else { continue };
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
        let is_done = |outcome: &Outcome| matches!(outcome, Outcome::Done(_) | Outcome::Pending(_));
        let undone = || outcomes.iter().filter(|(_, outcome)| !is_done(outcome)).map(|(id, _)| id);
        let interrupted = self.shared.cancel.is_finishing() && undone().next().is_some();
        let mut lost: Vec<Id> = undone().filter(|id| self.is_gone(id)).cloned().collect();
        lost.sort_unstable();
        Report { outcomes, lost, interrupted }
    }
}

fn interrupted() -> Outcome {
    Outcome::Skipped("interrupted".to_owned())
}

fn panicked(error: tokio::task::JoinError) -> Failure {
    let panic = error.into_panic();
    let said = panic
        .downcast_ref::<&str>()
        .map(ToString::to_string)
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "it did not say why".to_owned());
    Failure::new("this step broke down, which is a mistake in topo").caused_by(said)
}
