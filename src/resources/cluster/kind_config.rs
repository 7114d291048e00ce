//! What kind is given: the cluster of the file as kind's own configuration.

use serde_json::{Map, Value, json};

use super::restarts::{self, Kubelet};
use crate::resources::base::docker::ownership;
use crate::resources::base::node_names::Worker;
use crate::topology::kind_config::merge;
use crate::topology::{Cluster, ImageRef, Mount, PortMapping, Proto, Secret, Topology};

/// The label that tells which group of the file a worker belongs to.
pub const GROUP_LABEL: &str = "topo.dev/group";

/// Kubernetes' controllers begin one after the other, each when the limit on their calls lets it: by
/// default that takes some five seconds, in which the machine has nothing to do.
const MORE_CALLS: &str = r#"kind: ClusterConfiguration
controllerManager:
  extraArgs: { kube-api-qps: "200", kube-api-burst: "400" }
"#;

/// Whoever is alone would wait some seconds to be elected.
const NO_ELECTION: &str = r#"kind: ClusterConfiguration
controllerManager:
  extraArgs: { leader-elect: "false" }
scheduler:
  extraArgs: { leader-elect: "false" }
"#;

/// What is made of a secret: revealed for kind alone, masked or sealed for everybody else.
pub type OfSecrets<'a> = &'a dyn Fn(&Secret) -> Value;

/// The whole configuration, workers included, for `kind create`; `unnamed` is the kubelet of the image
/// that kind takes where none is named.
pub fn whole(
    topology: &Topology,
    cluster: &Cluster,
    workers: &[Worker],
    unnamed: Kubelet,
    secrets: OfSecrets,
) -> Value {
    let mut config = shared(topology, cluster, secrets);
    let mut nodes: Vec<Value> = (0..cluster.control_planes())
        .map(
            |number| {
                if number == 0 { first_control_plane(cluster) } else { control_plane(cluster) }
            },
        )
        .collect();
    nodes.extend(workers.iter().map(|worker| self::worker(cluster, &worker.group)));
    for node in &mut nodes {
        mark(node, topology.name.as_str());
    }
    let kubelet = |node: &Value| node["image"].as_str().map_or(unnamed, Kubelet::of_image);
    let kubelets: Vec<Kubelet> = nodes.iter().map(kubelet).collect();
    config.insert("nodes".to_owned(), Value::Array(nodes));
    let mut config = Value::Object(config);
    hurry(&mut config, cluster, &kubelets);
    config
}

/// The mark by which the node is known as this topology's, from the moment the engine has it: a file
/// that every machine has, mounted where nothing looks for it.
fn mark(node: &mut Value, topology: &str) {
    let mark = json!({
        "hostPath": "/dev/null",
        "containerPath": ownership::node_mark(topology),
        "readOnly": true,
    });
    match node["extraMounts"].as_array_mut() {
        Some(mounts) => mounts.push(mark),
        None => node["extraMounts"] = json!([mark]),
    }
}

/// The file's own patches come after these, and win.
fn hurry(config: &mut Value, cluster: &Cluster, kubelets: &[Kubelet]) {
    let mut patches = vec![json!(MORE_CALLS)];
    if cluster.control_planes() == 1 {
        patches.push(json!(NO_ELECTION));
    }
    let restarts = restarts::patch(cluster, config, kubelets);
    patches.extend(restarts.map(|patch| json!(patch.to_string())));
    if let Some(files) = config["kubeadmConfigPatches"].as_array() {
        patches.extend(files.iter().cloned());
    }
    config["kubeadmConfigPatches"] = Value::Array(patches);
}

/// What can only be given when the cluster is made: everything but its workers, which come and go.
pub fn fixed(topology: &Topology, cluster: &Cluster, secrets: OfSecrets) -> Value {
    let mut config = shared(topology, cluster, secrets);
    config.insert("controlPlane".to_owned(), first_control_plane(cluster));
    Value::Object(config)
}

fn shared(topology: &Topology, cluster: &Cluster, secrets: OfSecrets) -> Map<String, Value> {
    let mut config = Map::new();
    config.insert("kind".to_owned(), json!("Cluster"));
    config.insert("apiVersion".to_owned(), json!("kind.x-k8s.io/v1alpha4"));
    config.insert("name".to_owned(), json!(topology.name));
    let raw = cluster.kind_config.as_ref().map(|raw| raw.with(secrets));
    if let Some(Value::Object(raw)) = raw {
        merge(&mut config, &raw);
    }
    config
}

/// Ports of the cluster lead to one node: the first.
fn first_control_plane(cluster: &Cluster) -> Value {
    node("control-plane", cluster.image.as_ref(), &cluster.mounts, &cluster.ports)
}

fn control_plane(cluster: &Cluster) -> Value {
    node("control-plane", cluster.image.as_ref(), &cluster.mounts, &[])
}

/// The node of a worker of this group in kind's configuration; the empty one is no group.
pub fn worker(cluster: &Cluster, group: &str) -> Value {
    let Some(group) = cluster.groups.iter().find(|other| other.name.as_str() == group) else {
        return node("worker", cluster.image.as_ref(), &cluster.mounts, &[]);
    };
    let image = group.image.as_ref().or(cluster.image.as_ref());
    let mounts: Vec<Mount> = cluster.mounts.iter().chain(&group.mounts).cloned().collect();
    let mut worker = node("worker", image, &mounts, &group.ports);
    let mut labels: Map<String, Value> =
        group.labels.iter().map(|(name, value)| (name.clone(), json!(value))).collect();
    labels.insert(GROUP_LABEL.to_owned(), json!(group.name));
    worker["labels"] = Value::Object(labels);
    worker
}

fn node(role: &str, image: Option<&ImageRef>, mounts: &[Mount], ports: &[PortMapping]) -> Value {
    let mut node = Map::new();
    node.insert("role".to_owned(), json!(role));
    if let Some(image) = image {
        node.insert("image".to_owned(), json!(image));
    }
    if !mounts.is_empty() {
        node.insert("extraMounts".to_owned(), mounts.iter().map(mount).collect());
    }
    if !ports.is_empty() {
        node.insert("extraPortMappings".to_owned(), ports.iter().flat_map(mappings).collect());
    }
    Value::Object(node)
}

fn mount(mount: &Mount) -> Value {
    json!({
        "hostPath": mount.host_path.path(),
        "containerPath": mount.container_path,
        "readOnly": mount.read_only,
    })
}

/// kind maps single ports, so a range is as many mappings.
fn mappings(mapping: &PortMapping) -> impl Iterator<Item = Value> {
    let protocol = match mapping.protocol {
        Proto::Tcp => "TCP",
        Proto::Udp => "UDP",
    };
    mapping.container_port.ports().zip(mapping.host_port.ports()).map(move |(inside, here)| {
        json!({
            "containerPort": inside,
            "hostPort": here,
            "listenAddress": mapping.listen_address,
            "protocol": protocol,
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn topology(kind_config: Value) -> Topology {
        let cluster =
            json!({ "workers": 1, "image": "kindest/node:v1", "kindConfig": kind_config });
        serde_json::from_value(json!({
            "apiVersion": "topo/v1alpha1", "kind": "Topology", "name": "dev", "cluster": cluster,
        }))
        .expect("a topology")
    }

    #[test]
    fn raw_configuration_is_merged_beside_the_nodes() {
        let topology = topology(json!({ "networking": { "apiServerPort": 6500 } }));
        let cluster = topology.cluster.as_ref().expect("a cluster");
        let workers = [Worker { name: "dev-worker".to_owned(), group: String::new() }];
        let config = whole(&topology, cluster, &workers, Kubelet::Fixed, &Secret::value);
        assert_eq!(config["networking"]["apiServerPort"], 6500);
        assert_eq!(config["nodes"][0]["role"], "control-plane");
        assert_eq!(config["nodes"][1]["image"], "kindest/node:v1");
    }

    #[test]
    fn every_node_bears_the_mark_beside_its_own_mounts() {
        let mut topology = topology(json!({}));
        let cluster = topology.cluster.as_mut().expect("a cluster");
        cluster.mounts = serde_json::from_value(
            json!([{ "hostPath": "/srv", "containerPath": "/srv", "readOnly": true }]),
        )
        .expect("a mount");
        let cluster = topology.cluster.as_ref().expect("a cluster");
        let workers = [Worker { name: "dev-worker".to_owned(), group: String::new() }];
        let config = whole(&topology, cluster, &workers, Kubelet::Fixed, &Secret::value);
        for node in config["nodes"].as_array().expect("a list") {
            let places: Vec<&Value> = node["extraMounts"]
                .as_array()
                .expect("mounts")
                .iter()
                .map(|mount| &mount["containerPath"])
                .collect();
            assert_eq!(places, ["/srv", "/etc/topo.dev/dev"]);
        }
    }

    #[test]
    fn workers_are_no_part_of_what_is_fixed() {
        let topology = topology(json!({}));
        let cluster = topology.cluster.as_ref().expect("a cluster");
        assert!(fixed(&topology, cluster, &Secret::value).get("nodes").is_none());
    }

    #[test]
    fn the_files_own_patches_come_last() {
        let mut topology = topology(json!({ "kubeadmConfigPatches": ["kind: Mine"] }));
        let cluster = topology.cluster.as_mut().expect("a cluster");
        cluster.image = Some("kindest/node:v1.34.0".parse().expect("an image"));
        let cluster = topology.cluster.as_ref().expect("a cluster");
        let config = whole(&topology, cluster, &[], Kubelet::Fixed, &Secret::value);
        let patches = config["kubeadmConfigPatches"].as_array().expect("a list");
        let quick = r#"{"kind":"KubeletConfiguration","crashLoopBackOff":{"maxContainerRestartPeriod":"1s"},"featureGates":{"KubeletCrashLoopBackOffMax":true}}"#;
        assert_eq!(*patches, [MORE_CALLS, NO_ELECTION, quick, "kind: Mine"]);
        assert_eq!(
            fixed(&topology, cluster, &Secret::value)["kubeadmConfigPatches"],
            json!(["kind: Mine"])
        );
    }

    #[test]
    fn one_older_worker_keeps_all_nodes_as_kubernetes_has_them() {
        let mut topology = topology(json!({}));
        let cluster = topology.cluster.as_mut().expect("a cluster");
        cluster.image = None;
        cluster.workers = None;
        cluster.groups = serde_json::from_value(
            json!([{ "name": "old", "image": "kindest/node:v1.31.0" }, { "name": "plain" }]),
        )
        .expect("groups");
        let cluster = topology.cluster.as_ref().expect("a cluster");
        let patches = |groups: &[&str]| {
            let worker =
                |group: &&str| Worker { name: format!("dev-{group}"), group: (*group).to_owned() };
            let workers: Vec<Worker> = groups.iter().map(worker).collect();
            whole(&topology, cluster, &workers, Kubelet::Open, &Secret::value)["kubeadmConfigPatches"].to_string()
        };
        assert!(patches(&["plain"]).contains("maxContainerRestartPeriod"));
        assert!(!patches(&["plain", "old"]).contains("maxContainerRestartPeriod"));
    }

    #[test]
    fn several_control_planes_elect_one() {
        let mut topology = topology(json!({}));
        let mut config_of = |planes: u64| {
            let cluster = topology.cluster.as_mut().expect("a cluster");
            cluster.control_planes = serde_json::from_value(json!(planes)).expect("a number");
            let cluster = topology.cluster.as_ref().expect("a cluster");
            whole(&topology, cluster, &[], Kubelet::Fixed, &Secret::value)["kubeadmConfigPatches"]
                .to_string()
        };
        assert!(config_of(1).contains("leader-elect"));
        assert!(!config_of(3).contains("leader-elect"));
    }
}
