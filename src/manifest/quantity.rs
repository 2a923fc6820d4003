//! Quantities: `500m`, `1.5Gi`, `1e3`. As the API server reads, rounds and writes them.

use std::fmt;

use crate::spec::{Bytes, Millicores};

/// Thousandths in one.
const MILLI: i128 = 1000;

/// Largest amount a quantity holds: 2^63-1, to which larger ones are cut.
const MAX: i128 = i64::MAX as i128 * MILLI;

/// An amount, rounded up to thousandths as the API server's defaulting does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quantity {
    milli: i128,
    format: Format,
}

/// How a quantity was written, and is written again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    Binary,
    Decimal,
    Exponent,
}

impl Quantity {
    /// Reads `text`; `None` where it is no quantity.
    pub fn parse(text: &str) -> Option<Quantity> {
        let (negative, unsigned) = match text.as_bytes().first()? {
            b'-' => (true, &text[1..]),
            b'+' => (false, &text[1..]),
            _ => (false, text),
        };
        let end = unsigned.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(unsigned.len());
        let (number, suffix) = unsigned.split_at(end);
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if (whole.is_empty() && fraction.is_empty()) || fraction.contains('.') {
            return None;
        }
        let (format, base, exponent) = suffix_of(suffix)?;
        let magnitude = scaled(whole, fraction, base, exponent);
        Some(Quantity { milli: if negative { -magnitude } else { magnitude }, format })
    }

    /// None of anything.
    pub const ZERO: Quantity = Quantity { milli: 0, format: Format::Decimal };

    /// The sum, written as this one is; as the other where this is nothing.
    pub fn plus(self, other: Quantity) -> Quantity {
        let format = if self.milli == 0 { other.format } else { self.format };
        Quantity { milli: self.milli.saturating_add(other.milli), format }
    }

    /// The larger of both.
    pub fn at_least(self, other: Quantity) -> Quantity {
        if self.milli < other.milli { other } else { self }
    }

    /// Thousandths of one.
    pub fn milli(self) -> i128 {
        self.milli
    }

    /// As thousandths of a CPU; negative ones are none.
    pub fn millicores(self) -> Millicores {
        Millicores(u64::try_from(self.milli.max(0)).unwrap_or(u64::MAX))
    }

    /// As bytes, rounded up; negative ones are none.
    pub fn bytes(self) -> Bytes {
        let milli = self.milli.max(0);
        let up = milli / MILLI + i128::from(milli % MILLI > 0);
        Bytes(u64::try_from(up).unwrap_or(u64::MAX))
    }
}

impl fmt::Display for Quantity {
    /// The canonical form: the largest suffix that leaves a whole number.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.milli == 0 {
            return f.write_str("0");
        }
        let whole = self.milli % MILLI == 0;
        if self.format == Format::Binary && whole && (self.milli / MILLI).abs() >= 1024 {
            let suffixes = ["", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];
            let (number, suffix) = reduced(self.milli / MILLI, 1024, &suffixes);
            return write!(f, "{number}{suffix}");
        }
        let suffixes = match self.format {
            Format::Exponent => ["e-3", "", "e3", "e6", "e9", "e12", "e15", "e18"],
            _ => ["m", "", "k", "M", "G", "T", "P", "E"],
        };
        let (number, suffix) = reduced(self.milli, 1000, &suffixes);
        write!(f, "{number}{suffix}")
    }
}

/// `number` with as many factors `base` taken out as it has, and the suffix that stands for them.
fn reduced<'a>(mut number: i128, base: i128, suffixes: &[&'a str]) -> (i128, &'a str) {
    let mut place = 0;
    while number % base == 0 && place + 1 < suffixes.len() {
        number /= base;
        place += 1;
    }
    (number, suffixes[place])
}

/// Format, base and exponent that `suffix` stands for.
fn suffix_of(suffix: &str) -> Option<(Format, i128, i32)> {
    let binary = ["Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];
    if let Some(place) = (0_i32..).zip(binary).find(|(_, known)| *known == suffix).map(|(place, _)| place) {
        return Some((Format::Binary, 2, (place + 1) * 10));
    }
    let decimal = ["n", "u", "m", "", "k", "M", "G", "T", "P", "E"];
    if let Some(place) = (0_i32..).zip(decimal).find(|(_, known)| *known == suffix).map(|(place, _)| place) {
        return Some((Format::Decimal, 10, (place - 3) * 3));
    }
    let exponent = suffix.strip_prefix(['e', 'E'])?;
    let digits = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
    if digits.is_empty() || !digits.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    // What does not fit is so large or so small that it is cut or rounded up in any case.
    let limit = if exponent.starts_with('-') { -1000 } else { 1000 };
    Some((Format::Exponent, 10, exponent.parse().unwrap_or(limit).clamp(-1000, 1000)))
}

/// `whole.fraction` times `base` to the power of `exponent`, in thousandths: rounded up, cut at [`MAX`].
fn scaled(whole: &str, fraction: &str, base: i128, exponent: i32) -> i128 {
    let digits = format!("{whole}{fraction}");
    let digits = digits.trim_start_matches('0');
    if digits.is_empty() {
        return 0;
    }
    // A power of ten for the fraction's digits, the suffix and the thousandths; a factor for binary suffixes.
    let places = i64::try_from(fraction.len()).unwrap_or(i64::MAX);
    let (factor, ten) = if base == 2 { (1_i128 << exponent, 3) } else { (1, 3 + i64::from(exponent)) };
    let ten = ten.saturating_sub(places);
    let length = i64::try_from(digits.len()).unwrap_or(i64::MAX);
    if length.saturating_add(ten) > 40 {
        return MAX;
    }
    if length.saturating_add(ten) < -40 {
        return 1;
    }
    // 20 digits times 2^60, and 36 by themselves, still fit.
    let (kept, rest) = digits.split_at(digits.len().min(if factor == 1 { 36 } else { 20 }));
    let mut value = kept.parse::<i128>().unwrap_or(MAX).saturating_mul(factor);
    let mut ten = ten.saturating_add(i64::try_from(rest.len()).unwrap_or(i64::MAX));
    let mut inexact = rest.bytes().any(|digit| digit != b'0');
    while ten < 0 {
        inexact |= value % 10 != 0;
        value /= 10;
        ten += 1;
    }
    while ten > 0 {
        value = value.saturating_mul(10);
        ten -= 1;
    }
    value.saturating_add(i128::from(inexact)).min(MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(cases: &[(&str, i128, &str)]) {
        for (text, milli, canonical) in cases {
            let read = Quantity::parse(text).unwrap_or_else(|| panic!("{text:?} is a quantity"));
            assert_eq!((read.milli(), read.to_string().as_str()), (*milli, *canonical), "{text:?}");
            let again = Quantity::parse(canonical).expect("what was written is read");
            assert_eq!(again.milli(), *milli, "{text:?} written and read");
        }
    }

    #[test]
    fn quantities_are_read_and_written_as_the_api_server_does() {
        check(&[
            ("0", 0, "0"),
            ("-0", 0, "0"),
            ("1", 1000, "1"),
            ("+1", 1000, "1"),
            ("0.5", 500, "500m"),
            (".5", 500, "500m"),
            ("1.", 1000, "1"),
            ("500m", 500, "500m"),
            ("1000m", 1000, "1"),
            ("1500m", 1500, "1500m"),
            ("-1.5", -1500, "-1500m"),
            ("1024", 1_024_000, "1024"),
            ("1000", 1_000_000, "1k"),
            ("1k", 1_000_000, "1k"),
            ("1M", 1_000_000_000, "1M"),
            ("1Ki", 1_024_000, "1Ki"),
            ("1024Mi", 1_073_741_824_000, "1Gi"),
            ("1.5Gi", 1_610_612_736_000, "1536Mi"),
            ("0.5Ki", 512_000, "512"),
            ("1e3", 1_000_000, "1e3"),
            ("12E2", 1_200_000, "1200"),
            ("1e-3", 1, "1e-3"),
            ("1E", 1_000_000_000_000_000_000_000, "1E"),
        ]);
    }

    #[test]
    fn what_is_too_small_is_rounded_up_and_what_is_too_large_is_cut() {
        check(&[
            ("1n", 1, "1m"),
            ("0.1m", 1, "1m"),
            ("0.0001", 1, "1m"),
            ("1u", 1, "1m"),
            ("1001u", 2, "2m"),
            ("1e-999999999999", 1, "1e-3"),
            ("287746673242375243662m", 287_746_673_242_375_243_662, "287746673242375243662m"),
            ("9223372036854775807", MAX, "9223372036854775807"),
            ("9223372036854775808", MAX, "9223372036854775807"),
            ("16Ei", MAX, "9223372036854775807"),
        ]);
        for huge in ["1e999999999999", "99999999999999999999999999999999999999999999999999999999999", "100E"]
        {
            assert_eq!(Quantity::parse(huge).map(Quantity::milli), Some(MAX), "{huge}");
        }
        let long = format!("0.{}1", "0".repeat(100_000));
        assert_eq!(Quantity::parse(&long).map(Quantity::milli), Some(1));
    }

    #[test]
    fn bytes_are_rounded_up() {
        let bytes = |text: &str| Quantity::parse(text).map(Quantity::bytes);
        assert_eq!(bytes("100m"), Some(Bytes(1)));
        assert_eq!(bytes("64Mi"), Some(Bytes(67_108_864)));
        assert_eq!(bytes("1.5"), Some(Bytes(2)));
        assert_eq!(bytes("-1"), Some(Bytes(0)));
        assert_eq!(bytes("16Ei"), Some(Bytes(i64::MAX as u64)));
    }

    #[test]
    fn what_is_no_quantity_is_told() {
        for text in [
            "", "-", ".", "m", "1 ", " 1", "1.2.3", "1mi", "1KI", "1ki", "1e", "1e+", "0x10", "1_000", "é",
            "1MiB", "--1",
        ] {
            assert_eq!(Quantity::parse(text), None, "{text:?}");
        }
    }
}
