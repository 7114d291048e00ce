//! Steps as they run: lines that are drawn over on a terminal, lines that stay everywhere else.

mod live;
mod plain;

use std::time::Duration;

use owo_colors::{AnsiColors, OwoColorize};

pub use live::Live;
pub use plain::Plain;

use super::plan::color;
use super::text::{cut, elapsed, pad, tame, width};
use crate::engine::{Event, StepPhase};
use crate::plan::{Action, Id};

/// Ids are padded to one column, but not to the longest of thousands.
const ID_COLUMN: usize = 28;
/// `unchanged`, the longest word for how a step ended.
const WORD_COLUMN: usize = 9;

/// `1h02m`, the longest time.
const TIME_COLUMN: usize = 6;

/// How a step stands, in one word.
#[derive(Debug, Clone, Copy)]
struct How {
    mark: &'static str,
    word: &'static str,
    paint: AnsiColors,
}

impl How {
    const PENDING: Self = Self { mark: "?", word: "pending", paint: AnsiColors::Yellow };
    const SKIPPED: Self = Self { mark: "·", word: "skipped", paint: AnsiColors::Yellow };
    const REMOVED: Self = Self { mark: "✗", word: "removed", paint: AnsiColors::Red };
    const FAILED: Self = Self { mark: "✗", word: "failed", paint: AnsiColors::Red };

    fn done(action: Action) -> Self {
        if action == Action::Deferred {
            return Self::PENDING;
        }
        Self { mark: "✓", word: done(action), paint: color(action) }
    }

    fn running(word: &'static str) -> Self {
        Self { mark: "…", word, paint: AnsiColors::Default }
    }
}

/// The columns of one run.
#[derive(Debug, Clone, Copy)]
pub struct Columns {
    id: usize,
    width: Option<usize>,
}

impl Columns {
    pub fn of<'a>(ids: impl Iterator<Item = &'a Id>, columns: Option<usize>) -> Self {
        let id = ids
            .map(|id| width(id.as_str()))
            .filter(|columns| *columns <= ID_COLUMN)
            .max()
            .unwrap_or(0);
        Self { id, width: columns }
    }

    /// `✗ gateway/edge   failed   2.1s  what came of it`
    fn line(&self, id: &Id, how: How, time: Option<Duration>, detail: &str) -> String {
        let time = time.map(elapsed).unwrap_or_default();
        let id = self.id(id);
        let used = 2 + width(&id) + 2 + WORD_COLUMN + 2 + TIME_COLUMN + 2;
        let detail = match self.width {
            Some(columns) => cut(&tame(detail), columns.saturating_sub(used)),
            None => tame(detail),
        };
        let rest = format!("{time:>TIME_COLUMN$}  {detail}");
        let word = match rest.trim_end() {
            "" => how.word.to_owned(),
            _ => pad(how.word, WORD_COLUMN + 2),
        };
        let mark = how.mark.color(how.paint);
        format!("{mark} {}  {}{}", id.bold(), word.color(how.paint), rest.trim_end())
    }

    /// The line that stays when a step has ended.
    pub fn ending(&self, event: &Event) -> Option<String> {
        match event {
            Event::Step { id, action, phase: StepPhase::Done, elapsed, detail } => {
                let detail = detail.as_deref().unwrap_or("");
                Some(self.line(id, How::done(*action), Some(*elapsed), detail))
            }
            Event::Step {
                id,
                phase: phase @ (StepPhase::Pending | StepPhase::Skipped | StepPhase::Removed),
                detail,
                ..
            } => {
                let how = match phase {
                    StepPhase::Pending => How::PENDING,
                    StepPhase::Removed => How::REMOVED,
                    _ => How::SKIPPED,
                };
                Some(self.line(id, how, None, detail.as_deref().unwrap_or("")))
            }
            Event::Failed { id, elapsed, failure, .. } => {
                Some(self.line(id, How::FAILED, Some(*elapsed), &failure.message))
            }
            Event::Step { .. } | Event::Progress { .. } | Event::Warning { .. } => None,
        }
    }

    fn id(&self, id: &Id) -> String {
        let whole = tame(id.as_str());
        let whole = match self.width {
            Some(columns) => cut(&whole, self.id.max(columns / 2)),
            None => whole,
        };
        pad(&whole, self.id)
    }
}

/// What is being done to it now.
fn doing(action: Action) -> &'static str {
    match action {
        Action::Create => "creating",
        Action::Update => "updating",
        Action::Start => "starting",
        Action::Stop => "stopping",
        Action::Replace => "replacing",
        Action::Delete => "deleting",
        Action::None | Action::Deferred | Action::Blocked => "waiting",
    }
}

/// What has been done to it.
fn done(action: Action) -> &'static str {
    match action {
        Action::None => "ready",
        other => other.past(),
    }
}
