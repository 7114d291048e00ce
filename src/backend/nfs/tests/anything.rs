//! Whatever a server answers ends in a finding, soon and without much memory.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use proptest::prelude::*;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::backend::nfs::dial::Dial;
use crate::backend::nfs::{Trial, check};
use crate::topology::NfsVersion::{self, V3, V4_0, V4_1, V4_2};

/// Answers call after call with what it was given, over all connections, and then hangs up.
#[derive(Clone)]
struct Babbler {
    answers: Arc<Mutex<Vec<Answer>>>,
}

#[derive(Debug, Clone)]
enum Answer {
    /// Bytes as they are.
    Raw(Vec<u8>),
    /// A reply to the call that was made, that was carried out, and says this.
    Reply(Vec<u8>),
}

struct Babble {
    babbler: Babbler,
    call: Vec<u8>,
    pending: Vec<u8>,
}

impl Dial for Babbler {
    type Stream = Babble;

    async fn dial(&self, _: u16) -> io::Result<Babble> {
        Ok(Babble { babbler: self.clone(), call: Vec::new(), pending: Vec::new() })
    }

    fn source(&self, _: &Babble) -> Option<SocketAddr> {
        None
    }
}

impl AsyncRead for Babble {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let count = into.remaining().min(self.pending.len());
        into.put_slice(&self.pending[..count]);
        self.pending.drain(..count);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Babble {
    fn poll_write(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.call.extend_from_slice(data);
        Poll::Ready(Ok(data.len()))
    }

    /// A call is whole when it is flushed.
    fn poll_flush(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        let call = std::mem::take(&mut self.call);
        let next = self.babbler.answers.lock().expect("unpoisoned").pop();
        let bytes = match next {
            Some(Answer::Raw(bytes)) => bytes,
            Some(Answer::Reply(body)) => reply(&call[4..8], &body),
            None => Vec::new(),
        };
        self.pending.extend(bytes);
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

fn reply(id: &[u8], body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(4 + 20 + body.len()).expect("short") | 0x8000_0000;
    let accepted = [0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    [&length.to_be_bytes()[..], id, &accepted, body].concat()
}

/// Words that mean something where they stand, more often than random ones would.
fn body() -> impl Strategy<Value = Vec<u8>> {
    let word = prop_oneof![
        6 => 0..4_u32,
        3 => 0..64_u32,
        1 => any::<u32>(),
        1 => prop::sample::select(vec![13, 10_008, 10_021, 0x7fff_ffff, 0xffff_ffff]),
    ];
    prop::collection::vec(word, 0..60)
        .prop_map(|words| words.into_iter().flat_map(u32::to_be_bytes).collect())
}

fn answers() -> impl Strategy<Value = Vec<Answer>> {
    let answer = prop_oneof![
        1 => prop::collection::vec(any::<u8>(), 0..200).prop_map(Answer::Raw),
        8 => body().prop_map(Answer::Reply),
    ];
    prop::collection::vec(answer, 0..12)
}

fn version() -> impl Strategy<Value = NfsVersion> {
    prop::sample::select(vec![V3, V4_0, V4_1, V4_2])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn any_answer_ends_in_a_finding(answers in answers(), version in version(), port in any::<bool>()) {
        let babbler = Babbler { answers: Arc::new(Mutex::new(answers)) };
        let trial = Trial {
            mount_port: port.then_some(20_048),
            ..Trial::new("/some/folder", version)
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
        let outcome = runtime.block_on(check(&babbler, &trial, Duration::from_millis(20)));
        // The probe's text cannot be guessed, so nothing is ever proven.
        let finding = outcome.expect_err("a finding");
        prop_assert!(!finding.fix.is_empty() && !finding.saw.is_empty());
        prop_assert!(finding.saw.len() < 4096);
    }
}
