//! An engine behind ssh, reached by one connection that carries everything.
//!
//! One `ssh` runs for as long as topo needs the engine. It asks which socket the engine has there, and
//! brings that socket here, into a folder of the user's own. Every request is a channel of this one
//! connection, and sshd counts those neither as starts (`MaxStartups`) nor as sessions (`MaxSessions`).
//!
//! It ends when its input does. That is a pipe whose other end is held by topo, and by the programs
//! that topo has led to the engine: a `kind` that outlives a killed topo keeps its engine until it has
//! ended, and nothing stays after that.

mod error;
mod far;
mod place;

use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::{Child, ChildStdout, ExitStatus};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::unix::pipe;

use super::Surroundings;
use crate::backend::host::{ProcessError, Program, Terminal, find_program};

pub use error::SshError;
use far::Answer;
pub use far::Far;
use place::Place;

/// To get in, by a jump host or two.
const UNATTENDED: Duration = Duration::from_mins(1);
/// The same where a person may have to type something; sshd's own limit is two minutes a login.
const ATTENDED: Duration = Duration::from_mins(5);
/// To answer what topo asks after that.
const ANSWER: Duration = Duration::from_secs(20);
/// How long an ssh that is about to end may take.
const GRACE: Duration = Duration::from_secs(2);
const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// An interrupt of the terminal is for topo to answer, not for what it relies on. An ssh that had left
/// the terminal could ask for no passphrase, so it stays there and is started deaf.
const DEAF: &str = r#"trap "" INT HUP; exec "$@""#;

/// What has to hold whatever the user's configuration says of other uses of this host. Everything else
/// in it counts: names, users, ports, keys, jump hosts.
const SETTINGS: [&str; 7] = [
    // It is the one to carry all, not one to be carried by another, and ends when it is told.
    "ControlPersist=no",
    "ClearAllForwardings=yes",
    "RemoteCommand=none",
    "LogLevel=INFO",
    "ConnectTimeout=30",
    // A link that went silent is noticed within 15 s.
    "ServerAliveInterval=5",
    "ServerAliveCountMax=3",
];

/// The engine's socket there and here, and the connection between them.
#[derive(Debug)]
pub struct Line {
    there: String,
    ssh: Ssh,
}

impl Line {
    pub async fn open(far: &Far, surroundings: &Surroundings) -> Result<Self, SshError> {
        let path = |name: &str| surroundings.path.clone().filter(|_| name == "PATH");
        let program = find_program("ssh", &path)
            .ok_or_else(|| SshError::NoProgram { login: far.login.clone() })?;
        let place = Place::make(surroundings.runtime_dir.as_deref()).map_err(SshError::Broken)?;
        let terminal = Terminal::here();
        let (ssh, output) = Ssh::start(far, &program, place, terminal)?;
        let answer = tokio::select! {
            answer = answer(output) => answer.map_err(SshError::Broken)?,
            late = ssh.too_late(terminal) => return Err(ssh.refused(late)),
        };
        let Some(answer) = answer else { return Err(ssh.ended_early()) };
        let there = answer.socket(far)?;
        ssh.bring_here(&there, &program).await?;
        Ok(Self { there, ssh })
    }

    /// The engine's socket here, as `DOCKER_HOST` writes it.
    pub fn address(&self) -> String {
        format!("unix://{}", self.ssh.place.socket().display())
    }

    /// Has the program speak to the engine by this connection, and keep it.
    pub fn lead(&self, program: Program) -> Program {
        let program = program.env("DOCKER_HOST", self.address());
        match &self.ssh.input {
            Some(input) => program.holding(Arc::clone(input)),
            None => program,
        }
    }

    /// What nobody answered for, if ssh has said that it could not be opened.
    pub fn closed(&self) -> Option<SshError> {
        let closed =
            || SshError::Closed { login: self.ssh.login.clone(), socket: self.there.clone() };
        self.ssh.place.last_words().contains("open failed").then(closed)
    }

    /// Why the connection has ended, if it has.
    pub fn ended(&self) -> Option<String> {
        let status = self.ssh.child().try_wait().ok()??;
        Some(self.ssh.last_words_or(&status.to_string()))
    }
}

/// The one process, which ends with this.
#[derive(Debug)]
struct Ssh {
    login: String,
    child: Mutex<Child>,
    /// What it reads, which is closed first.
    input: Option<Arc<OwnedFd>>,
    place: Place,
}

impl Ssh {
    fn start(
        far: &Far,
        ssh: &Path,
        place: Place,
        terminal: Terminal,
    ) -> Result<(Self, ChildStdout), SshError> {
        let complaints = place.log().map_err(SshError::Broken)?;
        let program = program(far, ssh, &place, terminal);
        let mut child = program.start(complaints, terminal).map_err(SshError::Start)?;
        let missing = || SshError::Broken(io::Error::other("ssh was started without its streams"));
        let input = child.stdin.take().ok_or_else(missing)?;
        let output = child.stdout.take().ok_or_else(missing)?;
        let ssh = Self {
            login: far.login.clone(),
            child: Mutex::new(child),
            input: Some(Arc::new(input.into())),
            place,
        };
        Ok((ssh, output))
    }

    /// What takes too long: to get in, or to answer after that.
    async fn too_late(&self, terminal: Terminal) -> &'static str {
        let in_time = if terminal == Terminal::Here { ATTENDED } else { UNATTENDED };
        // ssh listens for others of its kind once it is in.
        let is_in = async {
            while !self.place.control().exists() {
                tokio::time::sleep(LOOK_AGAIN).await;
            }
        };
        if tokio::time::timeout(in_time, is_in).await.is_err() {
            return "nothing, for too long";
        }
        tokio::time::sleep(ANSWER).await;
        "it got in, and the login there runs none of the commands that it is given"
    }

    /// Asks the process that runs already, which makes no other connection.
    async fn bring_here(&self, there: &str, ssh: &Path) -> Result<(), SshError> {
        let forward = format!("{}:{there}", self.place.socket().display());
        let request = Program::new(ssh)
            .args(["-F", "none", "-S"])
            .arg(self.place.control())
            .args(["-O", "forward", "-L", &forward, "--", "engine"]);
        match request.run(|_| {}).await {
            Ok(_) => Ok(()),
            Err(ProcessError::Failed { last_lines, .. }) => {
                Err(SshError::Refused { login: self.login.clone(), said: last_lines.join("\n") })
            }
            Err(error) => Err(SshError::Start(error)),
        }
    }

    /// It has closed its output and not answered. What it has to say comes before it ends.
    fn ended_early(&self) -> SshError {
        match wait(&mut self.child(), GRACE) {
            Some(status) if status.success() => {
                SshError::Strange { login: self.login.clone(), said: self.place.last_words() }
            }
            Some(status) => self.refused(&format!("it ended with {status} and not a word")),
            None => self.refused("it closed its output"),
        }
    }

    fn refused(&self, otherwise: &str) -> SshError {
        SshError::Refused { login: self.login.clone(), said: self.last_words_or(otherwise) }
    }

    fn last_words_or(&self, otherwise: &str) -> String {
        let said = self.place.last_words();
        if said.is_empty() { otherwise.to_owned() } else { said }
    }

    fn child(&self) -> MutexGuard<'_, Child> {
        self.child.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Ssh {
    fn drop(&mut self) {
        self.input = None;
        let mut child = self.child();
        for signal in [Signal::TERM, Signal::KILL] {
            // Once it has been waited for, its number may be another's.
            if !matches!(child.try_wait(), Ok(None)) {
                return;
            }
            if let Some(id) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
                let _ = kill_process(id, signal);
            }
            wait(&mut child, GRACE);
        }
    }
}

fn program(far: &Far, ssh: &Path, place: &Place, terminal: Terminal) -> Program {
    let mut program = Program::new("/bin/sh")
        .args(["-c", DEAF, "sh"])
        .arg(ssh)
        .args(["-T", "-a", "-x", "-M", "-S"])
        .arg(place.control());
    for setting in SETTINGS {
        program = program.args(["-o", setting]);
    }
    if terminal == Terminal::Absent {
        program = program.args(["-o", "BatchMode=yes"]);
    }
    program.args(["--", &far.login, &far.question()])
}

/// What the other side says, past what its shells say by themselves; nothing if it ends without.
async fn answer(output: ChildStdout) -> io::Result<Option<Answer>> {
    let output = pipe::Receiver::from_owned_fd(output.into())?;
    let mut lines = BufReader::new(output).lines();
    while let Some(line) = lines.next_line().await? {
        if let Some(answer) = Answer::read(&line) {
            return Ok(Some(answer));
        }
    }
    Ok(None)
}

/// Its status, if it ends in time.
fn wait(child: &mut Child, limit: Duration) -> Option<ExitStatus> {
    let deadline = Instant::now() + limit;
    while Instant::now() < deadline {
        match child.try_wait() {
            Ok(None) => std::thread::sleep(LOOK_AGAIN),
            Ok(status) => return status,
            Err(_) => return None,
        }
    }
    None
}

#[cfg(test)]
mod tests;
