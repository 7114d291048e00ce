//! Addresses for pools that say only how many.

use std::net::IpAddr;

use super::number;
use crate::topology::{AddressRange, NoRoom, Subnet, carve};

/// As many addresses as asked for: of those it had the highest, and new ones where these do not do.
pub fn resized(
    subnet: Subnet,
    had: &[AddressRange],
    size: u64,
    taken: &[AddressRange],
) -> Result<Vec<AddressRange>, NoRoom> {
    let kept = highest(had, size);
    let missing = size - count(&kept);
    let taken = [taken, &kept].concat();
    let new = carve(subnet, &taken, u32::try_from(missing).unwrap_or(u32::MAX))?;
    Ok(joined([kept, new].concat()))
}

/// The highest of some addresses, up to a number of them.
pub fn highest(of: &[AddressRange], most: u64) -> Vec<AddressRange> {
    let mut sorted = of.to_vec();
    sorted.sort_unstable();
    let mut left = u128::from(most);
    let mut kept = Vec::new();
    for range in sorted.into_iter().rev() {
        let skipped = range.count().saturating_sub(left);
        left -= range.count() - skipped;
        kept.extend(range.nth(skipped).and_then(|first| AddressRange::new(first, range.last())));
    }
    kept.reverse();
    kept
}

fn count(ranges: &[AddressRange]) -> u64 {
    let count: u128 = ranges.iter().map(|range| range.count()).sum();
    u64::try_from(count).unwrap_or(u64::MAX)
}

/// Neighbouring ranges as one.
fn joined(mut ranges: Vec<AddressRange>) -> Vec<AddressRange> {
    let follows = |one: IpAddr, next: IpAddr| number(next) == number(one) + 1;
    ranges.sort_unstable();
    let mut joined: Vec<AddressRange> = Vec::new();
    for range in ranges {
        let whole = joined
            .last()
            .filter(|before| follows(before.last(), range.first()))
            .and_then(|before| AddressRange::new(before.first(), range.last()));
        if whole.is_some() {
            joined.pop();
        }
        joined.push(whole.unwrap_or(range));
    }
    joined
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ranges(texts: &[&str]) -> Vec<AddressRange> {
        texts.iter().map(|text| text.parse().expect("a range")).collect()
    }

    fn chosen(had: &[&str], size: u64, taken: &[&str]) -> Vec<String> {
        let subnet = "172.22.0.0/16".parse().expect("a subnet");
        resized(subnet, &ranges(had), size, &ranges(taken))
            .expect("room")
            .iter()
            .map(ToString::to_string)
            .collect()
    }

    #[test]
    fn sizes_are_carved_from_the_top_around_what_is_taken() {
        assert_eq!(chosen(&[], 3, &[]), ["172.22.255.252-172.22.255.254"]);
        assert_eq!(
            chosen(&[], 3, &["172.22.255.252-172.22.255.253"]),
            ["172.22.255.250-172.22.255.251", "172.22.255.254-172.22.255.254"]
        );
    }

    #[test]
    fn what_it_had_stays_when_it_grows_and_the_highest_when_it_shrinks() {
        let had = ["172.22.255.240-172.22.255.249"];
        assert_eq!(chosen(&had, 10, &[]), had);
        assert_eq!(chosen(&had, 4, &[]), ["172.22.255.246-172.22.255.249"]);
        assert_eq!(
            chosen(&had, 12, &["172.22.255.250-172.22.255.254"]),
            ["172.22.255.238-172.22.255.249"]
        );
    }

    #[test]
    fn ranges_that_do_not_fit_whole_are_cut_from_below() {
        let had = ranges(&["10.0.0.1-10.0.0.5", "10.0.0.9-10.0.0.10"]);
        assert_eq!(highest(&had, 3), ranges(&["10.0.0.5-10.0.0.5", "10.0.0.9-10.0.0.10"]));
        assert_eq!(highest(&had, 0), []);
    }
}
