//! What people see.

use std::borrow::Cow;
use std::time::Instant;

use owo_colors::{AnsiColors, OwoColorize};

use super::graph::{Format, Picture};
use super::plan::{Layout, render};
use super::progress::{Columns, Live, Plain};
use super::{
    Answer, Console, Ending, Listed, Logged, Shape, Sighting, Sources, Status, Verbosity, View,
    logged, problems, prompt, summary, text, watch,
};
use crate::doctor::Diagnosis;
use crate::engine::{Cancel, Event, StepPhase};
use crate::error::{Error, Exit};
use crate::plan::Plan;
use crate::topology::{Diagnostic, Difference, Severity};
use crate::trace::Trace;

pub struct Human {
    console: Console,
    shape: Shape,
    columns: Columns,
    /// How many resources the plan would change or wait for.
    steps: usize,
    progress: Option<Progress>,
}

enum Progress {
    Live(Live),
    Plain(Plain),
}

impl Human {
    pub fn new(console: Console, shape: Shape) -> Self {
        let columns = Columns::of([].into_iter(), console.err_width());
        Self { console, shape, columns, steps: 0, progress: None }
    }

    fn is_quiet(&self) -> bool {
        self.console.verbosity() == Verbosity::Quiet
    }

    /// A line on stderr, above whatever is being drawn there.
    fn say(&mut self, line: &str) {
        match &self.progress {
            Some(Progress::Live(live)) => live.print(&self.console.for_err(line)),
            _ => self.console.err(&format!("{}\n", line.trim_end_matches('\n'))),
        }
    }

    fn remark(&mut self, word: &str, paint: AnsiColors, remark: &str) {
        let width = self.console.err_width().map(|columns| columns.saturating_sub(word.len() + 2));
        let lines = text::wrap(remark, width);
        let indent = format!("\n{:1$}", "", word.len() + 2);
        let lines: Vec<String> = lines.iter().map(|line| text::tame(line)).collect();
        self.say(&format!("{}: {}", word.color(paint).bold(), lines.join(&indent)));
    }

    fn started(&mut self) -> &mut Progress {
        let (columns, steps, live) = (self.columns, self.steps, self.console.is_live());
        self.progress.get_or_insert_with(|| {
            if live {
                Progress::Live(Live::new(columns, steps))
            } else {
                Progress::Plain(Plain::new(columns, Instant::now()))
            }
        })
    }

    /// Running steps are drawn past the console, which would have masked them.
    fn masked_event<'a>(&self, event: &'a Event) -> Cow<'a, Event> {
        match event {
            Event::Progress { id, detail, amount } => Cow::Owned(Event::Progress {
                id: id.clone(),
                detail: self.console.masked(detail).into_owned(),
                amount: *amount,
            }),
            other => Cow::Borrowed(other),
        }
    }

    fn end_progress(&mut self) {
        if let Some(Progress::Live(live)) = self.progress.take() {
            live.clear();
        }
    }
}

impl View for Human {
    fn data(&mut self, text: &str) {
        self.console.out(text);
    }

    fn graph(&mut self, picture: &Picture, format: Format) {
        let width = self.console.out_width();
        self.console.out(&picture.draw(format, width));
    }

    fn hide(&mut self, secrets: &[String]) {
        self.console.hide(secrets);
    }

    fn masked<'a>(&self, text: &'a str) -> Cow<'a, str> {
        self.console.masked(text)
    }

    fn problems(&mut self, sources: &Sources, problems: &[Diagnostic]) {
        let width = self.console.err_width();
        if self.is_quiet() {
            let errors: Vec<Diagnostic> = problems
                .iter()
                .filter(|problem| problem.severity == Severity::Error)
                .cloned()
                .collect();
            self.console.err(&problems::render(sources, &errors, width));
        } else {
            self.console.err(&problems::render(sources, problems, width));
        }
    }

    fn plan(&mut self, plan: &Plan) {
        let moving = || {
            plan.items.iter().filter(|item| item.action.changes_something() || item.waits.is_some())
        };
        self.columns = Columns::of(moving().map(|item| &item.id), self.console.err_width());
        self.steps = moving().count();
        if self.is_quiet() {
            return;
        }
        let everything = self.console.verbosity() >= Verbosity::Verbose;
        match self.shape {
            Shape::Result => {
                let width = self.console.out_width();
                self.console.out(&render(plan, Layout { width, everything }));
            }
            Shape::Story => {
                let width = self.console.err_width();
                self.console.err(&render(plan, Layout { width, everything }));
            }
        }
    }

    fn event(&mut self, event: &Event) {
        if let Event::Warning { id, message } = event {
            match id {
                Some(id) => self.warning(&format!("`{id}`: {message}")),
                None => self.warning(message),
            }
            return;
        }
        // The line of the step is cut at the terminal's edge, and this is to be read to its end.
        if let Event::Step { id, phase: StepPhase::Pending, detail: Some(why), .. } = event {
            self.warning(&format!("`{id}` is pending: {why}"));
        }
        if self.is_quiet() {
            return;
        }
        let columns = self.columns;
        let now = Instant::now();
        let event = &self.masked_event(event);
        let line = match self.started() {
            Progress::Live(live) => {
                live.event(event, now);
                columns.ending(event)
            }
            Progress::Plain(plain) => plain.event(event, now),
        };
        if let Some(line) = line {
            self.say(&line);
        }
    }

    fn tick(&mut self) {
        let lines = match &mut self.progress {
            Some(Progress::Live(live)) => {
                live.tick();
                return;
            }
            Some(Progress::Plain(plain)) => plain.tick(Instant::now()),
            None => return,
        };
        for line in lines {
            self.say(&line);
        }
    }

    fn summary(&mut self, ending: &Ending) {
        self.end_progress();
        let width = self.console.err_width();
        if self.is_quiet() {
            let failures: String =
                ending.report.failures().map(|(_, why)| summary::failure(why, width)).collect();
            self.console.err(&failures);
            return;
        }
        self.console.err(&summary::render(ending, width));
    }

    fn status(&mut self, status: &Status) {
        if !self.is_quiet() {
            let width = self.console.out_width();
            self.console.out(&super::status::render(status, width));
        }
    }

    fn wipe(&mut self) {
        self.console.wipe();
    }

    fn listing(&mut self, listed: &[Listed]) {
        let width = self.console.out_width();
        self.console.out(&super::listing::render(listed, width));
    }

    fn lock(&mut self, differences: &[Difference]) {
        self.console.out(&super::lock::render(differences));
    }

    fn trace(&mut self, trace: &Trace) {
        let width = self.console.out_width();
        let text = if self.is_quiet() {
            super::trace::finding(trace, width)
        } else {
            super::trace::render(trace, width)
        };
        self.console.out(&text);
    }

    fn doctor(&mut self, diagnosis: &Diagnosis) {
        let width = self.console.out_width();
        let text = if self.is_quiet() {
            super::doctor::findings(diagnosis, width)
        } else {
            super::doctor::render(diagnosis, width)
        };
        self.console.out(&text);
    }

    fn sighting(&mut self, sighting: &Sighting) {
        self.console.out(&(watch::render(sighting, &watch::clock()) + "\n"));
    }

    fn logged(&mut self, line: &Logged) -> bool {
        self.console.out(&logged::render(line));
        self.console.is_read()
    }

    fn note(&mut self, text: &str) {
        if !self.is_quiet() {
            self.remark("note", AnsiColors::Cyan, text);
        }
    }

    fn warning(&mut self, text: &str) {
        self.remark("warning", AnsiColors::Yellow, text);
    }

    fn error(&mut self, error: &Error) {
        self.end_progress();
        if let Some(failure) = &error.failure {
            let width = self.console.err_width();
            self.console.err(&summary::failure(failure, width));
        }
    }

    fn confirm(&mut self, asks: &[String], cancel: &Cancel) -> Answer {
        prompt::confirm(&mut self.console, asks, cancel)
    }

    fn is_unread(&self) -> bool {
        self.console.is_unread()
    }

    fn close(&mut self, exit: Exit) -> Exit {
        self.end_progress();
        self.console.close(exit)
    }
}
