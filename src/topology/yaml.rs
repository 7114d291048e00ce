//! From bytes to values and their places, by two parsers: one for values, one for where they stand.

use std::collections::HashMap;

use granit_parser::ErrorKind;
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::Value;
use serde_saphyr::budget::BudgetBreach;
use serde_saphyr::options::{DuplicateKeyPolicy, MergeKeyPolicy, NonFiniteFloatPolicy};
use serde_saphyr::{Error, ExternalMessageSource, Location, Options, Spanned};

use super::braces::{self, Hidden};
use super::diagnostic::{Diagnostic, Place, Severity};
use super::places::{Entry, Mark, Node, Places, Shape, Style};

/// Larger files are refused unread: 100,000 forwards fit ten times over.
const MOST_BYTES: usize = 64 << 20;
const MOST_NODES: usize = 4_000_000;
/// A topology nests ten deep; raw kind configuration and variables a little more.
const DEEPEST: usize = 32;
/// Aliases may repeat this many values in all.
const MOST_REPEATED: usize = 20_000;

/// The text of a file, or what keeps it from being one.
pub fn text<'a>(file: &str, bytes: &'a [u8]) -> Result<&'a str, Box<Diagnostic>> {
    let at =
        |line, column, start| Place { file: file.to_owned(), line, column, span: start..start };
    let fault = |code, place, message: String| {
        Box::new(Diagnostic::new(Severity::Error, code, place, message))
    };
    if bytes.len() > MOST_BYTES {
        let message = format!(
            "the file is {} MiB; a topology is limited to {} MiB",
            bytes.len() >> 20,
            MOST_BYTES >> 20
        );
        return Err(fault("file-too-large", at(1, 1, 0), message));
    }
    if bytes.starts_with(&[0xFF, 0xFE]) || bytes.starts_with(&[0xFE, 0xFF]) {
        return Err(Box::new(
            fault("not-utf-8", at(1, 1, 0), "the file is UTF-16, not UTF-8".to_owned())
                .help("save it as UTF-8"),
        ));
    }
    std::str::from_utf8(bytes).map_err(|error| {
        let good = String::from_utf8_lossy(&bytes[..error.valid_up_to()]);
        let line = good.matches('\n').count() + 1;
        let column = good.rsplit('\n').next().map_or(0, |last| last.chars().count()) + 1;
        let message = format!("the file is not UTF-8: invalid byte {:#04x}", bytes[good.len()]);
        let place = at(number(line as u64), number(column as u64), good.len());
        Box::new(fault("not-utf-8", place, message).help("save the file as UTF-8"))
    })
}

/// What was read, with duplicate keys already found.
pub struct Document {
    pub value: Value,
    pub places: Places,
    pub faults: Vec<Diagnostic>,
}

/// Where the text as it stands is no YAML, it is read once more with its `${…}` hidden.
pub fn parse(file: &str, text: &str) -> Result<Document, Box<Diagnostic>> {
    parse_as(file, text, None).or_else(|fault| match braces::hide(text) {
        Some(hidden) => parse_as(file, text, Some(&hidden)),
        None => Err(fault),
    })
}

fn parse_as(file: &str, text: &str, hidden: Option<&Hidden>) -> Result<Document, Box<Diagnostic>> {
    let parsed = hidden.map_or(text, |hidden| &hidden.text);
    // The parser of values takes a byte order mark for a document of its own.
    let marked = parsed.strip_prefix('\u{feff}').unwrap_or(parsed);
    let values = || serde_yaml::from_str(marked);
    let locate = |duplicates| locate(parsed, duplicates).map(|root| build(root, text, hidden));
    let places = || locate(DuplicateKeyPolicy::Error);
    let (located, early) = if is_worth_both_at_once(text) {
        let (located, value) = rayon::join(places, values);
        (located, Some(value))
    } else {
        (places(), None)
    };
    let mut faults = Vec::new();
    let root = match located {
        Ok(root) => root,
        Err(error) if matches!(cause(&error), Error::DuplicateMappingKey { .. }) => {
            // Reading on finds what else is wrong; the last one wins, as it does for the values.
            let mut root = locate(DuplicateKeyPolicy::LastWins)
                .map_err(|error| Box::new(syntax(file, text, &error)))?;
            duplicates(file, &mut root, &mut faults);
            if faults.is_empty() {
                faults.push(syntax(file, text, &error));
            }
            root
        }
        Err(error) => return Err(Box::new(syntax(file, text, &error))),
    };
    let mut value =
        early.unwrap_or_else(values).map_err(|error| Box::new(undecoded(file, text, &error)))?;
    if hidden.is_some() {
        show(&mut value);
    }
    Ok(Document { value, places: Places { file: file.to_owned(), root }, faults })
}

/// Puts every reference that was hidden from the parser back into the values.
fn show(value: &mut Value) {
    match value {
        Value::String(text) => *text = braces::shown(text).into_owned(),
        Value::Array(items) => items.iter_mut().for_each(show),
        Value::Object(map) => {
            for (key, mut value) in std::mem::take(map) {
                show(&mut value);
                map.insert(braces::shown(&key).into_owned(), value);
            }
        }
        _ => {}
    }
}

/// Long, and with nothing that the parser of places would refuse and the other one takes minutes for:
/// aliases that repeat, and values inside of values. That one keeps to limits, so otherwise the values
/// wait for it.
fn is_worth_both_at_once(text: &str) -> bool {
    const LONG: usize = 64 << 10;
    // A value takes two bytes at least, its own and what parts it from the next.
    (LONG..=2 * MOST_NODES).contains(&text.len()) && !text.contains('*') && !may_nest_deeply(text)
}

/// Counts brackets wherever they are: some in text do no harm.
fn may_nest_deeply(text: &str) -> bool {
    let mut depth = 0_usize;
    text.bytes().any(|byte| {
        match byte {
            b'[' | b'{' => depth += 1,
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        depth > 10 * DEEPEST
    })
}

/// Reports every key that a map has twice, and keeps the last of each.
fn duplicates(file: &str, node: &mut Node, faults: &mut Vec<Diagnostic>) {
    match &mut node.shape {
        Shape::Scalar => {}
        Shape::List(items) => {
            for item in items {
                duplicates(file, item, faults);
            }
        }
        Shape::Map(entries) => {
            let mut last: HashMap<Box<str>, usize> = HashMap::new();
            for at in 0..entries.len() {
                let entry = &entries[at];
                if let Some(before) = last.insert(entry.key.clone(), at) {
                    let place = |mark: Mark| Place {
                        file: file.to_owned(),
                        line: mark.line,
                        column: mark.column,
                        span: mark.span(),
                    };
                    let message = format!("duplicate key `{}`", entry.key);
                    let fault = Diagnostic::new(
                        Severity::Error,
                        "duplicate-key",
                        place(entry.key_mark),
                        message,
                    );
                    faults.push(
                        fault
                            .help("keep one of them")
                            .related(place(entries[before].key_mark), "first defined here"),
                    );
                }
            }
            let mut at = 0..;
            entries.retain(|entry| at.next() == last.get(&entry.key).copied());
            for entry in entries {
                duplicates(file, &mut entry.value, faults);
            }
        }
    }
}

fn locate(text: &str, duplicates: DuplicateKeyPolicy) -> Result<Spanned<Tree>, Error> {
    serde_saphyr::from_str_with_options(text, options(duplicates))
}

fn options(duplicates: DuplicateKeyPolicy) -> Options {
    serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_depth: DEEPEST,
            max_nodes: MOST_NODES,
            max_events: 3 * MOST_NODES,
            max_total_scalar_bytes: MOST_BYTES,
            enforce_alias_anchor_ratio: false,
        },
        alias_limits: serde_saphyr::alias_limits! { max_total_replayed_events: MOST_REPEATED },
        duplicate_keys: duplicates,
        merge_keys: MergeKeyPolicy::Error,
        non_finite_float_policy: NonFiniteFloatPolicy::PassThrough,
        reject_unsupported_tags: true,
        strict_booleans: true,
        emit_comments: false,
        with_snippet: false,
    }
}

/// What the locating parser makes of a value: its shape, and nothing of its content.
enum Tree {
    Scalar,
    List(Vec<Spanned<Tree>>),
    Map(Vec<(Spanned<Box<str>>, Spanned<Tree>)>),
}

impl<'de> Deserialize<'de> for Tree {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TreeVisitor)
    }
}

struct TreeVisitor;

/// Every kind of scalar is the same here.
macro_rules! scalars {
    ($($method:ident: $type:ty),*) => {
        $(fn $method<E>(self, _: $type) -> Result<Tree, E> { Ok(Tree::Scalar) })*
    };
}

impl<'de> Visitor<'de> for TreeVisitor {
    type Value = Tree;

    fn expecting(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        f.write_str("a YAML value")
    }

    scalars!(
        visit_bool: bool, visit_i64: i64, visit_u64: u64, visit_i128: i128, visit_u128: u128,
        visit_f64: f64, visit_str: &str, visit_bytes: &[u8]
    );

    fn visit_unit<E>(self) -> Result<Tree, E> {
        Ok(Tree::Scalar)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Tree, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Tree::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Tree, A::Error> {
        let mut map = Vec::new();
        while let Some(entry) = entries.next_entry()? {
            map.push(entry);
        }
        Ok(Tree::Map(map))
    }
}

/// The places in `text` of what was parsed, which had its references hidden or was `text` itself.
fn build(tree: Spanned<Tree>, text: &str, hidden: Option<&Hidden>) -> Node {
    let mark = mark(tree.defined, hidden);
    let shape = match tree.value {
        Tree::Scalar => Shape::Scalar,
        Tree::List(items) => {
            Shape::List(items.into_iter().map(|item| build(item, text, hidden)).collect())
        }
        Tree::Map(entries) => Shape::Map(
            entries
                .into_iter()
                .map(|(key, value)| Entry {
                    key_mark: self::mark(key.defined, hidden),
                    key: match hidden {
                        Some(_) => braces::shown(&key.value).into(),
                        None => key.value,
                    },
                    value: build(value, text, hidden),
                })
                .collect(),
        ),
    };
    let style = if matches!(shape, Shape::Scalar) { style(text, mark) } else { Style::Plain };
    Node { mark, style, pruned: false, lost: Vec::new(), shape }
}

fn mark(location: Location, hidden: Option<&Hidden>) -> Mark {
    let span = location.span();
    let start = span.byte_offset().unwrap_or(0);
    let end = start.saturating_add(span.byte_len().unwrap_or(0));
    let original = |offset: u64| match (hidden, usize::try_from(offset)) {
        (Some(hidden), Ok(offset)) => hidden.original(offset) as u64,
        _ => offset,
    };
    Mark {
        line: number(location.line()),
        column: number(location.column()),
        start: number(original(start)),
        end: number(original(end)),
    }
}

fn number(value: u64) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}

fn style(text: &str, mark: Mark) -> Style {
    let start = mark.start as usize;
    if text[start..].starts_with(['"', '\'']) {
        Style::Quoted
    } else if is_block(&text[..start]) {
        Style::Block
    } else {
        Style::Plain
    }
}

/// Whether a scalar that begins after `before` is the text of a `|` or `>`: alone on its line, below a header.
fn is_block(before: &str) -> bool {
    let Some((above, indent)) = before.rsplit_once('\n') else { return false };
    if !indent.trim().is_empty() {
        return false;
    }
    let Some(line) = above.lines().rev().find(|line| !line.trim().is_empty()) else { return false };
    let header = line.split(" #").next().unwrap_or_default().trim_end();
    header
        .trim_end_matches(|c: char| c.is_ascii_digit() || matches!(c, '+' | '-'))
        .ends_with(['|', '>'])
}

/// A fault of the text itself, in this program's words where the parser's speak of its own settings.
fn syntax(file: &str, text: &str, error: &Error) -> Diagnostic {
    let place = error.location().map_or_else(
        || Place { file: file.to_owned(), line: 1, column: 1, span: 0..0 },
        |location| place_in(file, text, location.line(), location.column()),
    );
    let (code, message, help) = match cause(error) {
        Error::DuplicateMappingKey { .. } => {
            ("duplicate-key", "duplicate key".to_owned(), Some("keep one of them"))
        }
        Error::MultipleDocuments { .. } => (
            "several-documents",
            "a topology file has one document, and a second one begins here".to_owned(),
            Some("write each topology into a file of its own"),
        ),
        Error::MergeKeyNotAllowed { .. } => (
            "merge-key",
            "merge keys (`<<`) are not supported".to_owned(),
            Some("repeat a whole value with `&name` and `*name`, or write the keys out"),
        ),
        deep if is_too_deep(deep) => {
            ("too-much", format!("values are nested more than {DEEPEST} levels deep"), None)
        }
        Error::Budget { .. } => {
            ("too-much", format!("the file has more than {MOST_NODES} values"), None)
        }
        Error::AliasReplayLimitExceeded { .. }
        | Error::AliasReplayStackDepthExceeded { .. }
        | Error::AliasExpansionLimitExceeded { .. } => (
            "too-much",
            format!("aliases repeat more than {MOST_REPEATED} values"),
            Some("write some of them out instead of repeating them by `*name`"),
        ),
        Error::RecursiveReferencesRequireWeakTypes { .. } => {
            ("recursive-alias", "this alias refers to itself".to_owned(), None)
        }
        Error::NullIntoString { .. } => (
            "syntax",
            "a key is missing before `:`, or is `null`".to_owned(),
            Some("write the key's name, in quotes where it is `null` or `~`"),
        ),
        Error::Eof { .. } => ("syntax", "unexpected end of the file".to_owned(), None),
        Error::UnknownAnchor { .. } => (
            "syntax",
            "this alias refers to an anchor that is not defined before it".to_owned(),
            Some("define it with `&name`, or put the value in quotes if it begins with `*`"),
        ),
        Error::UnsupportedTag { tag, .. } => {
            ("syntax", format!("unsupported tag `{tag}`"), Some("remove the tag"))
        }
        Error::TaggedScalarCannotDeserializeIntoString { .. }
        | Error::BinaryNotUtf8 { .. }
        | Error::InvalidBinaryBase64 { .. } => {
            ("syntax", "tags are not supported here".to_owned(), Some("remove the tag"))
        }
        Error::Unexpected { expected: "string scalar", .. } => (
            "syntax",
            "a key must be text, found a list or a map".to_owned(),
            Some("put a key that begins with `[` or `{` in quotes"),
        ),
        _ => ("syntax", bare(error), syntax_help(text, place.line)),
    };
    let fault = Diagnostic::new(Severity::Error, code, place, message);
    match help {
        Some(help) => fault.help(help),
        None => fault,
    }
}

/// Found by counting values, or by the parser that looks far ahead for the end of a `[` or `{`.
fn is_too_deep(error: &Error) -> bool {
    match error {
        Error::Budget { breach: BudgetBreach::Depth { .. }, .. } => true,
        Error::ExternalMessage { source, .. } => {
            matches!(&**source, ExternalMessageSource::Parser(error)
                if *error.kind() == ErrorKind::RecursionLimitExceeded)
        }
        _ => false,
    }
}

/// What went wrong, however it was reached.
fn cause(error: &Error) -> &Error {
    match error.without_snippet() {
        Error::AliasError { error, .. } => cause(error),
        other => other,
    }
}

/// The mistakes that a line with a syntax error most often holds, or the line before it.
fn syntax_help(text: &str, line: u32) -> Option<&'static str> {
    let at = line.saturating_sub(1) as usize;
    let line = text.lines().nth(at)?;
    if line.contains("[::") || line.contains("]:") {
        return Some("put an IPv6 address with brackets in quotes: `\"[::1]:10021\"`");
    }
    if line.starts_with('\t') {
        return Some("indent with spaces, not tabs");
    }
    let before = text.lines().take(at).filter(|line| !line.trim().is_empty()).last();
    if before.into_iter().chain([line]).any(|line| glued(line).is_some()) {
        return Some("write a space after the colon: `name: dev`");
    }
    let is_plain =
        |value: &str| !value.trim_start().starts_with(['"', '\'', '[', '{', '|', '>', '&']);
    let value = line.split_once(": ").map(|(_, value)| value).filter(|value| is_plain(value));
    value
        .is_some_and(|value| value.contains(": "))
        .then_some("put a value that contains `: ` in quotes")
}

/// Key and value of a line that has no space after its colon, as in `name:dev`.
pub fn glued(line: &str) -> Option<(&str, &str)> {
    let (key, value) = line.trim().trim_start_matches("- ").split_once(':')?;
    let is_key = key.starts_with(|c: char| c.is_ascii_alphabetic())
        && key.chars().all(|c| c.is_ascii_alphanumeric());
    let is_value = !value.is_empty() && !value.starts_with([' ', '/']);
    (is_key && is_value).then_some((key, value))
}

/// The parser's message without the location it ends in.
fn bare(error: &Error) -> String {
    let message = cause(error).to_string();
    let end = message.rfind(" at line ").unwrap_or(message.len());
    message[..end].to_owned()
}

/// What the parser of values refuses although the locating one did not.
fn undecoded(file: &str, text: &str, error: &serde_yaml::Error) -> Diagnostic {
    let place = error.location().map_or_else(
        || Place { file: file.to_owned(), line: 1, column: 1, span: 0..0 },
        |location| place_in(file, text, location.line() as u64, location.column() as u64),
    );
    let message = error.to_string();
    let end = message.find(" at line ").unwrap_or(message.len());
    let fault = |message: &str| Diagnostic::new(Severity::Error, "syntax", place.clone(), message);
    // These come from the types that values are read into, and speak of them.
    match &message[..end] {
        typed if typed.contains("invalid type: enum") => {
            fault("tags are not supported here").help("remove the tag")
        }
        typed if typed.contains("string key") || typed.contains("expected a string") => {
            fault("a key must be text").help("put the key in quotes")
        }
        message => fault(message),
    }
}

fn place_in(file: &str, text: &str, line: u64, column: u64) -> Place {
    let (line, column) = (number(line).max(1), number(column).max(1));
    let start_of_line: usize =
        text.split_inclusive('\n').take(line as usize - 1).map(str::len).sum();
    let rest = &text[start_of_line.min(text.len())..];
    let start = start_of_line
        + rest
            .char_indices()
            .nth(column as usize - 1)
            .map_or(rest.trim_end().len(), |(offset, _)| offset);
    let end = text[start.min(text.len())..]
        .chars()
        .next()
        .map_or(start, |c| start + if c == '\n' { 0 } else { c.len_utf8() });
    Place { file: file.to_owned(), line, column, span: start..end }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_megabyte_of_brackets_is_refused_at_once() {
        for part in ["[", "{a: ", "- ", "? "] {
            let text = format!("name: dev\nvars: {{a: {}", part.repeat(1 << 20));
            let Err(fault) = parse("topo.yaml", &text) else { panic!("{part} is read") };
            assert_eq!(
                fault.code,
                if part.starts_with(['[', '{']) { "too-much" } else { "syntax" }
            );
        }
    }
}
