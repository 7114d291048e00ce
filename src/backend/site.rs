//! A page for browsers, and news for it as they happen. Nothing can be changed through it.
//!
//! A foreign web page may send a browser here, by this machine's names or by a name of its own that leads
//! here: a request for another host, or from another page, is refused.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::time::timeout;

/// Readers at the same time.
const MOST: usize = 32;
const LONGEST_REQUEST: usize = 16 * 1024;
const MOST_HEADERS: usize = 64;
const REQUEST_LIMIT: Duration = Duration::from_secs(10);
/// A reader that has gone is noticed when it is written to.
const SIGN_OF_LIFE: Duration = Duration::from_secs(15);
/// The page is whole: it loads nothing, and is shown in no other page.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; \
    connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'";

/// What is to be read now.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Issue {
    pub page: Arc<str>,
    /// One line of JSON.
    pub news: Arc<str>,
}

/// Served until it is let go.
#[derive(Debug)]
pub struct Site {
    issues: watch::Sender<Issue>,
    pub url: String,
}

#[derive(Debug, Clone)]
struct Door {
    at: SocketAddr,
    /// What the address must end with; none where only this machine comes in.
    token: Option<Arc<str>>,
}

impl Site {
    /// Other machines are let in at an address of theirs, by a token that cannot be guessed.
    pub async fn open(at: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind(at).await?;
        let at = listener.local_addr()?;
        let token = if at.ip().is_loopback() { None } else { Some(token()?.into()) };
        let query = token.as_ref().map(|token| format!("?token={token}")).unwrap_or_default();
        let (issues, readers) = watch::channel(Issue::default());
        tokio::spawn(serve(listener, Door { at, token }, readers));
        Ok(Self { issues, url: format!("http://{at}/{query}") })
    }

    pub fn publish(&self, issue: Issue) {
        self.issues.send_if_modified(|last| {
            let is_news = *last != issue;
            *last = issue;
            is_news
        });
    }
}

fn token() -> io::Result<String> {
    let mut random = [0; 16];
    getrandom::fill(&mut random)?;
    Ok(format!("{:032x}", u128::from_ne_bytes(random)))
}

async fn serve(listener: TcpListener, door: Door, issues: watch::Receiver<Issue>) {
    let seats = Arc::new(Semaphore::new(MOST));
    let mut ended = issues.clone();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = end(&mut ended) => return,
        };
        let Ok((stream, _)) = accepted else { continue };
        // One more than there is room for is hung up on.
        let Ok(seat) = Arc::clone(&seats).try_acquire_owned() else { continue };
        let (door, issues) = (door.clone(), issues.clone());
        tokio::spawn(async move {
            // Whoever reads may go at any time.
            let _ = answer(stream, &door, issues).await;
            drop(seat);
        });
    }
}

/// Until nothing will be published any more.
async fn end(issues: &mut watch::Receiver<Issue>) {
    while issues.changed().await.is_ok() {}
}

async fn answer(
    mut stream: TcpStream,
    door: &Door,
    mut issues: watch::Receiver<Issue>,
) -> io::Result<()> {
    let Ok(request) = timeout(REQUEST_LIMIT, read(&mut stream)).await else { return Ok(()) };
    match door.ask(&request?) {
        Answer::Page => {
            let page = Arc::clone(&issues.borrow().page);
            let head = head("200 OK", "text/html; charset=utf-8");
            stream
                .write_all(format!("{head}Content-Length: {}\r\n\r\n{page}", page.len()).as_bytes())
                .await
        }
        Answer::News => {
            stream.write_all((head("200 OK", "text/event-stream") + "\r\n").as_bytes()).await?;
            loop {
                let news = Arc::clone(&issues.borrow_and_update().news);
                stream.write_all(format!("data: {news}\n\n").as_bytes()).await?;
                loop {
                    match timeout(SIGN_OF_LIFE, issues.changed()).await {
                        Ok(Ok(())) => break,
                        Ok(Err(_)) => return Ok(()),
                        Err(_) => stream.write_all(b":\n\n").await?,
                    }
                }
            }
        }
        Answer::Refused(status) => {
            let head = head(status, "text/plain");
            stream
                .write_all(
                    format!("{head}Content-Length: {}\r\n\r\n{status}", status.len()).as_bytes(),
                )
                .await
        }
    }
}

fn head(status: &str, kind: &str) -> String {
    format!(
        "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Security-Policy: {POLICY}\r\n\
         X-Content-Type-Options: nosniff\r\nReferrer-Policy: no-referrer\r\nCache-Control: no-store\r\n\
         Connection: close\r\n"
    )
}

/// As far as the empty line that ends its head.
async fn read(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut request = Vec::new();
    while !request.windows(4).any(|four| four == b"\r\n\r\n") {
        if request.len() > LONGEST_REQUEST || stream.read_buf(&mut request).await? == 0 {
            return Err(io::ErrorKind::InvalidData.into());
        }
    }
    Ok(request)
}

#[derive(Debug, PartialEq, Eq)]
enum Answer {
    Page,
    News,
    Refused(&'static str),
}

impl Door {
    fn ask(&self, request: &[u8]) -> Answer {
        let mut headers = [httparse::EMPTY_HEADER; MOST_HEADERS];
        let mut parsed = httparse::Request::new(&mut headers);
        let (Ok(_), Some(method), Some(target)) =
            (parsed.parse(request), parsed.method, parsed.path)
        else {
            return Answer::Refused("400 Bad Request");
        };
        let header = |name: &str| {
            let found = parsed.headers.iter().find(|header| header.name.eq_ignore_ascii_case(name));
            found.and_then(|header| std::str::from_utf8(header.value).ok())
        };
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let host = header("host").unwrap_or_default();
        let origin = header("origin").map(|origin| origin == format!("http://{host}"));
        if !self.is_meant(host) || origin == Some(false) || !self.is_let_in(query) {
            return Answer::Refused("403 Forbidden");
        }
        match (method, path) {
            ("GET", "/") => Answer::Page,
            ("GET", "/events") => Answer::News,
            ("GET", _) => Answer::Refused("404 Not Found"),
            _ => Answer::Refused("405 Method Not Allowed"),
        }
    }

    /// By an address, which no foreign name leads to, or as this machine names itself.
    fn is_meant(&self, host: &str) -> bool {
        let name = host.strip_suffix(&format!(":{}", self.at.port())).unwrap_or(host);
        let address: Option<IpAddr> = name.trim_matches(['[', ']']).parse().ok();
        match address {
            Some(address) => self.token.is_some() || address.is_loopback(),
            None => name == "localhost",
        }
    }

    fn is_let_in(&self, query: &str) -> bool {
        let Some(token) = &self.token else { return true };
        query.split('&').any(|part| part.strip_prefix("token=") == Some(&**token))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn door(at: &str, token: Option<&str>) -> Door {
        Door { at: at.parse().expect("an address"), token: token.map(Into::into) }
    }

    fn asked(door: &Door, line: &str, headers: &str) -> Answer {
        door.ask(format!("{line} HTTP/1.1\r\n{headers}\r\n").as_bytes())
    }

    const FORBIDDEN: Answer = Answer::Refused("403 Forbidden");

    #[test]
    fn only_what_was_meant_for_this_machine_is_answered() {
        let own = door("127.0.0.1:8080", None);
        for host in ["127.0.0.1:8080", "localhost:8080", "[::1]:8080"] {
            assert_eq!(asked(&own, "GET /", &format!("Host: {host}\r\n")), Answer::Page, "{host}");
        }
        for host in ["evil.example:8080", "127.0.0.1.evil.example", "192.168.1.5:8080", ""] {
            assert_eq!(asked(&own, "GET /", &format!("Host: {host}\r\n")), FORBIDDEN, "{host}");
        }
        let from = |origin: &str| format!("Host: localhost:8080\r\nOrigin: {origin}\r\n");
        assert_eq!(asked(&own, "GET /events", &from("http://localhost:8080")), Answer::News);
        assert_eq!(asked(&own, "GET /events", &from("http://evil.example")), FORBIDDEN);
        assert_eq!(asked(&own, "GET /events", &from("null")), FORBIDDEN);
    }

    #[test]
    fn other_machines_need_the_token() {
        let open = door("0.0.0.0:8080", Some("5ecret"));
        let host = "Host: 192.168.1.5:8080\r\n";
        assert_eq!(asked(&open, "GET /?token=5ecret", host), Answer::Page);
        assert_eq!(asked(&open, "GET /events?token=5ecret", host), Answer::News);
        for line in ["GET /", "GET /?token=5ecre", "GET /?token=", "GET /?x5ecret"] {
            assert_eq!(asked(&open, line, host), FORBIDDEN, "{line}");
        }
    }

    #[test]
    fn nothing_else_can_be_asked_for() {
        let own = door("127.0.0.1:8080", None);
        let host = "Host: localhost:8080\r\n";
        assert_eq!(asked(&own, "GET /etc/passwd", host), Answer::Refused("404 Not Found"));
        assert_eq!(asked(&own, "POST /", host), Answer::Refused("405 Method Not Allowed"));
        assert_eq!(own.ask(b"\x16\x03\x01\r\n\r\n"), Answer::Refused("400 Bad Request"));
    }

    #[tokio::test]
    async fn a_reader_gets_the_page_and_every_news() {
        let site = Site::open("127.0.0.1:0".parse().expect("an address")).await.expect("a port");
        let issue = |news: &str| Issue { page: "<p>".into(), news: news.into() };
        site.publish(issue("1"));
        let at = site.url.trim_start_matches("http://").trim_end_matches('/').to_owned();
        let ask = async |path: &str| {
            let mut stream = TcpStream::connect(&at).await.expect("open");
            let request = format!("GET {path} HTTP/1.1\r\nHost: {at}\r\n\r\n");
            stream.write_all(request.as_bytes()).await.expect("written");
            stream
        };
        let mut page = String::new();
        ask("/").await.read_to_string(&mut page).await.expect("read");
        assert!(page.starts_with("HTTP/1.1 200 OK") && page.ends_with("\r\n\r\n<p>"), "{page}");

        let mut events = ask("/events").await;
        let mut heard = Vec::new();
        while !heard.ends_with(b"data: 1\n\n") {
            events.read_buf(&mut heard).await.expect("the first");
        }
        site.publish(issue("2"));
        drop(site);
        events.read_to_end(&mut heard).await.expect("the rest");
        assert!(heard.ends_with(b"data: 1\n\ndata: 2\n\n"), "{}", String::from_utf8_lossy(&heard));
    }
}
