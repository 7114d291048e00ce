//! One finding: what was seen, why it matters and what mends it.

use std::fmt::Write;

use owo_colors::{AnsiColors, OwoColorize};

use super::text::{INDENT, tame, width, wrap};
use crate::finding::Finding;

/// `lead` stands before what was seen: the finding's name, or more.
pub fn render(finding: &Finding, lead: &str, paint: AnsiColors, columns: Option<usize>) -> String {
    let mut text = String::new();
    let room = |taken: usize| columns.map(|columns| columns.saturating_sub(taken));
    let title = wrap(&tame(&finding.saw), room(width(lead) + 2));
    let first = title.first().map_or("", String::as_str);
    let _ = writeln!(text, "{}: {first}", lead.color(paint).bold());
    for rest in title.iter().skip(1) {
        let _ = writeln!(text, "{:1$}{rest}", "", width(lead) + 2);
    }
    for (word, what) in [("why", &finding.why), ("fix", &finding.fix)] {
        for (at, part) in wrap(&tame(what), room(INDENT.len() + 5)).iter().enumerate() {
            let lead = if at == 0 { format!("{word}: ") } else { " ".repeat(5) };
            let _ = writeln!(text, "{INDENT}{lead}{part}");
        }
    }
    text
}
