//! The network of a topology, as the engine has it.

use crate::backend::docker::Snapshot;
use crate::topology::{Subnet, Topology};

/// Its subnet, as the file or the engine has it; not known before topo has chosen one.
pub fn subnet(topology: &Topology, snapshot: &Snapshot) -> Option<Subnet> {
    topology.network.ipv4_subnet().or_else(|| {
        let network = snapshot.network(&topology.network_name())?;
        Some(Subnet::of(network.v4()?.net))
    })
}
