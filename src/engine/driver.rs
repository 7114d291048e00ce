//! The seam between the engine, which knows order, and the resources, which know how.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use serde_json::Value;

use super::stages::Herald;
use super::{Amount, Cancel, Event, Events, Failure};
use crate::plan::{
    Action, FieldName, Fields, Id, Item, Outputs, Phase, Record, Resource, Stage, State, World,
};

/// Changes and waits, one resource at a time. Every method must be safe to repeat.
pub trait Driver: Send + Sync + 'static {
    /// Creates, updates, starts, stops or deletes, as `turn.work` says, and answers what it gives to later steps.
    fn change(&self, turn: &Turn) -> impl Future<Output = Result<Outputs, Failure>> + Send;

    /// Waits until what was made works, with a deadline, and answers what became known by it.
    fn wait(&self, turn: &Turn) -> impl Future<Output = Result<Outputs, Failure>> + Send;

    /// Whether the change is gathered with others into one, as all forwards of a gateway are: then it
    /// does not count against the parallelism.
    fn gathers(&self, _turn: &Turn) -> bool {
        false
    }

    /// Looks again, for resources that could not be seen when the plan was made.
    fn look(&self) -> impl Future<Output = Result<World, Failure>> + Send;
}

/// What a driver is asked to do: never a replace, which is a delete and a create.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Work {
    Create,
    Update,
    Start,
    Stop,
    Delete,
    /// Change nothing; it is there and only not ready yet, or its outputs are wanted.
    Keep,
}

impl Work {
    pub(super) fn of(action: Action, phase: Phase) -> Self {
        match (phase, action) {
            (Phase::Remove, Action::Stop) => Self::Stop,
            (Phase::Remove, _) => Self::Delete,
            (Phase::Make, Action::Create | Action::Replace) => Self::Create,
            (Phase::Make, Action::Update) => Self::Update,
            (Phase::Make, Action::Start) => Self::Start,
            (
                Phase::Make,
                Action::None | Action::Deferred | Action::Stop | Action::Delete | Action::Blocked,
            ) => Self::Keep,
        }
    }
}

/// One resource's turn.
#[derive(Debug, Clone)]
pub struct Turn {
    pub work: Work,
    pub item: Arc<Item>,
    /// None when the file no longer names it.
    pub resource: Option<Arc<Resource>>,
    /// The wanted fields as far as they are known now.
    pub values: Fields<Value>,
    /// Wanted fields that nobody could give, and who should have.
    pub missing: Vec<(FieldName, Id)>,
    /// What was recorded when it was last applied.
    pub record: Option<Record>,
    /// How it was seen: what is updated may also stand still, and is to be started then.
    pub state: Option<State>,
    /// A person's own limit for every wait.
    pub timeout: Option<Duration>,
    pub events: Events,
    pub cancel: Cancel,
    pub(super) herald: Herald,
    pub(super) remark: Arc<OnceLock<String>>,
    pub(super) kept: Arc<AtomicBool>,
    pub(super) said: Arc<Mutex<Option<String>>>,
}

impl Turn {
    pub fn id(&self) -> &Id {
        &self.item.id
    }

    /// How long to wait for it to become ready: as long as the person says, or as is usual.
    pub fn patience(&self, usual: Duration) -> Duration {
        self.timeout.unwrap_or(usual)
    }

    pub fn action(&self) -> Action {
        self.item.action
    }

    /// A wanted field; the caller knows that its kind always sets it.
    pub fn value(&self, name: &str) -> Option<&Value> {
        self.values.get(name)
    }

    pub fn text(&self, name: &str) -> Option<&str> {
        self.value(name)?.as_str()
    }

    /// Its making has come this far: what needs no more of it may begin.
    pub fn reached(&self, stage: Stage) {
        self.herald.reached(stage);
    }

    /// Shown beside the running step.
    pub fn say(&self, detail: impl Into<String>) {
        self.progress(detail.into(), None);
    }

    pub fn measure(&self, detail: impl Into<String>, amount: Amount) {
        self.progress(detail.into(), Some(amount));
    }

    fn progress(&self, detail: String, amount: Option<Amount>) {
        *self.said() = Some(detail.clone());
        self.events.tell(Event::Progress { id: self.id().clone(), detail, amount });
    }

    pub(super) fn last_said(&self) -> Option<String> {
        self.said().clone()
    }

    fn said(&self) -> MutexGuard<'_, Option<String>> {
        self.said.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What came of it, shown with its end. The first remark counts.
    pub fn remark(&self, what: impl Into<String>) {
        let _ = self.remark.set(what.into());
    }

    /// It is not removed after all, for the sake of others.
    pub fn keep(&self, why: impl Into<String>) {
        self.kept.store(true, Ordering::Relaxed);
        self.remark(why);
    }

    pub(super) fn is_kept(&self) -> bool {
        self.kept.load(Ordering::Relaxed)
    }

    pub(super) fn remarked(&self) -> Option<String> {
        self.remark.get().cloned()
    }

    pub fn warn(&self, message: impl Into<String>) {
        self.events.tell(Event::Warning { id: Some(self.id().clone()), message: message.into() });
    }
}
