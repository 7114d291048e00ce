//! The schema, walked over the values and their places together: every wrong shape is found in one go.
//!
//! What is wrong is left out of both, so that whatever is right can be decoded and looked at further.

use std::cmp::Ordering;
use std::collections::{HashMap, HashSet};
use std::sync::LazyLock;

use serde_json::{Map, Value};

use super::diagnostic::{Diagnostic, Severity};
use super::interpolate::{UNQUOTE, bare, typed};
use super::places::{Entry, Mark, Node, Places, Shape, Style};
use super::sensitive::MASK;
use super::text::{Malformed, Text};
use super::{gateway, image_ref, manifest, metallb, name, nearest, port, share, shorthand};

/// More would not be read, and a file of nothing but faults should not take long.
const MOST_FAULTS: usize = 1000;

/// Prunes `value` and `places` to what the schema allows, and says what it left out and why.
pub fn prune(
    schema: &Value,
    text: &str,
    value: &mut Value,
    places: &mut Places,
    faults: &mut Vec<Diagnostic>,
) {
    let mut root = std::mem::replace(
        &mut places.root,
        Node {
            mark: Mark::default(),
            style: Style::Plain,
            pruned: false,
            lost: Vec::new(),
            shape: Shape::Scalar,
        },
    );
    let at = root.visible();
    Walk { definitions: &schema["$defs"], text, places, faults }
        .visit(schema, value, &mut root, at);
    places.root = root;
}

struct Walk<'a> {
    definitions: &'a Value,
    text: &'a str,
    places: &'a Places,
    faults: &'a mut Vec<Diagnostic>,
}

impl<'a> Walk<'a> {
    /// Whether the value may stay; `at` is what to point at for it.
    fn visit(&mut self, schema: &'a Value, value: &mut Value, node: &mut Node, at: Mark) -> bool {
        if matches!(node.shape, Shape::Scalar) && node.pruned {
            return false;
        }
        let definition = definition(schema);
        let schema = self.resolved(schema);
        if node.style == Style::Secret {
            return self.secret(schema, at);
        }
        if takes_secrets(schema) && types(schema).next().is_none() {
            freely(value, node);
            return true;
        }
        if let Some(branches) = schema.get("anyOf").and_then(Value::as_array) {
            return self.any_of(branches, value, node, at);
        }
        if let Some(words) = words(schema) {
            return self.word(&words, value, node, at);
        }
        coerce(schema, value, node);
        if !accepts(schema, value) {
            let help = self.instead(definition, schema, value, node);
            self.wrong_type(&types(schema).collect::<Vec<_>>(), value, node, at, help);
            return false;
        }
        match value {
            Value::Object(map) => self.map(schema, map, node, at),
            Value::Array(items) => self.list(schema, items, node, at),
            _ => self.scalar(schema, value, node, at),
        }
    }

    /// What is not made to hold secrets would show them.
    fn secret(&mut self, schema: &Value, at: Mark) -> bool {
        let may_stay = takes_secrets(schema) && accepts(schema, &MASK.into());
        if !may_stay {
            let message = "a sensitive variable cannot be used here: its value would be visible";
            let place = self.places.at(at);
            self.push(
                Diagnostic::new(Severity::Error, "sensitive-value", place, message)
                    .help("sensitive variables can be used in `vars`, in `values` of a chart, in `args` of an image and in `cluster.kindConfig`"),
            );
        }
        may_stay
    }

    fn resolved(&self, mut schema: &'a Value) -> &'a Value {
        while let Some(name) = definition(schema) {
            schema = &self.definitions[name];
        }
        schema
    }

    fn any_of(
        &mut self,
        branches: &'a [Value],
        value: &mut Value,
        node: &mut Node,
        at: Mark,
    ) -> bool {
        if let Some(branch) = branches
            .iter()
            .map(|branch| self.resolved(branch))
            .find(|branch| accepts(branch, value))
        {
            return self.visit(branch, value, node, at);
        }
        let branches: Vec<&Value> = branches.iter().map(|branch| self.resolved(branch)).collect();
        let wanted: Vec<&str> = branches.iter().flat_map(|branch| types(branch)).collect();
        let scalar = branches.iter().find(|branch| types(branch).any(|name| name == "string"));
        let help = scalar.and_then(|schema| self.instead(None, schema, value, node));
        self.wrong_type(&wanted, value, node, at, help);
        false
    }

    fn word(&mut self, words: &[&str], value: &Value, node: &Node, at: Mark) -> bool {
        let seen = self.raw(value, node);
        if value.as_str().is_some_and(|word| words.contains(&word)) {
            return true;
        }
        let help = match (words, bare(&seen)) {
            (_, Some(name)) => format!("`${{{name}}}` to fill in a variable"),
            ([only], _) => format!("`{only}`"),
            _ => nearest::or_all(&seen, words),
        };
        let message = match value {
            Value::Array(_) | Value::Object(_) | Value::Null => {
                format!("expected {}, found {}", nearest::list(words), kind_of(value))
            }
            _ => format!("unknown value `{seen}`"),
        };
        let place = self.places.at(at);
        let fault = Diagnostic::new(Severity::Error, "unknown-value", place, message).write(help);
        self.push(if seen.is_empty() { fault } else { fault.seen(seen) });
        false
    }

    fn scalar(&mut self, schema: &'a Value, value: &Value, node: &Node, at: Mark) -> bool {
        let seen = self.raw(value, node);
        let malformed = match format_of(schema) {
            Some(check) => check(&seen).err(),
            None => bounds(schema, value),
        };
        let Some(malformed) = malformed else { return true };
        let mut fault =
            Diagnostic::new(Severity::Error, code_of(schema), self.places.at(at), malformed.what)
                .seen(seen.clone());
        if node.style == Style::Quoted && seen.contains("${") {
            fault = fault.help(UNQUOTE);
        } else if let (Style::Plain, Some(name)) = (node.style, bare(&seen)) {
            fault = fault.write(format!("`${{{name}}}` to fill in a variable"));
        } else if let Some(instead) = malformed.instead {
            fault = fault.write(instead);
        }
        self.push(fault);
        false
    }

    fn list(
        &mut self,
        schema: &'a Value,
        items: &mut Vec<Value>,
        node: &mut Node,
        at: Mark,
    ) -> bool {
        if let Some(fewest) = schema.get("minItems").and_then(Value::as_u64)
            && (items.len() as u64) < fewest
        {
            self.fault("empty-list", at, "the list must not be empty".to_owned());
            return false;
        }
        let Some(each) = schema.get("items") else { return true };
        let Shape::List(nodes) = &mut node.shape else { return true };
        let mut kept = Vec::with_capacity(items.len());
        for (mut item, mut place) in items.drain(..).zip(nodes.drain(..)) {
            let at = place.visible();
            if self.visit(each, &mut item, &mut place, at) {
                kept.push((item, place));
            } else {
                node.pruned = true;
            }
        }
        (*items, *nodes) = kept.into_iter().unzip();
        true
    }

    fn map(
        &mut self,
        schema: &'a Value,
        map: &mut Map<String, Value>,
        node: &mut Node,
        at: Mark,
    ) -> bool {
        let whole = self.required(schema, map, at)
            & self.dependent(schema, map, node)
            & self.one_of(schema, map, node, at);
        self.excluded(schema, map, node);
        let Some(known) = schema.get("properties").and_then(Value::as_object) else {
            return self.open_map(schema, map, node) && whole;
        };
        let mut lost = HashSet::new();
        let mut entries = entries_of(node, map);
        for (key, value, entry) in &mut entries {
            let right = if let Some(schema) = known.get(key.as_str()) {
                let at = at_value(entry);
                self.visit(schema, value, &mut entry.value, at)
            } else {
                node.lost.extend(self.unknown_key(known, entry).map(Box::from));
                false
            };
            if !right {
                lost.insert(key.clone());
            }
        }
        node.pruned |= !lost.is_empty();
        node.lost.extend(lost.iter().map(|key| key.as_str().into()));
        let needed = |key: &String| {
            strings(schema.get("required")).any(|required| required == key)
                || is_choice(schema, key)
        };
        let whole = whole && !lost.iter().any(needed);
        put_back(node, map, entries, &lost);
        whole
    }

    /// A map whose keys are the user's own.
    fn open_map(
        &mut self,
        schema: &'a Value,
        map: &mut Map<String, Value>,
        node: &mut Node,
    ) -> bool {
        let each = schema.get("additionalProperties").filter(|each| each.is_object());
        let mut lost = HashSet::new();
        let mut entries = entries_of(node, map);
        for (key, value, entry) in &mut entries {
            match each {
                Some(each) => {
                    let at = at_value(entry);
                    if !self.visit(each, value, &mut entry.value, at) {
                        lost.insert(key.clone());
                    }
                }
                None => freely(value, &mut entry.value),
            }
        }
        node.pruned |= !lost.is_empty();
        put_back(node, map, entries, &lost);
        true
    }

    fn required(&mut self, schema: &Value, map: &Map<String, Value>, at: Mark) -> bool {
        let missing: Vec<&str> =
            strings(schema.get("required")).filter(|key| !map.contains_key(*key)).collect();
        for key in missing.iter().filter(|key| !misspelt(schema, map, key)) {
            self.fault("missing-key", at, format!("missing key `{key}`"));
        }
        missing.is_empty()
    }

    /// Keys that rule others out. The map can still be decoded, so that more can be said of it.
    fn excluded(&mut self, schema: &Value, map: &Map<String, Value>, node: &Node) {
        for (key, beside) in
            schema.get("dependentSchemas").and_then(Value::as_object).into_iter().flatten()
        {
            let others = beside.get("properties").and_then(Value::as_object).into_iter().flatten();
            for (other, _) in
                others.filter(|(other, _)| map.contains_key(key) && map.contains_key(*other))
            {
                self.exclusive(other, key, node);
            }
        }
    }

    fn exclusive(&mut self, key: &str, other: &str, node: &Node) {
        let (place, related) =
            (self.places.at(key_mark(node, key)), self.places.at(key_mark(node, other)));
        let message = format!("`{key}` and `{other}` cannot be used together");
        self.push(
            Diagnostic::new(Severity::Error, "exclusive-keys", place, message)
                .help("remove one of them")
                .related(related, "the other key"),
        );
    }

    fn dependent(&mut self, schema: &Value, map: &Map<String, Value>, node: &Node) -> bool {
        let mut right = true;
        for (key, needs) in
            schema.get("dependentRequired").and_then(Value::as_object).into_iter().flatten()
        {
            for need in strings(Some(needs))
                .filter(|need| map.contains_key(key) && !map.contains_key(*need))
            {
                self.fault(
                    "missing-key",
                    key_mark(node, key),
                    format!("`{key}` requires `{need}`"),
                );
                right = false;
            }
        }
        right
    }

    /// Keys of which a map has exactly one, each with what goes with it.
    fn one_of(
        &mut self,
        schema: &'a Value,
        map: &mut Map<String, Value>,
        node: &mut Node,
        at: Mark,
    ) -> bool {
        let Some(choices) = schema.get("oneOf").and_then(Value::as_array) else { return true };
        let named: Vec<(&str, &'a Value)> = choices
            .iter()
            .filter_map(|choice| Some((strings(choice.get("required")).next()?, choice)))
            .collect();
        let written: Vec<&(&str, &'a Value)> =
            named.iter().filter(|(key, _)| map.contains_key(*key)).collect();
        match written.as_slice() {
            [] => {
                let keys: Vec<&str> = named.iter().map(|(key, _)| *key).collect();
                if !keys.iter().any(|key| misspelt(schema, map, key)) {
                    let missing = format!("missing key: expected one of {}", nearest::list(&keys));
                    self.fault("missing-key", at, missing);
                }
                false
            }
            [(key, choice)] => self.chosen(schema, key, choice, map, node, at),
            [(first, _), rest @ ..] => {
                for (key, _) in rest {
                    self.exclusive(key, first, node);
                }
                false
            }
        }
    }

    fn chosen(
        &mut self,
        whole: &Value,
        key: &str,
        choice: &'a Value,
        map: &mut Map<String, Value>,
        node: &mut Node,
        at: Mark,
    ) -> bool {
        let mut right = true;
        for also in strings(choice.get("required")).filter(|also| !map.contains_key(*also)) {
            if !misspelt(whole, map, also) {
                self.fault("missing-key", at, format!("`{key}` requires `{also}`"));
            }
            right = false;
        }
        for (other, schema) in
            choice.get("properties").and_then(Value::as_object).into_iter().flatten()
        {
            let Some(value) = map.get_mut(other) else { continue };
            if schema == &Value::Bool(false) {
                self.exclusive(other, key, node);
                right = false;
            } else if let Some(index) = node.entry_index(other, 0)
                && let Shape::Map(entries) = &mut node.shape
            {
                let at = at_value(&entries[index]);
                right &= self.visit(schema, value, &mut entries[index].value, at);
            }
        }
        right
    }

    /// Reports it, and answers the key that was most likely meant.
    fn unknown_key<'k>(&mut self, known: &'k Map<String, Value>, entry: &Entry) -> Option<&'k str> {
        if self.faults.len() > MOST_FAULTS {
            return None;
        }
        let keys: Vec<&'k str> = known.keys().map(String::as_str).collect();
        let glued = entry.key.split_once(':').filter(|(key, _)| keys.contains(key));
        let meant = match glued {
            Some((key, _)) => keys.iter().copied().find(|known| *known == key),
            None => nearest::to(&entry.key, keys.iter().copied()),
        };
        let help = match (glued, meant) {
            (Some((key, value)), _) => {
                format!("write `{key}: {value}`, with a space after the colon")
            }
            (None, Some(key)) => format!("write `{key}`"),
            (None, None) => format!("valid keys are {}", nearest::list(&keys)),
        };
        let message = format!("unknown key `{}`", entry.key);
        let place = self.places.at(entry.key_mark);
        self.push(Diagnostic::new(Severity::Error, "unknown-key", place, message).help(help));
        meant
    }

    fn wrong_type(
        &mut self,
        wanted: &[&str],
        value: &Value,
        node: &Node,
        at: Mark,
        help: Option<String>,
    ) {
        let wanted: Vec<&str> = wanted.iter().map(|name| in_words(name)).collect();
        let message = format!("expected {}, found {}", wanted.join(" or "), kind_of(value));
        let fault = Diagnostic::new(Severity::Error, "wrong-type", self.places.at(at), message);
        let fault = match help {
            Some(help) => fault.write(help),
            None => fault,
        };
        let raw = self.raw(value, node);
        self.push(if raw.is_empty() { fault } else { fault.seen(raw) });
    }

    /// What to write in place of a value of the wrong type.
    fn instead(
        &self,
        definition: Option<&str>,
        schema: &Value,
        value: &Value,
        node: &Node,
    ) -> Option<String> {
        let wants = |name| types(schema).any(|wanted| wanted == name);
        let raw = self.raw(value, node);
        match value {
            Value::Null | Value::Bool(true) if wants("object") => {
                Some("`{}` for the defaults, or leave the key out".to_owned())
            }
            Value::Null => Some("a value, or leave the key out".to_owned()),
            Value::Object(_) if wants("array") => {
                Some("a list: `- ` before the first key".to_owned())
            }
            Value::Array(_) if wants("object") => Some("its keys without `- `".to_owned()),
            Value::Array(_) | Value::Object(_) => None,
            Value::String(text) if node.style == Style::Quoted && text.contains("${") => Some(
                "the variable without quotes: variables are filled into plain values only"
                    .to_owned(),
            ),
            Value::String(text) if node.style == Style::Plain && bare(text).is_some() => {
                bare(text).map(|name| format!("`${{{name}}}` to fill in a variable"))
            }
            _ if wants("object") => shorthand::map(definition?, &raw).map(|map| format!("`{map}`")),
            _ if wants("array") => as_list(schema, value, &raw),
            Value::Number(_) | Value::Bool(_) if wants("string") => match format_of(schema) {
                Some(check) => match check(&raw) {
                    Ok(()) => Some(format!("`\"{raw}\"`, in quotes")),
                    Err(malformed) => malformed.instead,
                },
                None => Some(format!("`\"{raw}\"`, in quotes")),
            },
            Value::String(text) if typed(text).is_some_and(|value| accepts(schema, &value)) => {
                Some(format!("`{text}`, without quotes"))
            }
            Value::String(text) if wants("boolean") => Some(match text.to_lowercase().as_str() {
                "yes" | "on" | "y" => "`true`".to_owned(),
                "no" | "off" | "n" => "`false`".to_owned(),
                _ => "`true` or `false`".to_owned(),
            }),
            Value::String(_) if wants("integer") => Some("digits, such as `2`".to_owned()),
            _ => None,
        }
    }

    /// A scalar as it is written, so that `0x10` is not taken for 16.
    fn raw(&self, value: &Value, node: &Node) -> String {
        match value {
            Value::String(text) => text.clone(),
            Value::Null | Value::Array(_) | Value::Object(_) => String::new(),
            other if node.style == Style::Plain => self
                .text
                .get(node.mark.span())
                .filter(|raw| !raw.is_empty())
                .map_or_else(|| other.to_string(), str::to_owned),
            other => other.to_string(),
        }
    }

    fn fault(&mut self, code: &'static str, at: Mark, message: String) {
        let place = self.places.at(at);
        self.push(Diagnostic::new(Severity::Error, code, place, message));
    }

    fn push(&mut self, fault: Diagnostic) {
        match self.faults.len().cmp(&MOST_FAULTS) {
            Ordering::Less => self.faults.push(fault),
            Ordering::Equal => self.faults.push(Diagnostic {
                message: format!("there are more than {MOST_FAULTS} errors; the rest is not shown"),
                seen: None,
                help: None,
                ..fault
            }),
            Ordering::Greater => {}
        }
    }
}

/// One value where a list of such values belongs.
fn as_list(schema: &Value, value: &Value, raw: &str) -> Option<String> {
    let each = schema.get("items")?;
    let item = match definition(each) {
        Some(name) => shorthand::map(name, raw)?,
        None if raw.contains(['[', ']', '{', '}', ',']) => format!("\"{raw}\""),
        None => raw.to_owned(),
    };
    let is_one = definition(each).is_some() || takes(each, value, raw);
    is_one.then(|| format!("`[{item}]`, a list"))
}

/// Whether a scalar could be an item of that sort.
fn takes(schema: &Value, value: &Value, raw: &str) -> bool {
    let branches = schema.get("anyOf").and_then(Value::as_array);
    match branches {
        Some(branches) => branches.iter().any(|branch| takes(branch, value, raw)),
        None => accepts(schema, value) && format_of(schema).is_none_or(|check| check(raw).is_ok()),
    }
}

/// The name of the definition that a schema refers to.
fn definition(schema: &Value) -> Option<&str> {
    schema.get("$ref").and_then(Value::as_str)?.strip_prefix("#/$defs/")
}

/// The values of a map with their places, taken out so that both can be changed.
fn entries_of(node: &mut Node, map: &mut Map<String, Value>) -> Vec<(String, Value, Entry)> {
    let Shape::Map(places) = &mut node.shape else { return Vec::new() };
    // Both stand in the order of the file. Where a key stands twice, the last one is the value's.
    let mut places: Vec<Option<Entry>> = std::mem::take(places).into_iter().map(Some).collect();
    std::mem::take(map)
        .into_iter()
        .enumerate()
        .filter_map(|(at, (key, value))| {
            let is_it =
                |place: &Option<Entry>| place.as_ref().is_some_and(|entry| *entry.key == *key);
            let index = if places.get(at).is_some_and(is_it) {
                at
            } else {
                places.iter().position(is_it)?
            };
            Some((key, value, places[index].take()?))
        })
        .collect()
}

fn put_back(
    node: &mut Node,
    map: &mut Map<String, Value>,
    entries: Vec<(String, Value, Entry)>,
    lost: &HashSet<String>,
) {
    let mut places = Vec::with_capacity(entries.len());
    for (key, value, entry) in entries {
        if !lost.contains(&key) {
            map.insert(key, value);
            places.push(entry);
        }
    }
    node.shape = Shape::Map(places);
}

/// A scalar or a flow collection is pointed at itself, a block collection by its key.
fn at_value(entry: &Entry) -> Mark {
    if entry.value.mark.span().is_empty() { entry.key_mark } else { entry.value.visible() }
}

fn key_mark(node: &Node, key: &str) -> Mark {
    match (&node.shape, node.entry_index(key, 0)) {
        (Shape::Map(entries), Some(index)) => entries[index].key_mark,
        _ => node.visible(),
    }
}

/// Whether an unknown key of the map is most likely this one, misspelt: then it is not missing as well.
fn misspelt(schema: &Value, map: &Map<String, Value>, key: &str) -> bool {
    let Some(known) = schema.get("properties").and_then(Value::as_object) else { return false };
    let mut unknown =
        map.keys().take(MOST_FAULTS).filter(|written| !known.contains_key(written.as_str()));
    unknown.any(|written| nearest::to(written, known.keys().map(String::as_str)) == Some(key))
}

/// Text that came from a variable takes the type that is wanted, if it can.
fn coerce(schema: &Value, value: &mut Value, node: &Node) {
    if node.style != Style::Interpolated {
        return;
    }
    if types(schema).next().is_none() {
        freely_scalar(value, node);
    } else if let Value::String(text) = value
        && !types(schema).any(|name| name == "string")
        && let Some(better) = typed(text)
    {
        *value = better;
    }
}

fn takes_secrets(schema: &Value) -> bool {
    schema["writeOnly"] == true
}

/// Where any value may stand, what came from a variable becomes what it is spelled like.
fn freely(value: &mut Value, node: &mut Node) {
    match value {
        Value::Array(items) => {
            if let Shape::List(nodes) = &mut node.shape {
                for (item, node) in items.iter_mut().zip(nodes) {
                    freely(item, node);
                }
            }
        }
        Value::Object(map) => {
            let mut entries = entries_of(node, map);
            for (_, value, entry) in &mut entries {
                freely(value, &mut entry.value);
            }
            put_back(node, map, entries, &HashSet::new());
        }
        _ => freely_scalar(value, node),
    }
}

fn freely_scalar(value: &mut Value, node: &Node) {
    if let Value::String(text) = value
        && node.style == Style::Interpolated
        && let Some(better) = typed(text)
    {
        *value = better;
    }
}

fn types(schema: &Value) -> impl Iterator<Item = &str> {
    let one = schema.get("type").and_then(Value::as_str);
    let many = schema.get("type").and_then(Value::as_array);
    one.into_iter().chain(many.into_iter().flatten().filter_map(Value::as_str))
}

fn accepts(schema: &Value, value: &Value) -> bool {
    types(schema).next().is_none()
        || types(schema).any(|name| match name {
            "object" => value.is_object(),
            "array" => value.is_array(),
            "string" => value.is_string(),
            "integer" => value.is_i64() || value.is_u64(),
            "number" => value.is_number(),
            "boolean" => value.is_boolean(),
            _ => false,
        })
}

/// The words that a scalar is one of, if the schema lists them.
fn words(schema: &Value) -> Option<Vec<&str>> {
    if let Some(word) = schema.get("const") {
        return word.as_str().map(|word| vec![word]);
    }
    if let Some(words) = schema.get("enum").and_then(Value::as_array) {
        return Some(words.iter().filter_map(Value::as_str).collect());
    }
    let choices = schema.get("oneOf")?.as_array()?;
    let words: Vec<&str> =
        choices.iter().flat_map(|choice| words(choice).unwrap_or_default()).collect();
    (!words.is_empty()).then_some(words)
}

fn is_choice(schema: &Value, key: &str) -> bool {
    let choices = schema.get("oneOf").and_then(Value::as_array);
    choices
        .into_iter()
        .flatten()
        .any(|choice| strings(choice.get("required")).any(|required| required == key))
}

fn bounds(schema: &Value, value: &Value) -> Option<Malformed> {
    if let Some(text) = value.as_str() {
        let fewest = schema.get("minLength").and_then(Value::as_u64).unwrap_or(0);
        return ((text.chars().count() as u64) < fewest)
            .then(|| Malformed::new("the value must not be empty"));
    }
    let number = value.as_f64()?;
    let (least, most) = (
        schema.get("minimum").and_then(Value::as_f64),
        schema.get("maximum").and_then(Value::as_f64),
    );
    let outside =
        least.is_some_and(|least| number < least) || most.is_some_and(|most| number > most);
    outside.then(|| {
        let range = match (least, most) {
            (Some(least), Some(most)) => format!("a number from {least} to {most}"),
            (Some(least), None) => format!("a number of at least {least}"),
            _ => "a smaller number".to_owned(),
        };
        Malformed::instead(format!("{value} is out of range"), range)
    })
}

fn strings(list: Option<&Value>) -> impl Iterator<Item = &str> {
    list.and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str)
}

/// What a value is, in the words of errors.
pub(super) fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "nothing",
        Value::Bool(_) => "a boolean",
        Value::Number(number) if number.is_f64() => "a fraction",
        Value::Number(_) => "an integer",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "a map",
    }
}

fn in_words(name: &str) -> &'static str {
    match name {
        "object" => "a map",
        "array" => "a list",
        "string" => "a string",
        "integer" => "an integer",
        "number" => "a number",
        _ => "`true` or `false`",
    }
}

type Check = fn(&str) -> Result<(), Malformed>;

/// Every format that the schema names, with its parser.
fn formats() -> impl Iterator<Item = (&'static str, Check)> {
    fn of<T: Text>() -> (&'static str, Check) {
        (T::FORMAT, |text| text.parse::<T>().map(drop))
    }
    [
        of::<name::TopologyName>(),
        of::<name::Label>(),
        of::<name::ReleaseName>(),
        of::<name::Subdomain>(),
        of::<name::DockerName>(),
        of::<name::VariableName>(),
        of::<name::NeedId>(),
        of::<name::HostName>(),
        of::<name::SshHost>(),
        of::<name::ContainerPath>(),
        of::<super::Taint>(),
        of::<super::KubeadmPatch>(),
        of::<port::PortRange>(),
        of::<port::ListenSpec>(),
        of::<super::Subnet>(),
        of::<super::AddressRange>(),
        of::<super::InterfaceAddress>(),
        of::<super::Duration>(),
        of::<super::Size>(),
        of::<super::HostPath>(),
        of::<image_ref::ImageRef>(),
        of::<metallb::MetallbVersion>(),
        of::<manifest::Url>(),
        of::<manifest::Sha256>(),
        of::<gateway::AuthorizedKey>(),
        of::<gateway::ServiceRef>(),
        of::<gateway::TargetPort>(),
        of::<share::Owner>(),
        of::<share::NfsVersion>(),
        of::<share::PortNumber>(),
        of::<share::NfsClient>(),
        of::<share::MountOption>(),
        ("ip", |text| super::address::address(text).map(drop)),
    ]
    .into_iter()
}

static FORMATS: LazyLock<HashMap<&'static str, Check>> = LazyLock::new(|| formats().collect());

fn format_of(schema: &Value) -> Option<Check> {
    FORMATS.get(schema.get("format")?.as_str()?).copied()
}

/// A malformed scalar's fault is called like its format.
fn code_of(schema: &Value) -> &'static str {
    let name = schema.get("format").and_then(Value::as_str).unwrap_or_default();
    FORMATS.get_key_value(name).map_or("out-of-range", |(format, _)| format)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the walk understands; a schema that says more would be checked less than it promises.
    const KEYWORDS: [&str; 24] = [
        "$schema",
        "$defs",
        "$ref",
        "title",
        "description",
        "default",
        "type",
        "format",
        "pattern",
        "properties",
        "required",
        "additionalProperties",
        "items",
        "minItems",
        "minimum",
        "maximum",
        "minLength",
        "anyOf",
        "oneOf",
        "enum",
        "const",
        "dependentRequired",
        "dependentSchemas",
        "writeOnly",
    ];

    #[test]
    fn the_walk_understands_every_keyword_of_the_schema() {
        fn check(schema: &Value, path: &str) {
            let Some(map) = schema.as_object() else { return };
            for (keyword, inner) in map {
                assert!(KEYWORDS.contains(&keyword.as_str()), "{path}: {keyword}");
                match keyword.as_str() {
                    "properties" | "$defs" => inner
                        .as_object()
                        .into_iter()
                        .flatten()
                        .for_each(|(key, schema)| check(schema, &format!("{path}.{key}"))),
                    "anyOf" | "oneOf" => inner
                        .as_array()
                        .into_iter()
                        .flatten()
                        .for_each(|schema| check(schema, path)),
                    "items" | "additionalProperties" => check(inner, path),
                    _ => {}
                }
            }
            if map.contains_key("pattern") {
                assert!(
                    format_of(schema).is_some(),
                    "{path}: a pattern without a format that is parsed"
                );
            }
        }
        check(super::super::schema(), "");
    }

    /// A schema that refused what topo takes would send people's editors astray.
    #[test]
    fn a_pattern_accepts_all_that_its_parser_accepts() {
        use proptest::prelude::*;
        use proptest::test_runner::{Config, TestRunner};

        let mut schemas = Vec::new();
        collect(super::super::schema(), &mut schemas);
        assert!(schemas.len() > 20);
        for schema in schemas {
            let (check, format) = (format_of(&schema).unwrap(), schema["format"].clone());
            let validator = jsonschema::validator_for(&schema).unwrap();
            let texts = prop_oneof![
                "[a-z0-9/:.-]{0,12}",
                "[A-Za-z0-9_@:/.-]{0,20}",
                "[0-9]{1,6}(-[0-9]{1,6})?(/(tcp|udp))?",
                "[0-9.]{7,15}(/[0-9]{1,2})?",
                "[0-9]{1,3}[hms]{1,2}[0-9]{0,2}s?",
                "[0-9.]{1,4}[KMG]i?",
                "v[0-9]\\.[0-9]{1,2}\\.[0-9]",
                "(https?://)?\\PC{0,12}",
                "[0-9a-f]{64}",
                "[0-9]{1,5}:[0-9]{1,5}",
            ];
            let accepted = |text: String| {
                prop_assert!(
                    check(&text).is_err() || validator.is_valid(&Value::String(text.clone())),
                    "{format}: {text:?}"
                );
                Ok(())
            };
            TestRunner::new(Config { failure_persistence: None, ..Config::default() })
                .run(&texts, accepted)
                .unwrap();
        }
    }

    /// Every scalar schema with a format that is parsed, each once.
    fn collect(schema: &Value, found: &mut Vec<Value>) {
        match schema {
            Value::Object(map) if format_of(schema).is_some() => {
                let mut bare = map.clone();
                bare.retain(|key, _| matches!(key.as_str(), "type" | "format" | "pattern"));
                if !found.contains(&Value::Object(bare.clone())) {
                    found.push(Value::Object(bare));
                }
            }
            Value::Object(map) => map.values().for_each(|inner| collect(inner, found)),
            Value::Array(items) => items.iter().for_each(|inner| collect(inner, found)),
            _ => {}
        }
    }

    #[test]
    fn every_property_is_described() {
        fn check(schema: &Value, path: &str) {
            for (key, property) in
                schema.get("properties").and_then(Value::as_object).into_iter().flatten()
            {
                assert!(
                    property.get("description").is_some() || property.get("type").is_none(),
                    "{path}.{key}"
                );
            }
        }
        let schema = super::super::schema();
        check(schema, "");
        for (name, definition) in schema["$defs"].as_object().into_iter().flatten() {
            check(definition, name);
        }
    }
}
