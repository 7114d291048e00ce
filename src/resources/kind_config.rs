//! What kind is given: the cluster of the file as kind's own configuration.

use serde_json::{Map, Value, json};

use crate::topology::{Cluster, Mount, NodeGroup, PortMapping, Protocol, Topology};

/// The label that tells which group of the file a worker belongs to.
pub const GROUP_LABEL: &str = "topo.dev/group";

/// A worker as the file asks for it.
#[derive(Debug, Clone, PartialEq)]
pub struct Worker {
    pub name: String,
    /// The group's name; empty where the file only gives a number.
    pub group: String,
    pub spec: Value,
}

/// The whole configuration, workers included, for `kind create`.
pub fn whole(topology: &Topology, cluster: &Cluster, workers: &[Worker]) -> Value {
    let mut config = shared(topology, cluster);
    let nodes = (0..cluster.control_planes())
        .map(|_| control_plane(cluster))
        .chain(workers.iter().map(|worker| worker.spec.clone()))
        .collect();
    config.insert("nodes".to_owned(), Value::Array(nodes));
    Value::Object(config)
}

/// What can only be given when the cluster is made: everything but its workers, which come and go.
pub fn fixed(topology: &Topology, cluster: &Cluster) -> Value {
    let mut config = shared(topology, cluster);
    config.insert("controlPlane".to_owned(), control_plane(cluster));
    Value::Object(config)
}

fn shared(topology: &Topology, cluster: &Cluster) -> Map<String, Value> {
    let mut config = Map::new();
    config.insert("kind".to_owned(), json!("Cluster"));
    config.insert("apiVersion".to_owned(), json!("kind.x-k8s.io/v1alpha4"));
    config.insert("name".to_owned(), json!(topology.name));
    for (key, value) in cluster.kind_config.iter().flatten() {
        merge(config.entry(key.clone()).or_insert(Value::Null), value);
    }
    config
}

/// Maps merge, lists append, anything else is replaced.
fn merge(into: &mut Value, from: &Value) {
    match (into, from) {
        (Value::Object(into), Value::Object(from)) => {
            for (key, value) in from {
                merge(into.entry(key.clone()).or_insert(Value::Null), value);
            }
        }
        (Value::Array(into), Value::Array(from)) => into.extend(from.iter().cloned()),
        (into, from) => *into = from.clone(),
    }
}

fn control_plane(cluster: &Cluster) -> Value {
    let mut node = Map::new();
    node.insert("role".to_owned(), json!("control-plane"));
    if let Some(image) = &cluster.image {
        node.insert("image".to_owned(), json!(image));
    }
    Value::Object(node)
}

/// The node of one worker in kind's configuration.
pub fn worker(cluster: &Cluster, group: Option<&NodeGroup>) -> Value {
    let mut node = Map::new();
    node.insert("role".to_owned(), json!("worker"));
    let image = group.and_then(|group| group.image.as_ref()).or(cluster.image.as_ref());
    if let Some(image) = image {
        node.insert("image".to_owned(), json!(image));
    }
    let Some(group) = group else { return Value::Object(node) };
    let mut labels: Map<String, Value> =
        group.labels.iter().map(|(name, value)| (name.clone(), json!(value))).collect();
    labels.insert(GROUP_LABEL.to_owned(), json!(group.name));
    node.insert("labels".to_owned(), Value::Object(labels));
    if !group.mounts.is_empty() {
        node.insert("extraMounts".to_owned(), group.mounts.iter().map(mount).collect());
    }
    if !group.ports.is_empty() {
        node.insert("extraPortMappings".to_owned(), group.ports.iter().map(mapping).collect());
    }
    Value::Object(node)
}

fn mount(mount: &Mount) -> Value {
    json!({
        "hostPath": mount.host_path,
        "containerPath": mount.container_path,
        "readOnly": mount.read_only,
    })
}

fn mapping(port: &PortMapping) -> Value {
    json!({
        "containerPort": port.container_port,
        "hostPort": port.host_port,
        "listenAddress": port.listen_address.as_deref().unwrap_or("127.0.0.1"),
        "protocol": match port.protocol { Protocol::Tcp => "TCP", Protocol::Udp => "UDP" },
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
        let workers = [Worker {
            name: "dev-worker".to_owned(),
            group: String::new(),
            spec: worker(cluster, None),
        }];
        let config = whole(&topology, cluster, &workers);
        assert_eq!(config["networking"]["apiServerPort"], 6500);
        assert_eq!(config["nodes"][0]["role"], "control-plane");
        assert_eq!(config["nodes"][1], json!({ "role": "worker", "image": "kindest/node:v1" }));
    }

    #[test]
    fn workers_are_no_part_of_what_is_fixed() {
        let topology = topology(json!({}));
        let cluster = topology.cluster.as_ref().expect("a cluster");
        assert!(fixed(&topology, cluster).get("nodes").is_none());
    }
}
