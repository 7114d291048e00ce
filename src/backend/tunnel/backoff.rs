//! How long to wait before the next try.

use std::time::Duration;

const FIRST: Duration = Duration::from_millis(500);
/// What a person who brings a link up again waits at most.
const LONGEST: Duration = Duration::from_secs(10);
/// A connection that lasted this long was a good one: the next failure is a new one.
const GOOD: Duration = Duration::from_secs(20);

/// Doubles from try to try, up to a limit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backoff {
    next: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { next: FIRST }
    }
}

impl Backoff {
    /// The pause after a try that was up for `lasted`, if it was at all.
    pub fn after(&mut self, lasted: Option<Duration>) -> Duration {
        if lasted.is_some_and(|lasted| lasted >= GOOD) {
            *self = Self::default();
        }
        let pause = self.next;
        self.next = (pause * 2).min(LONGEST);
        pause
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pauses(lasted: &[Option<u64>]) -> Vec<u128> {
        let mut backoff = Backoff::default();
        let pause = |lasted: &Option<u64>| backoff.after(lasted.map(Duration::from_secs));
        lasted.iter().map(pause).map(|pause| pause.as_millis()).collect()
    }

    #[test]
    fn pauses_double_up_to_a_limit() {
        assert_eq!(pauses(&[None; 7]), [500, 1000, 2000, 4000, 8000, 10_000, 10_000]);
    }

    #[test]
    fn one_that_comes_up_and_falls_at_once_is_not_tried_ever_faster() {
        assert_eq!(pauses(&[Some(1), Some(1), Some(1)]), [500, 1000, 2000]);
    }

    #[test]
    fn after_a_good_connection_it_starts_over() {
        assert_eq!(pauses(&[None, None, None, Some(60), None]), [500, 1000, 2000, 500, 1000]);
    }
}
