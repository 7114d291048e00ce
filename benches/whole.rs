//! From files to a plan that has nothing to do: a topology of many objects and forwards is read, made
//! into resources, put in order and compared, at growing sizes. Beside it `OpenTofu` plans as many of
//! its simplest resources, where there is a `tofu` (`tests/lab/lab peers` builds one).

use std::error::Error;
use std::fmt::Write as _;
use std::fs;
use std::io::{self, Write as _};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use topo::backend::docker::Snapshot;
use topo::backend::download::Downloads;
use topo::backend::host::Disk;
use topo::plan::{
    Graph, Outputs, Record, Request, Resource, SecretKey, Seen, Want, World, plan, steps,
};
use topo::resources::{Ingredients, Objects, desired};
use topo::templates::Templates;
use topo::topology::{Input, load};

/// As the program itself has it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const OBJECTS: usize = 90_000;
const PORTS: usize = 10_000;
const FILES: usize = 30;
const NAMESPACES: usize = 100;
const RUNS: usize = 3;
const BESIDE_TOFU: usize = 2_000;

/// Tells a process of this bench which topology to read: each size has a process, and so a memory, of its own.
const FOLDER: &str = "TOPO_BENCH_FOLDER";

type Result<T> = std::result::Result<T, Box<dyn Error>>;

fn main() -> Result<()> {
    if let Some(folder) = std::env::var_os(FOLDER) {
        return measure(Path::new(&folder));
    }
    let mut out = io::stdout().lock();
    writeln!(out, "objects forwards  {}", Times::HEADING)?;
    for percent in [1, 10, 100] {
        let (objects, ports) = (OBJECTS * percent / 100, PORTS * percent / 100);
        let line = best_of_some(objects, ports)?;
        writeln!(out, "{objects:7} {ports:8}  {line}")?;
    }
    beside_tofu(&mut out)
}

fn best_of_some(objects: usize, ports: usize) -> Result<String> {
    let folder = tempfile::tempdir()?;
    write_topology(folder.path(), objects, ports)?;
    let mut best: Option<(f64, String)> = None;
    for _ in 0..RUNS {
        let run = Command::new(std::env::current_exe()?).env(FOLDER, folder.path()).output()?;
        let text = String::from_utf8(run.stdout)?;
        let (seconds, line) =
            text.trim_end().split_once(' ').ok_or(String::from_utf8(run.stderr)?)?;
        let seconds = seconds.parse()?;
        if best.as_ref().is_none_or(|(before, _)| seconds < *before) {
            best = Some((seconds, line.to_owned()));
        }
    }
    Ok(best.map(|(_, line)| line).unwrap_or_default())
}

/// Services in many namespaces, and forwards that follow them.
fn write_topology(folder: &Path, objects: usize, ports: usize) -> Result<()> {
    let mut file = String::from(
        "apiVersion: topo/v1alpha1\nkind: Topology\nname: bench\ncluster: {}\n\
         metallb: {pools: [{name: dev, size: 50}]}\nmanifests: [{path: manifests}]\n\
         gateway:\n  publish: [10000-19999]\n  allowLargeRange: true\n",
    );
    if ports > 0 {
        file.push_str("  ports:\n");
    }
    for port in 0..ports {
        writeln!(
            file,
            "    - {{ listen: {}, to: {{ service: team-{:03}/web-{port:05}, port: 80 }} }}",
            10_000 + port,
            port % NAMESPACES
        )?;
    }
    fs::write(folder.join("topo.yaml"), file)?;

    let manifests = folder.join("manifests");
    fs::create_dir(&manifests)?;
    let mut namespaces = String::new();
    for namespace in 0..NAMESPACES {
        write!(
            namespaces,
            "---\napiVersion: v1\nkind: Namespace\nmetadata: {{name: team-{namespace:03}}}\n"
        )?;
    }
    fs::write(manifests.join("000-namespaces.yaml"), namespaces)?;
    let services: Vec<usize> = (0..objects).collect();
    for (number, part) in services.chunks(objects.div_ceil(FILES)).enumerate() {
        let mut text = String::new();
        for service in part {
            write!(
                text,
                "---\napiVersion: v1\nkind: Service\nmetadata:\n  name: web-{service:05}\n  namespace: team-{:03}\n\
                 spec:\n  type: LoadBalancer\n  selector:\n    app: web-{service:05}\n  ports:\n    - name: http\n      port: 80\n      targetPort: 8080\n",
                service % NAMESPACES
            )?;
        }
        fs::write(manifests.join(format!("{:03}-services.yaml", number + 1)), text)?;
    }
    Ok(())
}

/// Reads the topology of a folder and plans it, and prints the seconds that count and a line that tells more.
fn measure(folder: &Path) -> Result<()> {
    let times = Times::of(&folder.join("topo.yaml"))?;
    writeln!(io::stdout(), "{} {times}", times.total().as_secs_f64())?;
    Ok(())
}

struct Times {
    topology: Duration,
    manifests: Duration,
    resources: Duration,
    /// Which the plan makes too.
    graph: Duration,
    plan: Duration,
    memory: String,
}

impl Times {
    const HEADING: &str = "topology manifests resources    graph     plan      all  memory";

    fn of(file: &Path) -> Result<Self> {
        let bytes = fs::read(file)?;
        let (topology, loaded) = timed(|| {
            let folder = file.parent().unwrap_or(file);
            load(&Input {
                path: file,
                folder,
                bytes: &bytes,
                vars: &|_| None,
                home: None,
                files: &Disk,
            })
        });
        let topology_file = loaded.map_err(|problems| format!("{problems:?}"))?.topology;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (manifests, objects) = timed(|| {
            let downloads = Downloads::of(&|_| None);
            runtime.block_on(Objects::read(Some(&topology_file), &downloads, &|_| None))
        });
        let objects = objects.map_err(|failure| format!("{failure:?}"))?;
        let (resources, wanted) = timed(|| {
            desired(&Ingredients {
                topology: &topology_file,
                objects: &objects,
                templates: &Templates::new(None),
                claim: None,
                snapshot: &Snapshot::default(),
                machine: None,
                state: None,
                key: &SecretKey::new(b"a key"),
            })
        });
        let wanted = wanted.map_err(|failure| format!("{failure:?}"))?;
        let world = in_sync_with(&wanted);
        let (graph, ordered) = timed(|| Graph::of(&wanted).and_then(|graph| graph.order()));
        let ordered = ordered.map_err(|error| error.to_string())?;
        if ordered.len() != wanted.len() {
            return Err("the order is not of every resource".into());
        }
        let (plan, planned) = timed(|| {
            let planned = plan(&Request {
                topology: "bench",
                desired: &wanted,
                world: &world,
                tables: &topo::resources::table,
                places: &|_| None,
                key: &SecretKey::new(b"bench"),
                replace: &[],
                take: &[],
            })?;
            let order = steps(&planned, &wanted, &world);
            Ok::<_, Box<dyn Error>>((planned, order.steps.len()))
        });
        let (planned, steps) = planned?;
        if steps != wanted.len() {
            return Err("there is not a step for every resource".into());
        }
        if !planned.in_sync() {
            return Err(format!("not in sync: {:?}", planned.summary()).into());
        }
        let memory = peak_memory().unwrap_or_else(|| "unknown".to_owned());
        Ok(Self { topology, manifests, resources, graph, plan, memory })
    }

    fn total(&self) -> Duration {
        self.topology + self.manifests + self.resources + self.plan
    }
}

impl std::fmt::Display for Times {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        let Self { topology, manifests, resources, graph, plan, memory } = self;
        write!(
            f,
            "{topology:8.1?} {manifests:9.1?} {resources:9.1?} {graph:8.1?} {plan:8.1?} {:8.1?}  {memory}",
            self.total()
        )
    }
}

fn timed<T>(work: impl FnOnce() -> T) -> (Duration, T) {
    let since = Instant::now();
    let result = work();
    (since.elapsed(), result)
}

/// Everything as it would be after it was applied.
fn in_sync_with(desired: &[Resource]) -> World {
    let mut world = World::default();
    let address = || Outputs::new().with("address", "172.22.255.200".into());
    for resource in desired {
        let values: Outputs = resource
            .fields
            .iter()
            .map(|(name, want)| match want {
                Want::Is(value) => (name.clone(), value.clone()),
                Want::Auto | Want::After(..) => (name.clone(), "172.22.255.200".into()),
            })
            .collect();
        let mut seen = Seen::mine(Record::of(resource, &values));
        seen.outputs = values.clone();
        seen.outputs.extend(address());
        seen.fields = values;
        world.add(resource.id.clone(), seen);
    }
    world
}

/// As Linux tells it.
fn peak_memory() -> Option<String> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    let kilobytes: u64 =
        line.trim_start_matches("VmHWM:").trim().trim_end_matches(" kB").parse().ok()?;
    Some(format!("{} MB", kilobytes / 1024))
}

/// A plan with nothing to do, of as many resources.
fn beside_tofu(out: &mut impl io::Write) -> Result<()> {
    if Command::new("tofu").arg("version").output().is_err() {
        writeln!(out, "no `tofu` on PATH to plan {BESIDE_TOFU} resources beside topo")?;
        return Ok(());
    }
    let folder = tempfile::tempdir()?;
    let resources = "resource \"terraform_data\" \"one\" {\n  count = 2000\n  input = \"web-${count.index}\"\n}\n";
    debug_assert!(resources.contains(&BESIDE_TOFU.to_string()));
    fs::write(folder.path().join("main.tf"), resources)?;
    let tofu = |arguments: &[&str]| -> Result<Duration> {
        let mut command = Command::new("tofu");
        let (took, run) = timed(|| command.current_dir(folder.path()).args(arguments).output());
        let run = run?;
        if run.status.success() { Ok(took) } else { Err(String::from_utf8(run.stderr)?.into()) }
    };
    tofu(&["init", "-input=false"])?;
    tofu(&["apply", "-auto-approve", "-input=false"])?;
    let theirs = (0..RUNS).map(|_| tofu(&["plan", "-input=false"])).collect::<Result<Vec<_>>>()?;
    let theirs = theirs.into_iter().min().unwrap_or_default();

    let ours = tempfile::tempdir()?;
    write_topology(ours.path(), BESIDE_TOFU - NAMESPACES, 0)?;
    let ours = (0..RUNS).map(|_| Ok(Times::of(&ours.path().join("topo.yaml"))?.total()));
    let ours = ours.collect::<Result<Vec<_>>>()?.into_iter().min().unwrap_or_default();
    writeln!(
        out,
        "{BESIDE_TOFU} resources: topo {ours:.1?}, tofu plan {theirs:.1?}: {:.4} of its time",
        ours.as_secs_f64() / theirs.as_secs_f64()
    )?;
    Ok(())
}
