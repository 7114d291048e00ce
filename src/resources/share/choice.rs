//! Which way each share goes. What the file leaves to topo is decided once, and kept after that.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde_json::Value;

use super::mount::{NODE_FOLDER, node_folder};
use crate::backend::docker::Snapshot;
use crate::engine::Failure;
use crate::resources::base::claim::Claim;
use crate::resources::base::docker::kind_nodes;
use crate::resources::base::ids;
use crate::topology::{Access, Mount, Owner, Propagation, Share, Topology, Via};

/// A topology in which every share has its way, and the nodes have the mounts that follow from it.
#[derive(Debug)]
pub struct Settled {
    pub topology: Topology,
    /// What was chosen now, and why.
    pub chosen: Vec<String>,
}

/// The way of every share, to be kept.
pub fn ways(topology: &Topology) -> BTreeMap<String, Via> {
    topology.shares.iter().map(|share| (share.name.to_string(), share.via)).collect()
}

/// What a choice is made from.
pub struct Ground<'a> {
    pub claim: Option<&'a Claim>,
    pub snapshot: &'a Snapshot,
    /// The machine that the engine is on, where it is not this one.
    pub remote: Option<&'a str>,
}

pub fn settle(mut topology: Topology, ground: &Ground) -> Result<Settled, Failure> {
    let mut chosen = Vec::new();
    let open = topology.shares.iter().enumerate().filter(|(_, share)| share.via == Via::Auto);
    let ways: Vec<(usize, Via)> = open
        .map(|(at, share)| {
            if let Some(kept) = ground.kept(share) {
                return Ok((at, kept));
            }
            let (via, why) = ground.choose(&topology, share)?;
            chosen.push(format!("share `{}` goes `via: {via}`: {why}", share.name));
            Ok((at, via))
        })
        .collect::<Result<_, Failure>>()?;
    for (at, via) in ways {
        topology.shares[at].via = via;
    }
    if let Some(host) = ground.remote {
        topology.shares.iter().try_for_each(|share| within_reach(share, host))?;
    }
    let mounts = mounts(&topology, ground.claim);
    if let Some(cluster) = topology.cluster.as_mut().filter(|cluster| !cluster.exists()) {
        cluster.mounts.extend(mounts);
    }
    Ok(Settled { topology, chosen })
}

impl Ground<'static> {
    /// Before anything is known but the file.
    pub fn nowhere() -> Self {
        static NOTHING: LazyLock<Snapshot> = LazyLock::new(Snapshot::default);
        Self { claim: None, snapshot: &NOTHING, remote: None }
    }
}

impl Ground<'_> {
    fn kept(&self, share: &Share) -> Option<Via> {
        let kept = self.claim?.vias.get(share.name.as_str()).copied()?;
        let serves = share.volume.is_none() || kept == Via::Server;
        serves.then_some(kept)
    }

    fn choose(&self, topology: &Topology, share: &Share) -> Result<(Via, String), Failure> {
        if share.volume.is_some() {
            return Ok((Via::Server, "only a server reaches a Docker volume".to_owned()));
        }
        if let Some(host) = self.remote {
            let ssh = topology.gateway.as_ref().is_some_and(|gateway| gateway.ssh.is_some());
            return if ssh {
                Ok((Via::Ssh, format!("the engine is on another machine, {host}")))
            } else {
                Err(out_of_reach(share, host))
            };
        }
        let made = topology.cluster.as_ref().is_some_and(|cluster| !cluster.exists());
        let name = topology.name.as_str();
        let there = kind_nodes::containers(self.snapshot, name).next().is_some();
        if let Owner::Ids { .. } = share.owner {
            return Ok((Via::Server, format!("only a server writes as {}", share.owner)));
        }
        Ok(if made && !there {
            (Via::Mount, "the cluster is being made, on this machine".to_owned())
        } else {
            (
                Via::Server,
                "the cluster is there already, and mounts are given when it is made".into(),
            )
        })
    }
}

/// Folders of this machine are not on another one.
fn within_reach(share: &Share, host: &str) -> Result<(), Failure> {
    let here = match share.via {
        Via::Mount | Via::Host => true,
        Via::Server => share.path.is_some(),
        Via::Auto | Via::Ssh | Via::External => false,
    };
    if here { Err(out_of_reach(share, host)) } else { Ok(()) }
}

fn out_of_reach(share: &Share, host: &str) -> Failure {
    Failure::new(format!(
        "share `{}`: the engine is on another machine, {host}, which has no folders of this one",
        share.name
    ))
    .hint("`via: ssh` with `gateway: { ssh: … }` carries a folder there; `via: server` with `volume` keeps it there; `via: external` names a server that both reach")
}

/// The mounts of shares by `via: mount`. One that is no longer asked for stays, since taking it away
/// would mean another cluster.
fn mounts(topology: &Topology, claim: Option<&Claim>) -> Vec<Mount> {
    let mut wanted: Vec<Mount> = topology.shares.iter().filter_map(mount).collect();
    let mut mounts: Vec<Mount> = given(topology, claim)
        .into_iter()
        .map(|given| {
            let same = |mount: &Mount| mount.container_path == given.container_path;
            match wanted.iter().position(same) {
                Some(at) => wanted.remove(at),
                None => given,
            }
        })
        .collect();
    mounts.extend(wanted);
    mounts
}

fn mount(share: &Share) -> Option<Mount> {
    let path = share.path.as_ref().filter(|_| share.via == Via::Mount)?;
    Some(Mount {
        host_path: path.clone(),
        container_path: node_folder(share.name.as_str()).parse().ok()?,
        read_only: share.access == Access::Ro,
        propagation: Propagation::default(),
        selinux_relabel: false,
    })
}

/// Those that the nodes have been made with.
fn given(topology: &Topology, claim: Option<&Claim>) -> Vec<Mount> {
    let record = claim.and_then(|claim| claim.records.get(&ids::cluster(topology.name.as_str())));
    let mounts = record
        .and_then(|record| record.fields.get("config")?.pointer("/controlPlane/extraMounts"))
        .and_then(Value::as_array);
    mounts.into_iter().flatten().filter_map(read_mount).collect()
}

fn read_mount(mount: &Value) -> Option<Mount> {
    let inside = mount["containerPath"].as_str()?;
    let of_a_share = inside.strip_prefix(NODE_FOLDER)?.starts_with('/');
    of_a_share.then_some(())?;
    Some(Mount {
        host_path: mount["hostPath"].as_str()?.parse().ok()?,
        container_path: inside.parse().ok()?,
        read_only: mount["readOnly"].as_bool().unwrap_or_default(),
        propagation: Propagation::default(),
        selinux_relabel: false,
    })
}

/// The shares whose mounts the nodes were not made with, as the file has them now.
pub fn unmounted<'a>(topology: &'a Topology, claim: Option<&Claim>) -> Vec<&'a Share> {
    let given = given(topology, claim);
    let is_given = |share: &Share| {
        mount(share).is_none_or(|mount| given.iter().any(|given| is_same(given, &mount)))
    };
    topology.shares.iter().filter(|share| !is_given(share)).collect()
}

/// One that was given is written out, where the file may have `~`.
fn is_same(one: &Mount, other: &Mount) -> bool {
    one.container_path == other.container_path
        && one.host_path.path() == other.host_path.path()
        && one.read_only == other.read_only
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::plan::{Fields, Record};
    use crate::resources::cluster::fixed_config;

    fn topology(shares: Value) -> Topology {
        serde_json::from_value(json!({ "name": "dev", "cluster": {}, "shares": shares }))
            .expect("a topology")
    }

    fn settled(shares: Value, claim: Option<&Claim>, remote: Option<&str>) -> Settled {
        let ground = Ground { claim, snapshot: &Snapshot::default(), remote };
        settle(topology(shares), &ground).expect("settles")
    }

    /// A claim that was written when this topology had been applied.
    fn claim(applied: &Settled) -> Claim {
        let topology = &applied.topology;
        let mut claim = Claim::new("dev", "/topo.yaml");
        let config = fixed_config(
            topology,
            topology.cluster.as_ref().expect("a cluster"),
            &crate::topology::Secret::value,
        );
        let record = Record { fields: Fields::new().with("config", config), ..Record::default() };
        claim.records.insert(ids::cluster("dev"), record);
        claim.vias = ways(topology);
        claim
    }

    #[test]
    fn a_folder_is_mounted_where_the_cluster_is_to_be_made_and_that_is_kept() {
        let first = settled(json!([{ "name": "docs", "path": "/docs" }]), None, None);
        assert_eq!(first.topology.shares[0].via, Via::Mount);
        assert_eq!(first.chosen.len(), 1);
        let mounts = &first.topology.cluster.as_ref().expect("a cluster").mounts;
        assert_eq!(mounts[0].container_path.to_string(), "/var/lib/topo/shares/docs");
        let claim = claim(&first);
        let again = settled(json!([{ "name": "docs", "path": "/docs" }]), Some(&claim), None);
        assert_eq!(again.topology, first.topology);
        assert!(again.chosen.is_empty());
    }

    #[test]
    fn a_mount_that_is_no_longer_asked_for_stays_in_its_place() {
        let both = json!([
            { "name": "a", "path": "/a", "via": "mount" },
            { "name": "b", "path": "/b", "via": "mount" },
        ]);
        let before = settled(both, None, None);
        let claim = claim(&before);
        let after =
            settled(json!([{ "name": "b", "path": "/b", "via": "mount" }]), Some(&claim), None);
        assert_eq!(after.topology.cluster, before.topology.cluster);
        assert!(unmounted(&after.topology, Some(&claim)).is_empty());
    }

    #[test]
    fn another_folder_is_another_mount() {
        let before = settled(json!([{ "name": "a", "path": "/a", "via": "mount" }]), None, None);
        let claim = claim(&before);
        let after =
            settled(json!([{ "name": "a", "path": "/b", "via": "mount" }]), Some(&claim), None);
        assert_ne!(after.topology.cluster, before.topology.cluster);
        assert_eq!(unmounted(&after.topology, Some(&claim)).len(), 1);
    }

    #[test]
    fn what_the_share_asks_for_decides_its_way() {
        let refused = |via: &str| {
            let shares = json!([{ "name": "docs", "path": "/docs", "via": via }]);
            let ground =
                Ground { claim: None, snapshot: &Snapshot::default(), remote: Some("far") };
            settle(topology(shares), &ground).is_err()
        };
        assert!(refused("mount") && refused("server") && refused("host") && refused("auto"));
        let as_another = json!([{ "name": "docs", "path": "/docs", "owner": "7:8" }]);
        assert_eq!(settled(as_another, None, None).topology.shares[0].via, Via::Server);
        let volume = json!([{ "name": "docs", "volume": "docs" }]);
        assert_eq!(settled(volume, None, Some("far")).topology.shares[0].via, Via::Server);
    }
}
