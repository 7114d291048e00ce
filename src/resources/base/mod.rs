//! What the kinds are built on: what every one of them is, what it is handed, and what several of them
//! do alike. Nothing here knows a kind.

pub mod api_access;
pub mod authorized_keys;
pub mod claim;
pub mod context;
pub mod docker;
pub mod existing;
pub mod holdings;
mod identity;
pub mod ids;
pub mod in_cluster;
pub mod kind;
pub mod kube;
pub mod marks;
pub mod node_names;
pub mod objection;
pub mod pins;
pub mod rendered;
mod reserve;
mod run_state;
pub mod sites;
pub mod variables;
