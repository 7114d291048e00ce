//! The nodes that the cluster of a file has, by name: as kind gives them, and kept while others come
//! and go beside them.

use std::collections::{BTreeMap, BTreeSet};
use std::iter;

use serde_json::Value;

use crate::resources::base::claim::Claim;
use crate::resources::base::ids;
use crate::topology::{Cluster, Topology};

/// A worker of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Worker {
    pub name: String,
    /// The group's name; empty where the file only gives a number.
    pub group: String,
}

/// All nodes, in the order of their names.
pub fn all(topology: &Topology, claim: Option<&Claim>) -> Vec<String> {
    let mut nodes = control_planes(topology);
    nodes.extend(workers(topology, claim).into_iter().map(|worker| worker.name));
    nodes.sort();
    nodes
}

/// Names of the control planes, as kind gives them.
pub fn control_planes(topology: &Topology) -> Vec<String> {
    let count = topology.cluster.as_ref().map_or(0, Cluster::control_planes);
    (1..=count)
        .map(|number| match number {
            1 => format!("{}-control-plane", topology.name),
            _ => format!("{}-control-plane{number}", topology.name),
        })
        .collect()
}

/// The workers of the file with their names. Those a group has already keep theirs, the lowest
/// numbers first; new ones take the lowest numbers that are free.
pub fn workers(topology: &Topology, claim: Option<&Claim>) -> Vec<Worker> {
    let Some(cluster) = topology.cluster.as_ref().filter(|cluster| cluster.context.is_none())
    else {
        return Vec::new();
    };
    let mut taken: BTreeMap<String, BTreeSet<usize>> = BTreeMap::new();
    for (id, record) in claim.iter().flat_map(|claim| &claim.records) {
        if id.kind() == ids::NODE
            && let Some(number) = number_of(topology.name.as_str(), id.name())
        {
            let group = record.fields.get("group").and_then(Value::as_str).unwrap_or_default();
            taken.entry(group.to_owned()).or_default().insert(number);
        }
    }
    let all: BTreeSet<usize> = taken.values().flatten().copied().collect();
    let mut free = (1..).filter(|number| !all.contains(number));
    let mut workers = Vec::new();
    for (group, count) in groups(cluster) {
        let own = taken.remove(group).unwrap_or_default();
        workers.extend(own.into_iter().chain(&mut free).take(count).map(|number| Worker {
            name: name_of(topology.name.as_str(), number),
            group: group.to_owned(),
        }));
    }
    workers.sort_by_key(|worker| number_of(topology.name.as_str(), &worker.name));
    workers
}

/// How many workers each group has, first those of no group.
fn groups(cluster: &Cluster) -> impl Iterator<Item = (&str, usize)> {
    let plain = cluster.workers.unwrap_or_default();
    let groups = cluster.groups.iter().map(|group| (group.name.as_str(), group.count));
    iter::once(("", plain)).chain(groups).map(|(group, count)| (group, usize::from(count)))
}

/// kind calls the first worker `<cluster>-worker` and the second `<cluster>-worker2`.
fn name_of(cluster: &str, number: usize) -> String {
    if number == 1 { format!("{cluster}-worker") } else { format!("{cluster}-worker{number}") }
}

fn number_of(cluster: &str, name: &str) -> Option<usize> {
    match name.strip_prefix(cluster)?.strip_prefix("-worker")? {
        "" => Some(1),
        digits => digits.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::plan::{Fields, Record};

    fn topology(cluster: Value) -> Topology {
        serde_json::from_value(json!({
            "apiVersion": "topo/v1alpha1", "kind": "Topology", "name": "dev", "cluster": cluster,
        }))
        .expect("a topology")
    }

    fn claim(nodes: &[(&str, &str)]) -> Claim {
        let mut claim = Claim::new("dev", "/topo.yaml");
        for (name, group) in nodes {
            let record =
                Record { fields: Fields::new().with("group", json!(group)), ..Record::default() };
            claim.records.insert(ids::node(name), record);
        }
        claim
    }

    fn names(topology: &Topology, claim: Option<&Claim>) -> Vec<(String, String)> {
        workers(topology, claim).into_iter().map(|worker| (worker.name, worker.group)).collect()
    }

    fn expected(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(name, group)| ((*name).to_owned(), (*group).to_owned())).collect()
    }

    #[test]
    fn names_are_kinds() {
        let topology = topology(json!({ "workers": 3 }));
        assert_eq!(
            names(&topology, None),
            expected(&[("dev-worker", ""), ("dev-worker2", ""), ("dev-worker3", "")])
        );
    }

    #[test]
    fn the_highest_number_of_a_group_goes_first_and_a_new_one_fills_a_gap() {
        let groups = |a: u8, b: u8| {
            topology(
                json!({ "groups": [{ "name": "a", "count": a }, { "name": "b", "count": b }] }),
            )
        };
        let claim = claim(&[("dev-worker", "a"), ("dev-worker3", "a"), ("dev-worker10", "b")]);
        assert_eq!(
            names(&groups(1, 1), Some(&claim)),
            expected(&[("dev-worker", "a"), ("dev-worker10", "b")])
        );
        assert_eq!(
            names(&groups(2, 2), Some(&claim)),
            expected(&[
                ("dev-worker", "a"),
                ("dev-worker2", "b"),
                ("dev-worker3", "a"),
                ("dev-worker10", "b"),
            ])
        );
    }
}
