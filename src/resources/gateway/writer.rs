//! One writer per gateway: forwards that become ready together are written in one transaction.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::oneshot::{self, error::TryRecvError};

use super::state::{Forward, Saved};
use crate::engine::Failure;
use crate::plan::{Id, Record};
use crate::resources::base::context::Context;

#[derive(Debug, Clone)]
pub enum Edit {
    Put(Id, Forward),
    Remove(Id),
    /// The gateway itself was changed.
    Gateway(Record),
}

/// Whoever comes first writes for all who have come while the writer before was at it.
#[derive(Debug, Default)]
pub struct Writer {
    waiting: Mutex<Vec<Waiting>>,
    turn: tokio::sync::Mutex<()>,
    interrupted: Mutex<Option<Instant>>,
}

#[derive(Debug)]
struct Waiting {
    edit: Edit,
    done: oneshot::Sender<Result<(), Failure>>,
}

impl Writer {
    pub async fn commit(&self, cx: &Context, gateway: &str, edit: Edit) -> Result<(), Failure> {
        self.group(edit, async |edits| write(cx, gateway, edits).await).await
    }

    async fn group(
        &self,
        edit: Edit,
        write: impl AsyncFnOnce(Vec<Edit>) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let (done, mut outcome) = oneshot::channel();
        self.waiting().push(Waiting { edit: edit.clone(), done });
        let _turn = self.turn.lock().await;
        match outcome.try_recv() {
            Ok(written_for_us) => return written_for_us,
            // It is still waiting, and this is the one to write it.
            Err(TryRecvError::Empty) => {}
            // Whoever took it was cut off, before or after it was written: twice does no harm.
            Err(TryRecvError::Closed) => {
                self.waiting().push(Waiting { edit, done: oneshot::channel().0 });
            }
        }
        let (edits, listeners): (Vec<Edit>, Vec<_>) = std::mem::take(&mut *self.waiting())
            .into_iter()
            .map(|one| (one.edit, one.done))
            .unzip();
        let result = write(edits).await;
        for listener in listeners {
            // One that has been cancelled no longer listens.
            let _ = listener.send(result.clone());
        }
        result
    }

    /// Writes down what the gateway itself was applied with, and leaves what is in force as it is.
    pub async fn record(&self, cx: &Context, gateway: &str, record: Record) -> Result<(), Failure> {
        let _turn = self.turn.lock().await;
        let mut saved = Saved::read(cx, gateway).await?.unwrap_or_default();
        saved.gateway = Some(record);
        saved.write(cx, gateway, cx.topology()?).await
    }

    /// The gateway has been taken away to be made anew.
    pub fn interrupt(&self) {
        *self.interrupted() = Some(Instant::now());
    }

    /// How long it was away, if it was.
    pub fn resume(&self) -> Option<Duration> {
        self.interrupted().take().map(|since| since.elapsed())
    }

    fn interrupted(&self) -> MutexGuard<'_, Option<Instant>> {
        self.interrupted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn waiting(&self) -> MutexGuard<'_, Vec<Waiting>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Starts from what is saved, so that forwards which nobody touches keep their last good entries.
async fn write(cx: &Context, gateway: &str, edits: Vec<Edit>) -> Result<(), Failure> {
    let mut saved = Saved::read(cx, gateway).await?.unwrap_or_default();
    for edit in edits {
        match edit {
            Edit::Put(id, forward) => {
                saved.forwards.insert(id, forward);
            }
            Edit::Remove(id) => {
                saved.forwards.remove(&id);
            }
            Edit::Gateway(record) => saved.gateway = Some(record),
        }
    }
    saved.enforce(cx, gateway, cx.topology()?).await
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    fn edit(number: usize) -> Edit {
        Edit::Remove(Id::new("port", number))
    }

    #[tokio::test]
    async fn those_who_wait_are_written_together() {
        let writer = Arc::new(Writer::default());
        let (writes, edits) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let commits = (0..100).map(|number| {
            let (writer, writes, edits) = (writer.clone(), writes.clone(), edits.clone());
            async move {
                let counted = async |batch: Vec<Edit>| {
                    writes.fetch_add(1, Ordering::Relaxed);
                    edits.fetch_add(batch.len(), Ordering::Relaxed);
                    tokio::task::yield_now().await;
                    Ok(())
                };
                writer.group(edit(number), counted).await
            }
        });
        let outcomes = futures::future::join_all(commits).await;
        assert!(outcomes.iter().all(Result::is_ok));
        assert_eq!(edits.load(Ordering::Relaxed), 100);
        assert_eq!(writes.load(Ordering::Relaxed), 2);
    }

    #[tokio::test]
    async fn an_edit_outlives_the_leader_that_took_it() {
        let writer = Arc::new(Writer::default());
        let taken = Arc::new(tokio::sync::Notify::new());
        let turn = writer.turn.lock().await;
        let leader = tokio::spawn({
            let (writer, taken) = (Arc::clone(&writer), Arc::clone(&taken));
            async move {
                let never_ends = async |batch: Vec<Edit>| {
                    assert_eq!(batch.len(), 2);
                    taken.notify_one();
                    std::future::pending().await
                };
                writer.group(edit(1), never_ends).await
            }
        });
        while writer.waiting().is_empty() {
            tokio::task::yield_now().await;
        }
        let written = Mutex::new(Vec::new());
        let write = async |batch: Vec<Edit>| {
            written.lock().expect("whole").extend(batch);
            Ok(())
        };
        let cut_off = async {
            drop(turn);
            taken.notified().await;
            leader.abort();
            assert!(leader.await.expect_err("was cut off").is_cancelled());
        };
        let (outcome, ()) = tokio::join!(writer.group(edit(2), write), cut_off);
        assert_eq!(outcome, Ok(()));
        let written = written.into_inner().expect("whole");
        assert!(matches!(&written[..], [Edit::Remove(id)] if *id == Id::new("port", 2)));
    }

    #[tokio::test]
    async fn a_failed_write_fails_for_everyone_in_it_and_for_nobody_after() {
        let writer = Writer::default();
        let fail = async |_: Vec<Edit>| {
            tokio::task::yield_now().await;
            Err(Failure::new("no"))
        };
        let succeed = async |_: Vec<Edit>| Ok(());
        let first = writer.group(edit(1), fail);
        assert_eq!(first.await, Err(Failure::new("no")));
        assert_eq!(writer.group(edit(2), succeed).await, Ok(()));
    }
}
