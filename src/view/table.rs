//! Lines whose cells stand under one another.

use std::fmt::Write;

use owo_colors::{AnsiColors, OwoColorize};

use super::text::{INDENT, tame, width, wrap};

/// Cells of one line, and the colour of the word that says how it is.
pub struct Row {
    pub cells: Vec<String>,
    /// Which cell is that word.
    pub state: usize,
    pub paint: AnsiColors,
    /// What to do about it, on lines of its own.
    pub hint: Option<String>,
}

/// Columns as wide as their widest cell. Cells that do not fit beside the first go below them;
/// the last, which is free text, does so by itself.
pub fn table(rows: Vec<Row>, columns: Option<usize>) -> String {
    let widths = widths(&rows);
    let limit = columns.unwrap_or(usize::MAX);
    let beside = how_many_fit(&widths, limit);
    let mut text = String::new();
    for Row { cells, state, paint, hint } in rows {
        let mut below = Vec::new();
        let mut taken = INDENT.len();
        text.push_str(INDENT);
        for (at, cell) in cells.iter().enumerate().filter(|(_, cell)| !cell.is_empty()) {
            let cell = tame(cell);
            let start: usize =
                INDENT.len() + widths[..at].iter().map(|width| width + 2).sum::<usize>();
            if at < beside
                || (below.is_empty() && at + 1 == cells.len() && start + width(&cell) <= limit)
            {
                let blank = start - taken;
                let paint = if at == state { paint } else { AnsiColors::Default };
                let _ = write!(text, "{:blank$}{}", "", cell.color(paint));
                taken = start + width(&cell);
            } else {
                below.push(cell);
            }
        }
        text.push('\n');
        let room = columns.map(|columns| columns.saturating_sub(INDENT.len() * 2));
        let hint = hint.map(|hint| format!("hint: {}", tame(&hint)));
        for paragraph in [Some(below.join("  ")), hint].into_iter().flatten() {
            for line in wrap(&paragraph, room) {
                let _ = writeln!(text, "{INDENT}{INDENT}{line}");
            }
        }
    }
    text
}

fn widths(rows: &[Row]) -> Vec<usize> {
    let cells = rows.iter().map(|row| row.cells.len()).max().unwrap_or(0);
    let column = |at: usize| rows.iter().filter_map(move |row| row.cells.get(at));
    (0..cells).map(|at| column(at).map(|cell| width(cell)).max().unwrap_or(0)).collect()
}

/// How many of the columns but the last stand on one line; the name and the state always do.
fn how_many_fit(widths: &[usize], limit: usize) -> usize {
    let mut taken = INDENT.len();
    let but_last = &widths[..widths.len().saturating_sub(1)];
    let fit = but_last.iter().take_while(|width| {
        taken += *width + 2;
        taken - 2 <= limit
    });
    fit.count().max(2)
}
