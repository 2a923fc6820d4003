//! Scalars as go-yaml 2 resolves them (`goyaml.v2/resolve.go` of sigs.k8s.io/yaml): YAML 1.1, so `0644` is octal and
//! `yes` is a boolean, with Go's notation of numbers. A timestamp stays text, as Go's decoder leaves it.

use saphyr_parser::Tag;
use serde_json::Number;

use super::tree::Scalar;

/// The value of a scalar, or why its tag does not fit it. `plain` says that it stands without quotes.
pub fn resolve(text: &str, plain: bool, tag: Option<&Tag>) -> Result<Scalar, String> {
    let Some(tag) = tag else {
        return if plain { untagged(text) } else { Ok(Scalar::String(text.to_owned())) };
    };
    let name = if tag.is_yaml_core_schema() { tag.suffix.as_str() } else { "" };
    match name {
        "binary" => binary(text),
        "bool" | "int" | "float" | "null" => {
            let value = untagged(text)?;
            let fits = match (&value, name) {
                (Scalar::Bool(_), "bool") | (Scalar::Null, "null") | (Scalar::Number(_), "float") => true,
                (Scalar::Number(number), "int") => !number.is_f64(),
                _ => false,
            };
            if fits { Ok(value) } else { Err(format!("the value is no {name}, as its tag !!{name} says")) }
        }
        // !!str, !!timestamp, and tags of somebody's own, which go-yaml leaves as text.
        _ => Ok(Scalar::String(text.to_owned())),
    }
}

fn untagged(text: &str) -> Result<Scalar, String> {
    Ok(match text {
        "" | "~" | "null" | "Null" | "NULL" => Scalar::Null,
        "y" | "Y" | "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => {
            Scalar::Bool(true)
        }
        "n" | "N" | "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => {
            Scalar::Bool(false)
        }
        ".nan" | ".NaN" | ".NAN" | ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" | "-.inf"
        | "-.Inf" | "-.INF" => {
            return Err("JSON has no number for this; quote it to mean the text".to_owned());
        }
        _ => number(text).map_or_else(|| Scalar::String(text.to_owned()), Scalar::Number),
    })
}

/// The number that `text` denotes, if it looks like one.
fn number(text: &str) -> Option<Number> {
    let first = text.bytes().next()?;
    if first == b'.' {
        return float(text);
    }
    if !first.is_ascii_digit() && !matches!(first, b'+' | b'-') {
        return None;
    }
    let digits = text.replace('_', "");
    integer(&digits).or_else(|| float(&digits))
}

/// Go's `ParseInt` with base 0, then `ParseUint`: decimal, `0x`, `0o` or a leading `0`, `0b`.
fn integer(text: &str) -> Option<Number> {
    let (sign, magnitude) = match text.as_bytes() {
        [b'-', ..] => ("-", &text[1..]),
        [b'+', ..] => ("", &text[1..]),
        _ => ("", text),
    };
    let (base, digits) = match magnitude.as_bytes() {
        [b'0', b'x' | b'X', ..] => (16, &magnitude[2..]),
        [b'0', b'o' | b'O', ..] => (8, &magnitude[2..]),
        [b'0', b'b' | b'B', ..] => (2, &magnitude[2..]),
        [b'0', _, ..] => (8, &magnitude[1..]),
        _ => (10, magnitude),
    };
    if !digits.bytes().all(|digit| digit.is_ascii_alphanumeric()) {
        return None;
    }
    let signed = i64::from_str_radix(&format!("{sign}{digits}"), base).ok().map(Number::from);
    // ParseUint takes no sign.
    let unsigned = || u64::from_str_radix(digits, base).ok().filter(|_| magnitude.len() == text.len());
    signed.or_else(|| unsigned().map(Number::from))
}

/// A decimal fraction, with or without an exponent; whole ones become integers, as Go writes them into JSON.
fn float(text: &str) -> Option<Number> {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let (mantissa, exponent) = unsigned.split_once(['e', 'E']).unwrap_or((unsigned, "0"));
    let all_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let exponent = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
    let shaped = all_digits(whole) && all_digits(fraction) && all_digits(exponent) && !exponent.is_empty();
    if !shaped || (whole.is_empty() && fraction.is_empty()) {
        return None;
    }
    let value: f64 = text.strip_prefix('+').unwrap_or(text).parse().ok()?;
    /// 2^53: up to here every whole number is a float.
    const EXACT: f64 = 9_007_199_254_740_992.0;
    if value.fract() == 0.0 && value.abs() <= EXACT {
        #[allow(clippy::cast_possible_truncation, reason = "whole and small enough, by the line above")]
        return Some(Number::from(value as i64));
    }
    Number::from_f64(value)
}

/// The text of a `!!binary`; as in JSON, only text will do.
fn binary(text: &str) -> Result<Scalar, String> {
    let wrong = || "the value is not base64 of UTF-8 text, as its tag !!binary says".to_owned();
    let mut bytes = Vec::new();
    let (mut bits, mut held) = (0_u32, 0_u32);
    for byte in text.bytes().filter(|byte| !byte.is_ascii_whitespace() && *byte != b'=') {
        let six = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return Err(wrong()),
        };
        bits = (bits << 6 | u32::from(six)) & 0xffff;
        held += 6;
        if held >= 8 {
            held -= 8;
            bytes.push((bits >> held & 0xff) as u8);
        }
    }
    String::from_utf8(bytes).map(Scalar::String).map_err(|_| wrong())
}
