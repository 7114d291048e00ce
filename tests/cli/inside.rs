//! `logs`, `exec`, `ssh`, `open` and `kubeconfig` where there is nothing to look into.

use crate::{Machine, Ran, engine};

const SMALL: &str = "\
apiVersion: topo/v1alpha1
kind: Topology
name: dev
cluster: {}
gateway:
  publish: [1, 10000-10019, 10053/udp]
  ports:
    - { listen: 10001, to: { service: web, port: 80 } }
    # Nothing listens there, on any machine.
    - { listen: 1, to: { service: web, port: 81 } }
    - { listen: 10053/udp, to: { service: dns, port: 53 } }
";

/// On an engine on which these topologies have been applied and have no containers any more.
fn topo(applied: &[&str], args: &[&str]) -> Ran {
    let machine = Machine::new();
    machine.write("topo.yaml", SMALL);
    let host = engine::with_claims(applied);
    machine.topo_with(args, &[("DOCKER_HOST", host.as_str())])
}

#[test]
fn of_a_topology_that_was_never_applied_each_says_so() {
    for args in
        [&["logs"][..], &["exec", "gateway"], &["open", "10001"], &["kubeconfig"], &["logs", "-f"]]
    {
        let ran = topo(&["other"], args);
        assert_eq!(ran.code, 2, "{args:?}: {}", ran.stderr);
        assert!(ran.stderr.contains("error: no resources found for `dev`"), "{}", ran.stderr);
        assert!(ran.stderr.contains("this engine has `other`"), "{}", ran.stderr);
    }
    let ran = topo(&["dev-box"], &["exec", "--name", "dve-box", "gateway"]);
    assert!(ran.stderr.contains("`topo exec --name dev-box`"), "{}", ran.stderr);
}

#[test]
fn what_cannot_be_looked_into_is_said_with_what_can() {
    insta::assert_snapshot!("logs-of-nothing", topo(&["dev"], &["logs"]).shown());
    insta::assert_snapshot!("exec-in-nothing", topo(&["dev"], &["exec", "web", "true"]).shown());
    insta::assert_snapshot!("ssh-without-sshd", topo(&["dev"], &["ssh"]).shown());
}

#[test]
fn only_a_port_that_may_have_a_page_is_opened() {
    insta::assert_snapshot!("open-udp", topo(&["dev"], &["open", "10053/udp"]).shown());
    insta::assert_snapshot!("open-a-service", topo(&["dev"], &["open", "web"]).shown());
    insta::assert_snapshot!("open-unknown", topo(&["dev"], &["open", "10002"]).shown());
    insta::assert_snapshot!("open-silent", topo(&["dev"], &["open", "1"]).shown());
}
