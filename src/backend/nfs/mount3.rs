//! MOUNT version 3 (RFC 1813, appendix I): from a path to the folder's handle.

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite};

use super::fault::Fault;
use super::rpc::{AUTH_SYS, Caller, Program};
use super::status::{Protocol, Status};
use super::xdr::Writer;

pub const MOUNT: Program = Program { number: 100_005, version: 3 };
/// Where mountd usually listens if it is given a fixed port.
pub const USUAL_PORT: u16 = 20_048;

const MNT: u32 = 1;
const UMNT: u32 = 3;
const EXPORT: u32 = 5;

const MOST_PATH: usize = 1024;
const MOST_NAME: usize = 255;
pub const MOST_HANDLE: usize = 64;

/// One line of what `showmount -e` shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exported {
    pub path: String,
    /// As the server writes them; none stands for everybody.
    pub clients: Vec<String>,
}

/// Asks for the handle of an exported folder.
pub async fn mount<S>(service: &mut Caller<S>, path: &str) -> Result<Bytes, Fault>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut asked = Writer::default();
    asked.opaque(path);
    let mut answer = service.call(MOUNT, MNT, &asked).await?;
    let code = answer.u32()?;
    if code != 0 {
        return Err(Fault::Status(Status { protocol: Protocol::Mount, code }));
    }
    let handle = answer.opaque(MOST_HANDLE)?;
    let mut flavours = Vec::new();
    for _ in 0..answer.u32()? {
        flavours.push(answer.u32()?);
    }
    // Some servers leave the list empty and mean the usual one.
    if flavours.is_empty() || flavours.contains(&AUTH_SYS) {
        Ok(handle)
    } else {
        Err(Fault::Flavours(flavours))
    }
}

/// Takes this client off the server's list of those who have mounted.
pub async fn unmount<S>(service: &mut Caller<S>, path: &str) -> Result<(), Fault>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut asked = Writer::default();
    asked.opaque(path);
    service.call(MOUNT, UMNT, &asked).await.map(drop)
}

/// What the server exports, and to whom.
pub async fn exports<S>(service: &mut Caller<S>) -> Result<Vec<Exported>, Fault>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut answer = service.call(MOUNT, EXPORT, &Writer::default()).await?;
    let list = answer.list(|export| {
        let path = export.text(MOST_PATH)?;
        let clients = export.list(|client| client.text(MOST_NAME))?;
        Ok(Exported { path, clients })
    })?;
    Ok(list)
}
