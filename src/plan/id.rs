//! The name of a resource: its kind and its own name, `gateway/dev-gw`.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// `<kind>/<name>`; the name may itself hold slashes, the kind never does.
/// Cheap to clone: ids are in every edge, event and record.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Id(Arc<str>);

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a resource id: write `<kind>/<name>`, such as `gateway/dev-gw`")]
pub struct InvalidId(String);

impl Id {
    pub fn new(kind: &str, name: impl fmt::Display) -> Self {
        debug_assert!(!kind.is_empty() && !kind.contains('/'));
        Self(format!("{kind}/{name}").into())
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub fn kind(&self) -> &str {
        self.0.split_once('/').map_or("", |(kind, _)| kind)
    }

    pub fn name(&self) -> &str {
        self.0.split_once('/').map_or(&self.0, |(_, name)| name)
    }

    /// Whether `typed` is a shorthand for this id: its last part, and any of those before it in
    /// their order. `Service/web` stands for `object/core/Service/default/web`.
    pub fn answers_to(&self, typed: &str) -> bool {
        let answers =
            |part: &str, typed: &str| part == typed || part.rsplit(':').next() == Some(typed);
        let mut parts = self.0.rsplit('/');
        let mut typed = typed.rsplit('/');
        let last = parts.next().zip(typed.next());
        last.is_some_and(|(part, typed)| answers(part, typed))
            && typed.all(|typed| parts.any(|part| answers(part, typed)))
    }
}

impl FromStr for Id {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        match text.split_once('/') {
            Some((kind, name)) if !kind.is_empty() && !name.is_empty() => Ok(Self(text.into())),
            _ => Err(InvalidId(text.to_owned())),
        }
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for Id {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
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
    }
}
