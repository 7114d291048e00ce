//! What topo did not make stands in its way: refused with what to do, and untouched.

use crate::lab::Lab;

const FILE: &str = "topologies/dev-gateway.yaml";

#[test]
#[ignore = "needs the lab"]
fn a_foreign_container_is_refused_and_untouched() {
    let lab = Lab::open("foreign-container").of(&["dev"]);
    let base = std::env::var("GATEWAY_BASE").expect("the lab's base image");
    lab.run("docker", &["run", "-d", "--name", "dev-gw", &base, "sleep", "600"]);
    let id = lab.run("docker", &["inspect", "dev-gw", "--format", "{{.Id}} {{.State.StartedAt}}"]);
    let before = lab.listing();

    let ran = lab.topo(&["apply", "--yes", FILE]);
    let still =
        lab.run("docker", &["inspect", "dev-gw", "--format", "{{.Id}} {{.State.StartedAt}}"]);
    let after = lab.listing();
    lab.run("docker", &["rm", "-f", "dev-gw"]);

    assert_eq!(ran.code, 2);
    assert!(ran.err.contains("dev-gw"), "{}", ran.err);
    assert_eq!(still, id);
    let state = lab.home.path().join(".local/state").display().to_string();
    let made: Vec<_> = after.difference(&before).filter(|line| !line.contains(&state)).collect();
    assert!(made.is_empty(), "made: {made:?}");
}

/// Of the name that topo would give its own, which the file does not say; and one that the file
/// names and that cannot serve.
#[test]
#[ignore = "needs the lab"]
fn a_foreign_network_is_refused_and_untouched() {
    let lab = Lab::open("foreign-network").of(&["stranger"]);
    let file = lab.own("topo.yaml");
    let write = |network: &str| {
        let text = format!("name: stranger\n{network}gateway: {{ publish: [12380] }}\n");
        std::fs::write(&file, text).expect("written");
    };
    let network = Network::made(&lab, "topo-stranger", "172.21.0.0/17");
    let path = file.display().to_string();
    let refused = |told: &str| {
        let ran = lab.expect(2, &["apply", "--yes", &path]);
        assert!(ran.err.contains(told), "no `{told}` in {}", ran.err);
        assert_eq!(network.id(), network.id, "it is another network now");
    };

    write("");
    refused("`docker network rm topo-stranger`, or write `network: { name: topo-stranger }`");
    write("network: { name: topo-stranger, subnet: 172.21.128.0/17 }\n");
    refused("exists with the subnet 172.21.0.0/17, not 172.21.128.0/17");
    let claims = lab.run("docker", &["volume", "ls", "-q", "--filter", "name=topo-stranger"]);
    assert_eq!(claims, "");
}

/// Kind's label says which cluster a container is of, and not who asked for the cluster.
#[test]
#[ignore = "needs the lab"]
fn a_kind_cluster_of_the_topologys_name_is_not_taken_for_its_own() {
    let lab = Lab::open("foreign-cluster").of(&["stranger"]);
    let file = lab.own("topo.yaml");
    let path = file.display().to_string();
    let write = |text: &str| {
        let text = format!("name: stranger\nnetwork: {{ subnet: 172.21.0.0/17 }}\n{text}");
        std::fs::write(&file, text).expect("written");
    };
    let gateway =
        "gateway:\n  image:\n    base: ${GATEWAY_BASE:-debian:bookworm-slim}\n  publish: [12380]\n";
    let cluster = "cluster:\n  image: ${NODE_IMAGE:-kindest/node:v1.34.0}\n  workers: 1\n";

    // A cluster that kind could not make leaves a claim that says it is being made.
    write(cluster);
    let failing = [("TOPO_KIND", "/bin/false".to_owned())];
    assert_eq!(lab.topo_with(&["apply", "--yes", &path], &failing).code, 3);

    let node = Node::of_kind(&lab, "stranger", "control-plane");
    for (text, code) in [(gateway, 0), (gateway, 0), (cluster, 2)] {
        write(text);
        let ran = lab.expect(code, &["apply", "--yes", &path]);
        assert_eq!(node.id(), node.id, "{}", ran.err);
        if code == 2 {
            assert!(ran.err.contains("kind delete cluster --name stranger"), "{}", ran.err);
        }
    }
    lab.expect(0, &["destroy", "--yes", &path]);
    assert_eq!(node.id(), node.id);

    drop(node);
    let worker = Node::plain(&lab, "stranger-worker");
    let ran = lab.expect(2, &["apply", "--yes", &path]);
    assert!(ran.err.contains("docker rm -f stranger-worker"), "{}", ran.err);
    assert_eq!(worker.id(), worker.id);
}

struct Node<'a> {
    lab: &'a Lab,
    name: String,
    id: String,
}

impl<'a> Node<'a> {
    fn of_kind(lab: &'a Lab, cluster: &str, role: &str) -> Self {
        let labels =
            [format!("io.x-k8s.kind.cluster={cluster}"), format!("io.x-k8s.kind.role={role}")];
        Self::made(lab, format!("{cluster}-{role}"), &labels)
    }

    fn plain(lab: &'a Lab, name: &str) -> Self {
        Self::made(lab, name.to_owned(), &[])
    }

    fn made(lab: &'a Lab, name: String, labels: &[String]) -> Self {
        let base = std::env::var("GATEWAY_BASE").expect("the lab's base image");
        let mut arguments = vec!["run", "-d", "--name", &name];
        arguments.extend(labels.iter().flat_map(|label| ["--label", label.as_str()]));
        arguments.extend([base.as_str(), "sleep", "600"]);
        let id = lab.run("docker", &arguments);
        Self { lab, name, id }
    }

    fn id(&self) -> String {
        self.lab.run("docker", &["inspect", &self.name, "--format", "{{.Id}}"])
    }
}

impl Drop for Node<'_> {
    fn drop(&mut self) {
        self.lab.try_run("docker", &["rm", "-f", &self.name]);
    }
}

struct Network<'a> {
    lab: &'a Lab,
    name: &'static str,
    id: String,
}

impl<'a> Network<'a> {
    fn made(lab: &'a Lab, name: &'static str, subnet: &str) -> Self {
        lab.run("docker", &["network", "create", "--subnet", subnet, name]);
        let mut made = Self { lab, name, id: String::new() };
        made.id = made.id();
        made
    }

    fn id(&self) -> String {
        self.lab.run("docker", &["network", "inspect", self.name, "--format", "{{.Id}}"])
    }
}

impl Drop for Network<'_> {
    fn drop(&mut self) {
        self.lab.try_run("docker", &["network", "rm", self.name]);
    }
}
