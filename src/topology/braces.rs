//! `${…}` where YAML ends a value at a brace: inside `{ }` and `[ ]`, or with a colon in its default.
//!
//! Before the parsers see the text, every character of a reference that YAML could take for its own
//! is put out of their sight, behind one that means nothing to them; what they read is put right again.

use std::borrow::Cow;
use std::collections::HashSet;

/// The private characters that stand in for ASCII: none of them is in anybody's topology.
const FIRST: u32 = 0xE000;
const LAST: u32 = FIRST + 0x7F;
/// How many bytes longer they are.
const LONGER: usize = 2;

/// A text whose references are hidden.
pub struct Hidden {
    pub text: String,
    /// Where in the hidden text a stand-in begins, in order.
    at: Vec<usize>,
}

/// `None` where there is nothing to hide.
pub fn hide(text: &str) -> Option<Hidden> {
    if !text.contains("${") || text.chars().any(is_stand_in) {
        return None;
    }
    let places = references(text);
    let mut hidden = Hidden { text: String::with_capacity(text.len()), at: Vec::new() };
    for (at, c) in text.char_indices() {
        if places.contains(&at) {
            hidden.at.push(hidden.text.len());
            hidden.text.extend(char::from_u32(FIRST + u32::from(c)));
        } else {
            hidden.text.push(c);
        }
    }
    (!hidden.at.is_empty()).then_some(hidden)
}

impl Hidden {
    /// Where in the original text something of the hidden one stands.
    pub fn original(&self, offset: usize) -> usize {
        offset - LONGER * self.at.partition_point(|at| *at < offset)
    }
}

/// What was written, from what a parser read.
pub fn shown(read: &str) -> Cow<'_, str> {
    if !read.chars().any(is_stand_in) {
        return Cow::Borrowed(read);
    }
    let original =
        |c: char| if is_stand_in(c) { char::from_u32(u32::from(c) - FIRST) } else { Some(c) };
    Cow::Owned(read.chars().filter_map(original).collect())
}

fn is_stand_in(c: char) -> bool {
    (FIRST..=LAST).contains(&u32::from(c))
}

/// Where the characters of references are that YAML has a meaning for.
fn references(text: &str) -> HashSet<usize> {
    let mut found = HashSet::new();
    let mut scalars = Scalars::default();
    let mut offset = 0;
    for line in text.split_inclusive('\n') {
        for (at, length) in scalars.plain(line) {
            let part = &line[at..at + length];
            for (start, reference) in references_of(part) {
                let special =
                    |(_, c): &(usize, char)| c.is_ascii_punctuation() && !matches!(c, '$' | '_');
                let specials = reference.char_indices().filter(special);
                found.extend(specials.map(|(inside, _)| offset + at + start + inside));
            }
        }
        offset += line.len();
    }
    found
}

/// Every `${…}` of a part of a line.
fn references_of(part: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut from = 0;
    std::iter::from_fn(move || {
        let start = from + part[from..].find("${")?;
        let end = start + part[start..].find('}')? + 1;
        from = end;
        Some((start, &part[start..end]))
    })
}

/// Keeps track of what is quoted, from line to line.
#[derive(Default)]
struct Scalars {
    /// The quote that is open.
    quote: Option<char>,
    /// How far in the text of a `|` or `>` has to be, while there is one.
    block: Option<usize>,
}

impl Scalars {
    /// The stretches of a line that are neither quoted nor a comment.
    fn plain(&mut self, line: &str) -> Vec<(usize, usize)> {
        let indent = line.len() - line.trim_start_matches(' ').len();
        if self.block.is_some_and(|least| indent >= least || line.trim().is_empty()) {
            return Vec::new();
        }
        self.block = None;
        let (mut plain, mut from) = (Vec::new(), 0);
        let mut rest = line.char_indices().peekable();
        let mut before = ' ';
        while let Some((at, c)) = rest.next() {
            match (self.quote, c) {
                (Some('"'), '\\') => drop(rest.next()),
                (Some(quote), c) if c == quote => {
                    let doubled = c == '\'' && rest.next_if(|(_, next)| *next == '\'').is_some();
                    if !doubled {
                        (self.quote, from) = (None, at + 1);
                    }
                }
                (None, '"' | '\'') if before.is_whitespace() || "[{,:".contains(before) => {
                    plain.push((from, at - from));
                    self.quote = Some(c);
                }
                (None, '#') if before.is_whitespace() => {
                    plain.push((from, at - from));
                    return plain;
                }
                (Some(_) | None, _) => {}
            }
            before = c;
        }
        if self.quote.is_none() {
            plain.push((from, line.len() - from));
            self.block = block_indent(line);
        }
        plain
    }
}

/// How far in the text below a line has to be, if the line ends in the header of a `|` or `>`.
fn block_indent(line: &str) -> Option<usize> {
    let line = line.split(" #").next().unwrap_or_default().trim_end();
    let header = line.trim_end_matches(|c: char| c.is_ascii_digit() || matches!(c, '+' | '-'));
    let begins = header.strip_suffix(['|', '>'])?;
    if !begins.ends_with([' ', ':', '-']) {
        return None;
    }
    // The dashes of list items count as indentation for the key that follows them.
    let key = begins.trim_start_matches([' ', '-']);
    let dashes = begins.len() - key.len();
    Some(if key.is_empty() { begins.rfind('-').unwrap_or(0) + 1 } else { dashes + 1 })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn hidden(text: &str) -> String {
        hide(text).map_or_else(
            || text.to_owned(),
            |hidden| hidden.text.chars().map(|c| if is_stand_in(c) { '~' } else { c }).collect(),
        )
    }

    #[test]
    fn only_what_is_plain_is_hidden() {
        for (text, wanted) in [
            ("a: { b: ${C:-d,e} }", "a: { b: $~C~~d~e~ }"),
            ("a: [${B}, \"${C}\", '${D}']", "a: [$~B~, \"${C}\", '${D}']"),
            ("a: ${B} # ${C}", "a: $~B~ # ${C}"),
            ("a: it's ${B}", "a: it's $~B~"),
            ("a: 'it''s ${B}'", "a: 'it''s ${B}'"),
            ("a: \"\\\"${B}\"", "a: \"\\\"${B}\""),
            ("a: \"x\n  ${B}\"\nc: ${D}", "a: \"x\n  ${B}\"\nc: $~D~"),
            ("a: |\n  \"${B}\n\n  x\nc: ${D}", "a: |\n  \"${B}\n\n  x\nc: $~D~"),
            ("- a: >-\n    \"${B}\n  c: ${D}", "- a: >-\n    \"${B}\n  c: $~D~"),
            ("- |\n  \"${B}\n- ${D}", "- |\n  \"${B}\n- $~D~"),
            ("a: $${B}", "a: $$~B~"),
            ("a: ${B", "a: ${B"),
        ] {
            assert_eq!(hidden(text), wanted, "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_hidden_comes_back_at_its_place(text in "[${}A:, \\[\\]\"'#|\n-]{0,40}") {
            if let Some(hidden) = hide(&text) {
                prop_assert_eq!(shown(&hidden.text), &*text);
                for (at, c) in hidden.text.char_indices() {
                    let original = text[hidden.original(at)..].chars().next();
                    let c = shown(c.encode_utf8(&mut [0; 4])).chars().next();
                    prop_assert_eq!(original, c);
                }
            }
        }
    }
}
