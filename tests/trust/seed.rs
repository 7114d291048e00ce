//! One number from which every choice of a run follows: printed, and taken from `TOPO_TRUST_SEED`.

use std::sync::OnceLock;
use std::time::{SystemTime, UNIX_EPOCH};

pub fn seed() -> u64 {
    static SEED: OnceLock<u64> = OnceLock::new();
    *SEED.get_or_init(|| {
        let given = std::env::var("TOPO_TRUST_SEED").ok().and_then(|seed| seed.parse().ok());
        given.unwrap_or_else(|| {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            now.as_secs() % 1_000_000
        })
    })
}

/// A stream of numbers of a test's own.
pub struct Dice(u64);

impl Dice {
    pub fn of(test: &str) -> Self {
        let start = test.bytes().fold(seed(), |sum, byte| sum.wrapping_mul(31) ^ u64::from(byte));
        Self(start)
    }

    /// The generator `SplitMix64`.
    fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.roll() % limit.max(1) as u64).unwrap_or(0)
    }

    pub fn shuffle<T>(&mut self, things: &mut [T]) {
        for last in (1..things.len()).rev() {
            things.swap(last, self.below(last + 1));
        }
    }
}

/// So many rounds of each test: all where `TOPO_TRUST_ROUNDS` is not set.
pub fn sample<T>(test: &str, mut cases: Vec<T>) -> Vec<T> {
    Dice::of(test).shuffle(&mut cases);
    let rounds = std::env::var("TOPO_TRUST_ROUNDS").ok().and_then(|rounds| rounds.parse().ok());
    let all = cases.len();
    cases.truncate(rounds.unwrap_or(usize::MAX));
    eprintln!("{test}: {} of {all} cases", cases.len());
    cases
}
