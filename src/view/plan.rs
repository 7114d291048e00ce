//! A plan as text: what would be done, to what, and whether the file or the world is the reason.

use std::fmt::Write;

use owo_colors::{AnsiColors, OwoColorize};
use serde_json::Value;
use similar::{ChangeTag, TextDiff};

use super::text::{cut, pad, tame, width, wrap};
use crate::plan::{Action, Cause, Change, Item, Plan, Shown, Summary};

/// Ids longer than this push their own line out instead of every line.
const WIDEST_ID: usize = 44;
/// Before a line of a change: two levels, and whether it goes or comes.
const SIGN: usize = 6;
/// Between what changes and where the file says so.
const GAP: usize = 2;

#[derive(Debug, Clone, Copy)]
pub struct Layout {
    /// Unlimited where nobody looks at it on a terminal.
    pub width: Option<usize>,
    /// Unchanged resources too, and values in full.
    pub everything: bool,
}

pub fn render(plan: &Plan, layout: Layout) -> String {
    let shown: Vec<&Item> =
        plan.items.iter().filter(|item| layout.everything || is_news(item)).collect();
    let beginning = plan.items.iter().all(is_new);
    let page = Page::new(&shown, layout, !beginning);
    let mut text = String::new();
    for item in &shown {
        page.item(&mut text, item);
    }
    if !shown.is_empty() {
        text.push('\n');
    }
    for line in wrap(&totals(plan), layout.width) {
        let _ = writeln!(text, "{}", line.bold());
    }
    text
}

/// Created where nothing is: what goes with another is there, and is recreated.
fn is_new(item: &Item) -> bool {
    item.action == Action::Create && item.goes_with.is_none()
}

/// What happens to it, as a person sees it.
fn effective(item: &Item) -> Action {
    if item.goes_with.is_some() { Action::Replace } else { item.action }
}

fn is_news(item: &Item) -> bool {
    item.action.changes_something() || item.waits.is_some()
}

pub fn color(action: Action) -> AnsiColors {
    match action {
        Action::Create => AnsiColors::Green,
        Action::Update => AnsiColors::Yellow,
        Action::Start | Action::Stop => AnsiColors::Cyan,
        Action::Replace => AnsiColors::Magenta,
        Action::Delete | Action::Blocked => AnsiColors::Red,
        Action::None | Action::Deferred => AnsiColors::Default,
    }
}

/// Columns that all items of one plan share.
struct Page {
    layout: Layout,
    id: usize,
    /// Where the causes stand.
    causes: usize,
    /// Where the places in the file stand.
    notes: usize,
    /// Whether it is said why and where something is added: not while everything is.
    says_why: bool,
}

impl Page {
    fn new(items: &[&Item], layout: Layout, says_why: bool) -> Self {
        let id = items
            .iter()
            .map(|item| width(item.id.as_str()))
            .filter(|columns| *columns <= WIDEST_ID)
            .max()
            .unwrap_or(0);
        let causes = 2 + id + 2 + "deferred".len() + GAP;
        let changes = || items.iter().flat_map(|item| &item.changes);
        let places = items.iter().filter(|_| says_why).filter_map(|item| place(item));
        let places = places.chain(changes().filter_map(|change| change.at.as_deref()));
        let widest_note = places.map(width).max().unwrap_or(0);
        let widest_change = changes().map(|change| width(&one_line(change))).max().unwrap_or(0);
        let wished = causes.max(widest_change + GAP);
        let notes = match layout.width {
            Some(columns) => wished.min(columns.saturating_sub(widest_note)).max(causes),
            None => wished.min(80),
        };
        Self { layout, id, causes, notes, says_why }
    }

    fn item(&self, text: &mut String, item: &Item) {
        let action = effective(item);
        let paint = color(action);
        let word = if action == Action::None { "ready" } else { action.word() };
        let word = if item.waits.is_some() { "unready" } else { word };
        let _ = write!(
            text,
            "{} {}  {}",
            action.symbol().color(paint).bold(),
            pad(&tame(item.id.as_str()), self.id).bold(),
            word.color(paint),
        );
        let taken = 2 + self.id.max(width(item.id.as_str())) + 2 + word.len();
        self.reason(text, item, taken);
        self.values(text, item);
        for change in &item.changes {
            self.change(text, item, change);
        }
        if let Some(asks) = &item.asks {
            self.paragraph(text, &format!("asks first: {asks}"), AnsiColors::Red);
        }
    }

    /// The cause, and the reason beside it where it fits or below where it does not.
    fn reason(&self, text: &mut String, item: &Item, taken: usize) {
        let cause = item.cause.filter(|_| self.says_why).map(|cause| match cause {
            Cause::File => "file",
            Cause::Drift => "drift",
            Cause::Both => "file and drift",
        });
        let why = item.why.as_deref().or(item.waits.as_deref()).map(tame);
        let why = why.or_else(|| self.only_value(item));
        let whole = match (cause, &why) {
            (None, None) => String::new(),
            (Some(cause), None) => cause.to_owned(),
            (None, Some(why)) => why.clone(),
            (Some(cause), Some(why)) => format!("{cause}: {why}"),
        };
        let start = self.causes.max(taken + GAP);
        let fits = self.layout.width.is_none_or(|columns| start + width(&whole) <= columns);
        let beside = if fits { whole.as_str() } else { cause.unwrap_or("") };
        if !beside.is_empty() {
            let blank = start - taken;
            let _ = write!(text, "{:blank$}{}", "", beside.color(cause_color(item.cause)));
        }
        if let Some(place) = place(item).filter(|_| fits && self.says_why) {
            let ends = start + width(beside);
            let blank = self.notes.max(ends + GAP) - ends;
            let _ = write!(text, "{:blank$}{}", "", place.dimmed());
        }
        text.push('\n');
        if !fits && let Some(why) = why {
            self.paragraph(text, &why, AnsiColors::Default);
        }
    }

    /// A single value stands beside the id, where nothing else has to be said there.
    fn only_value(&self, item: &Item) -> Option<String> {
        match item.values.as_slice() {
            [value] if !self.says_why && item.why.is_none() => Some(will_be(value)),
            _ => None,
        }
    }

    /// What one that is created will be.
    fn values(&self, text: &mut String, item: &Item) {
        if self.only_value(item).is_some() || effective(item) != Action::Create {
            return;
        }
        for value in &item.values {
            let _ = writeln!(text, "{}", self.fitted(&format!("    {}", will_be(value))));
        }
    }

    fn paragraph(&self, text: &mut String, paragraph: &str, paint: AnsiColors) {
        let columns = self.layout.width.map(|columns| columns.saturating_sub(4));
        for line in wrap(&tame(paragraph), columns) {
            let _ = writeln!(text, "    {}", line.color(paint));
        }
    }

    fn change(&self, text: &mut String, item: &Item, change: &Change) {
        let note = note(item, change);
        let whole = one_line(change);
        if self.holds(&whole) && !is_long_text(change) {
            let path = tame(&change.path);
            let _ = write!(
                text,
                "    {path}: {} {} {}",
                shown(&change.before).color(AnsiColors::Red),
                "->".dimmed(),
                shown(&change.after).color(AnsiColors::Green)
            );
            self.note(text, width(&whole), &note);
            return;
        }
        let path = format!("    {}:", tame(&change.path));
        text.push_str(&path);
        self.note(text, width(&path), &note);
        for (sign, line) in self.lines_of(change) {
            let paint = match sign {
                '-' => AnsiColors::Red,
                '+' => AnsiColors::Green,
                _ => AnsiColors::Default,
            };
            let line = self.fitted(&format!("      {sign} {line}"));
            let _ = writeln!(text, "{}", line.color(paint));
        }
    }

    /// Where the file says so, with remarks on a line of their own if they would not fit beside it.
    fn note(&self, text: &mut String, taken: usize, note: &Note) {
        let start = self.notes.max(taken + GAP);
        let beside = [note.at.as_str(), note.remark.as_str()].join("  ");
        let beside = beside.trim();
        let fits = self.layout.width.is_none_or(|columns| start + width(beside) <= columns);
        let first = if fits { beside } else { note.at.as_str() };
        if !first.is_empty() {
            let blank = start - taken;
            let _ = write!(text, "{:blank$}{}", "", first.dimmed());
        }
        text.push('\n');
        if !fits && !note.remark.is_empty() {
            let _ = writeln!(text, "      {}", self.fitted(&note.remark).dimmed());
        }
    }

    /// A change that takes more than a line: of long texts the lines that differ and one around them.
    fn lines_of(&self, change: &Change) -> Vec<(char, String)> {
        if let (Shown::Value(Value::String(before)), Shown::Value(Value::String(after))) =
            (&change.before, &change.after)
            && is_long_text(change)
        {
            return differing_lines(before, after);
        }
        let (before, after) = (shown(&change.before), shown(&change.after));
        let skipped = match self.layout.width {
            Some(columns) if !self.layout.everything => {
                alike_at_the_start(&before, &after, columns.saturating_sub(SIGN + 2))
            }
            _ => 0,
        };
        let rest = |text: &str| match skipped {
            0 => text.to_owned(),
            skipped => format!("…{}", text.chars().skip(skipped).collect::<String>()),
        };
        vec![('-', rest(&before)), ('+', rest(&after))]
    }

    /// Whether a change fits left of the notes.
    fn holds(&self, line: &str) -> bool {
        self.layout.width.is_none() || width(line) + GAP <= self.notes
    }

    fn fitted(&self, line: &str) -> String {
        match self.layout.width {
            Some(columns) if !self.layout.everything => cut(line, columns),
            _ => line.to_owned(),
        }
    }
}

fn will_be((path, value): &(String, Shown)) -> String {
    format!("{}: {}", tame(path), shown(value))
}

/// Where the file adds it.
fn place(item: &Item) -> Option<&str> {
    item.at.as_deref().filter(|_| item.action == Action::Create)
}

struct Note {
    at: String,
    remark: String,
}

fn note(item: &Item, change: &Change) -> Note {
    let mut remarks = Vec::new();
    if change.forces_replace {
        remarks.push("forces replacement".to_owned());
    }
    match (item.cause, change.cause) {
        (Some(Cause::Both), Cause::Drift) => remarks.push("drift".to_owned()),
        (Some(Cause::Both), Cause::Both) => remarks.push("file and drift".to_owned()),
        _ => {}
    }
    if let Some(by) = &change.by {
        remarks.push(format!("by {}", tame(by)));
    }
    let remark =
        if remarks.is_empty() { String::new() } else { format!("# {}", remarks.join(", ")) };
    Note { at: change.at.clone().unwrap_or_default(), remark }
}

fn cause_color(cause: Option<Cause>) -> AnsiColors {
    match cause {
        Some(Cause::Drift | Cause::Both) => AnsiColors::Cyan,
        Some(Cause::File) | None => AnsiColors::Default,
    }
}

/// `    path: before -> after`
pub fn one_line(change: &Change) -> String {
    let path = tame(&change.path);
    format!("    {path}: {} -> {}", shown(&change.before), shown(&change.after))
}

pub fn shown(value: &Shown) -> String {
    match value {
        Shown::Absent => "(none)".to_owned(),
        Shown::Value(value) => tame(&plain(value)),
        Shown::Sensitive => "(sensitive)".to_owned(),
        Shown::Unknown(_) => "(known after apply)".to_owned(),
    }
}

/// Words as they are, lists of words with commas, everything else as JSON.
fn plain(value: &Value) -> String {
    match value {
        Value::String(text) if text.is_empty() => "\"\"".to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(items) if items.is_empty() => "[]".to_owned(),
        Value::Array(items) if items.iter().all(is_scalar) => {
            items.iter().map(plain).collect::<Vec<_>>().join(", ")
        }
        Value::Array(_) | Value::Object(_) => inline(value),
        other => other.to_string(),
    }
}

/// Maps and lists on one line, with as few signs as can be.
fn inline(value: &Value) -> String {
    match value {
        Value::Object(fields) => {
            let fields: Vec<String> =
                fields.iter().map(|(name, field)| format!("{name}: {}", inline(field))).collect();
            format!("{{{}}}", fields.join(", "))
        }
        Value::Array(items) if items.iter().all(is_scalar) => plain(value),
        Value::Array(items) => items.iter().map(inline).collect::<Vec<_>>().join(", "),
        other => plain(other),
    }
}

fn is_scalar(value: &Value) -> bool {
    !value.is_array() && !value.is_object()
}

fn is_long_text(change: &Change) -> bool {
    let many = |value: &Shown| matches!(value, Shown::Value(Value::String(text)) if text.trim_end().contains('\n'));
    many(&change.before) || many(&change.after)
}

fn differing_lines(before: &str, after: &str) -> Vec<(char, String)> {
    let diff = TextDiff::from_lines(before, after);
    let groups = diff.grouped_ops(1);
    let changes = groups.iter().flatten().flat_map(|op| diff.iter_changes(op));
    changes.map(|line| (sign(line.tag()), tame(line.value().trim_end()))).collect()
}

/// How much of two texts is left out so that their difference is not cut off.
fn alike_at_the_start(before: &str, after: &str, columns: usize) -> usize {
    /// Enough to see where the rest belongs.
    const KEPT: usize = 12;
    if width(before).max(width(after)) <= columns {
        return 0;
    }
    let alike = before.chars().zip(after.chars()).take_while(|(was, now)| was == now).count();
    if alike < columns / 2 { 0 } else { alike - KEPT.min(alike) }
}

fn sign(tag: ChangeTag) -> char {
    match tag {
        ChangeTag::Delete => '-',
        ChangeTag::Insert => '+',
        ChangeTag::Equal => ' ',
    }
}

fn totals(plan: &Plan) -> String {
    let mut summary = plan.summary();
    let along = plan.items.iter().filter(|item| item.goes_with.is_some()).count();
    summary.create -= along;
    summary.replace += along;
    let waiting = plan.items.iter().filter(|item| item.waits.is_some()).count();
    let mut to_do = counts(&summary);
    if waiting > 0 {
        to_do.push(format!("{waiting} to wait for"));
    }
    let unchanged = summary.none - waiting;
    if to_do.is_empty() {
        return match unchanged {
            0 => format!("No changes: there is nothing of `{}`", plan.topology),
            1 => format!("No changes: `{}` is in sync (1 resource)", plan.topology),
            _ => format!("No changes: `{}` is in sync ({unchanged} resources)", plan.topology),
        };
    }
    let drifted = match summary.drifted {
        0 => String::new(),
        drifted => format!(" ({drifted} drifted)"),
    };
    let unchanged = match unchanged {
        0 => String::new(),
        unchanged => format!("; {unchanged} unchanged"),
    };
    format!("Plan: {}{unchanged}{drifted}", to_do.join(", "))
}

fn counts(summary: &Summary) -> Vec<String> {
    [
        (summary.create, "to create"),
        (summary.update, "to update"),
        (summary.replace, "to replace"),
        (summary.start, "to start"),
        (summary.stop, "to stop"),
        (summary.delete, "to delete"),
        (summary.deferred, "deferred"),
        (summary.blocked, "blocked"),
    ]
    .into_iter()
    .filter(|(count, _)| *count > 0)
    .map(|(count, what)| format!("{count} {what}"))
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Id;
    use crate::view::samples;

    const TERMINAL: Layout = Layout { width: Some(80), everything: false };

    fn plain(plan: &Plan, layout: Layout) -> String {
        anstream::adapter::strip_str(&render(plan, layout)).to_string()
    }

    #[test]
    fn a_plan_on_a_terminal_of_80_columns() {
        let text = plain(&samples::plan(), TERMINAL);
        assert!(text.lines().all(|line| width(line) <= 80), "{text}");
        insta::assert_snapshot!(text);
    }

    #[test]
    fn a_plan_in_color() {
        insta::assert_snapshot!(render(&samples::plan(), TERMINAL).replace('\u{1b}', "␛"));
    }

    #[test]
    fn a_plan_in_a_file_is_not_cut() {
        insta::assert_snapshot!(plain(&samples::plan(), Layout { width: None, everything: true }));
    }

    #[test]
    fn a_plan_that_changes_nothing_says_so() {
        let unchanged = Item::new(Id::new("cluster", "dev"), Action::None);
        let plan = Plan { topology: "dev".to_owned(), items: vec![unchanged] };
        assert_eq!(plain(&plan, TERMINAL), "No changes: `dev` is in sync (1 resource)\n");
    }

    #[test]
    fn what_the_file_adds_is_shown_with_its_line_unless_it_adds_everything() {
        let mut port = Item::new(Id::new("port", "127.0.0.1:10001/tcp"), Action::Create);
        port.cause = Some(Cause::File);
        port.at = Some("topo.yaml:31:7".to_owned());
        let cluster = Item::new(Id::new("cluster", "dev"), Action::None);
        let mut plan = Plan { topology: "dev".to_owned(), items: vec![port, cluster] };
        let text = plain(&plan, TERMINAL);
        let first = text.lines().next().expect("a line");
        assert_eq!(first, "+ port/127.0.0.1:10001/tcp  create    file  topo.yaml:31:7");
        plan.items.pop();
        assert!(!plain(&plan, TERMINAL).contains("topo.yaml"));
    }

    #[test]
    fn what_would_move_the_cursor_is_not_passed_on() {
        let mut item =
            Item::new(Id::new("object", "core/ConfigMap/default/x\u{1b}[2J"), Action::Update);
        item.why = Some("\u{1b}]0;title\u{7}".to_owned());
        let plan = Plan { topology: "dev".to_owned(), items: vec![item] };
        let text = render(&plan, TERMINAL);
        assert!(!text.contains("\u{1b}[2J") && !text.contains("\u{1b}]"), "{text:?}");
        assert!(plain(&plan, TERMINAL).contains("x�[2J"));
    }
}
