//! COMPOUND: several operations in one request, carried out up to the first that fails.

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite};

use super::super::fault::Fault;
use super::super::rpc::Caller;
use super::super::status::{MINOR_VERS_MISMATCH, Protocol, Status};
use super::super::xdr::{Reader, Writer};
use super::NFS4;

const COMPOUND: u32 = 1;
const MOST_TAG: usize = 1024;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum Operation {
    Access = 3,
    Close = 4,
    DelegReturn = 8,
    GetAttr = 9,
    GetFh = 10,
    Lookup = 15,
    Open = 18,
    OpenConfirm = 20,
    PutFh = 22,
    PutRootFh = 24,
    Read = 25,
    ReadDir = 26,
    Remove = 28,
    SetClientId = 35,
    SetClientIdConfirm = 36,
    Write = 38,
    ExchangeId = 42,
    CreateSession = 43,
    DestroySession = 44,
    Sequence = 53,
    DestroyClientId = 57,
    ReclaimComplete = 58,
}

/// A request in the making.
#[derive(Debug, Clone, Default)]
pub struct Compound {
    count: u32,
    operations: Writer,
}

impl Compound {
    /// One that begins at this file or folder.
    pub fn on(handle: &Bytes) -> Self {
        let mut request = Self::default();
        request.operation(Operation::PutFh).opaque(handle);
        request
    }

    /// Appends an operation, whose arguments are to be written next.
    pub fn operation(&mut self, operation: Operation) -> &mut Writer {
        self.count += 1;
        self.operations.u32(operation as u32)
    }

    pub fn append(&mut self, other: &Compound) {
        self.count += other.count;
        self.operations.append(&other.operations);
    }

    pub async fn send<S>(self, nfs: &mut Caller<S>, minor: u32) -> Result<Results, Fault>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let mut request = Writer::default();
        request.opaque("topo").u32(minor).u32(self.count).append(&self.operations);
        let mut answer = nfs.call(NFS4, COMPOUND, &request).await?;
        let status = answer.u32()?;
        let _tag = answer.opaque(MOST_TAG)?;
        let count = answer.u32()?;
        Ok(Results { status, left: count, answer })
    }
}

/// What came of the operations, to be taken in their order.
#[derive(Debug)]
pub struct Results {
    status: u32,
    left: u32,
    answer: Reader,
}

impl Results {
    /// The result of the next operation, if it was carried out.
    pub fn take(&mut self, operation: Operation) -> Result<&mut Reader, Fault> {
        if self.left == 0 {
            // A request that was refused as a whole has no results.
            return Err(match self.status {
                0 => Fault::Garbled("fewer results than operations".to_owned()),
                code => Fault::Status(nfs4(code)),
            });
        }
        self.left -= 1;
        let (about, code) = (self.answer.u32()?, self.answer.u32()?);
        if code != 0 {
            return Err(Fault::Status(nfs4(code)));
        }
        if about != operation as u32 {
            return Err(Fault::Garbled("the result of another operation".to_owned()));
        }
        Ok(&mut self.answer)
    }

    /// Why the request as a whole went wrong, if it passes.
    pub fn passing(&self) -> Option<Status> {
        Some(nfs4(self.status)).filter(|status| status.passes())
    }
}

fn nfs4(code: u32) -> Status {
    Status { protocol: Protocol::Nfs4, code }
}

/// Whether the server takes requests of this minor version, whatever it makes of them.
pub async fn minor_is_served<S>(nfs: &mut Caller<S>, minor: u32) -> Result<bool, Fault>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut request = Compound::default();
    request.operation(Operation::PutRootFh);
    Ok(request.send(nfs, minor).await?.status != MINOR_VERS_MISMATCH)
}
