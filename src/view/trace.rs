//! A connection hop by hop, and what is wrong at the first that is broken.

use std::fmt::Write;

use owo_colors::{AnsiColors, OwoColorize};

use super::text::{INDENT, pad, tame, width, wrap};
use crate::trace::{Hop, State, Trace};

pub fn render(trace: &Trace, columns: Option<usize>) -> String {
    let mut text = format!("{}\n", tame(&trace.target).bold());
    let hop_width = trace.hops.iter().map(|hop| width(hop.hop)).max().unwrap_or(0);
    for hop in &trace.hops {
        text.push_str(&line(hop, hop_width, columns));
    }
    text.push('\n');
    if trace.finding.is_some() {
        text.push_str(&finding(trace, columns));
    } else {
        let unexamined = trace.hops.iter().any(|hop| hop.state == State::Unexamined);
        let which = if unexamined { "that was examined " } else { "" };
        let _ = writeln!(text, "every hop {which}is fine");
    }
    text
}

/// What is wrong alone.
pub fn finding(trace: &Trace, columns: Option<usize>) -> String {
    let finding = trace.finding.as_ref();
    finding
        .map(|it| super::finding::render(it, it.name, AnsiColors::Red, columns))
        .unwrap_or_default()
}

/// `✓ gateway   dev-gw  Up 3 minutes (healthy)`; what does not fit beside stands below.
fn line(hop: &Hop, hop_width: usize, columns: Option<usize>) -> String {
    let (mark, paint) = match hop.state {
        State::Fine => ("✓", AnsiColors::Green),
        State::Broken => ("✗", AnsiColors::Red),
        State::Follows => ("↳", AnsiColors::Yellow),
        State::Unexamined => ("?", AnsiColors::Default),
    };
    let start = INDENT.len() + 2 + hop_width + 2;
    let saw = match hop.state {
        State::Unexamined => format!("not examined: {}", tame(&hop.saw)),
        _ => tame(&hop.saw),
    };
    let lead = format!("{INDENT}{} {}", mark.color(paint), pad(hop.hop, hop_width));
    let at = tame(&hop.at);
    let one_line = format!("{at}  {saw}");
    if columns.is_none_or(|columns| start + width(&one_line) <= columns) {
        return format!("{lead}  {one_line}\n");
    }
    let mut text = format!("{lead}  {at}\n");
    for part in wrap(&saw, columns.map(|columns| columns.saturating_sub(start))) {
        let _ = writeln!(text, "{:start$}{part}", "");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::samples;

    #[test]
    fn a_trace_on_a_terminal_of_80_columns() {
        let text = anstream::adapter::strip_str(&render(&samples::trace(), Some(80))).to_string();
        assert!(text.lines().all(|line| width(line) <= 80), "{text}");
        insta::assert_snapshot!(text);
    }
}
