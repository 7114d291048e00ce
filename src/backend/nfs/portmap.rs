//! The port mapper (RFC 1833, version 2): where the other services of a server are.

use tokio::io::{AsyncRead, AsyncWrite};

use super::fault::Fault;
use super::rpc::{Caller, Program};
use super::xdr::Writer;

pub const PORT: u16 = 111;

const PORTMAP: Program = Program { number: 100_000, version: 2 };
const GETPORT: u32 = 3;

const TCP: u32 = 6;
const UDP: u32 = 17;

/// Where a service is registered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Registered {
    pub tcp: Option<u16>,
    pub udp: Option<u16>,
}

pub async fn lookup<S>(mapper: &mut Caller<S>, service: Program) -> Result<Registered, Fault>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    Ok(Registered {
        tcp: port(mapper, service, TCP).await?,
        udp: port(mapper, service, UDP).await?,
    })
}

async fn port<S>(
    mapper: &mut Caller<S>,
    service: Program,
    protocol: u32,
) -> Result<Option<u16>, Fault>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut asked = Writer::default();
    asked.u32(service.number).u32(service.version).u32(protocol).u32(0);
    let port = mapper.call(PORTMAP, GETPORT, &asked).await?.u32()?;
    match u16::try_from(port) {
        Ok(0) => Ok(None),
        Ok(port) => Ok(Some(port)),
        Err(_) => Err(Fault::Garbled(format!("{port} where a port is meant"))),
    }
}
