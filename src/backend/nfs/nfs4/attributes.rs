//! Attributes of files: a map of bits says which, and their values follow in its order.

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite};

use super::super::fault::{Fault, Owner};
use super::super::folder::Attributes;
use super::super::rpc::Caller;
use super::super::xdr::{Malformed, Reader, Writer};
use super::client::Client;
use super::compound::{Compound, Operation};

const MOST_VALUES: usize = 4096;
const MOST_NAME: usize = 1024;
const FOLDER: u32 = 2;

const TYPE: u32 = 1;
const MODE: u32 = 33;
const LINKS: u32 = 35;
const OWNER: u32 = 36;
const OWNER_GROUP: u32 = 37;

/// Which attributes are meant.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Map(Vec<u32>);

impl Map {
    /// More words than any version defines bits for.
    const MOST_WORDS: u32 = 8;

    pub fn of(attributes: &[u32]) -> Self {
        let mut words =
            vec![0; attributes.iter().map(|bit| *bit as usize / 32 + 1).max().unwrap_or(0)];
        for bit in attributes {
            words[*bit as usize / 32] |= 1 << (bit % 32);
        }
        Self(words)
    }

    pub fn read(answer: &mut Reader) -> Result<Self, Malformed> {
        let count = answer.u32()?;
        if count > Self::MOST_WORDS {
            return Err(Malformed::Long(count as usize, Self::MOST_WORDS as usize));
        }
        Ok(Self((0..count).map(|_| answer.u32()).collect::<Result<_, _>>()?))
    }

    pub fn write(&self, request: &mut Writer) {
        request.u32(u32::try_from(self.0.len()).unwrap_or(u32::MAX));
        for word in &self.0 {
            request.u32(*word);
        }
    }

    fn has(&self, attribute: u32) -> bool {
        let word = self.0.get(attribute as usize / 32);
        word.is_some_and(|word| word & (1 << (attribute % 32)) != 0)
    }

    fn is_within(&self, other: &Self) -> bool {
        let beyond = |(at, word): (usize, &u32)| word & !other.0.get(at).unwrap_or(&0) != 0;
        !self.0.iter().enumerate().any(beyond)
    }
}

/// A new file's mode, and nothing else.
pub fn write_mode(request: &mut Writer, mode: u32) {
    Map::of(&[MODE]).write(request);
    request.opaque(mode.to_be_bytes());
}

/// Passes over whatever attributes there are.
pub fn skip(answer: &mut Reader) -> Result<(), Malformed> {
    Map::read(answer)?;
    answer.opaque(MOST_VALUES).map(drop)
}

/// How many links the root of the server's tree has: two, and one for each folder in it, whether it
/// is shown or not. Needs no client that the server knows, and version 4.0.
pub async fn links_of_root<S>(nfs: &mut Caller<S>) -> Result<u32, Fault>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut request = Compound::default();
    request.operation(Operation::PutRootFh);
    Map::of(&[LINKS]).write(request.operation(Operation::GetAttr));
    let mut results = request.send(nfs, 0).await?;
    results.take(Operation::PutRootFh)?;
    let mut values = given(results.take(Operation::GetAttr)?, &Map::of(&[LINKS]))?.1;
    Ok(values.u32()?)
}

/// The attributes that an answer has of those that were asked for, and their values.
fn given(answer: &mut Reader, asked: &Map) -> Result<(Map, Reader), Fault> {
    let given = Map::read(answer)?;
    if !given.is_within(asked) {
        return Err(Fault::Garbled("attributes that were not asked for".to_owned()));
    }
    Ok((given, Reader::new(answer.opaque(MOST_VALUES)?)))
}

pub async fn get<S>(client: &mut Client<S>, handle: &Bytes) -> Result<Attributes, Fault>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let asked = Map::of(&[TYPE, OWNER, OWNER_GROUP]);
    let mut request = Compound::on(handle);
    asked.write(request.operation(Operation::GetAttr));
    let mut results = client.send(request).await?;
    results.take(Operation::PutFh)?;
    let (given, mut values) = given(results.take(Operation::GetAttr)?, &asked)?;
    let is_folder = given.has(TYPE) && values.u32()? == FOLDER;
    let mut name = |attribute| {
        if given.has(attribute) { values.text(MOST_NAME) } else { Ok("not told".to_owned()) }
    };
    Ok(Attributes { is_folder, owner: Owner { user: name(OWNER)?, group: name(OWNER_GROUP)? } })
}
