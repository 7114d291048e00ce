//! Files of other programs that are given where a topology belongs.

use serde_json::{Map, Value};

/// What the file is instead, and what to do with it.
pub struct Foreign {
    pub message: String,
    pub help: String,
}

/// Tells by its own words what a file is, and by which key.
pub fn recognized(file: &Map<String, Value>) -> Option<(&'static str, Foreign)> {
    let text = |key: &str| file.get(key).and_then(Value::as_str);
    match (text("apiVersion"), text("kind")) {
        (Some(version), _) if version.starts_with("kind.x-k8s.io/") => {
            Some(("apiVersion", kind_config(file)))
        }
        (Some(version), Some(kind)) if !version.starts_with("topo") && kind != "Topology" => {
            Some(("kind", object(kind)))
        }
        (None, None) if !file.contains_key("name") && file.contains_key("services") => {
            Some(("services", compose()))
        }
        _ => None,
    }
}

/// kind's own configuration: its nodes are counted here, and the rest of it has a place.
fn kind_config(file: &Map<String, Value>) -> Foreign {
    let nodes = file.get("nodes").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let workers = nodes.iter().filter(|node| node["role"] == "worker").count();
    let planes = nodes.len().saturating_sub(workers).max(1);
    let name = file.get("name").and_then(Value::as_str).unwrap_or("dev");
    let cluster = match (planes, workers) {
        (1, 0) => "{}".to_owned(),
        (1, workers) => format!("{{ workers: {workers} }}"),
        (planes, workers) => format!("{{ controlPlanes: {planes}, workers: {workers} }}"),
    };
    Foreign {
        message: "this is a kind configuration, not a topology".to_owned(),
        help: format!(
            "write `name: {name}` and `cluster: {cluster}`; other keys of this file go under `cluster.kindConfig`"
        ),
    }
}

fn object(kind: &str) -> Foreign {
    Foreign {
        message: format!("this is a Kubernetes object, `{kind}`, not a topology"),
        help: "name the file in a topology: `manifests: [{ path: FILE }]`".to_owned(),
    }
}

fn compose() -> Foreign {
    Foreign {
        message: "this is a Docker Compose file, not a topology".to_owned(),
        help: "`topo init` writes an example of a topology".to_owned(),
    }
}
