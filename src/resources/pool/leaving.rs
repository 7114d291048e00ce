//! Addresses that pools give up, which Services have for a moment yet.

use std::collections::HashMap;
use std::net::IpAddr;

use kube::api::DynamicObject;

use super::{desired, hold, kept_by, kinds, ranges};
use crate::backend::kube::{Kube, KubeError, Verdict};
use crate::plan::{Id, Outputs, Owner, Resource, World};
use crate::resources::base::kube::service::{self, ADDRESS, ADDRESS6};
use crate::resources::base::{ids, marks};
use crate::topology::{AddressRange, Topology};

/// Says, where MetalLB gave a Service its address, from which pool.
const POOL: &str = "metallb.io/ip-allocated-from-pool";

/// What the pools of a topology have, and what of it they will have.
#[derive(Debug, Default)]
pub struct Leaving {
    had: Vec<AddressRange>,
    kept: Vec<AddressRange>,
}

impl Leaving {
    /// By what the file wants of pools that are seen. Without a file all goes, and nothing follows.
    pub fn of(topology: Option<&Topology>, world: &World) -> Self {
        let Some(topology) = topology else { return Self::default() };
        let pools = desired(topology);
        let wanted: HashMap<&Id, &Resource> = pools.iter().map(|pool| (&pool.id, pool)).collect();
        let mut leaving = Self::default();
        for (id, seen) in &world.things {
            if id.kind() != ids::POOL || !matches!(seen.owner, Owner::Mine(_)) {
                continue;
            }
            let had = ranges(seen.fields.get("addresses"));
            if let Some(pool) = wanted.get(id) {
                leaving.kept.extend(kept_by(pool, &had));
            }
            leaving.had.extend(had);
        }
        leaving
    }

    /// What a Service gives: nothing while it has an address that it will not keep.
    pub fn but(&self, outputs: Outputs) -> Outputs {
        if given(&outputs).any(|address| self.take(address)) { Outputs::new() } else { outputs }
    }

    /// Those of a topology's Services that have to wait for another address.
    pub fn losers<'a>(
        &self,
        services: &'a [DynamicObject],
        topology: &str,
    ) -> HashMap<Id, &'a str> {
        let loser = |service: &'a DynamicObject| {
            let address = service::addresses(&service.data).find(|address| self.take(address))?;
            Some((marks::kube_id(service)?, address))
        };
        services
            .iter()
            .filter(|service| marks::is_mine(service, topology))
            .filter_map(loser)
            .collect()
    }

    fn take(&self, address: &str) -> bool {
        let Ok(address) = address.parse::<IpAddr>() else { return false };
        hold(&self.had, address) && !hold(&self.kept, address)
    }
}

/// The addresses of the pools as they are.
#[derive(Debug)]
pub struct Pools(Vec<AddressRange>);

impl Pools {
    pub async fn list(kube: &Kube) -> Result<Self, KubeError> {
        let [kind, _] = kinds();
        let pools = kube.list(&kind, "").await?;
        let addresses = pools.iter().flat_map(|pool| ranges(pool.data.pointer("/spec/addresses")));
        Ok(Self(addresses.collect()))
    }

    /// A Service whose address is in no pool any more is given another in MetalLB's own time.
    pub fn judge(&self, service: &DynamicObject, outputs: Outputs) -> Verdict<Outputs> {
        let from_a_pool =
            service.metadata.annotations.as_ref().is_some_and(|all| all.contains_key(POOL));
        let is_astray = |address: &str| address.parse().is_ok_and(|at| !hold(&self.0, at));
        let astray = given(&outputs).find(|address| from_a_pool && is_astray(address));
        let why = astray.map(|at| format!("it still has {at}, which is in no pool any more"));
        why.map_or(Verdict::Done(outputs), Verdict::NotYet)
    }
}

/// The addresses among what a Service gives.
fn given(outputs: &Outputs) -> impl Iterator<Item = &str> {
    [ADDRESS, ADDRESS6].into_iter().filter_map(|name| outputs.get(name)?.as_str())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::plan::{Record, Seen};

    fn topology(pools: &str) -> Topology {
        serde_yaml::from_str(&format!("name: dev\nmetallb: {{pools: {pools}}}\n"))
            .expect("a topology")
    }

    fn kept(pools: &str, address: &str) -> Option<Value> {
        let mut seen = Seen::mine(Record::default());
        seen.fields.set("addresses", json!(["10.0.0.1-10.0.0.9"]));
        let mut world = World::default();
        world.add(ids::pool("a"), seen);
        let leaving = Leaving::of(Some(&topology(pools)), &world);
        leaving.but(Outputs::new().with(ADDRESS, json!(address))).get(ADDRESS).cloned()
    }

    #[test]
    fn an_address_that_its_pool_gives_up_is_not_given_any_more() {
        let smaller = "[{name: a, addresses: [10.0.0.1-10.0.0.4]}]";
        assert_eq!(kept(smaller, "10.0.0.9"), None);
        assert_eq!(kept(smaller, "10.0.0.4"), Some(json!("10.0.0.4")));
        assert_eq!(kept(smaller, "10.9.9.9"), Some(json!("10.9.9.9")), "of somebody else's pool");
        assert_eq!(kept("[]", "10.0.0.1"), None, "the pool goes");
    }

    #[test]
    fn a_service_waits_until_its_address_is_in_a_pool() {
        let pools = Pools(vec!["10.0.0.1-10.0.0.4".parse().expect("a range")]);
        let judged = |annotations: Value, address: &str| {
            let service = json!({"metadata": {"annotations": annotations}});
            let service = serde_json::from_value(service).expect("a Service");
            let verdict = pools.judge(&service, Outputs::new().with(ADDRESS, json!(address)));
            matches!(verdict, Verdict::Done(_))
        };
        assert!(judged(json!({POOL: "a"}), "10.0.0.4"));
        assert!(!judged(json!({POOL: "a"}), "10.0.0.9"));
        assert!(judged(json!({}), "10.0.0.9"), "another load balancer gave it");
    }
}
