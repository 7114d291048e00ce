//! What was applied, as written on the thing itself.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Bond, Fields, Id, Resource, Want};

/// The newest format that this topo reads and the only one it writes.
pub const FORMAT: u32 = 1;

/// Written in the labels of containers, networks and volumes, in annotations of objects, and in claims.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Record {
    pub format: u32,
    /// Secrets are in it as seals alone. Topos before this one wrote some in the clear.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub sealed: bool,
    /// The fields that were applied.
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
    pub fn of(resource: &Resource, values: &Fields<Value>) -> Self {
        let mut record = Self {
            format: FORMAT,
            sealed: true,
            needs: resource.bonds.clone(),
            protect: resource.protect,
            ..Self::default()
        };
        for (name, want) in resource.fields.iter() {
            let Some(value) = values.get(name) else {
                continue;
            };
            record.fields.set(name.clone(), value.clone());
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
