//! What is up of the topology, and what else is at work on it.

use super::{Judged, error, warning};
use crate::backend::docker::{Container, Snapshot};
use crate::doctor::facts::{Facts, Live, Look};
use crate::doctor::{Found, Part};
use crate::finding::Finding;
use crate::finding::name::{
    ADDRESSES_MOVED, EMBEDDED_DNS_LOST, KINDCCM_IN_THE_WAY, SHARE_NOT_READY, TWO_LOAD_BALANCERS,
    UNEXPLAINED,
};
use crate::resources::{Doing, Health, kind_nodes};
use crate::topology::{Severity, Topology};
use crate::trace::{OTHER_BALANCER, Trace};

const PART: Part = Part::Topology;
const PROGRAM: &str = "cloud-provider-kind";

pub fn judged(facts: &Facts) -> Vec<Judged> {
    let (Some(topology), Ok(engine)) = (facts.topology(), &facts.engine) else { return Vec::new() };
    let mut judged = vec![balancers(facts, topology, &engine.snapshot)];
    match &facts.live {
        Ok(live) => {
            judged.push(addresses(topology, &engine.snapshot));
            judged.extend(names(topology, live));
            judged.extend(all(&live.traces, "port", way));
            judged.extend(all(&live.shares, "share", share));
        }
        Err(why) => judged.push(Judged::unexamined(PART, "live", why)),
    }
    judged
}

fn all<T>(look: &Look<Vec<T>>, check: &'static str, judge: fn(&T) -> Judged) -> Vec<Judged> {
    match look {
        Ok(seen) => seen.iter().map(judge).collect(),
        Err(why) => vec![Judged::unexamined(PART, check, why)],
    }
}

/// cloud-provider-kind, and how to end it.
pub struct OtherBalancer {
    what: String,
    end: String,
}

pub fn other_balancer(facts: &Facts) -> Option<OtherBalancer> {
    let snapshot = &facts.engine.as_ref().ok()?.snapshot;
    let is_it = |container: &&Container| {
        let named = container.image.contains(PROGRAM) || container.name.contains(PROGRAM);
        named && container.is_running() && !is_its(container)
    };
    if let Some(Container { name, .. }) = snapshot.containers.iter().find(is_it) {
        let (what, end) = (format!("the container `{name}`"), format!("docker stop {name}"));
        return Some(OtherBalancer { what, end });
    }
    let processes = facts.machine.processes.as_ref().ok()?;
    let is_it = |command: &str| {
        let program = command.split(' ').next().and_then(|path| path.rsplit('/').next());
        program == Some(PROGRAM)
    };
    let (pid, _) = processes.iter().find(|(_, command)| is_it(command))?;
    let (what, end) = (format!("`{PROGRAM}` (pid {pid})"), format!("kill {pid}"));
    Some(OtherBalancer { what, end })
}

/// Whether it started the container, for a Service of some cluster.
fn is_its(container: &Container) -> bool {
    container.labels.contains_key(OTHER_BALANCER) || container.name.starts_with("kindccm-")
}

fn balancers(facts: &Facts, topology: &Topology, snapshot: &Snapshot) -> Judged {
    let other = other_balancer(facts);
    let (name, network) = (topology.name.as_str(), topology.network_name());
    let left: Vec<&str> = snapshot
        .containers
        .iter()
        .filter(|it| is_its(it))
        .filter(|it| {
            let of = it.labels.get(OTHER_BALANCER).map(String::as_str);
            of == Some(name) || it.addresses.contains_key(&*network)
        })
        .map(|container| container.name.as_str())
        .collect();
    let saw = match (&other, topology.metallb.is_some()) {
        (None, true) => "MetalLB alone".to_owned(),
        (None, false) => "none".to_owned(),
        (Some(other), true) => format!("MetalLB and {}", other.what),
        (Some(other), false) => other.what.clone(),
    };
    let remove =
        if left.is_empty() { String::new() } else { format!("docker rm -f {}", left.join(" ")) };
    let found = match other {
        Some(OtherBalancer { what, end }) if topology.metallb.is_some() => {
            let then = if left.is_empty() { String::new() } else { format!(", then `{remove}`") };
            Some(error(
                TWO_LOAD_BALANCERS,
                format!("{what} serves every kind cluster of this engine, beside MetalLB"),
                "both write the addresses of Services, and a Service with its finalizer cannot be deleted after it has ended",
                format!("`{end}`{then}"),
            ))
        }
        None if !left.is_empty() => Some(warning(
            KINDCCM_IN_THE_WAY,
            format!("{PROGRAM} has ended and left `{}`", left.join("`, `")),
            "the network cannot be removed while it is there",
            format!("`{remove}`"),
        )),
        _ => None,
    };
    Judged::new(PART, "load-balancers", saw, found)
}

/// Several control planes know each other by address.
fn addresses(topology: &Topology, snapshot: &Snapshot) -> Judged {
    let network = topology.network_name();
    let planes: Vec<&Container> = kind_nodes::kubernetes_nodes(snapshot, topology.name.as_str())
        .filter(|node| kind_nodes::is_control_plane(node))
        .collect();
    let moves =
        |node: &&&Container| node.addresses.get(&*network).is_some_and(|it| it.fixed.is_none());
    let found = planes.iter().find(moves).filter(|_| planes.len() > 1).map(|node| {
        warning(
            ADDRESSES_MOVED,
            format!(
                "`{}` is one of {} control planes and has no fixed address",
                node.name,
                planes.len()
            ),
            "started in another order they swap addresses, and the API server does not come back",
            "have topo make the network, or make it with `--subnet`, and the cluster again",
        )
    });
    Judged::new(PART, "addresses", format!("control planes: {}", planes.len()), found)
}

fn names(topology: &Topology, live: &Live) -> Option<Judged> {
    let gateway = topology.gateway_name();
    let found = (!live.resolves?).then(|| {
        warning(
            EMBEDDED_DNS_LOST,
            format!("`{gateway}` does not resolve the name of a node"),
            "a flush of the nat table took away the engine's rules for its name server",
            format!("`docker restart {gateway}`"),
        )
    });
    Some(Judged::new(PART, "names", format!("in `{gateway}`"), found))
}

fn way(trace: &Trace) -> Judged {
    let check = if trace.target.starts_with("service ") { "service" } else { "port" };
    let found = trace.finding.clone().map(|mut finding| {
        if finding.name == UNEXPLAINED {
            let typed = trace.target.split_once(" to ").map_or(&*trace.target, |(from, _)| from);
            finding.saw = format!("a connection to {typed} fails");
            "from outside nothing more can be seen".clone_into(&mut finding.why);
            finding.fix = format!("`topo trace {typed}` follows it hop by hop");
        }
        if let Some((_, service)) = trace.target.rsplit_once("service ")
            && let Some(rest) = finding.saw.strip_prefix("the Service ")
        {
            finding.saw = format!("the Service `{service}` {rest}");
        }
        Found { severity: Severity::Error, finding }
    });
    Judged::new(PART, check, &trace.target, found)
}

fn share(health: &Health) -> Judged {
    let saw = format!("{}: {} as {}", health.name, health.source, health.claim);
    let why = "pods that name its claim wait for it";
    let not_ready = |saw: String| {
        let fix = format!("`topo trace share/{}` looks into it", health.name);
        error(SHARE_NOT_READY, format!("the share `{}` {saw}", health.name), why, fix)
    };
    let found = match &health.state {
        Doing::Well => None,
        Doing::Fails(finding) => {
            let found = Finding::new(finding.name, &finding.saw, finding.cause, &finding.fix);
            Some(Found { severity: Severity::Error, finding: found })
        }
        Doing::Badly(why) => Some(not_ready(format!("is not ready: {why}"))),
        Doing::Missing => Some(not_ready("is not there".to_owned())),
        Doing::Unknown(why) => return Judged::unexamined(PART, "share", format!("{saw}: {why}")),
    };
    Judged::new(PART, "share", saw, found)
}
