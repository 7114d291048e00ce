//! One connection: request by request, each passed on or struck.

use std::io::{self, BufReader, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use super::fault::What;
use super::http::{Body, Head, pass, pieces};
use super::run::{Run, is_exec};

/// A body up to this length is read before it is passed on.
const SHORT: u64 = 1 << 20;

/// A program has taken notice of a signal after so long.
const TO_BE_HEARD: Duration = Duration::from_millis(30);

const GARBAGE: &[u8] = b"\0\xff{]\r\n";

struct Line {
    from_client: BufReader<UnixStream>,
    to_client: UnixStream,
    from_engine: BufReader<UnixStream>,
    to_engine: UnixStream,
}

pub fn serve(client: UnixStream, engine: UnixStream, run: &Run) -> io::Result<()> {
    run.has(&client)?;
    run.has(&engine)?;
    let mut line = Line {
        from_client: BufReader::new(client.try_clone()?),
        to_client: client,
        from_engine: BufReader::new(engine.try_clone()?),
        to_engine: engine,
    };
    while let Some(request) = Head::read(&mut line.from_client)? {
        let (short, rest) = line.short_body(&request)?;
        let what = run.begin(&request, &short);
        let struck = match what {
            Some(What::Refused(status)) => line.refuse(rest, status).map(|()| End::Again),
            Some(What::ResetBefore) => Ok(End::Close),
            Some(What::KilledBefore) => Ok(End::Kill),
            what => {
                let what = signalled(what, run);
                line.send(&request, &short, rest);
                line.answer(Asked { request: &request, body: &short, what }, run)
            }
        };
        match struck? {
            End::Again => {}
            End::Close => break,
            End::Kill => run.kill(),
            End::Hold => run.wait_for_end(),
            End::Raw(what) => return line.raw(what, run),
        }
    }
    line.close();
    Ok(())
}

struct Asked<'a> {
    request: &'a Head,
    body: &'a [u8],
    what: Option<What>,
}

/// How it goes on after a call.
enum End {
    Again,
    Close,
    Kill,
    Hold,
    /// No more messages: raw bytes both ways.
    Raw(Option<What>),
}

/// A run that gets a signal has its call all the same.
fn signalled(what: Option<What>, run: &Run) -> Option<What> {
    let Some(What::Signalled(signal, times)) = what else { return what };
    for _ in 0..times {
        run.signal(signal);
        std::thread::sleep(TO_BE_HEARD);
    }
    None
}

/// After an answer of which not all was passed on.
fn after(what: Option<What>) -> End {
    match what {
        None => End::Again,
        Some(What::KilledAfter) => End::Kill,
        Some(What::Stalled) => End::Hold,
        Some(_) => End::Close,
    }
}

impl Line {
    /// The body if it is short, and otherwise where it ends.
    fn short_body(&mut self, request: &Head) -> io::Result<(Vec<u8>, Body)> {
        let body = request.body_of_request();
        let mut short = Vec::new();
        match body {
            Body::Length(length) if length <= SHORT => {
                pass(body, &mut self.from_client, &mut short)?;
                Ok((short, Body::Empty))
            }
            _ => Ok((short, body)),
        }
    }

    /// An engine that answers before it has all closes its end: its answer counts.
    fn send(&mut self, request: &Head, short: &[u8], rest: Body) {
        let sent = self.to_engine.write_all(&request.raw);
        let sent = sent.and_then(|()| self.to_engine.write_all(short));
        let _ = sent.and_then(|()| pass(rest, &mut self.from_client, &mut self.to_engine));
    }

    fn refuse(&mut self, rest: Body, status: u16) -> io::Result<()> {
        pass(rest, &mut self.from_client, &mut io::sink())?;
        let said = r#"{"message":"the way to the engine refuses"}"#;
        let length = said.len();
        write!(
            self.to_client,
            "HTTP/1.1 {status} Refused\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{said}"
        )
    }

    fn answer(&mut self, asked: Asked, run: &Run) -> io::Result<End> {
        let Some(answer) = Head::read(&mut self.from_engine)? else { return Ok(End::Close) };
        if answer.is_upgraded() {
            self.to_client.write_all(&answer.raw)?;
            return Ok(End::Raw(asked.what));
        }
        let body = answer.body_of_answer(asked.request.method());
        match asked.what {
            None if is_exec(asked.request.method(), asked.request.path()) => {
                self.exec_made(&answer, body, asked.body, run)?;
            }
            None => {
                self.to_client.write_all(&answer.raw)?;
                pass(body, &mut self.from_engine, &mut self.to_client)?;
                if body == Body::UntilClosed {
                    return Ok(End::Close);
                }
            }
            Some(what) => self.spoil(what, &answer, body, asked.request.method())?,
        }
        Ok(after(asked.what))
    }

    fn exec_made(
        &mut self,
        answer: &Head,
        body: Body,
        request: &[u8],
        run: &Run,
    ) -> io::Result<()> {
        let mut said = Vec::new();
        pass(body, &mut self.from_engine, &mut said)?;
        run.exec_made(request, &said);
        self.to_client.write_all(&answer.raw)?;
        self.to_client.write_all(&said)
    }

    /// What changes something is let come to its end first; what is only read may have none.
    fn spoil(&mut self, what: What, answer: &Head, body: Body, method: &str) -> io::Result<()> {
        if what == What::Garbled {
            write!(self.to_client, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", GARBAGE.len())?;
            self.to_client.write_all(GARBAGE)?;
        }
        let half = match (what, body) {
            (What::HalfAnswered | What::Stalled, Body::Length(length)) => length / 2,
            (What::HalfAnswered | What::Stalled, _) => 5,
            _ => 0,
        };
        if matches!(what, What::HalfAnswered | What::Stalled) {
            self.to_client.write_all(&answer.raw)?;
        }
        let mut to = First { left: half, to: &mut self.to_client };
        if method == "GET" && body != Body::Empty {
            let mut begun = self.from_engine.by_ref().take(half);
            return pieces(&mut begun, &mut to);
        }
        pass(body, &mut self.from_engine, &mut to)
    }

    /// To the end of what the engine says.
    fn raw(mut self, what: Option<What>, run: &Run) -> io::Result<()> {
        let (mut from_client, mut to_engine) = (self.from_client, self.to_engine.try_clone()?);
        std::thread::spawn(move || {
            let _ = pieces(&mut from_client, &mut to_engine);
            let _ = to_engine.shutdown(Shutdown::Write);
        });
        if what == Some(What::Garbled) {
            self.to_client.write_all(GARBAGE)?;
        }
        let left = match what {
            None => u64::MAX,
            Some(What::HalfAnswered | What::Stalled) => 5,
            Some(_) => 0,
        };
        let passed = pieces(&mut self.from_engine, &mut First { left, to: &mut self.to_client });
        match after(what) {
            End::Kill => run.kill(),
            End::Hold => run.wait_for_end(),
            _ => {}
        }
        let _ = self.to_client.shutdown(Shutdown::Both);
        let _ = self.to_engine.shutdown(Shutdown::Both);
        passed
    }

    fn close(&self) {
        let _ = self.to_client.shutdown(Shutdown::Both);
        let _ = self.to_engine.shutdown(Shutdown::Both);
    }
}

/// Takes everything, and passes on the first of it.
struct First<'a> {
    left: u64,
    to: &'a mut UnixStream,
}

impl Write for First<'_> {
    fn write(&mut self, piece: &[u8]) -> io::Result<usize> {
        let passed = usize::try_from(self.left).unwrap_or(usize::MAX).min(piece.len());
        self.to.write_all(&piece[..passed])?;
        self.left -= passed as u64;
        Ok(piece.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
