//! A network as kind makes its own: an IPv6 subnet that somebody chose and an IPv4 one that Docker
//! did. The engine gives no fixed addresses on it, so nodes cannot be pinned, and that is said.

use std::path::{Path, PathBuf};

use crate::lab::Lab;

const NETWORK: &str = "like-kind";

const TOPOLOGY: &str = "name: guest
network: { name: like-kind }
cluster:
  image: ${NODE_IMAGE}
images:
  - ${ECHO_IMAGE}
metallb:
  manifest: metallb.yaml
  pools: [{ name: guest, size: 5 }]
vars:
  webImage: ${ECHO_IMAGE}
manifests:
  - path: hello.yaml.j2
gateway:
  image:
    base: ${GATEWAY_BASE}
  publish: [12385]
  ports:
    - { listen: 12385, to: { service: hello, port: 80 } }
";

#[test]
#[ignore = "needs the lab"]
fn on_a_network_without_a_subnet_of_its_own_nodes_are_not_pinned() {
    let lab = Lab::open("borrowed-network").of(&["guest"]);
    lab.try_run("docker", &["network", "rm", NETWORK]);
    lab.run("docker", &["network", "create", "--ipv6", "--subnet", "fd00:21:7::/64", NETWORK]);
    let id = || lab.run("docker", &["network", "inspect", NETWORK, "--format", "{{.Id}}"]);
    let before = id();
    let before_apply = lab.listing();
    let file = lab.home.path().join("topo.yaml");
    std::fs::write(&file, TOPOLOGY).expect("written");
    let hello = lab.home.path().join("hello.yaml.j2");
    std::fs::copy("topologies/manifests/hello.yaml.j2", &hello).expect("copied");
    let manifest = metallb_that_tells_more(&lab);
    let file = file.display().to_string();

    let ran = lab.expect(0, &["apply", &file]);
    let said = format!("{}{}", ran.out, ran.err);
    assert!(said.contains("was made without a subnet of its own"), "{said}");
    let said = Lab::eventually("the pod", || lab.get("http://127.0.0.1:12385/"));
    assert!(said.starts_with("pod=hello-"), "{said}");
    tells_more(&lab);
    lab.expect(0, &["diff", &file]);

    // By its name alone, without the file.
    for file in [Path::new(&file), &hello, &manifest] {
        std::fs::remove_file(file).expect("removed");
    }
    lab.expect(0, &["destroy", "--yes", "--name", "guest"]);
    lab.is_as_before(&before_apply);
    assert_eq!(id(), before, "it was not topo's to remove");
    lab.run("docker", &["network", "rm", NETWORK]);
}

/// A manifest of the user's own: the release's, with another log level.
fn metallb_that_tells_more(lab: &Lab) -> PathBuf {
    let text = std::fs::read_to_string(lab.metallb_manifest()).expect("readable");
    assert!(text.contains("--log-level=info"), "MetalLB's manifest says nothing of its log");
    let own = lab.home.path().join("metallb.yaml");
    std::fs::write(&own, text.replace("--log-level=info", "--log-level=debug")).expect("written");
    own
}

fn tells_more(lab: &Lab) {
    let arguments = "jsonpath={.spec.template.spec.containers[0].args}";
    let controller = ["-n", "metallb-system", "get", "deployment/controller", "-o", arguments];
    let said = lab.run("kubectl", &[&["--context", "kind-guest"], &controller[..]].concat());
    assert!(said.contains("--log-level=debug"), "{said}");
}
