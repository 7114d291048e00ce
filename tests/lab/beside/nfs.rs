//! What topo says of real NFS servers: Ganesha in containers, set up right, and wrong in every way
//! that is known to bite. Tried from here, and from inside a node's image on the same network.

use std::fmt::Write as _;
use std::time::Duration;

use tokio::runtime::Runtime;

use topo::backend::docker::{Docker, Surroundings};
use topo::backend::nfs::{Dial, Direct, Finding, Proof, ThroughContainer, Trial, check};
use topo::topology::NfsVersion::{self, V3, V4_0, V4_1, V4_2};

use crate::ganesha::{Ganesha, Setup};
use crate::lab::Lab;

const NETWORK: &str = "nfst";
const SUBNET: &str = "10.213.28.0/24";
const SERVER: &str = "nfst-server";
const ADDRESS: &str = "10.213.28.10";
const NODE: &str = "nfst-node";
const FOLDER: &str = "nfst-folder";
const LIMIT: Duration = Duration::from_secs(8);
const VERSIONS: [NfsVersion; 4] = [V3, V4_0, V4_1, V4_2];

/// A network with a folder, and a container as the nodes of a cluster are.
struct Ground {
    lab: Lab,
    server: Ganesha,
    runtime: Runtime,
    docker: Docker,
}

/// From where a trial is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Spot {
    /// This machine, from a port above 1023.
    Here,
    /// Beside the server, as root.
    Node,
    /// The server's own container, which is what the end of a tunnel on its machine is.
    Tunnel,
}

impl Ground {
    fn open(name: &'static str) -> Self {
        let lab = Lab::open(name);
        let runtime = Runtime::new().expect("a runtime");
        let surroundings = Surroundings::read(|name| std::env::var(name).ok());
        let docker = runtime.block_on(Docker::connect(&surroundings)).expect("the lab's engine");
        let server = Ganesha {
            name: SERVER,
            place: ["--network", NETWORK, "--ip", ADDRESS].map(str::to_owned).to_vec(),
            path: "/export".to_owned(),
            source: FOLDER.to_owned(),
        };
        let ground = Self { lab, server, runtime, docker };
        ground.clear();
        ground.docker_run(&["network", "create", "--subnet", SUBNET, NETWORK]);
        ground.docker_run(&["volume", "create", FOLDER]);
        let node = std::env::var("NODE_IMAGE").expect("the lab's node image");
        let run = ["run", "-d", "--name", NODE, "--network", NETWORK];
        ground.docker_run(&[&run[..], &["--entrypoint", "sleep", &node, "900"]].concat());
        ground
    }

    fn docker_run(&self, arguments: &[&str]) -> String {
        self.lab.run("docker", arguments)
    }

    /// Also what an earlier run that was killed has left.
    fn clear(&self) {
        self.lab.try_run("docker", &["rm", "-f", SERVER, NODE]);
        self.lab.try_run("docker", &["volume", "rm", FOLDER]);
        self.lab.try_run("docker", &["network", "rm", NETWORK]);
    }

    /// Starts the server, in place of the one before.
    fn serve(&self, setup: &Setup) {
        self.server.start(&self.lab, setup);
    }

    fn check(&self, from: Spot, trial: &Trial) -> Result<Proof, Finding> {
        let trial = &Trial { tunnelled: from == Spot::Tunnel, ..trial.clone() };
        let through = |container: &str, host: &str| ThroughContainer {
            docker: self.docker.clone(),
            container: container.to_owned(),
            host: host.to_owned(),
        };
        let outcome = match from {
            Spot::Here => self.try_from(&Direct { host: ADDRESS.to_owned() }, trial),
            Spot::Node => self.try_from(&through(NODE, ADDRESS), trial),
            Spot::Tunnel => self.try_from(&through(SERVER, "127.0.0.1"), trial),
        };
        let mut told = format!("{from:?} v{}: ", trial.version);
        let _ = match &outcome {
            Ok(proof) => write!(told, "{proof:?}"),
            Err(finding) => write!(told, "{finding}\n    hint: {}", finding.fix),
        };
        eprintln!("{told}");
        outcome
    }

    fn try_from(&self, dial: &impl Dial, trial: &Trial) -> Result<Proof, Finding> {
        self.runtime.block_on(check(dial, trial, LIMIT))
    }

    /// Insists on a finding of that name, from each place and for each version.
    #[track_caller]
    fn finds(
        &self,
        name: &str,
        from: &[Spot],
        versions: &[NfsVersion],
        change: impl Fn(&mut Trial),
    ) {
        for from in from {
            for version in versions {
                let mut trial = right(*version);
                change(&mut trial);
                match self.check(*from, &trial) {
                    Ok(proof) => panic!("{name} is not found from {from:?}: {proof:?}"),
                    Err(finding) => {
                        assert_eq!(finding.name, name, "from {from:?}, v{version}: {finding}");
                    }
                }
            }
        }
        self.nothing_is_left();
    }

    #[track_caller]
    fn works(&self, from: &[Spot], versions: &[NfsVersion], change: impl Fn(&mut Trial)) {
        for from in from {
            for version in versions {
                let mut trial = right(*version);
                change(&mut trial);
                let proof = self.check(*from, &trial);
                assert!(proof.is_ok(), "from {from:?}, v{version}: {proof:?}");
            }
        }
        self.nothing_is_left();
    }

    #[track_caller]
    fn nothing_is_left(&self) {
        let left = self.docker_run(&["exec", SERVER, "ls", "-A", "/export"]);
        assert_eq!(left.trim(), "", "left in the folder");
        // Relays end with their connections.
        for container in [NODE, SERVER] {
            Lab::eventually("the end of the relays", || {
                let running = self.docker_run(&["top", container, "-eo", "pid,args"]);
                let relays = running
                    .lines()
                    .filter(|line| line.contains("perl") || line.contains("/dev/tcp"));
                match relays.count() {
                    0 => Ok(()),
                    count => Err(format!("{count} relays still run in {container}: {running}")),
                }
            });
        }
    }
}

impl Drop for Ground {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let logged = self.lab.try_run("docker", &["logs", "--tail", "12", SERVER]);
            eprintln!("{}{}", logged.out, logged.err);
        }
        self.clear();
    }
}

/// Waits until the server takes connections.
fn listens() {
    Lab::eventually("the NFS port", || {
        let address = format!("{ADDRESS}:2049").parse().expect("an address");
        std::net::TcpStream::connect_timeout(&address, Duration::from_secs(1))
            .map_err(|error| error.to_string())
    });
}

/// The trial that a right set-up passes.
fn right(version: NfsVersion) -> Trial {
    Trial { mount_port: Some(20048), ..Trial::new("/export", version) }
}

#[test]
#[ignore = "needs the lab"]
fn nfs_works_in_every_version() {
    let ground = Ground::open("nfs-works");
    ground.serve(&Setup::default());
    ground.works(&[Spot::Here, Spot::Node, Spot::Tunnel], &VERSIONS, |_| {});
    ground.works(&[Spot::Here], &VERSIONS, |trial| trial.write = false);
    // Where there is no perl, bash does, though from no low port.
    ground.docker_run(&["exec", NODE, "mv", "/usr/bin/perl", "/usr/bin/away"]);
    ground.works(&[Spot::Node], &VERSIONS, |_| {});
    ground.docker_run(&["exec", NODE, "mv", "/usr/bin/away", "/usr/bin/perl"]);
    // The port mapper knows the mount service.
    ground.works(&[Spot::Here], &[V3], |trial| trial.mount_port = None);

    ground.docker_run(&["exec", SERVER, "chown", "1000:1000", "/export"]);
    ground.works(&[Spot::Here, Spot::Node], &VERSIONS, |trial| {
        trial.user = (1000, 1000);
        trial.expected_owner = Some((1000, 1000));
    });
}

#[test]
#[ignore = "needs the lab"]
fn nfs_ports_that_are_refused() {
    use Spot::{Here, Node, Tunnel};
    let ground = Ground::open("nfs-ports");
    ground.serve(&Setup { export: "PrivilegedPort = true;", ..Setup::default() });
    ground.finds("unprivileged-port-refused", &[Here], &VERSIONS, |_| {});
    // As root in a node, and so in its kernel, there are lower ports.
    ground.works(&[Node], &VERSIONS, |_| {});

    ground.serve(&Setup {
        export: "Access_Type = None; CLIENT { Clients = 10.213.28.0/24; Access_Type = RW; }",
        ..Setup::default()
    });
    ground.works(&[Here, Node], &VERSIONS, |_| {});
    ground.finds("export-excludes-tunnel", &[Tunnel], &VERSIONS, |_| {});

    ground.serve(&Setup {
        export: "Access_Type = None; CLIENT { Clients = 127.0.0.1; Access_Type = RW; }",
        ..Setup::default()
    });
    ground.works(&[Tunnel], &VERSIONS, |_| {});
    ground.finds("export-excludes-client", &[Here, Node], &VERSIONS, |_| {});

    // Without a mount service there is no list of exports to ask for.
    let only4 = Some("4");
    ground.serve(&Setup {
        export: "Access_Type = None; CLIENT { Clients = 10.213.28.0/24; Access_Type = RW; }",
        protocols: only4,
        ..Setup::default()
    });
    ground.finds("export-excludes-tunnel", &[Tunnel], &VERSIONS[1..], |_| {});
    ground.finds("v3-not-served", &[Here, Node], &[V3], |_| {});
    ground.finds("no-such-export", &[Here, Node], &VERSIONS[1..], |trial| {
        trial.path = "/elsewhere".to_owned();
    });
}

#[test]
#[ignore = "needs the lab"]
fn nfs_services_that_are_not_where_they_should_be() {
    use Spot::{Here, Node};
    let ground = Ground::open("nfs-services");
    let both = [Here, Node];
    ground.serve(&Setup { core: "MNT_Port = 20050;", ..Setup::default() });
    ground.finds("mount-port-moves", &both, &[V3], |_| {});
    ground.finds("mount-port-moves", &[Here], &[V3], |trial| trial.mount_port = Some(2049));
    ground.server.forget_mount_over_tcp(&ground.lab);
    ground.finds("udp-only-port-forwarded", &both, &[V3], |_| {});

    ground.finds("statd-missing", &both, &[V3], |trial| {
        trial.locks = true;
        trial.mount_port = Some(20050);
    });
    ground.finds("nothing-listens", &both, &VERSIONS, |trial| trial.port = 2050);
    // The port mapper is an RPC service too.
    ground.finds("not-nfs", &both, &VERSIONS, |trial| trial.port = 111);
    ground.finds("no-such-export", &both, &VERSIONS, |trial| {
        trial.path = "/export/nothing/there".to_owned();
        trial.mount_port = Some(20050);
    });

    ground.serve(&Setup { protocols: Some("3"), ..Setup::default() });
    ground.finds("v4-not-served", &both, &VERSIONS[1..], |_| {});
    ground.serve(&Setup { version4: "Minor_Versions = 1;", ..Setup::default() });
    ground.finds("v4-not-served", &both, &[V4_0, V4_2], |_| {});
    ground.works(&both, &[V4_1], |_| {});

    ground.docker_run(&["pause", SERVER]);
    let silent = ground.check(Here, &right(V4_2)).expect_err("a server that stands still");
    let silent_mount = ground.check(Node, &right(V3)).expect_err("a server that stands still");
    ground.docker_run(&["unpause", SERVER]);
    for finding in [silent, silent_mount] {
        assert_eq!((finding.name, finding.step), ("silent", "greeting the NFS server"));
    }

    ground.docker_run(&["rm", "-f", SERVER]);
    let gone = ground.check(Here, &right(V4_2)).expect_err("a server that is gone");
    assert_eq!(gone.name, "no-route");
    ground.docker_run(&["rm", "-f", NODE]);
    let no_node = ground.check(Node, &right(V4_2)).expect_err("a node that is gone");
    assert_eq!(no_node.name, "not-tried");
}

#[test]
#[ignore = "needs the lab"]
fn nfs_folders_that_cannot_be_used_as_they_should() {
    use Spot::{Here, Node};
    let ground = Ground::open("nfs-folders");
    let both = [Here, Node];
    ground.serve(&Setup { export: "Access_Type = RO;", ..Setup::default() });
    ground.finds("read-only", &both, &VERSIONS, |_| {});
    ground.works(&[Here], &VERSIONS, |trial| trial.write = false);

    ground.serve(&Setup::default());
    ground.finds("folder-not-writable", &both, &VERSIONS, |trial| trial.user = (1000, 1000));
    ground.docker_run(&["exec", SERVER, "chmod", "700", "/export"]);
    // The running server remembers the folder as it was.
    ground.serve(&Setup::default());
    ground.finds("folder-not-readable", &both, &VERSIONS, |trial| {
        trial.user = (1000, 1000);
        trial.write = false;
    });
    ground.docker_run(&["exec", SERVER, "chmod", "777", "/export"]);
    let squash = "Squash = All_Squash; Anonymous_Uid = 1234; Anonymous_Gid = 1234;";
    ground.serve(&Setup { export: squash, ..Setup::default() });
    ground.finds("owner-mismatch", &both, &VERSIONS, |trial| trial.expected_owner = Some((0, 0)));
    ground.works(&both, &VERSIONS, |trial| trial.expected_owner = Some((1234, 1234)));
    ground.serve(&Setup { version4: "Only_Numeric_Owners = false;", ..Setup::default() });
    ground.finds("owner-mismatch", &[Here], &VERSIONS[1..], |trial| {
        trial.expected_owner = Some((0, 0));
    });

    ground.serve(&Setup { export: "SecType = krb5;", ..Setup::default() });
    ground.finds("kerberos-required", &both, &VERSIONS, |_| {});

    ground.serve(&Setup { overlay: true, ..Setup::default() });
    ground.finds("no-file-handles", &both, &VERSIONS, |_| {});
}

#[test]
#[ignore = "needs the lab"]
fn nfs_after_a_start_waits_for_former_clients() {
    let ground = Ground::open("nfs-grace");
    let graceful = "Graceless = false; Grace_Period = 20; Lease_Lifetime = 10;";
    ground.serve(&Setup { version4: graceful, ..Setup::default() });
    // Version 4.0 has no way of leaving, so that the server expects this client back.
    ground.works(&[Spot::Here], &[V4_0], |_| {});
    ground.docker_run(&["kill", SERVER]);
    ground.docker_run(&["start", SERVER]);
    listens();
    ground.finds("server-busy", &[Spot::Here], &[V4_1], |_| {});
    Lab::eventually("the end of the grace period", || {
        ground.check(Spot::Here, &right(V4_0)).map_err(|finding| finding.to_string())
    });
    ground.works(&[Spot::Here], &VERSIONS, |_| {});
}
