//! topologies/ha.yaml: three control planes that come back in whatever order they are started.

use std::collections::BTreeMap;

use crate::lab::Lab;

const FILE: &str = "topologies/ha.yaml";

#[test]
#[ignore = "needs the lab"]
fn three_control_planes_come_back_in_any_order() {
    let lab = Lab::open("ha").of(&["ha"]);
    lab.expect(0, &["apply", FILE]);
    answers(&lab);
    lab.expect(0, &["diff", FILE]);
    let before = addresses(&lab);
    assert_eq!(before.len(), 5, "control planes, their load balancer and a worker: {before:?}");

    let mut nodes: Vec<&str> = before.keys().map(String::as_str).collect();
    lab.run("docker", &[&["stop", "-t", "5"], nodes.as_slice()].concat());
    nodes.reverse();
    for node in nodes {
        lab.run("docker", &["start", node]);
    }
    Lab::within(120, "the API", || {
        let asked = ["--context", "kind-ha", "get", "--raw", "/readyz", "--request-timeout=2s"];
        let ran = lab.try_run("kubectl", &asked);
        if ran.code == 0 { Ok(()) } else { Err(ran.err) }
    });
    answers(&lab);
    assert_eq!(addresses(&lab), before);
    Lab::within(120, "to be in sync without any help", || {
        let ran = lab.topo(&["diff", FILE]);
        if ran.code == 0 { Ok(()) } else { Err(ran.out) }
    });

    lab.expect(0, &["destroy", "--yes", FILE]);
}

#[track_caller]
fn answers(lab: &Lab) {
    let said = Lab::within(120, "the pod", || lab.get("http://127.0.0.1:12320/"));
    assert!(said.starts_with("pod=hello-"), "{said}");
}

fn addresses(lab: &Lab) -> BTreeMap<String, String> {
    let label = "label=io.x-k8s.kind.cluster=ha";
    let names = lab.run("docker", &["ps", "-a", "--filter", label, "--format", "{{.Names}}"]);
    let address = |name: &str| {
        let format = "{{(index .NetworkSettings.Networks \"topo-ha\").IPAddress}}";
        lab.run("docker", &["inspect", name, "--format", format]).trim().to_owned()
    };
    names.lines().map(|name| (name.to_owned(), address(name))).collect()
}
