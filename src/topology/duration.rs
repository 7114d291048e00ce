//! How long something may take: `90s`, `2m`, `1m30s`.

use std::fmt;
use std::str::FromStr;
use std::time::Duration as StdDuration;

use super::text::{Malformed, Text, text_type};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Duration(StdDuration);

/// Units from large to small, in milliseconds.
const UNITS: [(&str, u64); 4] = [("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

impl Duration {
    pub const fn from_secs(seconds: u64) -> Self {
        Self(StdDuration::from_secs(seconds))
    }

    pub fn get(self) -> StdDuration {
        self.0
    }
}

impl fmt::Display for Duration {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let mut rest = u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX);
        if rest == 0 {
            return f.write_str("0s");
        }
        for (unit, length) in UNITS {
            if rest >= length {
                write!(f, "{}{unit}", rest / length)?;
                rest %= length;
            }
        }
        Ok(())
    }
}

impl FromStr for Duration {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        let wrong =
            |what: String| Malformed::instead(what, "a duration such as `90s`, `2m` or `1m30s`");
        if text.is_empty() {
            return Err(wrong("a duration is missing".to_owned()));
        }
        let (mut total, mut rest, mut last) = (0_u64, text, u64::MAX);
        while !rest.is_empty() {
            let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
            let (number, tail) = rest.split_at(digits);
            let letters = tail.find(|c: char| c.is_ascii_digit()).unwrap_or(tail.len());
            let (unit, tail) = tail.split_at(letters);
            if number.is_empty() {
                return Err(wrong(format!("the number before `{unit}` is missing")));
            }
            if unit.is_empty() {
                return Err(Malformed::instead(
                    format!("`{number}` has no unit"),
                    format!("`{text}s` for seconds, or with `ms`, `m`, `h`"),
                ));
            }
            let length = UNITS
                .iter()
                .find(|(name, _)| *name == unit)
                .map(|(_, length)| *length)
                .ok_or_else(|| wrong(format!("unknown unit of time `{}`", unit.trim())))?;
            if length >= last {
                return Err(wrong("units must be in order, each at most once".to_owned()));
            }
            let part = number.parse::<u64>().ok().and_then(|number| number.checked_mul(length));
            total = part
                .and_then(|part| total.checked_add(part))
                .ok_or_else(|| wrong(format!("`{text}` is too long")))?;
            (rest, last) = (tail, length);
        }
        Ok(Self(StdDuration::from_millis(total)))
    }
}

impl Text for Duration {
    const FORMAT: &'static str = "duration";
    const PATTERN: &'static str = "^([0-9]+h)?([0-9]+m)?([0-9]+s)?([0-9]+ms)?$";
}
text_type!(Duration);

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_duration_is_read_back_as_it_is_shown(millis in any::<u64>()) {
            let duration = Duration(StdDuration::from_millis(millis));
            prop_assert_eq!(duration.to_string().parse(), Ok(duration));
        }

        #[test]
        fn no_text_makes_the_parser_panic(text in "\\PC*") {
            let _ = text.parse::<Duration>();
        }
    }

    #[test]
    fn units_add_up() {
        assert_eq!(
            "1h2m3s4ms".parse::<Duration>().map(Duration::get),
            Ok(StdDuration::from_millis(3_723_004))
        );
    }

    #[test]
    fn what_has_no_unit_or_the_wrong_order_is_refused() {
        for text in
            ["", "90", "s", "1s1m", "1m1m", "1d", "-1s", "1.5s", "1 s", "99999999999999999999h"]
        {
            assert!(text.parse::<Duration>().is_err(), "{text:?}");
        }
    }
}
