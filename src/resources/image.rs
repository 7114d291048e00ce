//! Images that every node shall have, by image id, without a registry in between.

use std::collections::BTreeMap;

use bytes::Bytes;
use futures::StreamExt;
use futures::future::{join_all, try_join_all};
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use super::build_folder::BuildFolder;
use super::{Context, cluster, metallb, stages};
use crate::backend::docker::{
    Amount as Downloaded, BuildRequest, Container, Docker, Error, Snapshot,
};
use crate::engine::{Amount, Failure, Tally, Turn, Work};
use crate::plan::{Bond, Fields, Id, Origin, Outputs, Record, Resource, Seen, Table, Want, World};
use crate::topology::{Build, Cluster, Topology};

pub const TABLE: Table = Table::plain("image");

/// Pieces of an archive on their way to a node that reads more slowly than the others.
const PIECES_AHEAD: usize = 32;

pub fn id(name: &str) -> Id {
    Id::new(TABLE.kind, name)
}

pub fn desired(
    topology: &Topology,
    nodes: &[String],
    snapshot: &Snapshot,
) -> Result<Vec<Resource>, Failure> {
    if topology.cluster.as_ref().is_none_or(Cluster::exists) {
        return Ok(Vec::new());
    }
    let asked = topology.images.iter().enumerate().map(|(at, image)| {
        let key = format!("images.{at}");
        (image.name.to_string(), image.build.as_ref(), key)
    });
    let mut resources = Vec::new();
    for (name, build, key) in asked {
        let mut resource = on_nodes(topology, nodes, snapshot, &name);
        if let Some(build) = build {
            let content = BuildFolder::read(build)?.fingerprint()?;
            resource =
                resource.field("build", Want::Is(json!(build))).field("content", Want::is(content));
        }
        resources.push(resource.origin(Origin::Key(key.into())));
    }
    for name in metallb::images_to_bring(topology) {
        let resource = on_nodes(topology, nodes, snapshot, &name);
        resources.push(resource.origin(Origin::Key("metallb".into())));
    }
    Ok(resources)
}

fn on_nodes(topology: &Topology, nodes: &[String], snapshot: &Snapshot, name: &str) -> Resource {
    let cluster = topology.name.as_str();
    let local = snapshot.image(name).map(|image| Want::is(image.id.as_str()));
    let mut resource = Resource::new(id(name), &TABLE)
        .field("id", local.unwrap_or(Want::Auto))
        .field("nodes", Want::Is(json!(nodes)))
        .bond(Bond::Inside(cluster::id(cluster)))
        .from_stage(cluster::id(cluster), stages::CONTAINERD);
    // Those that kind makes with the cluster are there with it.
    if cluster::containers(snapshot, cluster).next().is_none() {
        return resource;
    }
    let workers = nodes.iter().filter(|node| cluster::is_worker_name(cluster, node));
    resource.bonds.extend(workers.map(|node| Bond::Uses(Id::new("node", node))));
    resource
}

/// What topo brought onto one node: the engine's image id by containerd's name.
type Stock = BTreeMap<String, String>;

/// containerd knows an image by the digest of a manifest that the engine may never have had, so the
/// engine's id is written beside it when it is brought. Whoever loads another image under the same
/// name takes that mark away.
const MARK: &str = "dev.topo.image";

const CTR: [&str; 3] = ["ctr", "--namespace=k8s.io", "images"];

async fn stock(docker: &Docker, node: &str) -> Result<Stock, Error> {
    let table = docker.exec(node, &[CTR.as_slice(), &["list"]].concat()).await?;
    Ok(marked(&table))
}

/// Of `ctr images list`: the name in the first column, the labels in the last.
fn marked(table: &str) -> Stock {
    let prefix = format!("{MARK}=");
    let pairs = table.lines().skip(1).filter_map(|line| {
        let name = line.split_whitespace().next()?;
        let labels = line.split_whitespace().next_back()?;
        let id = labels.split(',').find_map(|label| label.strip_prefix(&prefix))?;
        Some((name.to_owned(), id.to_owned()))
    });
    pairs.collect()
}

/// containerd writes every name out whole.
fn full_name(name: &str) -> String {
    let (repository, suffix) = match name.rfind(['@', ':']).filter(|at| !name[*at..].contains('/'))
    {
        Some(at) => name.split_at(at),
        None => (name, ":latest"),
    };
    let has_host = repository
        .split_once('/')
        .is_some_and(|(host, _)| host.contains(['.', ':']) || host == "localhost");
    let prefix = match (has_host, repository.contains('/')) {
        (true, _) => "",
        (false, true) => "docker.io/",
        (false, false) => "docker.io/library/",
    };
    format!("{prefix}{repository}{suffix}")
}

pub async fn observe(cx: &Context, snapshot: &Snapshot, world: &mut World) {
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
        cluster::kubernetes_nodes(snapshot, &cx.name).partition(|node| node.is_running());
    let nodes: Vec<&str> = running.iter().map(|node| node.name.as_str()).collect();
    // What a node that stands still has cannot be seen, so it has what it was given.
    let stopped: Vec<&str> = still.iter().map(|node| node.name.as_str()).collect();
    let stocks = join_all(nodes.iter().map(|node| stock(&cx.docker, node))).await;
    // A node whose containerd does not answer is not one without images.
    if nodes.is_empty() || stocks.iter().any(Result::is_err) {
        return;
    }
    let stocks: Vec<(&str, Stock)> =
        nodes.into_iter().zip(stocks.into_iter().filter_map(Result::ok)).collect();
    for (id, record) in records {
        let name = full_name(id.name());
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

fn brought_before(record: &Record) -> impl Iterator<Item = &str> {
    let nodes = record.fields.get("nodes").and_then(Value::as_array);
    nodes.into_iter().flatten().filter_map(Value::as_str)
}

pub async fn change(cx: &Context, turn: &Turn) -> Result<Outputs, Failure> {
    match turn.work {
        // What a node has been given stays: other things may have come to need it.
        Work::Delete => {
            cx.change_claim(|claim| {
                claim.records.remove(turn.id());
            })
            .await?;
            Ok(Outputs::new())
        }
        Work::Keep | Work::Start => Ok(Outputs::new()),
        Work::Create | Work::Update => supply(cx, turn).await,
    }
}

async fn supply(cx: &Context, turn: &Turn) -> Result<Outputs, Failure> {
    let name = turn.id().name();
    let local = have_locally(cx, turn).await?;
    let snapshot = cx.snapshot().await?;
    // A node that is about to leave needs it no more.
    let wanted = turn.value("nodes").cloned().unwrap_or_default();
    let is_wanted =
        |name: &str| wanted.as_array().is_some_and(|all| all.iter().any(|one| one == name));
    let mut nodes: Vec<String> = cluster::kubernetes_nodes(&snapshot, &cx.name)
        .filter(|node| node.is_running() && is_wanted(&node.name))
        .map(|node| node.name.clone())
        .collect();
    nodes.sort_unstable();
    let failed =
        |error: Error| Failure::because(format!("cannot bring `{name}` onto the nodes"), &error);
    let stocks =
        try_join_all(nodes.iter().map(|node| stock(&cx.docker, node))).await.map_err(failed)?;
    let full = full_name(name);
    let lacking: Vec<&str> = nodes
        .iter()
        .zip(&stocks)
        .filter(|(_, stock)| stock.get(&full).is_none_or(|held| *held != local))
        .map(|(node, _)| node.as_str())
        .collect();
    if !lacking.is_empty() {
        turn.say(format!("onto {}", count(lacking.len(), "node")));
        send(&cx.docker, name, &lacking).await.map_err(failed)?;
        let mark = format!("{MARK}={local}");
        let command = [CTR.as_slice(), &["label", &full, &mark]].concat();
        try_join_all(lacking.iter().map(|node| cx.docker.exec(node, &command)))
            .await
            .map_err(failed)?;
    }
    let values = turn.values.clone().with("id", json!(local)).with("nodes", json!(nodes));
    remember(cx, turn, &values).await?;
    Ok(values)
}

async fn remember(cx: &Context, turn: &Turn, values: &Fields<Value>) -> Result<(), Failure> {
    let Some(resource) = &turn.resource else { return Ok(()) };
    let record = Record::of(resource, values, &cx.key);
    cx.change_claim(|claim| {
        claim.records.insert(turn.id().clone(), record);
    })
    .await
}

/// The image on the engine, built or pulled where it must be; answers its id.
async fn have_locally(cx: &Context, turn: &Turn) -> Result<String, Failure> {
    let name = turn.id().name();
    if turn.value("build").is_some() {
        turn.say("building");
        let failed = |error: Error| Failure::because(format!("cannot build `{name}`"), &error);
        let build = build_of(cx, name)?;
        let request = BuildRequest {
            tag: name,
            context: BuildFolder::read(build)?.pack()?,
            dockerfile: build.dockerfile.as_deref().unwrap_or("Dockerfile"),
            args: build.args.clone().into_iter().collect(),
            labels: BTreeMap::new(),
        };
        cx.docker.build_image(request, |line| turn.say(line)).await.map_err(failed)?;
    } else if cx.docker.inspect_image(name).await.is_err() {
        cx.docker
            .pull_image(name, |Downloaded { done, total }| {
                turn.measure("pulling", Amount { done, total, tally: Tally::Bytes });
            })
            .await
            .map_err(|error| {
                Failure::because(format!("cannot pull `{name}`"), &error).hint(
                    "the image is not on the engine either: check its name, or build it there first",
                )
            })?;
    }
    let image =
        cx.docker.inspect_image(name).await.map_err(|error| {
            Failure::because(format!("cannot look at the image `{name}`"), &error)
        })?;
    Ok(image.id)
}

/// How the file says that the image is built, with the folder's home and place filled in.
fn build_of<'a>(cx: &'a Context, name: &str) -> Result<&'a Build, Failure> {
    let images = &cx.topology()?.images;
    let image = images.iter().find(|image| image.name.to_string() == name);
    image
        .and_then(|image| image.build.as_ref())
        .ok_or_else(|| Failure::new(format!("the file no longer says how `{name}` is built")))
}

/// One archive, read once, to all nodes at the same time.
async fn send(docker: &Docker, name: &str, nodes: &[&str]) -> Result<(), Error> {
    let (senders, imports): (Vec<_>, Vec<_>) = nodes
        .iter()
        .map(|node| {
            let (sender, receiver) = mpsc::channel::<Result<Bytes, Error>>(PIECES_AHEAD);
            (sender, import(docker, node, ReceiverStream::new(receiver)))
        })
        .unzip();
    let archive = docker.export_images(&[name]);
    let deal = async move {
        let mut archive = std::pin::pin!(archive);
        while let Some(piece) = archive.next().await {
            let piece = piece?;
            for sender in &senders {
                // A node that has stopped reading says why when its import ends.
                let _ = sender.send(Ok(piece.clone())).await;
            }
        }
        Ok(())
    };
    tokio::try_join!(deal, try_join_all(imports))?;
    Ok(())
}

async fn import(
    docker: &Docker,
    node: &str,
    archive: ReceiverStream<Result<Bytes, Error>>,
) -> Result<(), Error> {
    let import = ["import", "--all-platforms", "--digests", "--snapshotter=overlayfs", "-"];
    let import = [CTR.as_slice(), &import].concat();
    docker.exec_with_stream(node, &import, archive).await?;
    Ok(())
}

fn count(number: usize, what: &str) -> String {
    if number == 1 { format!("1 {what}") } else { format!("{number} {what}s") }
}

/// What has been imported can be run.
pub async fn wait(_cx: &Context, _turn: &Turn) -> Result<Outputs, Failure> {
    std::future::ready(Ok(Outputs::new())).await
}

#[cfg(test)]
mod tests {
    use super::{full_name, marked};

    #[test]
    fn only_what_topo_brought_counts() {
        let table = "REF TYPE DIGEST SIZE PLATFORMS LABELS
docker.io/lab/echo:1 application/x sha256:1 5.5 MiB linux/amd64 dev.topo.image=sha256:aa,io.cri-containerd.image=managed
docker.io/lab/old:1  application/x sha256:2 5.5 MiB linux/amd64 io.cri-containerd.image=managed
docker.io/lab/bare:1 application/x sha256:3 5.5 MiB linux/amd64 -
";
        let seen: Vec<_> = marked(table).into_iter().collect();
        assert_eq!(seen, [("docker.io/lab/echo:1".to_owned(), "sha256:aa".to_owned())]);
    }

    #[test]
    fn names_are_written_out_as_containerd_does() {
        for (short, full) in [
            ("nginx", "docker.io/library/nginx:latest"),
            ("lab/echo:1", "docker.io/lab/echo:1"),
            ("localhost/web:1", "localhost/web:1"),
            ("registry:5000/web", "registry:5000/web:latest"),
            ("quay.io/a/b:v1", "quay.io/a/b:v1"),
            ("nginx@sha256:ab", "docker.io/library/nginx@sha256:ab"),
        ] {
            assert_eq!(full_name(short), full);
        }
    }
}
