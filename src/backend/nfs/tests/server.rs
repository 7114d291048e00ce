//! A server in memory that serves one folder, and goes wrong at one call if it is told to.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

use crate::backend::nfs::dial::Dial;
use crate::backend::nfs::xdr::{Malformed, Reader, Writer};

const NFS: u32 = 100_003;
const MOUNT: u32 = 100_005;
const FOLDER: &[u8] = b"the folder";
const ROOT: &[u8] = b"the root";
const ABSENT: u32 = 2;

/// How one call goes wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wrong {
    Silence,
    HangUp,
    /// These bytes in place of a record.
    Bytes(&'static [u8]),
    /// RPC's own refusal: what follows the call's number and that it is a reply.
    Refusal(Vec<u32>),
    Status(u32),
    /// What it would answer, one byte a fragment.
    Crumbs,
}

#[derive(Debug, Clone, Default)]
pub struct Server {
    pub state: Arc<Mutex<State>>,
    /// The number of the call that goes wrong, and how.
    pub wrong: Option<(usize, Wrong)>,
    /// Says no word of what it exports, and has nobody on it.
    pub no_export_list: bool,
    pub clients: Vec<String>,
}

#[derive(Debug, Default)]
pub struct State {
    calls: Vec<String>,
    files: BTreeMap<Vec<u8>, Vec<u8>>,
}

impl Server {
    pub fn wrong_at(call: usize, wrong: Wrong) -> Self {
        Self { wrong: Some((call, wrong)), ..Self::default() }
    }

    /// What was called, in order.
    pub fn calls(&self) -> Vec<String> {
        self.state.lock().expect("unpoisoned").calls.clone()
    }

    pub fn files(&self) -> Vec<String> {
        let state = self.state.lock().expect("unpoisoned");
        state.files.keys().map(|name| String::from_utf8_lossy(name).into_owned()).collect()
    }

    async fn serve(self, mut stream: DuplexStream) -> io::Result<()> {
        loop {
            let length = stream.read_u32().await? & 0x7fff_ffff;
            let mut call = vec![0; length as usize];
            stream.read_exact(&mut call).await?;
            let (id, number, reply) = self.answer(call.into()).expect("a call as it should be");
            let mut answer = Writer::default();
            answer.u32(id).u32(1);
            match self.wrong.as_ref().filter(|(at, _)| *at == number).map(|(_, wrong)| wrong) {
                Some(Wrong::Silence) => std::future::pending().await,
                Some(Wrong::HangUp) => return Ok(()),
                Some(Wrong::Bytes(bytes)) => {
                    stream.write_all(bytes).await?;
                    continue;
                }
                Some(Wrong::Refusal(words)) => {
                    for word in words {
                        answer.u32(*word);
                    }
                }
                Some(Wrong::Crumbs) => {
                    answer.u32(0).u32(0).u32(0).u32(0).append(&reply);
                    crumble(&mut stream, &answer.into_bytes()).await?;
                    continue;
                }
                Some(Wrong::Status(_)) | None => {
                    answer.u32(0).u32(0).u32(0).u32(0).append(&reply);
                }
            }
            let answer = answer.into_bytes();
            let head = 0x8000_0000 | u32::try_from(answer.len()).expect("short");
            stream.write_u32(head).await?;
            stream.write_all(&answer).await?;
        }
    }

    /// The call's own number and its place among all calls, and what it is answered.
    fn answer(&self, call: Bytes) -> Result<(u32, usize, Writer), Malformed> {
        let mut call = Reader::new(call);
        let id = call.u32()?;
        assert_eq!((call.u32()?, call.u32()?), (0, 2), "a call of RPC 2");
        let (program, version, procedure) = (call.u32()?, call.u32()?, call.u32()?);
        let _credentials = (call.u32()?, call.opaque(400)?);
        let _verifier = (call.u32()?, call.opaque(400)?);
        let mut reply = Writer::default();
        let mut state = self.state.lock().expect("unpoisoned");
        let number = state.calls.len();
        let refusal = match &self.wrong {
            Some((at, Wrong::Status(code))) if *at == number => Some(*code),
            _ => None,
        };
        let called = match (program, version, procedure) {
            (_, _, 0) => "NULL".to_owned(),
            (MOUNT, 3, 1) => {
                match refusal {
                    Some(code) => reply.u32(code),
                    None => reply.u32(0).opaque(FOLDER).u32(1).u32(1),
                };
                "MNT".to_owned()
            }
            (MOUNT, 3, 3) => "UMNT".to_owned(),
            (MOUNT, 3, 5) => {
                self.exports(&mut reply);
                "EXPORT".to_owned()
            }
            (NFS, 3, procedure) => {
                version3(procedure, &mut call, &mut reply, &mut state.files, refusal)?
            }
            (NFS, 4, 1) => version4(&mut call, &mut reply, &mut state.files, refusal)?,
            other => panic!("{other:?} is not called"),
        };
        state.calls.push(called);
        Ok((id, number, reply))
    }

    fn exports(&self, reply: &mut Writer) {
        if !self.no_export_list {
            reply.bool(true).opaque("/folder");
            for client in &self.clients {
                reply.bool(true).opaque(client);
            }
            reply.bool(false);
        }
        reply.bool(false);
    }
}

impl Dial for Server {
    type Stream = DuplexStream;

    async fn dial(&self, port: u16) -> io::Result<DuplexStream> {
        if port == 111 {
            return Err(io::ErrorKind::ConnectionRefused.into());
        }
        let (here, there) = tokio::io::duplex(4096);
        let server = self.clone();
        // It ends when its client hangs up.
        tokio::spawn(async move { server.serve(there).await });
        Ok(here)
    }

    fn source(&self, _: &DuplexStream) -> Option<SocketAddr> {
        Some(SocketAddr::from(([10, 0, 0, 9], 40_000)))
    }
}

async fn crumble(stream: &mut DuplexStream, answer: &[u8]) -> io::Result<()> {
    for (at, byte) in answer.iter().enumerate() {
        let last = if at + 1 == answer.len() { 0x8000_0000 } else { 0 };
        stream.write_u32(last | 1).await?;
        stream.write_u8(*byte).await?;
    }
    Ok(())
}

fn version3(
    procedure: u32,
    call: &mut Reader,
    reply: &mut Writer,
    files: &mut BTreeMap<Vec<u8>, Vec<u8>>,
    refusal: Option<u32>,
) -> Result<String, Malformed> {
    if let Some(code) = refusal {
        reply.u32(code);
        return Ok("refused".to_owned());
    }
    let handle = call.opaque(64)?.to_vec();
    let name = match procedure {
        1 => {
            attributes3(reply.u32(0), handle == FOLDER);
            "GETATTR"
        }
        4 => {
            attributes3(reply.u32(0).bool(true), true);
            reply.u32(call.u32()?);
            "ACCESS"
        }
        6 => {
            let data = files.get(&handle).expect("a file");
            reply.u32(0).bool(false).u32(0).bool(true).opaque(data);
            "READ"
        }
        7 => {
            let _place = (call.u64()?, call.u32()?, call.u32()?);
            files.insert(handle, call.opaque(4096)?.to_vec());
            reply.u32(0);
            "WRITE"
        }
        8 => {
            let file = call.opaque(255)?.to_vec();
            reply.u32(0).bool(true).opaque(&file);
            files.insert(file, Vec::new());
            "CREATE"
        }
        12 => {
            let found = files.remove(&call.opaque(255)?.to_vec());
            reply.u32(if found.is_some() { 0 } else { ABSENT });
            "REMOVE"
        }
        other => panic!("procedure {other} is not called"),
    };
    Ok(name.to_owned())
}

fn attributes3(reply: &mut Writer, is_folder: bool) {
    reply.u32(if is_folder { 2 } else { 1 }).u32(0o755).u32(1).u32(1000).u32(100);
    reply.fixed(&[0; 64]);
}

fn version4(
    call: &mut Reader,
    reply: &mut Writer,
    files: &mut BTreeMap<Vec<u8>, Vec<u8>>,
    refusal: Option<u32>,
) -> Result<String, Malformed> {
    let _tag = call.opaque(64)?;
    let _minor = call.u32()?;
    let mut called = "COMPOUND".to_owned();
    let mut current = Vec::new();
    let mut results = Writer::default();
    let (mut done, mut status) = (0, 0);
    for _ in 0..call.u32()? {
        let operation = call.u32()?;
        done += 1;
        // What only leads to the operation that is meant is not refused.
        if let Some(code) = refusal.filter(|_| ![22, 24, 53].contains(&operation)) {
            status = code;
            results.u32(operation).u32(status);
            break;
        }
        let mut result = Writer::default();
        let name;
        (name, status) = operate(operation, call, &mut result, &mut current, files)?;
        called = format!("{called} {name}");
        results.u32(operation).u32(status);
        if status != 0 {
            break;
        }
        results.append(&result);
    }
    reply.u32(status).opaque("").u32(done).append(&results);
    Ok(called)
}

/// The operation's name and status.
#[expect(clippy::too_many_lines, reason = "one arm an operation")]
fn operate(
    operation: u32,
    call: &mut Reader,
    result: &mut Writer,
    current: &mut Vec<u8>,
    files: &mut BTreeMap<Vec<u8>, Vec<u8>>,
) -> Result<(&'static str, u32), Malformed> {
    let done = |name| Ok((name, 0));
    match operation {
        3 => {
            let asked = call.u32()?;
            result.u32(asked).u32(asked);
            done("ACCESS")
        }
        4 => {
            let number = call.u32()?;
            let state = call.fixed(16)?;
            assert_eq!(number, number_of(&state) + 1, "the owner's next number");
            result.fixed(&state);
            done("CLOSE")
        }
        8 => {
            call.fixed(16)?;
            done("DELEGRETURN")
        }
        9 => {
            let asked = (call.u32()?, call.u32()?, call.u32()?);
            let mut values = Writer::default();
            if asked == (2, 0, 1 << 3) {
                values.u32(3);
            } else {
                assert_eq!(asked, (2, 1 << 1, 1 << 4 | 1 << 5));
                let kind = if current == FOLDER { 2 } else { 1 };
                values.u32(kind).opaque("1000").opaque("100");
            }
            result.u32(asked.0).u32(asked.1).u32(asked.2).opaque(values.into_bytes());
            done("GETATTR")
        }
        10 => {
            result.opaque(&current);
            done("GETFH")
        }
        15 => {
            let found = call.opaque(255)? == "folder" && current == ROOT;
            *current = FOLDER.to_vec();
            Ok(("LOOKUP", if found { 0 } else { ABSENT }))
        }
        18 => {
            open(call, result, current, files)?;
            done("OPEN")
        }
        20 => {
            let state = call.fixed(16)?;
            let number = call.u32()?;
            assert_eq!(number, number_of(&state) + 1, "the owner's next number");
            result.fixed(&state_at(number));
            done("OPEN_CONFIRM")
        }
        22 => {
            *current = call.opaque(128)?.to_vec();
            done("PUTFH")
        }
        24 => {
            *current = ROOT.to_vec();
            done("PUTROOTFH")
        }
        25 => {
            let _state_and_place = (call.fixed(16)?, call.u64()?, call.u32()?);
            result.bool(true).opaque(files.get(current).expect("a file"));
            done("READ")
        }
        26 => {
            let _cookie = (call.u64()?, call.fixed(8)?, call.u32()?, call.u32()?, call.u32()?);
            result.fixed(&[0; 8]).bool(true).u64(1).opaque("folder").u32(0).opaque("");
            result.bool(false).bool(true);
            done("READDIR")
        }
        28 => {
            let found = files.remove(&call.opaque(255)?.to_vec()).is_some();
            result.bool(true).u64(0).u64(0);
            Ok(("REMOVE", if found { 0 } else { ABSENT }))
        }
        35 => {
            let _client = (call.fixed(8)?, call.opaque(1024)?);
            let _callback = (call.u32()?, call.opaque(16)?, call.opaque(64)?, call.u32()?);
            result.u64(7).fixed(b"confirm!");
            done("SETCLIENTID")
        }
        36 => {
            assert_eq!((call.u64()?, call.fixed(8)?), (7, Bytes::from_static(b"confirm!")));
            done("SETCLIENTID_CONFIRM")
        }
        38 => {
            let _state_and_place = (call.fixed(16)?, call.u64()?, call.u32()?);
            let data = call.opaque(4096)?;
            result.u32(0).u32(2).fixed(&[0; 8]);
            files.insert(current.clone(), data.to_vec());
            done("WRITE")
        }
        42 => {
            let _client = (call.fixed(8)?, call.opaque(1024)?);
            let _flags = (call.u32()?, call.u32()?, call.u32()?);
            result.u64(7).u32(1).u32(0).u32(0).u64(0).opaque("owner").opaque("scope");
            result.u32(1).opaque("example.org").opaque("memory 1.0").u64(0).u32(0);
            done("EXCHANGE_ID")
        }
        43 => {
            assert_eq!((call.u64()?, call.u32()?), (7, 1));
            call.fixed(4 + 2 * 28 + 12)?;
            result.fixed(&[7; 16]).u32(1).u32(0).fixed(&[0; 56]);
            done("CREATE_SESSION")
        }
        44 => {
            call.fixed(16)?;
            done("DESTROY_SESSION")
        }
        53 => {
            let session = call.fixed(16)?;
            result.fixed(&session).u32(call.u32()?).fixed(&[0; 16]);
            call.fixed(12)?;
            done("SEQUENCE")
        }
        57 => {
            assert_eq!(call.u64()?, 7);
            done("DESTROY_CLIENTID")
        }
        58 => {
            call.bool()?;
            done("RECLAIM_COMPLETE")
        }
        other => panic!("operation {other} is not called"),
    }
}

/// A server of the cautious sort: it wants every open confirmed and delegates every file.
fn open(
    call: &mut Reader,
    result: &mut Writer,
    current: &mut Vec<u8>,
    files: &mut BTreeMap<Vec<u8>, Vec<u8>>,
) -> Result<(), Malformed> {
    let (number, access, _deny) = (call.u32()?, call.u32()?, call.u32()?);
    let _owner = (call.u64()?, call.opaque(1024)?);
    assert_eq!((call.u32()?, call.u32()?), (1, 1), "a file that is not there yet");
    let _mode = (call.u32()?, call.u32()?, call.u32()?, call.opaque(4)?);
    assert_eq!(call.u32()?, 0, "by name");
    let file = call.opaque(255)?.to_vec();
    let in_session = access & 0x400 != 0;
    result.fixed(&state_at(number)).bool(true).u64(0).u64(0);
    result.u32(if in_session { 0 } else { 2 }).u32(0);
    if in_session {
        // None, since none was wanted.
        result.u32(3).u32(0);
    } else {
        result.u32(2).fixed(&[2; 16]).bool(false).u32(1).u64(0);
        result.u32(0).u32(0).u32(0).opaque("OWNER@");
    }
    files.insert(file.clone(), Vec::new());
    *current = file;
    Ok(())
}

/// States tell up to which number their owner's requests have come.
fn state_at(number: u32) -> [u8; 16] {
    let mut state = [1; 16];
    state[..4].copy_from_slice(&number.to_be_bytes());
    state
}

fn number_of(state: &[u8]) -> u32 {
    u32::from_be_bytes(state[..4].try_into().expect("four bytes"))
}
