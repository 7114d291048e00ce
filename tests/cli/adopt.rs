//! `topo adopt` of what is not there, or cannot be read.

use serde_json::json;

use crate::{Machine, Ran, engine};

/// On an engine with a cluster of kind's, a gateway that stands still, and one that topo made.
fn topo(args: &[&str]) -> Ran {
    let container = |name: &str, state: &str, labels: serde_json::Value| {
        json!({
            "Id": name, "Names": [format!("/{name}")], "Image": "debian", "ImageID": "sha256:1",
            "State": state, "Status": state, "Labels": labels, "Ports": [], "Mounts": [],
            "NetworkSettings": { "Networks": {} },
        })
    };
    let node = json!({
        "io.x-k8s.kind.cluster": "dev", "io.x-k8s.kind.role": "control-plane",
    });
    let made = json!({
        "dev.topo.topology": "edge", "dev.topo.id": "gateway/edge-gw",
        "dev.topo.record": "{\"format\":1}",
    });
    let host = engine::with_containers(json!([
        container("dev-control-plane", "running", node),
        container("dev-gw", "exited", json!({})),
        container("edge-gw", "running", made),
        container("alone", "running", json!({})),
    ]));
    let machine = Machine::new();
    machine.write("taken.yaml", "name: mine\n");
    let ran = machine.topo_with(args, &[("DOCKER_HOST", host.as_str())]);
    assert_eq!(machine.read("taken.yaml"), "name: mine\n");
    ran
}

#[test]
fn what_cannot_be_written_down_says_why() {
    for (name, args) in [
        ("of-nothing", &["adopt"][..]),
        ("unknown-cluster", &["adopt", "--cluster", "dve"]),
        ("unknown-gateway", &["adopt", "--gateway", "front"]),
        ("stopped-gateway", &["adopt", "--gateway", "dev-gw"]),
        ("of-topo", &["adopt", "--gateway", "edge-gw"]),
        ("without-context", &["adopt", "--cluster", "dev"]),
        ("no-name", &["adopt", "--gateway", "alone", "--name", "A b"]),
        ("taken-file", &["adopt", "--cluster", "dev", "--out", "taken.yaml"]),
    ] {
        let ran = topo(args);
        assert_eq!((ran.code, ran.stdout.as_str()), (2, ""), "{name}: {}", ran.stderr);
        insta::assert_snapshot!(name, ran.shown());
    }
}

#[test]
fn an_engine_that_does_not_answer_is_said() {
    let machine = Machine::new();
    let ran =
        machine.topo_with(&["adopt", "--cluster", "dev"], &[("DOCKER_HOST", "tcp://127.0.0.1:1")]);
    assert_eq!((ran.code, ran.stdout.as_str()), (2, ""), "{}", ran.stderr);
    assert!(ran.stderr.starts_with("error: cannot reach a Docker engine\n"), "{}", ran.stderr);
}
