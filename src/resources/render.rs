//! What topo would hand to other programs, as far as it is known before anything is made.

use serde_json::Value;

use crate::engine::Failure;
use crate::resources::base::kube::objects::Objects;
use crate::resources::cluster::kind_config;
use crate::resources::{Ingredients, connector, gateway, node, pool, server, share, tunnel};

/// A part of what can be rendered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The configuration that kind is given.
    Kind,
    /// MetalLB's pools and how they are announced.
    Metallb,
    /// The objects of the manifests, templates filled in.
    Manifests,
    /// What the gateway's image is built from, and the files put into it.
    Gateway,
    /// Volumes and claims of shares.
    Shares,
    /// The lines that this machine's exports file needs.
    Exports,
    /// The lines that this machine's nfs.conf needs.
    NfsConf,
    /// What the NFS server's image is built from, and the files put into it.
    Ganesha,
    /// The settings that each tunnel's ssh is run with.
    SshConfig,
    /// The settings of docker-connector on the host.
    Connector,
}

/// One rendered file.
#[derive(Debug, Clone, PartialEq)]
pub struct Rendered {
    pub name: String,
    pub content: Content,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Content {
    /// Kubernetes objects or kind's configuration.
    Objects(Vec<Value>),
    Text(String),
}

impl Part {
    pub const ALL: [Self; 10] = [
        Self::Kind,
        Self::Metallb,
        Self::Manifests,
        Self::Gateway,
        Self::Shares,
        Self::Exports,
        Self::NfsConf,
        Self::Ganesha,
        Self::SshConfig,
        Self::Connector,
    ];
}

pub fn render(
    from: &Ingredients,
    part: Part,
    show_secrets: bool,
) -> Result<Vec<Rendered>, Failure> {
    let one = |name: &str, objects: Vec<Value>| {
        let rendered = Rendered { name: name.to_owned(), content: Content::Objects(objects) };
        if matches!(&rendered.content, Content::Objects(objects) if objects.is_empty()) {
            Vec::new()
        } else {
            vec![rendered]
        }
    };
    Ok(match part {
        Part::Kind => one("kind", kind(from)),
        Part::Metallb => one("metallb", pool::rendered(from.topology)),
        Part::Manifests => one("manifests", manifests(from.objects, show_secrets)),
        Part::Gateway => gateway::rendered(from.topology, from.templates)
            .map_err(|error| Failure::because("cannot render the gateway", &error))?
            .into_iter()
            .map(|(name, text)| Rendered {
                name: format!("gateway/{name}"),
                content: Content::Text(text),
            })
            .collect(),
        Part::Shares => one("shares", share::rendered(from)),
        Part::Exports => texts([("exports", share::rendered_exports(from)?.0)]),
        Part::NfsConf => texts([("nfs.conf", share::rendered_exports(from)?.1)]),
        Part::Ganesha => {
            texts(server::rendered(from)?.into_iter().map(|(name, text)| (name, Some(text))))
        }
        Part::SshConfig => tunnel::rendered(from)?
            .into_iter()
            .map(|(name, text)| Rendered {
                name: format!("ssh-config/{name}"),
                content: Content::Text(text),
            })
            .collect(),
        Part::Connector => connector::rendered(from.topology, from.templates, from.snapshot)
            .map_err(|error| Failure::because("cannot render the connector", &error))?
            .into_iter()
            .map(|text| Rendered {
                name: "docker-connector.conf".to_owned(),
                content: Content::Text(text),
            })
            .collect(),
    })
}

fn texts(files: impl IntoIterator<Item = (impl ToString, Option<String>)>) -> Vec<Rendered> {
    let files = files.into_iter().filter_map(|(name, text)| Some((name, text?)));
    files
        .map(|(name, text)| Rendered { name: name.to_string(), content: Content::Text(text) })
        .collect()
}

fn kind(from: &Ingredients) -> Vec<Value> {
    let Some(cluster) = from.topology.cluster.as_ref().filter(|cluster| !cluster.exists()) else {
        return Vec::new();
    };
    let workers = node::workers(from.topology, from.claim);
    vec![kind_config::whole(from.topology, cluster, &workers)]
}

fn manifests(objects: &Objects, show_secrets: bool) -> Vec<Value> {
    let manifests = &objects.manifests;
    manifests
        .objects
        .iter()
        .map(|object| {
            let mut body = manifests.body(object);
            if object.secret && !show_secrets {
                mask(&mut body);
            }
            body
        })
        .collect()
}

/// Everything but what names the object.
fn mask(body: &mut Value) {
    let Some(fields) = body.as_object_mut() else { return };
    for (name, field) in fields.iter_mut() {
        if !matches!(name.as_str(), "apiVersion" | "kind" | "metadata" | "type") {
            mask_words(field);
        }
    }
    // What kubectl keeps of an earlier version holds the whole object.
    if let Some(annotations) = body.pointer_mut("/metadata/annotations") {
        mask_words(annotations);
    }
}

fn mask_words(value: &mut Value) {
    match value {
        Value::Object(fields) => fields.values_mut().for_each(mask_words),
        Value::Array(items) => items.iter_mut().for_each(mask_words),
        Value::String(text) => "(sensitive)".clone_into(text),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_masked_object_keeps_its_name_and_its_keys() {
        let mut secret = json!({
            "apiVersion": "v1", "kind": "Secret", "type": "Opaque",
            "metadata": { "name": "db", "annotations": { "last": "hunter2" } },
            "stringData": { "password": "hunter2", "hosts": ["hunter2"] },
        });
        mask(&mut secret);
        assert_eq!(
            secret,
            json!({
                "apiVersion": "v1", "kind": "Secret", "type": "Opaque",
                "metadata": { "name": "db", "annotations": { "last": "(sensitive)" } },
                "stringData": { "password": "(sensitive)", "hosts": ["(sensitive)"] },
            })
        );
    }
}
