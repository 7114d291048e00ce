//! The kinds of resources, one folder each, on ground that knows none of them (`base`), under the one
//! list of all (`registry.rs`).

mod base;
mod cluster;
mod conflicts;
mod connector;
mod gateway;
mod image;
mod look;
mod manifest;
mod metallb;
mod network;
mod node;
mod object;
mod pool;
mod port;
mod publisher;
mod registry;
mod server;
mod share;
mod tunnel;

pub use base::claim::{Claim, Claims, Reservation};
pub use base::context::{Context, Held};
pub use base::docker::kind_nodes;
pub use base::docker::ownership::{Whose, of_container};
pub use base::docker::published::{Publication, publications};
pub use base::existing::Existing;
pub use base::ids::publisher as publisher_id;
pub use base::kind::{Ingredients, ResourceKind};
pub use base::kube::inventory::Inventory;
pub use base::kube::objects::{Objects, id as object_id};
pub use base::kube::pods;
pub use base::kube::service::{addresses as addresses_of_service, balanced};
pub use base::objection::{MISSING, Objections, of_graph};
pub use base::rendered::{Content, Part, Rendered};
pub use base::sites::{Container, Reads, Site, Workload, containers, workload};
pub use base::variables::Variables;
pub use cluster::{kubeconfig_alone, leave_kubeconfigs};
pub use conflicts::settled;
pub use gateway::{leads as gateway_leads, ssh_host_key};
pub use look::watched;
pub use manifest::members as members_of_manifests;
pub use metallb::version as version_of_metallb;
pub use network::{foreign_routes, foresee};
pub use object::{asking, lacks_balancer, unbalanced};
pub use port::leads_to;
pub use publisher::{is_in_force as rules_are_in_force, not_of_this_machine};
pub use registry::{
    Belongings, Hands, check_tools, desired, explain, halt, held_by_others, named, observe,
    observe_ports, pins, refuse_impossible, render, table,
};
pub use share::{Doing, Ground, Health, Scene, Settled, health, healths, settle, ways};
pub use tunnel::{Way as SshWay, way as ssh_way};
