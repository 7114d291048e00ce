//! Child processes: argv arrays, the last lines kept, ended when nobody waits for them any more.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::fs::File;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::{Arc, PoisonError, RwLock, RwLockWriteGuard};

use rustix::io::{FdFlags, fcntl_getfd, fcntl_setfd};
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWriteExt, BufReader};
use tokio::net::unix::pipe::Receiver;
use tokio::process::{Child, Command};
use tracing::Instrument;

use crate::backend::calls;

/// What children inherit is a matter of the whole process: one that is to inherit less is started
/// while no other is.
static STARTING: RwLock<()> = RwLock::new(());

pub(super) fn starting_alone() -> RwLockWriteGuard<'static, ()> {
    STARTING.write().unwrap_or_else(PoisonError::into_inner)
}

/// How many lines of a failed child are shown.
const KEPT_LINES: usize = 20;

#[derive(Debug, thiserror::Error)]
pub enum ProcessError {
    #[error("cannot start `{}`", program.display())]
    Start { program: PathBuf, source: std::io::Error },
    #[error("`{command}` ended with {status}\n{}", last_lines.join("\n"))]
    Failed { command: String, status: std::process::ExitStatus, last_lines: Vec<String> },
    #[error("lost touch with `{}`", program.display())]
    Lost { program: PathBuf, source: std::io::Error },
}

/// This topo's own.
pub fn process_id() -> u32 {
    std::process::id()
}

/// Where a program is that the user's shell would find.
pub fn find_program(
    name: &str,
    variable: &(impl Fn(&str) -> Option<String> + ?Sized),
) -> Option<PathBuf> {
    let path = variable("PATH").unwrap_or_default();
    std::env::split_paths(&path).map(|folder| folder.join(name)).find(|file| file.is_file())
}

/// The command lines of what runs on this machine, by process id.
pub async fn processes() -> Result<Vec<(u32, String)>, ProcessError> {
    let listed = Program::new("ps").args(["-eo", "pid=,args="]).run(|_| {}).await?;
    let process = |line: &str| {
        let (pid, command) = line.trim().split_once(' ')?;
        Some((pid.parse().ok()?, command.trim().to_owned()))
    };
    Ok(listed.lines().filter_map(process).collect())
}

/// A program to run, with what it is given.
#[derive(Debug, Clone)]
pub struct Program {
    path: PathBuf,
    arguments: Vec<OsString>,
    environment: Vec<(String, String)>,
    without: Vec<String>,
    input: Option<Vec<u8>>,
    held: Vec<Arc<OwnedFd>>,
    outlives: bool,
}

impl Program {
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            arguments: Vec::new(),
            environment: Vec::new(),
            without: Vec::new(),
            input: None,
            held: Vec::new(),
            outlives: false,
        }
    }

    pub fn arg(mut self, argument: impl Into<OsString>) -> Self {
        self.arguments.push(argument.into());
        self
    }

    pub fn args<A: Into<OsString>>(mut self, arguments: impl IntoIterator<Item = A>) -> Self {
        self.arguments.extend(arguments.into_iter().map(Into::into));
        self
    }

    pub fn env(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.environment.push((name.into(), value.into()));
        self
    }

    /// A variable of topo's own environment that the child must not see.
    pub fn without(mut self, name: impl Into<String>) -> Self {
        self.without.push(name.into());
        self
    }

    pub fn input(mut self, input: impl Into<Vec<u8>>) -> Self {
        self.input = Some(input.into());
        self
    }

    /// Something open that the child inherits, so that it stays open until the child has ended, and
    /// what that started.
    pub fn holding(mut self, held: Arc<OwnedFd>) -> Self {
        self.held.push(held);
        self
    }

    /// Where topo is killed it goes on: its complaints then go nowhere, where they would end it.
    pub fn outliving(mut self) -> Self {
        self.outlives = true;
        self
    }

    /// Runs to the end, telling each line of its complaints as it comes, and answers what went to
    /// standard output.
    pub async fn run(self, mut tell: impl FnMut(&str) + Send) -> Result<String, ProcessError> {
        let mut answer = String::new();
        let hear = |from: Stream, line: &str| match from {
            Stream::Out => {
                answer.push_str(line);
                answer.push('\n');
            }
            Stream::Err => tell(line),
        };
        self.listen(hear).await?;
        Ok(answer)
    }

    /// Runs to the end, telling each line that it writes anywhere.
    pub async fn follow(self, mut tell: impl FnMut(&str) + Send) -> Result<(), ProcessError> {
        self.listen(|_, line| tell(line)).await
    }

    async fn listen(self, hear: impl FnMut(Stream, &str) + Send) -> Result<(), ProcessError> {
        let call = calls::to_program(&self.path, &self.arguments);
        self.listen_to_it(hear).instrument(call).await
    }

    async fn listen_to_it(
        mut self,
        mut hear: impl FnMut(Stream, &str) + Send,
    ) -> Result<(), ProcessError> {
        let input = self.input.take();
        let (child, complaints) = self.spawn()?;
        let mut child = Group(child);
        let lost = |source| ProcessError::Lost { program: self.path.clone(), source };

        let stdin = child.0.stdin.take();
        let feed = async move {
            if let (Some(mut stdin), Some(input)) = (stdin, input) {
                // A child that does not read its input says why it ended itself.
                let _ = stdin.write_all(&input).await;
            }
        };
        let mut lines = Lines::default();
        let mut out = line_reader(child.0.stdout.take());
        let mut err = line_reader(Some(complaints));
        tokio::pin!(feed);
        let (mut fed, mut out_open, mut err_open) = (false, true, true);
        while out_open || err_open {
            tokio::select! {
                () = &mut feed, if !fed => fed = true,
                line = next_line(&mut out), if out_open => match line.map_err(lost)? {
                    Some(line) => {
                        hear(Stream::Out, &line);
                        lines.keep(&line);
                    }
                    None => out_open = false,
                },
                line = next_line(&mut err), if err_open => match line.map_err(lost)? {
                    Some(line) => {
                        hear(Stream::Err, &line);
                        lines.keep(&line);
                    }
                    None => err_open = false,
                },
            }
        }
        let status = child.0.wait().await.map_err(lost)?;
        calls::came(status);
        if status.success() {
            return Ok(());
        }
        Err(ProcessError::Failed {
            command: self.to_string(),
            status,
            last_lines: lines.0.into_iter().collect(),
        })
    }

    /// Starts it, to be spoken to while it runs. It complains into a file.
    pub fn start(
        &self,
        complaints: File,
        terminal: Terminal,
    ) -> Result<std::process::Child, ProcessError> {
        let mut command = self.command();
        command.stderr(complaints);
        if terminal == Terminal::Absent {
            command.process_group(0);
        }
        self.spawned(|| command.spawn())
    }

    /// Puts it in the place of topo, with the same terminal, so that it ends as it would have ended
    /// alone. Returns only where it cannot be started.
    pub fn take_over(&self) -> ProcessError {
        let mut command = self.command();
        command.stdin(Stdio::inherit()).stdout(Stdio::inherit());
        ProcessError::Start { program: self.path.clone(), source: command.exec() }
    }

    fn spawn(&mut self) -> Result<(Child, Receiver), ProcessError> {
        let failed = |source| ProcessError::Start { program: self.path.clone(), source };
        let (read, write) = std::io::pipe().map_err(failed)?;
        if self.outlives {
            // A pipe that somebody could read from does not break.
            self.held.push(Arc::new(read.try_clone().map_err(failed)?.into()));
        }
        let mut command = self.command();
        command.stderr(write).process_group(0);
        let mut command = Command::from(command);
        let child = self.spawned(|| command.spawn())?;
        Ok((child, Receiver::from_owned_fd(read.into()).map_err(failed)?))
    }

    fn command(&self) -> std::process::Command {
        let mut command = std::process::Command::new(&self.path);
        command
            .args(&self.arguments)
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        for name in &self.without {
            command.env_remove(name);
        }
        command
    }

    fn spawned<T>(&self, spawn: impl FnOnce() -> std::io::Result<T>) -> Result<T, ProcessError> {
        let spawned = if self.held.is_empty() {
            let _others_may_start_too = STARTING.read().unwrap_or_else(PoisonError::into_inner);
            spawn()
        } else {
            inherited(&self.held, spawn)
        };
        spawned.map_err(|source| ProcessError::Start { program: self.path.clone(), source })
    }
}

/// Starts the one child that inherits what is held.
fn inherited<T>(
    held: &[Arc<OwnedFd>],
    start: impl FnOnce() -> std::io::Result<T>,
) -> std::io::Result<T> {
    let _nothing_else_starts = starting_alone();
    for held in held {
        fcntl_setfd(held, fcntl_getfd(held)? - FdFlags::CLOEXEC)?;
    }
    let started = start();
    for held in held {
        fcntl_setfd(held, fcntl_getfd(held)? | FdFlags::CLOEXEC)?;
    }
    started
}

/// Whether there is a terminal on which a child may ask something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Terminal {
    Here,
    Absent,
}

impl Terminal {
    pub fn here() -> Self {
        let opened = File::options().read(true).write(true).open("/dev/tty");
        if opened.is_ok() { Self::Here } else { Self::Absent }
    }
}

impl std::fmt::Display for Program {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.path.display())?;
        for argument in &self.arguments {
            write!(f, " {}", argument.to_string_lossy())?;
        }
        Ok(())
    }
}

/// A child that leads its own process group, so that ending it ends what it started, and so that an
/// interrupt from the terminal reaches topo alone.
struct Group(Child);

impl Drop for Group {
    fn drop(&mut self) {
        let id = self.0.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        if let Some(id) = id {
            // Already gone is fine.
            let _ = kill_process_group(id, Signal::TERM);
        }
    }
}

#[derive(Default)]
struct Lines(VecDeque<String>);

impl Lines {
    fn keep(&mut self, line: &str) {
        if self.0.len() == KEPT_LINES {
            self.0.pop_front();
        }
        self.0.push_back(line.to_owned());
    }
}

/// Where a child wrote a line.
enum Stream {
    Out,
    Err,
}

type LineReader<R> = Option<tokio::io::Split<BufReader<R>>>;

fn line_reader<R: AsyncRead + Unpin>(stream: Option<R>) -> LineReader<R> {
    stream.map(|stream| BufReader::new(stream).split(b'\n'))
}

async fn next_line<R: AsyncRead + Unpin>(
    reader: &mut LineReader<R>,
) -> std::io::Result<Option<String>> {
    let Some(lines) = reader else { return Ok(None) };
    let line = lines.next_segment().await?;
    Ok(line.map(|line| {
        let line = line.strip_suffix(b"\r").unwrap_or(&line);
        String::from_utf8_lossy(line).into_owned()
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Program {
        Program::new("/bin/sh").arg("-c").arg(script)
    }

    #[tokio::test]
    async fn output_is_answered_and_progress_is_told() {
        let mut told = Vec::new();
        let answer = shell("cat; echo step >&2")
            .input("given")
            .run(|line| told.push(line.to_owned()))
            .await
            .expect("it succeeds");
        assert_eq!((answer.as_str(), told), ("given\n", vec!["step".to_owned()]));
    }

    #[tokio::test]
    async fn complaints_of_what_outlives_topo_do_not_end_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let came_to_its_end = folder.path().join("end");
        let script = "sleep 0.3; /bin/echo more >&2 && touch \"$0\"";
        let mut program = shell(script).arg(&came_to_its_end).outliving();
        let (mut child, complaints) = program.spawn().expect("it starts");
        // As if topo had gone.
        drop((complaints, program));
        child.wait().await.expect("it ends");
        assert!(came_to_its_end.exists());
    }

    #[tokio::test]
    async fn both_streams_are_followed_whatever_is_written() {
        let mut told = Vec::new();
        let script = r"printf 'one\r\n\377\n'; sleep 0.1; echo two >&2";
        shell(script).follow(|line| told.push(line.to_owned())).await.expect("it succeeds");
        assert_eq!(told, ["one", "\u{fffd}", "two"]);
    }

    #[tokio::test]
    async fn a_failure_shows_the_last_lines() {
        let error = shell("for i in $(seq 30); do echo line $i >&2; done; exit 3")
            .run(|_| {})
            .await
            .expect_err("it fails")
            .to_string();
        assert!(error.contains("exit status: 3"), "{error}");
        assert!(error.contains("line 30") && error.contains("line 11"), "{error}");
        assert!(!error.contains("line 10\n"), "{error}");
    }

    #[tokio::test]
    async fn what_a_child_holds_is_open_until_that_ends_and_no_other_has_it() {
        use std::io::Read;
        let (mut reader, writer) = std::io::pipe().expect("a pipe");
        let held = Arc::new(OwnedFd::from(writer));
        let holder = shell("sleep 0.4 & exit").holding(Arc::clone(&held)).run(|_| {});
        let other = shell("sleep 5").run(|_| {});
        let ended = async {
            holder.await.expect("it succeeds");
            drop(held);
            let started = std::time::Instant::now();
            tokio::task::spawn_blocking(move || reader.read(&mut [0]))
                .await
                .expect("reads")
                .expect("ends");
            started.elapsed()
        };
        tokio::select! {
            _ = other => panic!("it sleeps longer than what was held can last"),
            _ = ended => {}
        }
    }

    #[tokio::test]
    async fn a_child_nobody_waits_for_is_ended_with_what_it_started() {
        let folder = tempfile::tempdir().expect("a folder");
        let mark = folder.path().join("mark");
        let script = format!("(sleep 2; touch {}) & wait", mark.display());
        let run = shell(&script).run(|_| {});
        tokio::time::timeout(std::time::Duration::from_millis(200), run)
            .await
            .expect_err("it is still running");
        tokio::time::sleep(std::time::Duration::from_millis(2300)).await;
        assert!(!mark.exists());
    }
}
