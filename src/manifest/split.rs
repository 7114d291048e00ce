//! Where each document of a text begins and ends, without parsing YAML.

use std::ops::Range;

use serde::de::IgnoredAny;

const BYTE_ORDER_MARK: char = '\u{feff}';

/// The documents of a text: YAML's, parted by `---`, and JSON's, which need nothing between them.
/// What is empty or only comments is none; directives belong to what follows them.
pub fn documents(text: &str) -> Vec<Range<usize>> {
    let mut documents = Vec::new();
    let mut start = 0;
    for marker in markers(text).chain([text.len()]) {
        let chunk = start..marker;
        let (holds_one, ends_here) = (has_content(&text[chunk.clone()]), at_dots(text, marker));
        if holds_one {
            add(text, chunk.clone(), &mut documents);
        }
        if holds_one || ends_here || !has_directive(&text[chunk]) {
            start = text.len().min(marker + 3);
        }
    }
    documents
}

/// Whether a document is meant as JSON, as `kubectl` guesses it.
pub fn is_json(document: &str) -> bool {
    document.trim_start().starts_with('{')
}

/// One document, or each of the JSON objects that follow one another.
fn add(text: &str, chunk: Range<usize>, documents: &mut Vec<Range<usize>>) {
    let mut start = chunk.start + mark(&text[chunk.clone()]);
    if is_json(&text[start..chunk.end]) {
        let json = &text[start..chunk.end];
        let mut objects = serde_json::Deserializer::from_str(json).into_iter::<IgnoredAny>();
        let from = start;
        while let Some(Ok(_)) = objects.next() {
            let end = from + objects.byte_offset();
            documents.push(start + blank(&text[start..end])..end);
            start = end;
        }
    }
    if has_content(&text[start..chunk.end]) {
        documents.push(start..chunk.end);
    }
}

/// The length of a byte order mark and of the blanks before it: files that were put together have one
/// in the middle.
fn mark(text: &str) -> usize {
    let blank = blank(text);
    if text[blank..].starts_with(BYTE_ORDER_MARK) { blank + BYTE_ORDER_MARK.len_utf8() } else { 0 }
}

fn blank(text: &str) -> usize {
    text.len() - text.trim_start().len()
}

/// Lines that start with `---` or `...` end a document wherever they are: YAML allows them in no scalar.
fn markers(text: &str) -> impl Iterator<Item = usize> {
    let first = is_marker(text).then_some(0);
    let inner = ["\n---", "\n..."].map(|marker| text.match_indices(marker));
    let [dashes, dots] = inner.map(|found| found.map(|(at, _)| at + 1));
    let mut dots = dots.peekable();
    let mut dashes = dashes.peekable();
    let merged = std::iter::from_fn(move || match (dashes.peek(), dots.peek()) {
        (Some(dash), Some(dot)) if dot < dash => dots.next(),
        (Some(_), _) => dashes.next(),
        (None, _) => dots.next(),
    });
    first.into_iter().chain(merged.filter(|at| is_marker(&text[*at..])))
}

fn is_marker(line: &str) -> bool {
    (line.starts_with("---") || line.starts_with("..."))
        && matches!(line.as_bytes().get(3), None | Some(b' ' | b'\t' | b'\r' | b'\n' | b'#'))
}

fn at_dots(text: &str, marker: usize) -> bool {
    text[marker..].starts_with("...")
}

fn has_content(text: &str) -> bool {
    text.lines().any(|line| !is_silent(line) && !line.starts_with('%'))
}

fn has_directive(text: &str) -> bool {
    text.lines().any(|line| line.starts_with('%'))
}

/// Whether a line is blank, a comment or a marker.
pub fn is_silent(line: &str) -> bool {
    let line = line.trim_start_matches(BYTE_ORDER_MARK);
    let line = if is_marker(line) { &line[3..] } else { line };
    let line = line.trim();
    line.is_empty() || line.starts_with('#')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(text: &str) -> Vec<&str> {
        documents(text).into_iter().map(|range| &text[range]).collect()
    }

    #[test]
    fn documents_end_where_the_next_begins() {
        assert_eq!(split("a: 1\n---\nb: 2\n"), ["a: 1\n", "\nb: 2\n"]);
        assert_eq!(split("---\na: 1\n"), ["\na: 1\n"]);
        assert_eq!(split("a: 1\r\n--- # next\r\nb: 2"), ["a: 1\r\n", " # next\r\nb: 2"]);
        assert_eq!(split("a: 1\n---# next\nb: 2"), ["a: 1\n", "# next\nb: 2"]);
        assert_eq!(split("a: 1\n...\nb: 2"), ["a: 1\n", "\nb: 2"]);
        assert_eq!(split("a: 1\n...\n---\nb: 2\n..."), ["a: 1\n", "\nb: 2\n"]);
    }

    #[test]
    fn what_holds_nothing_is_no_document() {
        assert!(split("").is_empty());
        assert!(split("---").is_empty());
        assert!(split("---\n# only a comment\n---\n\n---").is_empty());
        assert_eq!(split("# head\n---\na: 1\n---\n"), ["\na: 1\n"]);
        let between = "a: 1\n---\n# nothing\n---\n\n---\nb: 2\n---\n...\n---\n";
        assert_eq!(split(between), ["a: 1\n", "\nb: 2\n"]);
    }

    #[test]
    fn a_byte_order_mark_is_no_content() {
        assert_eq!(split("\u{feff}---\na: 1\n---\n\u{feff}b: 2\n"), ["---\na: 1\n", "b: 2\n"]);
        assert!(split("\u{feff}").is_empty());
    }

    #[test]
    fn a_directive_belongs_to_its_document() {
        assert_eq!(split("%YAML 1.2\n---\na: 1"), ["%YAML 1.2\n---\na: 1"]);
        assert_eq!(split("a: 1\n...\n%YAML 1.2\n---\nb: 1"), ["a: 1\n", "\n%YAML 1.2\n---\nb: 1"]);
    }

    #[test]
    fn dashes_inside_a_line_or_a_longer_run_do_not_split() {
        assert_eq!(split("a: |\n  ---\n  b\n").len(), 1);
        assert_eq!(split("a: b\n----\n").len(), 1);
    }

    #[test]
    fn json_objects_need_nothing_between_them() {
        assert_eq!(
            split("{\"a\": 1}{\"b\": 2}\n {\"c\": 3}\n"),
            ["{\"a\": 1}", "{\"b\": 2}", "{\"c\": 3}"]
        );
        assert_eq!(split("{\"a\": 1}\n---\n{\"b\": 2}\n"), ["{\"a\": 1}", "{\"b\": 2}"]);
        assert_eq!(split("{\"a\": 1}\nb: 2\n"), ["{\"a\": 1}", "\nb: 2\n"]);
        assert_eq!(split("{a: 1}\n"), ["{a: 1}\n"]);
    }
}
