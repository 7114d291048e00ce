//! How far a connection to a published port gets.

use std::io::ErrorKind;
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::time::timeout;

const CONNECT_LIMIT: Duration = Duration::from_secs(2);
/// The engine's proxy accepts for everybody and hangs up at once where nothing listens behind it.
const HANG_UP_LIMIT: Duration = Duration::from_millis(400);
const DROP_LIMIT: Duration = Duration::from_millis(20);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// Somebody behind the port has spoken.
    Answers,
    /// The connection is held. Most servers let the client speak first; but whoever forwards it
    /// holds it too, while it looks for somebody to hand it on to.
    Holds,
    /// The port takes connections and drops them: nothing listens behind it.
    HangsUp,
    Refused,
    /// Somebody on the way says so at once, as firewalls do that reject.
    NoRoute,
    Silent,
}

impl Reach {
    /// Whether there may be somebody.
    pub fn is_open(self) -> bool {
        matches!(self, Self::Answers | Self::Holds)
    }

    /// As the end of a sentence that begins with a port that a gateway publishes.
    pub fn of_a_door(self) -> &'static str {
        match self {
            Self::Answers | Self::Holds => "answers",
            Self::HangsUp => "takes the connection, but nothing listens behind it",
            Self::Refused => "refuses the connection: it is not published",
            Self::NoRoute => "cannot be reached: no route to host",
            Self::Silent => "does not answer at all",
        }
    }

    /// As the end of a sentence that begins with what a forward leads to.
    pub fn of_a_target(self) -> &'static str {
        match self {
            Self::Answers | Self::Holds => "answers",
            Self::HangsUp => "hangs up at once",
            Self::Refused => "refuses the connection: nothing listens there",
            Self::NoRoute => {
                "cannot be reached: no route to host; no machine has this address, or a firewall rejects what it should forward"
            }
            Self::Silent => "does not answer: no machine has this address, or a firewall drops it",
        }
    }
}

/// Whether somebody takes a connection and keeps it, where only the kernel stands between: whoever
/// drops it does so within a few milliseconds.
pub async fn opens(host: &str, port: u16) -> bool {
    reach_within(host, port, DROP_LIMIT).await.is_open()
}

pub async fn reach(host: &str, port: u16) -> Reach {
    reach_within(host, port, HANG_UP_LIMIT).await
}

async fn reach_within(host: &str, port: u16, limit: Duration) -> Reach {
    let mut stream = match timeout(CONNECT_LIMIT, TcpStream::connect((host, port))).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => {
            return match error.kind() {
                ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable => Reach::NoRoute,
                _ => Reach::Refused,
            };
        }
        Err(_) => return Reach::Silent,
    };
    match timeout(limit, stream.read_u8()).await {
        Ok(Err(_)) => Reach::HangsUp,
        Ok(Ok(_)) => Reach::Answers,
        Err(_) => Reach::Holds,
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt;
    use tokio::net::TcpListener;

    use super::*;

    async fn listener() -> (TcpListener, u16) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = listener.local_addr().expect("is bound").port();
        (listener, port)
    }

    #[tokio::test]
    async fn one_that_hangs_up_is_told_from_one_that_waits() {
        let (hangs_up, dropping) = listener().await;
        tokio::spawn(async move { while hangs_up.accept().await.is_ok() {} });
        let (waits, holding) = listener().await;
        let held = tokio::spawn(async move { (waits.accept().await, waits.accept().await) });
        assert_eq!(reach("127.0.0.1", dropping).await, Reach::HangsUp);
        assert_eq!(reach("127.0.0.1", holding).await, Reach::Holds);
        assert!(opens("127.0.0.1", holding).await);
        assert!(held.await.is_ok_and(|accepted| accepted.0.is_ok() && accepted.1.is_ok()));
    }

    #[tokio::test]
    async fn one_that_speaks_first_answers_and_one_that_is_not_there_refuses() {
        let (speaks, port) = listener().await;
        tokio::spawn(async move {
            let (mut stream, _) = speaks.accept().await.expect("a connection");
            stream.write_all(b"SSH-2.0").await.expect("is written");
        });
        assert_eq!(reach("127.0.0.1", port).await, Reach::Answers);
        let (gone, port) = listener().await;
        drop(gone);
        assert_eq!(reach("127.0.0.1", port).await, Reach::Refused);
        assert!(!opens("127.0.0.1", port).await);
    }
}
