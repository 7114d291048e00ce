//! How each share is doing, asked of its server: for `topo status`.

use std::time::Duration;

use futures::future::join_all;
use serde_json::Value;

use super::check::{self, How, Outcome};
use super::source;
use crate::backend::docker::Snapshot;
use crate::backend::nfs::Finding;
use crate::plan::{Fields, Owner, State, World};
use crate::resources::base::context::Context;
use crate::resources::base::ids;
use crate::topology::{Share, Topology, Via};

/// A person waits for the answer.
const LIMIT: Duration = Duration::from_secs(4);

/// What a look at one share comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Health {
    pub name: String,
    pub via: Via,
    /// Where its files are: a folder, a volume, `nas.local:/srv/docs`.
    pub source: String,
    /// `default/docs`
    pub claim: String,
    pub state: Doing,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Doing {
    Well,
    /// It is there and does not work: why.
    Badly(String),
    /// It is there, and its server was found to be set up wrong.
    Fails(Finding),
    Missing,
    /// It cannot be looked at now: why.
    Unknown(String),
}

/// The shares as the file has them, amid what was seen of engine and cluster.
#[derive(Clone, Copy)]
pub struct Scene<'a> {
    pub topology: &'a Topology,
    pub snapshot: &'a Snapshot,
    pub world: &'a World,
}

/// All shares of the file, at the same time. Nothing is written into any of them.
pub async fn healths(cx: &Context, scene: Scene<'_>) -> Vec<Health> {
    join_all(scene.topology.shares.iter().map(|share| health(cx, scene, share))).await
}

/// One of them.
pub async fn health(cx: &Context, scene: Scene<'_>, share: &Share) -> Health {
    let server = share.server.as_ref().map(|server| format!("{server}:"));
    let claim = format!("{}/{}", share.claim.namespace, share.claim_name());
    Health {
        name: share.name.to_string(),
        via: share.via,
        source: server.unwrap_or_default() + &source(share),
        claim,
        state: doing(cx, scene, share).await,
    }
}

async fn doing(cx: &Context, scene: Scene<'_>, share: &Share) -> Doing {
    let Scene { topology, snapshot, world } = scene;
    let cluster = ids::cluster(topology.name.as_str());
    let Some(seen) = world.things.get(&ids::share(share.name.as_str())) else {
        return match world.blind.get(&cluster) {
            Some(why) => Doing::Unknown(format!("`{cluster}`: {why}")),
            None => Doing::Missing,
        };
    };
    let Owner::Mine(record) = &seen.owner else { return Doing::Missing };
    if let State::Unready(last) = &seen.state {
        return Doing::Badly(last.clone());
    }
    spoken(cx, snapshot, share, &record.fields).await
}

async fn spoken(cx: &Context, snapshot: &Snapshot, share: &Share, fields: &Fields<Value>) -> Doing {
    let how = How { write: false, limit: LIMIT };
    match check::try_out(cx, snapshot, share, fields, how).await {
        Ok(Outcome::Works) => Doing::Well,
        Ok(Outcome::Fails(finding)) => Doing::Fails(finding),
        Ok(Outcome::NotTried(finding)) => {
            Doing::Unknown(format!("{} from this machine: {}", finding.name, finding.saw))
        }
        Err(failure) => Doing::Unknown(failure.to_string()),
    }
}
