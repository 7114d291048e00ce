//! The time in which addresses are in no pool, while one pool takes the place of another.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::topology::AddressRange;

/// Addresses of pools that were removed in this run, and since when.
#[derive(Debug, Default)]
pub struct Gaps(Mutex<Vec<(Vec<AddressRange>, Instant)>>);

impl Gaps {
    pub fn begin(&self, addresses: Vec<AddressRange>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push((addresses, Instant::now()));
    }

    /// How long some of these were without a pool, if they were.
    pub fn end(&self, addresses: &[AddressRange]) -> Option<Duration> {
        let gaps = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let meets = |gap: &[AddressRange]| {
            gap.iter().any(|one| addresses.iter().any(|other| one.meets(*other)))
        };
        gaps.iter().filter(|(gap, _)| meets(gap)).map(|(_, since)| since.elapsed()).max()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_addresses_that_come_back_have_a_gap() {
        let range = |text: &str| -> AddressRange { text.parse().expect("a range") };
        let gaps = Gaps::default();
        gaps.begin(vec![range("10.0.0.1-10.0.0.9")]);
        assert!(gaps.end(&[range("10.0.0.9-10.0.0.12")]).is_some());
        assert!(gaps.end(&[range("10.0.0.10-10.0.0.12")]).is_none());
    }
}
