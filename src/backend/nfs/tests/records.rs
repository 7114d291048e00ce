//! RPC's records: fragments, short reads and lengths that lie.

use std::time::Duration;

use bytes::Bytes;
use proptest::prelude::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::Instant;

use crate::backend::nfs::fault::Fault;
use crate::backend::nfs::rpc::{Caller, Program};
use crate::backend::nfs::xdr::Writer;

const SERVICE: Program = Program { number: 300_000, version: 1 };

/// Calls a service that answers with what `records` makes of the reply, some bytes at a time.
async fn called(
    records: impl FnOnce(Vec<u8>) -> Vec<u8> + Send + 'static,
    room: usize,
) -> Result<Bytes, Fault> {
    let (here, mut there) = tokio::io::duplex(room);
    tokio::spawn(async move {
        let length = there.read_u32().await? & 0x7fff_ffff;
        let mut call = vec![0; length as usize];
        there.read_exact(&mut call).await?;
        let accepted = [0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        let reply = [&call[..4], &accepted, b"the answer is 42"].concat();
        // Whoever has heard enough hangs up in the middle.
        there.write_all(&records(reply)).await
    });
    let mut caller = Caller::new(here, (0, 0), Instant::now() + Duration::from_secs(5));
    let mut answer = caller.call(SERVICE, 1, &Writer::default()).await?;
    Ok(answer.fixed(16)?)
}

fn record(fragments: &[&[u8]]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (at, fragment) in fragments.iter().enumerate() {
        let last = if at + 1 == fragments.len() { 0x8000_0000 } else { 0 };
        let head = last | u32::try_from(fragment.len()).expect("short");
        bytes.extend(head.to_be_bytes());
        bytes.extend_from_slice(fragment);
    }
    bytes
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_record_may_come_in_any_pieces(pieces in prop::collection::vec(1..9_usize, 1..9), room in 1..64_usize) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
        let answer = runtime.block_on(called(
            move |reply| {
                let mut rest = &reply[..];
                let mut fragments = Vec::new();
                for piece in pieces {
                    let (fragment, behind) = rest.split_at(piece.min(rest.len() - 1));
                    fragments.push(fragment);
                    rest = behind;
                }
                fragments.retain(|fragment| !fragment.is_empty());
                fragments.push(rest);
                record(&fragments)
            },
            room,
        ));
        prop_assert_eq!(answer, Ok(Bytes::from_static(b"the answer is 42")));
    }
}

#[tokio::test]
async fn a_length_that_lies_is_no_record() {
    for head in [0xffff_ffff_u32, 0x8010_0001, 0x7fff_ffff] {
        let answer = called(move |_| head.to_be_bytes().to_vec(), 64).await;
        assert!(matches!(answer, Err(Fault::Garbled(_))), "{head:x}: {answer:?}");
    }
}

/// A million bytes are enough, in however many fragments.
#[tokio::test]
async fn a_record_without_an_end_is_cut_off() {
    let endless = |_| [&0x0000_ffff_u32.to_be_bytes()[..], &vec![b'x'; 0xffff]].concat().repeat(40);
    assert_eq!(
        called(endless, 4096).await,
        Err(Fault::Garbled("an answer without an end".to_owned()))
    );
    let empty = |_| 0_u32.to_be_bytes().repeat(40);
    assert!(matches!(called(empty, 4096).await, Err(Fault::Garbled(_))));
}

#[tokio::test]
async fn a_record_that_stops_short_is_a_connection_that_closed() {
    let half = |reply: Vec<u8>| record(&[&reply])[..20].to_vec();
    assert_eq!(called(half, 64).await, Err(Fault::Closed("in the middle of an answer".to_owned())));
}
