//! What programs see: one document, or one event a line.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use serde::Serialize;
use serde_json::{Value, json};

use super::{Answer, Console, Doing, Ending, Shape, Sources, Status, View, summary::Totals};
use crate::engine::{Amount, Event, Failure, Outcome, StepPhase, Tally};
use crate::error::{Error, Exit};
use crate::plan::{Id, Plan};
use crate::topology::{Diagnostic, Severity};

/// A step that measures itself is passed on at most this often.
const PROGRESS_PAUSE: Duration = Duration::from_secs(1);

pub struct Json {
    console: Console,
    shape: Shape,
    /// When each running step's progress was last passed on.
    told: HashMap<Id, Instant>,
}

impl Json {
    pub fn new(console: Console, shape: Shape) -> Self {
        Self { console, shape, told: HashMap::new() }
    }

    fn line(&mut self, value: &impl Serialize) {
        match serde_json::to_string(value) {
            Ok(line) => self.console.out(&(line + "\n")),
            Err(error) => self.console.err(&format!("error: cannot write JSON: {error}\n")),
        }
    }

    fn progress(&mut self, id: &Id, detail: &str, amount: Option<Amount>) {
        let now = Instant::now();
        if self.told.get(id).is_some_and(|told| now - *told < PROGRESS_PAUSE) {
            return;
        }
        self.told.insert(id.clone(), now);
        let mut line = json!({ "type": "progress", "id": id, "detail": detail });
        if let Some(amount) = amount {
            line["done"] = amount.done.into();
            line["total"] = amount.total.into();
            line["unit"] = unit(amount.tally).into();
        }
        self.line(&line);
    }
}

impl View for Json {
    fn data(&mut self, text: &str) {
        self.console.out(text);
    }

    fn problems(&mut self, _sources: &Sources, problems: &[Diagnostic]) {
        self.line(&json!({
            "type": "problems",
            "valid": problems.iter().all(|problem| problem.severity != Severity::Error),
            "problems": problems,
        }));
    }

    fn plan(&mut self, plan: &Plan) {
        #[derive(Serialize)]
        struct First<'a> {
            r#type: &'static str,
            #[serde(flatten)]
            plan: &'a Plan,
        }
        match self.shape {
            Shape::Result => self.line(plan),
            Shape::Story => self.line(&First { r#type: "plan", plan }),
        }
    }

    fn event(&mut self, event: &Event) {
        match event {
            Event::Step { id, action, phase, elapsed, detail } => {
                if matches!(phase, StepPhase::Done | StepPhase::Skipped) {
                    self.told.remove(id);
                }
                self.line(&json!({
                    "type": "step",
                    "id": id,
                    "action": action,
                    "phase": phase,
                    "elapsedMs": millis(*elapsed),
                    "detail": detail,
                }));
            }
            Event::Failed { id, action, elapsed, failure } => {
                self.told.remove(id);
                self.line(&json!({
                    "type": "step",
                    "id": id,
                    "action": action,
                    "phase": "failed",
                    "elapsedMs": millis(*elapsed),
                    "detail": failure.message,
                    "causes": failure.causes,
                    "hint": failure.hint,
                }));
            }
            Event::Progress { id, detail, amount } => self.progress(id, detail, *amount),
            Event::Warning { id, message } => {
                self.line(&json!({ "type": "warning", "id": id, "message": message }));
            }
        }
    }

    fn tick(&mut self) {}

    fn summary(&mut self, ending: &Ending) {
        self.line(&summary(ending));
    }

    fn status(&mut self, status: &Status) {
        #[derive(Serialize)]
        struct Document<'a> {
            format: &'static str,
            #[serde(flatten)]
            status: &'a Status,
        }
        self.line(&Document { format: "topo.status/v1", status });
    }

    fn note(&mut self, _text: &str) {}

    fn warning(&mut self, text: &str) {
        match self.shape {
            // A result is one document: what is said beside it goes to stderr.
            Shape::Result => self.console.err(&format!("warning: {text}\n")),
            Shape::Story => {
                self.line(&json!({ "type": "warning", "id": null, "message": text }));
            }
        }
    }

    fn error(&mut self, error: &Error) {
        if let Some(Failure { message, causes, hint }) = error.failure.as_deref() {
            self.line(&json!({
                "type": "error",
                "message": message,
                "causes": causes,
                "hint": hint,
            }));
        }
    }

    /// A program that reads JSON cannot be asked; it says `--yes`.
    fn confirm(&mut self, _asks: &[String]) -> Answer {
        Answer::Nobody
    }

    fn close(&mut self, exit: Exit) -> Exit {
        self.console.close(exit)
    }
}

fn summary(ending: &Ending) -> Value {
    let totals = Totals::of(ending);
    let skipped: Vec<Value> = ending
        .report
        .outcomes
        .iter()
        .filter_map(|(id, outcome)| match outcome {
            Outcome::Skipped(why) => Some(json!({ "id": id, "why": why })),
            Outcome::Done(_) | Outcome::Failed(_) => None,
        })
        .collect();
    let failed: Vec<Value> = ending
        .report
        .failures()
        .map(|(id, why)| {
            json!({ "id": id, "message": why.message, "causes": why.causes, "hint": why.hint })
        })
        .collect();
    json!({
        "type": "summary",
        "command": match ending.doing {
            Doing::Apply => "apply",
            Doing::Destroy => "destroy",
        },
        "topology": ending.topology,
        "complete": ending.report.is_complete(),
        "interrupted": ending.report.interrupted,
        "elapsedMs": millis(ending.elapsed),
        "changed": totals.done,
        "unchanged": totals.unchanged,
        "failed": failed,
        "skipped": skipped,
        "ports": ending.ports,
    })
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

fn unit(tally: Tally) -> &'static str {
    match tally {
        Tally::Bytes => "bytes",
        Tally::Items => "items",
    }
}
