//! What is wrong with a file, as text: each fault with the lines it stands on and a caret under it.

use std::collections::HashMap;
use std::fmt::Write;
use std::ops::Range;

use annotate_snippets::renderer::DecorStyle;
use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};
use owo_colors::OwoColorize;

use super::text::{tame, wrap};
use crate::topology::{Diagnostic, Place, Severity};

/// A terminal narrower than this gets lines that it wraps by itself.
const NARROWEST: usize = 40;
const WIDEST: usize = 140;
const LONGEST_UNDERLINE: usize = 40;
/// More than these help no person, and finding the lines of each takes a look through the file.
const MOST_SHOWN: usize = 100;

/// The texts of the files that problems stand in, under the names that places give them.
#[derive(Debug, Clone, Default)]
pub struct Sources(HashMap<String, String>);

impl Sources {
    pub fn with(mut self, name: impl Into<String>, text: impl Into<String>) -> Self {
        self.0.insert(name.into(), text.into());
        self
    }

    /// The text, and the stretch of it that the place means, if the text has it.
    fn at(&self, place: &Place) -> Option<(&str, Range<usize>)> {
        let text = self.0.get(&place.file)?;
        let (start, end) = (place.span.start.min(text.len()), place.span.end.min(text.len()));
        (text.is_char_boundary(start) && text.is_char_boundary(end) && start <= end)
            .then_some((text.as_str(), start..end))
    }
}

/// Errors first, then warnings, then how many there were.
pub fn render(sources: &Sources, problems: &[Diagnostic], width: Option<usize>) -> String {
    let renderer = Renderer::styled()
        .decor_style(DecorStyle::Ascii)
        .term_width(width.unwrap_or(WIDEST).max(NARROWEST));
    let of = |severity| problems.iter().filter(move |problem| problem.severity == severity);
    let mut text = String::new();
    for problem in of(Severity::Error).chain(of(Severity::Warning)).take(MOST_SHOWN) {
        let _ = writeln!(text, "{}\n", one(&renderer, sources, problem, width));
    }
    if problems.len() > MOST_SHOWN {
        let _ = writeln!(text, "{} more are not shown", problems.len() - MOST_SHOWN);
    }
    let (errors, warnings) = (of(Severity::Error).count(), of(Severity::Warning).count());
    if errors > 0 {
        let _ = writeln!(text, "{}", total(problems, errors, warnings).bold());
    }
    text
}

fn one(
    renderer: &Renderer,
    sources: &Sources,
    problem: &Diagnostic,
    width: Option<usize>,
) -> String {
    let level = match problem.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let name = problem.known_as();
    let before = format!("warning{}: ", name.map(|name| format!("[{name}]")).unwrap_or_default());
    let title = level.primary_title(wrapped(&problem.message, width, &before));
    let mut group = Group::with_title(match name {
        Some(name) => title.id(name),
        None => title,
    });
    match sources.at(&problem.place) {
        Some(_) => group = group.elements(snippets(sources, problem)),
        None => group = group.element(Level::NOTE.message(address(&problem.place))),
    }
    if let Some(help) = &problem.help {
        group = group.element(Level::HELP.message(wrapped(help, width, "   = help: ")));
    }
    renderer.render(&[group])
}

/// The fault itself, and beside it other places that have to do with it.
fn snippets<'a>(
    sources: &'a Sources,
    problem: &'a Diagnostic,
) -> Vec<Snippet<'a, annotate_snippets::Annotation<'a>>> {
    let mut files: Vec<(&str, Snippet<'a, annotate_snippets::Annotation<'a>>)> = Vec::new();
    let first = (&problem.place, AnnotationKind::Primary, problem.seen.as_deref());
    let others = problem
        .related
        .iter()
        .map(|related| (&related.place, AnnotationKind::Context, Some(related.message.as_str())));
    for (place, kind, label) in std::iter::once(first).chain(others) {
        let Some((text, span)) = sources.at(place) else { continue };
        let span = underlined(text, span);
        // What is underlined needs no repeating.
        let unquoted = text[span.start..].trim_start_matches(['"', '\'']);
        let label = label.filter(|label| !unquoted.starts_with(label)).map(tame);
        let annotation = kind.span(span).label(label);
        match files.iter_mut().find(|(file, _)| *file == place.file) {
            Some((_, snippet)) => *snippet = snippet.clone().annotation(annotation),
            None => files.push((
                &place.file,
                Snippet::source(text).path(place.file.as_str()).annotation(annotation),
            )),
        }
    }
    files.into_iter().map(|(_, snippet)| snippet).collect()
}

/// A fault of a whole block is shown at its first line, and a long value at its start.
fn underlined(text: &str, span: Range<usize>) -> Range<usize> {
    let line = text[span.clone()].lines().next().unwrap_or("");
    let end = line.char_indices().nth(LONGEST_UNDERLINE).map_or(line.len(), |(at, _)| at);
    span.start..span.start + end
}

fn address(place: &Place) -> String {
    format!("{}:{}:{}", place.file, place.line, place.column)
}

/// Lines that fit beside what the renderer puts in front of the first of them.
fn wrapped(text: &str, width: Option<usize>, front: &str) -> String {
    let columns = width.map(|columns| columns.max(NARROWEST).saturating_sub(front.len()));
    let lines: Vec<String> = wrap(text, columns).iter().map(|line| tame(line)).collect();
    lines.join("\n")
}

fn total(problems: &[Diagnostic], errors: usize, warnings: usize) -> String {
    let file = problems.first().map_or("", |problem| problem.place.file.as_str());
    let counted = |count, what: &str| match count {
        1 => format!("1 {what}"),
        _ => format!("{count} {what}s"),
    };
    match warnings {
        0 => format!("{} in {file}", counted(errors, "error")),
        _ => format!("{} and {} in {file}", counted(errors, "error"), counted(warnings, "warning")),
    }
}
