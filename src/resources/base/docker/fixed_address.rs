//! Node addresses that stay: Docker gives addresses in the order in which containers start, and
//! etcd's members know one another by address, so three control planes started in another order
//! never come back. So each node is given the address that it has as a fixed one, while it runs.

use std::net::IpAddr;

use crate::backend::docker::{Address, Network, Snapshot};
use crate::engine::{Failure, Turn};
use crate::resources::base::context::Context;
use crate::resources::base::marks;
use crate::resources::cluster;

pub async fn all(cx: &Context, turn: &Turn, network: &str) -> Result<(), Failure> {
    let snapshot = cx.snapshot().await?;
    for node in cluster::containers(&snapshot, &cx.name) {
        if let Outcome::Impossible = pin(cx, &snapshot, &node.name, network).await? {
            warn(turn, network);
            return Ok(());
        }
    }
    Ok(())
}

pub async fn one(cx: &Context, turn: &Turn, node: &str, network: &str) -> Result<(), Failure> {
    let snapshot = cx.snapshot().await?;
    if let Outcome::Impossible = pin(cx, &snapshot, node, network).await? {
        warn(turn, network);
    }
    Ok(())
}

/// Whether it has its address for good now.
pub async fn keeps_address(cx: &Context, name: &str, network: &str) -> Result<bool, Failure> {
    let snapshot = cx.snapshot().await?;
    pin(cx, &snapshot, name, network).await.map(|outcome| matches!(outcome, Outcome::Fixed))
}

fn warn(turn: &Turn, network: &str) {
    turn.warn(format!(
        "the network `{network}` was made without a subnet of its own, so nodes cannot keep their addresses on it: after a restart of the engine several control planes may not find one another"
    ));
}

enum Outcome {
    /// As it should be: pinned now, or before.
    Fixed,
    Impossible,
}

async fn pin(
    cx: &Context,
    snapshot: &Snapshot,
    node: &str,
    network: &str,
) -> Result<Outcome, Failure> {
    let there = snapshot.network(network);
    let address = snapshot.container(node).and_then(|node| node.addresses.get(network));
    let (Some(there), Some(address)) = (there, address) else { return Ok(Outcome::Fixed) };
    let wanted: Vec<IpAddr> = [address.v4, address.v6].into_iter().flatten().collect();
    if wanted.is_empty() || is_fixed(address) {
        return Ok(Outcome::Fixed);
    }
    if !takes_fixed_addresses(cx, there, node, &wanted).await {
        return Ok(Outcome::Impossible);
    }
    let failed = |error| Failure::because(format!("cannot pin the address of `{node}`"), &error);
    cx.docker.disconnect_network(&there.id, node).await.map_err(failed)?;
    cx.docker.connect_network(&there.id, node, &wanted).await.map_err(failed)?;
    Ok(Outcome::Fixed)
}

fn is_fixed(address: &Address) -> bool {
    address.v4.is_some() && address.fixed == address.v4
}

/// A network of topo's own was made for it. Of another it is known only by asking for what the node
/// has: the engine refuses either the fixed address or, past that, that the node is there already.
async fn takes_fixed_addresses(
    cx: &Context,
    network: &Network,
    node: &str,
    addresses: &[IpAddr],
) -> bool {
    if network.labels.contains_key(marks::TOPOLOGY) {
        return true;
    }
    let asked = cx.docker.connect_network(&network.id, node, addresses).await;
    !asked.is_err_and(|error| error.is_for_want_of_a_subnet())
}
