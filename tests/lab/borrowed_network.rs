//! A network as kind makes its own: an IPv6 subnet that somebody chose and an IPv4 one that Docker
//! did. The engine gives no fixed addresses on it, so nodes cannot be pinned, and that is said.

use crate::lab::Lab;

const NETWORK: &str = "like-kind";

const TOPOLOGY: &str = "name: guest
network: { name: like-kind }
cluster:
  image: ${NODE_IMAGE}
images:
  - ${ECHO_IMAGE}
metallb:
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
    let file = lab.home.path().join("topo.yaml");
    std::fs::write(&file, TOPOLOGY).expect("written");
    let hello = "topologies/manifests/hello.yaml.j2";
    std::fs::copy(hello, lab.home.path().join("hello.yaml.j2")).expect("copied");
    let file = file.display().to_string();

    let ran = lab.expect(0, &["apply", &file]);
    let said = format!("{}{}", ran.out, ran.err);
    assert!(said.contains("was made without a subnet of its own"), "{said}");
    let said = Lab::eventually("the pod", || lab.get("http://127.0.0.1:12385/"));
    assert!(said.starts_with("pod=hello-"), "{said}");
    lab.expect(0, &["diff", &file]);
    lab.expect(0, &["destroy", "--yes", &file]);

    assert_eq!(id(), before, "it was not topo's to remove");
    lab.run("docker", &["network", "rm", NETWORK]);
}
