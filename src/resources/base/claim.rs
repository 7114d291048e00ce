//! Claims: what a topology made or reserved, written where nothing else could carry it.
//!
//! kind's nodes bear kind's labels and no others, and an address that is only reserved is not a
//! thing at all. So each topology keeps one empty Docker volume whose labels say it. Creating a
//! volume is atomic and its labels never change, so a claim is changed by making the next
//! generation and then removing the one before; the highest generation that is whole speaks.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::LazyLock;

use serde::{Deserialize, Serialize};

use crate::backend::docker::{AbsentIsFine, Claimed, Docker, Labels, Snapshot};
use crate::backend::host;
use crate::backend::host::kubeconfig::Written;
use crate::engine::Failure;
use crate::plan::{Id, Record};
use crate::resources::base::existing::Existing;
use crate::resources::base::marks;
use crate::topology::{AddressRange, Via};

const FORMAT: u32 = 1;

/// The label that holds the claim as JSON.
const CLAIM: &str = "dev.topo.claim";

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Claim {
    pub format: u32,
    pub topology: String,
    pub generation: u64,
    /// The topology file, as an absolute path.
    pub file: String,
    /// A cluster that is being made holds nothing of the user's yet.
    pub creating: bool,
    /// The run of topo that wrote it, so that of two who write the same only one is the writer.
    #[serde(default)]
    pub run: String,
    /// Tags of images that topo has built, or is about to.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub tags: BTreeSet<String>,
    /// Where it is applied to, if topo did not make the cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub existing: Option<Existing>,
    /// Pools and fixed addresses, by network, so that topologies which share one do not meet.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reserved: Vec<Reservation>,
    /// Which way each share goes, so that what was chosen once is kept.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub vias: BTreeMap<String, Via>,
    /// The entries that were written into kubeconfigs, by file.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub kubeconfigs: BTreeMap<PathBuf, Written>,
    /// Records of what can carry none itself.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub records: BTreeMap<Id, Record>,
}

/// A stretch of addresses on a network.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Reservation {
    pub network: String,
    pub first: IpAddr,
    pub last: IpAddr,
    /// What it is for: `pool/dev`.
    pub by: Id,
}

impl Reservation {
    pub fn new(network: &str, range: AddressRange, by: &Id) -> Self {
        Self {
            network: network.to_owned(),
            first: range.first(),
            last: range.last(),
            by: by.clone(),
        }
    }

    pub fn range(&self) -> Option<AddressRange> {
        AddressRange::new(self.first, self.last)
    }

    pub fn holds(&self, address: IpAddr) -> bool {
        self.first <= address && address <= self.last
    }

    /// `172.22.255.200-172.22.255.250`, or the one address.
    pub fn addresses(&self) -> String {
        if self.first == self.last {
            self.first.to_string()
        } else {
            format!("{}-{}", self.first, self.last)
        }
    }

    pub fn meets(&self, other: &Self) -> bool {
        self.network == other.network && self.first <= other.last && other.first <= self.last
    }
}

impl Claim {
    pub fn new(topology: &str, file: &str) -> Self {
        Self {
            format: FORMAT,
            topology: topology.to_owned(),
            generation: 0,
            file: file.to_owned(),
            creating: false,
            run: String::new(),
            tags: BTreeSet::new(),
            existing: None,
            reserved: Vec::new(),
            vias: BTreeMap::new(),
            kubeconfigs: BTreeMap::new(),
            records: BTreeMap::new(),
        }
    }

    fn volume(&self) -> String {
        self.volume_of(self.generation)
    }

    fn volume_of(&self, generation: u64) -> String {
        format!("topo-{}.{generation}", self.topology)
    }

    fn labels(&self) -> Result<Labels, Failure> {
        let text = serde_json::to_string(self)
            .map_err(|error| Failure::because("cannot write the claim", &error))?;
        Ok([(marks::TOPOLOGY.to_owned(), self.topology.clone()), (CLAIM.to_owned(), text)].into())
    }
}

/// Everything that topologies on this engine have claimed.
#[derive(Debug, Clone, Default)]
pub struct Claims {
    /// The claim that speaks, of each topology.
    pub current: BTreeMap<String, Claim>,
    /// Volumes of generations that have been overtaken, of each topology. The run that should have
    /// removed them was cut off; they must not speak again when the claim that overtook them goes.
    pub outdated: BTreeMap<String, Vec<String>>,
    /// Claims in a format of a newer topo, by topology.
    pub newer: BTreeMap<String, u32>,
    /// Claims that cannot be made sense of: the volume and why, by topology.
    pub unreadable: BTreeMap<String, (String, String)>,
}

impl Claims {
    pub fn read(snapshot: &Snapshot) -> Self {
        #[derive(Deserialize)]
        struct Header {
            format: u32,
        }

        let mut claims = Self::default();
        for volume in &snapshot.volumes {
            let Some(text) = volume.labels.get(CLAIM) else { continue };
            let owner = volume.labels.get(marks::TOPOLOGY).cloned().unwrap_or_default();
            match serde_json::from_str::<Header>(text) {
                Ok(header) if header.format > FORMAT => {
                    claims.newer.insert(owner, header.format);
                    continue;
                }
                _ => {}
            }
            let claim: Claim = match serde_json::from_str(text) {
                Ok(claim) => claim,
                Err(error) => {
                    claims.unreadable.insert(owner, (volume.name.clone(), error.to_string()));
                    continue;
                }
            };
            let outdated = claims.outdated.entry(claim.topology.clone()).or_default();
            match claims.current.get(&claim.topology) {
                Some(other) if other.generation >= claim.generation => {
                    outdated.push(volume.name.clone());
                }
                overtaken => {
                    outdated.extend(overtaken.map(Claim::volume));
                    claims.current.insert(claim.topology.clone(), claim);
                }
            }
        }
        claims.outdated.retain(|_, volumes| !volumes.is_empty());
        claims
    }

    /// Whether a topology has a claim at all, also one that cannot be read here.
    pub fn knows(&self, topology: &str) -> bool {
        self.current.contains_key(topology)
            || self.newer.contains_key(topology)
            || self.unreadable.contains_key(topology)
    }

    /// Every topology of this engine.
    pub fn topologies(&self) -> impl Iterator<Item = &str> {
        let beside = self.newer.keys().chain(self.unreadable.keys());
        self.current.keys().chain(beside).map(String::as_str)
    }

    pub fn of(&self, topology: &str) -> Option<&Claim> {
        self.current.get(topology)
    }

    /// The first reservation of another topology that one of these meets.
    pub fn conflict<'a>(
        &'a self,
        topology: &str,
        wanted: &'a [Reservation],
    ) -> Option<(&'a Reservation, &'a Claim, &'a Reservation)> {
        wanted.iter().find_map(|mine| {
            self.current.values().filter(|claim| claim.topology != topology).find_map(|claim| {
                let theirs = claim.reserved.iter().find(|theirs| theirs.meets(mine))?;
                Some((mine, claim, theirs))
            })
        })
    }
}

/// This run of topo, as its claims name it.
static RUN: LazyLock<String> = LazyLock::new(|| {
    let mut bytes = [0; 8];
    // Without random numbers the process and its start serve: they too are no other run's.
    let _ = getrandom::fill(&mut bytes);
    format!("{:016x}.{}", u64::from_le_bytes(bytes), host::process_id())
});

/// Writes the next generation in the place of the one that speaks now.
pub async fn write(docker: &Docker, claim: &mut Claim) -> Result<(), Failure> {
    let failed = |error| Failure::because("cannot write the claim of this topology", &error);
    let before = claim.generation;
    claim.run.clone_from(&RUN);
    loop {
        claim.generation += 1;
        match docker.create_volume(&claim.volume(), claim.labels()?).await.map_err(failed)? {
            Claimed::Ours => break,
            Claimed::Theirs(labels) => may_be_passed_over(claim, &labels)?,
        }
    }
    // One that cannot be removed now is overtaken all the same, and removed with the others.
    if before > 0 {
        let _ = docker.remove_volume(&claim.volume_of(before)).await;
    }
    Ok(())
}

/// A volume of that name which is no claim stays what it is, and one of this run is an attempt that
/// the engine carried out and whose answer was lost. Any other is another topo's.
fn may_be_passed_over(claim: &Claim, there: &Labels) -> Result<(), Failure> {
    let is_of_this_run = |text: &String| {
        serde_json::from_str::<Claim>(text).is_ok_and(|there| there.run == claim.run)
    };
    if there.get(CLAIM).is_none_or(is_of_this_run) {
        return Ok(());
    }
    Err(Failure::new(format!("another topo has just changed the topology `{}`", claim.topology))
        .hint("wait until it has ended, and run the command again"))
}

/// Removes claims that were overtaken, while the one that overtook them still speaks.
pub async fn sweep(docker: &Docker, topology: &str, claims: &Claims) -> Result<(), Failure> {
    for volume in claims.outdated.get(topology).into_iter().flatten() {
        docker
            .remove_volume(volume)
            .await
            .if_present()
            .map_err(|error| Failure::because(format!("cannot remove `{volume}`"), &error))?;
    }
    Ok(())
}

pub async fn remove(docker: &Docker, claim: &Claim) -> Result<(), Failure> {
    docker
        .remove_volume(&claim.volume())
        .await
        .if_present()
        .map_err(|error| Failure::because("cannot remove the claim of this topology", &error))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::docker::Volume;

    fn volume(claim: &Claim) -> Volume {
        Volume { name: claim.volume(), labels: claim.labels().expect("serialises") }
    }

    fn claim(topology: &str, generation: u64) -> Claim {
        Claim { generation, ..Claim::new(topology, "/here/topo.yaml") }
    }

    fn reservation(network: &str, first: &str, last: &str) -> Reservation {
        Reservation {
            network: network.to_owned(),
            first: first.parse().expect("an address"),
            last: last.parse().expect("an address"),
            by: Id::new("pool", "dev"),
        }
    }

    #[test]
    fn the_highest_generation_speaks_in_whatever_order_they_come() {
        for order in [[1, 2], [2, 1]] {
            let volumes = order.map(|generation| volume(&claim("dev", generation))).to_vec();
            let claims = Claims::read(&Snapshot { volumes, ..Snapshot::default() });
            assert_eq!(claims.of("dev").map(|claim| claim.generation), Some(2));
            assert_eq!(claims.outdated["dev"], ["topo-dev.1"]);
        }
    }

    #[test]
    fn a_claim_of_a_newer_format_is_told_and_not_guessed() {
        let mut newer = claim("dev", 1);
        newer.format = FORMAT + 1;
        let snapshot = Snapshot { volumes: vec![volume(&newer)], ..Snapshot::default() };
        let claims = Claims::read(&snapshot);
        assert!(claims.of("dev").is_none());
        assert_eq!(claims.newer.get("dev"), Some(&(FORMAT + 1)));
    }

    #[test]
    fn topologies_meet_only_on_one_network() {
        let mut other = claim("other", 1);
        other.reserved = vec![reservation("shared", "172.22.255.200", "172.22.255.250")];
        let snapshot = Snapshot { volumes: vec![volume(&other)], ..Snapshot::default() };
        let claims = Claims::read(&snapshot);
        let meets = |network, first, last| {
            claims.conflict("dev", &[reservation(network, first, last)]).is_some()
        };
        assert!(meets("shared", "172.22.255.250", "172.22.255.251"));
        assert!(!meets("shared", "172.22.255.251", "172.22.255.252"));
        assert!(!meets("elsewhere", "172.22.255.200", "172.22.255.250"));
    }
}
