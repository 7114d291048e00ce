//! topologies/share-server.yaml: folders served by topo's own NFS server, which is killed, changed and
//! taken away under the pods that write.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Child;

use super::{Scenario, read, shared_by_all, survives};
use crate::lab::{Lab, Ran};

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
    another_base_is_another_server(&scenario);
    drift_of_a_served_share(&scenario);
    another_folder_is_asked_about(&scenario);

    // Its container is gone, and what it knew of its clients goes too.
    scenario.lab.run("docker", &["rm", "-f", "shs-nfs"]);
    let folder = scenario.folder.clone();
    scenario.topo(0, &["destroy", "--yes"]);
    let volumes = scenario.lab.run("docker", &["volume", "ls", "--format", "{{.Name}}"]);
    assert!(!volumes.lines().any(|name| name == "shs-nfs-clients"), "{volumes}");
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
    let hold = "touch /docs/locked; python3 -c 'import fcntl, sys
f = open(\"/docs/locked\", \"r+\"); fcntl.lockf(f, fcntl.LOCK_EX); open(\"/docs/holding\", \"w\"); sys.stdin.read()'";
    let ask = "python3 -c 'import fcntl
fcntl.lockf(open(\"/docs/locked\", \"r+\"), fcntl.LOCK_EX | fcntl.LOCK_NB)'";
    let mut holder = scenario.begin_in_pod(&one, hold);
    let holding = scenario.folder.join("holding");
    Lab::eventually("the lock", || holding.exists().then_some(()).ok_or(String::new()));
    let refused = scenario.try_in_pod(&two, ask);
    assert!(refused.err.contains("BlockingIOError"), "{}", refused.err);
    drop(holder.stdin.take());
    assert!(holder.wait().expect("it ends").success());
    scenario.in_pod(&two, ask);
}

/// Its process ends as by a crash; the engine starts it again, and the writer never knows.
fn a_killed_server_comes_back(scenario: &Scenario) {
    let [one, _] = scenario.pods();
    let writer = Writer::start(scenario, &one);
    let process = scenario.lab.run("docker", &["inspect", "shs-nfs", "--format", "{{.State.Pid}}"]);
    scenario.lab.run("kill", &["-9", process.trim()]);
    let said = writer.end("the server was killed");
    assert!(longest_pause(&said) < GRACE, "{said}");
    scenario.in_sync();
}

fn a_share_that_comes_disturbs_no_other(scenario: &Scenario) {
    let [one, _] = scenario.pods();
    let more = scenario.lab.own("more");
    std::fs::create_dir(&more).expect("a folder");
    std::fs::write(more.join("told"), "before\n").expect("written");
    scenario.add(&format!("{{ name: more, path: {}, via: server, access: ro }}", more.display()));
    let writer = Writer::start(scenario, &one);
    scenario.step("+ share/more", &["shares.more", "shares pause for about a second"]);
    let said = writer.end("a share was added");
    assert!(longest_pause(&said) < GRACE, "{said}");
}

/// A pod of the user's own, on the share that is read-only.
fn nothing_is_written_where_nothing_may_be(scenario: &Scenario) {
    let image = std::env::var("CLIENT_IMAGE").expect("set by the lab");
    let pod = format!(
        r#"{{"apiVersion":"v1","kind":"Pod","metadata":{{"name":"reader"}},"spec":{{"terminationGracePeriodSeconds":1,
        "containers":[{{"name":"reader","image":"{image}","command":["sleep","infinity"],"volumeMounts":[{{"name":"m","mountPath":"/docs"}}]}}],
        "volumes":[{{"name":"m","persistentVolumeClaim":{{"claimName":"more"}}}}]}}}}"#
    );
    let manifest = scenario.lab.own("reader.json");
    std::fs::write(&manifest, pod).expect("written");
    scenario.kubectl(&["apply", "-f", &manifest.display().to_string()]);
    scenario.kubectl(&["wait", "--for=condition=Ready", "pod/reader", "--timeout=60s"]);
    assert_eq!(scenario.in_pod("reader", "cat /docs/told"), "before\n");
    let refused = scenario.try_in_pod("reader", "echo x >/docs/told");
    assert!(refused.err.contains("Read-only"), "{}", refused.err);

    // It is nobody's to make again, so topo does not end it.
    let elsewhere = scenario.lab.own("elsewhere");
    std::fs::create_dir(&elsewhere).expect("a folder");
    scenario.change("/more, via", "/elsewhere, via");
    let ran = scenario.topo(2, &["apply", "--yes"]);
    assert!(ran.err.contains("default/reader") && ran.err.contains("delete them"), "{}", ran.err);
    scenario.change("/elsewhere, via", "/more, via");
    scenario.kubectl(&["delete", "pod", "reader", "--wait=true"]);
    scenario.in_sync();
}

fn a_folder_without_handles_is_refused(scenario: &Scenario) {
    let base = scenario.lab.own("overlay");
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
    let ran = scenario.lab.topo(&["apply", "--yes", &file]);
    let volumes = scenario.kubectl(&["get", "pv", "-o", "name"]);
    scenario.change(&format!("\n  - {share}\n"), "");
    let mended = scenario.lab.topo(&["apply", "--yes", &file]);
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

/// It takes over as any other does, and the image of the one before goes.
fn another_base_is_another_server(scenario: &Scenario) {
    const OTHER: &str = "lab/debian:shs";
    let runs = || {
        let asked = ["inspect", "shs-nfs", "--format", "{{.Config.Image}}"];
        scenario.lab.run("docker", &asked).trim().to_owned()
    };
    let before = runs();
    let base = std::env::var("NFS_BASE").expect("set by the lab");
    scenario.lab.run("docker", &["tag", &base, OTHER]);
    scenario.change("${NFS_BASE:-debian:bookworm-slim}", OTHER);
    scenario.step("~ server/shs-nfs", &["image: ", &before]);
    scenario.lab.run("docker", &["rmi", OTHER]);
    let images = ["images", "--format", "{{.Repository}}:{{.Tag}}", "topo-nfs-server"];
    let images = scenario.lab.run("docker", &images);
    assert_ne!(runs(), before);
    let ancestor = format!("ancestor={before}");
    let used = scenario.lab.run("docker", &["ps", "-aq", "--filter", &ancestor]);
    let is_there = images.lines().any(|image| image == before);
    assert!(!is_there || !used.is_empty(), "{before} is left among {images}");
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
                "s/Grace_Period = 12/Grace_Period = 0/",
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
    let other = scenario.lab.own("other");
    std::fs::create_dir(&other).expect("a folder");
    std::fs::write(other.join("here"), "of the other folder\n").expect("written");
    scenario.change("path: ${DOCS:-docs}", &format!("path: {}", other.display()));
    let ran = scenario.topo(2, &["apply"]);
    assert!(ran.err.contains(&one) && ran.err.contains("--yes"), "{}", ran.err);
    // Protected, it is not even asked about.
    scenario.change("owner: folder", "owner: folder\n    protect: true");
    let ran = scenario.topo(2, &["apply", "--yes"]);
    assert!(ran.err.contains("x share/docs") && ran.err.contains("protected"), "{}", ran.err);
    scenario.change("owner: folder\n    protect: true", "owner: folder");
    scenario.step("± share/docs", &["forces replacement", "what is in it stays"]);
    let [one, _] = scenario.pods();
    assert_eq!(scenario.in_pod(&one, "cat /docs/here"), "of the other folder\n");
    assert_eq!(read(&scenario.folder.join("here")), "from this machine\n");
}

fn owner(path: &Path) -> (u32, u32) {
    let metadata = std::fs::metadata(path).expect("there");
    (metadata.uid(), metadata.gid())
}

/// Milliseconds for which a writer may wait for a new server. Kernels reclaim what they had open and
/// go on at once; the lab's client opens it anew, after the grace period.
const GRACE: u32 = 25_000;

/// A pod that writes a line twenty times a second into one open file until it is told to end, and
/// tells of every pause.
struct Writer {
    child: Child,
    lines: PathBuf,
}

const WRITER: &str = "exec 3>/docs/lines 4<&0; (cat <&4; touch /tmp/end) & i=0; last=$(date +%s%N)
until [ -e /tmp/end ]; do
  echo $i >&3 || echo failed at $i; i=$((i+1)); now=$(date +%s%N); took=$(((now-last)/1000000))
  [ $took -gt 300 ] && echo \"paused $took ms\"; last=$now; sleep 0.05
done; rm /tmp/end; echo wrote $i";

impl Writer {
    fn start(scenario: &Scenario, pod: &str) -> Self {
        let child = scenario.begin_in_pod(pod, WRITER);
        let writer = Self { child, lines: scenario.folder.join("lines") };
        writer.goes_on();
        writer
    }

    /// It writes now, for a second.
    #[track_caller]
    fn goes_on(&self) {
        let lines = || std::fs::read_to_string(&self.lines).unwrap_or_default().lines().count();
        let before = lines();
        Lab::eventually("the writer's lines", || match lines() {
            now if now >= before + 20 => Ok(()),
            now => Err(format!("{now} after {before}")),
        });
    }

    /// What it says at its end; every line that it wrote is there, once and in its place.
    #[track_caller]
    fn end(mut self, what: &str) -> String {
        self.goes_on();
        drop(self.child.stdin.take());
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
