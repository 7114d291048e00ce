//! The program as a person types it: hermetic, 80 columns, its own home, nothing of this environment.

mod adopt;
mod chart;
mod commands;
mod doctor;
mod engine;
mod help;
mod input;
mod inside;
mod interrupt;
mod kustomize;
mod lock;
mod pages;
mod problems;
mod secrets;
mod unfound;
mod validate;

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use assert_cmd::Command;
use tempfile::TempDir;

/// A machine of its own: an empty home, an empty folder to stand in, no engine.
struct Machine {
    home: TempDir,
}

/// What a command printed, and how it ended.
struct Ran {
    stdout: String,
    stderr: String,
    code: i32,
}

impl Machine {
    fn new() -> Self {
        Self { home: TempDir::new().expect("a temporary folder can be made") }
    }

    fn path(&self) -> &Path {
        self.home.path()
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path().join(name), text).expect("the file can be written");
    }

    fn folder(&self, name: &str) {
        std::fs::create_dir(self.path().join(name)).expect("the folder can be made");
    }

    /// A program of the test's own, in the one folder that `topo_on_path` looks for programs in.
    fn program(&self, name: &str, script: &str) {
        self.folder("bin");
        let name = format!("bin/{name}");
        self.write(&name, script);
        let program = self.path().join(name);
        std::fs::set_permissions(program, Permissions::from_mode(0o755)).expect("it can be run");
    }

    fn topo_on_path(&self, args: &[&str], environment: &[(&str, &str)]) -> Ran {
        let path = self.path().join("bin").display().to_string();
        self.topo_with(args, &[&[("PATH", path.as_str())], environment].concat())
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path().join(name)).expect("the file is there")
    }

    fn topo(&self, args: &[&str]) -> Ran {
        self.topo_with(args, &[])
    }

    fn topo_with(&self, args: &[&str], environment: &[(&str, &str)]) -> Ran {
        self.topo_reading("", args, environment)
    }

    /// As `topo_with`, with this on standard input.
    fn topo_reading(&self, input: &str, args: &[&str], environment: &[(&str, &str)]) -> Ran {
        let output = Command::new(env!("CARGO_BIN_EXE_topo"))
            .args(args)
            .current_dir(self.path())
            .env_clear()
            .env("HOME", self.path())
            .env("COLUMNS", "80")
            .env("DOCKER_HOST", "unix:///nowhere/docker.sock")
            .envs(environment.iter().copied())
            .write_stdin(input)
            .output()
            .expect("topo can be started");
        Ran {
            stdout: String::from_utf8(output.stdout).expect("stdout is text"),
            stderr: String::from_utf8(output.stderr).expect("stderr is text"),
            code: output.status.code().expect("topo was not killed"),
        }
    }
}

impl Ran {
    /// All of it, as a snapshot shows it; escapes are made visible.
    fn shown(&self) -> String {
        let Self { stdout, stderr, code } = self;
        format!("exit {code}\n--- stdout\n{stdout}--- stderr\n{stderr}").replace('\u{1b}', "␛")
    }
}
