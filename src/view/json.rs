//! What programs see: one document, or one event a line.

use std::borrow::Cow;
use std::collections::HashMap;
use std::time::{Duration, Instant};

use serde::Serialize;
use serde_json::{Value, json};

use super::graph::{self, Picture};
use super::{
    Answer, Console, Ending, Listed, Logged, Shape, Sighting, Sources, Status, View, logged,
    summary::Totals, watch,
};
use crate::doctor::Diagnosis;
use crate::engine::{Amount, Cancel, Event, Failure, Outcome, StepPhase, Tally};
use crate::error::{Error, Exit};
use crate::plan::{Id, Plan};
use crate::topology::{Diagnostic, Difference, Place, Severity};
use crate::trace::Trace;

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

    fn graph(&mut self, picture: &Picture, _format: graph::Format) {
        self.line(&picture.document());
    }

    fn hide(&mut self, secrets: &[String]) {
        self.console.hide(secrets);
    }

    fn masked<'a>(&self, text: &'a str) -> Cow<'a, str> {
        self.console.masked(text)
    }

    fn problems(&mut self, _sources: &Sources, problems: &[Diagnostic]) {
        let valid = problems.iter().all(|problem| problem.severity != Severity::Error);
        if valid && self.shape == Shape::Result {
            for problem in problems {
                let Place { file, line, column, .. } = &problem.place;
                self.warning(&format!("{file}:{line}:{column}: {}", problem.message));
            }
            return;
        }
        self.line(&json!({
            "type": "problems",
            "valid": valid,
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
                if !matches!(phase, StepPhase::Started | StepPhase::Waiting) {
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
                    "notes": failure.notes,
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

    fn wipe(&mut self) {}

    fn listing(&mut self, listed: &[Listed]) {
        self.line(&json!({ "format": "topo.list/v1", "topologies": listed }));
    }

    fn lock(&mut self, differences: &[Difference]) {
        self.line(&json!({ "format": "topo.lock/v1", "differences": differences }));
    }

    fn trace(&mut self, trace: &Trace) {
        #[derive(Serialize)]
        struct Document<'a> {
            format: &'static str,
            #[serde(flatten)]
            trace: &'a Trace,
        }
        self.line(&Document { format: "topo.trace/v1", trace });
    }

    fn doctor(&mut self, diagnosis: &Diagnosis) {
        #[derive(Serialize)]
        struct Document<'a> {
            format: &'static str,
            #[serde(flatten)]
            diagnosis: &'a Diagnosis,
        }
        self.line(&Document { format: "topo.doctor/v1", diagnosis });
    }

    fn sighting(&mut self, sighting: &Sighting) {
        self.line(&watch::document(sighting, &jiff::Timestamp::now().to_string()));
    }

    fn logged(&mut self, line: &Logged) -> bool {
        self.line(&logged::document(line));
        self.console.is_read()
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
        if let Some(Failure { message, causes, notes, hint }) = error.failure.as_deref() {
            self.line(&json!({
                "type": "error",
                "message": message,
                "causes": causes,
                "notes": notes,
                "hint": hint,
            }));
        }
    }

    /// A program that reads JSON cannot be asked; it says `--yes`.
    fn confirm(&mut self, _asks: &[String], _cancel: &Cancel) -> Answer {
        Answer::Nobody
    }

    fn is_unread(&self) -> bool {
        self.console.is_unread()
    }

    fn close(&mut self, exit: Exit) -> Exit {
        self.console.close(exit)
    }
}

fn summary(ending: &Ending) -> Value {
    let totals = Totals::of(ending);
    let outcomes = || ending.report.outcomes.iter();
    let skipped: Vec<Value> = outcomes()
        .filter_map(|(id, outcome)| match outcome {
            Outcome::Skipped(why) => Some(json!({ "id": id, "why": why })),
            _ => None,
        })
        .collect();
    let pending: Vec<Value> = outcomes()
        .filter_map(|(id, outcome)| match outcome {
            Outcome::Pending(why) => Some(json!({ "id": id, "why": why })),
            _ => None,
        })
        .collect();
    let failed: Vec<Value> = ending
        .report
        .failures()
        .map(|(id, why)| {
            json!({
                "id": id,
                "message": why.message,
                "causes": why.causes,
                "notes": why.notes,
                "hint": why.hint,
            })
        })
        .collect();
    json!({
        "type": "summary",
        "command": ending.doing.command(),
        "topology": ending.topology,
        "complete": ending.report.is_complete(),
        "interrupted": ending.report.interrupted,
        "elapsedMs": millis(ending.elapsed),
        "changed": totals.done,
        "unchanged": totals.unchanged,
        "failed": failed,
        "skipped": skipped,
        "pending": pending,
        "removed": ending.report.lost,
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Action;
    use crate::view::console::testing::captured;
    use crate::view::samples;

    /// What the schema in docs/reference finds wrong with each line.
    fn faults(schema: &str, lines: &str) -> Vec<String> {
        let path = format!("{}/docs/reference/{schema}.schema.json", env!("CARGO_MANIFEST_DIR"));
        let text = std::fs::read_to_string(&path).expect("the schema is there");
        let schema = serde_json::from_str(&text).expect("the schema is JSON");
        let validator = jsonschema::validator_for(&schema).expect("the schema is one");
        lines
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).expect("a line is JSON"))
            .flat_map(|line| {
                let faults: Vec<String> = validator
                    .iter_errors(&line)
                    .map(|error| format!("{error} in {line}"))
                    .collect();
                faults
            })
            .collect()
    }

    fn shown(shape: Shape, show: impl FnOnce(&mut Json)) -> String {
        let (console, out, _) = captured();
        show(&mut Json::new(console, shape));
        out.text()
    }

    #[test]
    fn a_diff_is_one_document_of_its_schema() {
        let text = shown(Shape::Result, |view| view.plan(&samples::plan()));
        assert_eq!(text.lines().count(), 1);
        assert_eq!(faults("diff", &text), Vec::<String>::new());
        assert!(text.contains(r#""after":{"unknown":"object/core/Service/default/web"}"#));
    }

    #[test]
    fn status_is_one_document_of_its_schema() {
        let text = shown(Shape::Result, |view| view.status(&samples::status()));
        assert_eq!(text.lines().count(), 1);
        assert_eq!(faults("status", &text), Vec::<String>::new());
    }

    #[test]
    fn a_trace_is_one_document_of_its_schema() {
        let text = shown(Shape::Result, |view| view.trace(&samples::trace()));
        assert_eq!(text.lines().count(), 1);
        assert_eq!(faults("trace", &text), Vec::<String>::new());
    }

    #[test]
    fn a_diagnosis_is_one_document_of_its_schema() {
        let text = shown(Shape::Result, |view| view.doctor(&samples::diagnosis()));
        assert_eq!(text.lines().count(), 1);
        assert_eq!(faults("doctor", &text), Vec::<String>::new());
    }

    #[test]
    fn an_apply_is_lines_of_its_schema() {
        let step = |phase, detail: Option<&str>| Event::Step {
            id: samples::id("pool/edge"),
            action: Action::Update,
            phase,
            elapsed: Duration::from_millis(1500),
            detail: detail.map(str::to_owned),
        };
        let progress = |done| Event::Progress {
            id: samples::id("image/localhost/web:1"),
            detail: "node dev-worker".to_owned(),
            amount: Some(Amount { done, total: 418, tally: Tally::Bytes }),
        };
        let events = [
            step(StepPhase::Started, None),
            step(StepPhase::Waiting, Some("the webhook")),
            progress(1),
            progress(2),
            step(StepPhase::Done, None),
            step(StepPhase::Removed, Some("interrupted")),
            step(StepPhase::Skipped, Some("needs `cluster/edge`, which failed")),
            step(StepPhase::Pending, Some("`object/core/Service/default/web` does not exist")),
            Event::Failed {
                id: samples::id("gateway/edge"),
                action: Action::Replace,
                elapsed: Duration::from_secs(2),
                failure: samples::failure(),
            },
            Event::Warning { id: None, message: "slow".to_owned() },
        ];
        let report = samples::report();
        let text = shown(Shape::Story, |view| {
            view.plan(&samples::plan());
            for event in &events {
                view.event(event);
            }
            view.warning("the pool is full");
            view.summary(&Ending { ports: &samples::ports(), ..samples::ending(&report) });
            view.error(&Error::refused(samples::failure()));
        });
        assert_eq!(faults("apply", &text), Vec::<String>::new());
        let kinds: Vec<Value> = text
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).expect("JSON")["type"].clone())
            .collect();
        let expected = [
            "plan", "step", "step", "progress", "step", "step", "step", "step", "step", "warning",
            "warning", "summary", "error",
        ];
        assert_eq!(kinds, expected, "the second measure within a second is left out");
    }

    #[test]
    fn the_schemas_refuse_what_is_not_in_the_contract() {
        assert!(!faults("diff", r#"{"format":"topo.diff/v2"}"#).is_empty());
        assert!(!faults("apply", r#"{"type":"step","id":"pool/edge"}"#).is_empty());
        assert!(!faults("status", r#"{"format":"topo.status/v1","extra":1}"#).is_empty());
    }
}
