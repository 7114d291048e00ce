//! A small sorted map from a field's name to something about it.
//!
//! Most resources have a handful of fields and a topology can have a hundred thousand resources,
//! so this is one boxed slice rather than a tree.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

pub type FieldName = Cow<'static, str>;

/// Values that a step gives to later ones, or that were seen: `address`, `subnet`.
pub type Outputs = Fields<Value>;

#[derive(Clone, PartialEq, Eq)]
pub struct Fields<T>(Vec<(FieldName, T)>);

impl<T> Fields<T> {
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    pub fn get(&self, name: &str) -> Option<&T> {
        self.position(name).ok().map(|at| &self.0[at].1)
    }

    pub fn set(&mut self, name: impl Into<FieldName>, value: T) {
        let name = name.into();
        match self.position(&name) {
            Ok(at) => self.0[at].1 = value,
            Err(at) => {
                // Most have one field or two, and room for four would be most of what they take.
                self.0.reserve_exact(1);
                self.0.insert(at, (name, value));
            }
        }
    }

    /// The same fields and one more, for building them in one expression.
    pub fn with(mut self, name: impl Into<FieldName>, value: T) -> Self {
        self.set(name, value);
        self
    }

    pub fn iter(&self) -> impl Iterator<Item = (&FieldName, &T)> {
        self.0.iter().map(|(name, value)| (name, value))
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn position(&self, name: &str) -> Result<usize, usize> {
        self.0.binary_search_by(|(have, _)| have.as_ref().cmp(name))
    }
}

impl<T> Default for Fields<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T: fmt::Debug> fmt::Debug for Fields<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

impl<N: Into<FieldName>, T> FromIterator<(N, T)> for Fields<T> {
    fn from_iter<I: IntoIterator<Item = (N, T)>>(pairs: I) -> Self {
        let mut fields = Self::new();
        fields.extend(pairs);
        fields
    }
}

impl<N: Into<FieldName>, T> Extend<(N, T)> for Fields<T> {
    fn extend<I: IntoIterator<Item = (N, T)>>(&mut self, pairs: I) {
        for (name, value) in pairs {
            self.set(name, value);
        }
    }
}

impl<T> IntoIterator for Fields<T> {
    type Item = (FieldName, T);
    type IntoIter = std::vec::IntoIter<(FieldName, T)>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl<T: Serialize> Serialize for Fields<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.iter())
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Fields<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Map<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for Map<T> {
            type Value = Fields<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map of fields")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields<T>, A::Error> {
                let mut fields = Fields::new();
                while let Some((name, value)) = map.next_entry::<String, T>()? {
                    fields.set(name, value);
                }
                Ok(fields)
            }
        }

        deserializer.deserialize_map(Map(PhantomData))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_sorted_and_the_last_value_of_a_name_wins() {
        let fields: Fields<u8> = [("b", 1), ("a", 2), ("b", 3)].into_iter().collect();
        let seen: Vec<_> = fields.iter().map(|(n, v)| (n.to_string(), *v)).collect();
        assert_eq!(seen, [("a".to_owned(), 2), ("b".to_owned(), 3)]);
        assert_eq!(fields.get("b"), Some(&3));
        assert_eq!(fields.get("c"), None);
    }

    #[test]
    fn fields_survive_json() {
        let fields: Fields<u8> = [("b", 1), ("a", 2)].into_iter().collect();
        let json = serde_json::to_string(&fields).expect("serialises");
        assert_eq!(json, r#"{"a":2,"b":1}"#);
        assert_eq!(serde_json::from_str::<Fields<u8>>(&json).expect("reads"), fields);
    }
}
