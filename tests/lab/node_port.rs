//! topologies/node-port.yaml: one port of every node, reached in three ways; and Services that
//! come, go and move under the forwards that follow them.

use crate::example::Example;
use crate::lab::Lab;

#[test]
#[ignore = "needs the lab"]
fn node_port() {
    let lab = Lab::open("node-port").of(&["beside", "node-port"]);
    let example = Example::of(&lab, "node-port");
    example.apply();
    let node = example.address_of("node-port-control-plane");
    for url in [
        "http://127.0.0.1:12280/",
        "http://127.0.0.1:12281/",
        "http://127.0.0.1:12210/",
        "http://127.0.0.1:12211/",
        &format!("http://{node}:30880/"),
    ] {
        example.answers(url);
    }
    example.settles();
    a_service_at_another_node_port_is_followed_at_once(&example);
    a_service_that_is_not_there_holds_nothing_up(&lab, &example);
    what_nobody_holds_is_told(&example);
    forwards_lead_to_the_nodes_of_an_existing_cluster(&lab, &example);
    example.destroy();
}

fn a_service_at_another_node_port_is_followed_at_once(example: &Example) {
    example.change_in("manifests/node-port.yaml.j2", "nodePort: 30880", "nodePort: 30882");
    let diff = example.diff(1);
    assert!(diff.out.contains("~ port/127.0.0.1:12211/tcp"), "{}", diff.out);
    example.apply();
    example.answers("http://127.0.0.1:12211/");
    example.settles();
    example.change_in("manifests/node-port.yaml.j2", "nodePort: 30882", "nodePort: 30880");
    example.apply();
    example.answers("http://127.0.0.1:12210/");
}

fn a_service_that_is_not_there_holds_nothing_up(lab: &Lab, example: &Example) {
    example.change(
        "    # A number that every node serves",
        "    - { listen: 12212, to: { service: default/later, port: 80 } }
    - { listen: 12213, to: { service: kubernetes, port: https } }
    - { listen: 12214, to: { nodePort: 30880 } }
    # A number that every node serves",
    );
    let ran = example.apply();
    for said in [
        "`object/core/Service/default/later` does not exist",
        "it is of type ClusterIP, which cannot be reached",
        "2 pending",
    ] {
        assert!(ran.err.replace('\n', " ").contains(said), "{said} is not in {}", ran.err);
    }
    example.answers("http://127.0.0.1:12214/");
    example.diff(1);

    example.kubectl(&[
        "expose",
        "deployment/web",
        "--name=later",
        "--port=80",
        "--target-port=8080",
        "--type=NodePort",
    ]);
    example.apply();
    example.answers("http://127.0.0.1:12212/");

    // Gone again: the forward keeps what it last led to, and `diff` says so.
    example.kubectl(&["delete", "service/later"]);
    let ran = example.apply();
    assert!(ran.err.contains("pending"), "{}", ran.err);
    let status = lab.expect(1, &["status", &example.path()]);
    let line = status.out.lines().find(|line| line.contains("12212")).unwrap_or_default();
    assert!(line.contains("silent"), "{}", status.out);

    example.change("    - { listen: 12212, to: { service: default/later, port: 80 } }\n", "");
    example.change("    - { listen: 12213, to: { service: kubernetes, port: https } }\n", "");
    example.apply();
    example.settles();
}

/// Another topology beside it, whose cluster is that of the first.
fn forwards_lead_to_the_nodes_of_an_existing_cluster(lab: &Lab, example: &Example) {
    let base = std::env::var("GATEWAY_BASE").expect("set by the lab");
    example.write(
        "beside.yaml",
        &format!(
            "name: beside
network: {{ name: topo-node-port }}
cluster: {{ context: kind-node-port }}
gateway:
  image: {{ base: {base} }}
  publish: [12295-12299]
  ports:
    - {{ listen: 12295, to: {{ nodePort: 30880 }} }}
    - {{ listen: 12296, to: {{ service: web, port: 80 }} }}
"
        ),
    );
    let beside = example.path().replace("node-port.yaml", "beside.yaml");
    lab.expect(0, &["apply", &beside]);
    example.answers("http://127.0.0.1:12295/");
    example.answers("http://127.0.0.1:12296/");
    lab.expect(0, &["diff", &beside]);
    lab.expect(0, &["destroy", "--yes", &beside]);
    example.answers("http://127.0.0.1:12210/");
}

/// The engine's proxy takes every connection, and the gateway holds it while it looks for somebody.
fn what_nobody_holds_is_told(example: &Example) {
    example.change(
        "listen: 12214, to: { nodePort: 30880 }",
        "listen: 12214, to: { address: 172.29.128.77, port: 80 }",
    );
    let ran = example.apply();
    let said = ran.err.replace("\n  ", " ");
    assert!(said.contains("172.29.128.77:80, where it leads, "), "{said}");
    assert!(said.contains("no machine has this address"), "{said}");
}
