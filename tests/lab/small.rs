//! The small topology on which drift and changes are tried, and what of it there is in the world.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use crate::lab::Lab;

/// A topology file in the user's home, with the manifests that it names beside it.
pub struct File<'a> {
    lab: &'a Lab,
    path: PathBuf,
    text: String,
}

const TOPOLOGY: &str = "apiVersion: topo/v1alpha1
kind: Topology
name: chg
network:
  subnet: 172.20.0.0/17
cluster:
  workers: 1
  image: ${NODE_IMAGE}
images:
  - ${ECHO_IMAGE}
metallb:
  version: v0.15.3
  pools:
    - { name: main, addresses: [172.20.127.200-172.20.127.209] }
manifests:
  - path: web.yaml
  - path: extra.yaml
gateway:
  image:
    base: ${GATEWAY_BASE}
  publish: [12300-12309]
  ports:
    - { listen: 12300, to: { service: web, port: 80 } }
";

const WEB: &str = "apiVersion: apps/v1
kind: Deployment
metadata: { name: web, labels: { tier: front } }
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

/// A Deployment that answers on 8080, and the Service in front of it.
pub fn web() -> String {
    let echo = std::env::var("ECHO_IMAGE").expect("set by the lab");
    WEB.replace("ECHO", &echo)
}

/// What it has in the world: what changes with every write to it, by name.
pub type Things = BTreeMap<String, String>;

impl<'a> File<'a> {
    pub fn new(lab: &'a Lab) -> Self {
        let path = lab.own("topo.yaml");
        let file = Self { lab, path, text: TOPOLOGY.to_owned() };
        file.put("web.yaml", &web());
        file.put("extra.yaml", EXTRA);
        file.put("topo.yaml", &file.text);
        file
    }

    pub fn put(&self, name: &str, text: &str) {
        std::fs::write(self.lab.own(name), text).expect("written");
    }

    pub fn change(&mut self, from: &str, to: &str) {
        assert!(self.text.contains(from), "{from:?} is not in the file");
        self.text = self.text.replace(from, to);
        self.put("topo.yaml", &self.text);
    }

    pub fn change_extra(&self, from: &str, to: &str) {
        self.put("extra.yaml", &EXTRA.replace(from, to));
    }

    pub fn path(&self) -> String {
        self.path.display().to_string()
    }

    /// The line of the file in which this stands.
    pub fn line_of(&self, what: &str) -> usize {
        1 + self.text.lines().position(|line| line.contains(what)).expect("a line of the file")
    }

    /// A new node is not at rest until what runs on every node has come up on it.
    #[track_caller]
    pub fn settled(&self) {
        self.lab.comes_in_sync(&self.path());
    }

    /// `diff` says it in a line that begins so, with this cause; answers all that it says.
    #[track_caller]
    pub fn differs(&self, line: &str, cause: &str) -> String {
        let ran = self.lab.expect(1, &["diff", &self.path()]);
        let found = ran.out.lines().find(|out| out.starts_with(line));
        let by_cause = found.is_some_and(|out| out.contains(cause));
        assert!(by_cause, "no `{line}` by {cause}: {}", ran.out);
        ran.out
    }

    #[track_caller]
    pub fn apply(&self) -> String {
        let ran = self.lab.expect(0, &["apply", "--yes", &self.path()]);
        self.settled();
        format!("{}{}", ran.out, ran.err)
    }

    #[track_caller]
    pub fn answers(&self, port: u16) {
        let url = format!("http://127.0.0.1:{port}/");
        Lab::eventually("an answer through the gateway", || self.lab.get(&url));
    }

    pub fn kubectl(&self, arguments: &[&str]) -> String {
        self.lab.run("kubectl", &[&["--context", "kind-chg"], arguments].concat())
    }

    /// Containers by id and start, objects by generation or version, and the user's kubeconfig.
    pub fn things(&self) -> Things {
        let mut things = Things::new();
        let names = self.lab.run("docker", &["ps", "-a", "--format", "{{.Names}}"]);
        for name in names.lines().filter(|name| name.starts_with("chg-")) {
            let format = "{{.Id}} {{.State.StartedAt}}";
            let state = self.lab.run("docker", &["inspect", name, "--format", format]);
            things.insert(format!("container {name}"), state);
        }
        let objects = self.kubectl(&[
            "get",
            "-A",
            "namespaces,services,deployments,daemonsets,configmaps,ipaddresspools,l2advertisements",
            "-l",
            "topo.dev/topology=chg",
            "-o",
            "jsonpath={range .items[*]}{.kind} {.metadata.name}|{.metadata.uid}|{.metadata.generation}|{.metadata.resourceVersion}{\"\\n\"}{end}",
        ]);
        for line in objects.lines() {
            let [name, uid, generation, version] =
                line.split('|').collect::<Vec<_>>().try_into().expect("four parts");
            // A status changes the version too; what is changed has a new generation, where it counts.
            let state = if generation.is_empty() { version } else { generation };
            things.insert(name.to_owned(), format!("{uid} {state}"));
        }
        let kubeconfig = std::fs::read_to_string(self.lab.home.path().join(".kube/config"));
        things.insert("kubeconfig".to_owned(), kubeconfig.expect("a kubeconfig"));
        things
    }
}

/// The names of what is another now, or new, or gone.
pub fn changed(before: &Things, after: &Things) -> BTreeSet<String> {
    let names = before.keys().chain(after.keys());
    names.filter(|name| before.get(*name) != after.get(*name)).cloned().collect()
}
