//! Progress where lines stay: one when a step ends, and a word now and then while it lasts.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use super::{Columns, How, doing};
use crate::engine::{Event, StepPhase};
use crate::plan::{Action, Id};

/// A step quicker than this is told of only once, when it has ended.
const QUICK: Duration = Duration::from_secs(1);
const PAUSE: Duration = Duration::from_secs(10);

pub struct Plain {
    columns: Columns,
    running: HashMap<Id, Running>,
    /// When to say next that something still runs.
    next_word: Instant,
}

struct Running {
    word: &'static str,
    since: Instant,
    /// That it has been started.
    told: bool,
    detail: String,
}

impl Plain {
    pub fn new(columns: Columns, now: Instant) -> Self {
        Self { columns, running: HashMap::new(), next_word: now + PAUSE }
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

    /// What there is to say although nothing happened: that a step is no quick one, and every ten
    /// seconds which of them runs longest.
    pub fn tick(&mut self, now: Instant) -> Vec<String> {
        let mut slow: Vec<(&Id, &mut Running)> = self
            .running
            .iter_mut()
            .filter(|(_, running)| !running.told && now - running.since >= QUICK)
            .collect();
        slow.sort_unstable_by_key(|(id, running)| (running.since, *id));
        let mut lines = Vec::new();
        for (id, running) in slow {
            running.told = true;
            self.next_word = now + PAUSE;
            lines.push(self.columns.line(id, How::running(running.word), None, &running.detail));
        }
        if self.next_word <= now {
            self.next_word = now + PAUSE;
            lines.extend(self.longest(now));
        }
        lines
    }

    fn longest(&self, now: Instant) -> Option<String> {
        let (id, running) = self.running.iter().min_by_key(|(id, running)| (running.since, *id))?;
        let detail = match self.running.len() - 1 {
            0 => running.detail.clone(),
            more if running.detail.is_empty() => format!("and {more} more running"),
            more => format!("{}; and {more} more running", running.detail),
        };
        let time = Some(now - running.since);
        Some(self.columns.line(id, How::running(running.word), time, &detail))
    }

    fn running(&mut self, id: &Id, action: Action, phase: StepPhase, now: Instant) {
        let running = self.running.entry(id.clone()).or_insert_with(|| Running {
            word: doing(action),
            since: now,
            told: false,
            detail: String::new(),
        });
        if phase == StepPhase::Waiting {
            running.word = "waiting";
            running.detail.clear();
        }
    }
}
