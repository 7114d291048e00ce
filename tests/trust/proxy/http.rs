//! As much of HTTP/1.1 as it takes to pass messages on: heads, and bodies by the length they say.

use std::io::{self, BufRead, Read, Write};

/// The first line and the headers of a message, and the bytes that they came in.
pub struct Head {
    pub first: String,
    headers: Vec<(String, String)>,
    pub raw: Vec<u8>,
}

/// Where a body ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Body {
    Empty,
    Length(u64),
    Chunked,
    UntilClosed,
}

impl Head {
    /// None where the connection ended between two messages.
    pub fn read(from: &mut impl BufRead) -> io::Result<Option<Self>> {
        let mut raw = Vec::new();
        let mut lines = Vec::new();
        loop {
            let mut line = Vec::new();
            if from.read_until(b'\n', &mut line)? == 0 {
                let is_between = raw.is_empty();
                return if is_between {
                    Ok(None)
                } else {
                    Err(io::ErrorKind::UnexpectedEof.into())
                };
            }
            raw.extend_from_slice(&line);
            let text = String::from_utf8_lossy(&line).trim_end().to_owned();
            if text.is_empty() {
                break;
            }
            lines.push(text);
        }
        let mut lines = lines.into_iter();
        let first = lines.next().unwrap_or_default();
        let headers = lines.filter_map(|line| {
            let (name, value) = line.split_once(':')?;
            Some((name.trim().to_ascii_lowercase(), value.trim().to_owned()))
        });
        Ok(Some(Self { first, headers: headers.collect(), raw }))
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The second word of a request's first line.
    pub fn path(&self) -> &str {
        self.first.split(' ').nth(1).unwrap_or_default()
    }

    pub fn method(&self) -> &str {
        self.first.split(' ').next().unwrap_or_default()
    }

    /// The second word of an answer's first line.
    pub fn status(&self) -> u16 {
        self.path().parse().unwrap_or_default()
    }

    pub fn body_of_request(&self) -> Body {
        self.announced().unwrap_or(Body::Empty)
    }

    pub fn body_of_answer(&self, method: &str) -> Body {
        let has_none = method == "HEAD" || matches!(self.status(), 100..200 | 204 | 304);
        if has_none { Body::Empty } else { self.announced().unwrap_or(Body::UntilClosed) }
    }

    /// From here on the connection carries raw bytes both ways.
    pub fn is_upgraded(&self) -> bool {
        let is_raw = |kind: &str| kind.starts_with("application/vnd.docker.raw-stream");
        self.status() == 101
            || (self.announced().is_none() && self.header("content-type").is_some_and(is_raw))
    }

    fn announced(&self) -> Option<Body> {
        if self.header("transfer-encoding").is_some_and(|coding| coding.contains("chunked")) {
            return Some(Body::Chunked);
        }
        match self.header("content-length")?.parse() {
            Ok(0) | Err(_) => Some(Body::Empty),
            Ok(length) => Some(Body::Length(length)),
        }
    }
}

/// Passes a body on, each piece as soon as it is there.
pub fn pass(body: Body, from: &mut impl BufRead, to: &mut impl Write) -> io::Result<()> {
    match body {
        Body::Empty => Ok(()),
        Body::Length(length) => pieces(&mut from.take(length), to),
        Body::UntilClosed => pieces(from, to),
        Body::Chunked => chunks(from, to),
    }
}

pub fn pieces(from: &mut impl BufRead, to: &mut impl Write) -> io::Result<()> {
    loop {
        let piece = from.fill_buf()?;
        if piece.is_empty() {
            return Ok(());
        }
        let length = piece.len();
        to.write_all(piece)?;
        to.flush()?;
        from.consume(length);
    }
}

fn chunks(from: &mut impl BufRead, to: &mut impl Write) -> io::Result<()> {
    loop {
        let size = line(from)?;
        to.write_all(&size)?;
        let digits = String::from_utf8_lossy(&size);
        let digits = digits.trim().split(';').next().unwrap_or_default();
        let length = u64::from_str_radix(digits, 16).map_err(|_| io::ErrorKind::InvalidData)?;
        if length == 0 {
            return trailers(from, to);
        }
        pieces(&mut from.take(length), to)?;
        to.write_all(&line(from)?)?;
        to.flush()?;
    }
}

fn trailers(from: &mut impl BufRead, to: &mut impl Write) -> io::Result<()> {
    loop {
        let trailer = line(from)?;
        to.write_all(&trailer)?;
        if trailer.trim_ascii().is_empty() {
            return to.flush();
        }
    }
}

fn line(from: &mut impl BufRead) -> io::Result<Vec<u8>> {
    let mut line = Vec::new();
    match from.read_until(b'\n', &mut line)? {
        0 => Err(io::ErrorKind::UnexpectedEof.into()),
        _ => Ok(line),
    }
}

#[test]
fn messages_are_told_apart_by_their_lengths() {
    let said = b"POST /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n\
                 DELETE /b HTTP/1.1\r\n\r\nPUT /c HTTP/1.1\r\nContent-Length: 2\r\n\r\nhi";
    let mut from = io::BufReader::new(said.as_slice());
    let mut seen = Vec::new();
    while let Some(head) = Head::read(&mut from).expect("a head") {
        let mut body = Vec::new();
        pass(head.body_of_request(), &mut from, &mut body).expect("a body");
        let body = String::from_utf8_lossy(&body).into_owned();
        seen.push(format!("{} {} {}", head.method(), head.path(), body.replace("\r\n", "|")));
    }
    assert_eq!(seen, ["POST /a 3|abc|0||", "DELETE /b ", "PUT /c hi"]);
}

#[test]
fn an_answer_without_a_length_ends_with_its_connection() {
    let answer = |text: &str| {
        Head::read(&mut io::BufReader::new(text.as_bytes())).expect("a head").expect("one")
    };
    let plain = answer("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n");
    assert_eq!(plain.body_of_answer("GET"), Body::UntilClosed);
    assert_eq!(plain.body_of_answer("HEAD"), Body::Empty);
    assert!(!plain.is_upgraded());
    assert!(answer("HTTP/1.1 101 UPGRADED\r\nUpgrade: tcp\r\n\r\n").is_upgraded());
}
