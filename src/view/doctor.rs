//! What was looked at, part by part, and what was found.

use std::fmt::Write;

use owo_colors::{AnsiColors, OwoColorize};

use super::finding;
use super::text::{INDENT, pad, tame, width, wrap};
use crate::doctor::{Check, Diagnosis, Part, State};
use crate::topology::Severity;

/// For a report, which is read on a page.
const PAGE: usize = 100;

pub fn render(diagnosis: &Diagnosis, columns: Option<usize>) -> String {
    let mut text = String::new();
    let name_width = diagnosis.checks.iter().map(|check| width(check.check)).max().unwrap_or(0);
    for (part, title) in
        [(Part::Machine, "machine"), (Part::File, "file"), (Part::Topology, "topology")]
    {
        let mut checks = diagnosis.checks.iter().filter(|check| check.part == part).peekable();
        if checks.peek().is_some() {
            let _ = writeln!(text, "{}", title.bold());
        }
        checks.for_each(|check| text.push_str(&line(check, name_width, columns)));
    }
    text.push('\n');
    if diagnosis.findings.is_empty() {
        let is_left = |check: &Check| check.state == State::Unexamined;
        let which = if diagnosis.checks.iter().any(is_left) { " that was examined" } else { "" };
        let _ = writeln!(text, "nothing{which} is wrong");
    } else {
        text.push_str(&findings(diagnosis, columns));
        let _ = writeln!(text, "\n{}", total(diagnosis).bold());
    }
    text
}

/// What is wrong alone.
pub fn findings(diagnosis: &Diagnosis, columns: Option<usize>) -> String {
    let findings = diagnosis.findings.iter().map(|found| {
        let (word, paint) = match found.severity {
            Severity::Error => ("error", AnsiColors::Red),
            Severity::Warning => ("warning", AnsiColors::Yellow),
        };
        let lead = format!("{word}[{}]", found.finding.name);
        finding::render(&found.finding, &lead, paint, columns)
    });
    findings.collect::<Vec<String>>().join("\n")
}

/// All of it without colors, for a file that is attached to an issue.
pub fn report(diagnosis: &Diagnosis) -> String {
    let text = format!("topo {}\n\n{}", diagnosis.topo, render(diagnosis, Some(PAGE)));
    anstream::adapter::strip_str(&text).to_string()
}

fn line(check: &Check, name_width: usize, columns: Option<usize>) -> String {
    let (mark, paint) = match check.state {
        State::Fine => ("✓", AnsiColors::Green),
        State::Warning => ("!", AnsiColors::Yellow),
        State::Error => ("✗", AnsiColors::Red),
        State::Unexamined => ("?", AnsiColors::Default),
    };
    let saw = match check.state {
        State::Unexamined => format!("not examined: {}", tame(&check.saw)),
        _ => tame(&check.saw),
    };
    let start = INDENT.len() + 2 + name_width + 2;
    let lines = wrap(&saw, columns.map(|columns| columns.saturating_sub(start)));
    let first = lines.first().map_or("", String::as_str);
    let mut text =
        format!("{INDENT}{} {}  {first}\n", mark.color(paint), pad(check.check, name_width));
    for rest in lines.iter().skip(1) {
        let _ = writeln!(text, "{:start$}{rest}", "");
    }
    text
}

fn total(diagnosis: &Diagnosis) -> String {
    let counted = |severity, word: &str| {
        let count = diagnosis.findings.iter().filter(|found| found.severity == severity).count();
        match count {
            0 => None,
            1 => Some(format!("1 {word}")),
            _ => Some(format!("{count} {word}s")),
        }
    };
    let both = [counted(Severity::Error, "error"), counted(Severity::Warning, "warning")];
    both.into_iter().flatten().collect::<Vec<String>>().join(" and ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::samples;

    #[test]
    fn a_diagnosis_on_a_terminal_of_80_columns() {
        let text = render(&samples::diagnosis(), Some(80));
        let text = anstream::adapter::strip_str(&text).to_string();
        assert!(text.lines().all(|line| width(line) <= 80), "{text}");
        insta::assert_snapshot!(text);
    }

    #[test]
    fn of_a_machine_on_which_nothing_is_wrong_it_is_said() {
        let mut diagnosis = samples::diagnosis();
        diagnosis.findings.clear();
        assert!(render(&diagnosis, None).ends_with("\n\nnothing that was examined is wrong\n"));
        diagnosis.checks.retain(|check| check.state == State::Fine);
        assert!(render(&diagnosis, None).ends_with("\n\nnothing is wrong\n"));
    }
}
