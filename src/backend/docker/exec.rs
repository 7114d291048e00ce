//! Commands run inside a container.

use std::pin::Pin;

use bollard::container::LogOutput;
use bollard::exec::{CreateExecOptions, StartExecOptions, StartExecResults};
use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{Stream, StreamExt, TryStreamExt};
use tokio::io::{AsyncWrite, AsyncWriteExt};

use super::patience::{Pulse, change, look, look_by};
use super::{Docker, Error, Result};

/// Lines of a command's output come in pieces of this size at most.
const PIECE: usize = 64 * 1024;

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Output {
    pub code: i64,
    pub stdout: Vec<u8>,
    pub stderr: Vec<u8>,
}

/// A running command, spoken to as it runs. Dropping it closes the command's standard input.
pub struct Attached {
    pub input: Pin<Box<dyn AsyncWrite + Send>>,
    pub output: BoxStream<'static, Result<Piece>>,
}

/// Some of what a command writes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    Output(Bytes),
    Complaint(Bytes),
}

impl Docker {
    /// Runs a command and gives its standard output; anything but exit code 0 is an error that
    /// carries what it wrote to standard error.
    pub async fn exec(&self, container: &str, command: &[&str]) -> Result<String> {
        self.checked(container, command, futures::stream::empty()).await
    }

    /// The same, of a command that only looks, and so ends soon.
    pub async fn look(&self, container: &str, command: &[&str]) -> Result<String> {
        look_by(self.exec(container, command)).await
    }

    /// The same, with something to read on standard input.
    pub async fn exec_with_input(
        &self,
        container: &str,
        command: &[&str],
        input: impl Into<Bytes>,
    ) -> Result<String> {
        self.checked(container, command, futures::stream::iter([Ok(input.into())])).await
    }

    /// The same, with a stream as standard input. An error of the stream ends the command.
    pub async fn exec_with_stream(
        &self,
        container: &str,
        command: &[&str],
        input: impl Stream<Item = Result<Bytes>> + Send,
    ) -> Result<String> {
        self.checked(container, command, input).await
    }

    async fn checked(
        &self,
        container: &str,
        command: &[&str],
        input: impl Stream<Item = Result<Bytes>> + Send,
    ) -> Result<String> {
        let output = self.run(container, command, input).await?;
        if output.code == 0 {
            return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        // Some programs complain on standard output.
        let spoken = if output.stderr.is_empty() { &output.stdout } else { &output.stderr };
        Err(Error::Exec {
            container: container.to_owned(),
            command: command.join(" "),
            code: output.code,
            stderr: String::from_utf8_lossy(spoken).trim().to_owned(),
        })
    }

    /// Runs a command to its end, whatever its exit code.
    pub async fn run(
        &self,
        container: &str,
        command: &[&str],
        input: impl Stream<Item = Result<Bytes>> + Send,
    ) -> Result<Output> {
        let mut input = std::pin::pin!(input.peekable());
        let has_input = input.as_mut().peek().await.is_some();
        let (id, Attached { input: stdin, output }) =
            self.start(container, command, has_input).await?;

        let pulse = Pulse::new();
        // A command may end while there is still something to feed it; a broken input ends here,
        // which closes the connection and with it the command's own input.
        let mut collected = tokio::select! {
            collected = collect(output, &pulse) => collected?,
            broken = broken_input(input, stdin, &pulse) => return Err(broken),
            silent = pulse.stops() => return Err(silent),
        };
        let state = look(self.api.inspect_exec(&id)).await?;
        collected.code = state.exit_code.unwrap_or_default();
        Ok(collected)
    }

    /// Starts a command to be spoken to. How it ends is not told.
    pub async fn attach(&self, container: &str, command: &[&str]) -> Result<Attached> {
        Ok(self.start(container, command, true).await?.1)
    }

    /// Starts a command, and gives the id that its exit code is asked for with.
    async fn start(
        &self,
        container: &str,
        command: &[&str],
        has_input: bool,
    ) -> Result<(String, Attached)> {
        let options = CreateExecOptions {
            attach_stdin: Some(has_input),
            attach_stdout: Some(true),
            attach_stderr: Some(true),
            cmd: Some(command.iter().map(ToString::to_string).collect()),
            ..CreateExecOptions::<String>::default()
        };
        let exec = change(self.api.create_exec(container, options)).await?;
        let start = StartExecOptions { output_capacity: Some(PIECE), ..Default::default() };
        let StartExecResults::Attached { output, input } =
            change(self.api.start_exec(&exec.id, Some(start))).await?
        else {
            return Err(Error::Lost("the engine did not attach to the command".to_owned()));
        };
        let output = output.map(|piece| Ok(Piece::from(piece?)));
        Ok((exec.id, Attached { input, output: output.boxed() }))
    }
}

impl From<LogOutput> for Piece {
    fn from(piece: LogOutput) -> Self {
        match piece {
            LogOutput::StdErr { message } => Self::Complaint(message),
            // What is read on standard input is not written by the command, and never comes.
            LogOutput::StdOut { message }
            | LogOutput::Console { message }
            | LogOutput::StdIn { message } => Self::Output(message),
        }
    }
}

/// Feeds a command to the end of its input, and returns only if that input is broken: how the
/// command takes it shows in its exit code.
async fn broken_input(
    mut input: impl Stream<Item = Result<Bytes>> + Unpin,
    mut stdin: impl AsyncWrite + Unpin,
    pulse: &Pulse,
) -> Error {
    loop {
        pulse.beat();
        let written = match input.next().await {
            Some(Ok(piece)) => stdin.write_all(&piece).await.is_ok(),
            Some(Err(error)) => return error,
            None => false,
        };
        if !written {
            let _already_ended = stdin.shutdown().await;
            return std::future::pending().await;
        }
    }
}

async fn collect(output: impl Stream<Item = Result<Piece>>, pulse: &Pulse) -> Result<Output> {
    output
        .try_fold(Output::default(), |mut all, piece| async {
            pulse.beat();
            match piece {
                Piece::Complaint(bytes) => all.stderr.extend_from_slice(&bytes),
                Piece::Output(bytes) => all.stdout.extend_from_slice(&bytes),
            }
            Ok(all)
        })
        .await
}
