//! Changes of the file, one at a time: `diff` says so with its line, `apply` does that and no more.

use std::path::PathBuf;

use crate::lab::Lab;

struct File {
    path: PathBuf,
    text: String,
}

impl File {
    fn new(lab: &Lab) -> Self {
        let folder = lab.home.path();
        std::fs::write(folder.join("web.yaml"), WEB).expect("written");
        std::fs::write(folder.join("extra.yaml"), EXTRA).expect("written");
        let file = Self { path: folder.join("topo.yaml"), text: TOPOLOGY.to_owned() };
        file.write();
        file
    }

    fn write(&self) {
        std::fs::write(&self.path, &self.text).expect("written");
    }

    fn change(&mut self, from: &str, to: &str) {
        assert!(self.text.contains(from), "{from:?} is not in the file");
        self.text = self.text.replace(from, to);
        self.write();
    }

    fn path(&self) -> String {
        self.path.display().to_string()
    }
}

const TOPOLOGY: &str = "apiVersion: topo/v1alpha1
kind: Topology
name: chg
network:
  subnet: 172.24.0.0/16
cluster:
  workers: 1
  image: ${NODE_IMAGE}
images:
  - ${ECHO_IMAGE}
metallb:
  pools:
    - { name: main, addresses: [172.24.255.200-172.24.255.209] }
manifests:
  - path: web.yaml
  - path: extra.yaml
gateway:
  image: { base: BASE }
  publish: [12000-12009]
  ports:
    - { listen: 12000, to: { service: web, port: 80 } }
";

const WEB: &str = "apiVersion: apps/v1
kind: Deployment
metadata: { name: web }
spec:
  replicas: 1
  selector: { matchLabels: { app: web } }
  template:
    metadata: { labels: { app: web } }
    spec:
      terminationGracePeriodSeconds: 1
      containers: [{ name: web, image: ECHO, ports: [{ containerPort: 8080 }] }]
---
apiVersion: v1
kind: Service
metadata: { name: web }
spec:
  type: LoadBalancer
  selector: { app: web }
  ports: [{ port: 80, targetPort: 8080 }]
";

const EXTRA: &str = "apiVersion: v1
kind: ConfigMap
metadata: { name: extra }
data: { colour: blue }
";

#[test]
#[ignore = "needs the lab"]
fn changes_of_the_file() {
    let lab = Lab::open("changes");
    let before = lab.listing();
    let mut file = File::new(&lab);
    let variable = |name: &str| std::env::var(name).expect("set by the lab");
    file.change("BASE", &variable("GATEWAY_BASE"));
    std::fs::write(lab.home.path().join("web.yaml"), WEB.replace("ECHO", &variable("ECHO_IMAGE")))
        .expect("written");

    lab.expect(0, &["apply", &file.path()]);
    settled(&lab, &file);
    Lab::eventually("the first answer", || lab.get("http://127.0.0.1:12000/"));

    file.change("workers: 1", "workers: 2");
    step(&lab, &file, "+ node/chg-worker2", "file");
    assert_eq!(nodes(&lab), 3);

    file.change("workers: 2", "workers: 1");
    step(&lab, &file, "- node/chg-worker2", "file");
    assert_eq!(nodes(&lab), 2);

    file.change(".200-172.24.255.209", ".200-172.24.255.219");
    step(&lab, &file, "~ pool/main", "file");

    file.change(".200-172.24.255.219", ".200-172.24.255.214");
    step(&lab, &file, "~ pool/main", "file");

    std::fs::write(lab.home.path().join("extra.yaml"), EXTRA.replace("blue", "green"))
        .expect("written");
    step(&lab, &file, "~ object/core/ConfigMap/default/extra", "file");
    let colour = kubectl(&lab, &["get", "configmap/extra", "-o", "jsonpath={.data.colour}"]);
    assert_eq!(colour, "green");

    file.change("  - path: extra.yaml\n", "");
    step(&lab, &file, "- object/core/ConfigMap/default/extra", "file");
    assert!(!kubectl(&lab, &["get", "configmaps", "-o", "name"]).contains("extra"));

    file.change("publish: [12000-12009]", "publish: [12000-12019]");
    step(&lab, &file, "± gateway/chg-gw", "file");
    Lab::eventually("an answer after the range grew", || lab.get("http://127.0.0.1:12000/"));

    a_deleted_cluster_is_made_again(&lab, &file);

    lab.expect(0, &["destroy", "--yes", &file.path()]);
    let left: Vec<_> = lab
        .listing()
        .difference(&before)
        .filter(|line| !line.contains(&lab.home.path().display().to_string()))
        .cloned()
        .collect();
    assert!(left.is_empty(), "left behind: {left:#?}");
}

/// A new node is not at rest until what runs on every node has come up on it.
#[track_caller]
fn settled(lab: &Lab, file: &File) {
    Lab::eventually("the topology to be in sync", || {
        let ran = lab.topo(&["diff", &file.path()]);
        if ran.code == 0 { Ok(()) } else { Err(ran.out) }
    });
}

/// `diff` names the change and its cause, `apply` makes it, and nothing is left to do.
#[track_caller]
fn step(lab: &Lab, file: &File, line: &str, cause: &str) {
    let ran = lab.expect(1, &["diff", &file.path()]);
    let found = ran.out.lines().find(|out| out.starts_with(line));
    assert!(found.is_some_and(|out| out.contains(cause)), "no `{line}` by {cause}: {}", ran.out);
    lab.expect(0, &["apply", "--yes", &file.path()]);
    settled(lab, file);
}

fn kubectl(lab: &Lab, arguments: &[&str]) -> String {
    lab.run("kubectl", &[&["--context", "kind-chg"], arguments].concat())
}

fn nodes(lab: &Lab) -> usize {
    kubectl(lab, &["get", "nodes", "-o", "name"]).lines().count()
}

/// As a user of kind does it by hand.
fn a_deleted_cluster_is_made_again(lab: &Lab, file: &File) {
    let kind = std::env::var("TOPO_KIND").expect("set by the lab");
    lab.run(&kind, &["delete", "cluster", "--name", "chg"]);
    let ran = lab.expect(1, &["diff", &file.path()]);
    let line = ran.out.lines().find(|line| line.starts_with("+ cluster/chg"));
    assert!(line.is_some_and(|line| line.contains("drift")), "{}", ran.out);
    lab.expect(0, &["apply", "--yes", &file.path()]);
    settled(lab, file);
    Lab::eventually("an answer of the new cluster", || lab.get("http://127.0.0.1:12000/"));
}
