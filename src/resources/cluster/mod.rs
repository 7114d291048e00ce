//! The cluster: kind makes it, the engine's containers are what is seen of it.

mod announce;
mod api_server;
mod elsewhere;
mod kind_config;
mod kubeconfig;
mod outlived;
mod restarts;
mod roster;

use std::collections::BTreeSet;
use std::time::Duration;

use futures::future::try_join_all;
use serde_json::{Value, json};

use crate::backend::docker::{Container, Snapshot};
use crate::backend::host::ProcessError;
use crate::backend::kind::{self, Kind, NewCluster};
use crate::engine::{Amount, Deadline, Failure, Tally, Turn, Work};
use crate::plan::{
    Action, Bond, Effect, Fields, Item, Origin, Outputs, Plan, Record, Resource, SecretKey, Seen,
    State, Table, Want, World,
};
use crate::resources::base::context::{Context, context_name};
use crate::resources::base::docker::kind_nodes::{
    containers, image_name, is_control_plane, is_load_balancer, is_worker, named_alike,
};
use crate::resources::base::docker::{built, fixed_address};
use crate::resources::base::holdings::Holdings;
use crate::resources::base::kind::{Ingredients, MadeFrom, ResourceKind};
use crate::resources::base::kube::inside::Inside;
use crate::resources::base::kube::service;
use crate::resources::base::objection::Objections;
use crate::resources::base::pins::{Outside, Pin};
use crate::resources::base::rendered::{Part, Rendered};
use crate::resources::base::{ids, node_names};
use crate::topology::{Guarded, Listen, MASK, Secret, Target, Topology};
use api_server::ApiEndpoint;
pub use restarts::Kubelet;

#[cfg(test)]
pub use kind_config::fixed as fixed_config;
pub use kind_config::worker as worker_config;
pub use kubeconfig::{alone as kubeconfig_alone, leave as leave_kubeconfigs};
use roster::LastRoster;
pub use roster::Roster;

const TABLE: Table = Table {
    effects: &[
        ("image", Effect::Replace),
        ("controlPlanes", Effect::Replace),
        ("config", Effect::Replace),
        ("network", Effect::Replace),
        (api_server::ADDRESS, Effect::Replace),
        (api_server::PORT, Effect::Replace),
    ],
    precious: |_| true,
    tells: &[
        "image",
        "controlPlanes",
        "config.controlPlane.extraMounts",
        "config.controlPlane.extraPortMappings",
    ],
    guarded: &["config"],
    names: &[
        ("config.controlPlane.extraMounts", "mounts"),
        ("config.controlPlane.extraPortMappings", "ports"),
        ("config.controlPlane.image", "image"),
        ("config", "kindConfig"),
    ],
    stops: true,
    ..Table::plain(ids::CLUSTER)
};

/// A cluster that exists, looked up only where a forward leads to its nodes.
const LOOKUP: Table = Table { lookup: true, ..Table::plain(ids::CLUSTER) };

/// Nodes, system pods and the default service account, once the API answers.
const READY_DEADLINE: Duration = Duration::from_mins(5);
/// kind pulls the node image first, where the engine has none.
const CREATE_DEADLINE: Duration = Duration::from_mins(30);

pub struct ClusterKind;

impl ResourceKind for ClusterKind {
    const TABLE: Table = TABLE;

    fn desired(from: &Ingredients) -> Result<Vec<Resource>, Objections> {
        if let Some(machine) = from.machine {
            elsewhere::refuse_folders(from.topology, machine)?;
        }
        Ok(desired(from.topology, from.key).into_iter().collect())
    }

    fn holds(topology: &Topology) -> Holdings {
        let mappings = topology.cluster.iter().flat_map(|cluster| {
            cluster.ports.iter().chain(cluster.groups.iter().flat_map(|group| &group.ports))
        });
        let published = mappings.map(|mapping| Listen {
            addr: mapping.listen_address,
            ports: mapping.host_port,
            proto: mapping.protocol,
        });
        let ports = published.map(|listen| ("the cluster", listen)).collect();
        Holdings { ports, ..Holdings::default() }
    }

    fn pins(topology: &Topology) -> Result<Vec<Pin>, Failure> {
        Ok(pins(topology))
    }

    fn rendered(
        from: &Ingredients,
        part: Part,
        show_secrets: bool,
    ) -> Result<Vec<Rendered>, Failure> {
        let made = from.topology.cluster.as_ref().filter(|cluster| !cluster.exists());
        let (Some(cluster), Part::Kind) = (made, part) else { return Ok(Vec::new()) };
        let workers = node_names::workers(from.topology, from.claim);
        let secrets = |secret: &Secret| {
            if show_secrets { secret.value() } else { MASK.into() }
        };
        let config = kind_config::whole(from.topology, cluster, &workers, Kubelet::Fixed, &secrets);
        Ok(Rendered::objects("kind", vec![config]))
    }

    async fn observe(cx: &Context, snapshot: &Snapshot, world: &mut World) -> Result<(), Failure> {
        let roster = observe(cx, snapshot, world).await?;
        cx.run::<LastRoster>().set(roster);
        Ok(())
    }

    /// One that exists is looked up where a forward leads to its nodes.
    async fn observe_inside(inside: &Inside<'_>, world: &mut World) -> Result<(), Failure> {
        let Some(lookup) = inside.cx.file.as_deref().and_then(lookup) else { return Ok(()) };
        if let Some(address) = inside.node_address().await? {
            world.add(lookup.id, Seen::borrowed().output(service::ADDRESS, address.to_string()));
        }
        Ok(())
    }

    /// A cluster whose entry cannot be written into the kubeconfig is not made.
    async fn explain(cx: &Context, plan: &mut Plan, _: &MadeFrom<'_>) -> Result<(), Failure> {
        let of_cluster = |item: &&mut Item| item.id.kind() == TABLE.kind && writes_entry(item);
        for item in plan.items.iter_mut().filter(of_cluster) {
            if let Some(why) = kubeconfig::obstacle(cx).await {
                item.block(why);
            }
        }
        Ok(())
    }

    fn tools(cx: &Context, item: &Item) -> Result<(), Failure> {
        if matches!(item.action, Action::Create | Action::Replace) {
            find_kind(cx)?;
        }
        Ok(())
    }

    async fn change(cx: &Context, turn: &Turn) -> Result<Outputs, Failure> {
        change(cx, turn).await
    }

    async fn wait(cx: &Context, turn: &Turn) -> Result<Outputs, Failure> {
        wait(cx, turn).await
    }
}

/// The kind that makes it, and the node images; the image that kind chooses is pinned by its release.
fn pins(topology: &Topology) -> Vec<Pin> {
    let Some(cluster) = topology.cluster.as_ref().filter(|cluster| !cluster.exists()) else {
        return Vec::new();
    };
    let kind = Pin { id: "kind".to_owned(), key: "cluster".to_owned(), outside: Outside::Kind };
    let groups = cluster.groups.iter().enumerate();
    let images = groups
        .filter_map(|(at, group)| {
            Some((group.image.as_ref()?, format!("cluster.groups.{at}.image")))
        })
        .chain(cluster.image.as_ref().map(|image| (image, "cluster.image".to_owned())));
    [kind].into_iter().chain(images.filter_map(|(image, key)| Pin::image(image, key))).collect()
}

/// What Kubernetes said of the nodes when the cluster was last seen.
pub fn roster(cx: &Context) -> Roster {
    cx.run::<LastRoster>().get()
}

/// The cluster of a topology that names an existing one and leads forwards to its nodes.
fn lookup(topology: &Topology) -> Option<Resource> {
    let exists = topology.cluster.as_ref().is_some_and(crate::topology::Cluster::exists);
    let wanted = topology.ports().iter().any(|port| matches!(port.to, Target::NodePort(_)));
    (exists && wanted).then(|| {
        Resource::new(ids::cluster(topology.name.as_str()), &LOOKUP)
            .origin(Origin::Key("cluster".into()))
    })
}

fn desired(topology: &Topology, key: &SecretKey) -> Option<Resource> {
    if let Some(lookup) = lookup(topology) {
        return Some(lookup);
    }
    let cluster = topology.cluster.as_ref().filter(|cluster| cluster.context.is_none())?;
    let network = topology.network_name();
    let image = cluster.image.as_ref().map_or(Want::Auto, |image| Want::is(image.to_string()));
    let mut resource = Resource::new(ids::cluster(topology.name.as_str()), &TABLE)
        .field("image", image)
        .field("controlPlanes", Want::is(cluster.control_planes()))
        .field(
            "config",
            Want::Is(kind_config::fixed(topology, cluster, &|secret| key.seal(secret.reveal()))),
        )
        .field(api_server::ADDRESS, Want::Auto)
        .field(api_server::PORT, Want::Auto)
        .field("network", Want::is(&*network))
        .field("kubeconfig", Want::is(context_name(topology.name.as_str())))
        .bond(Bond::Rests(ids::network(topology)))
        .origin(Origin::Key("cluster".into()));
    resource.protect = cluster.protect;
    Some(resource)
}

/// The cluster, and what Kubernetes says of its nodes.
async fn observe(cx: &Context, snapshot: &Snapshot, world: &mut World) -> Result<Roster, Failure> {
    let id = ids::cluster(&cx.name);
    let claim = cx.claim().await;
    let is_being_made = claim.as_ref().is_some_and(|claim| claim.creating);
    let record = claim.as_ref().and_then(|claim| claim.records.get(&id).cloned());
    let outlived =
        if is_being_made { outlived::finished(cx, snapshot, claim.as_ref()).await } else { None };
    let is_half_made = is_being_made && outlived.is_none();
    if let Some(record) = record.clone().filter(|_| !is_half_made) {
        world.remembered.insert(id.clone(), record);
    }
    // Workers are resources of their own; the cluster is its control planes and what leads to them.
    let parts: Vec<&Container> =
        containers(snapshot, &cx.name).filter(|container| !is_worker(container)).collect();
    let Some(first) = parts.iter().find(|part| is_control_plane(part)) else {
        if let Some(why) = in_the_way(cx, snapshot) {
            world.add(id, Seen::foreign(why));
        } else if record.is_some() {
            world.leftovers.insert(id);
        }
        return Ok(Roster::Unknown);
    };

    let mut seen = Seen::mine(record.unwrap_or_default());
    let running = parts.iter().filter(|part| part.is_running()).count();
    if is_half_made {
        seen.state = State::Partial;
    } else if running < parts.len() {
        seen.state = State::Stopped;
    }
    seen.fields = observed_fields(&parts, first);
    if let Some(entry) = kubeconfig::observed(cx).await {
        seen.fields.set("kubeconfig", entry);
    }
    seen.outputs = outputs(first);
    let mut roster = Roster::Unknown;
    if seen.state == State::Ready {
        if outlived.is_some() {
            seen.drift.push(outlived::unfinished());
        }
        let called = match outlived {
            Some(called) => Ok(called),
            None => Roster::call(cx, snapshot).await,
        };
        match called {
            Ok(called) => {
                let mut planes = parts.iter().filter(|part| is_control_plane(part));
                if let Some(why) = planes.find_map(|plane| called.why_not_ready(&plane.name)) {
                    seen.state = State::Unready(why);
                }
                roster = called;
            }
            Err(failure) => {
                world.blind.insert(id.clone(), failure.to_string());
                seen.state = State::Unready(failure.to_string());
            }
        }
    } else {
        world.blind.insert(id.clone(), "it is stopped".to_owned());
    }
    world.add(id, seen);
    Ok(roster)
}

/// A container that is not this topology's and has a name that kind would need, or the cluster's.
fn in_the_way(cx: &Context, snapshot: &Snapshot) -> Option<String> {
    let own: BTreeSet<&str> =
        containers(snapshot, &cx.name).map(|container| container.id.as_str()).collect();
    let is_foreign = |container: &&Container| !own.contains(container.id.as_str());
    let name = &cx.name;
    if named_alike(snapshot, name).any(|container| is_foreign(&container)) {
        return Some(format!(
            "a kind cluster named `{name}` exists that this topology did not make: rename the topology, or delete the cluster with `kind delete cluster --name {name}`"
        ));
    }
    let wanted = cx.file.as_deref().map(node_names::control_planes).unwrap_or_default();
    let taken = |container: &&Container| wanted.contains(&container.name) && is_foreign(container);
    snapshot.containers.iter().find(taken).map(|container| {
        format!(
            "a container named `{0}` exists that this topology did not make: rename the topology, or remove it with `docker rm -f {0}`",
            container.name
        )
    })
}

fn writes_entry(item: &Item) -> bool {
    match item.action {
        Action::Create | Action::Replace => true,
        Action::Update => item.changes.iter().any(|change| change.path == "kubeconfig"),
        _ => false,
    }
}

/// A port that every node serves is reached at the first.
fn outputs(first: &Container) -> Outputs {
    let address = first.addresses.values().find_map(|address| address.v4);
    address.map(|address| ("address", json!(address))).into_iter().collect()
}

fn observed_fields(parts: &[&Container], first: &Container) -> Fields<Value> {
    let planes = parts.iter().filter(|part| is_control_plane(part)).count();
    let mut fields = Fields::new().with("controlPlanes", json!(planes));
    if let Some(image) = image_name(first) {
        fields.set("image", json!(image));
    }
    fields
}

async fn change(cx: &Context, turn: &Turn) -> Result<Outputs, Failure> {
    match turn.work {
        Work::Create => create(cx, turn).await?,
        Work::Update => {
            if turn.state == Some(State::Stopped) {
                start(cx, turn).await?;
            }
            if turn.item.changes.iter().any(|change| change.field == outlived::MAKING) {
                finish(cx, turn, None).await?;
            } else {
                kubeconfig::merge(cx, turn).await?;
                // What was sealed otherwise, or not at all, is sealed now.
                cx.remember(turn, &turn.values).await?;
            }
        }
        Work::Start => start(cx, turn).await?,
        Work::Stop => stop(cx).await?,
        Work::Delete => delete(cx, turn).await?,
        Work::Keep => {}
    }
    Ok(Outputs::new())
}

async fn create(cx: &Context, turn: &Turn) -> Result<(), Failure> {
    let topology = cx.topology()?;
    let cluster = topology
        .cluster
        .as_ref()
        .ok_or_else(|| Failure::new("the file has no cluster any more"))?;
    let kind = fetch_kind(cx, turn).await?;

    let workers = node_names::workers(topology, cx.claim().await.as_ref());
    let intent = record(cx, turn, None).await?;
    cx.change_claim(|claim| {
        claim.creating = true;
        claim.records.insert(turn.id().clone(), intent);
    })
    .await?;
    remove_nodes(cx).await?;
    cx.forget_kube().await;
    let endpoint = api_server::choose(cx, turn, cluster).await?;
    let unnamed = Kubelet::of_kind(kind.release().await);
    let mut config = kind_config::whole(topology, cluster, &workers, unnamed, &Secret::value);
    if let Some(endpoint) = &endpoint {
        endpoint.write_into(&mut config);
    }
    let is_secret = cluster.kind_config.as_ref().is_some_and(Guarded::is_secret);
    // Topo reads the nodes' own: this one is only kept from the user's. kind locks it as well.
    let scratch = cx
        .state
        .scratch("kind")
        .map_err(|error| Failure::because("cannot keep the topology's state", &error))?;
    let network = topology.network_name();
    let new = NewCluster {
        name: topology.name.as_str(),
        config: &config.to_string(),
        network: &network,
        kubeconfig: &scratch.file("kubeconfig"),
    };
    let nodes: Vec<String> = node_names::control_planes(topology)
        .into_iter()
        .chain(workers.into_iter().map(|worker| worker.name))
        .collect();
    tokio::select! {
        made = made_by(&kind, &new, is_secret, cx, turn) => made?,
        never = announce::announce(cx, turn, &nodes) => match never {},
    }
    finish(cx, turn, endpoint).await
}

/// What is left to do once kind has made it.
async fn finish(cx: &Context, turn: &Turn, endpoint: Option<ApiEndpoint>) -> Result<(), Failure> {
    turn.say("pinning the nodes' addresses");
    fixed_address::all(cx, turn, &cx.topology()?.network_name()).await?;
    let record = record(cx, turn, endpoint).await?;
    cx.change_claim(|claim| {
        claim.creating = false;
        claim.records.insert(turn.id().clone(), record);
    })
    .await?;
    kubeconfig::merge(cx, turn).await
}

async fn made_by(
    kind: &Kind,
    new: &NewCluster<'_>,
    is_secret: bool,
    cx: &Context,
    turn: &Turn,
) -> Result<(), Failure> {
    let deadline = Deadline::new(turn, CREATE_DEADLINE, "`kind` to make the cluster");
    let made = async {
        let told = |line: &str| {
            if !is_secret || is_step(line) {
                turn.say(plain(line));
            }
        };
        let made = kind.create(new, &cx.docker, told).await;
        made.map_err(|error| not_made(&error, is_secret))
    };
    deadline.until(made).await
}

fn find_kind(cx: &Context) -> Result<kind::Source, Failure> {
    kind::Source::find(cx.variable.as_ref())
        .map_err(|error| Failure::because("cannot make a cluster", &error).hint(kind::HINT))
}

async fn fetch_kind(cx: &Context, turn: &Turn) -> Result<Kind, Failure> {
    let events = turn.clone();
    let told = move |done, total: Option<u64>| {
        let total = total.unwrap_or(done);
        events.measure("downloading kind", Amount { done, total, tally: Tally::Bytes });
    };
    find_kind(cx)?
        .fetch(&cx.downloads, told)
        .await
        .map_err(|error| Failure::because("cannot get the `kind` program", &error).hint(kind::HINT))
}

/// What kind says of a configuration may quote it.
fn not_made(error: &ProcessError, is_secret: bool) -> Failure {
    let failure = Failure::new("`kind` could not make the cluster");
    match error {
        ProcessError::Failed { command, status, .. } if is_secret => failure.caused_by(format!(
            "`{command}` ended with {status}; what it said is not shown: `kindConfig` has sensitive values"
        )),
        _ => Failure::because(failure.message, error),
    }
}

fn is_step(line: &str) -> bool {
    line.trim_start().starts_with(['✓', '•'])
}

/// kind decorates its steps with signs before and pictures after the words.
fn plain(line: &str) -> String {
    let words = line.trim_start_matches(|c: char| !c.is_ascii_alphanumeric());
    let words = words.split(|c: char| !c.is_ascii()).next().unwrap_or_default();
    words.trim_end_matches(['.', ' ']).to_owned()
}

async fn record(
    cx: &Context,
    turn: &Turn,
    endpoint: Option<ApiEndpoint>,
) -> Result<Record, Failure> {
    let resource =
        turn.resource.as_ref().ok_or_else(|| Failure::new("the file has no cluster any more"))?;
    let mut values = turn.values.clone();
    values.extend(endpoint.map(ApiEndpoint::fields).unwrap_or_default());
    if values.get("image").is_none() {
        let snapshot = cx.snapshot().await?;
        if let Some(node) = containers(&snapshot, &cx.name).find(|node| is_control_plane(node)) {
            values.set("image", json!(image_name(node)));
        }
    }
    Ok(Record::of(resource, &values))
}

async fn start(cx: &Context, turn: &Turn) -> Result<(), Failure> {
    let snapshot = cx.snapshot().await?;
    let stopped: Vec<&Container> = containers(&snapshot, &cx.name)
        .filter(|node| !is_worker(node) && !node.is_running())
        .collect();
    turn.say(format!("starting {} containers", stopped.len()));
    try_join_all(stopped.iter().map(|node| cx.docker.start_container(&node.id)))
        .await
        .map_err(|error| Failure::because("cannot start the cluster's nodes", &error))?;
    cx.forget_kube().await;
    Ok(())
}

/// Its control planes and what balances them; each worker is a resource of its own.
async fn stop(cx: &Context) -> Result<(), Failure> {
    let snapshot = cx.snapshot().await?;
    let running =
        containers(&snapshot, &cx.name).filter(|node| !is_worker(node) && node.is_running());
    try_join_all(running.map(|node| cx.stop_container(&node.name))).await?;
    cx.forget_kube().await;
    Ok(())
}

async fn delete(cx: &Context, turn: &Turn) -> Result<(), Failure> {
    // The cluster's own mark is read from its nodes.
    let entries = kubeconfig::known(cx).await;
    remove_nodes(cx).await?;
    cx.forget_kube().await;
    if turn.action() == Action::Delete {
        built::forget_all(cx).await?;
    }
    kubeconfig::remove(cx, &entries, &|what| turn.say(what)).await?;
    cx.change_claim(|claim| {
        claim.creating = false;
        claim.records.remove(turn.id());
        claim.records.retain(|id, _| id.kind() != ids::NODE);
    })
    .await
}

/// Removes the containers of the cluster with their anonymous volumes, as `kind delete cluster` does.
/// The load balancer is known by the nodes behind it, so it goes first.
async fn remove_nodes(cx: &Context) -> Result<(), Failure> {
    let snapshot = cx.snapshot().await?;
    let (before, nodes): (Vec<&Container>, Vec<&Container>) =
        containers(&snapshot, &cx.name).partition(|part| is_load_balancer(part));
    for parts in [before, nodes] {
        try_join_all(parts.iter().map(|part| cx.remove_node(part))).await?;
    }
    Ok(())
}

async fn wait(cx: &Context, turn: &Turn) -> Result<Outputs, Failure> {
    if !cx.makes_cluster() {
        return Ok(Outputs::new());
    }
    let snapshot = cx.snapshot().await?;
    let planes = || containers(&snapshot, &cx.name).filter(|node| is_control_plane(node));
    let wanted: BTreeSet<String> = planes().map(|node| node.name.clone()).collect();
    Box::pin(cx.wait_for_cluster(&wanted, turn.patience(READY_DEADLINE), |what| turn.say(what)))
        .await?;
    Ok(planes().next().map(outputs).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::plain;

    #[test]
    fn kinds_decoration_is_left_out() {
        assert_eq!(plain(" ✓ Preparing nodes 📦 📦 "), "Preparing nodes");
        assert_eq!(plain(" • Starting control-plane 🕹️  ..."), "Starting control-plane");
        assert_eq!(plain("Creating cluster \"dev\" ..."), "Creating cluster \"dev\"");
    }
}
