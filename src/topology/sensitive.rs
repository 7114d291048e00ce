//! What may not be shown or stored: text with the value of a sensitive variable in it, and the
//! values of the file that may hold such text.
//!
//! Interpolation makes the one, decoding the other, and nothing else of a topology can take either:
//! a sensitive variable anywhere else is an error. So there is nothing to look for in what is
//! printed or written, however short a value is and whatever has been made of it.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

use super::interpolate::typed;

/// What is shown in place of a secret.
pub const MASK: &str = "(sensitive)";

/// Where texts of others are searched for secrets, as in what a program says: anything shorter would
/// be found in ordinary words.
pub const SHORTEST_SOUGHT: usize = 4;

/// Marks secret text on its way from interpolation to decoding, which share one plain tree of values.
const MARK: &str = "\0sensitive\0";

/// Text that holds the value of a sensitive variable. Only `reveal` gives it away.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// For the edges: what is handed to the engine, to kind or to the cluster.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// Other text of the same make, so that whatever can be done with the one can be done with the
    /// other: what then comes out alike does not depend on the secret.
    pub fn stand_in(&self) -> Self {
        let other: String = self.0.chars().map(another).collect();
        Self(if other == self.0 { format!("{other}x") } else { other })
    }

    pub(super) fn mark(text: &str) -> Value {
        Value::String(format!("{MARK}{text}"))
    }

    fn marked(text: &str) -> Option<Self> {
        text.strip_prefix(MARK).map(Self::new)
    }

    /// Revealed, where any value may be: a number or a boolean if it is spelled like one.
    pub fn value(&self) -> Value {
        typed(&self.0).unwrap_or_else(|| self.0.clone().into())
    }
}

fn another(letter: char) -> char {
    match letter {
        'z' => 'a',
        'Z' => 'A',
        '9' => '1',
        'a'..='y' | 'A'..='Y' | '0'..='8' => {
            char::from_u32(u32::from(letter) + 1).unwrap_or(letter)
        }
        other => other,
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(MASK)
    }
}

/// A value of the file that may have secrets anywhere in it. What can be seen of it has masks in their place.
#[derive(Debug, Clone, PartialEq)]
pub struct Guarded {
    open: Value,
    /// Each with its place in `open`, as a JSON pointer.
    secrets: Vec<(String, Secret)>,
}

impl Guarded {
    /// With masks in the place of secrets.
    pub fn open(&self) -> &Value {
        &self.open
    }

    /// Where secrets are, as JSON pointers.
    pub fn secret_places(&self) -> impl Iterator<Item = &str> {
        self.secrets.iter().map(|(place, _)| place.as_str())
    }

    pub fn is_secret(&self) -> bool {
        !self.secrets.is_empty()
    }

    /// With something made of each secret in its place.
    pub fn with(&self, make: &dyn Fn(&Secret) -> Value) -> Value {
        let mut whole = self.open.clone();
        for (place, secret) in &self.secrets {
            if let Some(at) = whole.pointer_mut(place) {
                *at = make(secret);
            }
        }
        whole
    }

    /// For the edges, as `Secret::reveal`.
    pub fn reveal(&self) -> Value {
        self.with(&Secret::value)
    }

    /// For the edges, where only text may stand.
    pub fn reveal_text(&self) -> String {
        match self.with(&|secret| secret.reveal().into()) {
            Value::String(text) => text,
            other => other.to_string(),
        }
    }

    /// See `Secret::stand_in`.
    pub fn stand_in(&self) -> Value {
        self.with(&|secret| secret.stand_in().value())
    }
}

fn collect(value: &mut Value, place: &str, secrets: &mut Vec<(String, Secret)>) {
    match value {
        Value::String(text) => {
            if let Some(secret) = Secret::marked(text) {
                secrets.push((place.to_owned(), secret));
                MASK.clone_into(text);
            }
        }
        Value::Array(items) => {
            for (at, item) in items.iter_mut().enumerate() {
                collect(item, &format!("{place}/{at}"), secrets);
            }
        }
        Value::Object(fields) => {
            for (key, field) in fields {
                let key = key.replace('~', "~0").replace('/', "~1");
                collect(field, &format!("{place}/{key}"), secrets);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

impl From<Value> for Guarded {
    fn from(mut open: Value) -> Self {
        let mut secrets = Vec::new();
        collect(&mut open, "", &mut secrets);
        Self { open, secrets }
    }
}

impl<'de> Deserialize<'de> for Guarded {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Value::deserialize(deserializer).map(Self::from)
    }
}

/// With masks, as everything else that shows it.
impl Serialize for Guarded {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.open.serialize(serializer)
    }
}

/// Any value. `writeOnly` is what tells that secrets may be in it.
impl JsonSchema for Guarded {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Guarded".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "writeOnly": true })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn guarded() -> Guarded {
        json!({ "a/b": [1, Secret::mark("x-hunter2-y")], "port": Secret::mark("5432"), "open": "o" })
            .into()
    }

    #[test]
    fn nothing_but_reveal_gives_a_secret_away() {
        let guarded = guarded();
        let shown = format!("{guarded:?} {guarded:#?} {}", json!(guarded));
        assert!(!shown.contains("hunter2") && !shown.contains("5432"), "{shown}");
        assert_eq!(json!(guarded), json!({ "a/b": [1, MASK], "port": MASK, "open": "o" }));
        assert_eq!(
            guarded.reveal(),
            json!({ "a/b": [1, "x-hunter2-y"], "port": 5432, "open": "o" })
        );
        assert_eq!(guarded.secret_places().collect::<Vec<_>>(), ["/a~1b/1", "/port"]);
    }

    #[test]
    fn what_stands_in_for_a_number_is_one() {
        assert_eq!(guarded().stand_in()["port"], 6543);
        assert_eq!(Secret::new("hunter2").stand_in().reveal(), "ivoufs3");
    }

    proptest! {
        #[test]
        fn a_stand_in_is_always_another(text in ".{0,20}") {
            let secret = Secret::new(text);
            prop_assert_ne!(secret.stand_in(), secret);
        }
    }
}
