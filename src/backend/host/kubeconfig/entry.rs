//! The entry of one cluster: what is written, and what it is known again by.

use serde::{Deserialize, Serialize};
use serde_json::json;
use serde_yaml::Value;
use sha2::{Digest, Sha256};

use super::splice::{Document, Refusal};
use super::tree::Node;

/// The three parts of an entry, under one name.
#[derive(Debug, Clone)]
pub struct Entry {
    pub(super) name: String,
    parts: [(&'static str, Value); 3],
}

/// What an entry is known by, without its key: digests of the server with its authority, and of the
/// client's certificate. No two clusters have the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    pub cluster: String,
    pub user: String,
}

impl Mark {
    /// Whether a part with this digest says what was marked; a context says no more than names.
    pub(super) fn has(&self, list: &str, digest: &str) -> bool {
        match list {
            "clusters" => self.cluster == digest,
            "users" => self.user == digest,
            _ => true,
        }
    }
}

/// What was written into one file, as the claim tells it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Written {
    #[serde(flatten)]
    pub mark: Mark,
    /// The file was not there before.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub made: bool,
}

/// Whose a part of an entry is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Whose {
    /// Topo's, which may be of an earlier cluster.
    Mine {
        digest: String,
    },
    Foreign {
        line: usize,
    },
}

impl Entry {
    /// The one of a cluster's own kubeconfig, under another name.
    pub fn named(name: &str, own: &Value) -> Result<Self, String> {
        let part = |list: &str, key: &str| {
            let first = own.get(list).and_then(|all| all.get(0)).and_then(|first| first.get(key));
            first.cloned().ok_or_else(|| format!("the cluster's own has no `{list}`"))
        };
        let cluster = part("clusters", "cluster")?;
        let user = part("users", "user")?;
        Ok(Self::new(name, cluster, user))
    }

    /// One to try whether an entry can be written.
    pub fn stand_in(name: &str) -> Self {
        let empty = || Value::Mapping(serde_yaml::Mapping::new());
        Self::new(name, empty(), empty())
    }

    fn new(name: &str, cluster: Value, user: Value) -> Self {
        let part = |key: &str, value: Value| {
            let mut part = serde_yaml::Mapping::new();
            part.insert(key.into(), value);
            part.insert("name".into(), name.into());
            Value::Mapping(part)
        };
        let context = serde_yaml::to_value(json!({ "cluster": name, "user": name }));
        let parts = [
            ("clusters", part("cluster", cluster)),
            ("contexts", part("context", context.unwrap_or_default())),
            ("users", part("user", user)),
        ];
        Self { name: name.to_owned(), parts }
    }

    /// A whole kubeconfig of nothing else.
    pub fn document(&self) -> Value {
        let mut document = serde_yaml::Mapping::new();
        document.insert("apiVersion".into(), "v1".into());
        document.insert("kind".into(), "Config".into());
        for (list, part) in self.parts() {
            document.insert(list.into(), Value::Sequence(vec![part.clone()]));
        }
        document.insert("current-context".into(), self.name.as_str().into());
        Value::Mapping(document)
    }

    pub(super) fn parts(&self) -> impl Iterator<Item = (&'static str, &Value)> {
        self.parts.iter().map(|(list, part)| (*list, part))
    }

    pub fn mark(&self) -> Mark {
        let text = |part: usize, key: &str, field: &str| {
            self.parts[part].1.get(key)?.get(field)?.as_str().map(str::to_owned)
        };
        Mark {
            cluster: digest(&[
                text(0, "cluster", "server").as_deref(),
                text(0, "cluster", AUTHORITY).as_deref(),
            ]),
            user: digest(&[text(2, "user", CERTIFICATE).as_deref()]),
        }
    }
}

const AUTHORITY: &str = "certificate-authority-data";
const CERTIFICATE: &str = "client-certificate-data";

fn digest(texts: &[Option<&str>]) -> String {
    let mut hash = Sha256::new();
    for text in texts {
        hash.update(text.unwrap_or_default());
        hash.update("\n");
    }
    format!("sha256:{:x}", hash.finalize())
}

/// Whose the part of that name in a list of a file is, by the marks of topo's entries.
pub fn whose(
    document: &Document,
    list: &str,
    name: &str,
    mine: &[Mark],
) -> Result<Option<Whose>, Refusal> {
    let Some(entry) = document.entry(list, name)? else { return Ok(None) };
    let text = |key: &str, field: &str| entry.get(key)?.get(field).and_then(Node::scalar);
    let (digest, is_mine) = match list {
        "clusters" => {
            let digest = digest(&[text("cluster", "server"), text("cluster", AUTHORITY)]);
            let is_mine = mine.iter().any(|mark| mark.cluster == digest);
            (digest, is_mine)
        }
        "users" => {
            let digest = digest(&[text("user", CERTIFICATE)]);
            let is_mine = mine.iter().any(|mark| mark.user == digest);
            (digest, is_mine)
        }
        _ => {
            let leads_to = |key| text("context", key) == Some(name);
            (String::new(), leads_to("cluster") && leads_to("user"))
        }
    };
    Ok(Some(if is_mine { Whose::Mine { digest } } else { Whose::Foreign { line: entry.line } }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_is_a_kubeconfig_of_the_entry_alone() {
        let own = json!({
            "clusters": [{ "name": "dev", "cluster": { "server": "https://127.0.0.1:6443" } }],
            "users": [{ "name": "kubernetes-admin", "user": { "client-key-data": "QUFB" } }],
        });
        let own = serde_yaml::to_value(own).expect("YAML");
        let entry = Entry::named("kind-dev", &own).expect("has both");
        let text = serde_yaml::to_string(&entry.document()).expect("can be written");
        let document = Document::read(&text).expect("a kubeconfig");
        assert_eq!(document.current_context(), Some("kind-dev"));
        for list in ["clusters", "contexts", "users"] {
            assert!(document.entry(list, "kind-dev").expect("readable").is_some(), "{list}");
        }
    }
}
