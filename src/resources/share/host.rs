//! `via: host` and `ssh`: the NFS server of this machine. What it must be told is rendered and
//! compared, and never written where it counts: that takes root, and a person.

use std::collections::BTreeMap;

use super::exports::{Export, entry_of};
use crate::backend::docker::Snapshot;
use crate::backend::host;
use crate::backend::nfs::Finding;
use crate::engine::Failure;
use crate::plan::Want;
use crate::resources::base::context::Context;
use crate::resources::base::docker::networks;
use crate::resources::base::ids;
use crate::resources::base::kind::Ingredients;
use crate::resources::server::squash;
use crate::topology::{NfsSystem, Share, Topology, Via};

/// The rendered files, in the topology's folder.
const EXPORTS: &str = "exports";
const SETTINGS: &str = "nfs.conf";

/// Where nodes find this machine: by the name that desktop engines give it, or as the host's end
/// of the network.
pub fn address(topology: &Topology) -> Want {
    if cfg!(target_os = "macos") {
        return Want::is("host.docker.internal");
    }
    match topology.network.ipv4_subnet() {
        Some(subnet) => Want::is(topology.network.gateway_in(subnet).to_string()),
        None => Want::After(ids::network(topology), "gateway"),
    }
}

fn is_ours(share: &Share) -> bool {
    matches!(share.via, Via::Host | Via::Ssh)
}

/// The export of one share; none where it is another server's.
fn export<'a>(
    topology: &Topology,
    share: &'a Share,
    snapshot: &Snapshot,
) -> Result<Option<Export<'a>>, Failure> {
    let Some(path) = share.path.as_ref().filter(|_| is_ours(share)) else { return Ok(None) };
    let system = share.nfs_system();
    Ok(Some(Export {
        path: path.path(),
        system,
        clients: clients(topology, share, system, snapshot)?,
        access: share.access,
        squash: squash(share)?,
        mount_port: share.nfs_ports().mount,
    }))
}

/// Those of the file, or whoever comes by this way: the end of a tunnel, the proxy of a desktop
/// engine, or the nodes themselves.
fn clients(
    topology: &Topology,
    share: &Share,
    system: NfsSystem,
    snapshot: &Snapshot,
) -> Result<Vec<String>, Failure> {
    let written = share.nfs.iter().flat_map(|nfs| &nfs.clients);
    let written: Vec<String> = written.map(ToString::to_string).collect();
    if !written.is_empty() {
        return Ok(written);
    }
    let client = match (system, share.via) {
        (NfsSystem::Macos, _) => "localhost".to_owned(),
        (NfsSystem::Linux, Via::Ssh) => "127.0.0.1".to_owned(),
        (NfsSystem::Linux, _) => networks::subnet(topology, snapshot)
            .ok_or_else(|| {
                Failure::new("the export names the network's subnet, which topo has not chosen yet")
                    .hint("write `network: { subnet: … }`, or `nfs: { clients: […] }` at the share")
            })?
            .to_string(),
    };
    Ok(vec![client])
}

fn lines(topology: &Topology, snapshot: &Snapshot) -> Result<(Vec<String>, Vec<String>), Failure> {
    let (mut exports, mut settings) = (Vec::new(), Vec::new());
    for share in &topology.shares {
        let Some(export) = export(topology, share, snapshot)? else { continue };
        exports.push(export.line());
        for line in export.settings() {
            if !settings.contains(&line) {
                settings.push(line);
            }
        }
    }
    Ok((exports, settings))
}

/// The lines of the exports file, and those of nfs.conf, as files.
pub fn rendered(from: &Ingredients) -> Result<(Option<String>, Option<String>), Failure> {
    let (exports, settings) = lines(from.topology, from.snapshot)?;
    let file = |lines: Vec<String>| (!lines.is_empty()).then(|| lines.join("\n") + "\n");
    Ok((file(exports), file(settings)))
}

/// Puts them into the topology's folder, from where a person brings them to their places.
pub async fn write(cx: &Context, topology: &Topology) -> Result<(), Failure> {
    let (exports, settings) = lines(topology, &cx.snapshot().await?)?;
    for (name, lines) in [(EXPORTS, exports), (SETTINGS, settings)] {
        if !lines.is_empty() {
            let text = lines.join("\n") + "\n";
            cx.state.write(name, text.as_bytes()).map_err(|error| {
                Failure::because("cannot write what the NFS server must be told", &error)
            })?;
        }
    }
    Ok(())
}

/// What the exports of this machine say of each share by `via: host` now.
pub fn entries(topology: &Topology) -> BTreeMap<String, Option<String>> {
    let shares: Vec<&Share> =
        topology.shares.iter().filter(|share| share.via == Via::Host).collect();
    if shares.is_empty() {
        return BTreeMap::new();
    }
    let files = host::exports();
    let entry = |share: &Share| share.path.as_ref().and_then(|it| entry_of(it.path(), &files));
    shares.into_iter().map(|share| (share.name.to_string(), entry(share))).collect()
}

pub fn entry(share: &Share) -> Option<String> {
    entry_of(share.path.as_ref()?.path(), &host::exports())
}

/// Says beside a finding what to run where this machine's exports are not as they should be.
pub fn with_remedy(
    cx: &Context,
    snapshot: &Snapshot,
    share: &Share,
    mut finding: Finding,
) -> Finding {
    // No export would change these.
    let elsewhere = ["no-route", "no-such-host", "no-space", "not-tried", "server-busy", "silent"];
    if !elsewhere.contains(&finding.name)
        && let Some(remedy) = remedy(cx, snapshot, share)
    {
        finding.fix = format!("{}; {remedy}", finding.fix);
    }
    finding
}

/// What to run, as root, where this machine does not export the share as it should.
fn remedy(cx: &Context, snapshot: &Snapshot, share: &Share) -> Option<String> {
    let topology = cx.topology().ok()?;
    let export = export(topology, share, snapshot).ok()??;
    let line = export.line();
    let wanted = entry_of(export.path, std::slice::from_ref(&line));
    if entry_of(export.path, &host::exports()) == wanted {
        return None;
    }
    let file = |name: &str| cx.state.file(name).display().to_string();
    let command = match export.system {
        NfsSystem::Linux => format!(
            "sudo install -Dm644 {} /etc/exports.d/topo-{}.exports && sudo exportfs -ra",
            file(EXPORTS),
            topology.name
        ),
        NfsSystem::Macos => format!(
            "sudo sh -c 'cat \"{}\" >>/etc/exports; cat \"{}\" >>/etc/nfs.conf; nfsd enable; nfsd restart'",
            file(EXPORTS),
            file(SETTINGS)
        ),
    };
    Some(format!("this machine's exports do not have `{line}`; run `{command}`"))
}
