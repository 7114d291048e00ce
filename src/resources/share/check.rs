//! Whether a share works: NFS is spoken to its server, from a node, which is the way that pods take.

use std::time::Duration;

use serde_json::Value;

use super::host;
use super::mount::{mount_options, node_folder};
use crate::backend::docker::Snapshot;
use crate::backend::nfs::{self, Direct, Finding, ThroughContainer, Trial};
use crate::engine::Failure;
use crate::plan::Fields;
use crate::resources::base::context::Context;
use crate::resources::base::docker::kind_nodes;
use crate::resources::server::{self, squash};
use crate::topology::{Access, NfsVersion, Share, Via};

/// How a share is tried.
#[derive(Debug, Clone, Copy)]
pub struct How {
    /// Leave a file in it, and remove it again.
    pub write: bool,
    pub limit: Duration,
}

/// What a trial comes to.
#[derive(Debug)]
pub enum Outcome {
    Works,
    Fails(Finding),
    /// No node of the cluster is on this engine, and this machine does not reach what nodes may.
    NotTried(Finding),
}

/// Tries a share with the fields that it is to have, or has.
pub async fn try_out(
    cx: &Context,
    snapshot: &Snapshot,
    share: &Share,
    fields: &Fields<Value>,
    how: How,
) -> Result<Outcome, Failure> {
    let node = kind_nodes::kubernetes_nodes(snapshot, &cx.name).find(|node| node.is_running());
    let write = how.write && share.access == Access::Rw;
    if share.via == Via::Mount {
        let found = match node {
            Some(node) => mounted(cx, &node.id, share, write, how.limit).await,
            None => None,
        };
        return Ok(found.map_or(Outcome::Works, Outcome::Fails));
    }
    let text = |name: &str| fields.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let (host, trial) = (text("server"), trial(share, text("path"), write)?);
    let tried = match node {
        Some(node) => {
            let (docker, container) = (cx.docker.clone(), node.id.clone());
            nfs::check(&ThroughContainer { docker, container, host }, &trial, how.limit).await
        }
        None => nfs::check(&Direct { host }, &trial, how.limit).await,
    };
    let Err(finding) = tried else { return Ok(Outcome::Works) };
    let unreached = ["nothing-listens", "no-route", "no-such-host", "silent", "not-tried"];
    if node.is_none() && unreached.contains(&finding.name) {
        return Ok(Outcome::NotTried(finding));
    }
    Ok(Outcome::Fails(match share.via {
        Via::Server => without_handles(cx, share, finding).await,
        Via::Host | Via::Ssh => host::with_remedy(cx, snapshot, share, finding),
        Via::Auto | Via::Mount | Via::External => finding,
    }))
}

pub fn failure(share: &Share, finding: Finding) -> Failure {
    Failure::new(format!("share `{}` does not work: {}", share.name, finding.name))
        .caused_by(format!("while {}, {}. {}", finding.step, finding.saw, finding.cause))
        .hint(finding.fix)
}

fn trial(share: &Share, path: String, write: bool) -> Result<Trial, Failure> {
    let version = share.nfs_version();
    let ports = share.nfs_ports();
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

/// A folder that Ganesha cannot open by handle is no export of its at all, so that it looks like
/// one that nobody named. Topo did name it.
async fn without_handles(cx: &Context, share: &Share, finding: Finding) -> Finding {
    if finding.name != "no-such-export" {
        return finding;
    }
    let Some(said) = server::complaint(cx, share.name.as_str()).await else { return finding };
    let folder = share.path.as_ref().map_or_else(String::new, |path| format!(" {path}"));
    Finding {
        name: "no-file-handles",
        step: "opening the folder by its handle",
        saw: format!("the server said of{folder}: {said}"),
        cause: "Its file system gives no lasting handles to files, as overlay and some file shares of desktop engines do not.",
        fix: "share a folder on another file system (ext4, xfs, btrfs), or a Docker volume: `volume: NAME` in place of `path`".to_owned(),
    }
}

/// Whether a folder that was mounted when the nodes were made is there, and can be written.
async fn mounted(
    cx: &Context,
    node: &str,
    share: &Share,
    write: bool,
    limit: Duration,
) -> Option<Finding> {
    const THERE: &str = r#"[ -d "$1" ] || { echo "there is no such folder in the node"; exit 1; }"#;
    const WRITES: &str = r#"probe=$(mktemp "$1/.topo-XXXXXX") && rm "$probe""#;
    let script = if write { format!("{THERE}\n{WRITES}") } else { THERE.to_owned() };
    let folder = node_folder(share.name.as_str());
    let command = ["sh", "-ec", &script, "sh", &folder];
    let saw = match tokio::time::timeout(limit, cx.docker.exec(node, &command)).await {
        Ok(Ok(_)) => return None,
        Ok(Err(error)) => error.to_string(),
        Err(_) => format!("no answer within {} s", limit.as_secs()),
    };
    Some(Finding {
        name: "not-mounted",
        step: "looking for the folder in a node",
        saw,
        cause: "The node does not have the folder as it was mounted when the node was made.",
        fix: "see that the folder is still where it was, and that the engine may share it; then restart the nodes".to_owned(),
    })
}
