//! Canonical JSON, written while a document is parsed: no tree is built, so that a hundred
//! thousand documents cost one buffer.

use std::fmt;
use std::ops::Range;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

/// Writes a string, or a number, a boolean or `null` that is the same in any JSON.
pub fn value(out: &mut Vec<u8>, value: &(impl serde::Serialize + ?Sized)) {
    serde_json::to_writer(out, value).expect("writing to memory does not fail");
}

/// Writes a number as Kubernetes' readers see it: `1.0`, `1e3` and their like are integers.
pub fn float(out: &mut Vec<u8>, number: f64) {
    match number.to_string().parse::<i64>() {
        Ok(integer) => value(out, &integer),
        Err(_) => value(out, &number),
    }
}

/// Writes a number that an `i64` may not hold: as a float, then.
#[expect(clippy::cast_precision_loss, reason = "Kubernetes keeps what is larger as a float")]
pub fn large(out: &mut Vec<u8>, number: u64) {
    match i64::try_from(number) {
        Ok(number) => value(out, &number),
        Err(_) => float(out, number as f64),
    }
}

/// The next item of a list follows.
pub fn item(out: &mut Vec<u8>) {
    if out.last() != Some(&b'[') {
        out.push(b',');
    }
}

/// A map that is being written: its entries as they come, and in order once it is closed. Of a key
/// that comes twice the last value counts, as it does for Kubernetes' readers.
pub struct Map {
    start: usize,
    entries: Vec<Entry>,
}

struct Entry {
    key: Range<usize>,
    end: usize,
}

impl Map {
    pub fn open(out: &mut Vec<u8>) -> Self {
        out.push(b'{');
        Self { start: out.len(), entries: Vec::with_capacity(8) }
    }

    /// The value of this key follows.
    pub fn key(&mut self, out: &mut Vec<u8>, key: &str) {
        self.end_entry(out);
        if !self.entries.is_empty() {
            out.push(b',');
        }
        let start = out.len();
        value(out, key);
        self.entries.push(Entry { key: start..out.len(), end: 0 });
        out.push(b':');
    }

    pub fn close(mut self, out: &mut Vec<u8>) {
        self.end_entry(out);
        self.sort(out);
        out.push(b'}');
    }

    fn end_entry(&mut self, out: &[u8]) {
        if let Some(entry) = self.entries.last_mut() {
            entry.end = out.len();
        }
    }

    fn sort(mut self, out: &mut Vec<u8>) {
        let in_order = |a: &Entry, b: &Entry| out[a.key.clone()] < out[b.key.clone()];
        if self.entries.is_sorted_by(in_order) {
            return;
        }
        self.entries.sort_by(|a, b| out[a.key.clone()].cmp(&out[b.key.clone()]));
        let mut ordered = Vec::with_capacity(out.len() - self.start);
        for same in self.entries.chunk_by(|a, b| out[a.key.clone()] == out[b.key.clone()]) {
            let Some(last) = same.last() else { continue };
            if !ordered.is_empty() {
                ordered.push(b',');
            }
            ordered.extend_from_slice(&out[last.key.start..last.end]);
        }
        out.truncate(self.start);
        out.append(&mut ordered);
    }
}

/// Writes what is deserialized from JSON to the end of a buffer.
pub struct Canon<'b>(pub &'b mut Vec<u8>);

impl<'de> DeserializeSeed<'de> for Canon<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Canon<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_bool<E: Error>(self, truth: bool) -> Result<(), E> {
        value(self.0, &truth);
        Ok(())
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<(), E> {
        value(self.0, &number);
        Ok(())
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<(), E> {
        large(self.0, number);
        Ok(())
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<(), E> {
        float(self.0, number);
        Ok(())
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<(), E> {
        value(self.0, text);
        Ok(())
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        value(self.0, &());
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        self.0.push(b'[');
        loop {
            let before = self.0.len();
            item(self.0);
            if items.next_element_seed(Canon(self.0))?.is_none() {
                self.0.truncate(before);
                break;
            }
        }
        self.0.push(b']');
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<(), A::Error> {
        let mut map = Map::open(self.0);
        while let Some(key) = entries.next_key::<std::borrow::Cow<str>>()? {
            map.key(self.0, &key);
            entries.next_value_seed(Canon(self.0))?;
        }
        map.close(self.0);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn canonical(json: &str) -> String {
        let mut out = Vec::new();
        Canon(&mut out).deserialize(&mut serde_json::Deserializer::from_str(json)).expect("reads");
        String::from_utf8(out).expect("JSON is UTF-8")
    }

    #[test]
    fn the_order_of_keys_does_not_matter_and_that_of_items_does() {
        let one = canonical(r#"{"b": {"z": 1, "a": [2, 1]}, "a": "x"}"#);
        assert_eq!(one, r#"{"a":"x","b":{"a":[2,1],"z":1}}"#);
        assert_eq!(one, canonical(&one));
        assert_ne!(one, canonical(r#"{"a": "x", "b": {"a": [1, 2], "z": 1}}"#));
    }

    #[test]
    fn of_a_key_that_comes_twice_the_last_value_counts() {
        assert_eq!(canonical(r#"{"a": 1, "b": 2, "a": 3}"#), r#"{"a":3,"b":2}"#);
        assert_eq!(canonical(r#"{"a": 1, "a": {}}"#), r#"{"a":{}}"#);
    }

    #[test]
    fn numbers_are_what_kubernetes_reads() {
        for (written, meant) in [
            ("1.0", "1"),
            ("1e3", "1000"),
            ("-0.0", "0"),
            ("1.5", "1.5"),
            ("9223372036854775807", "9223372036854775807"),
            ("4611686018427387904.0", "4611686018427388000"),
            ("18446744073709551615", "1.8446744073709552e+19"),
        ] {
            assert_eq!(canonical(written), meant, "{written}");
        }
    }

    #[test]
    fn every_kind_of_value_comes_out_as_it_went_in() {
        let text = r#"{"b":true,"e":{},"i":-3,"l":[],"n":null,"s":"a\"b\n","t":[1,"x",{"y":[]}]}"#;
        assert_eq!(canonical(text), text);
    }
}
