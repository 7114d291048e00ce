//! Every wait ends, and says what it last saw.

use std::future::Future;
use std::time::Duration;

use tokio::time::Instant;

use super::{Failure, Turn};

/// The time in which something shall have come about, for one or several waits in a row.
///
/// ```ignore
/// let deadline = Deadline::new(turn, Duration::from_secs(90), "its API to answer");
/// deadline.until(async {
///     while let Some(state) = states.next().await {
///         deadline.saw(state);
///     }
///     Ok(())
/// })
/// .await?;
/// ```
#[derive(Debug)]
pub struct Deadline<'a> {
    turn: &'a Turn,
    what: String,
    limit: Duration,
    end: Instant,
}

impl<'a> Deadline<'a> {
    /// `usual` is the limit unless a person has set another. `what` is waited for: "its API to answer".
    pub fn new(turn: &'a Turn, usual: Duration, what: impl Into<String>) -> Self {
        let limit = turn.timeout.unwrap_or(usual);
        Self { turn, what: what.into(), limit, end: Instant::now() + limit }
    }

    /// How it stands now: shown beside the running step, and in the error if time runs out, as is
    /// whatever else the turn says.
    pub fn saw(&self, now: impl Into<String>) {
        let now = now.into();
        if self.turn.last_said().as_ref() != Some(&now) {
            self.turn.say(now);
        }
    }

    pub async fn until<T>(
        &self,
        work: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        tokio::time::timeout_at(self.end, work).await.unwrap_or_else(|_| Err(self.too_late()))
    }

    fn too_late(&self) -> Failure {
        let last = self.turn.last_said();
        let seen = last.as_deref().unwrap_or("nothing at all");
        Failure::new(format!(
            "`{}` waited {} s for {}",
            self.turn.id(),
            self.limit.as_secs_f64(),
            self.what
        ))
        .caused_by(format!("last seen: {seen}"))
    }
}
