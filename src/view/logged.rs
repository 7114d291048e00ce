//! A line of a log, behind the name of whatever wrote it.

use owo_colors::{AnsiColors, OwoColorize};
use serde_json::{Value, json};

use super::text::{pad, tame};

/// One after the other for as many sources as there are.
const PAINTS: [AnsiColors; 6] = [
    AnsiColors::Cyan,
    AnsiColors::Yellow,
    AnsiColors::Green,
    AnsiColors::Magenta,
    AnsiColors::Blue,
    AnsiColors::Red,
];

#[derive(Debug, Clone, Copy)]
pub struct Logged<'a> {
    pub source: &'a str,
    /// The how manyth of all sources it is.
    pub nth: usize,
    /// Columns for names; none where there is only one source, whose lines are shown as they are.
    pub columns: Option<usize>,
    pub line: &'a str,
}

/// `dev-gw  | listening`. Colours and the like in the line are its own, as it was written to be shown.
pub fn render(logged: &Logged) -> String {
    let Logged { source, nth, columns, line } = *logged;
    let Some(columns) = columns else { return format!("{line}\n") };
    let prefix = format!("{}  |", pad(&tame(source), columns));
    format!("{} {line}\n", prefix.color(PAINTS[nth % PAINTS.len()]))
}

pub fn document(logged: &Logged) -> Value {
    json!({ "type": "log", "source": logged.source, "line": logged.line })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_stands_behind_its_source() {
        let line = |columns| Logged { source: "dev-gw", nth: 7, columns, line: "it\tlistens" };
        let painted = render(&line(Some(8)));
        assert_eq!(anstream::adapter::strip_str(&painted).to_string(), "dev-gw    | it\tlistens\n");
        assert!(painted.starts_with("\u{1b}[33m"), "{painted:?}");
        assert_eq!(render(&line(None)), "it\tlistens\n");
        let document = document(&line(None)).to_string();
        assert_eq!(document, r#"{"type":"log","source":"dev-gw","line":"it\tlistens"}"#);
    }
}
