//! What topo would hand to other programs, as far as it is known before anything is made.

use serde_json::Value;

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

impl Rendered {
    /// One file of them; none where there are none.
    pub fn objects(name: &str, objects: Vec<Value>) -> Vec<Self> {
        if objects.is_empty() {
            return Vec::new();
        }
        vec![Self { name: name.to_owned(), content: Content::Objects(objects) }]
    }

    pub fn text(name: impl Into<String>, text: String) -> Self {
        Self { name: name.into(), content: Content::Text(text) }
    }
}
