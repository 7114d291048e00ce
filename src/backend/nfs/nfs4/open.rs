//! A file that is made and open, with the state that the server keeps for it.

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, sleep};

use super::super::fault::{At, Failed, Fault, Step};
use super::super::status::Status;
use super::super::xdr::{Malformed, Reader};
use super::client::{Client, PAUSE};
use super::compound::{Compound, Operation};
use super::{MOST_HANDLE, attributes};

/// OPEN's `share_access`.
const READ_AND_WRITE: u32 = 3;
const WITHOUT_DELEGATION: u32 = 0x400;
const DENY_NONE: u32 = 0;
const MAKE: u32 = 1;
/// Of a file that is not there yet.
const GUARDED: u32 = 1;
const BY_NAME: u32 = 0;
const MODE: u32 = 0o644;
/// Among OPEN's `rflags`: the server wants to hear that the open was meant.
const CONFIRM: u32 = 2;

const STATE: usize = 16;
const MOST_WHO: usize = 1024;

#[derive(Debug)]
pub struct Open {
    pub file: Bytes,
    pub state: Bytes,
    /// What 4.0 numbers an owner's requests by.
    sequence: u32,
}

/// What OPEN answers, as far as it matters here.
struct Opened {
    state: Bytes,
    confirm: bool,
    delegation: Option<Bytes>,
}

impl Open {
    pub async fn create<S>(
        client: &mut Client<S>,
        folder: &Bytes,
        name: &str,
    ) -> Result<Self, Failed>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let mut sequence = 0;
        let (opened, file) = loop {
            match open(client, folder, name, sequence).await.at(Step::Create)? {
                Ok((opened, file)) => break (opened, file.at(Step::Open)?),
                Err(_) if Instant::now() + PAUSE < client.until() => sleep(PAUSE).await,
                Err(later) => return Err(Fault::Status(later).at(Step::Create)),
            }
            // Also what was put off has been counted.
            sequence += 1;
        };
        let mut open = Self { file, state: opened.state, sequence };
        if opened.confirm {
            open.confirm(client).await.at(Step::Open)?;
        }
        if let Some(delegation) = opened.delegation {
            open.give_back(client, &delegation).await.at(Step::Open)?;
        }
        Ok(open)
    }

    async fn confirm<S>(&mut self, client: &mut Client<S>) -> Result<(), Fault>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        self.sequence += 1;
        let mut request = Compound::on(&self.file);
        request.operation(Operation::OpenConfirm).fixed(&self.state).u32(self.sequence);
        let mut results = client.send_once(request).await?;
        results.take(Operation::PutFh)?;
        self.state = results.take(Operation::OpenConfirm)?.fixed(STATE)?;
        Ok(())
    }

    /// A delegation would be called back when the file is removed, and nobody here hears that.
    async fn give_back<S>(&self, client: &mut Client<S>, delegation: &Bytes) -> Result<(), Fault>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let mut request = Compound::on(&self.file);
        request.operation(Operation::DelegReturn).fixed(delegation);
        let mut results = client.send(request).await?;
        results.take(Operation::PutFh)?;
        results.take(Operation::DelegReturn).map(drop)
    }

    pub async fn close<S>(self, client: &mut Client<S>) -> Result<(), Fault>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let mut request = Compound::on(&self.file);
        request.operation(Operation::Close).u32(self.sequence + 1).fixed(&self.state);
        let mut results = client.send_once(request).await?;
        results.take(Operation::PutFh)?;
        results.take(Operation::Close).map(drop)
    }
}

/// Asks once. The server may put it off; and once the file is made, its handle may still be missing.
async fn open<S>(
    client: &mut Client<S>,
    folder: &Bytes,
    name: &str,
    sequence: u32,
) -> Result<Result<(Opened, Result<Bytes, Fault>), Status>, Fault>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut results = client.send_once(request(client, folder, name, sequence)).await?;
    results.take(Operation::PutFh)?;
    let opened = match results.take(Operation::Open) {
        Ok(answer) => Opened::read(answer)?,
        Err(Fault::Status(status)) if status.passes() => return Ok(Err(status)),
        Err(fault) => return Err(fault),
    };
    let handle = results.take(Operation::GetFh).and_then(|answer| Ok(answer.opaque(MOST_HANDLE)?));
    Ok(Ok((opened, handle)))
}

fn request<S>(client: &Client<S>, folder: &Bytes, name: &str, sequence: u32) -> Compound
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    // Only later versions can say that no delegation is wanted.
    let access =
        if client.has_session() { READ_AND_WRITE | WITHOUT_DELEGATION } else { READ_AND_WRITE };
    let mut request = Compound::on(folder);
    let open = request.operation(Operation::Open);
    open.u32(sequence).u32(access).u32(DENY_NONE);
    open.u64(client.id()).opaque("topo");
    open.u32(MAKE).u32(GUARDED);
    attributes::write_mode(open, MODE);
    open.u32(BY_NAME).opaque(name);
    request.operation(Operation::GetFh);
    request
}

impl Opened {
    fn read(answer: &mut Reader) -> Result<Self, Malformed> {
        let state = answer.fixed(STATE)?;
        let _change = (answer.bool()?, answer.u64()?, answer.u64()?);
        let confirm = answer.u32()? & CONFIRM != 0;
        let _attributes_set = attributes::Map::read(answer)?;
        Ok(Self { state, confirm, delegation: delegation(answer)? })
    }
}

/// The delegation's state, if one was given.
fn delegation(answer: &mut Reader) -> Result<Option<Bytes>, Malformed> {
    const NONE: u32 = 0;
    const READ: u32 = 1;
    const WRITE: u32 = 2;
    match answer.u32()? {
        NONE => Ok(None),
        READ => {
            let state = answer.fixed(STATE)?;
            let _recall = answer.bool()?;
            access_entry(answer)?;
            Ok(Some(state))
        }
        WRITE => {
            let state = answer.fixed(STATE)?;
            let _recall = answer.bool()?;
            // By size or by blocks: a word, and eight bytes either way.
            let _space_limit = (answer.u32()?, answer.u64()?);
            access_entry(answer)?;
            Ok(Some(state))
        }
        _not_given => {
            // Why not; two reasons have a word more.
            const CONTENTION: u32 = 1;
            const RESOURCE: u32 = 2;
            if matches!(answer.u32()?, CONTENTION | RESOURCE) {
                answer.bool()?;
            }
            Ok(None)
        }
    }
}

/// `nfsace4`
fn access_entry(answer: &mut Reader) -> Result<(), Malformed> {
    let _type_flag_and_mask = (answer.u32()?, answer.u32()?, answer.u32()?);
    answer.opaque(MOST_WHO).map(drop)
}
