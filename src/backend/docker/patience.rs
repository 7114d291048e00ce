//! How long the engine is waited for. bollard itself waits only for an answer to begin: here it has an
//! end too.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use futures::future::BoxFuture;
use futures::stream::BoxStream;
use futures::{FutureExt, Stream, StreamExt, TryFutureExt, stream};
use tokio::time::{Instant, sleep_until, timeout};
use tracing::{Instrument, Span};

use super::{Error, Result};
use crate::backend::calls;

type Answer<T> = std::result::Result<T, bollard::errors::Error>;

/// For a call that changes something: starting a container that publishes a thousand ports takes a
/// minute.
pub(super) const CHANGE: Duration = Duration::from_mins(5);
/// For a call that only looks.
const LOOK: Duration = Duration::from_mins(1);
/// For the next piece of an answer that comes in pieces: unpacking a large image is a silent task.
const SILENCE: Duration = Duration::from_mins(10);

/// For the first call of all: an engine that runs answers it at once.
const HELLO: Duration = Duration::from_secs(15);

/// What bollard makes of a call is large, and held by whatever waits for it: so it is boxed.
pub(super) fn look<'a, T: 'a>(
    call: impl Future<Output = Answer<T>> + Send + 'a,
) -> BoxFuture<'a, Result<T>> {
    within(LOOK, call.map_err(Error::from)).boxed()
}

pub(super) fn change<'a, T: 'a>(
    call: impl Future<Output = Answer<T>> + Send + 'a,
) -> BoxFuture<'a, Result<T>> {
    within(CHANGE, call.map_err(Error::from)).boxed()
}

pub(super) fn hello<'a, T: 'a>(
    call: impl Future<Output = Answer<T>> + Send + 'a,
) -> BoxFuture<'a, Result<T>> {
    within(HELLO, call.map_err(Error::from)).boxed()
}

/// A look that takes several calls.
pub(super) fn look_by<'a, T: 'a>(
    calls: impl Future<Output = Result<T>> + Send + 'a,
) -> BoxFuture<'a, Result<T>> {
    within(LOOK, calls).boxed()
}

async fn within<T>(limit: Duration, call: impl Future<Output = Result<T>>) -> Result<T> {
    let call = async {
        let answer = timeout(limit, call).await.unwrap_or_else(|_| Err(silent(limit)));
        calls::came(in_a_word(&answer));
        answer
    };
    call.instrument(calls::to_engine()).await
}

fn in_a_word<T>(answer: &Result<T>) -> &'static str {
    match answer {
        Ok(_) => "ok",
        Err(Error::NotFound(_)) => "not found",
        Err(Error::Lost(_)) => "no answer",
        Err(_) => "refused",
    }
}

/// An answer in pieces, for as long as they come.
pub(super) fn lively<T, S>(call: impl FnOnce() -> S) -> BoxStream<'static, Result<T>>
where
    T: Send + 'static,
    S: Stream<Item = Answer<T>> + Send + 'static,
{
    let span = calls::to_engine();
    let pieces = span.in_scope(call);
    each_within(SILENCE, pieces, span).boxed()
}

fn each_within<T: Send + 'static>(
    limit: Duration,
    pieces: impl Stream<Item = Answer<T>> + Send + 'static,
    span: Span,
) -> impl Stream<Item = Result<T>> + Send {
    stream::try_unfold(pieces.boxed(), move |mut pieces| {
        let next = async move {
            let next = match timeout(limit, pieces.next()).await {
                Ok(next) => next.transpose().map_err(Error::from),
                Err(_) => Err(silent(limit)),
            };
            if !matches!(next, Ok(Some(_))) {
                calls::came(in_a_word(&next));
            }
            Ok(next?.map(|piece| (piece, pieces)))
        };
        next.instrument(span.clone())
    })
}

fn silent(limit: Duration) -> Error {
    let limit = limit.as_secs();
    Error::Lost(format!("no answer, or no end of one, within {limit} s"))
}

/// When something last went to or came from a command that runs.
pub(super) struct Pulse(Mutex<Instant>);

impl Pulse {
    pub(super) fn new() -> Self {
        Self(Mutex::new(Instant::now()))
    }

    pub(super) fn beat(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    /// Returns once there has been silence for too long.
    pub(super) async fn stops(&self) -> Error {
        self.stops_for(SILENCE).await
    }

    async fn stops_for(&self, limit: Duration) -> Error {
        loop {
            let end = *self.0.lock().unwrap_or_else(PoisonError::into_inner) + limit;
            if Instant::now() >= end {
                return silent(limit);
            }
            sleep_until(end).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use super::*;

    const LIMIT: Duration = Duration::from_millis(200);

    #[tokio::test]
    async fn a_call_that_does_not_end_is_given_up() {
        let end = within(LIMIT, pending::<Result<()>>()).await;
        assert!(matches!(end, Err(Error::Lost(_))), "{end:?}");
    }

    #[tokio::test]
    async fn pieces_are_waited_for_one_by_one() {
        let slow = stream::iter([1, 2, 3]).then(async |piece| {
            tokio::time::sleep(LIMIT / 2).await;
            Ok(piece)
        });
        let pieces = each_within(LIMIT, slow.chain(stream::pending()), Span::none());
        let pieces: Vec<Result<u8>> = pieces.take(4).collect().await;
        assert!(matches!(pieces[..], [Ok(1), Ok(2), Ok(3), Err(Error::Lost(_))]), "{pieces:?}");
    }

    #[tokio::test]
    async fn a_command_that_is_fed_is_not_silent() {
        let pulse = Pulse::new();
        let since = Instant::now();
        let feed = async {
            for _ in 0..3 {
                tokio::time::sleep(LIMIT / 2).await;
                pulse.beat();
            }
            pending::<()>().await;
        };
        tokio::select! {
            () = feed => {}
            _ = pulse.stops_for(LIMIT) => {}
        }
        assert!(since.elapsed() >= LIMIT * 2, "{:?}", since.elapsed());
    }
}
