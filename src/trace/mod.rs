//! Where a connection ends: the way from a port of this machine to a pod, hop by hop, each looked at.
//!
//! `look` asks the world and changes nothing: read-only calls, and read-only commands in containers
//! that topo made and in the nodes of its cluster, never in anybody else's. What it saw is plain data
//! (`sight`), of which `judge` makes the findings. What could not be looked at says so.

mod judge;
mod look;
mod rules;
mod share;
mod sight;
mod way;

use futures::{StreamExt, stream};
use serde::Serialize;

use crate::backend::docker::Snapshot;
use crate::engine::Failure;
use crate::finding::Finding;
use crate::resources::Context;
use crate::topology::ServiceRef;

pub use look::OTHER_BALANCER;
pub use way::{Goal, Target, Through, Way};

/// Ways that are surveyed at the same time.
const AT_ONCE: usize = 8;

/// What was found on the way.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Trace {
    pub topology: String,
    /// What was followed: `127.0.0.1:10001/tcp`, `service default/web:80`, `share/docs`.
    pub target: String,
    pub hops: Vec<Hop>,
    /// What is wrong at the first broken hop.
    pub finding: Option<Finding>,
}

/// One place that a connection passes.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Hop {
    pub hop: &'static str,
    /// Which one of its kind: a container, an address, a Service.
    pub at: String,
    pub state: State,
    pub saw: String,
    #[serde(skip)]
    broken: Option<Broken>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    Fine,
    Broken,
    /// It fails because of what is wrong elsewhere.
    Follows,
    Unexamined,
}

/// What is wrong at a hop, and how surely it is the cause.
#[derive(Debug, Clone, PartialEq)]
struct Broken {
    finding: Finding,
    rank: Rank,
}

/// From what breaks a connection whatever else is the case, to what only shows that it is broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    Cause,
    /// Seen in counters and probes: a cause unless a surer one explains it.
    Likely,
    Symptom,
}

impl Hop {
    pub fn new(
        hop: &'static str,
        at: impl Into<String>,
        state: State,
        saw: impl Into<String>,
    ) -> Self {
        Self { hop, at: at.into(), state, saw: saw.into(), broken: None }
    }

    fn fine(hop: &'static str, at: impl Into<String>, saw: impl Into<String>) -> Self {
        Self::new(hop, at, State::Fine, saw)
    }

    fn follows(hop: &'static str, at: impl Into<String>, saw: impl Into<String>) -> Self {
        Self::new(hop, at, State::Follows, saw)
    }

    fn unexamined(hop: &'static str, at: impl Into<String>, why: impl Into<String>) -> Self {
        Self::new(hop, at, State::Unexamined, why)
    }

    fn broken(hop: &'static str, at: impl Into<String>, rank: Rank, finding: Finding) -> Self {
        let broken = Broken { finding, rank };
        Self {
            broken: Some(broken.clone()),
            ..Self::new(hop, at, State::Broken, broken.finding.saw)
        }
    }
}

impl Trace {
    /// Of hops that look broken only those are that nothing surer explains.
    fn of(topology: &str, target: String, mut hops: Vec<Hop>) -> Self {
        let surest = hops.iter().filter_map(|hop| hop.broken.as_ref()).map(|it| it.rank).min();
        let mut finding = None;
        for hop in &mut hops {
            let Some(broken) = &hop.broken else { continue };
            if surest.is_some_and(|surest| broken.rank > surest) {
                hop.state = State::Follows;
            } else if finding.is_none() {
                finding = Some(broken.finding.clone());
            }
        }
        Self { topology: topology.to_owned(), target, hops, finding }
    }
}

/// Follows one connection, or the way to one share.
pub async fn trace(
    cx: &Context,
    snapshot: &Snapshot,
    target: &Target,
    apply: String,
) -> Result<Trace, Failure> {
    match target {
        Target::Share(name) => share::trace(cx, snapshot, name, &apply).await,
        Target::Way(way) => {
            let sight = Box::pin(look::look(cx, snapshot, way, apply)).await;
            Ok(Trace::of(&cx.name, way.to_string(), judge::hops(&sight)))
        }
    }
}

/// Every forward of the file, and every `LoadBalancer` Service of its own cluster, by what the engine's
/// listing, the API server and a connection to each port show.
pub async fn survey(cx: &Context, snapshot: &Snapshot, apply: &str) -> Vec<Trace> {
    let Some(topology) = &cx.file else { return Vec::new() };
    let forwards = Way::forwards(topology);
    let others = async {
        let has_own = topology.cluster.is_some() && cx.makes_cluster();
        let balanced = if has_own { look::balanced(cx).await } else { Vec::new() };
        let is_other = |service: &ServiceRef| !forwards.iter().any(|way| way.leads_to(service));
        let ways = balanced.into_iter().filter(is_other).map(|it| Way::to_service(it, None));
        glances(cx, snapshot, ways.collect(), apply).await
    };
    let (mut traces, others) = tokio::join!(glances(cx, snapshot, forwards.clone(), apply), others);
    traces.extend(others);
    traces
}

async fn glances(cx: &Context, snapshot: &Snapshot, ways: Vec<Way>, apply: &str) -> Vec<Trace> {
    let traces = ways.into_iter().map(async |way| {
        let sight = Box::pin(look::glance(cx, snapshot, &way, apply.to_owned())).await;
        Trace::of(&cx.name, way.to_string(), judge::hops(&sight))
    });
    stream::iter(traces).buffered(AT_ONCE).collect().await
}
