//! The engine, and the machine that it runs on.

use super::{Judged, error, warning};
use crate::backend::docker::Container;
use crate::doctor::facts::{Engine, Facts};
use crate::doctor::{Found, Part};
use crate::finding::name::{
    CGROUP_V1, DESKTOP_FREEZES, ENGINE_ELSEWHERE, ENGINE_TOO_OLD, ENGINE_UNREACHABLE, LITTLE_DISK,
    LITTLE_MEMORY, NO_DOCKER_PROGRAM, ROOTLESS_LIMITS, SLOW_STORAGE_DRIVER,
};
use crate::resources::{kind_nodes, not_of_this_machine};
use crate::topology::Cluster;

const GIB: u64 = 1 << 30;
/// Of engine 20.10.
const OLDEST_API: (u32, u32) = (1, 41);
/// From which on the port 65535 cannot be published: docker/desktop-feedback 164.
const FREEZES_FROM: (u32, u32) = (4, 55);
const FREEZES_AT: u16 = 65535;
/// The first Kubernetes whose kubelet refuses cgroup v1, and the first kind that takes it by itself.
const REFUSES_CGROUP_V1: u32 = 35;
const KIND_REFUSES_CGROUP_V1: (u32, u32) = (0, 31);

pub fn judged(facts: &Facts) -> Vec<Judged> {
    let mut judged = match &facts.engine {
        Ok(engine) => vec![
            version(facts, engine),
            images(engine),
            cgroup(facts, engine),
            memory(facts, engine),
            disk(facts),
        ],
        Err(why) => vec![unreachable(why)],
    };
    judged.push(programs(facts));
    judged
}

fn unreachable(why: &str) -> Judged {
    let why = why.lines().map(str::trim).collect::<Vec<_>>().join("; ");
    let found = error(
        ENGINE_UNREACHABLE,
        why,
        "topo makes everything through a Docker engine",
        "start the engine; `docker context ls` shows those there are, and DOCKER_HOST names one",
    );
    Judged::new(Part::Machine, "engine", "does not answer", [found])
}

fn version(facts: &Facts, engine: &Engine) -> Judged {
    let info = &engine.info;
    let product = if info.product.contains("Desktop") { &info.product } else { "" };
    let names =
        [info.operating_system.as_str(), product, if info.is_podman { "Podman" } else { "" }];
    let names: Vec<&str> = names.into_iter().filter(|name| !name.is_empty()).collect();
    let saw = format!("{}, API {}, {}, at {}", info.version, info.api, names.join(", "), engine.at);
    let found = [
        too_old(engine),
        freezes(facts, engine),
        rootless(facts, engine),
        elsewhere(facts, engine),
    ];
    Judged::new(Part::Machine, "engine", saw, found.into_iter().flatten())
}

fn too_old(engine: &Engine) -> Option<Found> {
    let info = &engine.info;
    (numbers(&info.api)? < OLDEST_API).then(|| {
        warning(
            ENGINE_TOO_OLD,
            format!("the engine is {} with API {}", info.version, info.api),
            "topo is tried with engines from 20.10 (API 1.41) on",
            "update the engine: https://docs.docker.com/engine/install",
        )
    })
}

fn freezes(facts: &Facts, engine: &Engine) -> Option<Found> {
    let version = engine.info.product.strip_prefix("Docker Desktop ")?;
    let mut published = facts.topology()?.gateway.as_ref()?.published();
    let freezes = numbers(version)? >= FREEZES_FROM
        && published.any(|listen| listen.ports.contains(FREEZES_AT));
    freezes.then(|| {
        warning(
            DESKTOP_FREEZES,
            format!("the file publishes port {FREEZES_AT} on Docker Desktop {version}"),
            "Docker Desktop 4.55 and later freeze when that port is published",
            "end the range in `gateway.publish` at 65534",
        )
    })
}

fn elsewhere(facts: &Facts, engine: &Engine) -> Option<Found> {
    facts.topology().filter(|topology| topology.is_published_by_kernel())?;
    let remote = engine.remote.as_ref().map(|machine| format!("the engine runs on {machine}"));
    let here = (facts.kernel.name.as_deref(), facts.kernel.release.as_deref());
    let why = remote.or_else(|| not_of_this_machine(&engine.info, here))?;
    Some(error(
        ENGINE_ELSEWHERE,
        why,
        "rules of this machine's kernel lead nothing into its networks, and the file has `publishBy: kernel`",
        "write `publishBy: engine` in `gateway`",
    ))
}

fn rootless(facts: &Facts, engine: &Engine) -> Option<Found> {
    let info = &engine.info;
    let lacks = if info.cgroup == 1 {
        "cgroup v1".to_owned()
    } else {
        format!("no limit of {}", info.missing_limits.join(", "))
    };
    let is_refused = info.cgroup == 1 || !info.missing_limits.is_empty();
    (info.is_rootless && is_refused && facts.nodes() > 0).then(|| {
        error(
            ROOTLESS_LIMITS,
            format!("the engine is rootless, with {lacks}"),
            "kind makes no cluster on such an engine: it needs cgroup v2 with the controllers cpu, memory and pids",
            "delegate them to your user: https://kind.sigs.k8s.io/docs/user/rootless",
        )
    })
}

fn images(engine: &Engine) -> Judged {
    let info = &engine.info;
    let store = if info.has_containerd_images { "containerd's" } else { "the engine's own" };
    let saw = format!("storage driver {}, image store {store}", info.storage_driver);
    let found = (info.storage_driver == "vfs").then(|| {
        warning(
            SLOW_STORAGE_DRIVER,
            "the engine's storage driver is vfs",
            "it copies every layer whole: each node takes the time and the size of its image again",
            "write `\"storage-driver\": \"overlay2\"` in /etc/docker/daemon.json and restart the engine; images have to be pulled again",
        )
    });
    Judged::new(Part::Machine, "images", saw, found)
}

fn cgroup(facts: &Facts, engine: &Engine) -> Judged {
    let version = engine.info.cgroup;
    let cluster = facts.topology().and_then(|it| it.cluster.as_ref()).filter(|it| !it.exists());
    let runs = facts.topology().is_some_and(|topology| {
        kind_nodes::kubernetes_nodes(&engine.snapshot, topology.name.as_str())
            .any(Container::is_running)
    });
    let refusing = cluster.filter(|_| version == 1 && !runs).and_then(|it| refusing(facts, it));
    let found = refusing.map(|image| {
        error(
            CGROUP_V1,
            format!("the engine has cgroup v1, and the nodes are made from {image}"),
            "kubelet does not start on cgroup v1 from Kubernetes 1.35 on",
            "take an older `cluster.image`, or write `failCgroupV1: false` in a KubeletConfiguration under `cluster.kindConfig.kubeadmConfigPatches`",
        )
    });
    Judged::new(Part::Machine, "cgroup", format!("v{version}"), found)
}

/// What the nodes are made from, where their kubelet would refuse cgroup v1.
fn refusing(facts: &Facts, cluster: &Cluster) -> Option<String> {
    let config = cluster.kind_config.as_ref().map(|config| config.open().to_string());
    if config.is_some_and(|config| config.contains("failCgroupV1")) {
        return None;
    }
    let Some(image) = &cluster.image else {
        let kind = facts.machine.programs.iter().find(|program| program.name == "kind")?;
        let release = kind.version.as_ref().ok()?;
        let refuses = numbers(release)? >= KIND_REFUSES_CGROUP_V1;
        return refuses.then(|| format!("the image that kind {release} takes by itself"));
    };
    let (minor, _) = image.tag()?.strip_prefix("v1.")?.split_once('.')?;
    (minor.parse::<u32>().ok()? >= REFUSES_CGROUP_V1).then(|| image.to_string())
}

fn memory(facts: &Facts, engine: &Engine) -> Judged {
    let (has, nodes) = (engine.info.memory, facts.nodes() as u64);
    let needs = 2 * GIB + nodes.saturating_sub(1) * GIB / 2;
    let found = (has > 0 && nodes > 0 && has < needs).then(|| {
        warning(
            LITTLE_MEMORY,
            format!("the engine has {} of memory for {nodes} nodes", size(has)),
            "the kernel kills processes when memory runs out: nodes start incompletely or not at all",
            "give it more (Docker Desktop: Settings, Resources), or make fewer nodes",
        )
    });
    Judged::new(Part::Machine, "memory", size(has), found)
}

fn disk(facts: &Facts) -> Judged {
    let part = Part::Machine;
    if let Some(why) = facts.elsewhere() {
        return Judged::unexamined(part, "disk", why);
    }
    let room = match &facts.kernel.disk {
        Ok(room) => room,
        Err(why) => return Judged::unexamined(part, "disk", why),
    };
    let saw = format!("{} of {} free for the engine's data", size(room.free), size(room.total));
    let why = "images are stored once by the engine and once more in every node";
    let fix =
        "`docker system df` shows what takes the room, `docker image prune` removes unnamed images";
    let left = format!("{} are left for the engine's data", size(room.free));
    let found = match room.free {
        free if free < GIB => Some(error(LITTLE_DISK, left, why, fix)),
        free if free < 5 * GIB => Some(warning(LITTLE_DISK, left, why, fix)),
        _ => None,
    };
    Judged::new(part, "disk", saw, found)
}

fn programs(facts: &Facts) -> Judged {
    let programs = &facts.machine.programs;
    let seen: Vec<String> = programs
        .iter()
        .map(|program| match &program.version {
            Ok(version) => format!("{}: {version}", program.name),
            Err(why) => format!("{}: {why}", program.name),
        })
        .collect();
    let docker = programs.iter().find(|program| program.name == "docker");
    let found = docker.and_then(|docker| docker.version.as_ref().err()).map(|why| {
        error(
            NO_DOCKER_PROGRAM,
            format!("the `docker` program: {why}"),
            "kind calls it to make a cluster, and topo to build images",
            "install Docker's command line: https://docs.docker.com/engine/install",
        )
    });
    Judged::new(Part::Machine, "programs", seen.join("; "), found)
}

/// `1.45`, `4.55.0 (213807)`: the first two.
fn numbers(version: &str) -> Option<(u32, u32)> {
    let mut parts = version.trim_start_matches('v').split(|c: char| !c.is_ascii_digit());
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

#[expect(clippy::cast_precision_loss, reason = "one digit behind the point is shown")]
fn size(bytes: u64) -> String {
    if bytes < GIB {
        format!("{} MiB", bytes >> 20)
    } else {
        format!("{:.1} GiB", bytes as f64 / GIB as f64)
    }
}
