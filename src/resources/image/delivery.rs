//! An image on its way from the engine: one archive, read once, to all nodes at the same time, to
//! each what it lacks of it.

use std::collections::HashSet;
use std::fmt;
use std::io;

use bytes::Bytes;
use futures::future::{join_all, try_join_all};
use futures::{FutureExt, TryStreamExt};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::io::{StreamReader, SyncIoBridge};

use super::archive::{Dealt, Known, Outlet, Receiver, deal};
use super::containerd::{self, Parcel};
use crate::backend::docker::{Docker, Error};
use crate::engine::{Amount, Tally, Turn};
use crate::topology::canonical_image;

/// Pieces of an archive on their way to a node that reads more slowly than the others.
const PIECES_AHEAD: usize = 32;

/// Where it is brought.
pub struct Addressee<'a> {
    pub node: &'a str,
    /// Digests of the blobs that are there.
    pub has: HashSet<String>,
}

/// What it took.
pub struct Sent {
    nodes: usize,
    /// To the node that lacked least, and to the one that lacked most.
    least: u64,
    most: u64,
    whole: u64,
}

/// Brings it whole onto every node and marks it there, or fails.
pub async fn deliver(
    docker: &Docker,
    parcel: &Parcel<'_>,
    nodes: Vec<Addressee<'_>>,
    turn: &Turn,
) -> Result<Sent, Error> {
    let mut sent = Sent { nodes: nodes.len(), least: u64::MAX, most: 0, whole: 0 };
    let mut incomplete = hand_out(docker, parcel, nodes, turn, &mut sent).await?;
    // What they had when they were asked has been cleaned up since: these get all of it.
    for node in &mut incomplete {
        node.has.clear();
    }
    if !incomplete.is_empty() {
        incomplete = hand_out(docker, parcel, incomplete, turn, &mut sent).await?;
    }
    match incomplete.first() {
        None => Ok(sent),
        Some(Addressee { node, .. }) => {
            Err(Error::Failed(format!("`{node}` was sent all of it, and does not have all of it")))
        }
    }
}

/// Answers the nodes that turn out to lack some of what they were not sent.
async fn hand_out<'a>(
    docker: &Docker,
    parcel: &Parcel<'_>,
    nodes: Vec<Addressee<'a>>,
    turn: &Turn,
    sent: &mut Sent,
) -> Result<Vec<Addressee<'a>>, Error> {
    let onto = format!("onto {}", count(nodes.len(), "node"));
    let (outlets, imports): (Vec<_>, Vec<_>) = nodes
        .iter()
        .map(|Addressee { node, has }| {
            let (sender, receiver) = mpsc::channel(PIECES_AHEAD);
            let archive = ReceiverStream::new(receiver);
            let receiver = Receiver { has: has.clone(), outlet: Belt(sender) };
            let platform = parcel.image.platform.as_deref();
            (receiver, containerd::import(docker, node, platform, archive))
        })
        .unzip();
    let dealing = dealing(docker, parcel, outlets, turn, onto.clone())
        .inspect(|_| turn.say(format!("{onto}: unpacking")));
    let (dealt, imported) = tokio::join!(dealing, join_all(imports));
    let dealt = dealt?;

    let arrivals =
        nodes.into_iter().zip(dealt.sent).zip(imported).map(|((to, bytes), imported)| async move {
            let is_spared = bytes < dealt.whole;
            let has_arrived = match imported {
                Ok(()) => containerd::mark_if_whole(docker, to.node, parcel).await?,
                Err(error) if is_spared && lacks_something(&error) => false,
                Err(error) => return Err(error),
            };
            Ok((to, bytes, has_arrived))
        });
    let mut incomplete = Vec::new();
    sent.whole = dealt.whole;
    for (to, bytes, has_arrived) in try_join_all(arrivals).await? {
        if has_arrived {
            sent.least = sent.least.min(bytes);
            sent.most = sent.most.max(bytes);
        } else {
            incomplete.push(to);
        }
    }
    Ok(incomplete)
}

/// containerd's words for a blob that it has no more.
fn lacks_something(error: &Error) -> bool {
    matches!(error, Error::Exec { stderr, .. } if stderr.contains("not found"))
}

/// Archives are read and written by a library that blocks, so this has a thread of its own. It ends
/// by itself when nobody listens any more.
async fn dealing(
    docker: &Docker,
    parcel: &Parcel<'_>,
    mut receivers: Vec<Receiver<Belt>>,
    turn: &Turn,
    onto: String,
) -> Result<Dealt, Error> {
    let by_digest = parcel.name.contains('@').then(|| canonical_image(parcel.name));
    let reference = if by_digest.is_some() { parcel.image.id.as_str() } else { parcel.name };
    let archive = docker.export_images(&[reference]).map_err(io::Error::other);
    let archive = SyncIoBridge::new(StreamReader::new(Box::pin(archive)));
    let (diff_ids, size) = (parcel.image.layers.clone(), parcel.image.size);
    let turn = turn.clone();
    let work = move || {
        let tell = |dealt: &Dealt| turn.measure(&onto, progress(dealt, size));
        let image = Known { diff_ids: &diff_ids, name: by_digest.as_deref() };
        let dealt = deal(archive, &image, &mut receivers, tell);
        if let Err(error) = &dealt {
            for receiver in receivers {
                receiver.outlet.break_off(error);
            }
        }
        dealt
    };
    match tokio::task::spawn_blocking(work).await {
        Ok(dealt) => dealt.map_err(unreadable),
        Err(broken_down) => Err(Error::Failed(broken_down.to_string())),
    }
}

/// Of what somebody lacks, as far as that is known: the image's size less what is left out of it.
fn progress(dealt: &Dealt, size: u64) -> Amount {
    let total = size.saturating_sub(dealt.needless).max(dealt.passed_on);
    Amount { done: dealt.passed_on, total, tally: Tally::Bytes }
}

/// What was wrong with the engine's stream is told as it was; else it is the archive.
fn unreadable(error: io::Error) -> Error {
    error.downcast().unwrap_or_else(|error| {
        Error::Failed(format!("the archive that the engine makes of it cannot be read: {error}"))
    })
}

/// To the import on a node.
struct Belt(mpsc::Sender<Result<Bytes, Error>>);

impl Belt {
    /// Ends the import, which is not to take what it has for all there is.
    fn break_off(&self, why: &io::Error) {
        // One that has ended already needs no ending.
        let _ = self.0.blocking_send(Err(Error::Failed(why.to_string())));
    }
}

impl Outlet for Belt {
    fn put(&mut self, piece: &Bytes) -> bool {
        self.0.blocking_send(Ok(piece.clone())).is_ok()
    }
}

impl fmt::Display for Sent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [least, most, whole] = [self.least, self.most, self.whole].map(megabytes);
        write!(f, "onto {}, ", count(self.nodes, "node"))?;
        if least != most {
            write!(f, "{least} to {most} of {whole}")
        } else if most != whole {
            write!(f, "{most} of {whole}")
        } else {
            f.write_str(&whole)
        }
    }
}

fn megabytes(bytes: u64) -> String {
    let tenths = bytes.div_ceil(100_000);
    if tenths < 100 {
        format!("{}.{} MB", tenths / 10, tenths % 10)
    } else {
        format!("{} MB", tenths.div_ceil(10))
    }
}

fn count(number: usize, what: &str) -> String {
    if number == 1 { format!("1 {what}") } else { format!("{number} {what}s") }
}

#[cfg(test)]
mod tests {
    use super::Sent;

    #[test]
    fn what_was_left_out_shows() {
        let sent = |least, most| Sent { nodes: 3, least, most, whole: 418_400_000 }.to_string();
        assert_eq!(sent(418_400_000, 418_400_000), "onto 3 nodes, 419 MB");
        assert_eq!(sent(12_000_000, 12_000_000), "onto 3 nodes, 12 MB of 419 MB");
        assert_eq!(sent(2_100, 418_400_000), "onto 3 nodes, 0.1 MB to 419 MB of 419 MB");
    }
}
