//! Values that are written as one scalar: their grammar, their place in the schema and how they are decoded.

use std::fmt;
use std::str::FromStr;

use serde::de::{
    DeserializeOwned, Deserializer, Error, MapAccess, Visitor, value::MapAccessDeserializer,
};

/// A scalar that breaks its grammar: what is wrong with it, and what to write instead.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what}")]
pub struct Malformed {
    pub what: String,
    pub instead: Option<String>,
}

impl Malformed {
    pub fn new(what: impl Into<String>) -> Self {
        Self { what: what.into(), instead: None }
    }

    pub fn instead(what: impl Into<String>, instead: impl Into<String>) -> Self {
        Self { what: what.into(), instead: Some(instead.into()) }
    }
}

/// What the schema says of a scalar type, and what the shape check looks its parser up by.
pub trait Text: FromStr<Err = Malformed> {
    /// The schema's `format`; unique to the type.
    const FORMAT: &'static str;
    /// A regular expression that accepts everything the parser accepts.
    const PATTERN: &'static str;
    /// Whether a bare YAML integer is a spelling of it too.
    const INTEGER: bool = false;
}

/// Gives a [`Text`] type its serde and schema faces, all by way of `FromStr` and `Display`.
macro_rules! text_type {
    ($type:ty) => {
        impl<'de> serde::Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                $crate::topology::text::deserialize(deserializer)
            }
        }

        impl serde::Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl schemars::JsonSchema for $type {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> std::borrow::Cow<'static, str> {
                <Self as $crate::topology::text::Text>::FORMAT.into()
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                $crate::topology::text::schema::<Self>()
            }
        }
    };
}
pub(crate) use text_type;

pub fn schema<T: Text>() -> schemars::Schema {
    if T::INTEGER {
        // Every bare number in a topology's scalars is a port, or smaller.
        return schemars::json_schema!({
            "type": ["integer", "string"], "format": T::FORMAT, "pattern": T::PATTERN, "minimum": 1, "maximum": u16::MAX,
        });
    }
    schemars::json_schema!({ "type": "string", "format": T::FORMAT, "pattern": T::PATTERN })
}

pub fn deserialize<'de, T: Text, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
    struct Scalar<T>(std::marker::PhantomData<T>);

    impl<T: Text> Visitor<'_> for Scalar<T> {
        type Value = T;

        fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
            f.write_str(T::FORMAT)
        }

        fn visit_str<E: Error>(self, text: &str) -> Result<T, E> {
            text.parse().map_err(E::custom)
        }

        fn visit_u64<E: Error>(self, number: u64) -> Result<T, E> {
            if T::INTEGER {
                self.visit_str(&number.to_string())
            } else {
                Err(E::invalid_type(serde::de::Unexpected::Unsigned(number), &self))
            }
        }
    }

    deserializer.deserialize_any(Scalar(std::marker::PhantomData))
}

/// Decodes a value that has a short form, one string, and a long one, a map.
pub fn string_or_map<'de, T, S, M, D>(deserializer: D) -> Result<T, D::Error>
where
    S: Text + Into<T>,
    M: DeserializeOwned + Into<T>,
    D: Deserializer<'de>,
{
    struct Either<T, S, M>(std::marker::PhantomData<(T, S, M)>);

    impl<'de, T, S, M> Visitor<'de> for Either<T, S, M>
    where
        S: Text + Into<T>,
        M: DeserializeOwned + Into<T>,
    {
        type Value = T;

        fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
            write!(f, "{} or a map", S::FORMAT)
        }

        fn visit_str<E: Error>(self, text: &str) -> Result<T, E> {
            text.parse::<S>().map(Into::into).map_err(E::custom)
        }

        fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
            M::deserialize(MapAccessDeserializer::new(map)).map(Into::into)
        }
    }

    deserializer.deserialize_any(Either::<T, S, M>(std::marker::PhantomData))
}

/// The schema of a value with a short and a long form.
pub fn string_or_map_schema<S: Text, M: schemars::JsonSchema>(
    generator: &mut schemars::SchemaGenerator,
) -> schemars::Schema {
    schemars::json_schema!({ "anyOf": [schema::<S>(), generator.subschema_for::<M>()] })
}
