//! What kind is given: the cluster of the file as kind's own configuration.

use serde_json::{Map, Value, json};

use super::restarts::{self, Kubelet};
use crate::resources::base::docker::ownership;
use crate::resources::base::node_names::Worker;
use crate::topology::kind_config::merge;
use crate::topology::{
    Cluster, ImageRef, Mount, PortMapping, Propagation, Proto, Secret, Taint, Topology,
};

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
    if let Some(taints) = &cluster.control_plane.taints {
        let patch = control_plane_taints(taints, nodes.len() + workers.len() == 1);
        for node in &mut nodes {
            add_patches(node, patch.clone());
        }
    }
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
    let mut plane = first_control_plane(cluster);
    if let Some(taints) = &cluster.control_plane.taints {
        plane["taints"] = json!(taints);
    }
    config.insert("controlPlane".to_owned(), plane);
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
    plane(cluster, &cluster.ports)
}

fn control_plane(cluster: &Cluster) -> Value {
    plane(cluster, &[])
}

fn plane(cluster: &Cluster, ports: &[PortMapping]) -> Value {
    let mut plane = node("control-plane", cluster.image.as_ref(), &cluster.mounts, ports);
    let own = &cluster.control_plane;
    if !own.labels.is_empty() {
        plane["labels"] = json!(own.labels);
    }
    add_patches(&mut plane, own.kubeadm_config_patches.iter().map(|patch| json!(patch)));
    plane
}

fn add_patches(node: &mut Value, patches: impl IntoIterator<Item = Value>) {
    let mut patches = patches.into_iter().peekable();
    let Some(node) = node.as_object_mut().filter(|_| patches.peek().is_some()) else { return };
    let all = node.entry("kubeadmConfigPatches").or_insert_with(|| json!([]));
    if let Some(all) = all.as_array_mut() {
        all.extend(patches);
    }
}

/// The taint that Kubernetes gives to control planes by itself.
const CONTROL_PLANE_TAINT: &str = "node-role.kubernetes.io/control-plane:NoSchedule";

/// kind takes Kubernetes' own taint off a node that is alone, and fails where it is not there.
fn control_plane_taints(taints: &[Taint], is_alone: bool) -> Vec<Value> {
    let own = CONTROL_PLANE_TAINT.parse().ok().filter(|own| is_alone && !taints.contains(own));
    let taints: Vec<Taint> = taints.iter().cloned().chain(own).collect();
    ["InitConfiguration", "JoinConfiguration"].map(|kind| tainted(kind, &taints)).into()
}

/// A patch of kubeadm's configuration that gives a node these taints and no others.
fn tainted(kind: &str, taints: &[Taint]) -> Value {
    let taints: Vec<Value> = taints
        .iter()
        .map(|taint| json!({ "key": taint.key, "value": taint.value, "effect": taint.effect }))
        .collect();
    json!(json!({ "kind": kind, "nodeRegistration": { "taints": taints } }).to_string())
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
    add_patches(&mut worker, group.kubeadm_config_patches.iter().map(|patch| json!(patch)));
    if !group.taints.is_empty() {
        add_patches(&mut worker, [tainted("JoinConfiguration", &group.taints)]);
    }
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

/// What is as usual is left out: clusters that were made before it could be said stay as they are.
fn mount(mount: &Mount) -> Value {
    let mut config = json!({
        "hostPath": mount.host_path.path(),
        "containerPath": mount.container_path,
        "readOnly": mount.read_only,
    });
    if mount.propagation != Propagation::default() {
        config["propagation"] = json!(mount.propagation);
    }
    if mount.selinux_relabel {
        config["selinuxRelabel"] = json!(true);
    }
    config
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

    fn cluster_of(cluster: Value) -> Topology {
        serde_json::from_value(json!({ "name": "dev", "cluster": cluster })).expect("a topology")
    }

    fn nodes(topology: &Topology) -> Vec<Value> {
        let cluster = topology.cluster.as_ref().expect("a cluster");
        let workers: Vec<Worker> = cluster
            .groups
            .iter()
            .map(|group| Worker { name: String::new(), group: group.name.to_string() })
            .collect();
        whole(topology, cluster, &workers, Kubelet::Fixed, &Secret::value)["nodes"]
            .as_array()
            .expect("a list")
            .clone()
    }

    #[test]
    fn control_planes_and_groups_have_labels_taints_and_patches() {
        let patch = "kind: JoinConfiguration\n";
        let topology = cluster_of(json!({
            "controlPlane": { "labels": { "tier": "system" }, "taints": [], "kubeadmConfigPatches": [patch] },
            "groups": [{ "name": "gpu", "taints": ["gpu=yes:NoSchedule"], "kubeadmConfigPatches": [patch] }],
        }));
        let [plane, worker] = &nodes(&topology)[..] else { panic!("two nodes") };
        assert_eq!(plane["labels"], json!({ "tier": "system" }));
        assert_eq!(
            plane["kubeadmConfigPatches"],
            json!([
                patch,
                r#"{"kind":"InitConfiguration","nodeRegistration":{"taints":[]}}"#,
                r#"{"kind":"JoinConfiguration","nodeRegistration":{"taints":[]}}"#,
            ])
        );
        assert_eq!(
            worker["kubeadmConfigPatches"],
            json!([
                patch,
                r#"{"kind":"JoinConfiguration","nodeRegistration":{"taints":[{"key":"gpu","value":"yes","effect":"NoSchedule"}]}}"#,
            ])
        );
    }

    #[test]
    fn a_node_that_is_alone_keeps_the_taint_that_kind_takes_off() {
        let topology = cluster_of(json!({ "controlPlane": { "taints": [] } }));
        let patches = nodes(&topology)[0]["kubeadmConfigPatches"].to_string();
        assert!(patches.contains("node-role.kubernetes.io/control-plane"), "{patches}");
    }

    #[test]
    fn mounts_say_what_is_not_as_usual() {
        let topology = cluster_of(json!({ "mounts": [
            { "hostPath": "/a", "containerPath": "/a" },
            { "hostPath": "/b", "containerPath": "/b", "propagation": "HostToContainer", "selinuxRelabel": true },
        ] }));
        let mounts = nodes(&topology)[0]["extraMounts"].as_array().expect("a list").clone();
        assert_eq!(
            mounts[..2],
            [
                json!({ "hostPath": "/a", "containerPath": "/a", "readOnly": false }),
                json!({ "hostPath": "/b", "containerPath": "/b", "readOnly": false, "propagation": "HostToContainer", "selinuxRelabel": true }),
            ]
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
