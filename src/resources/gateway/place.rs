//! The gateway's address: the one that the file says, or one of those that the engine does not hand
//! out by itself. Otherwise it would be given, after a restart of the engine, whatever is free at
//! that moment: the fixed address of a node that is started after it, and then cannot be.

use std::net::IpAddr;

use crate::engine::{Failure, Turn};
use crate::resources::base::claim::Reservation;
use crate::resources::base::context::Context;
use crate::resources::base::marks;
use crate::topology::{self, AddressRange, Gateway, Subnet, Topology};

pub async fn address(
    cx: &Context,
    turn: &Turn,
    topology: &Topology,
    gateway: &Gateway,
) -> Result<Option<IpAddr>, Failure> {
    let network = topology.network_name();
    if let Some(address) = gateway.address {
        let named = AddressRange::new(address, address);
        let held = named.map(|range| Reservation::new(&network, range, turn.id()));
        cx.hold(turn.id(), held.into_iter().collect()).await?;
        return Ok(Some(address));
    }
    let Some(subnet) = own_subnet(cx, &network).await? else { return Ok(None) };
    if let Some(kept) = kept(cx, turn, &network).await.filter(|kept| subnet.contains(*kept)) {
        return Ok(Some(kept));
    }
    let named = topology::reserved(topology);
    let choose = |taken: &[AddressRange]| {
        // In a network that is full, the engine finds a place or says that there is none.
        Ok(topology::carve(subnet, &[taken, &named].concat(), 1).unwrap_or_default())
    };
    let chosen = cx.reserve(turn.id(), &network, choose).await?;
    Ok(chosen.first().map(|range| range.first()))
}

/// Fixed addresses are given for sure only on networks that topo made.
async fn own_subnet(cx: &Context, network: &str) -> Result<Option<Subnet>, Failure> {
    let snapshot = cx.snapshot().await?;
    let made = snapshot.network(network);
    let made = made.filter(|network| network.labels.contains_key(marks::TOPOLOGY));
    Ok(made.and_then(|network| network.v4()).map(|subnet| Subnet::of(subnet.net)))
}

/// The one that a container before this one had.
async fn kept(cx: &Context, turn: &Turn, network: &str) -> Option<IpAddr> {
    let claim = cx.claim().await?;
    let held = claim.reserved.iter().find(|held| held.by == *turn.id() && held.network == network);
    held.map(|held| held.first)
}
