//! What does not stay repaired is repaired less and less often.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use crate::plan::Id;

/// So often in a row it is repaired at once.
const AT_ONCE: u32 = 3;
const LONGEST: Duration = Duration::from_mins(1);
/// What stayed repaired for so long starts over.
const STAYED: Duration = Duration::from_mins(2);

#[derive(Debug, Default)]
pub struct Patience {
    tries: HashMap<Id, Tries>,
}

#[derive(Debug)]
struct Tries {
    count: u32,
    last: Instant,
    next: Instant,
}

impl Patience {
    pub fn allows(&self, id: &Id, now: Instant) -> bool {
        self.tries.get(id).is_none_or(|tries| tries.next <= now)
    }

    /// It is repaired now. Answers how long it is left alone after this, when that is said for the first
    /// time.
    pub fn tried(&mut self, id: &Id, now: Instant) -> Option<Duration> {
        self.tries.retain(|_, tries| now.duration_since(tries.last) < STAYED);
        let tries =
            self.tries.entry(id.clone()).or_insert(Tries { count: 0, last: now, next: now });
        tries.count += 1;
        let pause = pause(tries.count);
        tries.last = now;
        tries.next = now + pause;
        (tries.count == AT_ONCE + 1).then_some(pause)
    }

    /// How long until the next of those that are left alone may be repaired.
    pub fn until(&self, now: Instant) -> Option<Duration> {
        let next = self.tries.values().map(|tries| tries.next).filter(|next| *next > now);
        next.min().map(|next| next - now)
    }
}

fn pause(count: u32) -> Duration {
    match count.saturating_sub(AT_ONCE) {
        0 => Duration::ZERO,
        more => Duration::from_secs(1 << more.min(6)).min(LONGEST),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_drifts_again_and_again_is_repaired_ever_more_seldom() {
        let id = Id::new("port", "10001");
        let start = Instant::now();
        let (mut now, mut patience, mut said) = (start, Patience::default(), Vec::new());
        let mut pauses = Vec::new();
        for _ in 0..10 {
            assert!(patience.allows(&id, now));
            said.extend(patience.tried(&id, now));
            let pause = patience.until(now).unwrap_or_default();
            assert!(pause.is_zero() || !patience.allows(&id, now));
            pauses.push(pause.as_secs());
            now += pause;
        }
        assert_eq!(pauses, [0, 0, 0, 2, 4, 8, 16, 32, 60, 60]);
        assert_eq!(said, [Duration::from_secs(2)]);
    }

    #[test]
    fn what_stayed_repaired_starts_over() {
        let id = Id::new("port", "10001");
        let (start, mut patience) = (Instant::now(), Patience::default());
        for _ in 0..5 {
            patience.tried(&id, start);
        }
        assert!(!patience.allows(&id, start + Duration::from_secs(1)));
        patience.tried(&id, start + STAYED);
        assert!(patience.allows(&id, start + STAYED));
    }
}
