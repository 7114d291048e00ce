//! What topo says of real NFS servers: Ganesha in containers, set up right, and wrong in every way
//! that is known to bite. Tried from here, and from inside a node's image on the same network.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use tokio::runtime::Runtime;

use topo::backend::docker::{Docker, Surroundings};
use topo::backend::nfs::{Dial, Direct, Finding, Proof, ThroughContainer, Trial, check};
use topo::topology::NfsVersion::{self, V3, V4_0, V4_1, V4_2};

use crate::lab::Lab;

const NETWORK: &str = "nfst";
const SUBNET: &str = "172.28.0.0/24";
const SERVER: &str = "nfst-server";
const ADDRESS: &str = "172.28.0.10";
const NODE: &str = "nfst-node";
const FOLDER: &str = "nfst-folder";
const LIMIT: Duration = Duration::from_secs(8);
const VERSIONS: [NfsVersion; 4] = [V3, V4_0, V4_1, V4_2];

/// A network with a folder, and a container as the nodes of a cluster are.
struct Ground {
    lab: Lab,
    runtime: Runtime,
    docker: Docker,
}

/// How the server is set up: what differs from one that works.
#[derive(Default)]
struct Setup {
    core: &'static str,
    version4: &'static str,
    export: &'static str,
    /// The container's own file system instead of the folder.
    overlay: bool,
    protocols: Option<&'static str>,
}

/// From where a trial is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum From {
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
        let ground = Self { lab, runtime, docker };
        ground.clear();
        ground.docker_run(&["network", "create", "--subnet", SUBNET, NETWORK]);
        ground.docker_run(&["volume", "create", FOLDER]);
        let node = std::env::var("NODE_IMAGE").expect("the lab's node image");
        let run = ["run", "-d", "--name", NODE, "--network", NETWORK, "--entrypoint", "sleep"];
        ground.docker_run(&[&run[..], &[&node, "900"]].concat());
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
        self.lab.try_run("docker", &["rm", "-f", SERVER]);
        let file = self.configuration(setup);
        let mounted = format!("{}:/etc/ganesha/ganesha.conf:ro", file.display());
        let volume = format!("{FOLDER}:/export");
        let image = std::env::var("LAB_NFS_SERVER_IMAGE").expect("the lab's NFS server");
        let mut run = vec!["run", "-d", "--name", SERVER, "--network", NETWORK, "--ip", ADDRESS];
        run.extend(["--cap-add", "DAC_READ_SEARCH", "--cap-add", "SYS_ADMIN", "-v", &mounted]);
        if !setup.overlay {
            run.extend(["-v", &volume]);
        }
        run.push(&image);
        self.docker_run(&run);
        if setup.overlay {
            self.docker_run(&["exec", SERVER, "mkdir", "-p", "/export"]);
        }
        Lab::eventually("the NFS port", || {
            let address = format!("{ADDRESS}:2049").parse().expect("an address");
            std::net::TcpStream::connect_timeout(&address, Duration::from_secs(1))
                .map_err(|error| error.to_string())
        });
    }

    fn configuration(&self, setup: &Setup) -> PathBuf {
        let protocols = setup.protocols.unwrap_or("3, 4");
        let Setup { core, version4, export, .. } = setup;
        let text = format!(
            "NFS_CORE_PARAM {{ Protocols = {protocols}; MNT_Port = 20048; Enable_NLM = false; Enable_RQUOTA = false; {core} }}
             NFSV4 {{ Graceless = true; Only_Numeric_Owners = true; Minor_Versions = 0, 1, 2; {version4} }}
             EXPORT {{
                Export_Id = 1; Path = /export; Pseudo = /export; Protocols = {protocols};
                Access_Type = RW; Squash = No_Root_Squash; SecType = sys; {export}
                FSAL {{ Name = VFS; }}
             }}
             LOG {{ Default_Log_Level = EVENT; }}\n"
        );
        let file = self.lab.home.path().join("ganesha.conf");
        std::fs::write(&file, text).expect("written");
        file
    }

    fn check(&self, from: From, trial: &Trial) -> Result<Proof, Finding> {
        let trial = &Trial { tunnelled: from == From::Tunnel, ..trial.clone() };
        let through = |container: &str, host: &str| ThroughContainer {
            docker: self.docker.clone(),
            container: container.to_owned(),
            host: host.to_owned(),
        };
        let outcome = match from {
            From::Here => self.try_from(&Direct { host: ADDRESS.to_owned() }, trial),
            From::Node => self.try_from(&through(NODE, ADDRESS), trial),
            From::Tunnel => self.try_from(&through(SERVER, "127.0.0.1"), trial),
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
        from: &[From],
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
    fn works(&self, from: &[From], versions: &[NfsVersion], change: impl Fn(&mut Trial)) {
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
            let logged = self.lab.try_run("docker", &["logs", "--tail", "30", SERVER]);
            eprintln!("{}{}", logged.out, logged.err);
        }
        self.clear();
    }
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
    ground.works(&[From::Here, From::Node, From::Tunnel], &VERSIONS, |_| {});
    ground.works(&[From::Here], &VERSIONS, |trial| trial.write = false);
    // The port mapper knows the mount service.
    ground.works(&[From::Here], &[V3], |trial| trial.mount_port = None);

    ground.docker_run(&["exec", SERVER, "chown", "1000:1000", "/export"]);
    ground.works(&[From::Here, From::Node], &VERSIONS, |trial| {
        trial.user = (1000, 1000);
        trial.expected_owner = Some((1000, 1000));
    });
}
