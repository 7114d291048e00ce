//! How a run ended, as text: failures with their causes, then one line of totals.

use std::fmt::Write;

use owo_colors::OwoColorize;

use super::text::{INDENT, elapsed, tame, wrap};
use super::{Doing, Ending, status};
use crate::engine::{Failure, Outcome};
use crate::plan::{Action, Id};

/// `error:`, `Caused by:`, `note:` and, after an empty line, `hint:`.
pub fn failure(failure: &Failure, width: Option<usize>) -> String {
    let beside = |word: &str| width.map(|columns| columns.saturating_sub(word.len() + 1));
    let mut text = String::new();
    let message = indented(&failure.message, 2, beside("error:"));
    let _ = writeln!(text, "{} {message}", "error:".red().bold());
    for cause in &failure.causes {
        let cause = indented(cause, 4, beside("  Caused by:"));
        let _ = writeln!(text, "  {} {cause}", "Caused by:".red());
    }
    for note in &failure.notes {
        let note = indented(note, 4, beside("  note:"));
        let _ = writeln!(text, "  {} {note}", "note:".yellow());
    }
    if let Some(hint) = &failure.hint {
        let hint = indented(hint, 6, beside("hint:"));
        let _ = writeln!(text, "\n{} {hint}", "hint:".cyan().bold());
    }
    text
}

/// Lines after the first stand under it; what a child process said keeps its lines.
fn indented(text: &str, by: usize, room: Option<usize>) -> String {
    let lines: Vec<String> = wrap(text.trim_end(), room).iter().map(|line| tame(line)).collect();
    lines.join(&format!("\n{:by$}", ""))
}

/// What was done, what was not, and what to do next.
#[derive(Debug, Clone, Copy, Default)]
pub struct Totals {
    pub done: usize,
    pub failed: usize,
    pub pending: usize,
    pub skipped: usize,
    pub unchanged: usize,
}

impl Totals {
    pub fn of(ending: &Ending) -> Self {
        let mut totals = Self::default();
        for (_, outcome) in &ending.report.outcomes {
            *match outcome {
                Outcome::Done(Action::None | Action::Deferred) => &mut totals.unchanged,
                Outcome::Done(_) => &mut totals.done,
                Outcome::Failed(_) => &mut totals.failed,
                Outcome::Pending(_) => &mut totals.pending,
                Outcome::Skipped(_) => &mut totals.skipped,
                // Named one by one, with what failed after its removal.
                Outcome::Removed(_) => continue,
            } += 1;
        }
        totals
    }
}

pub fn render(ending: &Ending, width: Option<usize>) -> String {
    let mut text = String::new();
    for (_, why) in ending.report.failures() {
        text.push('\n');
        text.push_str(&failure(why, width));
    }
    if !text.is_empty() || ending.report.interrupted {
        text.push('\n');
    }
    text.push_str(&status::ports_in_short(ending.ports, width));
    if let Some(context) = ending.context {
        let _ = writeln!(text, "{}\n{INDENT}kubectl --context {context}\n", "Cluster".bold());
    }
    for line in wrap(&last_line(ending), width) {
        let _ = writeln!(text, "{}", line.bold());
    }
    text
}

/// How many of those that were lost are named.
const MOST_LOST: usize = 8;

fn last_line(ending: &Ending) -> String {
    let totals = Totals::of(ending);
    let took = elapsed(ending.elapsed);
    let command = ending.doing.command();
    let name = ending.topology;
    if ending.report.is_complete() {
        let line = match (ending.doing, totals.done) {
            (Doing::Apply, 0) => format!("Applied `{name}`: nothing to change"),
            (Doing::Destroy, 0) => format!("Destroyed `{name}`: nothing was there"),
            (Doing::Stop, 0) => format!("Stopped `{name}`: nothing was running"),
            (Doing::Start, 0) => format!("Started `{name}`: nothing was stopped"),
            (Doing::Apply, _) => format!("Applied `{name}` in {took}: {}", changed(ending)),
            (Doing::Destroy, done) => format!("Destroyed `{name}` in {took}: {done} removed"),
            (Doing::Stop, done) => format!("Stopped `{name}` in {took}: {done} stopped"),
            (Doing::Start, done) => format!("Started `{name}` in {took}: {done} started"),
        };
        return match totals.pending {
            0 => line,
            pending => format!("{line}, {pending} pending"),
        };
    }
    let cut_off = if ending.report.interrupted { "interrupted" } else { "incomplete" };
    let Totals { done, failed, skipped, .. } = totals;
    let lost = lost(&ending.report.lost);
    format!(
        "{command} of `{name}` {cut_off} after {took}: {done} done, {failed} failed, {skipped} skipped{lost}; run `topo {command}` again to continue"
    )
}

/// What is not there any more and should be.
fn lost(ids: &[Id]) -> String {
    let named: Vec<String> = ids.iter().take(MOST_LOST).map(|id| format!("`{id}`")).collect();
    match (named.is_empty(), ids.len().saturating_sub(MOST_LOST)) {
        (true, _) => String::new(),
        (false, 0) => format!("; removed and not restored: {}", named.join(", ")),
        (false, more) => {
            format!("; removed and not restored: {} and {more} more", named.join(", "))
        }
    }
}

/// `14 created`, and what else was done; what stays as it was is left out where nothing else was there.
fn changed(ending: &Ending) -> String {
    let actions = [Action::Create, Action::Update, Action::Start, Action::Replace, Action::Delete];
    let counted = |action: Action| {
        let done = |outcome: &Outcome| matches!(outcome, Outcome::Done(did) if *did == action);
        ending.report.outcomes.iter().filter(|(_, outcome)| done(outcome)).count()
    };
    let counts = actions.into_iter().map(|action| (counted(action), action.past()));
    let unchanged = (Totals::of(ending).unchanged, Action::None.past());
    let told = counts.chain([unchanged]).filter(|(count, _)| *count > 0);
    told.map(|(count, what)| format!("{count} {what}")).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Report;
    use crate::plan::Id;
    use crate::view::samples;

    fn plain(ending: &Ending) -> String {
        anstream::adapter::strip_str(&render(ending, Some(80))).to_string()
    }

    #[test]
    fn a_run_that_failed_says_why_and_what_to_do_next() {
        insta::assert_snapshot!(plain(&samples::ending(&samples::report())));
    }

    #[test]
    fn the_forwards_are_shown_as_they_were_tried_and_what_is_pending_is_counted() {
        let report = Report {
            outcomes: vec![
                (Id::new("gateway", "edge"), Outcome::Done(Action::Create)),
                (Id::new("port", "127.0.0.1:10090/tcp"), Outcome::Pending("no".to_owned())),
            ],
            ..Report::default()
        };
        let ports = samples::ports();
        let ending =
            Ending { ports: &ports, context: Some("kind-edge"), ..samples::ending(&report) };
        insta::assert_snapshot!(plain(&ending));
    }

    #[test]
    fn of_many_forwards_those_that_do_not_answer_are_shown() {
        let [answers, silent, ..] = &samples::ports()[..] else { panic!("samples") };
        let mut ports = vec![answers.clone(); 40];
        ports.push(silent.clone());
        let report = Report::default();
        let ending = Ending { ports: &ports, ..samples::ending(&report) };
        insta::assert_snapshot!(plain(&ending));
    }

    #[test]
    fn a_failure_in_color() {
        insta::assert_snapshot!(failure(&samples::failure(), None).replace('\u{1b}', "␛"));
    }

    #[test]
    fn what_a_program_said_keeps_its_lines() {
        let said = Failure::new("cannot make `cluster/dev`").caused_by("kind said:\none\ntwo\n");
        insta::assert_snapshot!(anstream::adapter::strip_str(&failure(&said, None)).to_string());
    }

    #[test]
    fn what_else_went_wrong_is_a_note_beneath() {
        let failed = Failure::new("cannot start `edge-gw`")
            .caused_by("port 30055 is already allocated")
            .note("cleaning up failed too: cannot remove `edge-gw`");
        assert_eq!(
            anstream::adapter::strip_str(&failure(&failed, None)).to_string(),
            "error: cannot start `edge-gw`\n  Caused by: port 30055 is already allocated\n  \
             note: cleaning up failed too: cannot remove `edge-gw`\n"
        );
    }

    #[test]
    fn a_run_that_did_it_all_is_one_line() {
        let mut report = Report::default();
        report.outcomes.push((Id::new("pool", "dev"), Outcome::Done(Action::Update)));
        let ending = samples::ending(&report);
        assert_eq!(plain(&ending), "Applied `edge` in 3.2s: 1 updated\n");
        let destroyed = Ending { doing: Doing::Destroy, ..ending };
        assert_eq!(plain(&destroyed), "Destroyed `edge` in 3.2s: 1 removed\n");
        let nothing = Ending { report: &Report::default(), ..ending };
        assert_eq!(plain(&nothing), "Applied `edge`: nothing to change\n");
    }
}
