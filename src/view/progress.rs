//! Steps as they run: lines that are drawn over on a terminal, lines that stay everywhere else.

mod live;
mod plain;

use std::time::Duration;

use owo_colors::{AnsiColors, OwoColorize};

pub use live::Live;
pub use plain::Plain;

use super::plan::color;
use super::text::{cut, elapsed, pad, tame};
use crate::engine::{Event, StepPhase};
use crate::plan::{Action, Id};

/// Ids are padded to one column, but not to the longest of thousands.
const ID_COLUMN: usize = 32;
/// `unchanged`, the longest word for how a step ended.
const WORD_COLUMN: usize = 9;

/// The columns of one run.
#[derive(Debug, Clone, Copy)]
pub struct Columns {
    id: usize,
    width: Option<usize>,
}

impl Columns {
    pub fn of<'a>(ids: impl Iterator<Item = &'a Id>, width: Option<usize>) -> Self {
        let id = ids
            .map(|id| super::text::width(id.as_str()))
            .filter(|columns| *columns <= ID_COLUMN)
            .max()
            .unwrap_or(0);
        Self { id, width }
    }

    /// `gateway/edge   failed   2.1s  what came of it`
    fn line(
        &self,
        id: &Id,
        word: &str,
        paint: AnsiColors,
        time: Option<Duration>,
        detail: &str,
    ) -> String {
        let time = time.map(elapsed).unwrap_or_default();
        let id = self.id(id);
        let used = super::text::width(&id) + 2 + WORD_COLUMN + 2 + 6 + 2;
        let detail = match self.width {
            Some(columns) => cut(&tame(detail), columns.saturating_sub(used)),
            None => tame(detail),
        };
        let word = pad(word, WORD_COLUMN);
        let line = format!("{}  {}  {time:>6}  {detail}", id.bold(), word.color(paint));
        line.trim_end().to_owned()
    }

    /// The line that stays when a step has ended.
    pub fn ending(&self, event: &Event) -> Option<String> {
        match event {
            Event::Step { id, action, phase: StepPhase::Done, elapsed, detail } => {
                let detail = detail.as_deref().unwrap_or("");
                Some(self.line(id, done(*action), color(*action), Some(*elapsed), detail))
            }
            Event::Step { id, phase: StepPhase::Skipped, detail, .. } => {
                let detail = detail.as_deref().unwrap_or("");
                Some(self.line(id, "skipped", AnsiColors::Yellow, None, detail))
            }
            Event::Failed { id, elapsed, failure, .. } => {
                Some(self.line(id, "failed", AnsiColors::Red, Some(*elapsed), &failure.message))
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
        Action::Replace => "replacing",
        Action::Delete => "deleting",
        Action::None | Action::Deferred | Action::Blocked => "waiting",
    }
}

/// What has been done to it.
fn done(action: Action) -> &'static str {
    match action {
        Action::None => "ready",
        Action::Deferred => "done",
        other => other.past(),
    }
}
