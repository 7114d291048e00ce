//! ONC RPC (RFC 5531) over a stream of bytes: record marking, `AUTH_SYS`, one call at a time.

use std::io;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::{Instant, timeout, timeout_at};

use super::fault::Fault;
use super::xdr::{Reader, Writer};

/// The largest answer that is read. What is asked here is answered in a few kilobytes; only a list
/// of exports may be longer.
const MOST: usize = 1 << 20;
/// Set in the head of a record's last fragment; the rest is the fragment's length.
const LAST: u32 = 1 << 31;

const CALL: u32 = 0;
const REPLY: u32 = 1;
const RPC_VERSION: u32 = 2;
const AUTH_NONE: u32 = 0;
pub const AUTH_SYS: u32 = 1;
/// RFC 5531 §8.2: no credential or verifier is longer.
const MOST_AUTH: usize = 400;

/// A program and its version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Program {
    pub number: u32,
    pub version: u32,
}

/// The procedure of every program that does nothing but answer.
const NULL: u32 = 0;

/// One connection to a service.
#[derive(Debug)]
pub struct Caller<S> {
    stream: S,
    next: u32,
    credentials: Writer,
    until: Instant,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Caller<S> {
    /// Calls as this user, and waits for answers up to that moment.
    pub fn new(stream: S, user: (u32, u32), until: Instant) -> Self {
        Self { stream, next: random(), credentials: auth_sys(user), until }
    }

    pub fn stream(&self) -> &S {
        &self.stream
    }

    pub fn wait_until(&mut self, until: Instant) {
        self.until = until;
    }

    pub fn until(&self) -> Instant {
        self.until
    }

    /// Asks the service whether it is there.
    pub async fn greet(&mut self, program: Program) -> Result<(), Fault> {
        self.call(program, NULL, &Writer::default()).await.map(drop)
    }

    /// Calls a procedure and gives what it answers, behind RPC's own part.
    pub async fn call(
        &mut self,
        program: Program,
        procedure: u32,
        arguments: &Writer,
    ) -> Result<Reader, Fault> {
        let id = self.next;
        self.next = id.wrapping_add(1);
        let mut call = Writer::default();
        call.u32(id).u32(CALL).u32(RPC_VERSION);
        call.u32(program.number).u32(program.version).u32(procedure);
        call.append(&self.credentials).u32(AUTH_NONE).opaque([]).append(arguments);

        let exchanged = timeout_at(self.until, exchange(&mut self.stream, call.into_bytes()));
        let mut answer = exchanged.await.unwrap_or(Err(Fault::Silent))?;
        accepted(&mut answer, id)?;
        Ok(answer)
    }
}

/// RFC 5531 appendix A. Its stamp and machine name are for logs.
fn auth_sys((user, group): (u32, u32)) -> Writer {
    let mut body = Writer::default();
    body.u32(0).opaque("topo").u32(user).u32(group).u32(0);
    let mut credentials = Writer::default();
    credentials.u32(AUTH_SYS).opaque(body.into_bytes());
    credentials
}

async fn exchange(
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    call: Bytes,
) -> Result<Reader, Fault> {
    let length = u32::try_from(call.len()).unwrap_or(u32::MAX);
    let mut record = BytesMut::from(&(LAST | length).to_be_bytes()[..]);
    record.extend_from_slice(&call);
    // A server that refuses may have answered and closed before the call was written.
    let written = async {
        stream.write_all(&record).await?;
        stream.flush().await
    };
    let written = written.await;
    let answer = read_record(stream).await;
    match (written, answer) {
        (Err(error), Err(Fault::Closed(_))) => Err(closed(&error)),
        (_, answer) => answer.map(Reader::new),
    }
}

/// Memory grows with what arrives, whatever lengths are claimed.
async fn read_record(stream: &mut (impl AsyncRead + Unpin)) -> Result<Bytes, Fault> {
    let mut record = Vec::new();
    loop {
        let head = stream.read_u32().await.map_err(|error| closed(&error))?;
        let length = (head & !LAST) as usize;
        let last = head & LAST != 0;
        if record.len() + length > MOST || (length == 0 && !last) {
            return Err(Fault::Garbled(foreign(head, &record, stream).await));
        }
        let before = record.len();
        let mut fragment = (&mut *stream).take(length as u64);
        fragment.read_to_end(&mut record).await.map_err(|error| closed(&error))?;
        if record.len() - before < length {
            return Err(Fault::Closed("in the middle of an answer".to_owned()));
        }
        if last {
            return Ok(record.into());
        }
    }
}

/// The beginning of what is no record, which often says who is there: `SSH-2.0-…`, `HTTP/1.1 …`.
async fn foreign(head: u32, record: &[u8], stream: &mut (impl AsyncRead + Unpin)) -> String {
    const SHOWN: usize = 60;
    const REST_OF_LINE: Duration = Duration::from_millis(200);
    if !record.is_empty() {
        return "an answer without an end".to_owned();
    }
    let mut begin = head.to_be_bytes().to_vec();
    let mut rest = [0; SHOWN];
    if let Ok(Ok(count)) = timeout(REST_OF_LINE, stream.read(&mut rest)).await {
        begin.extend_from_slice(&rest[..count]);
    }
    let line = begin.split(|byte| matches!(byte, b'\r' | b'\n')).next().unwrap_or_default();
    if line.iter().all(|byte| (b' '..=b'~').contains(byte)) {
        format!("`{}`", String::from_utf8_lossy(line))
    } else {
        "bytes that are no RPC".to_owned()
    }
}

fn closed(error: &io::Error) -> Fault {
    Fault::Closed(match error.kind() {
        io::ErrorKind::UnexpectedEof => "without a word".to_owned(),
        io::ErrorKind::ConnectionReset => "with a reset".to_owned(),
        io::ErrorKind::BrokenPipe => "before it could be asked".to_owned(),
        _ => format!("with: {error}"),
    })
}

/// Takes RPC's part off an answer, if it says that the call was carried out.
fn accepted(answer: &mut Reader, id: u32) -> Result<(), Fault> {
    const DENIED: u32 = 1;
    if (answer.u32()?, answer.u32()?) != (id, REPLY) {
        return Err(Fault::Garbled("an answer to something that was not asked".to_owned()));
    }
    if answer.u32()? == DENIED {
        return Err(match answer.u32()? {
            0 => Fault::Rejected("another version of RPC is spoken (RPC_MISMATCH)"),
            _ => Fault::Unauthenticated(answer.u32()?),
        });
    }
    let _verifier = (answer.u32()?, answer.opaque(MOST_AUTH)?);
    match answer.u32()? {
        0 => Ok(()),
        1 => Err(Fault::OtherService),
        2 => Err(Fault::Mismatch { low: answer.u32()?, high: answer.u32()? }),
        3 => Err(Fault::Rejected("the procedure is not known (PROC_UNAVAIL)")),
        4 => Err(Fault::Rejected("the arguments could not be read (GARBAGE_ARGS)")),
        5 => Err(Fault::Rejected("the service failed inside (SYSTEM_ERR)")),
        other => Err(Fault::Garbled(format!("{other} where RPC says how a call went"))),
    }
}

/// Numbers that others should not have as well: of calls, of clients, of probe files.
pub fn random() -> u32 {
    // Without the system's source of randomness the process id still tells trials apart.
    getrandom::u32().unwrap_or_else(|_| std::process::id())
}
