//! `topo adopt`: a topology file of what was made by hand.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use super::load::{self, STDIN};
use super::session::{Session, reach_engine};
use super::variables::variable;
use crate::adopt::{Cluster, Gateway, Sight, draft, look};
use crate::backend::docker::{Container, Docker, Network, Snapshot};
use crate::backend::host::Disk;
use crate::engine::Failure;
use crate::error::{Error, Exit};
use crate::resources::kind_nodes;
use crate::topology::{self, Input, Loaded, Problems, Severity, nearest};
use crate::view::{Sources, View};

/// Write a topology file from what was made by hand
///
/// Looks at a cluster that kind made, at its MetalLB, Services and volumes, and at a container that forwards
/// ports, with its rules and its network, and prints a file that uses them. What the file cannot say is in
/// its comments. Nothing is changed: `topo diff` shows what topo would make.
#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("what").required(true).multiple(true))]
pub struct Args {
    /// The cluster, as `kind get clusters` lists it
    #[arg(long, group = "what", value_name = "NAME")]
    cluster: Option<String>,
    /// The container that publishes ports and forwards them
    #[arg(long, group = "what", value_name = "NAME")]
    gateway: Option<String>,
    /// The topology's name [default: the cluster's, or the gateway's without `-gw`]
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Where to write it, instead of standard output
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

pub async fn adopt(args: &Args, view: &mut dyn View) -> Result<Exit, Error> {
    if let Some(taken) = args.out.as_ref().filter(|out| out.exists()) {
        let failure =
            Failure::new(format!("`{}` already exists; nothing was written", taken.display()));
        return Err(Error::refused(failure.hint("name another file with `--out`")));
    }
    let (docker, snapshot) = reach_engine().await?;
    let sight = sight(args, &docker, &snapshot, view).await?;
    let out = args.out.as_deref().unwrap_or(Path::new("topo.yaml"));
    let text = draft(&sight);
    let problems = problems(out, &text);
    if args.out.is_some() {
        let written =
            std::fs::File::create_new(out).and_then(|mut file| file.write_all(text.as_bytes()));
        written
            .map_err(|error| Error::because(format!("cannot write `{}`", out.display()), &error))?;
    } else {
        view.data(&text);
    }
    view.problems(&Sources::default().with(out.display().to_string(), text), &problems.0);
    if problems.0.iter().any(|problem| problem.severity == Severity::Error) {
        return Err(Error::refused(Failure::new("the file needs a change before it is valid")));
    }
    if args.out.is_some() {
        let file = out.display();
        view.note(&format!("wrote `{file}`; `topo diff {file}` shows what topo would make"));
    }
    Ok(Exit::Done)
}

async fn sight(
    args: &Args,
    docker: &Docker,
    snapshot: &Snapshot,
    view: &mut dyn View,
) -> Result<Sight, Error> {
    let named = args.name.as_deref().or(args.cluster.as_deref());
    let of_gateway = || args.gateway.as_deref().map(|name| name.trim_end_matches("-gw"));
    let name = named.or_else(of_gateway).unwrap_or_default();
    let name = topology::TopologyName::from_str(name).map_err(|error| {
        let failure = Failure::new(format!("`{name}` cannot be the name of a topology: {error}"));
        Error::refused(failure.hint("choose one with `--name`"))
    })?;
    let name = name.to_string();
    let gateway = match &args.gateway {
        Some(gateway) => Some(gateway_of(gateway, docker, snapshot).await?),
        None => None,
    };
    let cluster = match &args.cluster {
        Some(cluster) => {
            let on = (docker, snapshot);
            Some(Box::pin(cluster_of(cluster, &name, on, view)).await?)
        }
        None => None,
    };
    let containers = cluster.iter().flat_map(|cluster| &cluster.nodes).map(|node| &node.container);
    let mut containers = containers.chain(gateway.iter().map(|gateway| &gateway.container));
    let network = containers.find_map(|container| network_of(container, snapshot));
    let network = network.cloned().ok_or_else(|| {
        let named = args.gateway.as_deref().unwrap_or_default();
        Error::refused(Failure::new(format!("the container `{named}` is on no Docker network")))
    })?;
    Ok(Sight { name, network, cluster, gateway })
}

fn network_of<'a>(container: &Container, snapshot: &'a Snapshot) -> Option<&'a Network> {
    container.addresses.keys().find_map(|name| snapshot.network(name))
}

async fn gateway_of(name: &str, docker: &Docker, snapshot: &Snapshot) -> Result<Gateway, Error> {
    let container = snapshot.container(name).ok_or_else(|| {
        let names = snapshot.containers.iter().map(|container| container.name.as_str());
        unknown("container", name, names.collect())
    })?;
    refuse_topos_own(container, name)?;
    if !container.is_running() {
        let failure = Failure::new(format!(
            "the container `{name}` is not running, so it has no rules and ports to read"
        ));
        return Err(Error::refused(failure.hint(format!(
            "`docker start {name}` starts it; rules that a script has set must be set again"
        ))));
    }
    Ok(look::gateway(docker, container).await?)
}

async fn cluster_of(
    cluster: &str,
    topology: &str,
    (docker, snapshot): (&Docker, &Snapshot),
    view: &mut dyn View,
) -> Result<Cluster, Error> {
    let node = kind_nodes::named_alike(snapshot, cluster).next().ok_or_else(|| {
        let labels = snapshot.containers.iter();
        let mut names: Vec<&str> = labels.filter_map(kind_nodes::cluster).collect();
        names.dedup();
        unknown("cluster", cluster, names)
    })?;
    refuse_topos_own(node, cluster)?;
    let context = format!("kind-{cluster}");
    let text = format!("name: {topology}\ncluster: {{ context: {context:?} }}\n");
    let loaded = read(Path::new(STDIN), &text).map_err(|Problems(problems)| {
        let what = problems.first().map(|problem| problem.message.clone()).unwrap_or_default();
        Error::refused(Failure::new(what))
    })?;
    let session = Session::on(Path::new(STDIN), loaded, docker.clone(), snapshot.clone(), view)?;
    let kube = session.cx().kube_ready().await.map_err(|failure| {
        failure.hint(format!("`kind export kubeconfig --name {cluster}` writes its entry; a stopped cluster has to be started"))
    })?;
    Ok(look::cluster(docker, snapshot, &kube, cluster, context).await?)
}

fn refuse_topos_own(container: &Container, cluster: &str) -> Result<(), Error> {
    let Some(topology) = look::topology(container, cluster) else { return Ok(()) };
    let name = &container.name;
    let failure = Failure::new(format!("`{name}` was made by topo, for the topology `{topology}`"));
    Err(Error::refused(failure.hint("`topo ls` shows the file that it was applied from")))
}

fn unknown(sort: &str, name: &str, mut known: Vec<&str>) -> Error {
    known.sort_unstable();
    let failure = Failure::new(format!("the engine has no {sort} `{name}`"));
    Error::refused(match nearest::to(name, known.iter().copied()) {
        Some(near) => failure.hint(format!("did you mean `{near}`?")),
        None if known.is_empty() => failure.note(format!("it has no {sort} at all")),
        None => failure.note(format!("it has {}", nearest::list(&known))),
    })
}

/// What is wrong with a file before it is written.
fn problems(path: &Path, text: &str) -> Problems {
    match read(path, text) {
        Ok(loaded) => Problems(loaded.warnings),
        Err(problems) => problems,
    }
}

fn read(path: &Path, text: &str) -> Result<Loaded, Problems> {
    let home = load::environment("HOME").map(PathBuf::from);
    topology::load(&Input {
        path,
        folder: path.parent().unwrap_or(Path::new("")),
        bytes: text.as_bytes(),
        vars: &variable,
        home: home.as_deref(),
        files: &Disk,
    })
}
