//! What a YAML scalar means to Kubernetes. Its readers are YAML 1.1 with go-yaml's own touches:
//! `yes` is true, `0644` is 420, and `1.0` is the integer 1 once it has been JSON.

use std::borrow::Cow;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;

#[derive(Debug, Clone, PartialEq)]
pub enum Scalar<'t> {
    Null,
    Bool(bool),
    Int(i64),
    /// More than an `i64` holds: a number, and never a key.
    Large(u64),
    Float(f64),
    Text(Cow<'t, str>),
}

use Scalar::{Bool, Float, Int, Large, Null, Text};

impl<'t> Scalar<'t> {
    /// A scalar without quotes and without a tag.
    pub fn plain(text: Cow<'t, str>) -> Self {
        untagged(&text).unwrap_or(Text(text))
    }

    /// A scalar with a tag of YAML's own, of which `name` is what follows the `!!`.
    pub fn tagged(name: &str, text: Cow<'t, str>) -> Result<Self, String> {
        let meant = untagged(&text);
        match (name, meant) {
            ("bool", Some(value @ Bool(_)))
            | ("null", Some(value @ Null))
            | ("int", Some(value @ (Int(_) | Large(_))))
            | ("float", Some(value @ Float(_))) => Ok(value),
            #[expect(clippy::cast_precision_loss, reason = "that is what `!!float` asks for")]
            ("float", Some(Int(value))) => Ok(Float(value as f64)),
            ("timestamp", _) if is_date(&text) => Ok(Text(text)),
            ("bool" | "null" | "int" | "float" | "timestamp", _) => {
                Err(format!("`{text}` is not a valid `!!{name}`"))
            }
            ("binary", _) => binary(&text).map(|text| Text(text.into())),
            _ => Ok(Text(text)),
        }
    }

    /// The text that a key becomes; none where Kubernetes' readers refuse it.
    pub fn into_key(self) -> Option<Cow<'t, str>> {
        match self {
            Null | Large(_) => None,
            Bool(value) => Some(if value { "true" } else { "false" }.into()),
            Int(value) => Some(value.to_string().into()),
            Float(value) => Some(float_key(value).into()),
            Text(text) => Some(text),
        }
    }
}

/// What is not text.
fn untagged<'t>(text: &str) -> Option<Scalar<'t>> {
    match text.as_bytes().first() {
        None => Some(Null),
        Some(b'~' | b'y' | b'Y' | b'n' | b'N' | b't' | b'T' | b'f' | b'F' | b'o' | b'O') => {
            word(text)
        }
        Some(b'.') => not_finite(text).or_else(|| fraction(text)).map(Float),
        Some(b'+' | b'-' | b'0'..=b'9') => number(text),
        Some(_) => None,
    }
}

fn word<'t>(word: &str) -> Option<Scalar<'t>> {
    match word {
        "~" | "null" | "Null" | "NULL" => Some(Null),
        "y" | "Y" | "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => {
            Some(Bool(true))
        }
        "n" | "N" | "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => {
            Some(Bool(false))
        }
        _ => None,
    }
}

fn not_finite(text: &str) -> Option<f64> {
    match text {
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" => Some(f64::INFINITY),
        "-.inf" | "-.Inf" | "-.INF" => Some(f64::NEG_INFINITY),
        ".nan" | ".NaN" | ".NAN" => Some(f64::NAN),
        _ => None,
    }
}

fn number<'t>(text: &str) -> Option<Scalar<'t>> {
    let digits: Cow<str> =
        if text.contains('_') { text.replace('_', "").into() } else { text.into() };
    integer(&digits).or_else(|| float(&digits).map(Float)).or_else(|| not_finite(text).map(Float))
}

/// Decimal, `0x1f`, `0b11`, `0o17` or `017`, with or without a sign.
fn integer<'t>(text: &str) -> Option<Scalar<'t>> {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let (radix, digits) = match unsigned.as_bytes() {
        [b'0', b'x' | b'X', ..] => (16, &unsigned[2..]),
        [b'0', b'b' | b'B', ..] => (2, &unsigned[2..]),
        [b'0', b'o' | b'O', ..] => (8, &unsigned[2..]),
        [b'0', _, ..] => (8, &unsigned[1..]),
        _ => (10, unsigned),
    };
    if !digits.bytes().all(|digit| digit.is_ascii_alphanumeric()) {
        return None;
    }
    let value = u64::from_str_radix(digits, radix).ok()?;
    if text.starts_with('-') {
        return 0_i64.checked_sub_unsigned(value).map(Int);
    }
    match i64::try_from(value) {
        Ok(value) => Some(Int(value)),
        Err(_) => (!text.starts_with('+')).then_some(Large(value)),
    }
}

/// Here an underscore counts only between digits.
fn fraction(text: &str) -> Option<f64> {
    let digits = text.split('_').enumerate().all(|(at, part)| {
        let (first, last) = (part.bytes().next(), part.bytes().next_back());
        let digit = |c: Option<u8>| c.is_some_and(|c| c.is_ascii_digit());
        (at == 0 || digit(first)) && (digit(last) || !text.contains('_'))
    });
    if digits { float(&text.replace('_', "")) } else { None }
}

/// One that is too large for a float is text, as it is to go-yaml.
fn float(text: &str) -> Option<f64> {
    let part = |c: u8| c.is_ascii_digit() || matches!(c, b'.' | b'e' | b'E' | b'+' | b'-');
    let value: f64 = text.bytes().all(part).then(|| text.parse().ok())??;
    value.is_finite().then_some(value)
}

/// Times stay text.
fn is_date(text: &str) -> bool {
    text.split_once('-')
        .is_some_and(|(year, _)| year.len() == 4 && year.bytes().all(|c| c.is_ascii_digit()))
}

/// What is not UTF-8 cannot be in JSON and is replaced.
fn binary(text: &str) -> Result<String, String> {
    let text: String = text.split(['\r', '\n']).collect();
    let bytes = BASE64_STANDARD.decode(text).map_err(|error| format!("`!!binary`: {error}"))?;
    Ok(bytes.utf8_chunks().fold(String::new(), |mut text, chunk| {
        text.push_str(chunk.valid());
        text.extend(chunk.invalid().iter().map(|_| char::REPLACEMENT_CHARACTER));
        text
    }))
}

/// With the digits of a single-precision number, as `sigs.k8s.io/yaml` writes it.
#[expect(clippy::cast_possible_truncation, reason = "that is how these keys are written")]
fn float_key(value: f64) -> String {
    let value = value as f32;
    if value.is_nan() {
        return ".nan".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { ".inf" } else { "-.inf" }.to_owned();
    }
    let scientific = format!("{value:e}");
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or_default();
    if (-4..6).contains(&exponent) || value == 0.0 {
        return value.to_string();
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{digits}e{sign}{:02}", exponent.abs())
}
