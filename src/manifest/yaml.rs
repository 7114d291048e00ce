//! One YAML document, as Kubernetes' readers understand it, into canonical JSON: the parser's events
//! are written as they come.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};

use granit_parser::{ErrorKind, Event, Parser, ScalarStyle, ScanError, Span, StrInput, Tag};
use serde_json::value::RawValue;

use super::canon::{self, Map};
use super::scalar::Scalar;

/// Far deeper than any kind of object; what goes through a thousand layers is a mistake or an attack.
const DEEPEST: usize = 100;
/// Aliases may repeat this much JSON in one document: more than a cluster takes in one object.
const MOST_REPEATED: usize = 16 << 20;

/// What is wrong in a document, and at which byte of it.
#[derive(Debug)]
pub struct Flaw {
    pub offset: usize,
    pub message: String,
    pub hint: Option<&'static str>,
}

/// Writes the one document of `text` to the end of `json`; `null` where there is none.
pub fn canonical(text: &str, json: &mut Vec<u8>) -> Result<(), Flaw> {
    let options = granit_parser::options! {
        emit_comments: false,
        flow_nesting_limit: DEEPEST,
        block_nesting_limit: DEEPEST,
    };
    let mut reader = Reader {
        text,
        events: Parser::new_from_str_with_options(text, options),
        json,
        anchors: HashMap::new(),
        repeated: 0,
        depth: 0,
    };
    reader.document()
}

struct Reader<'t, 'b> {
    text: &'t str,
    events: Parser<'t, StrInput<'t>>,
    json: &'b mut Vec<u8>,
    anchors: HashMap<usize, Anchor<'t>>,
    repeated: usize,
    depth: usize,
}

/// What an alias repeats.
struct Anchor<'t> {
    json: Vec<u8>,
    /// Only these may be keys.
    scalar: Option<Scalar<'t>>,
}

impl<'t> Reader<'t, '_> {
    fn document(&mut self) -> Result<(), Flaw> {
        let mut is_written = false;
        loop {
            match self.next()? {
                (Event::StreamEnd, _) => break,
                (Event::StreamStart | Event::DocumentStart(..) | Event::DocumentEnd, _) => {}
                (_, span) if is_written => {
                    return Err(flaw(span, "a second document begins here")
                        .hint("write a line with `---` before it"));
                }
                (event, span) => {
                    self.node(event, span)?;
                    is_written = true;
                }
            }
        }
        if !is_written {
            canon::value(self.json, &());
        }
        Ok(())
    }

    fn next(&mut self) -> Result<(Event<'t>, Span), Flaw> {
        let event = self.events.next().unwrap_or_else(|| Ok((Event::StreamEnd, Span::default())));
        event.map_err(|error| unreadable(self.text, &error))
    }

    fn node(&mut self, event: Event<'t>, span: Span) -> Result<(), Flaw> {
        let start = self.json.len();
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let scalar = scalar(text, style, tag.as_deref(), span)?;
                self.write(&scalar, span)?;
                self.keep(anchor, start, Some(scalar), span)
            }
            Event::SequenceStart(_, anchor, _) => {
                self.nested(span, Self::list)?;
                self.keep(anchor, start, None, span)
            }
            Event::MappingStart(_, anchor, _) => {
                self.nested(span, Self::map)?;
                self.keep(anchor, start, None, span)
            }
            Event::Alias(anchor) => {
                let repeated = self.anchor(anchor, span)?.json.len();
                self.count(repeated, span)?;
                self.json.extend_from_slice(&self.anchors[&anchor].json);
                Ok(())
            }
            _ => Err(flaw(span, "a value is missing here")),
        }
    }

    fn nested(
        &mut self,
        span: Span,
        inner: impl FnOnce(&mut Self) -> Result<(), Flaw>,
    ) -> Result<(), Flaw> {
        if self.depth == DEEPEST {
            return Err(too_deep(span));
        }
        self.depth += 1;
        inner(self)?;
        self.depth -= 1;
        Ok(())
    }

    fn list(&mut self) -> Result<(), Flaw> {
        self.json.push(b'[');
        loop {
            let (event, span) = self.next()?;
            if event == Event::SequenceEnd {
                break;
            }
            canon::item(self.json);
            self.node(event, span)?;
        }
        self.json.push(b']');
        Ok(())
    }

    fn map(&mut self) -> Result<(), Flaw> {
        let mut map = Map::open(self.json);
        loop {
            let (event, span) = self.next()?;
            if event == Event::MappingEnd {
                break;
            }
            if is_merge(&event) {
                self.merge(&mut map)?;
                continue;
            }
            let key = self.key(event, span)?;
            map.key(self.json, &key);
            let (event, span) = self.next()?;
            self.node(event, span)?;
        }
        map.close(self.json);
        Ok(())
    }

    fn key(&mut self, event: Event<'t>, span: Span) -> Result<Cow<'t, str>, Flaw> {
        let scalar = match event {
            Event::Scalar(text, style, anchor, tag) => {
                let scalar = scalar(text, style, tag.as_deref(), span)?;
                if anchor != 0 {
                    let start = self.json.len();
                    self.write(&scalar, span)?;
                    self.keep(anchor, start, Some(scalar.clone()), span)?;
                    self.json.truncate(start);
                }
                Some(scalar)
            }
            Event::Alias(anchor) => self.anchor(anchor, span)?.scalar.clone(),
            _ => None,
        };
        scalar.and_then(Scalar::into_key).ok_or_else(|| {
            flaw(span, "this cannot be a key: Kubernetes' keys are text").hint("quote the key")
        })
    }

    /// `<<: *base` sets the keys of `base` here: they go over those before it, as those after it go
    /// over them.
    fn merge(&mut self, map: &mut Map) -> Result<(), Flaw> {
        let (event, span) = self.next()?;
        let start = self.json.len();
        self.node(event, span)?;
        let merged = self.json.split_off(start);
        let bases: Vec<&RawValue> = match merged.first() {
            Some(b'[') => serde_json::from_slice(&merged).unwrap_or_default(),
            _ => serde_json::from_slice(&merged).into_iter().collect(),
        };
        // The first of several goes over the others.
        for base in bases.iter().rev() {
            let Ok(entries) = serde_json::from_str::<BTreeMap<Cow<str>, &RawValue>>(base.get())
            else {
                return Err(flaw(span, "only a map, or a list of maps, can be merged by `<<`"));
            };
            for (key, value) in entries {
                map.key(self.json, &key);
                self.json.extend_from_slice(value.get().as_bytes());
            }
        }
        Ok(())
    }

    fn write(&mut self, scalar: &Scalar, span: Span) -> Result<(), Flaw> {
        match scalar {
            Scalar::Null => canon::value(self.json, &()),
            Scalar::Bool(truth) => canon::value(self.json, truth),
            Scalar::Int(number) => canon::value(self.json, number),
            Scalar::Large(number) => canon::large(self.json, *number),
            Scalar::Float(number) if number.is_finite() => canon::float(self.json, *number),
            Scalar::Float(_) => {
                return Err(
                    flaw(span, "Kubernetes' API has no infinite numbers").hint("quote the value")
                );
            }
            Scalar::Text(text) => canon::value(self.json, text),
        }
        Ok(())
    }

    fn keep(
        &mut self,
        anchor: usize,
        start: usize,
        scalar: Option<Scalar<'t>>,
        span: Span,
    ) -> Result<(), Flaw> {
        if anchor != 0 {
            self.count(self.json.len() - start, span)?;
            self.anchors.insert(anchor, Anchor { json: self.json[start..].to_vec(), scalar });
        }
        Ok(())
    }

    fn anchor(&self, anchor: usize, span: Span) -> Result<&Anchor<'t>, Flaw> {
        self.anchors.get(&anchor).ok_or_else(|| flaw(span, "this alias refers to itself"))
    }

    fn count(&mut self, repeated: usize, span: Span) -> Result<(), Flaw> {
        self.repeated += repeated;
        if self.repeated <= MOST_REPEATED {
            return Ok(());
        }
        let message = format!("aliases repeat more than {} MiB", MOST_REPEATED >> 20);
        Err(flaw(span, message).hint("repeat less by `*name`"))
    }
}

fn scalar<'t>(
    text: Cow<'t, str>,
    style: ScalarStyle,
    tag: Option<&Tag>,
    span: Span,
) -> Result<Scalar<'t>, Flaw> {
    // The parser says `~` for a value that was left out.
    let text = if style == ScalarStyle::Plain && span.is_empty() { "".into() } else { text };
    match tag {
        None if style == ScalarStyle::Plain => Ok(Scalar::plain(text)),
        None => Ok(Scalar::Text(text)),
        Some(tag) => match tag.suffix_in_namespace(YAML) {
            Some(name) => Scalar::tagged(&name, text).map_err(|message| flaw(span, message)),
            None => Ok(Scalar::Text(text)),
        },
    }
}

/// Where the tags live that are written as `!!name`.
const YAML: &str = "tag:yaml.org,2002:";

fn is_merge(key: &Event) -> bool {
    let Event::Scalar(text, style, _, tag) = key else { return false };
    text == "<<"
        && match tag {
            None => *style == ScalarStyle::Plain,
            Some(tag) => tag.suffix_in_namespace(YAML).is_some_and(|name| name == "merge"),
        }
}

fn flaw(span: Span, message: impl Into<String>) -> Flaw {
    Flaw { offset: span.start.byte_offset().unwrap_or(0), message: message.into(), hint: None }
}

fn too_deep(span: Span) -> Flaw {
    flaw(span, format!("values are nested more than {DEEPEST} deep here"))
}

fn unreadable(text: &str, error: &ScanError) -> Flaw {
    let at = Span::empty(*error.marker());
    if *error.kind() == ErrorKind::RecursionLimitExceeded {
        return too_deep(at);
    }
    let flaw = flaw(at, error.info());
    let line = text[..flaw.offset].rfind('\n').map_or(0, |end| end + 1);
    if text[line..].starts_with('\t') { flaw.hint("indent with spaces, not tabs") } else { flaw }
}

impl Flaw {
    fn hint(mut self, hint: &'static str) -> Self {
        self.hint = Some(hint);
        self
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    fn read(text: &str) -> Result<Value, Flaw> {
        let mut json = Vec::new();
        canonical(text, &mut json)?;
        Ok(serde_json::from_slice(&json).expect("canonical JSON"))
    }

    /// `1e19` and `10000000000000000000` are the same to Kubernetes.
    fn as_kubernetes_keeps_it(value: Value) -> Value {
        match value {
            Value::Number(number) if number.is_i64() => number.into(),
            Value::Number(number) => number.as_f64().into(),
            Value::Array(items) => items.into_iter().map(as_kubernetes_keeps_it).collect(),
            Value::Object(fields) => fields
                .into_iter()
                .map(|(key, value)| (key, as_kubernetes_keeps_it(value)))
                .collect(),
            other => other,
        }
    }

    #[test]
    fn every_text_is_what_kubernetes_makes_of_it() {
        let table = include_str!("../../tests/manifests/kubernetes.jsonl");
        let rows = table.lines().filter(|line| !line.starts_with('#'));
        let differs = |row: &str| {
            let row: Value = serde_json::from_str(row).expect("a row");
            let text = row["text"].as_str().expect("a text");
            let expected = row.get("json").cloned().map(as_kubernetes_keeps_it);
            let read = read(text).map(as_kubernetes_keeps_it);
            let is_same = match (&read, &expected) {
                (Ok(read), Some(expected)) => read == expected,
                (Err(_), None) => true,
                _ => false,
            };
            (!is_same).then(|| format!("{text:?}: {read:?}, and {row} to Kubernetes"))
        };
        let differences: Vec<String> = rows.filter_map(differs).collect();
        assert!(differences.is_empty(), "{}", differences.join("\n"));
    }

    #[test]
    fn aliases_and_nesting_are_bounded() {
        let mut bomb = "a0: &a0 [x,x,x,x,x,x,x,x,x]\n".to_owned();
        for n in 1..12 {
            let before = format!("*a{},", n - 1).repeat(9);
            let _ = writeln!(bomb, "a{n}: &a{n} [{}]", before.trim_end_matches(','));
        }
        assert_eq!(read(&bomb).expect_err("a bomb").message, "aliases repeat more than 16 MiB");

        let long = 1 << 20;
        for text in ["[".repeat(long), "{a: ".repeat(long), "- ".repeat(long)] {
            let flaw = read(&text).expect_err("too deep");
            assert_eq!(flaw.message, "values are nested more than 100 deep here", "{text:.8}");
        }
        let deep = |levels| format!("{}1{}", "[".repeat(levels), "]".repeat(levels));
        assert!(read(&deep(DEEPEST)).is_ok());
        assert!(read(&deep(DEEPEST + 1)).is_err());
    }

    #[test]
    fn a_flaw_says_where_it_is() {
        let at = |text: &str| read(text).expect_err("a flaw").offset;
        assert_eq!(at("a: 1\nb: !!int x\n"), 14);
        assert_eq!(at("a: 1\nb: .inf\n"), 8);
        assert_eq!(at("a: 1\n[b]: 1\n"), 5);
        let tab = read("a:\n\tb: 1\n").expect_err("a tab");
        assert_eq!((tab.hint, tab.offset >= 3), (Some("indent with spaces, not tabs"), true));
    }

    proptest! {
        /// JSON is YAML, whatever is in it.
        #[test]
        fn json_reads_the_same_by_both_ways(value in any_json()) {
            let read = read(&value.to_string()).map_err(|flaw| TestCaseError::fail(flaw.message))?;
            prop_assert_eq!(as_kubernetes_keeps_it(read), as_kubernetes_keeps_it(value));
        }

        #[test]
        fn no_text_breaks_the_reader(text in "[-a1~&*!<>|'\"%@:,.?#{}\\[\\] \t\n\r]{0,60}") {
            let _ = read(&text);
        }
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let scalar = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            "[ -~\n\té日]{0,12}".prop_map(Value::from),
        ];
        scalar.prop_recursive(4, 24, 5, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
                prop::collection::btree_map("[ -~]{0,8}", inner, 0..5)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }
}
