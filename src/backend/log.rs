//! Logs of whatever has one: which part is wanted, and its lines as they come.

use std::io;
use std::time::Duration;

use futures::stream::{self, BoxStream};
use futures::{AsyncBufRead, AsyncBufReadExt, StreamExt};

/// The lines of a log. What it is read from closes when it is dropped.
pub type Lines = BoxStream<'static, io::Result<String>>;

/// Which part of a log is wanted; all that there is so far by default.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Extent {
    /// And whatever comes, until nobody reads any more.
    pub follow: bool,
    /// So many of its last lines.
    pub tail: Option<u32>,
    /// What was written in this time.
    pub since: Option<Duration>,
}

/// Whatever bytes are in a line, it can be shown; the last need not have an end.
pub fn lines(reader: impl AsyncBufRead + Send + 'static) -> Lines {
    stream::try_unfold(Box::pin(reader), async |mut reader| {
        let mut line = Vec::new();
        if reader.read_until(b'\n', &mut line).await? == 0 {
            return Ok(None);
        }
        let line = line.strip_suffix(b"\n").unwrap_or(&line);
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        Ok(Some((String::from_utf8_lossy(line).into_owned(), reader)))
    })
    .boxed()
}

#[cfg(test)]
mod tests {
    use futures::TryStreamExt;
    use futures::io::Cursor;

    use super::*;

    #[tokio::test]
    async fn lines_are_whatever_stands_between_ends() {
        let log = Cursor::new(b"one\r\n\ntwo \xff\nthree");
        let lines: Vec<String> = lines(log).try_collect().await.expect("it can be read");
        assert_eq!(lines, ["one", "", "two \u{fffd}", "three"]);
    }
}
