//! The name of a resource: its kind and its own name, `gateway/dev-gw`.

use std::cmp::Ordering;
use std::collections::HashMap;
use std::fmt;
use std::hash::{BuildHasherDefault, DefaultHasher, Hash, Hasher};
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// `<kind>/<name>`; the name may itself hold slashes, the kind never does.
/// Cheap to clone, to compare and to look up: ids are in every edge, event and record.
#[derive(Clone)]
pub struct Id {
    text: Arc<str>,
    /// Of the text, made once: a plan looks each id up many times.
    hash: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a resource id: write `<kind>/<name>`, such as `gateway/dev-gw`")]
pub struct InvalidId(String);

impl Id {
    pub fn new(kind: &str, name: impl fmt::Display) -> Self {
        debug_assert!(!kind.is_empty() && !kind.contains('/'));
        Self::of(format!("{kind}/{name}").into())
    }

    fn of(text: Arc<str>) -> Self {
        let mut hasher = DefaultHasher::new();
        text.hash(&mut hasher);
        Self { hash: hasher.finish(), text }
    }

    pub fn as_str(&self) -> &str {
        &self.text
    }

    pub fn kind(&self) -> &str {
        self.text.split_once('/').map_or("", |(kind, _)| kind)
    }

    pub fn name(&self) -> &str {
        self.text.split_once('/').map_or(&self.text, |(_, name)| name)
    }

    /// Whether `typed` is a shorthand for this id: its kind, or its last part and any of those before
    /// it in their order. `Service/web` stands for `object/core/Service/default/web`.
    pub fn answers_to(&self, typed: &str) -> bool {
        if self.kind() == typed {
            return true;
        }
        let answers =
            |part: &str, typed: &str| part == typed || part.rsplit(':').next() == Some(typed);
        let mut parts = self.text.rsplit('/');
        let mut typed = typed.rsplit('/');
        let last = parts.next().zip(typed.next());
        last.is_some_and(|(part, typed)| answers(part, typed))
            && typed.all(|typed| parts.any(|part| answers(part, typed)))
    }

    /// Whether `typed` is made of any parts of this id in their order, the last one or not, and of what
    /// colons part in them: `port/10001` of `port/127.0.0.1:10001/tcp`, `image/web` of `image/web:1`.
    pub fn contains(&self, typed: &str) -> bool {
        let has = |part: &str, typed: &str| {
            part == typed || (!typed.is_empty() && part.split(':').any(|piece| piece == typed))
        };
        let mut parts = self.text.split('/');
        typed.split('/').all(|typed| parts.any(|part| has(part, typed)))
    }
}

/// A map by ids, which know their hash already; `K` is an id or a reference to one.
pub type IdMap<K, V> = HashMap<K, V, BuildHasherDefault<KnownHash>>;

/// Hands on the one number that an [`Id`] writes.
#[derive(Debug, Default)]
pub struct KnownHash(u64);

impl Hasher for KnownHash {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

impl PartialEq for Id {
    fn eq(&self, other: &Self) -> bool {
        self.hash == other.hash && (Arc::ptr_eq(&self.text, &other.text) || self.text == other.text)
    }
}

impl Eq for Id {}

impl Hash for Id {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.hash);
    }
}

impl PartialOrd for Id {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Id {
    fn cmp(&self, other: &Self) -> Ordering {
        self.text.cmp(&other.text)
    }
}

impl FromStr for Id {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        match text.split_once('/') {
            Some((kind, name)) if !kind.is_empty() && !name.is_empty() => Ok(Self::of(text.into())),
            _ => Err(InvalidId(text.to_owned())),
        }
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.text)
    }
}

impl fmt::Debug for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Serialize for Id {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

impl<'de> Deserialize<'de> for Id {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_split_at_its_first_slash() {
        let id: Id = "object/apps/Deployment/default/web".parse().expect("valid");
        assert_eq!((id.kind(), id.name()), ("object", "apps/Deployment/default/web"));
    }

    #[test]
    fn what_has_no_kind_or_no_name_is_refused() {
        for text in ["", "gateway", "gateway/", "/dev"] {
            assert!(text.parse::<Id>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_shorthand_is_made_of_whole_parts() {
        let id = Id::new("object", "core/Service/default/web");
        assert!(id.answers_to("web") && id.answers_to("default/web"));
        assert!(!id.answers_to("eb") && !id.answers_to("core") && !id.answers_to("web/default"));
        assert!(id.answers_to("object") && !id.answers_to(""));
        assert!(id.contains("core/default") && !id.contains("default/core") && !id.contains(""));
    }
}
