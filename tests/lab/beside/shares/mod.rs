//! Folders in pods, one scenario for each way: two pods on two nodes and this machine, all at work
//! on the same files.

mod faults;
mod server;

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::ganesha::{Ganesha, Setup};
use crate::lab::{Lab, Ran};

/// A topology of the examples, applied with a folder and a name of the scenario's own.
pub struct Scenario {
    pub lab: Lab,
    name: &'static str,
    pub file: PathBuf,
    pub folder: PathBuf,
    before: std::collections::BTreeSet<String>,
}

impl Scenario {
    pub fn open(title: &'static str, name: &'static str, example: &str) -> Self {
        let mut lab = Lab::open(title).of(&[name]);
        let folder = lab.own("documents of mine");
        std::fs::create_dir_all(&folder).expect("a folder");
        let text = std::fs::read_to_string(format!("topologies/{example}")).expect("the topology");
        // A copy of its own, which the scenario changes; its manifests stay where they are.
        let manifests = std::fs::canonicalize("topologies/manifests").expect("the manifests");
        let text = text.replace("path: manifests/", &format!("path: {}/", manifests.display()));
        let file = lab.own("topo.yaml");
        std::fs::write(&file, text).expect("written");
        let before = lab.listing();
        lab.set("TOPOLOGY", name);
        lab.set("DOCS", folder.display().to_string());
        Self { lab, name, file, folder, before }
    }

    pub fn change(&self, from: &str, to: &str) {
        let text = std::fs::read_to_string(&self.file).expect("the topology");
        assert!(text.contains(from), "{from:?} is not in {text}");
        std::fs::write(&self.file, text.replace(from, to)).expect("written");
    }

    pub fn add(&self, share: &str) {
        let text = std::fs::read_to_string(&self.file).expect("the topology");
        std::fs::write(&self.file, text + "\n  - " + share + "\n").expect("written");
    }

    #[track_caller]
    pub fn topo(&self, code: i32, arguments: &[&str]) -> Ran {
        let file = self.file.display().to_string();
        let arguments = [arguments, &[&file]].concat();
        let ran = self.lab.topo(&arguments);
        assert_eq!(ran.code, code, "topo {}", arguments.join(" "));
        ran
    }

    pub fn apply(&self) -> Ran {
        self.topo(0, &["apply", "--yes"])
    }

    /// Nothing is left to do once the pods are up again.
    #[track_caller]
    pub fn in_sync(&self) {
        self.lab.comes_in_sync(&self.file.display().to_string());
    }

    /// `diff` says this of one resource, `apply` does it, and nothing is left to do.
    #[track_caller]
    pub fn step(&self, line: &str, words: &[&str]) {
        let ran = self.topo(1, &["diff"]);
        assert!(ran.out.lines().any(|out| out.starts_with(line)), "no `{line}` in {}", ran.out);
        for word in words {
            assert!(ran.out.contains(word), "no `{word}` in {}", ran.out);
        }
        self.apply();
        self.in_sync();
    }

    pub fn kubectl(&self, arguments: &[&str]) -> String {
        let context = format!("kind-{}", self.name);
        self.lab.run("kubectl", &[&["--context", &context], arguments].concat())
    }

    /// The two pods, which run on two nodes.
    pub fn pods(&self) -> [String; 2] {
        let list = self.kubectl(&[
            "get",
            "pods",
            "-l",
            "app=writers",
            "--field-selector=status.phase=Running",
            "-o",
            "jsonpath={range .items[*]}{.metadata.name} {.spec.nodeName}{\"\\n\"}{end}",
        ]);
        let mut pods: Vec<(&str, &str)> =
            list.lines().filter_map(|line| line.split_once(' ')).collect();
        pods.sort_unstable();
        assert_eq!(pods.len(), 2, "{list}");
        assert_ne!(pods[0].1, pods[1].1, "on two nodes: {list}");
        [pods[0].0.to_owned(), pods[1].0.to_owned()]
    }

    pub fn in_pod(&self, pod: &str, script: &str) -> String {
        self.kubectl(&["exec", pod, "--", "sh", "-euc", script])
    }

    /// Goes on until it ends by itself, or its input is closed and it heeds that.
    pub fn begin_in_pod(&self, pod: &str, script: &str) -> Child {
        Command::new("kubectl")
            .args(["--context", &format!("kind-{}", self.name), "exec", "-i", pod])
            .args(["--", "bash", "-c", script])
            .env("HOME", self.lab.home.path())
            .env_remove("KUBECONFIG")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("kubectl runs")
    }

    pub fn try_in_pod(&self, pod: &str, script: &str) -> Ran {
        let context = format!("kind-{}", self.name);
        let arguments = ["--context", &context, "exec", pod, "--", "sh", "-euc", script];
        self.lab.try_run("kubectl", &arguments)
    }

    pub fn destroy(self) {
        self.topo(0, &["destroy", "--yes"]);
        self.lab.is_as_before(&self.before);
    }
}

/// What two pods and this machine do with one folder.
pub fn shared_by_all(scenario: &Scenario) {
    let [one, two] = scenario.pods();
    scenario.in_pod(&one, "echo 'from the first' >/docs/first; mkdir -p /docs/deep/er");
    assert_eq!(scenario.in_pod(&two, "cat /docs/first"), "from the first\n");
    assert_eq!(read(&scenario.folder.join("first")), "from the first\n");
    assert!(scenario.folder.join("deep/er").is_dir());

    std::fs::write(scenario.folder.join("here"), "from this machine\n").expect("written");
    for pod in [&one, &two] {
        assert_eq!(scenario.in_pod(pod, "cat /docs/here"), "from this machine\n");
    }
    scenario.in_pod(&two, "mv /docs/first /docs/moved; ln -s moved /docs/link; rm -r /docs/deep");
    assert_eq!(read(&scenario.folder.join("link")), "from the first\n");
    assert!(!scenario.folder.join("deep").exists());
}

/// A thousand small files and a large one come out of the other pod as they went into the first.
pub fn survives(scenario: &Scenario, megabytes: u32) {
    let [one, two] = scenario.pods();
    let small = "mkdir -p /docs/small; i=0; while [ $i -lt 1000 ]; do echo \"file $i\" >/docs/small/$i; i=$((i+1)); done";
    scenario.in_pod(&one, small);
    let sum = "cd /docs/small; ls | sort -n | xargs cat | sha256sum";
    let expected: Vec<String> = (0..1000).map(|number| format!("file {number}\n")).collect();
    let expected = expected.concat();
    let local = scenario.folder.join("small");
    assert_eq!(std::fs::read_dir(&local).expect("there").count(), 1000);
    let here: String = (0..1000).map(|number| read(&local.join(number.to_string()))).collect();
    assert_eq!(here, expected);
    assert_eq!(scenario.in_pod(&two, sum), scenario.in_pod(&one, sum));

    let large = format!(
        "head -c {megabytes}M /dev/urandom | tee /docs/large | sha256sum; sync /docs/large"
    );
    let written = scenario.in_pod(&one, &large);
    assert_eq!(scenario.in_pod(&two, "sha256sum </docs/large"), written);
    let file = scenario.folder.join("large").display().to_string();
    let here = scenario.lab.run("sha256sum", &[&file]);
    assert_eq!(here.split(' ').next(), written.split(' ').next());
    scenario.in_pod(&two, "rm -r /docs/large /docs/small");
}

pub fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
#[ignore = "needs the lab"]
fn share_mount() {
    let scenario = Scenario::open("share-mount", "shm", "share-mount.yaml");
    let ran = scenario.apply();
    assert!(ran.err.contains("`docs` goes `via: mount`"), "{}", ran.err);
    scenario.in_sync();
    shared_by_all(&scenario);
    survives(&scenario, 64);
    let status = scenario.topo(0, &["status"]);
    assert!(status.out.contains("via mount"), "{}", status.out);

    // Chosen once: the cluster is there now, and the mount is kept.
    let ran = scenario.topo(0, &["diff"]);
    assert!(!ran.err.contains("goes `via:"), "{}", ran.err);

    // Another folder means another cluster, which is offered another way.
    let more = scenario.lab.own("more");
    std::fs::create_dir(&more).expect("a folder");
    let share = format!("{{ name: more, path: {}, via: mount }}", more.display());
    scenario.add(&share);
    let ran = scenario.topo(1, &["diff"]);
    assert!(ran.out.contains("± cluster/shm") && ran.out.contains("via: server"), "{}", ran.out);
    let nodes = || scenario.lab.run("docker", &["ps", "-q", "--filter", "name=shm-"]);
    let before = nodes();
    scenario.change("via: mount", "via: server");
    let finished = "nfsServer:\n  image: ${LAB_NFS_SERVER_IMAGE}\nshares:\n";
    scenario.change("shares:\n", finished);
    scenario.step("+ share/more", &["+ server/shm-nfs"]);
    let status = scenario.topo(0, &["status"]);
    assert!(status.out.contains("more  ready  via server"), "{}", status.out);
    assert!(before.lines().all(|node| nodes().contains(node)), "the cluster is the same");
    scenario.destroy();
}

#[test]
#[ignore = "needs the lab"]
fn share_external() {
    let mut scenario = Scenario::open("share-external", "she", "share-external.yaml");
    let path = scenario.folder.display().to_string();
    scenario.lab.set("NFS_SERVER", faults::ADDRESS);
    scenario.lab.set("NFS_PATH", &path);
    let server = Ganesha { name: "she-nas", place: faults::place(), source: path.clone(), path };
    server.remove(&scenario.lab);
    scenario.lab.try_run("docker", &["network", "rm", "topo-she"]);
    let create = ["network", "create", "--subnet", "172.24.0.0/16", "--gateway", "172.24.0.1"];
    let range = ["--ip-range", "172.24.64.0/18", "topo-she"];
    scenario.lab.run("docker", &[&create[..], &range].concat());
    server.start(&scenario.lab, &Setup::default());
    scenario.change("network:\n", "network:\n  name: topo-she\n");
    scenario.change("shares:\n", faults::GATEWAY);
    scenario.apply();
    scenario.in_sync();
    shared_by_all(&scenario);
    let status = scenario.topo(0, &["status"]);
    let source = format!("{}:{}", faults::ADDRESS, scenario.folder.display());
    assert!(status.out.contains(&source), "{}", status.out);

    // What does not work is not promised.
    scenario.add("{ name: none, path: /nothing, via: external, server: 172.24.9.9 }");
    let ran = scenario.topo(3, &["apply", "--yes"]);
    assert!(ran.err.contains("no-such-export"), "{}", ran.err);
    assert!(!scenario.kubectl(&["get", "pv", "-o", "name"]).contains("none"));
    scenario
        .change("\n  - { name: none, path: /nothing, via: external, server: 172.24.9.9 }\n", "");

    // Status tells the truth of a server that went away.
    scenario.lab.run("docker", &["stop", "-t", "1", "she-nas"]);
    let status = scenario.topo(1, &["status"]);
    assert!(status.out.contains("degraded"), "{}", status.out);
    scenario.lab.run("docker", &["start", "she-nas"]);
    scenario.topo(0, &["status", "--wait=1m"]);

    faults::each_is_told_by_its_name(&scenario, &server);

    scenario.topo(0, &["destroy", "--yes"]);
    assert_eq!(read(&scenario.folder.join("here")), "from this machine\n");
    server.remove(&scenario.lab);
    scenario.lab.run("docker", &["network", "rm", "topo-she"]);
    scenario.destroy();
}

#[test]
#[ignore = "needs the lab"]
fn share_host() {
    let scenario = Scenario::open("share-host", "shh", "share-host.yaml");
    // Nothing serves yet: refused by its name, with the line and the command that are missing.
    let ran = scenario.topo(3, &["apply", "--yes"]);
    assert!(ran.err.contains("nothing-listens"), "{}", ran.err);
    assert!(ran.err.contains("exportfs -ra"), "{}", ran.err);
    let exports = scenario.lab.home.path().join(".local/state/topo/shh/exports");
    let line = read(&exports);
    assert!(line.contains("documents\\040of\\040mine 172.28.0.0/17(rw,insecure"), "{line}");
    let rendered = scenario.topo(0, &["render", "exports", "--file"]);
    assert_eq!(rendered.out, line);

    // A server on this machine, at the host's end of the network, with the folder under its own
    // path, as an exports file has it.
    let path = scenario.folder.display().to_string();
    let server = Ganesha {
        name: "shh-nfsd",
        place: ["-p", "172.28.0.1:2049:2049"].map(str::to_owned).to_vec(),
        source: path.clone(),
        path,
    };
    server.start(&scenario.lab, &Setup::default());
    let file = Path::new("/etc/exports.d/topo-shh.exports");
    std::fs::create_dir_all("/etc/exports.d").expect("root may");
    std::fs::copy(&exports, file).expect("root may");
    scenario.apply();
    scenario.in_sync();
    shared_by_all(&scenario);

    // Somebody edits the exports.
    std::fs::write(file, line.replace("(rw,", "(ro,")).expect("root may");
    let ran = scenario.topo(1, &["diff"]);
    std::fs::copy(&exports, file).expect("root may");
    assert!(ran.out.contains("~ share/docs") && ran.out.contains("exports"), "{}", ran.out);
    scenario.in_sync();

    scenario.topo(0, &["destroy", "--yes"]);
    std::fs::remove_file(file).expect("it was made above");
    server.remove(&scenario.lab);
    scenario.destroy();
}
