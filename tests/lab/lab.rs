//! What the scenarios share: the lab's surroundings, topo run in a home of its own, and the listing
//! by which a destroy is judged.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// A user's surroundings: a home, a key to log in with, and the lab's engine.
pub struct Lab {
    pub home: TempDir,
    surroundings: BTreeMap<&'static str, String>,
    started: Instant,
    name: &'static str,
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
            surroundings: BTreeMap::new(),
            started: Instant::now(),
            name,
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

    pub fn key(&self) -> PathBuf {
        self.home.path().join("key")
    }

    fn public_key(&self) -> PathBuf {
        self.home.path().join("key.pub")
    }

    pub fn topo(&self, arguments: &[&str]) -> Ran {
        self.topo_with(arguments, &[])
    }

    /// The same, with variables for the file.
    pub fn topo_with(&self, arguments: &[&str], variables: &[(&str, String)]) -> Ran {
        let public = self.public_key();
        let output = Command::new(env!("CARGO_BIN_EXE_topo"))
            .args(arguments)
            .env("HOME", self.home.path())
            .env_remove("KUBECONFIG")
            .envs(&self.surroundings)
            .env("SSH_PUBLIC_KEY", std::fs::read_to_string(&public).expect("a key").trim())
            .env("SSH_PUBLIC_KEY_FILE", &public)
            .envs(variables.iter().cloned())
            .output()
            .expect("topo runs");
        let ran = Ran::from(output);
        eprintln!("$ topo {}\n{}{}", arguments.join(" "), ran.out, ran.err);
        ran
    }

    /// Runs topo and insists on an exit code.
    #[track_caller]
    pub fn expect(&self, code: i32, arguments: &[&str]) -> Ran {
        let ran = self.topo(arguments);
        assert_eq!(ran.code, code, "topo {}", arguments.join(" "));
        ran
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

    /// Everything on the engine and in the home that topo could leave behind.
    pub fn listing(&self) -> BTreeSet<String> {
        let mut listing = BTreeSet::new();
        let mut add = |kind: &str, text: String| {
            listing.extend(text.lines().map(|line| format!("{kind} {line}")));
        };
        add("container", self.run("docker", &["ps", "-a", "--format", "{{.Names}}"]));
        add("network", self.run("docker", &["network", "ls", "--format", "{{.Name}}"]));
        add("volume", self.run("docker", &["volume", "ls", "--format", "{{.Name}}"]));
        add("image", self.run("docker", &["images", "--format", "{{.Repository}}:{{.Tag}}"]));
        add("file", files_under(self.home.path()));
        // kubectl's own cache, made by the scenarios.
        listing.retain(|line| !line.contains("/.kube/cache/"));
        // A build leaves its untagged base layers in the engine's cache; they are no image tags.
        listing.retain(|line| !line.contains("<none>"));
        listing
    }

    /// Asks again until it answers, and tells the last refusal if it never does.
    #[track_caller]
    pub fn eventually<T>(what: &str, mut ask: impl FnMut() -> Result<T, String>) -> T {
        let deadline = Instant::now() + Duration::from_mins(1);
        loop {
            match ask() {
                Ok(answer) => return answer,
                Err(last) if Instant::now() > deadline => panic!("{what}: {last}"),
                Err(_) => std::thread::sleep(Duration::from_millis(250)),
            }
        }
    }

    pub fn get(&self, url: &str) -> Result<String, String> {
        let ran = self.try_run("curl", &["-sS", "--max-time", "3", url]);
        if ran.code == 0 { Ok(ran.out) } else { Err(ran.err) }
    }
}

/// Each scenario prints how long it took, also when it fails.
impl Drop for Lab {
    fn drop(&mut self) {
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

fn files_under(folder: &Path) -> String {
    let mut list = String::new();
    let mut open = vec![folder.to_owned()];
    while let Some(folder) = open.pop() {
        for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                open.push(entry.path());
            } else {
                let _ = writeln!(list, "{}", entry.path().display());
            }
        }
    }
    list
}
