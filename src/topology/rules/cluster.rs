//! The cluster: what excludes what, and what kind could not make.

use super::super::{Cluster, PortMapping, Topology, kind_config};
use super::Rules;

pub(super) fn check(topology: &Topology, rules: &mut Rules) {
    let Some(cluster) = &topology.cluster else {
        needs_cluster(topology, rules);
        return;
    };
    if cluster.control_planes() % 2 == 0 {
        let count = cluster.control_planes();
        let problem = rules
            .warning(
                "even-control-planes",
                "cluster.controlPlanes",
                format!("{count} control planes bear no more failures than {}", count - 1),
            )
            .write(format!("{} or {}", count - 1, count + 1));
        rules.report(problem);
    }
    groups(cluster, rules);
    for (path, mapping) in mappings(cluster) {
        same_length(&path, mapping, rules);
    }
    for (path, mounts) in std::iter::once(("cluster".to_owned(), &cluster.mounts)).chain(
        cluster
            .groups
            .iter()
            .enumerate()
            .map(|(at, group)| (format!("cluster.groups.{at}"), &group.mounts)),
    ) {
        let targets = mounts.iter().enumerate().map(|(at, mount)| {
            (format!("{path}.mounts.{at}.containerPath"), &mount.container_path)
        });
        rules.unique("duplicate", "a mount at", targets);
    }
    if let Some(config) = &cluster.kind_config {
        for fault in kind_config::check(config) {
            let problem = rules.misplaced(
                "kind-config",
                &format!("cluster.kindConfig.{}", fault.path),
                fault.message,
            );
            rules.report(match fault.help {
                Some(help) => problem.help(help),
                None => problem,
            });
        }
    }
}

/// What has no meaning without a cluster.
fn needs_cluster(topology: &Topology, rules: &mut Rules) {
    if rules.places.has("cluster") {
        return;
    }
    let blocks = [
        ("images", !topology.images.is_empty()),
        ("metallb", topology.metallb.is_some()),
        ("manifests", !topology.manifests.is_empty()),
        ("shares", !topology.shares.is_empty()),
    ];
    for (block, _) in blocks.into_iter().filter(|(_, written)| *written) {
        let problem = rules
            .misplaced("no-cluster", block, format!("`{block}` needs a cluster"))
            .write("`cluster: {}` for one of one node, or `cluster: { context: NAME }` for one that exists");
        rules.report(problem);
    }
}

fn groups(cluster: &Cluster, rules: &mut Rules) {
    rules.unique(
        "duplicate",
        "the group",
        cluster
            .groups
            .iter()
            .enumerate()
            .map(|(at, group)| (format!("cluster.groups.{at}.name"), &group.name)),
    );
    for (at, group) in cluster.groups.iter().enumerate() {
        if group.count > 1 && !group.ports.is_empty() {
            let problem = rules
                .misplaced(
                    "port-taken",
                    &format!("cluster.groups.{at}.ports"),
                    format!(
                        "{} nodes cannot all listen on the same port of this machine",
                        group.count
                    ),
                )
                .write("`count: 1`, or the gateway's `ports`");
            rules.report(problem);
        }
        for (key, value) in &group.labels {
            if let Err(fault) = label(key, value) {
                let problem =
                    rules.misplaced("label", &format!("cluster.groups.{at}.labels.{key}"), fault);
                rules.report(problem);
            }
        }
    }
}

/// Every port mapping of every node, with its path.
pub(super) fn mappings(cluster: &Cluster) -> impl Iterator<Item = (String, &PortMapping)> {
    let own = cluster
        .ports
        .iter()
        .enumerate()
        .map(|(at, mapping)| (format!("cluster.ports.{at}"), mapping));
    let grouped = cluster.groups.iter().enumerate().flat_map(|(group, members)| {
        members
            .ports
            .iter()
            .enumerate()
            .map(move |(at, mapping)| (format!("cluster.groups.{group}.ports.{at}"), mapping))
    });
    own.chain(grouped)
}

fn same_length(path: &str, mapping: &PortMapping, rules: &mut Rules) {
    let (host, container) = (mapping.host_port.count(), mapping.container_port.count());
    if host != container {
        let problem = rules
            .error(
                "range-length",
                &format!("{path}.containerPort"),
                format!(
                    "{container} ports stand against {host} of this machine; they map one to one"
                ),
            )
            .related(rules.places.find(&format!("{path}.hostPort")), "these");
        rules.report(problem);
    }
}

/// A label as Kubernetes takes it: `[prefix/]name`, and a value of 63 characters at most.
fn label(key: &str, value: &str) -> Result<(), String> {
    let (prefix, name) = match key.split_once('/') {
        Some((prefix, name)) => (Some(prefix), name),
        None => (None, key),
    };
    if let Some(prefix) = prefix {
        prefix
            .parse::<super::super::Subdomain>()
            .map_err(|fault| format!("the prefix of the label `{key}`: {fault}"))?;
    }
    if name.is_empty() {
        return Err(format!("the label `{key}` has no name"));
    }
    qualified(name).map_err(|fault| format!("the label `{key}`: {fault}"))?;
    if value.is_empty() {
        Ok(())
    } else {
        qualified(value).map_err(|fault| format!("the value `{value}`: {fault}"))
    }
}

/// Letters of both cases, digits, and `-`, `_`, `.` between.
fn qualified(text: &str) -> Result<(), String> {
    const LENGTH: usize = 63;
    if text.len() > LENGTH {
        return Err(format!("{LENGTH} characters at most"));
    }
    if let Some(other) =
        text.chars().find(|c| !(c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.')))
    {
        return Err(format!("only letters, digits, `-`, `_` and `.` are allowed, not {other:?}"));
    }
    let edge = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
    if edge(text.chars().next()) && edge(text.chars().next_back()) {
        Ok(())
    } else {
        Err("it begins and ends with a letter or digit".to_owned())
    }
}
