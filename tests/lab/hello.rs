//! topologies/hello.yaml exactly as it is, down to its public images: the lab's go by their names, and
//! a kind of the scenario's own brings to the node what a registry would.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::lab::Lab;

const FILE: &str = "topologies/hello.yaml";
const WEB: &str = "registry.k8s.io/e2e-test-images/agnhost:2.53";
const BASE: &str = "debian:bookworm-slim";

#[test]
#[ignore = "needs the lab"]
fn hello() {
    let mut lab = Lab::open("hello").of(&["hello"]);
    let before = lab.listing();
    for (image, name) in [("ECHO_IMAGE", WEB), ("GATEWAY_BASE", BASE)] {
        let image = std::env::var(image).expect("set by the lab");
        lab.run("docker", &["tag", &image, name]);
    }
    let kind = kind_with_images(&lab);
    lab.set("TOPO_KIND", kind);

    let timeline = lab.own("apply.svg");
    lab.expect(0, &["apply", FILE, "--timeline", &timeline.display().to_string()]);
    the_timeline_has_every_step(&timeline);
    let said = Lab::eventually("the pod", || lab.get("http://127.0.0.1:12200/"));
    assert!(said.starts_with("pod=hello-"), "{said}");
    lab.comes_in_sync(FILE);
    lab.expect(0, &["status", FILE]);
    lab.expect(0, &["destroy", "--yes", FILE]);
    lab.run("docker", &["rmi", WEB, BASE]);
    lab.is_as_before(&before);
}

fn the_timeline_has_every_step(timeline: &Path) {
    let drawn = std::fs::read_to_string(timeline).expect("it was drawn");
    for step in ["network/topo-hello", "cluster/hello", "gateway/hello-gw", "Deployment"] {
        assert!(drawn.contains(step), "{step}: {drawn}");
    }
    std::fs::remove_file(timeline).expect("removed");
}

/// It says that it is the release whose own node image has the lab's Kubernetes.
fn kind_with_images(lab: &Lab) -> String {
    let kind = std::env::var("TOPO_KIND").expect("set by the lab");
    let node = std::env::var("NODE_IMAGE").expect("set by the lab");
    let path = lab.own("kind");
    let text = format!(
        "#!/bin/sh\n\
         case \"$1 $2\" in\n\
         'create cluster') {kind} \"$@\" --image {node} && {kind} load docker-image --name hello {WEB} ;;\n\
         'version --quiet') echo 0.30.0 ;;\n\
         *) exec {kind} \"$@\" ;;\n\
         esac\n"
    );
    std::fs::write(&path, text).expect("written");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).expect("may");
    path.display().to_string()
}
