//! One run of `ssh`.
//!
//! The gateway answers the tunnel's key with the word `up` and then sends back whatever it is sent.
//! It comes to that only after it has taken every forward, so the word means that the tunnel works.
//! When its input ends, ssh ends too, unless it still carries connections.

use std::collections::VecDeque;
use std::io;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command};

use crate::backend::host::Holder;

/// What the gateway says when the tunnel works.
const UP: &str = "up";

/// What the tunnel's key runs in the gateway, whatever is asked for.
pub const ANSWER: &str = "echo up; exec cat";

const KEPT_LINES: usize = 4;
const GRACE: Duration = Duration::from_secs(2);

/// Something that the connection did.
#[derive(Debug, PartialEq, Eq)]
pub enum Happening {
    Up,
    Echo,
    Ended(String),
}

pub struct Connection {
    child: Child,
    input: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
    complaints: Lines<BufReader<ChildStderr>>,
    complaining: bool,
    last: VecDeque<String>,
}

impl Connection {
    pub fn open(ssh: &Path, config: &Path, host: &str) -> io::Result<Self> {
        let mut child = Command::new(ssh)
            .args(["-T", "-F"])
            .arg(config)
            .arg(host)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true)
            .spawn()?;
        let missing = || io::Error::other("ssh was started without its streams");
        Ok(Self {
            input: child.stdin.take().ok_or_else(missing)?,
            answers: BufReader::new(child.stdout.take().ok_or_else(missing)?).lines(),
            complaints: BufReader::new(child.stderr.take().ok_or_else(missing)?).lines(),
            complaining: true,
            last: VecDeque::new(),
            child,
        })
    }

    /// The process, until it has ended.
    pub fn process(&self) -> Option<Holder> {
        self.child.id().and_then(Holder::of)
    }

    /// May be given up at any time and asked again.
    pub async fn next(&mut self) -> Happening {
        loop {
            tokio::select! {
                biased;
                line = self.complaints.next_line(), if self.complaining => match line {
                    Ok(Some(line)) => keep(&mut self.last, line.trim()),
                    _ => self.complaining = false,
                },
                line = self.answers.next_line() => match line {
                    Ok(Some(line)) if line.trim() == UP => return Happening::Up,
                    Ok(Some(_)) => return Happening::Echo,
                    _ => return Happening::Ended(self.last_words().await),
                },
            }
        }
    }

    /// What is sent comes back, if somebody is there.
    pub async fn ping(&mut self) {
        // A connection that is broken says so itself.
        let _ = self.input.write_all(b"\n").await;
    }

    pub async fn close(mut self) {
        let id = self.child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        let Some(group) = id else { return };
        for signal in [Signal::TERM, Signal::KILL] {
            // Already gone is fine.
            let _ = kill_process_group(group, signal);
            if tokio::time::timeout(GRACE, self.child.wait()).await.is_ok() {
                return;
            }
        }
    }

    /// ssh has closed its output, so it ends, and what it has to say is said.
    async fn last_words(&mut self) -> String {
        let rest = async {
            while let Ok(Some(line)) = self.complaints.next_line().await {
                keep(&mut self.last, line.trim());
            }
            self.child.wait().await
        };
        let status = tokio::time::timeout(GRACE, rest).await.ok().and_then(Result::ok);
        why(self.last.make_contiguous(), status)
    }
}

fn keep(last: &mut VecDeque<String>, line: &str) {
    if line.is_empty() {
        return;
    }
    if last.len() == KEPT_LINES {
        last.pop_front();
    }
    last.push_back(line.to_owned());
}

/// In ssh's own words, where it has any.
fn why(last: &[String], status: Option<ExitStatus>) -> String {
    if !last.is_empty() {
        return last.join("; ");
    }
    match status {
        Some(status) if status.success() => "the gateway ended the connection".to_owned(),
        Some(status) => format!("ssh ended with {status} and not a word"),
        None => "ssh closed its output".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;
    use std::path::PathBuf;

    use super::*;

    /// A program in the place of ssh: what the gateway would do is all that matters here.
    fn program(folder: &Path, script: &str) -> PathBuf {
        let path = folder.join("ssh");
        std::fs::write(&path, format!("#!/bin/sh\n{script}\n")).expect("written");
        let executable = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(&path, executable).expect("is made executable");
        path
    }

    fn open(folder: &Path, script: &str) -> Connection {
        Connection::open(&program(folder, script), Path::new("/dev/null"), "gw").expect("starts")
    }

    #[tokio::test]
    async fn it_is_up_when_the_gateway_says_so_and_echoes_after_that() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut connection = open(folder.path(), ANSWER);
        assert_eq!(connection.next().await, Happening::Up);
        connection.ping().await;
        assert_eq!(connection.next().await, Happening::Echo);
        connection.close().await;
    }

    #[tokio::test]
    async fn it_ends_in_sshs_own_words() {
        let folder = tempfile::tempdir().expect("a folder");
        let refused = "echo 'ssh: connect to host gw port 22: Connection refused' >&2; exit 255";
        let mut connection = open(folder.path(), refused);
        let words = "ssh: connect to host gw port 22: Connection refused";
        assert_eq!(connection.next().await, Happening::Ended(words.to_owned()));
        let mut silent = open(folder.path(), "exit 3");
        let words = "ssh ended with exit status: 3 and not a word";
        assert_eq!(silent.next().await, Happening::Ended(words.to_owned()));
    }

    #[tokio::test]
    async fn without_its_keeper_it_ends() {
        let folder = tempfile::tempdir().expect("a folder");
        let mark = folder.path().join("ended");
        let script = format!("echo up; cat; touch {}", mark.display());
        let mut connection = open(folder.path(), &script);
        assert_eq!(connection.next().await, Happening::Up);
        drop(connection.input);
        let ended = connection.child.wait().await.expect("it can be waited for");
        assert!(ended.success() && mark.exists());
    }
}
