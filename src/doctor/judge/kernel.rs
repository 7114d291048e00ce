//! What the kernel under the engine allows.

use super::{Judged, error, warning};
use crate::doctor::facts::{Engine, Facts};
use crate::doctor::{Found, Part};
use crate::finding::name::{
    ENGINE_NOT_FORWARDING, INOTIFY_LIMIT, NO_USERLAND_PROXY, OPEN_FILES_LIMIT,
};

/// What a node's systemd, kubelet, containerd and pods take of each, and what the machine itself does.
const INSTANCES: (u64, u64) = (25, 50);
const WATCHES: (u64, u64) = (8192, 8192);
/// A shell on macOS gives its programs so many.
const FEW_FILES: u64 = 256;

const PART: Part = Part::Machine;

pub fn judged(facts: &Facts) -> Vec<Judged> {
    vec![inotify(facts), forwarding(facts), userland_proxy(facts), open_files(facts)]
}

fn inotify(facts: &Facts) -> Judged {
    const CHECK: &str = "inotify";
    if let Some(why) = facts.elsewhere() {
        return Judged::unexamined(PART, CHECK, why);
    }
    let kernel = &facts.kernel;
    let (instances, watches) = match (&kernel.inotify_instances, &kernel.inotify_watches) {
        (Ok(instances), Ok(watches)) => (*instances, *watches),
        (Err(why), _) | (_, Err(why)) => return Judged::unexamined(PART, CHECK, why),
    };
    let saw = format!("{instances} instances, {watches} watches");
    let nodes = facts.nodes() as u64 + other_nodes(facts);
    let needs = |(node, rest): (u64, u64)| nodes * node + rest;
    let is_little = nodes > 0 && (instances < needs(INSTANCES) || watches < needs(WATCHES));
    let found = is_little.then(|| {
        warning(
            INOTIFY_LIMIT,
            format!("the kernel allows {saw}, for {nodes} nodes"),
            "where they run out, systemd and kubelet in a node exit without a message",
            "`sudo sysctl fs.inotify.max_user_instances=1024 fs.inotify.max_user_watches=524288`",
        )
    });
    Judged::new(PART, CHECK, saw, found)
}

/// Nodes of kind's on the engine that are not of this topology.
fn other_nodes(facts: &Facts) -> u64 {
    let own = facts.topology().map(|topology| topology.name.as_str());
    let Ok(engine) = &facts.engine else { return 0 };
    let is_other = |labels: &crate::backend::docker::Labels| {
        let cluster = labels.get("io.x-k8s.kind.cluster");
        cluster.is_some_and(|cluster| Some(cluster.as_str()) != own)
    };
    let running = engine.snapshot.containers.iter().filter(|container| container.is_running());
    running.filter(|container| is_other(&container.labels)).count() as u64
}

fn forwarding(facts: &Facts) -> Judged {
    const CHECK: &str = "forwarding";
    let forwards = facts.engine.as_ref().ok().and_then(|engine| engine.info.forwards);
    let Some(forwards) = forwards else {
        let why = facts.elsewhere().unwrap_or_else(|| "the engine does not say".to_owned());
        return Judged::unexamined(PART, CHECK, why);
    };
    let netfilter = match facts.kernel.bridge_netfilter.filter(|_| facts.elsewhere().is_none()) {
        Some(true) => "; br_netfilter: bridges pass iptables",
        Some(false) => "; br_netfilter: bridges do not pass iptables",
        None => "",
    };
    let saw = format!("net.ipv4.ip_forward {}{netfilter}", u8::from(forwards));
    let found = (!forwards).then(|| {
        error(
            ENGINE_NOT_FORWARDING,
            "net.ipv4.ip_forward is 0 on the engine's machine",
            "nothing passes between its networks and the outside, published ports included",
            "`sudo sysctl net.ipv4.ip_forward=1`; a file in /etc/sysctl.d keeps it over restarts",
        )
    });
    Judged::new(PART, CHECK, saw, found)
}

/// Its processes show it, where a container publishes a port.
fn userland_proxy(facts: &Facts) -> Judged {
    const CHECK: &str = "userland-proxy";
    let part = PART;
    if let Some(why) = facts.elsewhere() {
        return Judged::unexamined(part, CHECK, why);
    }
    let (Ok(engine), Ok(processes)) = (&facts.engine, &facts.machine.processes) else {
        return Judged::unexamined(part, CHECK, "processes cannot be listed");
    };
    if !publishes(engine) {
        return Judged::unexamined(part, CHECK, "no container publishes a port now");
    }
    let is_proxy =
        |command: &str| ["docker-proxy", "rootlessport"].iter().any(|name| command.contains(name));
    if processes.iter().any(|(_, command)| is_proxy(command)) {
        return Judged::new(part, CHECK, "on", []);
    }
    Judged::new(part, CHECK, "off", on_ipv6_loopback(facts))
}

fn publishes(engine: &Engine) -> bool {
    let mut running = engine.snapshot.containers.iter().filter(|it| it.is_running());
    running.any(|container| !container.ports.is_empty())
}

fn on_ipv6_loopback(facts: &Facts) -> Option<Found> {
    let mut published = facts.topology()?.gateway.as_ref()?.published();
    let listen = published.find(|it| it.addr.is_ipv6() && it.addr.is_loopback())?;
    Some(warning(
        NO_USERLAND_PROXY,
        format!(
            "the engine runs without userland proxy, and the file publishes at {}",
            listen.addr
        ),
        "without it the kernel forwards 127.0.0.1, but not [::1]",
        "publish at 127.0.0.1, or take `\"userland-proxy\": false` out of /etc/docker/daemon.json",
    ))
}

fn open_files(facts: &Facts) -> Judged {
    let limit = facts.kernel.open_files;
    let saw = limit.map_or("no limit".to_owned(), |limit| format!("{limit} a program"));
    let found = limit.filter(|limit| *limit < FEW_FILES).map(|limit| {
        warning(
            OPEN_FILES_LIMIT,
            format!("a program started here may have {limit} files open"),
            "topo and kind hold a connection for each forward and node that they try at the same time",
            "`ulimit -n 4096` in this shell",
        )
    });
    Judged::new(PART, "open-files", saw, found)
}
