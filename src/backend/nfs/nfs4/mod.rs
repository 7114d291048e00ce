//! NFS version 4: 4.0 (RFC 7530), 4.1 and 4.2 (RFC 8881, RFC 7862), as far as a trial needs them.
//!
//! What is asked of files is the same in all three. How a client makes itself known is not:
//! `client` has both ways, `compound` the requests that carry several operations.

mod attributes;
mod client;
mod compound;
mod open;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::Instant;

use self::attributes::Map;
use self::client::Client;
use self::compound::{Compound, Operation};
use self::open::Open;
use super::fault::{At, Failed, Fault, Owner, Step};
use super::folder::{Attributes, Folder};
use super::rpc::{Caller, Program};
use super::status::Status;

pub use attributes::links_of_root;
pub use compound::minor_is_served;

pub const NFS4: Program = Program { number: 100_003, version: 4 };

const MOST_HANDLE: usize = 128;
/// Some servers carry out no more operations than this in one request.
const MOST_LOOKUPS: usize = 8;
const MOST_NAME: usize = 255;
/// The answer comes when the data is on the disk.
const FILE_SYNC: u32 = 2;
/// Names of a folder that are read to show what is there instead.
const MOST_LISTED: u32 = 4096;

/// A folder reached from the server's root.
#[derive(Debug)]
pub struct Reached<S> {
    client: Client<S>,
    folder: Bytes,
    open: Option<Open>,
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Reached<S> {
    pub async fn open(nfs: Caller<S>, minor: u32, path: &str) -> Result<Self, Failed> {
        let mut client = Client::introduce(nfs, minor).await.at(Step::Introduce)?;
        match walk(&mut client, path).await {
            Ok(folder) => Ok(Self { client, folder, open: None }),
            Err(fault) => {
                client.leave().await;
                Err(fault.at(Step::LookUp))
            }
        }
    }

    /// A request on the folder.
    fn in_folder(&self) -> Compound {
        Compound::on(&self.folder)
    }

    fn opened(&self) -> Result<&Open, Fault> {
        self.open.as_ref().ok_or(Fault::Rejected("no file is open"))
    }

    async fn ask_access(&mut self, bits: u32) -> Result<u32, Fault> {
        let mut request = self.in_folder();
        request.operation(Operation::Access).u32(bits);
        let mut results = self.client.send(request).await?;
        results.take(Operation::PutFh)?;
        let access = results.take(Operation::Access)?;
        let _supported = access.u32()?;
        Ok(access.u32()?)
    }

    async fn write_all(&mut self, data: &[u8]) -> Result<(), Fault> {
        let open = self.opened()?;
        let mut request = Compound::on(&open.file);
        let write = request.operation(Operation::Write);
        write.fixed(&open.state).u64(0).u32(FILE_SYNC).opaque(data);
        let mut results = self.client.send(request).await?;
        results.take(Operation::PutFh)?;
        results.take(Operation::Write).map(drop)
    }

    async fn read_all(&mut self, most: u32) -> Result<Vec<u8>, Fault> {
        let open = self.opened()?;
        let mut request = Compound::on(&open.file);
        request.operation(Operation::Read).fixed(&open.state).u64(0).u32(most);
        let mut results = self.client.send(request).await?;
        results.take(Operation::PutFh)?;
        let read = results.take(Operation::Read)?;
        let _end = read.bool()?;
        Ok(read.opaque(most as usize)?.to_vec())
    }

    async fn remove_name(&mut self, name: &str) -> Result<(), Fault> {
        let mut request = self.in_folder();
        request.operation(Operation::Remove).opaque(name);
        let mut results = self.client.send(request).await?;
        results.take(Operation::PutFh)?;
        results.take(Operation::Remove).map(drop)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Folder for Reached<S> {
    fn wait_until(&mut self, until: Instant) {
        self.client.wait_until(until);
    }

    async fn attributes(&mut self) -> Result<Attributes, Failed> {
        attributes::get(&mut self.client, &self.folder).await.at(Step::Attributes)
    }

    async fn access(&mut self, bits: u32) -> Result<u32, Failed> {
        self.ask_access(bits).await.at(Step::Access)
    }

    async fn create(&mut self, name: &str) -> Result<(), Failed> {
        self.open = Some(Open::create(&mut self.client, &self.folder, name).await?);
        Ok(())
    }

    async fn write(&mut self, data: &[u8]) -> Result<(), Failed> {
        self.write_all(data).await.at(Step::Write)
    }

    async fn read(&mut self, most: u32) -> Result<Vec<u8>, Failed> {
        self.read_all(most).await.at(Step::Read)
    }

    async fn owner(&mut self) -> Result<Owner, Failed> {
        let file = self.opened().at(Step::Owner)?.file.clone();
        Ok(attributes::get(&mut self.client, &file).await.at(Step::Owner)?.owner)
    }

    async fn close(&mut self) -> Result<(), Failed> {
        match self.open.take() {
            Some(open) => open.close(&mut self.client).await.at(Step::Close),
            None => Ok(()),
        }
    }

    async fn remove(&mut self, name: &str) -> Result<(), Failed> {
        self.remove_name(name).await.at(Step::Remove)
    }

    async fn leave(&mut self) {
        self.client.leave().await;
    }

    fn server(&self) -> Option<&str> {
        self.client.server()
    }
}

/// From the root to the folder, some names at a time.
async fn walk<S>(client: &mut Client<S>, path: &str) -> Result<Bytes, Fault>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let names: Vec<&str> = path.split('/').filter(|name| !name.is_empty()).collect();
    let mut place = root(client).await?;
    for (at, some) in names.chunks(MOST_LOOKUPS).enumerate() {
        let (done, ended) = step_down(client, &mut place, some).await?;
        match ended {
            Ok(()) => {}
            Err(status) if status.is_absence() => {
                let reached = names[..at * MOST_LOOKUPS + done].join("/");
                let beside = names_in(client, &place).await;
                return Err(Fault::NotThere { status, reached: format!("/{reached}"), beside });
            }
            Err(status) => return Err(Fault::Status(status)),
        }
    }
    Ok(place)
}

async fn root<S>(client: &mut Client<S>) -> Result<Bytes, Fault>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut request = Compound::default();
    request.operation(Operation::PutRootFh);
    request.operation(Operation::GetFh);
    let mut results = client.send(request).await?;
    results.take(Operation::PutRootFh)?;
    Ok(results.take(Operation::GetFh)?.opaque(MOST_HANDLE)?)
}

/// How many of the names were found, and why it were not all; `place` is then the last that was.
async fn step_down<S>(
    client: &mut Client<S>,
    place: &mut Bytes,
    names: &[&str],
) -> Result<(usize, Result<(), Status>), Fault>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut request = Compound::on(place);
    for name in names {
        request.operation(Operation::Lookup).opaque(name);
        request.operation(Operation::GetFh);
    }
    let mut results = client.send(request).await?;
    results.take(Operation::PutFh)?;
    for done in 0..names.len() {
        match results.take(Operation::Lookup) {
            Ok(_) => {}
            Err(Fault::Status(status)) => return Ok((done, Err(status))),
            Err(fault) => return Err(fault),
        }
        *place = results.take(Operation::GetFh)?.opaque(MOST_HANDLE)?;
    }
    Ok((names.len(), Ok(())))
}

/// The names in a folder, as far as one answer holds them. They only help to explain, so whatever
/// goes wrong in asking is the same as none.
async fn names_in<S>(client: &mut Client<S>, folder: &Bytes) -> Vec<String>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let listed = async {
        let mut request = Compound::on(folder);
        let list = request.operation(Operation::ReadDir);
        list.u64(0).fixed(&[0; 8]).u32(MOST_LISTED).u32(MOST_LISTED);
        Map::default().write(list);
        let mut results = client.send(request).await?;
        results.take(Operation::PutFh)?;
        let answer = results.take(Operation::ReadDir)?;
        let _verifier = answer.fixed(8)?;
        let names = answer.list(|entry| {
            let _cookie = entry.u64()?;
            let name = entry.text(MOST_NAME)?;
            attributes::skip(entry)?;
            Ok(name)
        })?;
        Ok::<_, Fault>(names)
    };
    listed.await.unwrap_or_default()
}
