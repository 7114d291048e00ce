//! What was applied, as written on the thing itself.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Bond, Fields, Id, Resource, Want};

/// The newest format that this topo reads and the only one it writes.
pub const FORMAT: u32 = 1;

const HASHED: &str = "hmac-sha256:";

/// Written in the labels of containers, networks and volumes, in annotations of objects, and in claims.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Record {
    pub format: u32,
    /// The fields that were applied; a secret as its keyed hash.
    #[serde(default, skip_serializing_if = "Fields::is_empty")]
    pub fields: Fields<Value>,
    /// For fields that another resource gave: which one, and its output.
    #[serde(default, skip_serializing_if = "Fields::is_empty")]
    pub inputs: Fields<String>,
    /// What it needed, so that it can be removed in order when the file no longer names it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub needs: Vec<Bond>,
    /// The file asked that it never be replaced or deleted.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub protect: bool,
}

impl Record {
    /// The record of a resource whose fields have come to have these values.
    pub fn of(resource: &Resource, values: &Fields<Value>, key: &SecretKey) -> Self {
        let mut record = Self {
            format: FORMAT,
            needs: resource.bonds.clone(),
            protect: resource.protect,
            ..Self::default()
        };
        for (name, want) in resource.fields.iter() {
            let Some(value) = values.get(name) else {
                continue;
            };
            let value = match want {
                Want::Secret(_) => Value::String(key.hash(value)),
                Want::Is(_) | Want::Auto | Want::After(..) => value.clone(),
            };
            record.fields.set(name.clone(), value);
            if let Want::After(giver, output) = want {
                record.inputs.set(name.clone(), input_of(giver, output));
                if !record.needs.iter().any(|bond| bond.id() == giver) {
                    record.needs.push(Bond::Uses(giver.clone()));
                }
            }
        }
        record
    }

    /// Written by a topo newer than this one, so its meaning cannot be known here.
    pub fn is_from_the_future(&self) -> bool {
        self.format > FORMAT
    }

    /// What the resource lived in when it was applied.
    pub fn holders(&self) -> impl Iterator<Item = &Id> {
        self.needs.iter().filter(|bond| bond.is_held()).map(Bond::id)
    }
}

/// How a record names the output that a field was given.
pub fn input_of(giver: &Id, output: &str) -> String {
    format!("{giver}#{output}")
}

/// Hashes secrets so that a record tells whether one changed without telling what it is.
///
/// The key is the topology's own, so that equal secrets of two topologies do not look equal.
#[derive(Clone)]
pub struct SecretKey(Box<[u8]>);

impl SecretKey {
    pub fn new(key: &[u8]) -> Self {
        Self(key.into())
    }

    pub fn hash(&self, value: &Value) -> String {
        use hmac::{Hmac, Mac};
        let mut mac = <Hmac<sha2::Sha256> as Mac>::new_from_slice(&self.0)
            .expect("HMAC takes keys of every length");
        mac.update(value.to_string().as_bytes());
        format!("{HASHED}{:x}", mac.finalize().into_bytes())
    }

    /// Whether a recorded value is the hash of a secret, so that not even that is shown.
    pub fn made(value: &Value) -> bool {
        value.as_str().is_some_and(|text| text.starts_with(HASHED))
    }
}
