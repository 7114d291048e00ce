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
