//! The kinds of resources, one module each.

mod claim;
mod cluster;
mod context;
mod gateway;
mod join;
mod kind_config;
mod marks;
mod network;
mod node;
mod port;

pub use claim::{Claim, Claims, Reservation};
pub use context::{Context, Setting, Variables};

/// The context that the cluster of a topology has in the user's kubeconfig: kind's own way.
pub fn context_name(topology: &str) -> String {
    format!("kind-{topology}")
}
#[cfg(test)]
