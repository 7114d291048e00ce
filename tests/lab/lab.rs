//! What the scenarios share: the lab's surroundings, and topo run in a home of its own.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// A user's surroundings: a home, a folder with files of his own, a key to log in with, and the
/// lab's engine.
pub struct Lab {
    /// What comes into it by topo is topo's to remove.
    pub home: TempDir,
    own: TempDir,
    surroundings: BTreeMap<&'static str, String>,
    started: Instant,
    name: &'static str,
    /// Names of the scenario's own topologies.
    pub topologies: Vec<&'static str>,
    told: RefCell<String>,
}

/// How a run of topo ended.
pub struct Ran {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Lab {
    /// The lab must be up and its environment exported: `eval "$(tests/lab/lab env)"`.
    pub fn open(name: &'static str) -> Self {
        for variable in ["DOCKER_HOST", "TOPO_KIND", "NODE_IMAGE", "GATEWAY_BASE", "ECHO_IMAGE"] {
            assert!(
                std::env::var(variable).is_ok(),
                "{variable} is not set: bring the lab up first"
            );
        }
        let lab = Self {
            home: TempDir::new().expect("a home"),
            own: TempDir::new().expect("a folder"),
            surroundings: BTreeMap::new(),
            started: Instant::now(),
            name,
            topologies: Vec::new(),
            told: RefCell::default(),
        };
        let key = lab.key();
        let made = Command::new("ssh-keygen")
            .args(["-q", "-t", "ed25519", "-N", "", "-f"])
            .arg(&key)
            .status()
            .expect("ssh-keygen runs");
        assert!(made.success());
        lab
    }

    /// A variable that topo and the user's programs see, beside or instead of the lab's own.
    pub fn set(&mut self, name: &'static str, value: impl Into<String>) {
        self.surroundings.insert(name, value.into());
    }

    /// The topologies that this scenario makes: what a run before has left of them goes first, and
    /// what is left of them when it fails is looked at and goes too.
    pub fn of(mut self, topologies: &[&'static str]) -> Self {
        self.topologies = topologies.to_vec();
        self.sweep();
        self
    }

    fn sweep(&self) {
        let claims =
            self.run("docker", &["volume", "ls", "-q", "--filter", "label=dev.topo.claim"]);
        for name in &self.topologies {
            let is_claimed = |volume: &str| volume.starts_with(&format!("topo-{name}."));
            if claims.lines().any(is_claimed) {
                self.topo(&["destroy", "--yes", "--name", name]);
            }
        }
    }

    /// What a person needs who was not there: what topo said, how it stands, what containers say, and
    /// of clusters the logs of their nodes and pods.
    fn keep_logs(&self) {
        let Ok(logs) = std::env::var("TOPO_TEST_LOGS") else { return };
        let folder = Path::new(&logs).join(self.name);
        let keep = |name: &str, text: &str| {
            let written = std::fs::create_dir_all(&folder)
                .and_then(|()| std::fs::write(folder.join(name), text));
            if let Err(error) = written {
                eprintln!("cannot keep {name}: {error}");
            }
        };
        keep("topo", &self.told.borrow());
        keep("containers", &self.try_run("docker", &["ps", "-a", "--no-trunc"]).out);
        let kind = std::env::var("TOPO_KIND").unwrap_or_else(|_| "kind".to_owned());
        for name in &self.topologies {
            let cluster = folder.join(name).display().to_string();
            self.try_run(&kind, &["export", "logs", "--name", name, &cluster]);
            let label = format!("label=dev.topo.topology={name}");
            let all = self.try_run("docker", &["volume", "ls", "-q", "--filter", &label]).out;
            let volumes: Vec<&str> = ["volume", "inspect"].into_iter().chain(all.lines()).collect();
            keep(&format!("{name}.claim"), &self.try_run("docker", &volumes).out);
            keep(&format!("{name}.status"), &self.topo(&["status", "--name", name]).out);
            let gateway = self.try_run("docker", &["logs", &format!("{name}-gw")]);
            keep(&format!("{name}-gw.log"), &format!("{}{}", gateway.out, gateway.err));
        }
        eprintln!("logs of {}: {}", self.name, folder.display());
    }

    /// A file or folder of the scenario's own, as the user's projects are: topo leaves nothing there.
    pub fn own(&self, name: impl AsRef<Path>) -> PathBuf {
        self.own.path().join(name)
    }

    pub fn key(&self) -> PathBuf {
        self.own("key")
    }

    /// The key as one of the user's own, which ssh offers by itself.
    pub fn key_in_home(&self) {
        let folder = self.home.path().join(".ssh");
        std::fs::create_dir(&folder).expect("made");
        std::fs::copy(self.key(), folder.join("id_ed25519")).expect("copied");
        std::fs::copy(self.public_key(), folder.join("id_ed25519.pub")).expect("copied");
    }

    fn public_key(&self) -> PathBuf {
        self.own("key.pub")
    }

    pub fn topo(&self, arguments: &[&str]) -> Ran {
        self.topo_with(arguments, &[])
    }

    /// The same, with variables of its own.
    pub fn topo_with(&self, arguments: &[&str], variables: &[(&str, String)]) -> Ran {
        let mut command = self.command(arguments);
        command.envs(variables.iter().cloned());
        let ran = Ran::from(command.output().expect("topo runs"));
        self.tell(arguments, &ran);
        ran
    }

    /// Begins a run of topo, to go on beside it.
    pub fn begin(&self, arguments: &[&str], variables: &[(&str, String)]) -> Child {
        let mut command = self.command(arguments);
        command.envs(variables.iter().cloned()).stdin(Stdio::null());
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command.spawn().expect("topo runs")
    }

    /// How it ended.
    pub fn end(&self, topo: Child, arguments: &[&str]) -> Ran {
        let ran = Ran::from(topo.wait_with_output().expect("topo ends"));
        self.tell(arguments, &ran);
        ran
    }

    /// Several runs of topo, begun at the same moment.
    pub fn topo_at_once(&self, runs: &[&[&str]]) -> Vec<Ran> {
        let begun: Vec<Child> = runs.iter().map(|arguments| self.begin(arguments, &[])).collect();
        begun.into_iter().zip(runs).map(|(topo, arguments)| self.end(topo, arguments)).collect()
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let public = self.public_key();
        let mut command = Command::new(env!("CARGO_BIN_EXE_topo"));
        command
            .args(arguments)
            .env("HOME", self.home.path())
            .env_remove("KUBECONFIG")
            .envs(&self.surroundings)
            .env("SSH_PUBLIC_KEY", std::fs::read_to_string(&public).expect("a key").trim());
        command
    }

    fn tell(&self, arguments: &[&str], ran: &Ran) {
        let seconds = self.started.elapsed().as_secs();
        let told = format!("[{seconds} s] $ topo {}\n{}{}", arguments.join(" "), ran.out, ran.err);
        eprintln!("{told}");
        self.told.borrow_mut().push_str(&told);
    }

    /// Runs topo and insists on an exit code.
    #[track_caller]
    pub fn expect(&self, code: i32, arguments: &[&str]) -> Ran {
        let ran = self.topo(arguments);
        assert_eq!(ran.code, code, "topo {}", arguments.join(" "));
        ran
    }

    /// Nothing is left to do for a file, once what was made has come to rest.
    #[track_caller]
    pub fn comes_in_sync(&self, file: &str) {
        Self::eventually("the topology to be in sync", || {
            let ran = self.topo(&["diff", file]);
            if ran.code == 0 { Ok(()) } else { Err(ran.out) }
        });
    }

    /// A program of the user's, on the same engine and cluster.
    #[track_caller]
    pub fn run(&self, program: &str, arguments: &[&str]) -> String {
        let output = self.try_run(program, arguments);
        assert_eq!(
            output.code,
            0,
            "{program} {}: {}{}",
            arguments.join(" "),
            output.out,
            output.err
        );
        output.out
    }

    pub fn try_run(&self, program: &str, arguments: &[&str]) -> Ran {
        let output = Command::new(program)
            .args(arguments)
            .env("HOME", self.home.path())
            .env_remove("KUBECONFIG")
            .envs(&self.surroundings)
            .output();
        Ran::from(output.unwrap_or_else(|error| panic!("{program} does not run: {error}")))
    }

    /// Asks again until it answers, and tells the last refusal if it never does.
    #[track_caller]
    pub fn eventually<T>(what: &str, ask: impl FnMut() -> Result<T, String>) -> T {
        Self::within(60, what, ask)
    }

    #[track_caller]
    pub fn within<T>(seconds: u64, what: &str, mut ask: impl FnMut() -> Result<T, String>) -> T {
        let deadline = Instant::now() + Duration::from_secs(seconds);
        loop {
            match ask() {
                Ok(answer) => return answer,
                Err(last) if Instant::now() > deadline => panic!("{what}: {last}"),
                Err(_) => std::thread::sleep(Duration::from_millis(250)),
            }
        }
    }

    /// The manifest of MetalLB's release that clusters get where they ask for none.
    pub fn metallb_manifest(&self) -> PathBuf {
        let downloads = std::env::var("TOPO_CACHE_DIR").expect("set by the lab");
        let found = self.run("grep", &["-rl", "metallb/controller:v0.16.1", &downloads]);
        PathBuf::from(found.lines().next().expect("the release's manifest"))
    }

    pub fn get(&self, url: &str) -> Result<String, String> {
        let ran = self.try_run("curl", &["-sS", "--max-time", "3", url]);
        if ran.code == 0 { Ok(ran.out) } else { Err(ran.err) }
    }
}

/// Each scenario prints how long it took, also when it fails.
impl Drop for Lab {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.keep_logs();
            self.sweep();
        }
        eprintln!("scenario {}: {} s", self.name, self.started.elapsed().as_secs());
    }
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code().unwrap_or(-1),
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}
