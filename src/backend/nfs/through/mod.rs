//! From inside a container, such as a node: the way that pods' mounts go, also where the engine
//! is on another machine, or its networks are not to be reached from this one.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{BufMut, Bytes, BytesMut};
use futures::stream::{self, BoxStream, StreamExt};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_util::io::StreamReader;

use crate::backend::docker::{Attached, Docker, Piece};

use super::dial::Dial;

const CHOOSE: &str = include_str!("choose.sh");
const PERL: &str = include_str!("relay.pl");
const BASH: &str = include_str!("relay.bash");
/// How much is listened to before a relay has said whether it is connected.
const MOST_WORDS: usize = 4096;

/// A relay in a container that has `sh`, and `perl` or `bash`, as every kind node has. As root, it
/// connects from a port below 1024, as the kernel of a node does.
#[derive(Debug, Clone)]
pub struct ThroughContainer {
    pub docker: Docker,
    pub container: String,
    pub host: String,
}

/// A connection of a relay. Dropping it closes the relay's standard input, which ends it.
pub struct Relayed {
    input: Pin<Box<dyn AsyncWrite + Send>>,
    output: StreamReader<BoxStream<'static, io::Result<Bytes>>, Bytes>,
    source: Option<SocketAddr>,
}

impl Dial for ThroughContainer {
    type Stream = Relayed;

    async fn dial(&self, port: u16) -> io::Result<Relayed> {
        let port = port.to_string();
        let command = ["sh", "-c", CHOOSE, "topo", &self.host, &port, PERL, BASH];
        let attached = self.docker.attach(&self.container, &command).await;
        let mut attached = attached.map_err(|error| unusable(&error.to_string()))?;
        let (words, rest) = first_line(&mut attached).await?;
        // What a relay complains about later says no more than the end of its connection.
        let output = attached.output.filter_map(async |piece| match piece {
            Ok(Piece::Output(bytes)) => Some(Ok(bytes)),
            Ok(Piece::Complaint(_)) => None,
            Err(error) => Some(Err(io::Error::other(error))),
        });
        let output = stream::iter([Ok(rest)]).chain(output).boxed();
        let source = source(&words);
        Ok(Relayed { input: attached.input, output: StreamReader::new(output), source })
    }

    fn source(&self, stream: &Relayed) -> Option<SocketAddr> {
        stream.source
    }
}

/// What the relay says first, if that is that it is connected, and what already came behind it.
async fn first_line(attached: &mut Attached) -> io::Result<(String, Bytes)> {
    let (mut said, mut complained) = (BytesMut::new(), BytesMut::new());
    while said.len() + complained.len() < MOST_WORDS {
        match attached.output.next().await {
            Some(Ok(Piece::Output(bytes))) => said.put(bytes),
            Some(Ok(Piece::Complaint(bytes))) => complained.put(bytes),
            Some(Err(error)) => return Err(unusable(&error.to_string())),
            None => break,
        }
        if let Some(end) = said.iter().position(|byte| *byte == b'\n') {
            let line = said.split_to(end + 1);
            let line = String::from_utf8_lossy(&line).trim_end().to_owned();
            if line.starts_with("connected") {
                return Ok((line, said.freeze()));
            }
            complained.put(line.as_bytes());
            break;
        }
    }
    complained.put(said);
    Err(unconnected(String::from_utf8_lossy(&complained).trim()))
}

/// `connected 172.18.0.3 872`
fn source(words: &str) -> Option<SocketAddr> {
    let mut words = words.split(' ').skip(1);
    Some(SocketAddr::new(words.next()?.parse().ok()?, words.next()?.parse().ok()?))
}

/// The relays speak English, since containers have no other language unless somebody sets one.
fn unconnected(complaint: &str) -> io::Error {
    use io::ErrorKind;
    let kinds = [
        ("Connection refused", ErrorKind::ConnectionRefused),
        ("No route to host", ErrorKind::HostUnreachable),
        ("Network is unreachable", ErrorKind::NetworkUnreachable),
        ("Connection timed out", ErrorKind::TimedOut),
        ("Name or service not known", ErrorKind::NotFound),
        ("Temporary failure in name resolution", ErrorKind::NotFound),
        ("not permitted", ErrorKind::PermissionDenied),
        ("Permission denied", ErrorKind::PermissionDenied),
    ];
    match kinds.iter().find(|(words, _)| complaint.contains(words)) {
        Some((words, kind)) => io::Error::new(*kind, *words),
        None => unusable(complaint),
    }
}

fn unusable(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::Unsupported, why)
}

impl AsyncRead for Relayed {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.output).poll_read(context, into)
    }
}

impl AsyncWrite for Relayed {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.input.as_mut().poll_write(context, data)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.input.as_mut().poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.input.as_mut().poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_relay_tells_where_it_connects_from() {
        let words = |words: &str| source(words).map(|source| source.to_string());
        assert_eq!(words("connected 172.18.0.3 872").as_deref(), Some("172.18.0.3:872"));
        assert_eq!(words("connected fd00::3 872").as_deref(), Some("[fd00::3]:872"));
        assert_eq!(words("connected"), None);
    }

    #[test]
    fn what_a_relay_complains_about_is_an_error_of_the_system() {
        for (complaint, kind) in [
            ("Connection refused\n", io::ErrorKind::ConnectionRefused),
            (
                "bash: connect: Connection refused\nbash: line 3: /dev/tcp/10.0.0.1/2049: Connection refused",
                io::ErrorKind::ConnectionRefused,
            ),
            ("bash: nfs.invalid: Temporary failure in name resolution", io::ErrorKind::NotFound),
            ("sh: 4: exec: bash: not found", io::ErrorKind::Unsupported),
        ] {
            assert_eq!(unconnected(complaint).kind(), kind, "{complaint}");
        }
    }
}
