//! Seals: what a record keeps in the place of a secret.
//!
//! A seal tells whether a secret changed without telling what it is. Secrets are sealed before a
//! resource is described, so that nothing here, in records, in plans or in what is shown of them
//! ever holds one.

use std::fmt::Write;

use serde_json::Value;

/// What is shown in place of a secret.
pub const MASK: &str = "(sensitive)";

const SEAL: &str = "hmac-sha256:";

/// How much of its name a key leaves in its seals: enough to tell it from another.
const NAME_LENGTH: usize = 4;

/// What secrets are sealed with. The key is the topology's own, so that equal secrets of two
/// topologies do not look equal.
#[derive(Clone)]
pub struct SecretKey(Box<[u8]>);

/// How a recorded value is to a wanted one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Likeness {
    Same,
    Other,
    /// The same secret, recorded in the clear by a topo before this one; or sealed with a key that
    /// is not here, which cannot be compared. It is to be sealed again, and nothing more follows.
    Unsealed,
}

impl SecretKey {
    pub fn new(key: &[u8]) -> Self {
        Self(key.into())
    }

    /// What stands for a secret from here on, or for what was made of one: the digest of an object
    /// that holds one.
    pub fn seal(&self, secret: &str) -> Value {
        format!("{SEAL}{}:{}", self.name(), self.digest(secret)).into()
    }

    fn digest(&self, text: &str) -> String {
        hex(&self.hmac(Value::from(text).to_string().as_bytes()))
    }

    /// No secret has the digest of nothing: what is digested is quoted.
    fn name(&self) -> String {
        hex(&self.hmac(b"")[..NAME_LENGTH])
    }

    fn hmac(&self, message: &[u8]) -> Vec<u8> {
        use hmac::{Hmac, Mac};
        let mut mac = <Hmac<sha2::Sha256> as Mac>::new_from_slice(&self.0)
            .expect("HMAC takes keys of every length");
        mac.update(message);
        mac.finalize().into_bytes().to_vec()
    }

    /// Of two values that are no lists and no maps.
    pub(super) fn likeness(&self, recorded: &Value, wanted: &Value) -> Likeness {
        if recorded == wanted {
            return Likeness::Same;
        }
        let Some(wanted) = Seal::read(wanted) else { return Likeness::Other };
        let alike = match Seal::read(recorded) {
            Some(recorded) if recorded.digest == wanted.digest => return Likeness::Same,
            Some(recorded) => recorded.key.is_some() && recorded.key != wanted.key,
            None => self.digest(&as_text(recorded)) == wanted.digest,
        };
        if alike { Likeness::Unsealed } else { Likeness::Other }
    }
}

struct Seal<'a> {
    /// Seals of the first topos do not name their key.
    key: Option<&'a str>,
    digest: &'a str,
}

impl<'a> Seal<'a> {
    fn read(value: &'a Value) -> Option<Self> {
        let seal = value.as_str()?.strip_prefix(SEAL)?;
        Some(match seal.split_once(':') {
            Some((key, digest)) => Self { key: Some(key), digest },
            None => Self { key: None, digest: seal },
        })
    }
}

pub(super) fn is_seal(value: &Value) -> bool {
    Seal::read(value).is_some()
}

/// The value with masks in the place of seals, which are not shown either.
pub fn masked(value: &Value) -> Value {
    match value {
        seal if is_seal(seal) => MASK.into(),
        Value::Array(items) => items.iter().map(masked).collect(),
        Value::Object(fields) => {
            fields.iter().map(|(name, field)| (name.clone(), masked(field))).collect()
        }
        other => other.clone(),
    }
}

fn as_text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn seal(key: &[u8], text: &str) -> Value {
        SecretKey::new(key).seal(text)
    }

    #[test]
    fn a_seal_is_compared_with_seals_and_with_what_older_topos_recorded() {
        let key = SecretKey::new(b"one");
        let wanted = seal(b"one", "5432");
        let unnamed = wanted.as_str().expect("text").rsplit_once(':').expect("a digest").1;
        for (recorded, likeness) in [
            (wanted.clone(), Likeness::Same),
            (format!("hmac-sha256:{unnamed}").into(), Likeness::Same),
            (json!("5432"), Likeness::Unsealed),
            (json!(5432), Likeness::Unsealed),
            (seal(b"two", "5432"), Likeness::Unsealed),
            (seal(b"one", "5433"), Likeness::Other),
            (json!("5433"), Likeness::Other),
        ] {
            assert_eq!(key.likeness(&recorded, &wanted), likeness, "{recorded}");
        }
        assert_eq!(key.likeness(&wanted, &json!("open")), Likeness::Other);
    }

    #[test]
    fn equal_secrets_of_two_topologies_do_not_look_equal() {
        let digest = |seal: Value| seal.to_string().rsplit_once(':').map(|(_, it)| it.to_owned());
        assert_ne!(digest(seal(b"one", "hunter2")), digest(seal(b"two", "hunter2")));
    }

    #[test]
    fn seals_are_masked_wherever_they_are() {
        let value = json!({ "a": [seal(b"k", "x"), 1], "b": "open" });
        assert_eq!(masked(&value), json!({ "a": [MASK, 1], "b": "open" }));
    }
}
