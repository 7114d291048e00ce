//! What is spoken at a port, found out as a browser would: by asking for a page.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// A page that is slow is a page: what comes first is not waited for any longer.
const ANSWER_LIMIT: Duration = Duration::from_secs(3);
/// Of what is said more than this tells no more.
const HEARD: u64 = 1024;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Speech {
    Http,
    Https,
    /// The first line of something else.
    Other(String),
    /// It hears the question and says nothing, or is not there.
    None,
}

/// Asked by HTTP, since whoever speaks HTTPS answers that in one of two known ways.
pub async fn speech(host: &str, port: u16) -> Speech {
    let mut heard = Vec::new();
    let asked = async {
        let mut stream = TcpStream::connect((host, port)).await?;
        let question = format!("GET / HTTP/1.0\r\nHost: {host}:{port}\r\nAccept: */*\r\n\r\n");
        stream.write_all(question.as_bytes()).await?;
        stream.take(HEARD).read_to_end(&mut heard).await
    };
    // One that goes on speaking, or breaks off, has said something before.
    let _ = timeout(ANSWER_LIMIT, asked).await;
    understood(&heard)
}

fn understood(heard: &[u8]) -> Speech {
    /// TLS' own word for a question that it does not understand.
    const ALERT: [u8; 2] = [0x15, 0x03];
    let text = String::from_utf8_lossy(heard);
    let first = text.lines().next().unwrap_or_default();
    if heard.is_empty() {
        Speech::None
    } else if heard.starts_with(&ALERT) || (first.contains(" 400 ") && text.contains("HTTPS")) {
        Speech::Https
    } else if first.starts_with("HTTP/") {
        Speech::Http
    } else {
        Speech::Other(first.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    #[test]
    fn what_is_heard_tells_what_is_spoken() {
        for (heard, spoken) in [
            (&b"HTTP/1.1 200 OK\r\n\r\nan HTTPS guide"[..], Speech::Http),
            (b"HTTP/1.1 404 Not Found\r\n", Speech::Http),
            (b"\x15\x03\x01\x00\x02\x02\x46", Speech::Https),
            (
                b"HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.",
                Speech::Https,
            ),
            (b"SSH-2.0-OpenSSH_9.2\r\n", Speech::Other("SSH-2.0-OpenSSH_9.2".to_owned())),
            (b"", Speech::None),
        ] {
            assert_eq!(understood(heard), spoken);
        }
    }

    #[tokio::test]
    async fn one_that_answers_is_heard_and_one_that_is_not_there_is_silent() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = listener.local_addr().expect("is bound").port();
        let answer = async {
            let (mut stream, _) = listener.accept().await.expect("a connection");
            stream.read_u8().await.expect("a question");
            stream.write_all(b"HTTP/1.1 200 OK\r\n").await.expect("is written");
        };
        let (heard, ()) = tokio::join!(speech("127.0.0.1", port), answer);
        assert_eq!(heard, Speech::Http);
        drop(listener);
        assert_eq!(speech("127.0.0.1", port).await, Speech::None);
    }
}
