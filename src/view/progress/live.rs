//! Progress that is drawn over: a line for each running step, below what has scrolled up.

use std::collections::{BTreeSet, HashMap};
use std::time::Instant;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};

use super::{Columns, WORD_COLUMN, doing};
use crate::engine::{Amount, Event, StepPhase, Tally};
use crate::plan::{Action, Id};
use crate::view::text::{elapsed, pad, tame};

/// More running steps than this are counted instead of listed.
const MOST_LINES: usize = 10;

pub struct Live {
    screen: MultiProgress,
    columns: Columns,
    running: HashMap<Id, Running>,
    /// Running steps that have no line yet, in order.
    unseen: BTreeSet<(Instant, Id)>,
    lines: usize,
    totals: ProgressBar,
    ended: usize,
    steps: usize,
}

struct Running {
    word: &'static str,
    since: Instant,
    detail: String,
    amount: Option<Amount>,
    line: Option<ProgressBar>,
}

impl Live {
    pub fn new(columns: Columns, steps: usize) -> Self {
        let screen = MultiProgress::with_draw_target(ProgressDrawTarget::stderr());
        let totals = screen.add(ProgressBar::no_length().with_style(style("{wide_msg}")));
        Self {
            screen,
            columns,
            running: HashMap::new(),
            unseen: BTreeSet::new(),
            lines: 0,
            totals,
            ended: 0,
            steps,
        }
    }

    pub fn event(&mut self, event: &Event, now: Instant) {
        match event {
            Event::Step {
                id,
                action,
                phase: phase @ (StepPhase::Started | StepPhase::Waiting),
                ..
            } => {
                self.run(id, *action, *phase, now);
            }
            Event::Step { id, .. } | Event::Failed { id, .. } => {
                self.ended += 1;
                self.end(id);
            }
            Event::Progress { id, detail, amount } => {
                if let Some(running) = self.running.get_mut(id) {
                    running.detail.clone_from(detail);
                    running.amount = *amount;
                    running.draw();
                }
            }
            Event::Warning { .. } => {}
        }
    }

    pub fn tick(&self) {
        for line in self.running.values().filter_map(|running| running.line.as_ref()) {
            line.tick();
        }
        let hidden = match self.unseen.len() {
            0 => String::new(),
            more => format!(", {more} more running"),
        };
        self.totals.set_message(format!("  {} of {} done{hidden}", self.ended, self.steps));
    }

    /// Lines that stay, above those that are drawn over.
    pub fn print(&self, text: &str) {
        // A terminal that went away takes no lines; the work goes on.
        let _ = self.screen.println(text.trim_end_matches('\n'));
    }

    /// Leaves nothing behind.
    pub fn clear(&self) {
        let _ = self.screen.clear();
    }

    fn run(&mut self, id: &Id, action: Action, phase: StepPhase, now: Instant) {
        let running = self.running.entry(id.clone()).or_insert_with(|| Running {
            word: doing(action),
            since: now,
            detail: String::new(),
            amount: None,
            line: None,
        });
        if phase == StepPhase::Waiting {
            running.word = "waiting";
            running.detail.clear();
            running.amount = None;
        }
        if running.line.is_some() {
            running.draw();
        } else {
            self.unseen.insert((running.since, id.clone()));
            self.fill();
        }
    }

    fn end(&mut self, id: &Id) {
        let Some(running) = self.running.remove(id) else { return };
        self.unseen.remove(&(running.since, id.clone()));
        if let Some(line) = running.line {
            line.finish_and_clear();
            self.screen.remove(&line);
            self.lines -= 1;
        }
        self.fill();
    }

    /// Gives free lines to those that run longest without one.
    fn fill(&mut self) {
        while self.lines < MOST_LINES
            && let Some((since, id)) = self.unseen.pop_first()
        {
            let Some(running) = self.running.get_mut(&id) else { continue };
            let line = ProgressBar::no_length()
                .with_prefix(format!(
                    "{}  {}",
                    self.columns.id(&id),
                    pad(running.word, WORD_COLUMN)
                ))
                .with_elapsed(since.elapsed());
            running.line = Some(self.screen.insert_before(&self.totals, line));
            running.draw();
            self.lines += 1;
        }
    }
}

impl Running {
    fn draw(&self) {
        let Some(line) = &self.line else { return };
        match self.amount {
            Some(amount) if amount.total > 0 => {
                line.set_style(measured(amount.tally));
                line.set_length(amount.total);
                line.set_position(amount.done.min(amount.total));
            }
            _ => line.set_style(style("{spinner} {prefix}  {time}  {wide_msg}")),
        }
        line.set_message(tame(&self.detail));
    }
}

fn measured(tally: Tally) -> ProgressStyle {
    let amount = move |state: &ProgressState, line: &mut dyn std::fmt::Write| {
        let (done, total) = (state.pos(), state.len().unwrap_or(0));
        // The line is a string: writing to it cannot fail.
        let _ = match tally {
            Tally::Bytes => write!(line, "{} of {}", megabytes(done), megabytes(total)),
            Tally::Items => write!(line, "{done} of {total}"),
        };
    };
    style("{spinner} {prefix}  {time}  {bar:10} {amount}  {wide_msg}").with_key("amount", amount)
}

/// Downloads and images: smaller amounts are over before they are read.
fn megabytes(bytes: u64) -> String {
    format!("{} MB", bytes.div_ceil(1_000_000))
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template)
        .expect("every template is written in this file")
        .with_key("time", |state: &ProgressState, line: &mut dyn std::fmt::Write| {
            let _ = write!(line, "{:>6}", elapsed(state.elapsed()));
        })
        .progress_chars("=> ")
}
