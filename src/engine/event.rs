//! What happens while a plan is carried out. Steps tell it, a view shows it.

use std::time::Duration;

use serde::Serialize;
use tokio::sync::mpsc;

use super::Failure;
use crate::plan::{Action, Id};

#[derive(Debug, Clone)]
pub enum Event {
    Step {
        id: Id,
        action: Action,
        phase: StepPhase,
        elapsed: Duration,
        /// What it waits for, why it was skipped, or what came of it.
        detail: Option<String>,
    },
    /// What a running step is at, said as often as it likes.
    Progress {
        id: Id,
        detail: String,
        amount: Option<Amount>,
    },
    Failed {
        id: Id,
        action: Action,
        elapsed: Duration,
        failure: Failure,
    },
    Warning {
        id: Option<Id>,
        message: String,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum StepPhase {
    Started,
    Waiting,
    Done,
    /// Left for a later run: what it waits for comes from elsewhere.
    Pending,
    Skipped,
    /// Removed to be made again, which was not begun.
    Removed,
}

/// How far a long piece of work with a measure has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Amount {
    pub done: u64,
    pub total: u64,
    pub tally: Tally,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tally {
    Bytes,
    Items,
}

/// The sending end that steps are given.
#[derive(Debug, Clone)]
pub struct Events(mpsc::UnboundedSender<Event>);

impl Events {
    pub fn channel() -> (Self, mpsc::UnboundedReceiver<Event>) {
        let (sender, receiver) = mpsc::unbounded_channel();
        (Self(sender), receiver)
    }

    /// A view that has gone away must not stop the work.
    pub fn tell(&self, event: Event) {
        let _ = self.0.send(event);
    }
}
