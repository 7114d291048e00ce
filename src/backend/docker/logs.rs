//! What containers write, and what the services of a node do.

use std::io;
use std::time::{SystemTime, UNIX_EPOCH};

use bollard::query_parameters::LogsOptions;
use futures::{Stream, StreamExt, TryStreamExt, stream};

use super::{Docker, Error, Piece, Result};
use crate::backend::log::{Extent, Lines, lines};

/// `journalctl` does not see that nobody reads any more: it ends when its standard input does.
const FOLLOWED: &str = "journalctl \"$@\" & cat >/dev/null; kill $!";
const READ: &str = "exec journalctl \"$@\"";

impl Docker {
    /// The log of a container, running or not, both streams.
    pub fn log(&self, container: &str, extent: Extent) -> Lines {
        let since = extent.since.and_then(|since| {
            let then = SystemTime::now().checked_sub(since)?;
            i32::try_from(then.duration_since(UNIX_EPOCH).ok()?.as_secs()).ok()
        });
        let options = LogsOptions {
            follow: extent.follow,
            stdout: true,
            stderr: true,
            since: since.unwrap_or_default(),
            tail: extent.tail.map_or_else(|| "all".to_owned(), |lines| lines.to_string()),
            ..LogsOptions::default()
        };
        let pieces = self.api.logs(container, Some(options));
        lines_of(pieces.map(|piece| Ok(Piece::from(piece?))))
    }

    /// The journal of one of the services of a node that runs.
    pub async fn journal(&self, node: &str, service: &str, extent: Extent) -> Result<Lines> {
        let script = if extent.follow { FOLLOWED } else { READ };
        let options = journal_options(service, extent);
        let command: Vec<&str> = ["sh", "-c", script, "sh"]
            .into_iter()
            .chain(options.iter().map(String::as_str))
            .collect();
        let attached = self.attach(node, &command).await?;
        // What is written comes as long as the command's input is held open.
        let held =
            stream::unfold((attached.output, attached.input), async |(mut output, input)| {
                let piece = output.next().await?;
                Some((piece, (output, input)))
            });
        Ok(lines_of(held))
    }
}

fn lines_of(pieces: impl Stream<Item = Result<Piece>> + Send + 'static) -> Lines {
    let bytes = pieces.map_ok(|(Piece::Output(bytes) | Piece::Complaint(bytes))| bytes);
    lines(bytes.map_err(|error: Error| io::Error::other(error)).boxed().into_async_read())
}

fn journal_options(service: &str, extent: Extent) -> Vec<String> {
    let mut options =
        ["--quiet", "--no-pager", "--output=cat", "--unit", service].map(str::to_owned).to_vec();
    options.push(match extent.tail {
        Some(lines) => format!("--lines={lines}"),
        None => "--lines=all".to_owned(),
    });
    options.extend(extent.since.map(|since| format!("--since=-{}s", since.as_secs())));
    options.extend(extent.follow.then(|| "--follow".to_owned()));
    options
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_journal_is_asked_for_as_much_as_is_wanted() {
        let asked = |extent| journal_options("kubelet", extent)[5..].join(" ");
        assert_eq!(asked(Extent::default()), "--lines=all");
        let since = Some(Duration::from_secs(90));
        let part = Extent { follow: true, tail: Some(3), since };
        assert_eq!(asked(part), "--lines=3 --since=-90s --follow");
    }
}
