//! Canonical JSON, written while a document is parsed: no tree is built, so that a hundred
//! thousand documents cost one buffer.

use std::fmt;
use std::ops::Range;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

/// Writes what is deserialised to the end of `out` as JSON with sorted keys and no blanks.
pub struct Canon<'b> {
    out: &'b mut Vec<u8>,
}

impl<'b> Canon<'b> {
    pub fn into(out: &'b mut Vec<u8>) -> Self {
        Self { out }
    }

    fn scalar<E: Error>(self, value: &(impl serde::Serialize + ?Sized)) -> Result<(), E> {
        serde_json::to_writer(self.out, value).map_err(E::custom)
    }

    /// Restores the order of keys among entries that were written as they came.
    fn sort<E: Error>(&mut self, start: usize, mut entries: Vec<Entry>) -> Result<(), E> {
        let out = &mut *self.out;
        let key = |out: &[u8], entry: &Entry| out[entry.key.clone()].to_vec();
        let sorted = entries.is_sorted_by(|a, b| out[a.key.clone()] < out[b.key.clone()]);
        if sorted {
            return Ok(());
        }
        entries.sort_by(|a, b| out[a.key.clone()].cmp(&out[b.key.clone()]));
        if let Some(pair) =
            entries.windows(2).find(|pair| out[pair[0].key.clone()] == out[pair[1].key.clone()])
        {
            let twice = String::from_utf8_lossy(&key(out, &pair[0])).into_owned();
            return Err(E::custom(format_args!("the key {twice} stands here twice")));
        }
        let mut ordered = Vec::with_capacity(out.len() - start);
        for (at, entry) in entries.iter().enumerate() {
            ordered.push(if at == 0 { b'{' } else { b',' });
            ordered.extend_from_slice(&out[entry.key.start..entry.end]);
        }
        out.truncate(start);
        out.append(&mut ordered);
        Ok(())
    }
}

struct Entry {
    key: Range<usize>,
    end: usize,
}

impl<'de> DeserializeSeed<'de> for Canon<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Canon<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value that JSON can hold")
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<(), E> {
        self.scalar(&value)
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<(), E> {
        self.scalar(&value)
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<(), E> {
        self.scalar(&value)
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<(), E> {
        if value.is_finite() {
            self.scalar(&value)
        } else {
            Err(E::custom("JSON has no infinite numbers"))
        }
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<(), E> {
        self.scalar(value)
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        self.scalar(&())
    }

    fn visit_none<E: Error>(self) -> Result<(), E> {
        self.visit_unit()
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        self.deserialize(deserializer)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        self.out.push(b'[');
        let first = self.out.len();
        loop {
            let before = self.out.len();
            if before > first {
                self.out.push(b',');
            }
            if items.next_element_seed(Canon::into(self.out))?.is_none() {
                self.out.truncate(before);
                break;
            }
        }
        self.out.push(b']');
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        let start = self.out.len();
        let mut entries = Vec::with_capacity(8);
        loop {
            let before = self.out.len();
            self.out.push(if before == start { b'{' } else { b',' });
            let key = self.out.len();
            if map.next_key_seed(Key(self.out))?.is_none() {
                self.out.truncate(before);
                break;
            }
            let key = key..self.out.len();
            self.out.push(b':');
            map.next_value_seed(Canon::into(self.out))?;
            entries.push(Entry { key, end: self.out.len() });
        }
        if entries.is_empty() {
            self.out.push(b'{');
        }
        self.sort(start, entries)?;
        self.out.push(b'}');
        Ok(())
    }
}

/// A key of a map: Kubernetes knows only strings, and YAML lets numbers and booleans be written.
struct Key<'b>(&'b mut Vec<u8>);

impl<'de> DeserializeSeed<'de> for Key<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl Visitor<'_> for Key<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<(), E> {
        Canon::into(self.0).scalar(value)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<(), E> {
        self.visit_str(&value.to_string())
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<(), E> {
        self.visit_str(&value.to_string())
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<(), E> {
        self.visit_str(&value.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn canonical(yaml: &str) -> Result<String, serde_yaml::Error> {
        let mut out = Vec::new();
        Canon::into(&mut out).deserialize(serde_yaml::Deserializer::from_str(yaml))?;
        Ok(String::from_utf8(out).expect("JSON is UTF-8"))
    }

    #[test]
    fn the_order_of_keys_does_not_matter_and_that_of_items_does() {
        let one = canonical("b: {z: 1, a: [2, 1]}\na: x\n").expect("reads");
        assert_eq!(one, r#"{"a":"x","b":{"a":[2,1],"z":1}}"#);
        assert_eq!(one, canonical("a: x\nb:\n  a: [2, 1]\n  z: 1\n").expect("reads"));
        assert_ne!(one, canonical("a: x\nb: {a: [1, 2], z: 1}\n").expect("reads"));
    }

    #[test]
    fn every_kind_of_value_comes_out_as_json_reads_it() {
        let text =
            canonical("{e: {}, l: [], n: null, t: true, f: 1.5, i: -3, s: \"a\\\"b\", 8080: x}");
        let value: serde_json::Value =
            serde_json::from_str(&text.expect("reads")).expect("valid JSON");
        assert_eq!(
            value,
            serde_json::json!({"e": {}, "l": [], "n": null, "t": true, "f": 1.5, "i": -3,
                "s": "a\"b", "8080": "x"})
        );
    }

    #[test]
    fn a_key_that_stands_twice_is_refused() {
        let error = canonical("a: 1\nb: 2\na: 3\n").expect_err("twice");
        assert!(error.to_string().contains("the key \"a\" stands here twice"), "{error}");
        assert!(canonical("a: 1\na: 1\n").is_err());
    }
}
