//! The cluster: what excludes what, and what kind could not make.

use std::collections::BTreeMap;

use super::super::{Cluster, HostPath, PortMapping, Topology, kind_config, node_label};
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
                format!("{count} control planes tolerate no more failures than {}", count - 1),
            )
            .write(format!("{} or {}", count - 1, count + 1));
        rules.report(problem);
    }
    groups(cluster, rules);
    labels("cluster.controlPlane.labels", &cluster.control_plane.labels, rules);
    for (path, mapping) in mappings(cluster) {
        same_length(&path, mapping, rules);
    }
    both_families(cluster, rules);
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
        rules.unique("duplicate", "the mount at", targets);
        for (at, mount) in mounts.iter().enumerate() {
            without_colon(&format!("{path}.mounts.{at}.hostPath"), &mount.host_path, rules);
        }
    }
    if let Some(config) = &cluster.kind_config {
        for fault in kind_config::check(config) {
            let path = format!("cluster.kindConfig.{}", fault.path);
            let problem = match fault.seen {
                Some(seen) => rules.error("kind-config", &path, fault.message).seen(seen),
                None => rules.misplaced("kind-config", &path, fault.message),
            };
            rules.report(match fault.help {
                Some(help) => problem.help(help),
                None => problem,
            });
        }
    }
    networks_apart(topology, cluster, rules);
    ipv6_is_there(topology, cluster, rules);
}

/// kind hands mounts to the engine as `FROM:TO`.
fn without_colon(at: &str, path: &HostPath, rules: &mut Rules) {
    if path.path().to_string_lossy().contains(':') {
        let problem = rules
            .error("host-path", at, "a path with `:` cannot be mounted into nodes")
            .seen(path.written())
            .help("rename the folder");
        rules.report(problem);
    }
}

/// kind takes `0.0.0.0` and `[::]` of one node for the same.
fn both_families(cluster: &Cluster, rules: &mut Rules) {
    let lists = std::iter::once(("cluster".to_owned(), &cluster.ports)).chain(
        cluster
            .groups
            .iter()
            .enumerate()
            .map(|(at, group)| (format!("cluster.groups.{at}"), &group.ports)),
    );
    for (path, ports) in lists {
        for (at, here) in ports.iter().enumerate() {
            let wild = |mapping: &PortMapping| mapping.listen_address.is_unspecified();
            let meets = |before: &&PortMapping| {
                before.protocol == here.protocol
                    && before.host_port.meets(here.host_port)
                    && before.listen_address.is_ipv4() != here.listen_address.is_ipv4()
                    && (wild(before) || wild(here))
            };
            if let Some(before) = ports[..at].iter().position(|before| meets(&before)) {
                let place = |at: usize| format!("{path}.ports.{at}.hostPort");
                let problem = rules
                    .error(
                        "port-taken",
                        &place(at),
                        "kind cannot publish a port on all addresses of both IPv4 and IPv6",
                    )
                    .help("remove one of the two, or write single addresses")
                    .related(rules.places.find(&place(before)), "already used here");
                rules.report(problem);
            }
        }
    }
}

/// Pods and Services have networks of their own, which nodes must not take for theirs.
fn networks_apart(topology: &Topology, cluster: &Cluster, rules: &mut Rules) {
    if cluster.exists() {
        return;
    }
    for (key, subnet) in kind_config::subnets(cluster.kind_config.as_ref()) {
        for (path, network) in super::network::written(topology) {
            if !network.range().meets(subnet.range()) {
                continue;
            }
            let of = if key == "podSubnet" { "pods" } else { "Services" };
            let at = format!("cluster.kindConfig.networking.{key}");
            let problem = rules
                .error(
                    "subnet",
                    &path,
                    format!("`{network}` overlaps the cluster's subnet for {of}, `{subnet}`"),
                )
                .write(format!("another subnet, or another `{key}` in `kindConfig.networking`"));
            rules.report(if rules.places.has(&at) {
                problem.related(rules.places.find(&at), format!("the subnet for {of}"))
            } else {
                problem
            });
        }
    }
}

/// Nodes of a cluster with IPv6 need it on their network, and one that topo makes has it only if told so.
fn ipv6_is_there(topology: &Topology, cluster: &Cluster, rules: &mut Rules) {
    let at = "cluster.kindConfig.networking.ipFamily";
    let config = cluster.kind_config.as_ref();
    let family = config.and_then(|config| config.open()["networking"]["ipFamily"].as_str());
    let Some(family @ ("ipv6" | "dual")) = family else { return };
    let network = &topology.network;
    if network.name.is_none() && !network.has_ipv6() && rules.places.is_whole("network") {
        let problem = rules
            .error("kind-config", at, format!("`ipFamily: {family}` requires a network with IPv6"))
            .write("`network: { ipv6: true }`");
        rules.report(problem);
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
            .misplaced("no-cluster", block, format!("`{block}` requires `cluster`"))
            .write("`cluster: {}` for a cluster of one node, or `cluster: { context: NAME }` for an existing one");
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
                    format!("{} nodes cannot publish the same port of this machine", group.count),
                )
                .write("`count: 1`, or the gateway's `ports`");
            rules.report(problem);
        }
        labels(&format!("cluster.groups.{at}.labels"), &group.labels, rules);
    }
}

fn labels(path: &str, labels: &BTreeMap<String, String>, rules: &mut Rules) {
    for (key, value) in labels {
        let at = format!("{path}.{key}");
        if let Err(fault) = node_label::check(key, value) {
            let problem = rules.misplaced("label", &at, fault);
            rules.report(problem);
        } else if node_label::is_reserved(key) {
            let problem = rules
                .misplaced("label", &at, format!("kubelet cannot set the reserved label `{key}`"))
                .write("a label with another prefix, or with `node.kubernetes.io/`");
            rules.report(problem);
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
                    "ranges of different lengths: {host} ports of this machine, {container} of the node"
                ),
            )
            .related(rules.places.find(&format!("{path}.hostPort")), "ports of this machine");
        rules.report(problem);
    }
}
