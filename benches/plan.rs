//! Graph, plan and order of steps for a topology that is in sync, at growing sizes: what it costs,
//! and whether it grows with the number of resources and no faster.

use std::io::{self, Write};
use std::time::{Duration, Instant};

use serde_json::Value;
use topo::plan::{
    Bond, Fields, Graph, Id, Origin, Plan, Record, Request, Resource, SecretKey, Seen, Table, Want,
    World, plan, steps,
};

static CLUSTER: Table = Table::plain("cluster");
static POOL: Table = Table::plain("pool");
static OBJECT: Table = Table::plain("object");
static GATEWAY: Table = Table::plain("gateway");
static PORT: Table = Table::plain("port");

const OBJECTS: usize = 90_000;
const PORTS: usize = 10_000;
const RUNS: usize = 5;

fn main() -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "resources    graph     plan    steps   plan, per resource")?;
    for percent in [1, 10, 100] {
        let desired = topology(OBJECTS * percent / 100, PORTS * percent / 100);
        let world = in_sync_with(&desired);
        let best = (0..RUNS).map(|_| Times::of(&desired, &world)).min_by_key(|times| times.plan);
        let Some(best) = best else { continue };
        writeln!(
            out,
            "{:9} {:8.1?} {:8.1?} {:8.1?}   {:.0} ns",
            desired.len(),
            best.graph,
            best.plan,
            best.steps,
            best.plan.as_secs_f64() * 1e9 / f64::from(u32::try_from(desired.len()).unwrap_or(1)),
        )?;
    }
    if let Some(peak) = peak_memory() {
        writeln!(out, "most memory, with the resources and the world themselves: {peak}")?;
    }
    Ok(())
}

struct Times {
    graph: Duration,
    plan: Duration,
    steps: Duration,
}

impl Times {
    fn of(desired: &[Resource], world: &World) -> Self {
        let (graph, ordered) = timed(|| Graph::of(desired).and_then(|graph| graph.order()));
        assert_eq!(ordered.map(|order| order.len()), Ok(desired.len()));
        let (plan, planned) = timed(|| no_op(desired, world));
        let (steps, order) = timed(|| steps(&planned, desired, world));
        assert_eq!(order.steps.len(), desired.len());
        Self { graph, plan, steps }
    }
}

/// In processor time where the system tells it, so that a busy machine does not count.
fn timed<T>(work: impl FnOnce() -> T) -> (Duration, T) {
    let (wall, processor) = (Instant::now(), processor_time());
    let result = work();
    let spent = processor_time().zip(processor).map(|(after, before)| after.saturating_sub(before));
    (spent.unwrap_or_else(|| wall.elapsed()), result)
}

fn processor_time() -> Option<Duration> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    Some(Duration::from_nanos(text.split(' ').next()?.parse().ok()?))
}

fn no_op(desired: &[Resource], world: &World) -> Plan {
    let plan = plan(&Request {
        topology: "bench",
        desired,
        world,
        tables: &|_| None,
        places: &|_| None,
        key: &SecretKey::new(b"bench"),
        replace: &[],
    });
    let plan = plan.unwrap_or_else(|error| panic!("{error}"));
    assert!(plan.in_sync(), "{:?}", plan.summary());
    plan
}

/// Objects in a cluster, each in a namespace and with the pools, and forwards that follow them.
fn topology(objects: usize, ports: usize) -> Vec<Resource> {
    let id = |kind: &str, name: &str| Id::new(kind, name);
    let (cluster, pool, gateway) = (id("cluster", "dev"), id("pool", "dev"), id("gateway", "dev"));
    let namespace = |at: usize| Id::new("object", format!("core/Namespace/_/team-{:03}", at % 100));
    let service =
        |at: usize| Id::new("object", format!("core/Service/team-{:03}/web-{at:05}", at % 100));
    let object = |id: Id, line: usize| {
        let line = u32::try_from(line).unwrap_or(u32::MAX);
        Resource::new(id, &OBJECT)
            .field("hash", Want::is(format!("{line:064x}")))
            .bond(Bond::Inside(cluster.clone()))
            .origin(Origin::Line { file: "services.yaml".into(), line })
    };

    let mut resources = vec![
        Resource::new(cluster.clone(), &CLUSTER),
        Resource::new(pool.clone(), &POOL).bond(Bond::Inside(cluster.clone())),
        Resource::new(gateway.clone(), &GATEWAY).bond(Bond::Uses(cluster.clone())),
    ];
    resources.extend((0..100).map(|at| object(namespace(at), at)));
    resources.extend((0..objects).map(|at| {
        object(service(at), at * 15).bond(Bond::Uses(namespace(at))).bond(Bond::Uses(pool.clone()))
    }));
    resources.extend((0..ports).map(|at| {
        let listen = format!("127.0.0.1:{}/tcp", 10_000 + at);
        Resource::new(Id::new("port", listen), &PORT)
            .field("address", Want::After(service(at), "address"))
            .field("port", Want::is(80))
            .bond(Bond::Holds(gateway.clone()))
            .origin(Origin::Key(format!("gateway.ports.{at}").into()))
    }));
    resources
}

fn in_sync_with(desired: &[Resource]) -> World {
    let key = SecretKey::new(b"bench");
    let mut world = World::default();
    for resource in desired {
        let values: Fields<Value> = resource
            .fields
            .iter()
            .map(|(name, want)| match want {
                Want::Is(value) => (name.clone(), value.clone()),
                _ => (name.clone(), "172.22.255.200".into()),
            })
            .collect();
        let mut seen = Seen::mine(Record::of(resource, &values, &key));
        seen.fields = values;
        world.add(resource.id.clone(), seen.output("address", "172.22.255.200"));
    }
    world
}

/// As Linux tells it.
fn peak_memory() -> Option<String> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    Some(line.trim_start_matches("VmHWM:").trim().to_owned())
}
