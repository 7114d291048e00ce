//! Images that every node shall have, by image id, without a registry in between.

mod archive;
mod build_folder;
mod containerd;
mod delivery;
mod legacy;
mod naming;
#[cfg(test)]
mod tests;

use std::path::Path;
use std::time::Duration;

use futures::future::try_join_all;
use serde_json::{Map, Value, json};

use crate::backend::docker::{
    BuildContext, BuildRequest, Container, Error, ImageDetails, Snapshot,
};
use crate::engine::{Deadline, Failure, Turn, Work};
use crate::plan::{
    Bond, Fields, Id, Origin, Outputs, Record, Resource, SecretKey, Seen, Table, Want, World,
};
use crate::resources::base::context::Context;
use crate::resources::base::docker::ownership::BUILT;
use crate::resources::base::docker::{built, kind_nodes, pulled};
use crate::resources::base::in_cluster::CONTAINERD;
use crate::resources::base::kind::{Ingredients, ResourceKind};
use crate::resources::base::objection::Objections;
use crate::resources::base::pins::Pin;
use crate::resources::base::{ids, node_names};
use crate::topology::{Build, Cluster, Guarded, Topology, canonical_image};

use build_folder::BuildFolder;
use containerd::{Parcel, Stock, Stores, stock};
use delivery::{Addressee, deliver};

const TABLE: Table = Table {
    guarded: &["build"],
    names: &[("build.folder", "build")],
    tells: &["build.folder"],
    ..Table::plain(ids::IMAGE)
};

/// A build may compile a whole program.
const BUILD_DEADLINE: Duration = Duration::from_hours(1);
const IMPORT_DEADLINE: Duration = Duration::from_mins(15);
/// A containerd lists its images in a fraction of a second.
const ANSWER_LIMIT: Duration = Duration::from_secs(20);

const PULL_HINT: &str =
    "the image is not on the engine either: check its name, or build it there first";

pub struct ImageKind;

impl ResourceKind for ImageKind {
    const TABLE: Table = TABLE;

    fn builds<'a>(resource: &'a Resource, _: &Snapshot) -> Option<&'a str> {
        resource.fields.get("build").is_some().then(|| resource.id.name())
    }

    fn desired(from: &Ingredients) -> Result<Vec<Resource>, Objections> {
        let nodes = node_names::all(from.topology, from.claim);
        Ok(desired(from.topology, &nodes, from.snapshot, from.key)?)
    }

    fn pins(topology: &Topology) -> Result<Vec<Pin>, Failure> {
        Ok(pins(topology))
    }

    async fn observe(cx: &Context, snapshot: &Snapshot, world: &mut World) -> Result<(), Failure> {
        observe(cx, snapshot, world).await;
        Ok(())
    }

    async fn change(cx: &Context, turn: &Turn) -> Result<Outputs, Failure> {
        change(cx, turn).await
    }
}

fn desired(
    topology: &Topology,
    nodes: &[String],
    snapshot: &Snapshot,
    key: &SecretKey,
) -> Result<Vec<Resource>, Failure> {
    if topology.cluster.as_ref().is_none_or(Cluster::exists) {
        return Ok(Vec::new());
    }
    let asked = topology.images.iter().enumerate().map(|(at, image)| {
        let key = format!("images.{at}");
        (image.name.to_string(), image.build.as_ref(), key)
    });
    let mut resources = Vec::new();
    for (name, build, origin) in asked {
        let mut resource = on_nodes(topology, nodes, snapshot, &name);
        if let Some(build) = build {
            let content = BuildFolder::read(build)?.fingerprint()?;
            resource = resource
                .field("build", Want::Is(recorded(build, key)))
                .field("content", Want::is(content));
        }
        resources.push(resource.origin(Origin::Key(origin.into())));
    }
    for name in topology.metallb_images() {
        let resource = on_nodes(topology, nodes, snapshot, &name);
        resources.push(resource.origin(Origin::Key("metallb".into())));
    }
    Ok(resources)
}

/// Those that are not built here.
fn pins(topology: &Topology) -> Vec<Pin> {
    if topology.cluster.as_ref().is_none_or(Cluster::exists) {
        return Vec::new();
    }
    let asked = topology.images.iter().enumerate().filter(|(_, image)| image.build.is_none());
    let asked = asked.filter_map(|(at, image)| Pin::image(&image.name, format!("images.{at}")));
    let metallb = topology.metallb_images();
    let metallb = metallb.iter().filter_map(|name| Pin::image(&name.parse().ok()?, "metallb"));
    asked.chain(metallb).collect()
}

/// How it is built, as it may be written down.
fn recorded(build: &Build, key: &SecretKey) -> Value {
    let sealed = |argument: &Guarded| argument.with(&|secret| key.seal(secret.reveal()));
    let args: Map<String, Value> =
        build.args.iter().map(|(name, argument)| (name.clone(), sealed(argument))).collect();
    let mut record = json!(build);
    if !args.is_empty() {
        record["args"] = Value::Object(args);
    }
    record
}

fn on_nodes(topology: &Topology, nodes: &[String], snapshot: &Snapshot, name: &str) -> Resource {
    let cluster = topology.name.as_str();
    let local = snapshot.image(name).map(|image| Want::is(image.id.as_str()));
    let mut resource = Resource::new(ids::image(name), &TABLE)
        .field("id", local.unwrap_or(Want::Auto))
        .field("nodes", Want::Is(json!(nodes)))
        .bond(Bond::Inside(ids::cluster(cluster)))
        .from_stage(ids::cluster(cluster), CONTAINERD);
    // Those that kind makes with the cluster are there with it.
    if kind_nodes::containers(snapshot, cluster).next().is_none() {
        return resource;
    }
    let workers = nodes.iter().filter(|node| kind_nodes::is_worker_name(cluster, node));
    resource.bonds.extend(workers.map(|node| Bond::Uses(ids::node(node))));
    resource
}

async fn observe(cx: &Context, snapshot: &Snapshot, world: &mut World) {
    let Some(claim) = cx.claim().await else { return };
    let records: Vec<(&Id, &Record)> =
        claim.records.iter().filter(|(id, _)| id.kind() == TABLE.kind).collect();
    if records.is_empty() {
        return;
    }
    for (id, record) in &records {
        world.remembered.insert((*id).clone(), (*record).clone());
    }
    let (running, still): (Vec<&Container>, Vec<&Container>) =
        kind_nodes::kubernetes_nodes(snapshot, &cx.name).partition(|node| node.is_running());
    let nodes: Vec<&str> = running.iter().map(|node| node.name.as_str()).collect();
    // What a node that stands still has cannot be seen, so it has what it was given.
    let stopped: Vec<&str> = still.iter().map(|node| node.name.as_str()).collect();
    if nodes.is_empty() {
        return;
    }
    let stocks: Vec<(&str, Stock)> =
        match try_join_all(nodes.into_iter().map(|node| stock_of(cx, node))).await {
            Ok(stocks) => stocks,
            // A node whose containerd does not answer is not one without images.
            Err(why) => {
                world.blind.extend(records.iter().map(|(id, _)| ((*id).clone(), why.clone())));
                return;
            }
        };
    for (id, record) in records {
        let name = canonical_image(id.name());
        let wanted = record.fields.get("id").and_then(Value::as_str).unwrap_or_default();
        let mut holders: Vec<&str> = stocks
            .iter()
            .filter(|(_, stock)| stock.get(&name).is_some_and(|held| held == wanted))
            .map(|(node, _)| *node)
            .chain(brought_before(record).filter(|node| stopped.contains(node)))
            .collect();
        holders.sort_unstable();
        let mut seen = Seen::mine(record.clone());
        seen.fields = Fields::new().with("nodes", json!(holders));
        world.add(id.clone(), seen);
    }
}

async fn stock_of<'a>(cx: &Context, node: &'a str) -> Result<(&'a str, Stock), String> {
    match tokio::time::timeout(ANSWER_LIMIT, stock(&cx.docker, node)).await {
        Ok(Ok(stock)) => Ok((node, stock)),
        Ok(Err(error)) => Err(format!("cannot list the images of `{node}`: {error}")),
        Err(_) => {
            let limit = ANSWER_LIMIT.as_secs();
            Err(format!("`{node}` did not list its images within {limit} s"))
        }
    }
}

fn brought_before(record: &Record) -> impl Iterator<Item = &str> {
    let nodes = record.fields.get("nodes").and_then(Value::as_array);
    nodes.into_iter().flatten().filter_map(Value::as_str)
}

async fn change(cx: &Context, turn: &Turn) -> Result<Outputs, Failure> {
    match turn.work {
        // What a node has been given stays: other things may have come to need it.
        Work::Delete => {
            if let Some(record) = &turn.record {
                built::forget(cx, turn.id(), record).await?;
            }
            cx.change_claim(|claim| {
                claim.records.remove(turn.id());
            })
            .await?;
            Ok(Outputs::new())
        }
        Work::Keep | Work::Start | Work::Stop => Ok(Outputs::new()),
        Work::Create | Work::Update => supply(cx, turn).await,
    }
}

async fn supply(cx: &Context, turn: &Turn) -> Result<Outputs, Failure> {
    let image = have_locally(cx, turn).await?;
    let snapshot = cx.snapshot().await?;
    // A node that is about to leave needs it no more.
    let wanted = turn.value("nodes").cloned().unwrap_or_default();
    let is_wanted =
        |name: &str| wanted.as_array().is_some_and(|all| all.iter().any(|one| one == name));
    let mut nodes: Vec<&Container> = kind_nodes::kubernetes_nodes(&snapshot, &cx.name)
        .filter(|node| node.is_running() && is_wanted(&node.name))
        .collect();
    nodes.sort_unstable_by_key(|node| &node.name);
    let brought = async {
        bring(cx, turn, &image, &nodes).await.map_err(|error| {
            Failure::because(format!("cannot bring `{}` onto the nodes", turn.id().name()), &error)
        })
    };
    let deadline = Deadline::new(turn, IMPORT_DEADLINE, "its nodes to take it in");
    deadline.until(brought).await?;
    let names: Vec<&str> = nodes.iter().map(|node| node.name.as_str()).collect();
    let values = turn.values.clone().with("id", json!(image.id)).with("nodes", json!(names));
    cx.remember(turn, &values).await?;
    Ok(values)
}

/// Onto those of the nodes that lack it.
async fn bring(
    cx: &Context,
    turn: &Turn,
    image: &ImageDetails,
    nodes: &[&Container],
) -> Result<(), Error> {
    let name = turn.id().name();
    let full_name = canonical_image(name);
    let stores = cx.run::<Stores>();
    let held = try_join_all(nodes.iter().map(|node| stores.of(&cx.docker, node))).await?;
    let lacking: Vec<Addressee> = nodes
        .iter()
        .zip(&held)
        .filter(|(_, store)| store.stock.get(&full_name).is_none_or(|held| *held != image.id))
        .map(|(node, store)| Addressee { node: &node.name, has: store.blobs.clone() })
        .collect();
    if lacking.is_empty() {
        return Ok(());
    }
    let sent = deliver(&cx.docker, &Parcel { name, image }, lacking, turn).await?;
    // Others may need the same layers.
    stores.forget(nodes).await;
    turn.remark(sent.to_string());
    Ok(())
}

/// The image on the engine, built or pulled where it must be.
async fn have_locally(cx: &Context, turn: &Turn) -> Result<ImageDetails, Failure> {
    if turn.value("build").is_some() {
        build(cx, turn).await?;
    }
    pulled::ensure(cx, turn, turn.id().name(), PULL_HINT).await
}

async fn build(cx: &Context, turn: &Turn) -> Result<(), Failure> {
    let name = turn.id().name();
    turn.say("building");
    let build = build_of(cx, name)?;
    let request = BuildRequest {
        tag: name,
        context: BuildContext::Folder {
            folder: build.folder.path(),
            dockerfile: Path::new(build.dockerfile.as_deref().unwrap_or("Dockerfile")),
        },
        args: build
            .args
            .iter()
            .map(|(name, argument)| (name.clone(), argument.reveal_text()))
            .collect(),
        labels: [(BUILT.to_owned(), name.to_owned())].into(),
        discreet: build.args.values().any(Guarded::is_secret),
    };
    cx.intend_tag(name).await?;
    let built = async {
        let built = cx.docker.build_image(request, |line| turn.say(line)).await;
        built.map_err(|error| Failure::because(format!("cannot build `{name}`"), &error))
    };
    Deadline::new(turn, BUILD_DEADLINE, "its build to end").until(built).await
}

/// How the file says that the image is built, with the folder's home and place filled in.
fn build_of<'a>(cx: &'a Context, name: &str) -> Result<&'a Build, Failure> {
    let images = &cx.topology()?.images;
    let image = images.iter().find(|image| image.name.to_string() == name);
    image
        .and_then(|image| image.build.as_ref())
        .ok_or_else(|| Failure::new(format!("the file no longer says how `{name}` is built")))
}
