//! What resources are called: the name of every kind, and the id of each resource by what the file
//! says of it. Whoever needs a resource of another kind needs no more of that kind than its id.

use crate::plan::{Bond, Id};
use crate::topology::{NeedId, Port, ServiceRef, Source, Topology};

pub const NETWORK: &str = "network";
pub const CLUSTER: &str = "cluster";
pub const NODE: &str = "node";
pub const IMAGE: &str = "image";
pub const METALLB: &str = "metallb";
pub const POOL: &str = "pool";
pub const SERVER: &str = "server";
pub const SHARE: &str = "share";
pub const MANIFEST: &str = "manifest";
pub const OBJECT: &str = "object";
pub const GATEWAY: &str = "gateway";
pub const PUBLISHER: &str = "publisher";
pub const PORT: &str = "port";
pub const TUNNEL: &str = "tunnel";
pub const CONNECTOR: &str = "connector";

pub fn network(topology: &Topology) -> Id {
    Id::new(NETWORK, topology.network_name())
}

pub fn cluster(topology: &str) -> Id {
    Id::new(CLUSTER, topology)
}

pub fn node(name: &str) -> Id {
    Id::new(NODE, name)
}

pub fn image(name: &str) -> Id {
    Id::new(IMAGE, name)
}

/// A cluster has one.
pub fn metallb() -> Id {
    Id::new(METALLB, METALLB)
}

pub fn pool(name: &str) -> Id {
    Id::new(POOL, name)
}

pub fn server(topology: &str) -> Id {
    Id::new(SERVER, format_args!("{topology}-nfs"))
}

pub fn share(name: &str) -> Id {
    Id::new(SHARE, name)
}

/// Numbered as in the file, since one path may be applied twice.
pub fn manifest(topology: &Topology, entry: usize) -> Id {
    let source = topology.manifests[entry].source().map(Source::written).unwrap_or_default();
    Id::new(MANIFEST, format_args!("{}-{source}", entry + 1))
}

/// The Service that gives a forward its address.
pub fn service(service: &ServiceRef) -> Id {
    Id::new(OBJECT, format_args!("core/Service/{service}"))
}

pub fn gateway(topology: &Topology) -> Id {
    Id::new(GATEWAY, topology.gateway_name())
}

pub fn publisher(topology: &Topology) -> Id {
    Id::new(PUBLISHER, format_args!("{}-ports", topology.gateway_name()))
}

pub fn port(port: &Port) -> Id {
    Id::new(PORT, port.listen())
}

pub fn tunnel(name: &str) -> Id {
    Id::new(TUNNEL, name)
}

pub fn connector(topology: &Topology) -> Id {
    Id::new(CONNECTOR, topology.name.as_str())
}

/// What a person says a resource needs, beside what follows from it.
pub fn asked(needs: &[NeedId]) -> impl Iterator<Item = Bond> {
    needs.iter().filter_map(|need| need.as_str().parse().ok()).map(Bond::Uses)
}
