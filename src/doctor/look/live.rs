//! What is up of the topology: forwards and Services, shares, and whether names resolve in the gateway.

use super::{Ends, by};
use crate::backend::docker::{Error, Snapshot};
use crate::doctor::facts::{Live, Look};
use crate::resources::{self, Context, Health, Scene, Whose, kind_nodes, of_container};
use crate::trace;

/// With which code `getent` ends where there is no such name.
const NO_SUCH_NAME: i64 = 2;

pub async fn live(cx: &Context, snapshot: &Snapshot, apply: &str, ends: Ends) -> Live {
    let traces = async { Ok(trace::survey(cx, snapshot, apply).await) };
    let resolves = async { Ok(resolves(cx, snapshot).await) };
    let (traces, shares, resolves) = tokio::join!(
        by(ends.all, Box::pin(traces)),
        by(ends.all, Box::pin(shares(cx, snapshot))),
        by(ends.all, Box::pin(resolves)),
    );
    Live { traces, shares, resolves: resolves.ok().flatten() }
}

async fn shares(cx: &Context, snapshot: &Snapshot) -> Look<Vec<Health>> {
    let Some(topology) = cx.file.as_ref().filter(|topology| !topology.shares.is_empty()) else {
        return Ok(Vec::new());
    };
    let world = resources::observe(cx, snapshot).await.map_err(|failure| failure.to_string())?;
    Ok(resources::healths(cx, Scene { topology, snapshot, world: &world }).await)
}

/// Whether the gateway finds a node by its name.
async fn resolves(cx: &Context, snapshot: &Snapshot) -> Option<bool> {
    let gateway = snapshot.container(&cx.file.as_ref()?.gateway_name())?;
    let is_own = of_container(&cx.name, gateway) == Whose::Ours && gateway.is_running();
    let mut nodes = kind_nodes::kubernetes_nodes(snapshot, &cx.name);
    let node = nodes.find(|node| is_own && node.is_running())?;
    match cx.docker.look(&gateway.name, &["getent", "hosts", &node.name]).await {
        Ok(_) => Some(true),
        Err(Error::Exec { code: NO_SUCH_NAME, .. }) => Some(false),
        Err(_) => None,
    }
}
