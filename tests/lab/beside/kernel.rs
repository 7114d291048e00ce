//! NFS of a real kernel, Linux's own, in a machine of its own: topo's client on its server, set up
//! right and wrong, and its client on topo's server, which is changed, killed and removed under
//! writers.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tokio::runtime::Runtime;

use topo::backend::docker::{Docker, Surroundings};
use topo::backend::nfs::{Direct, Finding, Proof, ThroughContainer, Trial, check};
use topo::topology::NfsVersion::{self, V3, V4_0, V4_1, V4_2};

use crate::lab::{Lab, Ran};

const MACHINE: &str = "krn-machine";
const ADDRESS: &str = "172.30.0.9";
const NODE: &str = "krn-node";
const NETWORK: &str = "krn-net";
const SUBNET: &str = "172.30.0.0/17";
const VERSIONS: [NfsVersion; 4] = [V3, V4_0, V4_1, V4_2];
const LIMIT: Duration = Duration::from_secs(8);
/// For so long a new server of topo's may open no files, and a little.
const GRACE: u32 = 25_000;

#[test]
#[ignore = "needs the lab"]
fn kernel_nfs_serves() {
    let Some(image) = image() else { return };
    let lab = Lab::open("kernel-nfs-serves").of(&["krn"]);
    lab.try_run("docker", &["rm", "-f", NODE, MACHINE]);
    lab.try_run("docker", &["network", "rm", NETWORK]);
    let before = lab.listing();
    lab.run("docker", &["network", "create", "--subnet", SUBNET, NETWORK]);
    let node = std::env::var("NODE_IMAGE").expect("the lab's node image");
    let run = ["run", "-d", "--name", NODE, "--network", NETWORK, "--entrypoint", "sleep"];
    lab.run("docker", &[&run[..], &[&node, "900"]].concat());
    let machine = Machine::start(&lab, &image, NETWORK);

    let nfsd = Nfsd::of(&machine);
    nfsd.works_in_every_version();
    nfsd.faults();
    nfsd.a_grace_period();

    drop(machine);
    lab.run("docker", &["rm", "-f", NODE]);
    lab.run("docker", &["network", "rm", NETWORK]);
    lab.is_as_before(&before);
}

#[test]
#[ignore = "needs the lab"]
fn kernel_nfs_mounts() {
    let Some(image) = image() else { return };
    let ground = Ground::open();
    let before = ground.lab.listing();
    ground.apply(0);
    let machine = Machine::start(&ground.lab, &image, "topo-krn");

    for version in ["4.1", "4.2"] {
        machine.mount(&ground.server(), version);
    }
    ground.a_fresh_server_opens_files_at_once(&machine);
    let waited = ground.goes_on(&machine, &["4.1", "4.2"], "a share is added", |ground| {
        ground.add("more");
        let ran = ground.apply(0);
        assert!(ran.err.contains("a new server took over"), "{}", ran.err);
    });
    assert!(waited < 6000, "who had files open waited {waited} ms");
    machine.mount(&ground.server(), "4.0");
    let all = ["4.0", "4.1", "4.2"];
    ground.goes_on(&machine, &all, "the server is killed", |ground| {
        let asked = ["inspect", "krn-nfs", "--format", "{{.State.Pid}}"];
        ground.lab.run("kill", &["-9", ground.lab.run("docker", &asked).trim()]);
    });
    ground.goes_on(&machine, &all, "the server is removed, and made by topo", |ground| {
        ground.lab.run("docker", &["rm", "-f", "krn-nfs"]);
        ground.apply(0);
    });

    drop(machine);
    ground.lab.expect(0, &["destroy", "--yes", &ground.file.display().to_string()]);
    ground.lab.is_as_before(&before);
}

/// Of the machine; there is none for architectures that Debian makes no such kernel for.
fn image() -> Option<String> {
    let image = std::env::var("LAB_KERNEL_IMAGE").ok();
    if image.is_none() {
        eprintln!("left out: LAB_KERNEL_IMAGE is not set");
    }
    image
}

/// A cluster of one node with a share.
struct Ground {
    lab: Lab,
    file: PathBuf,
    folder: PathBuf,
}

impl Ground {
    fn open() -> Self {
        let lab = Lab::open("kernel-nfs-mounts").of(&["krn"]);
        let folder = lab.own("docs");
        std::fs::create_dir(&folder).expect("a folder");
        let file = lab.own("topo.yaml");
        let text = format!(
            "apiVersion: topo/v1alpha1
kind: Topology
name: krn
network: {{ subnet: {SUBNET} }}
cluster:
  image: ${{NODE_IMAGE:-kindest/node:v1.34.0}}
nfsServer:
  image: ${{LAB_NFS_SERVER_IMAGE}}
shares:
  - {{ name: docs, path: docs, via: server }}
"
        );
        std::fs::write(&file, text).expect("written");
        Self { lab, file, folder }
    }

    fn add(&self, share: &str) {
        std::fs::create_dir(self.lab.own(share)).expect("a folder");
        let text = std::fs::read_to_string(&self.file).expect("the topology");
        let share = format!("  - {{ name: {share}, path: {share}, via: server }}\n");
        std::fs::write(&self.file, text + &share).expect("written");
    }

    #[track_caller]
    fn apply(&self, code: i32) -> Ran {
        self.lab.expect(code, &["apply", "--yes", &self.file.display().to_string()])
    }

    fn server(&self) -> String {
        let networks = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}";
        let asked = self.lab.run("docker", &["inspect", "krn-nfs", "--format", networks]);
        asked.trim().to_owned()
    }

    /// It has no former clients, so that nobody is waited for.
    fn a_fresh_server_opens_files_at_once(&self, machine: &Machine) {
        let asked = Instant::now();
        machine.run("echo first >/mnt/4.2/first");
        let took = asked.elapsed();
        assert!(took < Duration::from_secs(8), "the first file took {took:?}");
        assert_eq!(std::fs::read_to_string(self.folder.join("first")).expect("there"), "first\n");
    }

    /// Two writers for each version, one of which holds a lock: both go on, without a line lost, and
    /// the lock is still held. Milliseconds that the slower one waited.
    #[track_caller]
    fn goes_on(
        &self,
        machine: &Machine,
        versions: &[&str],
        what: &str,
        happens: impl Fn(&Self),
    ) -> u32 {
        machine.run("rm -f /tmp/end /mnt/*/lines-*");
        let writers: Vec<(String, Child)> = versions
            .iter()
            .flat_map(|version| ["free", "locked"].map(|lock| (*version, lock)))
            .map(|(version, lock)| {
                let path = format!("/mnt/{version}/lines-{version}-{lock}");
                let writer = machine.begin(&format!("python3 -c '{WRITER}' {path} {lock}"));
                (path.rsplit('/').next().unwrap_or_default().to_owned(), writer)
            })
            .collect();
        let opener = machine.begin(&format!("python3 -c '{OPENER}' /mnt/4.2/opened"));
        let lines = |name: &str| {
            let text = std::fs::read_to_string(self.folder.join(name)).unwrap_or_default();
            text.lines().count()
        };
        let all_write = |more: usize| {
            let before: Vec<usize> = writers.iter().map(|(name, _)| lines(name)).collect();
            Lab::eventually("every writer's lines", || {
                for ((name, _), before) in writers.iter().zip(&before) {
                    if lines(name) < before + more {
                        return Err(format!("{name}: {} after {before}", lines(name)));
                    }
                }
                Ok(())
            });
        };
        all_write(10);
        happens(self);
        all_write(10);
        // Another version is another client to the server.
        for version in versions {
            let other = versions.iter().find(|other| *other != version).expect("there are two");
            let file = format!("/mnt/{other}/lines-{version}-locked");
            let ask = format!("timeout 30 python3 -c '{ASK}' {file}");
            let ran = machine.try_run(&ask);
            assert!(
                ran.err.contains("BlockingIOError"),
                "{what}: {version} lost its lock: {}",
                ran.err
            );
        }
        machine.run("touch /tmp/end");
        let waited = writers.into_iter().map(|(name, writer)| {
            let ran = Ran::from(writer.wait_with_output().expect("it ends"));
            eprintln!("{what}: {name}: {}{}", ran.out, ran.err);
            assert_eq!(ran.code, 0, "{what}: {name}: {}", ran.err);
            let (count, waited) = ran.out.trim().split_once(' ').expect("two numbers");
            let expected: Vec<String> = (0..count.parse().expect("a count"))
                .map(|number: u32| format!("{number}\n"))
                .collect();
            let written = std::fs::read_to_string(self.folder.join(&name)).expect("there");
            assert_eq!(written, expected.concat(), "{what}: a line of {name} was lost");
            waited.parse::<u32>().expect("milliseconds")
        });
        let waited = waited.max().unwrap_or(0);
        let opener = Ran::from(opener.wait_with_output().expect("it ends"));
        eprintln!("{what}: files opened meanwhile waited up to {} ms", opener.out.trim());
        let opens: u32 = opener.out.trim().parse().expect("milliseconds");
        assert!(opens < GRACE, "{what}: a file was not opened for {opens} ms");
        waited
    }
}

/// A line every 50 ms, each safe on the disk before the next.
const WRITER: &str = "
import fcntl, os, sys, time
path, lock = sys.argv[1:]
file = os.open(path, os.O_RDWR | os.O_CREAT)
if lock == \"locked\":
    fcntl.lockf(file, fcntl.LOCK_EX)
count, waited, last = 0, 0, time.monotonic()
while not os.path.exists(\"/tmp/end\"):
    os.write(file, b\"%d\\n\" % count)
    os.fsync(file)
    count += 1
    now = time.monotonic()
    waited, last = max(waited, now - last), now
    time.sleep(0.05)
print(count, int(waited * 1000))
";

/// Another file every 50 ms.
const OPENER: &str = "
import os, sys, time
count, waited, last = 0, 0, time.monotonic()
while not os.path.exists(\"/tmp/end\"):
    open(\"%s-%d\" % (sys.argv[1], count), \"w\").close()
    os.remove(\"%s-%d\" % (sys.argv[1], count))
    count += 1
    now = time.monotonic()
    waited, last = max(waited, now - last), now
    time.sleep(0.05)
print(int(waited * 1000))
";

const ASK: &str = "
import fcntl, sys
fcntl.lockf(open(sys.argv[1], \"r+\"), fcntl.LOCK_EX | fcntl.LOCK_NB)
";

/// A Debian with a kernel of its own, on the cluster's network.
struct Machine<'a> {
    lab: &'a Lab,
}

impl<'a> Machine<'a> {
    fn start(lab: &'a Lab, image: &str, network: &str) -> Self {
        lab.try_run("docker", &["rm", "-f", MACHINE]);
        let key = std::fs::read_to_string(lab.key().with_extension("pub")).expect("a key");
        let key = format!("AUTHORIZED_KEY={}", key.trim());
        let run = ["run", "-d", "--name", MACHINE, "--privileged", "--tmpfs", "/memory:exec"];
        let on = ["--network", network, "--ip", ADDRESS, "-e", &key, image];
        lab.run("docker", &[&run[..], &on].concat());
        let machine = Self { lab };
        Lab::within(120, "the machine", || {
            let ran = machine.try_run("systemctl is-active nfs-server");
            if ran.code == 0 { Ok(()) } else { Err(ran.out + &ran.err) }
        });
        machine
    }

    fn mount(&self, server: &str, version: &str) {
        let folder = format!("/mnt/{version}");
        self.run(&format!(
            "mkdir -p {folder}; mount -t nfs -o vers={version},proto=tcp,port=2049,hard {server}:/docs {folder}"
        ));
    }

    #[track_caller]
    fn run(&self, script: &str) -> String {
        let ran = self.try_run(script);
        assert_eq!(ran.code, 0, "{script}: {}{}", ran.out, ran.err);
        ran.out
    }

    fn try_run(&self, script: &str) -> Ran {
        Ran::from(self.ssh(script).output().expect("ssh runs"))
    }

    fn begin(&self, script: &str) -> Child {
        self.ssh(script).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("ssh runs")
    }

    fn ssh(&self, script: &str) -> Command {
        let mut ssh = Command::new("ssh");
        ssh.arg("-i").arg(self.lab.key());
        for option in [
            "StrictHostKeyChecking=no",
            "UserKnownHostsFile=/dev/null",
            "LogLevel=ERROR",
            "ConnectTimeout=3",
        ] {
            ssh.args(["-o", option]);
        }
        ssh.arg(format!("root@{ADDRESS}")).arg(script).stdin(Stdio::null());
        ssh
    }
}

impl Drop for Machine<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let logged = self.lab.try_run("docker", &["logs", "--tail", "20", MACHINE]);
            eprintln!("{}{}", logged.out, logged.err);
        }
        self.lab.try_run("docker", &["rm", "-f", MACHINE]);
    }
}

/// The machine's kernel as a server, and topo's client on it: from here, from a port above 1023, and
/// from the cluster's node, as root.
struct Nfsd<'a> {
    machine: &'a Machine<'a>,
    runtime: Runtime,
    docker: Docker,
}

impl<'a> Nfsd<'a> {
    fn of(machine: &'a Machine<'a>) -> Self {
        let runtime = Runtime::new().expect("a runtime");
        let surroundings = Surroundings::read(|name| std::env::var(name).ok());
        let docker = runtime.block_on(Docker::connect(&surroundings)).expect("the lab's engine");
        let short = "[nfsd]\\ngrace-time=15\\nlease-time=15\\n";
        machine.run(&format!(
            "mkdir -p /etc/nfs.conf.d; printf '{short}' >/etc/nfs.conf.d/short.conf"
        ));
        machine.run("systemctl restart nfs-server");
        Self { machine, runtime, docker }
    }

    fn export(&self, line: &str) {
        self.machine.run(&format!("echo '{line}' >/etc/exports; exportfs -ra; exportfs -f"));
    }

    fn check(&self, from_node: bool, trial: &Trial) -> Result<Proof, Finding> {
        let host = ADDRESS.to_owned();
        let outcome = if from_node {
            let container = NODE.to_owned();
            let through = ThroughContainer { docker: self.docker.clone(), container, host };
            self.runtime.block_on(check(&through, trial, LIMIT))
        } else {
            self.runtime.block_on(check(&Direct { host }, trial, LIMIT))
        };
        match &outcome {
            Ok(proof) => eprintln!("nfsd, v{}: {proof:?}", trial.version),
            Err(finding) => {
                eprintln!("nfsd, v{}: {finding}\n    hint: {}", trial.version, finding.fix);
            }
        }
        outcome
    }

    fn works_in_every_version(&self) {
        self.export(&format!("/export {SUBNET}({RIGHT})"));
        for version in VERSIONS {
            for from_node in [false, true] {
                let proof = self.check(from_node, &Trial::new(path(version), version));
                assert!(proof.is_ok_and(|proof| proof.writable), "v{version}");
            }
        }
    }

    #[track_caller]
    fn finds(&self, name: &str, versions: &[NfsVersion], from_node: bool, beside: Option<&str>) {
        for version in versions {
            let asked = Instant::now();
            match self.check(from_node, &Trial::new(beside.unwrap_or(path(*version)), *version)) {
                Ok(proof) => panic!("{name} is not found, v{version}: {proof:?}"),
                Err(finding) => assert_eq!(finding.name, name, "v{version}: {finding}"),
            }
            assert!(asked.elapsed() < LIMIT, "it was told after {:?}", asked.elapsed());
        }
    }

    fn faults(&self) {
        for from_node in [false, true] {
            self.export(&format!("/export 192.168.77.0/24({RIGHT})"));
            self.finds("export-excludes-client", &VERSIONS, from_node, None);
            self.export(&format!("/export {SUBNET}({RIGHT})"));
            // mountd answers as for one that is exported to others.
            self.finds("export-excludes-client", &[V3], from_node, Some("/nothing"));
            self.finds("no-such-export", &VERSIONS[1..], from_node, Some("/nothing"));
            self.export(&format!("/export {SUBNET}({})", RIGHT.replace("rw", "ro")));
            self.finds("read-only", &VERSIONS, from_node, None);
            self.export(&format!(
                "/export {SUBNET}({})",
                RIGHT.replace("no_root_squash", "root_squash")
            ));
            self.finds("folder-not-writable", &VERSIONS, from_node, None);
            self.export(&format!("/export {SUBNET}(sec=krb5,{RIGHT})"));
            self.finds("kerberos-required", &VERSIONS, from_node, None);
        }
        self.export(&format!("/export {SUBNET}({})", RIGHT.replace("insecure", "secure")));
        // Over version 4 the path is not one that mountd's list has, so that whom it admits is unknown.
        self.finds("unprivileged-port-refused", &[V3], false, None);
        self.export(&format!("/export {SUBNET}({RIGHT})"));
    }

    /// A server that has restarted expects its clients back.
    fn a_grace_period(&self) {
        let trial = Trial::new(path(V4_0), V4_0);
        assert!(self.check(true, &trial).is_ok());
        // One that never says that it has all of its files again, since 4.0 has no way of saying it.
        self.machine.run(
            "mkdir -p /mnt/own; mount -t nfs -o vers=4.0 127.0.0.1:/ /mnt/own; touch /mnt/own/open",
        );
        self.machine.run("systemctl restart nfs-server");
        self.finds("server-busy", &[V4_1, V4_2], true, None);
        Lab::eventually("the end of the grace period", || {
            self.check(true, &Trial::new(path(V4_2), V4_2)).map_err(|finding| finding.to_string())
        });
    }
}

/// Of the folder that is the root of version 4's tree: the machine's own root has no file handles.
const RIGHT: &str = "rw,insecure,no_subtree_check,no_root_squash,fsid=0";

fn path(version: NfsVersion) -> &'static str {
    if version == V3 { "/export" } else { "/" }
}
