//! Progress where lines stay: one when a step ends, and a word now and then while it lasts.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use super::{Columns, doing};
use crate::engine::{Event, StepPhase};
use crate::plan::{Action, Id};
use crate::view::plan::color;

/// A step quicker than this is told of only once, when it has ended.
const FIRST_WORD: Duration = Duration::from_secs(1);
const NEXT_WORD: Duration = Duration::from_secs(10);

pub struct Plain {
    columns: Columns,
    running: HashMap<Id, Running>,
}

struct Running {
    action: Action,
    word: &'static str,
    since: Instant,
    next_word: Instant,
    detail: String,
}

impl Plain {
    pub fn new(columns: Columns) -> Self {
        Self { columns, running: HashMap::new() }
    }

    /// The line that this event is worth, if any.
    pub fn event(&mut self, event: &Event, now: Instant) -> Option<String> {
        match event {
            Event::Step {
                id,
                action,
                phase: phase @ (StepPhase::Started | StepPhase::Waiting),
                ..
            } => {
                self.running(id, *action, *phase, now);
                None
            }
            Event::Step { id, .. } | Event::Failed { id, .. } => {
                self.running.remove(id);
                self.columns.ending(event)
            }
            Event::Progress { id, detail, .. } => {
                if let Some(running) = self.running.get_mut(id) {
                    running.detail.clone_from(detail);
                }
                None
            }
            Event::Warning { .. } => None,
        }
    }

    /// Steps that have been silent for long enough, the longest running first.
    pub fn tick(&mut self, now: Instant) -> Vec<String> {
        let mut due: Vec<(&Id, &mut Running)> =
            self.running.iter_mut().filter(|(_, running)| running.next_word <= now).collect();
        due.sort_unstable_by_key(|(id, running)| (running.since, *id));
        due.into_iter()
            .map(|(id, running)| {
                running.next_word = now + NEXT_WORD;
                let time = Some(now - running.since);
                self.columns.line(id, running.word, color(running.action), time, &running.detail)
            })
            .collect()
    }

    fn running(&mut self, id: &Id, action: Action, phase: StepPhase, now: Instant) {
        let running = self.running.entry(id.clone()).or_insert_with(|| Running {
            action,
            word: doing(action),
            since: now,
            next_word: now + FIRST_WORD,
            detail: String::new(),
        });
        if phase == StepPhase::Waiting {
            running.word = "waiting";
            running.detail.clear();
        }
    }
}
