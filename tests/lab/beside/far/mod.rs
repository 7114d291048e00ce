//! "Another machine": the lab's second engine, reached over TLS or over ssh.

mod remote_engine;
mod tunnel;

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::Duration;

use crate::lab::{Lab, Ran};

/// The address of that machine.
pub fn address() -> String {
    variable("LAB_REMOTE_HOST")
}

/// A user whose engine is on that machine.
pub fn over_tls(name: &'static str) -> Lab {
    let mut lab = Lab::open(name);
    lab.set("DOCKER_HOST", variable("LAB_REMOTE_DOCKER_HOST"));
    lab.set("DOCKER_TLS_VERIFY", "1");
    lab.set("DOCKER_CERT_PATH", variable("LAB_REMOTE_CERTS"));
    lab.set("FAR_ADDRESS", address());
    lab
}

/// The way that the same user's topo takes over ssh.
pub struct OverSsh {
    variables: Vec<(&'static str, String)>,
    sockets: PathBuf,
}

impl OverSsh {
    /// OpenSSH looks for its configuration where the system says that the user lives, so here a
    /// program of that name tells it another place. Whoever names one means that one alone.
    pub fn of(lab: &Lab) -> Self {
        let programs = lab.own("bin");
        let sockets = lab.own("run");
        for folder in [&programs, &sockets] {
            std::fs::create_dir(folder).expect("made");
        }
        let ssh = programs.join("ssh");
        let config = variable("LAB_REMOTE_SSH_CONFIG");
        let script = format!(
            "#!/bin/sh\nfor word; do [ \"$word\" = -F ] && exec /usr/bin/ssh \"$@\"; done\nexec /usr/bin/ssh -F '{config}' \"$@\"\n"
        );
        std::fs::write(&ssh, script).expect("written");
        let executable = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(&ssh, executable).expect("is made executable");
        let path = std::env::var("PATH").expect("a PATH");
        let variables = vec![
            ("DOCKER_HOST", format!("ssh://root@{}", address())),
            ("DOCKER_TLS_VERIFY", String::new()),
            ("DOCKER_CERT_PATH", String::new()),
            ("PATH", format!("{}:{path}", programs.display())),
            ("XDG_RUNTIME_DIR", sockets.display().to_string()),
            ("FAR_ADDRESS", "127.0.0.1".to_owned()),
        ];
        Self { variables, sockets }
    }

    /// Runs topo, insists on an exit code, and answers how often the machine let anybody in.
    #[track_caller]
    pub fn expect(&self, lab: &Lab, code: i32, arguments: &[&str]) -> (Ran, usize) {
        let before = logins();
        let ran = lab.topo_with(arguments, &self.variables);
        assert_eq!(ran.code, code, "topo {} over ssh", arguments.join(" "));
        let sockets = std::fs::read_dir(&self.sockets).expect("listed").count();
        assert_eq!(sockets, 0, "sockets are left");
        (ran, logins() - before)
    }

    /// Starts topo and kills it once its ssh has brought the engine's socket here.
    pub fn kill_when_connected(&self, lab: &Lab, arguments: &[&str]) {
        let mut topo = lab.begin(arguments, &self.variables);
        // It is there for a moment alone.
        while !self.socket_is_here() {
            assert_eq!(topo.try_wait().expect("asked"), None, "topo ended before it was connected");
            std::thread::sleep(Duration::from_millis(1));
        }
        topo.kill().expect("killed");
        topo.wait().expect("ended");
    }

    /// Starts topo, takes its connection away once it has come as far as `there`, and answers how
    /// it ended.
    pub fn cut(
        &self,
        lab: &Lab,
        arguments: &[&str],
        there: impl FnMut() -> Result<(), String>,
    ) -> Ran {
        let topo = lab.begin(arguments, &self.variables);
        Lab::within(60, "topo to come so far", there);
        lab.run("pkill", &["-KILL", "-f", &self.sockets.display().to_string()]);
        lab.end(topo, arguments)
    }

    fn socket_is_here(&self) -> bool {
        let mut folders = std::fs::read_dir(&self.sockets).expect("listed").flatten();
        folders.any(|folder| folder.path().join("docker.sock").exists())
    }

    /// The ssh that are there for topo's sake.
    pub fn running(&self, lab: &Lab) -> String {
        lab.try_run("pgrep", &["-af", &self.sockets.display().to_string()]).out
    }
}

/// How often the machine's sshd has let anybody in.
fn logins() -> usize {
    let log = std::fs::read(variable("LAB_REMOTE_LOG")).expect("the log of that machine");
    String::from_utf8_lossy(&log).lines().filter(|line| line.starts_with("Accepted ")).count()
}

fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set: bring the lab up first"))
}
