//! The way to a share: its server, as status asks it, and what carries it.

use super::{Hop, Rank, Trace};
use crate::backend::docker::Snapshot;
use crate::engine::Failure;
use crate::finding::Finding;
use crate::finding::name::SHARE_NOT_READY;
use crate::plan::{Id, Seen, State as Standing};
use crate::resources::{self, Context, Doing, Scene};
use crate::topology::Via;

pub async fn trace(
    cx: &Context,
    snapshot: &Snapshot,
    name: &str,
    apply: &str,
) -> Result<Trace, Failure> {
    let topology = cx.topology()?;
    let target = format!("share/{name}");
    let Some(share) = topology.shares.iter().find(|share| share.name.as_str() == name) else {
        return Err(Failure::new(format!("no share `{name}` in the file")));
    };
    let world = resources::observe(cx, snapshot).await?;
    let carriers = match share.via {
        Via::Server => vec![Id::new("server", format_args!("{}-nfs", cx.name))],
        Via::Ssh => vec![
            Id::new("gateway", topology.gateway_name()),
            Id::new("tunnel", topology.carrier(share).name.as_str()),
        ],
        Via::Auto | Via::Mount | Via::Host | Via::External => Vec::new(),
    };
    let mut hops: Vec<Hop> =
        carriers.iter().map(|id| carrier(id, world.things.get(id), apply)).collect();
    let health = resources::health(cx, Scene { topology, snapshot, world: &world }, share).await;
    let at = format!("{} to {}", health.source, health.claim);
    let not_ready = |saw: String, fix: &str| {
        let why = "pods that name its claim wait for it";
        Hop::broken("share", at.clone(), Rank::Likely, Finding::new(SHARE_NOT_READY, saw, why, fix))
    };
    hops.push(match health.state {
        Doing::Well => Hop::fine("share", at, "its server answers and has the folder"),
        Doing::Fails(finding) => {
            let found = Finding::new(finding.name, finding.saw, finding.cause, finding.fix);
            Hop::broken("share", at, Rank::Likely, found)
        }
        Doing::Badly(why) => not_ready(why, &format!("`{apply}`")),
        Doing::Missing => not_ready("it is not there".to_owned(), &format!("`{apply}` makes it")),
        Doing::Unknown(why) => Hop::unexamined("share", at, why),
    });
    Ok(Trace::of(&cx.name, target, hops))
}

/// What the share comes through.
fn carrier(id: &Id, seen: Option<&Seen>, apply: &str) -> Hop {
    let state = match seen.map(|seen| &seen.state) {
        Some(Standing::Ready) => return Hop::fine(kind(id), id.name(), "runs"),
        Some(Standing::Stopped) => "is stopped".to_owned(),
        Some(Standing::Unready(why)) => format!("is not ready: {why}"),
        Some(Standing::Partial) => "is half-made".to_owned(),
        None => "is not there".to_owned(),
    };
    let saw = format!("`{id}` {state}");
    let why = "the share comes through it";
    Hop::broken(
        kind(id),
        id.name(),
        Rank::Cause,
        Finding::new(SHARE_NOT_READY, saw, why, format!("`{apply}` brings it back")),
    )
}

fn kind(id: &Id) -> &'static str {
    match id.kind() {
        "server" => "server",
        "tunnel" => "tunnel",
        _ => "gateway",
    }
}
