//! Amounts of storage, as Kubernetes writes them: `10Gi`, `500M`, `1.5Ti`.

use std::fmt;
use std::str::FromStr;

use super::text::{Malformed, Text, text_type};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Size(u64);

const UNITS: [(&str, u64); 12] = [
    ("Ei", 1 << 60),
    ("Pi", 1 << 50),
    ("Ti", 1 << 40),
    ("Gi", 1 << 30),
    ("Mi", 1 << 20),
    ("Ki", 1 << 10),
    ("E", 1_000_000_000_000_000_000),
    ("P", 1_000_000_000_000_000),
    ("T", 1_000_000_000_000),
    ("G", 1_000_000_000),
    ("M", 1_000_000),
    ("k", 1_000),
];

impl Size {
    pub const fn gibibytes(count: u64) -> Self {
        Self(count << 30)
    }

    pub fn bytes(self) -> u64 {
        self.0
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match UNITS.iter().find(|(_, factor)| self.0 > 0 && self.0.is_multiple_of(*factor)) {
            Some((unit, factor)) => write!(f, "{}{unit}", self.0 / factor),
            None => write!(f, "{}", self.0),
        }
    }
}

impl FromStr for Size {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        let wrong =
            |what: String| Malformed::instead(what, "a size such as `10Gi`, `500Mi` or `1.5Ti`");
        let end = text.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(text.len());
        let (number, unit) = text.split_at(end);
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if whole.is_empty() || fraction.contains('.') || number.ends_with('.') {
            return Err(wrong(format!("`{text}` is not a valid size")));
        }
        let factor = match UNITS.iter().find(|(name, _)| *name == unit) {
            Some((_, factor)) => *factor,
            None if unit.is_empty() => 1,
            None => return Err(unknown_unit(number, unit)),
        };
        let bytes = scaled(whole, fraction, factor).ok_or_else(|| {
            wrong(format!("`{text}` is too large, or not a whole number of bytes"))
        })?;
        if bytes == 0 {
            return Err(wrong("a size must be greater than zero".to_owned()));
        }
        Ok(Self(bytes))
    }
}

/// `whole.fraction × factor`, if that is a whole number of bytes that fits.
fn scaled(whole: &str, fraction: &str, factor: u64) -> Option<u64> {
    const MOST_DECIMALS: usize = 18;
    let fraction = fraction.trim_end_matches('0');
    if fraction.len() > MOST_DECIMALS {
        return None;
    }
    let scale = 10_u128.pow(u32::try_from(fraction.len()).ok()?);
    let digits = if fraction.is_empty() { 0 } else { fraction.parse::<u128>().ok()? };
    let value = whole
        .parse::<u128>()
        .ok()?
        .checked_mul(scale)?
        .checked_add(digits)?
        .checked_mul(u128::from(factor))?;
    value.is_multiple_of(scale).then(|| u64::try_from(value / scale).ok())?
}

fn unknown_unit(number: &str, unit: &str) -> Malformed {
    let trimmed = unit.trim().trim_end_matches(['b', 'B']);
    let right = UNITS.iter().find(|(name, _)| name.eq_ignore_ascii_case(trimmed));
    match right {
        Some((name, _)) => {
            Malformed::instead(format!("unknown unit `{unit}`"), format!("`{number}{name}`"))
        }
        None => Malformed::instead(
            format!("unknown unit `{unit}`"),
            "`Ki`, `Mi`, `Gi`, `Ti`, `Pi`, `Ei`, or `k`, `M`, `G`, `T`, `P`, `E`",
        ),
    }
}

impl Text for Size {
    const FORMAT: &'static str = "size";
    const PATTERN: &'static str = r"^[0-9]+(\.[0-9]+)?([KMGTPE]i|[kMGTPE])?$";
}
text_type!(Size);

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_size_is_read_back_as_it_is_shown(bytes in 1..=u64::MAX) {
            prop_assert_eq!(Size(bytes).to_string().parse(), Ok(Size(bytes)));
        }

        #[test]
        fn no_text_makes_the_parser_panic(text in "[0-9.]{0,40}[a-zA-Z]{0,3}") {
            let _ = text.parse::<Size>();
        }
    }

    #[test]
    fn fractions_of_a_unit_are_whole_bytes() {
        assert_eq!("1.5Gi".parse::<Size>().map(|size| size.to_string()), Ok("1536Mi".to_owned()));
        assert!("0.1Ki".parse::<Size>().is_err());
    }

    #[test]
    fn what_is_not_a_size_is_refused() {
        for text in [
            "",
            "0",
            "0Gi",
            "Gi",
            "10GB",
            "10gi",
            "-1Gi",
            "1.Gi",
            ".5Gi",
            "1.2.3Gi",
            "1 Gi",
            "16Ei",
            "99999999999999999999",
        ] {
            assert!(text.parse::<Size>().is_err(), "{text:?}");
        }
    }
}
