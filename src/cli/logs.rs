//! `topo logs`: what gateway, servers, nodes and pods write, line by line.

use std::collections::HashSet;
use std::path::PathBuf;
use std::time::Duration;

use futures::StreamExt;
use futures::stream::SelectAll;
use tokio::time::{Instant, interval_at};

use super::args::{FileArgs, duration};
use super::session::{Purpose, Session, Which};
use super::{run, sites};
use crate::backend::kube::{Kube, KubeError};
use crate::backend::log::{Extent, Lines};
use crate::engine::Failure;
use crate::error::{Error, Exit};
use crate::resources::{Container, Reads, Site, Workload, pods};
use crate::view::{Logged, View};

/// How soon a pod that has come is followed too.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// What of a node's journal is read.
const KUBELET: &str = "kubelet";

/// Print the logs of gateway, servers, nodes and pods
///
/// Without an ID those of gateway, NFS server and connector. A node's is that of its kubelet. A
/// Deployment, StatefulSet, DaemonSet, ReplicaSet, Job or Pod has those of all containers of all its
/// pods, with `--follow` also of pods that come later. Each line begins with the name of its source,
/// unless one container is all that was asked for.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// What to read, in any short form: `gateway`, `dev-worker`, `Deployment/web`
    #[arg(value_name = "ID")]
    ids: Vec<String>,
    /// Go on with what comes, until Ctrl-C
    #[arg(short, long)]
    follow: bool,
    /// Only this many last lines of each
    #[arg(short = 'n', long, value_name = "N")]
    tail: Option<u32>,
    /// Only lines younger than this: `90s`, `5m`
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    since: Option<Duration>,
    /// The topology file, `-` for standard input [default: `$TOPO_FILE`, or topo.yaml]
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// The name of the topology, when its file is gone
    #[arg(long, value_name = "NAME", conflicts_with = "file")]
    name: Option<String>,
}

impl Args {
    fn which(&self) -> Which<'_> {
        match &self.name {
            Some(name) => Which::Name(name),
            None => Which::File(self.file.clone().unwrap_or_else(FileArgs::unnamed)),
        }
    }
}

pub async fn logs(args: &Args, view: &mut dyn View) -> Result<Exit, Error> {
    let cancel = run::listen()?;
    let printed = run::unless_interrupted(&cancel, Box::pin(print(args, view))).await;
    printed.unwrap_or(Ok(Exit::Interrupted))
}

async fn print(args: &Args, view: &mut dyn View) -> Result<Exit, Error> {
    let session = Session::open(args.which(), Purpose::Look, "topo logs", view).await?;
    session.check_claims(true)?;
    if !session.is_known() {
        return Err(session.not_found("logs"));
    }
    let sites = wanted(&session, &args.ids).await?;
    let extent = Extent { follow: args.follow, tail: args.tail, since: args.since };
    let is_one_container = args.ids.len() == 1 && matches!(sites[..], [Site::Container(_)]);
    let mut reading = Reading::new(&session, extent, !is_one_container);
    for site in &sites {
        match site {
            Site::Container(container) => reading.container(container, view).await?,
            Site::Workload(workload) => {
                reading.workload(workload, view).await?;
            }
        }
    }
    reading.extent = Extent { follow: args.follow, ..Extent::default() };
    if args.follow { reading.follow(&sites, view).await } else { reading.read_out(view).await }
}

async fn wanted(session: &Session, ids: &[String]) -> Result<Vec<Site>, Error> {
    let mut sites: Vec<Site> = Vec::new();
    for typed in ids {
        let site = sites::find(session, typed).await?;
        if !sites.contains(&site) {
            sites.push(site);
        }
    }
    if !ids.is_empty() {
        return Ok(sites);
    }
    let (nodes, made): (Vec<Container>, Vec<Container>) =
        sites::containers(session).into_iter().partition(Container::is_node);
    if made.is_empty() {
        let failure = Failure::new(format!(
            "`{}` has no gateway, no NFS server and no connector",
            session.name()
        ));
        return Err(Error::refused(match sites::list(nodes.iter().map(|node| &node.id)) {
            Some(list) => failure.hint(format!("name what to read: a workload, or one of {list}")),
            None => failure.hint("name a workload, such as `topo logs Deployment/web`"),
        }));
    }
    Ok(made.into_iter().map(Site::Container).collect())
}

/// Something that writes lines.
struct Source {
    name: String,
    lines: Lines,
}

/// What is being read.
struct Reading<'a> {
    session: &'a Session,
    extent: Extent,
    /// Not yet read.
    sources: Vec<Source>,
    /// The name of every source so far.
    names: Vec<String>,
    /// The runs of containers among them.
    runs: HashSet<String>,
    /// Of pods that have no log yet why, once.
    said: HashSet<String>,
    has_names: bool,
}

impl<'a> Reading<'a> {
    fn new(session: &'a Session, extent: Extent, has_names: bool) -> Self {
        Self {
            session,
            extent,
            sources: Vec::new(),
            names: Vec::new(),
            runs: HashSet::new(),
            said: HashSet::new(),
            has_names,
        }
    }

    fn add(&mut self, name: String, lines: Lines) {
        self.names.push(name.clone());
        self.sources.push(Source { name, lines });
    }

    async fn container(&mut self, container: &Container, view: &mut dyn View) -> Result<(), Error> {
        let docker = &self.session.cx().docker;
        let lines = match container.reads {
            Reads::Journal if !container.is_running => return Err(sites::stopped(container)),
            Reads::Journal => docker
                .journal(&container.name, KUBELET, self.extent)
                .await
                .map_err(|error| unreadable(&container.name, &error))?,
            Reads::Log => docker.log(&container.name, self.extent),
        };
        if !container.is_running {
            view.note(&format!("`{}` is stopped", container.id));
        }
        self.add(container.name.clone(), lines);
        Ok(())
    }

    /// Those of its pods that are new; answers whether none of them will ever write again.
    async fn workload(&mut self, workload: &Workload, view: &mut dyn View) -> Result<bool, Error> {
        let failed = |error: KubeError| unreadable(workload.id.as_str(), &error);
        let kube = self.session.cx().kube().await?;
        let found = pods::behind(&kube, &workload.target()).await.map_err(failed)?;
        if found.is_empty() && self.said.insert(workload.id.to_string()) {
            view.note(&format!("`{}` has no pods", workload.id));
        }
        for pod in &found {
            let new: Vec<pods::Run> =
                pods::runs(pod).into_iter().filter(|run| !self.runs.contains(&run.id)).collect();
            let name = pod.metadata.name.clone().unwrap_or_default();
            if let Some(why) = pods::complaint(&pod.data)
                && self.said.insert(name.clone())
            {
                view.note(&format!("pod {name}: {why}"));
            }
            for run in new {
                let lines = self.open(&kube, workload, &run).await.map_err(failed)?;
                self.runs.insert(run.id.clone());
                self.add(run.name(), lines);
            }
        }
        Ok(found.iter().all(pods::is_over))
    }

    async fn open(
        &self,
        kube: &Kube,
        workload: &Workload,
        run: &pods::Run,
    ) -> Result<Lines, KubeError> {
        kube.log(&workload.namespace, &run.pod, &run.container, self.extent).await
    }

    /// One source after the other.
    async fn read_out(mut self, view: &mut dyn View) -> Result<Exit, Error> {
        for (nth, mut source) in std::mem::take(&mut self.sources).into_iter().enumerate() {
            while let Some(line) = source.lines.next().await {
                let line = line.map_err(|error| unreadable(&source.name, &error))?;
                if !self.show(nth, &line, view) {
                    return Ok(Exit::Done);
                }
            }
        }
        Ok(Exit::Done)
    }

    /// All at once, until none will write again or nobody reads.
    async fn follow(mut self, sites: &[Site], view: &mut dyn View) -> Result<Exit, Error> {
        let mut open = SelectAll::new();
        let mut looks = interval_at(Instant::now() + LOOK_AGAIN, LOOK_AGAIN);
        loop {
            let first = self.names.len() - self.sources.len();
            for (source, nth) in self.sources.drain(..).zip(first..) {
                open.push(source.lines.map(move |line| (nth, line)).boxed());
            }
            tokio::select! {
                Some((nth, line)) = open.next() => match line {
                    Ok(line) if !self.show(nth, &line, view) => return Ok(Exit::Done),
                    Ok(_) => {}
                    Err(error) => view.warning(&format!("`{}`: {error}", self.names[nth])),
                },
                _ = looks.tick() => {
                    let are_over = self.look_again(sites, view).await;
                    if are_over && open.is_empty() && self.sources.is_empty() {
                        return Ok(Exit::Done);
                    }
                }
            }
        }
    }

    /// A cluster that does not answer now may answer again.
    async fn look_again(&mut self, sites: &[Site], view: &mut dyn View) -> bool {
        let mut are_over = true;
        for site in sites {
            if let Site::Workload(workload) = site {
                are_over &= self.workload(workload, view).await.unwrap_or(false);
            }
        }
        are_over
    }

    fn show(&self, nth: usize, line: &str, view: &mut dyn View) -> bool {
        let columns = self.names.iter().map(String::len).max();
        view.logged(&Logged {
            source: &self.names[nth],
            nth,
            columns: columns.filter(|_| self.has_names),
            line,
        })
    }
}

fn unreadable(name: &str, error: &(dyn std::error::Error + 'static)) -> Error {
    Error::because(format!("cannot read the log of `{name}`"), error)
}
