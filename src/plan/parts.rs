//! Where two values differ: by path where both are maps, or lists of more than words.

use serde_json::{Map, Value};

use super::seal::{Likeness, SecretKey, is_seal};

/// A place in which a value is another than it was.
#[derive(Debug, PartialEq)]
pub(super) struct Part<'a> {
    pub path: String,
    pub before: Option<&'a Value>,
    pub after: Option<&'a Value>,
    /// The secret is the same as far as can be told; only its record is to be written again.
    pub only_unsealed: bool,
}

/// Every place below `path` in which the two differ, in the order of the second.
pub(super) fn parts<'a>(
    path: &str,
    before: Option<&'a Value>,
    after: Option<&'a Value>,
    key: &SecretKey,
) -> Vec<Part<'a>> {
    let mut walk = Walk { key, parts: Vec::new() };
    walk.between(path.to_owned(), before, after);
    walk.parts
}

struct Walk<'a, 'k> {
    key: &'k SecretKey,
    parts: Vec<Part<'a>>,
}

impl<'a> Walk<'a, '_> {
    fn between(&mut self, path: String, before: Option<&'a Value>, after: Option<&'a Value>) {
        match (before, after) {
            (Some(Value::Object(before)), Some(Value::Object(after))) => {
                self.maps(&path, before, after);
            }
            (Some(Value::Array(before)), Some(Value::Array(after)))
                if !is_words(before) || !is_words(after) =>
            {
                self.lists(&path, before, after);
            }
            (Some(was), Some(now)) => match self.key.likeness(was, now) {
                Likeness::Same => {}
                likeness => self.push(path, before, after, likeness == Likeness::Unsealed),
            },
            (None, None) => {}
            _ => self.push(path, before, after, false),
        }
    }

    fn maps(&mut self, path: &str, before: &'a Map<String, Value>, after: &'a Map<String, Value>) {
        let gone = before.iter().filter(|(name, _)| !after.contains_key(*name));
        for (name, was) in gone {
            self.between(format!("{path}.{name}"), Some(was), None);
        }
        for (name, now) in after {
            self.between(format!("{path}.{name}"), before.get(name), Some(now));
        }
    }

    /// What is alike at the start and at the end stays where it is; the rest is compared one by one.
    fn lists(&mut self, path: &str, before: &'a [Value], after: &'a [Value]) {
        let alike = |(was, now): &(&Value, &Value)| self.alike(was, now);
        let start = before.iter().zip(after).take_while(alike).count();
        let (was, now) = (&before[start..], &after[start..]);
        let end = was.iter().rev().zip(now.iter().rev()).take_while(alike).count();
        let (was, now) = (&was[..was.len() - end], &now[..now.len() - end]);
        for at in 0..was.len().max(now.len()) {
            self.between(format!("{path}[{}]", start + at), was.get(at), now.get(at));
        }
    }

    fn alike(&self, was: &Value, now: &Value) -> bool {
        parts("", Some(was), Some(now), self.key).is_empty()
    }

    fn push(
        &mut self,
        path: String,
        before: Option<&'a Value>,
        after: Option<&'a Value>,
        only_unsealed: bool,
    ) {
        self.parts.push(Part { path, before, after, only_unsealed });
    }
}

/// Read best as one line: `a, b` becomes `a, b, c`.
fn is_words(items: &[Value]) -> bool {
    items.iter().all(|item| match item {
        Value::String(text) => !text.contains('\n') && !is_seal(item),
        Value::Array(_) | Value::Object(_) => false,
        Value::Null | Value::Bool(_) | Value::Number(_) => true,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn told(before: &Value, after: &Value) -> Vec<String> {
        let show = |value: Option<&Value>| value.map_or("-".to_owned(), ToString::to_string);
        parts("f", Some(before), Some(after), &SecretKey::new(b"k"))
            .into_iter()
            .map(|part| format!("{}: {} -> {}", part.path, show(part.before), show(part.after)))
            .collect()
    }

    #[test]
    fn maps_and_lists_of_maps_are_told_by_path() {
        let before = json!({ "mounts": [{ "hostPath": "a", "ro": true }], "gone": 1, "same": [1] });
        let after = json!({ "mounts": [{ "hostPath": "b", "ro": true }], "same": [1], "new": {} });
        assert_eq!(
            told(&before, &after),
            ["f.gone: 1 -> -", r#"f.mounts[0].hostPath: "a" -> "b""#, "f.new: - -> {}"]
        );
    }

    #[test]
    fn words_are_told_as_one_line() {
        assert_eq!(told(&json!(["a", "b"]), &json!(["a"])), [r#"f: ["a","b"] -> ["a"]"#]);
    }

    #[test]
    fn what_leaves_a_list_does_not_change_what_stays() {
        let [a, b, c] = ["a", "b", "c"].map(|name| json!({ "name": name }));
        assert_eq!(told(&json!([a, b, c]), &json!([a, c])), [r#"f[1]: {"name":"b"} -> -"#]);
        assert_eq!(told(&json!([c]), &json!([a, c])), [r#"f[0]: - -> {"name":"a"}"#]);
    }

    #[test]
    fn a_secret_in_a_list_has_a_place_of_its_own() {
        let seal = |text: &str| SecretKey::new(b"k").seal(text);
        let (before, after) = (json!(["open", seal("a")]), json!(["open", seal("b")]));
        let found = parts("f", Some(&before), Some(&after), &SecretKey::new(b"k"));
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].path.as_str(), found[0].only_unsealed), ("f[1]", false));
        let clear = json!(["open", "b"]);
        let found = parts("f", Some(&clear), Some(&after), &SecretKey::new(b"k"));
        assert!(found[0].only_unsealed);
    }
}
