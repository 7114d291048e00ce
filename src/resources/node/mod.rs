//! Workers: made with the cluster, or joined to it and drained from it later.

mod join;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::{Value, json};

use crate::backend::docker::{Container, Snapshot};
use crate::engine::{Failure, Turn, Work};
use crate::plan::{
    Bond, Drifted, Effect, Fields, Id, Origin, Outputs, Record, Resource, Seen, State, Table, Want,
    World,
};
use crate::resources::base::claim::Claim;
use crate::resources::base::context::Context;
use crate::resources::base::marks;
use crate::resources::cluster::{self, Roster, kind_config};
use crate::topology::{Cluster, Topology};
use kind_config::Worker;

pub const TABLE: Table =
    Table { effects: &[("spec", Effect::Replace)], precious: |_| true, ..Table::plain("node") };

/// In a plan: its kubelet has to be started again.
const KUBELET: &str = "kubelet";

const READY_DEADLINE: Duration = Duration::from_mins(3);

pub fn desired(topology: &Topology, claim: Option<&Claim>) -> Vec<Resource> {
    workers(topology, claim)
        .into_iter()
        .map(|worker| {
            let origin = if worker.group.is_empty() { "cluster.workers" } else { "cluster.groups" };
            Resource::new(Id::new(TABLE.kind, &worker.name), &TABLE)
                .field("spec", Want::Is(worker.spec))
                .field("group", Want::is(worker.group))
                .bond(Bond::Holds(cluster::id(topology.name.as_str())))
                .origin(Origin::Key(origin.into()))
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
        if id.kind() == TABLE.kind
            && let Some(number) = number_of(topology.name.as_str(), id.name())
        {
            let group = record.fields.get("group").and_then(Value::as_str).unwrap_or_default();
            taken.entry(group.to_owned()).or_default().insert(number);
        }
    }
    let all: BTreeSet<usize> = taken.values().flatten().copied().collect();
    let mut free = (1..).filter(|number| !all.contains(number));
    let mut workers = Vec::new();
    for (group, count, spec) in groups(cluster) {
        let own = taken.remove(&group).unwrap_or_default();
        workers.extend(own.into_iter().chain(&mut free).take(count).map(|number| Worker {
            name: name_of(topology.name.as_str(), number),
            group: group.clone(),
            spec: spec.clone(),
        }));
    }
    workers.sort_by_key(|worker| number_of(topology.name.as_str(), &worker.name));
    workers
}

fn groups(cluster: &Cluster) -> Vec<(String, usize, Value)> {
    let plain = usize::from(cluster.workers.unwrap_or_default());
    let mut groups = vec![(String::new(), plain, kind_config::worker(cluster, None))];
    groups.extend(cluster.groups.iter().map(|group| {
        (
            group.name.to_string(),
            usize::from(group.count),
            kind_config::worker(cluster, Some(group)),
        )
    }));
    groups
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

/// A node is what Kubernetes says of it, and its container is where it is mended.
pub async fn observe(cx: &Context, snapshot: &Snapshot, roster: &Roster, world: &mut World) {
    let claim = cx.claim().await;
    let records = claim.iter().flat_map(|claim| &claim.records);
    for (id, record) in records.filter(|(id, _)| id.kind() == TABLE.kind) {
        world.remembered.insert(id.clone(), record.clone());
        if let Some(container) = container(cx, snapshot, id.name()) {
            world.add(id.clone(), look_at(container, record, roster));
        }
    }
    for container in cluster::containers(snapshot, &cx.name) {
        let joining = marks::record(&cx.name, &container.labels);
        // The claim has a node once it has joined.
        if let Some((id, record)) = joining.filter(|(id, _)| !world.things.contains_key(id)) {
            world.add(id, Seen::mine(record).state(State::Partial));
        }
    }
    let Some(topology) = cx.file.as_deref() else { return };
    for worker in workers(topology, claim.as_ref()) {
        let is_taken = snapshot.container(&worker.name).is_some()
            && container(cx, snapshot, &worker.name).is_none();
        if is_taken {
            world.add(Id::new(TABLE.kind, &worker.name), Seen::foreign(format!(
                "a container named `{0}` exists that this topology did not make: rename the topology, or remove it with `docker rm -f {0}`",
                worker.name
            )));
        }
    }
}

fn container<'a>(cx: &'a Context, snapshot: &'a Snapshot, name: &str) -> Option<&'a Container> {
    cluster::containers(snapshot, &cx.name).find(|node| node.name == name)
}

fn look_at(container: &Container, record: &Record, roster: &Roster) -> Seen {
    let mut seen = Seen::mine(record.clone());
    let name = &container.name;
    if !container.is_running() {
        seen.state = State::Stopped;
    } else if roster.lacks(name) || roster.is_silent(name) {
        let live = if roster.lacks(name) { "not registered" } else { "not reporting" };
        seen.drift.push(Drifted {
            path: KUBELET.to_owned(),
            live: json!(live),
            applied: json!("Ready"),
            by: None,
        });
    } else if let Some(why) = roster.why_not_ready(name) {
        seen.state = State::Unready(why);
    }
    if let Some(spec) = record.fields.get("spec") {
        seen.fields = Fields::new().with("spec", seen_spec(spec, cluster::image_name(container)));
    }
    seen
}

/// The recorded spec, with the image that the node really runs.
fn seen_spec(recorded: &Value, image: Option<&str>) -> Value {
    let mut spec = recorded.clone();
    if let (Some(named), Some(image)) = (spec.get_mut("image"), image) {
        *named = json!(image);
    }
    spec
}

pub async fn change(cx: &Context, turn: &Turn) -> Result<Outputs, Failure> {
    match turn.work {
        Work::Create => {
            create(cx, turn).await?;
            remember(cx, turn).await?;
        }
        Work::Update => {
            if turn.state == Some(State::Stopped) {
                start(cx, turn.id().name()).await?;
            }
            if turn.item.changes.iter().any(|change| change.path == KUBELET) {
                restart_kubelet(cx, turn).await?;
            }
            remember(cx, turn).await?;
        }
        Work::Start => start(cx, turn.id().name()).await?,
        Work::Delete => {
            join::leave(cx, turn).await?;
            cx.change_claim(|claim| {
                claim.records.remove(turn.id());
            })
            .await?;
        }
        Work::Keep => {}
    }
    Ok(Outputs::new())
}

async fn create(cx: &Context, turn: &Turn) -> Result<(), Failure> {
    let snapshot = cx.snapshot().await?;
    let there = container(cx, &snapshot, turn.id().name());
    match there {
        Some(node) if marks::record(&cx.name, &node.labels).is_none() => {
            turn.say("it has come with the cluster");
            Ok(())
        }
        // What joined it was cut off.
        Some(node) => {
            cx.remove_node(node).await?;
            join::join(cx, turn, &snapshot).await
        }
        None => join::join(cx, turn, &snapshot).await,
    }
}

/// A kubelet registers its node, and reports again, when it starts.
async fn restart_kubelet(cx: &Context, turn: &Turn) -> Result<(), Failure> {
    let name = turn.id().name();
    turn.say("restarting its kubelet");
    let restarted = cx.docker.exec(name, &["systemctl", "restart", "kubelet"]).await;
    restarted.map(drop).map_err(|error| {
        Failure::because(format!("cannot restart the kubelet of `{name}`"), &error)
            .hint(format!("`topo apply --replace {}` makes the node again", turn.id()))
    })
}

async fn start(cx: &Context, node: &str) -> Result<(), Failure> {
    let started = cx.docker.start_container(node).await;
    started.map_err(|error| Failure::because(format!("cannot start the node `{node}`"), &error))
}

async fn remember(cx: &Context, turn: &Turn) -> Result<(), Failure> {
    let Some(resource) = &turn.resource else { return Ok(()) };
    let record = Record::of(resource, &turn.values, &cx.key);
    cx.change_claim(|claim| {
        claim.records.insert(turn.id().clone(), record);
    })
    .await
}

pub async fn wait(cx: &Context, turn: &Turn) -> Result<Outputs, Failure> {
    cx.wait_for_nodes(
        &[turn.id().name().to_owned()].into(),
        turn.patience(READY_DEADLINE),
        |what| turn.say(what),
    )
    .await?;
    Ok(Outputs::new())
}

#[cfg(test)]
mod tests {
    use super::*;

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
            claim.records.insert(Id::new("node", name), record);
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
