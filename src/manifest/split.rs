//! Where each document of a text begins and ends, without parsing it.

use std::ops::Range;

/// The documents of a YAML text. A line that starts with `---` or `...` ends one wherever it
/// stands: YAML allows it in no scalar. Directives and comments belong to what follows them.
pub fn documents(text: &str) -> Vec<Range<usize>> {
    let mut documents = Vec::new();
    let mut start = 0;
    for marker in markers(text) {
        if has_content(&text[start..marker]) {
            documents.push(start..marker);
            start = marker;
        }
        if text[marker..].starts_with("...") {
            start = marker + 3;
        }
    }
    if has_content(&text[start..]) {
        documents.push(start..text.len());
    }
    documents
}

fn markers(text: &str) -> impl Iterator<Item = usize> {
    let first = is_marker(text, 0).then_some(0);
    let inner = ["\n---", "\n..."].map(|marker| text.match_indices(marker));
    let [dashes, dots] = inner.map(|found| found.map(|(at, _)| at + 1));
    let mut dots = dots.peekable();
    let mut dashes = dashes.peekable();
    let merged = std::iter::from_fn(move || match (dashes.peek(), dots.peek()) {
        (Some(dash), Some(dot)) if dot < dash => dots.next(),
        (Some(_), _) => dashes.next(),
        (None, _) => dots.next(),
    });
    first.into_iter().chain(merged.filter(|at| is_marker(text, *at)))
}

fn is_marker(text: &str, at: usize) -> bool {
    let line = &text[at..];
    (line.starts_with("---") || line.starts_with("..."))
        && matches!(line.as_bytes().get(3), None | Some(b' ' | b'\t' | b'\r' | b'\n'))
}

fn has_content(text: &str) -> bool {
    text.lines().any(|line| {
        let line = line.trim_start_matches('\u{feff}');
        let line = if is_marker(line, 0) { &line[3..] } else { line };
        let line = line.trim();
        !line.is_empty() && !line.starts_with(['#', '%'])
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(text: &str) -> Vec<&str> {
        documents(text).into_iter().map(|range| &text[range]).collect()
    }

    #[test]
    fn documents_end_where_the_next_begins() {
        assert_eq!(split("a: 1\n---\nb: 2\n"), ["a: 1\n", "---\nb: 2\n"]);
        assert_eq!(split("---\na: 1\n"), ["---\na: 1\n"]);
        assert_eq!(split("a: 1\r\n--- # next\r\nb: 2"), ["a: 1\r\n", "--- # next\r\nb: 2"]);
        assert_eq!(split("a: 1\n...\nb: 2"), ["a: 1\n", "\nb: 2"]);
    }

    #[test]
    fn what_holds_nothing_is_no_document() {
        assert!(split("").is_empty());
        assert!(split("---\n# only a comment\n---\n\n---").is_empty());
        assert_eq!(split("# head\n---\na: 1\n---\n"), ["# head\n---\na: 1\n"]);
    }

    #[test]
    fn a_directive_belongs_to_its_document() {
        assert_eq!(split("%YAML 1.2\n---\na: 1"), ["%YAML 1.2\n---\na: 1"]);
    }

    #[test]
    fn dashes_inside_a_line_or_a_longer_run_do_not_split() {
        assert_eq!(split("a: |\n  ---\n  b\n").len(), 1);
        assert_eq!(split("a: b\n----\n").len(), 1);
    }
}
