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

#[cfg(test)]
mod tests {
    use std::fmt::Write;

    use super::*;
    use crate::plan::Action;
    use crate::view::samples::{failure, id};

    fn step(name: &str, phase: StepPhase, seconds: u64) -> Event {
        Event::Step {
            id: id(name),
            action: Action::Create,
            phase,
            elapsed: Duration::from_secs(seconds),
            detail: None,
        }
    }

    /// What is printed of events at these seconds, with time going by second for second.
    fn told(events: &[(u64, Event)], until: u64) -> String {
        let start = Instant::now();
        let columns = Columns::of([id("cluster/dev"), id("port/1")].iter(), Some(80));
        let mut plain = Plain::new(columns, start);
        let mut text = String::new();
        for second in 0..=until {
            let now = start + Duration::from_secs(second);
            let mut lines: Vec<String> = events
                .iter()
                .filter(|(at, _)| *at == second)
                .filter_map(|(_, event)| plain.event(event, now))
                .collect();
            lines.extend(plain.tick(now));
            for line in lines {
                let _ = writeln!(text, "{second:>3}: {}", anstream::adapter::strip_str(&line));
            }
        }
        text
    }

    #[test]
    fn a_slow_step_is_told_of_once_a_change_and_once_every_ten_seconds() {
        let said = |detail: &str| Event::Progress {
            id: id("cluster/dev"),
            detail: detail.to_owned(),
            amount: None,
        };
        let events = [
            (0, step("cluster/dev", StepPhase::Started, 0)),
            (2, said("Preparing nodes")),
            (3, said("Writing configuration")),
            (20, step("port/1", StepPhase::Started, 0)),
            (25, step("cluster/dev", StepPhase::Waiting, 0)),
            (26, said("0 of 3 nodes ready")),
            (33, step("cluster/dev", StepPhase::Done, 33)),
        ];
        insta::assert_snapshot!(told(&events, 34));
    }

    #[test]
    fn a_quick_step_is_one_line() {
        let events =
            [(0, step("port/1", StepPhase::Started, 0)), (0, step("port/1", StepPhase::Done, 0))];
        assert_eq!(told(&events, 20), "  0: ✓ port/1       created      0.0s\n");
    }

    #[test]
    fn failed_and_skipped_steps_say_so() {
        let failed = Event::Failed {
            id: id("cluster/dev"),
            action: Action::Create,
            elapsed: Duration::from_secs(2),
            failure: failure(),
        };
        let skipped = Event::Step {
            id: id("port/1"),
            action: Action::Create,
            phase: StepPhase::Skipped,
            elapsed: Duration::ZERO,
            detail: Some("needs `cluster/dev`, which failed".to_owned()),
        };
        insta::assert_snapshot!(told(&[(0, failed), (0, skipped)], 0));
    }
}
