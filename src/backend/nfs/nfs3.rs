//! NFS version 3 (RFC 1813), as far as a trial needs it.

use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, sleep};

use super::fault::{At, Failed, Fault, Owner, Step};
use super::folder::{Attributes, Folder};
use super::mount3::{self, MOST_HANDLE};
use super::rpc::{Caller, Program};
use super::status::{Protocol, Status};
use super::xdr::{Malformed, Reader, Writer};

pub const NFS3: Program = Program { number: 100_003, version: 3 };

const GETATTR: u32 = 1;
const LOOKUP: u32 = 3;
const ACCESS: u32 = 4;
const READ: u32 = 6;
const WRITE: u32 = 7;
const CREATE: u32 = 8;
const REMOVE: u32 = 12;

/// Of a file that is not there yet.
const GUARDED: u32 = 1;
/// The answer comes when the data is on the disk.
const FILE_SYNC: u32 = 2;
const FOLDER: u32 = 2;
const MODE: u32 = 0o644;
const PAUSE: Duration = Duration::from_millis(250);

/// A mounted folder.
#[derive(Debug)]
pub struct Mounted<S> {
    nfs: Caller<S>,
    mount: Caller<S>,
    path: String,
    folder: Bytes,
    file: Bytes,
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Mounted<S> {
    /// Both services are spoken to already.
    pub async fn open(nfs: Caller<S>, mut mount: Caller<S>, path: &str) -> Result<Self, Failed> {
        let folder = mount3::mount(&mut mount, path).await.at(Step::Mount)?;
        Ok(Self { nfs, mount, path: path.to_owned(), folder, file: Bytes::new() })
    }

    /// Asks again as long as the server wants to be asked again.
    async fn call(&mut self, procedure: u32, arguments: &Writer) -> Result<Reader, Fault> {
        loop {
            let mut answer = self.nfs.call(NFS3, procedure, arguments).await?;
            let status = Status { protocol: Protocol::Nfs3, code: answer.u32()? };
            if status.code == 0 {
                return Ok(answer);
            }
            if !status.passes() || Instant::now() + PAUSE > self.nfs.until() {
                return Err(Fault::Status(status));
            }
            sleep(PAUSE).await;
        }
    }

    async fn attributes_of(&mut self, handle: &Bytes) -> Result<Attributes, Fault> {
        let mut asked = Writer::default();
        asked.opaque(handle);
        let mut answer = self.call(GETATTR, &asked).await?;
        Ok(attributes(&mut answer)?)
    }

    async fn make(&mut self, name: &str) -> Result<Option<Bytes>, Fault> {
        let mut asked = self.name(name);
        asked.u32(GUARDED).bool(true).u32(MODE);
        // Owner, group, size and both times: left to the server.
        asked.bool(false).bool(false).bool(false).u32(0).u32(0);
        let mut answer = self.call(CREATE, &asked).await?;
        Ok(if answer.bool()? { Some(answer.opaque(MOST_HANDLE)?) } else { None })
    }

    async fn find(&mut self, name: &str) -> Result<Bytes, Fault> {
        let asked = self.name(name);
        Ok(self.call(LOOKUP, &asked).await?.opaque(MOST_HANDLE)?)
    }

    /// A name in the folder.
    fn name(&self, name: &str) -> Writer {
        let mut place = Writer::default();
        place.opaque(&self.folder).opaque(name);
        place
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Folder for Mounted<S> {
    fn wait_until(&mut self, until: Instant) {
        self.nfs.wait_until(until);
        self.mount.wait_until(until);
    }

    async fn attributes(&mut self) -> Result<Attributes, Failed> {
        let folder = self.folder.clone();
        self.attributes_of(&folder).await.at(Step::Attributes)
    }

    async fn access(&mut self, bits: u32) -> Result<u32, Failed> {
        let mut asked = Writer::default();
        asked.opaque(&self.folder).u32(bits);
        let granted = async {
            let mut answer = self.call(ACCESS, &asked).await?;
            optional_attributes(&mut answer)?;
            Ok::<u32, Fault>(answer.u32()?)
        };
        granted.await.at(Step::Access)
    }

    async fn create(&mut self, name: &str) -> Result<(), Failed> {
        self.file = match self.make(name).await.at(Step::Create)? {
            Some(handle) => handle,
            None => self.find(name).await.at(Step::Open)?,
        };
        Ok(())
    }

    async fn write(&mut self, data: &[u8]) -> Result<(), Failed> {
        let mut asked = Writer::default();
        let count = u32::try_from(data.len()).unwrap_or(u32::MAX);
        asked.opaque(&self.file).u64(0).u32(count).u32(FILE_SYNC).opaque(data);
        self.call(WRITE, &asked).await.at(Step::Write).map(drop)
    }

    async fn read(&mut self, most: u32) -> Result<Vec<u8>, Failed> {
        let mut asked = Writer::default();
        asked.opaque(&self.file).u64(0).u32(most);
        let read = async {
            let mut answer = self.call(READ, &asked).await?;
            optional_attributes(&mut answer)?;
            let _count_and_end = (answer.u32()?, answer.bool()?);
            Ok::<_, Fault>(answer.opaque(most as usize)?.to_vec())
        };
        read.await.at(Step::Read)
    }

    async fn owner(&mut self) -> Result<Owner, Failed> {
        let file = self.file.clone();
        Ok(self.attributes_of(&file).await.at(Step::Owner)?.owner)
    }

    /// Version 3 knows no open files.
    async fn close(&mut self) -> Result<(), Failed> {
        Ok(())
    }

    async fn remove(&mut self, name: &str) -> Result<(), Failed> {
        let asked = self.name(name);
        self.call(REMOVE, &asked).await.at(Step::Remove).map(drop)
    }

    async fn leave(&mut self) {
        // The server's list of clients is for people to read; whether this one is on it harms nobody.
        let _ = mount3::unmount(&mut self.mount, &self.path).await;
    }

    fn server(&self) -> Option<&str> {
        None
    }
}

/// `fattr3`: what is not needed here is passed over.
fn attributes(answer: &mut Reader) -> Result<Attributes, Malformed> {
    const SIZE_TO_TIMES: usize = 8 + 8 + 8 + 8 + 8 + 24;
    let is_folder = answer.u32()? == FOLDER;
    let _mode_and_links = (answer.u32()?, answer.u32()?);
    let owner = Owner { user: answer.u32()?.to_string(), group: answer.u32()?.to_string() };
    answer.fixed(SIZE_TO_TIMES)?;
    Ok(Attributes { is_folder, owner })
}

/// `post_op_attr`
fn optional_attributes(answer: &mut Reader) -> Result<(), Malformed> {
    if answer.bool()? {
        attributes(answer)?;
    }
    Ok(())
}
