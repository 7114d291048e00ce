//! From where a server is tried.

use std::future::Future;
use std::io;
use std::net::SocketAddr;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, lookup_host};

/// Opens a connection to a port of the server, from wherever the trial is made.
///
/// Kinds of errors mean: `NotFound` the name, `ConnectionRefused` the port, `Unsupported` that no
/// trial can be made from there at all; any other that nothing comes through.
pub trait Dial: Send + Sync {
    type Stream: AsyncRead + AsyncWrite + Unpin + Send;

    fn dial(&self, port: u16) -> impl Future<Output = io::Result<Self::Stream>> + Send;

    /// The address and port that the connection comes from, where it is known.
    fn source(&self, stream: &Self::Stream) -> Option<SocketAddr>;
}

/// From this machine and this process, hence from a port above 1023.
#[derive(Debug, Clone)]
pub struct Direct {
    pub host: String,
}

impl Dial for Direct {
    type Stream = TcpStream;

    async fn dial(&self, port: u16) -> io::Result<TcpStream> {
        let found = lookup_host((self.host.as_str(), port)).await;
        let addresses: Vec<_> =
            found.map_err(|error| io::Error::new(io::ErrorKind::NotFound, error))?.collect();
        let stream = TcpStream::connect(addresses.as_slice()).await?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }

    fn source(&self, stream: &TcpStream) -> Option<SocketAddr> {
        stream.local_addr().ok()
    }
}
