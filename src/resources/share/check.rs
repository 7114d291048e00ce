//! Whether a share works: NFS is spoken to its server, from a node, which is the way that pods take.

use std::time::Duration;

use serde_json::Value;

use super::super::{Context, cluster, server};
use super::layout::{mount_options, node_folder, ports, version};
use super::squash;
use crate::backend::docker::Snapshot;
use crate::backend::nfs::{self, Direct, Finding, ThroughContainer, Trial};
use crate::engine::Failure;
use crate::plan::{Fields, Id};
use crate::topology::{Access, NfsVersion, Share, Via};

/// What a share could not do, and where from it was tried.
#[derive(Debug)]
pub struct Trouble {
    pub share: String,
    pub finding: Finding,
    /// Nodes may reach what this machine does not.
    pub from_here: bool,
}

impl From<Trouble> for Failure {
    fn from(trouble: Trouble) -> Self {
        let Trouble { share, finding, .. } = trouble;
        Self::new(format!("share `{share}` does not work: {}", finding.name))
            .caused_by(format!("while {}, {}. {}", finding.step, finding.saw, finding.cause))
            .hint(finding.fix)
    }
}

/// Tries a share with the fields that it is to have, or has. `write` leaves a file and removes it.
pub async fn try_out(
    cx: &Context,
    share: &Share,
    fields: &Fields<Value>,
    write: bool,
    limit: Duration,
) -> Result<(), Failure> {
    let snapshot = cx.snapshot().await?;
    let node = cluster::kubernetes_nodes(&snapshot, &cx.name).find(|node| node.is_running());
    let write = write && share.access == Access::Rw;
    if share.via == Via::Mount {
        return match node {
            Some(node) => mounted(cx, &node.id, share, write, limit).await,
            None => Ok(()),
        };
    }
    let text = |name: &str| fields.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let host = text("server");
    let trial = trial(share, text("path"), write)?;
    let from_here = node.is_none();
    let outcome = match node {
        Some(node) => {
            let docker = cx.docker.clone();
            let dial = ThroughContainer { docker, container: node.id.clone(), host };
            nfs::check(&dial, &trial, limit).await
        }
        None => nfs::check(&Direct { host }, &trial, limit).await,
    };
    match outcome {
        Ok(_) => Ok(()),
        Err(finding) => {
            let finding = without_handles(cx, share, finding).await;
            Err(Trouble { share: share.name.to_string(), finding, from_here }.into())
        }
    }
}

fn trial(share: &Share, path: String, write: bool) -> Result<Trial, Failure> {
    let version = version(share);
    let ports = ports(share);
    let expected_owner = match share.via {
        Via::External => None,
        _ => Some(squash(share)?.unwrap_or((0, 0))),
    };
    let locks = version == NfsVersion::V3 && !mount_options(share).iter().any(|it| it == "nolock");
    Ok(Trial {
        port: ports.nfs,
        mount_port: ports.mount,
        write,
        expected_owner: expected_owner.filter(|_| write),
        tunnelled: share.via == Via::Ssh,
        locks,
        ..Trial::new(path, version)
    })
}
