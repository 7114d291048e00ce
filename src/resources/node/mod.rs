//! Workers: made with the cluster, or joined to it and drained from it later.

mod join;

use std::time::Duration;

use serde_json::{Value, json};

use crate::backend::docker::{Container, Snapshot};
use crate::engine::{Failure, Turn, Work};
use crate::plan::{
    Bond, Drifted, Effect, Fields, Origin, Outputs, Record, Resource, Seen, State, Table, Want,
    World,
};
use crate::resources::base::claim::Claim;
use crate::resources::base::context::Context;
use crate::resources::base::docker::kind_nodes;
use crate::resources::base::kind::{Ingredients, ResourceKind};
use crate::resources::base::objection::Objections;
use crate::resources::base::{ids, marks, node_names};
use crate::resources::cluster::{self, Roster, worker_config};
use crate::topology::Topology;

const TABLE: Table = Table {
    effects: &[("spec", Effect::Replace)],
    precious: |_| true,
    names: &[
        ("spec.image", "image"),
        ("spec.labels", "labels"),
        ("spec.extraMounts", "mounts"),
        ("spec.extraPortMappings", "ports"),
    ],
    tells: &["group", "spec.image", "spec.labels", "spec.extraMounts", "spec.extraPortMappings"],
    stops: true,
    ..Table::plain(ids::NODE)
};

/// In a plan: its kubelet has to be started again.
const KUBELET: &str = "kubelet";

const READY_DEADLINE: Duration = Duration::from_mins(3);

pub struct NodeKind;

impl ResourceKind for NodeKind {
    const TABLE: Table = TABLE;

    fn desired(from: &Ingredients) -> Result<Vec<Resource>, Objections> {
        Ok(desired(from.topology, from.claim))
    }

    async fn observe(cx: &Context, snapshot: &Snapshot, world: &mut World) -> Result<(), Failure> {
        observe(cx, snapshot, &cluster::roster(cx), world).await;
        Ok(())
    }

    async fn change(cx: &Context, turn: &Turn) -> Result<Outputs, Failure> {
        change(cx, turn).await
    }

    async fn wait(cx: &Context, turn: &Turn) -> Result<Outputs, Failure> {
        wait(cx, turn).await
    }
}

fn desired(topology: &Topology, claim: Option<&Claim>) -> Vec<Resource> {
    let Some(cluster) = &topology.cluster else { return Vec::new() };
    node_names::workers(topology, claim)
        .into_iter()
        .map(|worker| {
            let origin = if worker.group.is_empty() { "cluster.workers" } else { "cluster.groups" };
            Resource::new(ids::node(&worker.name), &TABLE)
                .field("spec", Want::Is(worker_config(cluster, &worker.group)))
                .field("group", Want::is(worker.group))
                .bond(Bond::Holds(ids::cluster(topology.name.as_str())))
                .origin(Origin::Key(origin.into()))
        })
        .collect()
}

/// A node is what Kubernetes says of it, and its container is where it is mended.
async fn observe(cx: &Context, snapshot: &Snapshot, roster: &Roster, world: &mut World) {
    let claim = cx.claim().await;
    let records = claim.iter().flat_map(|claim| &claim.records);
    for (id, record) in records.filter(|(id, _)| id.kind() == TABLE.kind) {
        world.remembered.insert(id.clone(), record.clone());
        if let Some(container) = container(cx, snapshot, id.name()) {
            world.add(id.clone(), look_at(container, record, roster));
        }
    }
    for container in kind_nodes::containers(snapshot, &cx.name) {
        let joining = marks::record(&cx.name, &container.labels)
            .filter(|(id, _)| id.name() == container.name && !world.things.contains_key(id));
        // The claim has a node once it has joined.
        if let Some((id, record)) = joining {
            world.add(id, Seen::mine(record).state(State::Partial));
        }
    }
    let Some(topology) = cx.file.as_deref() else { return };
    for worker in node_names::workers(topology, claim.as_ref()) {
        let is_taken = snapshot.container(&worker.name).is_some()
            && container(cx, snapshot, &worker.name).is_none();
        if is_taken {
            world.add(ids::node(&worker.name), Seen::foreign(format!(
                "a container named `{0}` exists that this topology did not make: rename the topology, or remove it with `docker rm -f {0}`",
                worker.name
            )));
        }
    }
}

fn container<'a>(cx: &'a Context, snapshot: &'a Snapshot, name: &str) -> Option<&'a Container> {
    kind_nodes::containers(snapshot, &cx.name).find(|node| node.name == name)
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
        seen.fields =
            Fields::new().with("spec", seen_spec(spec, kind_nodes::image_name(container)));
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

async fn change(cx: &Context, turn: &Turn) -> Result<Outputs, Failure> {
    match turn.work {
        Work::Create => {
            create(cx, turn).await?;
            cx.remember(turn, &turn.values).await?;
        }
        Work::Update => {
            if turn.state == Some(State::Stopped) {
                start(cx, turn.id().name()).await?;
            }
            if turn.item.changes.iter().any(|change| change.field == KUBELET) {
                restart_kubelet(cx, turn).await?;
            }
            cx.remember(turn, &turn.values).await?;
        }
        Work::Start => start(cx, turn.id().name()).await?,
        Work::Stop => cx.stop_container(turn.id().name()).await?,
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

async fn wait(cx: &Context, turn: &Turn) -> Result<Outputs, Failure> {
    cx.wait_for_nodes(
        &[turn.id().name().to_owned()].into(),
        turn.patience(READY_DEADLINE),
        |what| turn.say(what),
    )
    .await?;
    Ok(Outputs::new())
}
