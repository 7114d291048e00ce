//! A person's surroundings in which rounds follow one another: a home, a name, a subnet, ports, and
//! a way to the engine that can be disturbed.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::engine;
use crate::proxy::{Fault, Order, Proxy, Run};

/// No run of topo without a cluster takes this long, whatever is done to it.
const PATIENCE: Duration = Duration::from_mins(3);

pub struct Lane {
    /// Of its topology, and in the names of all that it makes.
    pub name: String,
    pub number: u16,
    home: TempDir,
    own: TempDir,
    proxy: Proxy,
}

/// How a run of topo ended, and what it called.
pub struct Ran {
    /// None where it was killed.
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
    pub run: Arc<Run>,
    pub hung: bool,
}

impl Lane {
    /// `number` is a lane's own, of all that are in use at one time.
    pub fn open(title: &str, number: u16) -> Self {
        let own = TempDir::new().expect("a folder");
        let proxy = Proxy::before(&engine::socket(), &own.path().join("engine.sock"));
        let home = TempDir::new().expect("a home");
        let lane = Self { name: format!("trust-{title}"), number, home, own, proxy };
        lane.furnish();
        lane.sweep();
        lane
    }

    /// The folders that any home has.
    fn furnish(&self) {
        for folder in [".local/state", ".cache", ".config", ".kube", "tmp"] {
            std::fs::create_dir_all(self.home.path().join(folder)).expect("a folder");
        }
    }

    pub fn home(&self) -> &Path {
        self.home.path()
    }

    /// Another person's: the same name and engine, another home.
    pub fn neighbor(&self, title: &str) -> Self {
        let other = Self::open(title, self.number);
        Self { name: self.name.clone(), ..other }
    }

    /// A file of the user's, which topo never touches.
    pub fn own(&self, name: &str) -> PathBuf {
        self.own.path().join(name)
    }

    /// The first three numbers of its subnet, `10.87.1`.
    pub fn net(&self) -> String {
        Self::net_of(self.number)
    }

    /// Of a lane of that number, or of something else with a number that no lane has.
    pub fn net_of(number: u16) -> String {
        let base = std::env::var("TOPO_TRUST_NET").unwrap_or_else(|_| "10.87".to_owned());
        format!("{base}.{number}")
    }

    /// The first of ten ports of this lane's.
    pub fn port(&self) -> u16 {
        let base = std::env::var("TOPO_TRUST_PORT").ok().and_then(|port| port.parse().ok());
        base.unwrap_or(27000) + 10 * (self.number % 10)
    }

    pub fn write(&self, text: &str) -> String {
        let path = self.own("topo.yaml");
        std::fs::write(&path, text).expect("written");
        path.display().to_string()
    }

    pub fn file(&self) -> String {
        self.own("topo.yaml").display().to_string()
    }

    pub fn topo(&self, arguments: &[&str]) -> Ran {
        self.topo_by(Order::Pass, arguments)
    }

    pub fn struck(&self, fault: Option<Fault>, arguments: &[&str]) -> Ran {
        self.topo_by(fault.map_or(Order::Pass, Order::Strike), arguments)
    }

    pub fn topo_by(&self, order: Order, arguments: &[&str]) -> Ran {
        self.begin(order, arguments).end()
    }

    /// With these variables in its environment.
    pub fn topo_with(&self, variables: &[(&str, &str)], arguments: &[&str]) -> Ran {
        self.begin_with(variables, Order::Pass, arguments).end()
    }

    /// Begins a run, to go on beside the test.
    pub fn begin(&self, order: Order, arguments: &[&str]) -> Begun {
        self.begin_with(&[], order, arguments)
    }

    pub fn begin_with(
        &self,
        variables: &[(&str, &str)],
        order: Order,
        arguments: &[&str],
    ) -> Begun {
        let run = self.proxy.begin(order);
        let said = TempDir::new_in(self.own.path()).expect("a folder");
        let to = |name: &str| File::create(said.path().join(name)).expect("a file");
        let mut command = Command::new(env!("CARGO_BIN_EXE_topo"));
        command.args(arguments).stdin(Stdio::null()).stdout(to("out")).stderr(to("err"));
        command.env("HOME", self.home.path()).env("TMPDIR", self.home.path().join("tmp"));
        command.env("DOCKER_HOST", &self.proxy.host);
        for variable in ["KUBECONFIG", "XDG_STATE_HOME", "XDG_CACHE_HOME", "XDG_RUNTIME_DIR"] {
            command.env_remove(variable);
        }
        command.envs(variables.iter().copied());
        let started = Instant::now();
        let topo = command.spawn().expect("topo runs");
        run.is_of(topo.id());
        Begun { topo, run, said, started }
    }

    /// Takes away what a round that failed has left, so that it spoils no other.
    pub fn sweep(&self) {
        let mine = |name: &str| {
            name.trim_start_matches('/').split(['.', ':', '/']).any(|part| self.is_mine(part))
        };
        for container in engine::containers() {
            if mine(container["Names"][0].as_str().unwrap_or_default()) {
                let id = container["Id"].as_str().unwrap_or_default();
                engine::ask("DELETE", &format!("/containers/{id}?force=true&v=true"));
            }
        }
        for (things, place) in [(engine::networks(), "networks"), (engine::volumes(), "volumes")] {
            for thing in things.iter().filter_map(|thing| thing["Name"].as_str()) {
                if mine(thing) {
                    engine::ask("DELETE", &format!("/{place}/{thing}"));
                }
            }
        }
        let _ = std::fs::remove_dir_all(self.home.path());
        self.furnish();
    }

    /// Whether a part of a name is this lane's: `trust-x`, `topo-trust-x`, `trust-x-gw`.
    pub fn is_mine(&self, part: &str) -> bool {
        let part = part.strip_prefix("topo-").unwrap_or(part);
        part == self.name || part.strip_prefix(&self.name).is_some_and(|rest| rest.starts_with('-'))
    }
}

/// A run of topo that goes on.
pub struct Begun {
    pub topo: Child,
    pub run: Arc<Run>,
    said: TempDir,
    started: Instant,
}

impl Begun {
    pub fn end(self) -> Ran {
        self.end_within(PATIENCE)
    }

    pub fn end_within(mut self, patience: Duration) -> Ran {
        let mut hung = false;
        let status = loop {
            if let Some(status) = self.topo.try_wait().expect("topo is waited for") {
                break status;
            }
            if self.started.elapsed() > patience && !hung {
                hung = true;
                self.topo.kill().expect("killed");
            }
            std::thread::sleep(Duration::from_millis(5));
        };
        self.run.end();
        let read = |name: &str| {
            let text = std::fs::read(self.said.path().join(name)).unwrap_or_default();
            String::from_utf8_lossy(&text).into_owned()
        };
        Ran { code: status.code(), out: read("out"), err: read("err"), run: self.run, hung }
    }
}

impl Ran {
    /// It ended with this exit code, or what it did instead.
    pub fn ends(&self, code: i32, what: &str) -> Result<(), String> {
        self.sane(what)?;
        if self.code == Some(code) {
            return Ok(());
        }
        Err(format!("{what} ended with {}, not {code}:\n{}", self.ending(), self.said()))
    }

    /// Neither a panic nor an endless wait.
    pub fn sane(&self, what: &str) -> Result<(), String> {
        if self.hung {
            return Err(format!("{what} did not end, and was killed:\n{}", self.said()));
        }
        if self.err.contains("panicked at") || self.code == Some(101) {
            return Err(format!("{what} panicked:\n{}", self.said()));
        }
        Ok(())
    }

    pub fn ending(&self) -> String {
        self.code.map_or_else(|| "a kill".to_owned(), |code| code.to_string())
    }

    /// The last of what it printed, as much as a person reads.
    pub fn said(&self) -> String {
        let is_read = |line: &&str| !line.contains("\"type\":\"plan\"") && !line.is_empty();
        let lines: Vec<&str> = self.out.lines().chain(self.err.lines()).filter(is_read).collect();
        let last = lines.iter().skip(lines.len().saturating_sub(12));
        let short = last.map(|line| line.chars().take(400).collect::<String>());
        short.collect::<Vec<_>>().join("\n")
    }
}
