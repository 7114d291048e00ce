//! Folders in pods, one scenario for each way: two pods on two nodes and this machine, all at work
//! on the same files.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::lab::{Lab, Ran};

/// A topology of the examples, applied with a folder and a name of the scenario's own.
struct Scenario {
    lab: Lab,
    name: &'static str,
    file: PathBuf,
    folder: PathBuf,
    variables: Vec<(&'static str, String)>,
    before: std::collections::BTreeSet<String>,
}

impl Scenario {
    fn open(title: &'static str, name: &'static str, example: &str) -> Self {
        let lab = Lab::open(title).of(&[name]);
        let folder = lab.home.path().join("documents of mine");
        std::fs::create_dir_all(&folder).expect("a folder");
        let text = std::fs::read_to_string(format!("topologies/{example}")).expect("the topology");
        // A copy of its own, which the scenario changes; its manifests stay where they are.
        let manifests = std::fs::canonicalize("topologies/manifests").expect("the manifests");
        let text = text.replace("path: manifests/", &format!("path: {}/", manifests.display()));
        let file = lab.home.path().join("topo.yaml");
        std::fs::write(&file, text).expect("written");
        let before = lab.listing();
        let docs = folder.display().to_string();
        let variables = vec![("TOPOLOGY", name.to_owned()), ("DOCS", docs)];
        Self { lab, name, file, folder, variables, before }
    }

    fn set(&mut self, variable: &'static str, value: impl Into<String>) {
        self.variables.push((variable, value.into()));
    }

    fn change(&self, from: &str, to: &str) {
        let text = std::fs::read_to_string(&self.file).expect("the topology");
        assert!(text.contains(from), "{from:?} is not in {text}");
        std::fs::write(&self.file, text.replace(from, to)).expect("written");
    }

    fn add(&self, share: &str) {
        let text = std::fs::read_to_string(&self.file).expect("the topology");
        std::fs::write(&self.file, text + "\n  - " + share + "\n").expect("written");
    }

    #[track_caller]
    fn topo(&self, code: i32, arguments: &[&str]) -> Ran {
        let file = self.file.display().to_string();
        let arguments = [arguments, &[&file]].concat();
        let ran = self.lab.topo_with(&arguments, &self.variables);
        assert_eq!(ran.code, code, "topo {}", arguments.join(" "));
        ran
    }

    fn apply(&self) -> Ran {
        self.topo(0, &["apply", "--yes"])
    }

    /// Nothing is left to do once the pods are up again.
    #[track_caller]
    fn in_sync(&self) {
        let file = self.file.display().to_string();
        Lab::eventually("the topology to be in sync", || {
            let ran = self.lab.topo_with(&["diff", &file], &self.variables);
            if ran.code == 0 { Ok(()) } else { Err(ran.out) }
        });
    }

    /// `diff` says this of one resource, `apply` does it, and nothing is left to do.
    #[track_caller]
    fn step(&self, line: &str, words: &[&str]) {
        let ran = self.topo(1, &["diff"]);
        assert!(ran.out.lines().any(|out| out.starts_with(line)), "no `{line}` in {}", ran.out);
        for word in words {
            assert!(ran.out.contains(word), "no `{word}` in {}", ran.out);
        }
        self.apply();
        self.in_sync();
    }

    fn kubectl(&self, arguments: &[&str]) -> String {
        let context = format!("kind-{}", self.name);
        self.lab.run("kubectl", &[&["--context", &context], arguments].concat())
    }

    /// The two pods, which run on two nodes.
    fn pods(&self) -> [String; 2] {
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

    fn in_pod(&self, pod: &str, script: &str) -> String {
        self.kubectl(&["exec", pod, "--", "sh", "-euc", script])
    }

    fn begin_in_pod(&self, pod: &str, script: &str) -> Child {
        Command::new("kubectl")
            .args(["--context", &format!("kind-{}", self.name), "exec", pod])
            .args(["--", "bash", "-c", script])
            .env("HOME", self.lab.home.path())
            .env_remove("KUBECONFIG")
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("kubectl runs")
    }

    fn try_in_pod(&self, pod: &str, script: &str) -> Ran {
        let context = format!("kind-{}", self.name);
        let arguments = ["--context", &context, "exec", pod, "--", "sh", "-euc", script];
        self.lab.try_run("kubectl", &arguments)
    }

    fn destroy(self) {
        self.topo(0, &["destroy", "--yes"]);
        let home = self.lab.home.path().display().to_string();
        let after = self.lab.listing();
        let left: Vec<_> =
            after.difference(&self.before).filter(|line| !line.contains(&home)).collect();
        assert!(left.is_empty(), "left behind: {left:#?}");
    }
}

/// What two pods and this machine do with one folder.
fn shared_by_all(scenario: &Scenario) {
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
fn survives(scenario: &Scenario, megabytes: u32) {
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

fn owner(path: &Path) -> (u32, u32) {
    let metadata = std::fs::metadata(path).expect("there");
    (metadata.uid(), metadata.gid())
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// A pod that writes a line twenty times a second into one open file, and tells of every pause.
struct Writer {
    child: Child,
    lines: PathBuf,
}

const WRITER: &str =
    "exec 3>/docs/lines; i=0; last=$(date +%s%N); end=$(($(date +%s)+SECONDS_LONG))
while [ $(date +%s) -lt $end ]; do
  echo $i >&3 || echo failed at $i; i=$((i+1)); now=$(date +%s%N); took=$(((now-last)/1000000))
  [ $took -gt 300 ] && echo \"paused $took ms\"; last=$now; sleep 0.05
done; echo wrote $i";

impl Writer {
    fn start(scenario: &Scenario, pod: &str, seconds: u32) -> Self {
        let script = WRITER.replace("SECONDS_LONG", &seconds.to_string());
        let child = scenario.begin_in_pod(pod, &script);
        let lines = scenario.folder.join("lines");
        Lab::eventually("the writer's first line", || {
            std::fs::metadata(&lines).map_err(|error| error.to_string())
        });
        Self { child, lines }
    }

    /// What it says at its end; every line that it wrote is there, once and in its place.
    #[track_caller]
    fn end(self, what: &str) -> String {
        let ran = Ran::from(self.child.wait_with_output().expect("it ends"));
        eprintln!("a writer while {what}: {}{}", ran.out.trim().replace('\n', ", "), ran.err);
        assert_eq!(ran.code, 0, "{}", ran.err);
        assert!(!ran.out.contains("failed"), "{}", ran.out);
        let count: usize = ran
            .out
            .lines()
            .find_map(|line| line.strip_prefix("wrote ")?.parse().ok())
            .expect("a count of lines");
        let expected: Vec<String> = (0..count).map(|number| format!("{number}\n")).collect();
        let expected = expected.concat();
        assert_eq!(read(&self.lines), expected, "a line was lost while {what}");
        ran.out
    }
}

fn longest_pause(said: &str) -> u32 {
    let pauses = said
        .lines()
        .filter_map(|line| line.strip_prefix("paused ")?.strip_suffix(" ms")?.parse().ok());
    pauses.max().unwrap_or(0)
}

#[test]
#[ignore = "needs the lab"]
fn share_server() {
    let scenario = Scenario::open("share-server", "shs", "share-server.yaml");
    std::os::unix::fs::chown(&scenario.folder, Some(1234), Some(4321)).expect("root may");
    scenario.apply();
    scenario.in_sync();

    shared_by_all(&scenario);
    files_are_the_folders_owners(&scenario);
    survives(&scenario, 1024);
    a_lock_of_one_pod_keeps_the_other_out(&scenario);
    a_killed_server_comes_back(&scenario);
    a_share_that_comes_disturbs_no_other(&scenario);
    nothing_is_written_where_nothing_may_be(&scenario);
    a_folder_without_handles_is_refused(&scenario);
    a_volume_is_shared_and_stays(&scenario);
    drift_of_a_served_share(&scenario);
    another_folder_is_asked_about(&scenario);

    let folder = scenario.folder.clone();
    scenario.topo(0, &["destroy", "--yes"]);
    assert_eq!(read(&folder.join("here")), "from this machine\n");
    scenario.destroy();
}

fn files_are_the_folders_owners(scenario: &Scenario) {
    let [one, two] = scenario.pods();
    scenario.in_pod(&one, "umask 027; echo x >/docs/owned; mkdir /docs/folder");
    assert_eq!(owner(&scenario.folder.join("owned")), (1234, 4321));
    let mode = std::fs::metadata(scenario.folder.join("owned")).expect("there").mode() & 0o777;
    assert_eq!(mode, 0o640);
    assert_eq!(scenario.in_pod(&two, "stat -c %u:%g:%a /docs/owned"), "1234:4321:640\n");
}

fn a_lock_of_one_pod_keeps_the_other_out(scenario: &Scenario) {
    let [one, two] = scenario.pods();
    let hold = "touch /docs/locked; python3 -c 'import fcntl, time
f = open(\"/docs/locked\", \"r+\"); fcntl.lockf(f, fcntl.LOCK_EX); open(\"/docs/holding\", \"w\"); time.sleep(5)'";
    let ask = "python3 -c 'import fcntl
fcntl.lockf(open(\"/docs/locked\", \"r+\"), fcntl.LOCK_EX | fcntl.LOCK_NB)'";
    let mut holder = scenario.begin_in_pod(&one, hold);
    let holding = scenario.folder.join("holding");
    Lab::eventually("the lock", || holding.exists().then_some(()).ok_or(String::new()));
    let refused = scenario.try_in_pod(&two, ask);
    assert!(refused.err.contains("BlockingIOError"), "{}", refused.err);
    assert!(holder.wait().expect("it ends").success());
    scenario.in_pod(&two, ask);
}

/// Its process ends as by a crash; the engine starts it again, and the writer never knows.
fn a_killed_server_comes_back(scenario: &Scenario) {
    let [one, _] = scenario.pods();
    let writer = Writer::start(scenario, &one, 10);
    std::thread::sleep(Duration::from_secs(2));
    let process = scenario.lab.run("docker", &["inspect", "shs-nfs", "--format", "{{.State.Pid}}"]);
    scenario.lab.run("kill", &["-9", process.trim()]);
    let said = writer.end("the server was killed");
    assert!(longest_pause(&said) < 8000, "{said}");
    scenario.in_sync();
}

fn a_share_that_comes_disturbs_no_other(scenario: &Scenario) {
    let [one, _] = scenario.pods();
    let more = scenario.lab.home.path().join("more");
    std::fs::create_dir(&more).expect("a folder");
    std::fs::write(more.join("told"), "before\n").expect("written");
    scenario.add(&format!("{{ name: more, path: {}, via: server, access: ro }}", more.display()));
    let writer = Writer::start(scenario, &one, 12);
    std::thread::sleep(Duration::from_secs(1));
    scenario.step("+ share/more", &["shares.more", "shares pause for about a second"]);
    let said = writer.end("a share was added");
    assert!(longest_pause(&said) < 3000, "{said}");
}

/// A pod of the user's own, on the share that is read-only.
fn nothing_is_written_where_nothing_may_be(scenario: &Scenario) {
    let image = std::env::var("CLIENT_IMAGE").expect("set by the lab");
    let pod = format!(
        r#"{{"apiVersion":"v1","kind":"Pod","metadata":{{"name":"reader"}},"spec":{{"terminationGracePeriodSeconds":1,
        "containers":[{{"name":"reader","image":"{image}","command":["sleep","infinity"],"volumeMounts":[{{"name":"m","mountPath":"/docs"}}]}}],
        "volumes":[{{"name":"m","persistentVolumeClaim":{{"claimName":"more"}}}}]}}}}"#
    );
    let manifest = scenario.lab.home.path().join("reader.json");
    std::fs::write(&manifest, pod).expect("written");
    scenario.kubectl(&["apply", "-f", &manifest.display().to_string()]);
    scenario.kubectl(&["wait", "--for=condition=Ready", "pod/reader", "--timeout=60s"]);
    assert_eq!(scenario.in_pod("reader", "cat /docs/told"), "before\n");
    let refused = scenario.try_in_pod("reader", "echo x >/docs/told");
    assert!(refused.err.contains("Read-only"), "{}", refused.err);

    // It is nobody's to make again, so topo does not end it.
    let elsewhere = scenario.lab.home.path().join("elsewhere");
    std::fs::create_dir(&elsewhere).expect("a folder");
    scenario.change("/more, via", "/elsewhere, via");
    let ran = scenario.topo(2, &["apply", "--yes"]);
    assert!(ran.err.contains("default/reader") && ran.err.contains("delete them"), "{}", ran.err);
    scenario.change("/elsewhere, via", "/more, via");
    scenario.kubectl(&["delete", "pod", "reader", "--wait=true"]);
    scenario.in_sync();
}

fn a_folder_without_handles_is_refused(scenario: &Scenario) {
    let base = scenario.lab.home.path().join("overlay");
    let part = |name: &str| base.join(name).display().to_string();
    for name in ["lower", "upper", "work", "merged"] {
        std::fs::create_dir_all(base.join(name)).expect("a folder");
    }
    let options =
        format!("lowerdir={},upperdir={},workdir={}", part("lower"), part("upper"), part("work"));
    scenario.lab.run("mount", &["-t", "overlay", "overlay", "-o", &options, &part("merged")]);
    let share = format!("{{ name: over, path: {}, via: server }}", part("merged"));
    scenario.add(&share);
    let file = scenario.file.display().to_string();
    let ran = scenario.lab.topo_with(&["apply", "--yes", &file], &scenario.variables);
    let volumes = scenario.kubectl(&["get", "pv", "-o", "name"]);
    scenario.change(&format!("\n  - {share}\n"), "");
    let mended = scenario.lab.topo_with(&["apply", "--yes", &file], &scenario.variables);
    scenario.lab.run("umount", &[&part("merged")]);

    assert_eq!(ran.code, 3);
    assert!(ran.err.contains("no-file-handles") && ran.err.contains("volume:"), "{}", ran.err);
    assert!(!volumes.contains("over"), "promised all the same: {volumes}");
    assert_eq!(mended.code, 0);
}

/// Made by topo, and never removed by it: there may be no other place where these files are.
fn a_volume_is_shared_and_stays(scenario: &Scenario) {
    let share = "{ name: vault, volume: shs-vault, via: server }";
    scenario.add(share);
    scenario.step("+ share/vault", &["volume shs-vault"]);
    let volumes = || scenario.lab.run("docker", &["volume", "ls", "--format", "{{.Name}}"]);
    assert!(volumes().lines().any(|name| name == "shs-vault"));
    scenario.change(&format!("\n  - {share}\n"), "");
    scenario.step("- share/vault", &["what is in it stays"]);
    assert!(volumes().lines().any(|name| name == "shs-vault"));
    scenario.lab.run("docker", &["volume", "rm", "shs-vault"]);
}

fn drift_of_a_served_share(scenario: &Scenario) {
    let drifts: [(&[&str], &str, &str); 5] = [
        (
            &[
                "kubectl",
                "--context",
                "kind-shs",
                "patch",
                "pv/shs-docs",
                "-p",
                "{\"spec\":{\"mountOptions\":[\"soft\"]}}",
            ],
            "~ share/docs",
            "kubectl",
        ),
        (&["docker", "stop", "-t", "2", "shs-nfs"], "! server/shs-nfs", "stopped"),
        (&["docker", "rm", "-f", "shs-nfs"], "+ server/shs-nfs", "drift"),
        (
            &[
                "docker",
                "exec",
                "shs-nfs",
                "sed",
                "-i",
                "s/Graceless = true/Graceless = false/",
                "/etc/topo/ganesha.conf",
            ],
            "~ server/shs-nfs",
            "settings",
        ),
        (&["docker", "network", "disconnect", "topo-shs", "shs-nfs"], "± server/shs-nfs", "drift"),
    ];
    for (spoil, line, word) in drifts {
        scenario.lab.run(spoil[0], &spoil[1..]);
        scenario.step(line, &[word]);
        let [one, _] = scenario.pods();
        scenario.in_pod(&one, "cat /docs/here");
    }
}

/// Volumes cannot be changed, so the pods that hold the claim are named, and come again.
fn another_folder_is_asked_about(scenario: &Scenario) {
    let [one, _] = scenario.pods();
    let other = scenario.lab.home.path().join("other");
    std::fs::create_dir(&other).expect("a folder");
    std::fs::write(other.join("here"), "of the other folder\n").expect("written");
    scenario.change("path: ${DOCS:-~/docs/studio}", &format!("path: {}", other.display()));
    let ran = scenario.topo(2, &["apply"]);
    assert!(ran.err.contains(&one) && ran.err.contains("--yes"), "{}", ran.err);
    scenario.step("± share/docs", &["forces replacement", "what is in it stays"]);
    let [one, _] = scenario.pods();
    assert_eq!(scenario.in_pod(&one, "cat /docs/here"), "of the other folder\n");
    assert_eq!(read(&scenario.folder.join("here")), "from this machine\n");
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
    let more = scenario.lab.home.path().join("more");
    std::fs::create_dir(&more).expect("a folder");
    let share = format!("{{ name: more, path: {}, via: mount }}", more.display());
    scenario.add(&share);
    let ran = scenario.topo(1, &["diff"]);
    assert!(ran.out.contains("± cluster/shm") && ran.out.contains("via: server"), "{}", ran.out);
    scenario.change(&format!("\n  - {share}\n"), "");
    scenario.in_sync();
    scenario.destroy();
}

/// A server beside the cluster, as another machine's would be: Ganesha in a container, at the
/// host's end of the network or at an address of its own.
struct Ganesha {
    name: &'static str,
}

impl Ganesha {
    fn run(lab: &Lab, name: &'static str, folder: &Path, place: &[&str]) -> Self {
        let image = std::env::var("LAB_NFS_SERVER_IMAGE").expect("set by the lab");
        let mount = format!("type=bind,source={},target=/export", folder.display());
        let rights = ["--cap-add", "DAC_READ_SEARCH", "--cap-add", "SYS_ADMIN", "--mount", &mount];
        let run = ["run", "-d", "--name", name];
        lab.run("docker", &[&run[..], &rights, place, &[&image]].concat());
        Self { name }
    }

    fn remove(self, lab: &Lab) {
        lab.run("docker", &["rm", "-f", self.name]);
    }
}

#[test]
#[ignore = "needs the lab"]
fn share_external() {
    let mut scenario = Scenario::open("share-external", "she", "share-external.yaml");
    scenario.set("NFS_SERVER", "172.24.9.9");
    scenario.set("NFS_PATH", "/export");
    let network = ["--subnet", "172.24.0.0/16", "--ip-range", "172.24.64.0/18", "topo-she"];
    scenario.lab.run("docker", &[&["network", "create"], &network[..]].concat());
    let place = ["--network", "topo-she", "--ip", "172.24.9.9"];
    let server = Ganesha::run(&scenario.lab, "she-nas", &scenario.folder, &place);
    scenario.change("network:\n", "network:\n  name: topo-she\n");
    scenario.apply();
    scenario.in_sync();
    shared_by_all(&scenario);
    let status = scenario.topo(0, &["status"]);
    assert!(status.out.contains("172.24.9.9:/export"), "{}", status.out);

    // What does not work is not promised.
    scenario.add("{ name: none, path: /nothing, via: external, server: 172.24.9.9 }");
    let ran = scenario.topo(3, &["apply", "--yes"]);
    assert!(ran.err.contains("no-such-export"), "{}", ran.err);
    assert!(!scenario.kubectl(&["get", "pv", "-o", "name"]).contains("none"));
    scenario
        .change("\n  - { name: none, path: /nothing, via: external, server: 172.24.9.9 }\n", "");

    // Status tells the truth of a server that went away.
    scenario.lab.run("docker", &["stop", "-t", "1", "she-nas"]);
    let status = scenario.topo(0, &["status"]);
    assert!(status.out.contains("degraded"), "{}", status.out);
    scenario.lab.run("docker", &["start", "she-nas"]);
    Lab::eventually("the server's return", || {
        let status = scenario.topo(0, &["status", "-o", "json"]);
        if status.out.contains("degraded") { Err(status.out) } else { Ok(()) }
    });

    let (lab, folder) = (scenario.lab.home.path().to_owned(), scenario.folder.clone());
    scenario.topo(0, &["destroy", "--yes"]);
    assert_eq!(read(&folder.join("here")), "from this machine\n");
    server.remove(&scenario.lab);
    scenario.lab.run("docker", &["network", "rm", "topo-she"]);
    drop(lab);
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
    assert!(line.contains("documents\\040of\\040mine 172.24.0.0/16(rw,insecure"), "{line}");
    let rendered = scenario.topo(0, &["render", "exports", "--file"]);
    assert_eq!(rendered.out, line);

    // A server on this machine, at the host's end of the network, with the folder under its own
    // path, as an exports file has it.
    let image = std::env::var("LAB_NFS_SERVER_IMAGE").expect("set by the lab");
    let folder = scenario.folder.display().to_string();
    let mount = format!("type=bind,source={folder},target={folder}");
    let settings = "sed -i \"s|Path = /export;|Path = \\\"$FOLDER\\\";|; s|Pseudo = /export;|Pseudo = \\\"$FOLDER\\\";|\" /etc/ganesha/ganesha.conf; exec start";
    scenario.lab.run(
        "docker",
        &[
            "run",
            "-d",
            "--name",
            "shh-nfsd",
            "-p",
            "172.24.0.1:2049:2049",
            "--cap-add",
            "DAC_READ_SEARCH",
            "--cap-add",
            "SYS_ADMIN",
            "-e",
            &format!("FOLDER={folder}"),
            "--mount",
            &mount,
            "--entrypoint",
            "sh",
            &image,
            "-c",
            settings,
        ],
    );
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
    scenario.lab.run("docker", &["rm", "-f", "shh-nfsd"]);
    scenario.destroy();
}
