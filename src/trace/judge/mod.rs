//! From what was seen to what is wrong: pure, in the order in which a connection passes.

mod address;
mod answer;
mod entry;
mod forward;
mod node;
mod pods;
mod service;
#[cfg(test)]
mod tests;

use super::sight::Sight;
use super::way::Goal;
use super::{Hop, Rank};
use crate::finding::Finding;

pub fn hops(sight: &Sight) -> Vec<Hop> {
    let entry = [entry::host(sight), entry::gateway(sight), forward::forward(sight)];
    let mut hops: Vec<Hop> = entry.into_iter().flatten().collect();
    hops.push(address::address(sight));
    if !matches!(sight.way.to, Goal::Address(_)) {
        hops.extend([node::node(sight), service::service(sight)]);
        let behind = [
            service::load_balancer(sight),
            node::kube_proxy(sight),
            pods::endpoints(sight),
            node::firewall(sight),
            pods::policy(sight),
            pods::pod(sight),
        ];
        hops.extend(behind.into_iter().flatten());
    }
    let is_explained = hops.iter().any(|hop| hop.broken.is_some());
    hops.push(answer::answer(sight, is_explained));
    hops
}

fn cause(hop: &'static str, at: impl Into<String>, finding: Finding) -> Hop {
    Hop::broken(hop, at, Rank::Cause, finding)
}
