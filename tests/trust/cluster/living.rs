//! A lane's cluster, from round to round.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::{Case, Doing, How};
use crate::engine;
use crate::files;
use crate::lane::{Lane, Ran};
use crate::listing;
use crate::proxy::Order;

/// For a run that makes a cluster.
const PATIENCE: Duration = Duration::from_mins(12);
/// For pods to come to rest.
const REST: Duration = Duration::from_mins(2);

pub struct Living<'a> {
    lane: &'a Lane,
}

impl<'a> Living<'a> {
    pub fn new(lane: &'a Lane) -> Self {
        Self { lane }
    }

    /// How many changes each doing makes when nothing happens to it.
    pub fn changes(&self) -> impl Fn(Doing) -> usize + use<> {
        let mut counted = BTreeMap::new();
        for doing in [Doing::Create, Doing::Join, Doing::Leave, Doing::Destroy] {
            let ran = self.strike(doing, Order::Pass);
            ran.ends(0, &format!("{doing:?} to which nothing happens")).expect("it succeeds");
            counted.insert(doing as usize, ran.run.changes().len());
        }
        move |doing| counted[&(doing as usize)]
    }

    pub fn round(&self, case: &Case) -> Result<(), String> {
        match case.doing {
            Doing::Join | Doing::Leave => self.on_the_living(case),
            Doing::Create | Doing::Destroy => self.between_nothings(case),
        }
    }

    fn on_the_living(&self, case: &Case) -> Result<(), String> {
        let before = if case.doing == Doing::Join { 1 } else { 2 };
        self.applied(before)?;
        let ran = self.strike(case.doing, self.order(case.how));
        ran.sane("the run that was struck")?;
        let wanted = 3 - before;
        self.applied(wanted)
    }

    fn between_nothings(&self, case: &Case) -> Result<(), String> {
        if listing::on_the_engine(self.lane).iter().any(|thing| thing.starts_with("container ")) {
            self.destroyed()?;
        }
        let empty = listing::of(self.lane);
        if case.doing == Doing::Destroy {
            self.applied(1)?;
        }
        let ran = self.strike(case.doing, self.order(case.how));
        let at = ran.run.struck().unwrap_or_default();
        ran.sane("the run that was struck")?;
        let follow = || {
            if !case.at_once {
                self.applied(1)?;
            }
            self.destroyed()?;
            listing::same(&empty, &listing::of(self.lane))
        };
        follow().map_err(|why: String| format!("({at}) {why}"))
    }

    /// As soon as the first node is there topo is killed, and the others and all else are kind's.
    pub fn outlives(&self) -> Result<(), String> {
        let empty = listing::of(self.lane);
        let file = write(self.lane, 1);
        let mut killed = self.lane.begin(Order::Pass, &["apply", "--yes", &file]);
        let deadline = Instant::now() + PATIENCE;
        let node = loop {
            if let Some(node) = self.node() {
                break node;
            }
            if Instant::now() > deadline {
                return Err("no node came".to_owned());
            }
            std::thread::sleep(Duration::from_millis(100));
        };
        killed.topo.kill().and_then(|()| killed.topo.wait()).map_err(|error| error.to_string())?;
        self.applied(1)?;
        let kept = self.node();
        self.destroyed()?;
        if kept.as_ref() != Some(&node) {
            return Err(format!("the node was {node}, and then {kept:?}"));
        }
        listing::same(&empty, &listing::of(self.lane))
    }

    /// The id of the control plane's container.
    fn node(&self) -> Option<String> {
        let name = format!("/{}-control-plane", self.lane.name);
        let nodes = engine::containers();
        let node = nodes.iter().find(|one| one["Names"][0] == name.as_str())?;
        node["Id"].as_str().map(str::to_owned)
    }

    fn order(&self, how: How) -> Order {
        match how {
            How::Strike(fault) => Order::Strike(fault),
            How::KindKilled(at) => kind_killed(self.lane, at),
        }
    }

    fn strike(&self, doing: Doing, order: Order) -> Ran {
        let workers = if doing == Doing::Join { 2 } else { 1 };
        let file = write(self.lane, workers);
        let command = if doing == Doing::Destroy { "destroy" } else { "apply" };
        self.lane.begin(order, &[command, "--yes", &file]).end_within(PATIENCE)
    }

    /// In sync, with as many nodes as Kubernetes says are ready.
    fn applied(&self, workers: u16) -> Result<(), String> {
        let file = write(self.lane, workers);
        let ran = self.lane.begin(Order::Pass, &["apply", "--yes", &file]).end_within(PATIENCE);
        ran.ends(0, &format!("an apply with {workers} workers"))?;
        let deadline = Instant::now() + REST;
        loop {
            let judged = self.is_whole(&file, workers);
            if judged.is_ok() || Instant::now() > deadline {
                return judged;
            }
            std::thread::sleep(Duration::from_secs(1));
        }
    }

    fn is_whole(&self, file: &str, workers: u16) -> Result<(), String> {
        self.lane.topo(&["diff", file]).ends(0, "the diff after an apply")?;
        let context = format!("kind-{}", self.lane.name);
        let listed = Command::new("kubectl")
            .args(["--context", &context, "get", "nodes", "--no-headers"])
            .env("HOME", self.lane.home())
            .env_remove("KUBECONFIG")
            .output();
        let listed = listed.map_err(|error| format!("kubectl does not run: {error}"))?;
        let nodes = String::from_utf8_lossy(&listed.stdout).into_owned();
        let ready = nodes.lines().filter(|line| line.contains(" Ready ")).count();
        let is_whole = ready == usize::from(workers) + 1 && nodes.lines().count() == ready;
        if is_whole {
            Ok(())
        } else {
            Err(format!("in sync, and Kubernetes has the nodes\n{nodes}"))
        }
    }

    fn destroyed(&self) -> Result<(), String> {
        let file = self.lane.file();
        let ran = self.lane.begin(Order::Pass, &["destroy", "--yes", &file]).end_within(PATIENCE);
        // kubectl's cache is this test's.
        let _ = std::fs::remove_dir_all(self.lane.home().join(".kube/cache"));
        ran.ends(0, "a destroy")
    }
}

fn write(lane: &Lane, workers: u16) -> String {
    let variable = |name: &str| std::env::var(name).expect("bring the lab up first");
    let (net, port) = (lane.net(), lane.port());
    let mut text = format!("name: {}\nnetwork: {{ subnet: {net}.0/24 }}\n", lane.name);
    let node = variable("NODE_IMAGE");
    let _ = writeln!(text, "cluster: {{ workers: {workers}, image: \"{node}\" }}");
    let _ = writeln!(text, "images: [\"{}\"]", variable("ECHO_IMAGE"));
    let pool = format!("{{ name: main, addresses: [{net}.200-{net}.209] }}");
    let _ = writeln!(text, "metallb: {{ pools: [{pool}] }}");
    let image = files::image();
    let _ = writeln!(text, "gateway: {{ image: {image}, publish: [{port}] }}");
    lane.write(&text)
}

/// At the change of this number, of kind's and topo's.
fn kind_killed(lane: &Lane, at: usize) -> Order {
    let home = format!("HOME={}", lane.home().display());
    let changes = AtomicUsize::new(0);
    Order::Watch(Box::new(move |call, _| {
        if call.changes && changes.fetch_add(1, Ordering::SeqCst) + 1 == at {
            kill_kind(&home);
        }
    }))
}

fn kill_kind(home: &str) {
    for process in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
        let read = |name: &str| std::fs::read(process.path().join(name)).unwrap_or_default();
        let is_kind = read("comm").trim_ascii() == b"kind";
        let is_of_home = read("environ").split(|byte| *byte == 0).any(|set| set == home.as_bytes());
        let pid = process.file_name().to_str().and_then(|name| name.parse().ok());
        if let (true, true, Some(pid)) = (is_kind, is_of_home, pid.and_then(Pid::from_raw)) {
            let _ = kill_process(pid, Signal::KILL);
        }
    }
}
