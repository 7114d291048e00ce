//! How a client makes itself known: by a confirmed id in 4.0, by a session in 4.1 and later.

use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, sleep};

use super::super::fault::Fault;
use super::super::rpc::{Caller, random};
use super::super::xdr::{Reader, Writer};
use super::compound::{Compound, Operation, Results};

pub const PAUSE: Duration = Duration::from_millis(250);
/// What a server would call back for: a client here answers nothing, and is not asked, since it
/// gives no address and no back channel.
const CALLBACK_PROGRAM: u32 = 0x4000_0000;
const MOST_OPAQUE: usize = 1024;
const SESSION_ID: usize = 16;

/// A client that the server knows.
#[derive(Debug)]
pub struct Client<S> {
    nfs: Caller<S>,
    minor: u32,
    id: u64,
    session: Option<Session>,
    server: Option<String>,
}

#[derive(Debug)]
struct Session {
    id: Bytes,
    /// Of the one slot that is used.
    sequence: u32,
}

/// What a server says to `EXCHANGE_ID`.
struct Exchanged {
    client: u64,
    sequence: u32,
    server: Option<String>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Client<S> {
    pub async fn introduce(mut nfs: Caller<S>, minor: u32) -> Result<Self, Fault> {
        if minor == 0 {
            let id = confirmed_id(&mut nfs).await?;
            return Ok(Self { nfs, minor, id, session: None, server: None });
        }
        let exchanged = exchange_id(&mut nfs, minor).await?;
        let id = exchanged.client;
        let mut client = Self { nfs, minor, id, session: None, server: exchanged.server };
        match client.begin_session(exchanged.sequence).await {
            Ok(()) => Ok(client),
            Err(fault) => {
                client.leave().await;
                Err(fault)
            }
        }
    }

    async fn begin_session(&mut self, sequence: u32) -> Result<(), Fault> {
        let id = create_session(&mut self.nfs, self.minor, self.id, sequence).await?;
        self.session = Some(Session { id, sequence: 0 });
        // Nothing is reclaimed; until this is said, a server may refuse to open files.
        let mut request = Compound::default();
        request.operation(Operation::ReclaimComplete).bool(false);
        self.send(request).await?.take(Operation::ReclaimComplete).map(drop)
    }

    /// Sends a request, within the session where there is one, and again as long as the server
    /// wants to be asked again.
    pub async fn send(&mut self, request: Compound) -> Result<Results, Fault> {
        loop {
            let results = self.send_once(request.clone()).await?;
            if results.passing().is_none() || Instant::now() + PAUSE > self.nfs.until() {
                return Ok(results);
            }
            sleep(PAUSE).await;
        }
    }

    /// Without a second try: for requests whose operations are counted by the server.
    pub async fn send_once(&mut self, request: Compound) -> Result<Results, Fault> {
        let Some(session) = &mut self.session else {
            return request.send(&mut self.nfs, self.minor).await;
        };
        let next = session.sequence.wrapping_add(1);
        let mut whole = Compound::default();
        let sequence = whole.operation(Operation::Sequence);
        // Slot 0, the highest in use, and no need to keep the answer.
        sequence.fixed(&session.id).u32(next).u32(0).u32(0).bool(false);
        whole.append(&request);
        let mut results = whole.send(&mut self.nfs, self.minor).await?;
        let answer = results.take(Operation::Sequence)?;
        let _session_slots_and_flags = (answer.fixed(SESSION_ID)?, answer.fixed(5 * 4)?);
        session.sequence = next;
        Ok(results)
    }

    /// Gives session and id back. In 4.0 there is no way to: the id ends with its lease.
    pub async fn leave(&mut self) {
        if self.minor == 0 {
            return;
        }
        // A server that does not take them back lets them run out.
        if let Some(session) = self.session.take() {
            let mut request = Compound::default();
            request.operation(Operation::DestroySession).fixed(&session.id);
            let _ = request.send(&mut self.nfs, self.minor).await;
        }
        let mut request = Compound::default();
        request.operation(Operation::DestroyClientId).u64(self.id);
        let _ = request.send(&mut self.nfs, self.minor).await;
    }

    pub fn id(&self) -> u64 {
        self.id
    }

    /// Whether files are opened in a session, which needs no numbers of its own for them.
    pub fn has_session(&self) -> bool {
        self.session.is_some()
    }

    pub fn server(&self) -> Option<&str> {
        self.server.as_deref()
    }

    pub fn wait_until(&mut self, until: Instant) {
        self.nfs.wait_until(until);
    }

    pub fn until(&self) -> Instant {
        self.nfs.until()
    }
}

/// A name that no other client has, and a number that tells this run of it from another.
fn owner(request: &mut Writer) {
    request.u32(random()).u32(random());
    request.opaque(format!("topo/{:08x}{:08x}", random(), random()));
}

async fn confirmed_id<S>(nfs: &mut Caller<S>) -> Result<u64, Fault>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut request = Compound::default();
    let set = request.operation(Operation::SetClientId);
    owner(set);
    set.u32(CALLBACK_PROGRAM).opaque("tcp").opaque("0.0.0.0.0.0").u32(0);
    let mut results = request.send(nfs, 0).await?;
    let answer = results.take(Operation::SetClientId)?;
    let id = answer.u64()?;
    let confirm = answer.fixed(8)?;

    let mut request = Compound::default();
    request.operation(Operation::SetClientIdConfirm).u64(id).fixed(&confirm);
    request.send(nfs, 0).await?.take(Operation::SetClientIdConfirm)?;
    Ok(id)
}

async fn exchange_id<S>(nfs: &mut Caller<S>, minor: u32) -> Result<Exchanged, Fault>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    const NO_PROTECTION: u32 = 0;
    let mut request = Compound::default();
    let exchange = request.operation(Operation::ExchangeId);
    owner(exchange);
    // No flags, no state protection, nothing said of the implementation.
    exchange.u32(0).u32(NO_PROTECTION).u32(0);
    let mut results = request.send(nfs, minor).await?;
    let answer = results.take(Operation::ExchangeId)?;
    let (client, sequence, _flags) = (answer.u64()?, answer.u32()?, answer.u32()?);
    if answer.u32()? != NO_PROTECTION {
        return Err(Fault::Garbled("state protection that was not asked for".to_owned()));
    }
    let _owner = (answer.u64()?, answer.opaque(MOST_OPAQUE)?);
    let _scope = answer.opaque(MOST_OPAQUE)?;
    Ok(Exchanged { client, sequence, server: implementation(answer)? })
}

/// `server_impl_id`: at most one, of a domain, a name and a date.
fn implementation(answer: &mut Reader) -> Result<Option<String>, Fault> {
    if answer.u32()? == 0 {
        return Ok(None);
    }
    let (domain, name) = (answer.text(MOST_OPAQUE)?, answer.text(MOST_OPAQUE)?);
    let said = [name, domain].into_iter().find(|said| !said.is_empty());
    Ok(said.map(|said| said.escape_debug().to_string()))
}

async fn create_session<S>(
    nfs: &mut Caller<S>,
    minor: u32,
    client: u64,
    sequence: u32,
) -> Result<Bytes, Fault>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    const REQUEST: u32 = 64 * 1024;
    let mut request = Compound::default();
    let create = request.operation(Operation::CreateSession);
    create.u64(client).u32(sequence).u32(0);
    for (operations, size) in [(32, REQUEST), (2, 4096)] {
        // The fore channel, then the back channel that is not used: sizes of padding, request,
        // answer and kept answer; operations, requests at a time; no RDMA.
        create.u32(0).u32(size).u32(size).u32(4096).u32(operations).u32(1).u32(0);
    }
    let without_authentication = [1, 0];
    create.u32(CALLBACK_PROGRAM).u32(without_authentication[0]).u32(without_authentication[1]);
    let mut results = request.send(nfs, minor).await?;
    Ok(results.take(Operation::CreateSession)?.fixed(SESSION_ID)?)
}
