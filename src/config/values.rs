//! Text to values: durations, numbers, pairs, as Go and Kubernetes write them.

use std::collections::BTreeMap;
use std::time::Duration;

use super::given::Wrong;
use crate::api::Amounts;
use crate::manifest::quantity::Quantity;

/// A duration as Go writes it: `20s`, `1m30s`, `1.5h`. `None` where it is none, or negative, or longer than some centuries.
pub fn duration(text: &str) -> Option<Duration> {
    let mut rest = text.strip_prefix('+').unwrap_or(text);
    if rest == "0" {
        return Some(Duration::ZERO);
    }
    let mut nanoseconds: u64 = 0;
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, tail) = rest.split_at(end);
        let unit_end = tail.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(unit_end);
        let unit: u64 = match unit {
            "ns" => 1,
            "us" | "µs" | "μs" => 1_000,
            "ms" => 1_000_000,
            "s" => 1_000_000_000,
            "m" => 60_000_000_000,
            "h" => 3_600_000_000_000,
            _ => return None,
        };
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if (whole.is_empty() && fraction.is_empty()) || fraction.contains('.') {
            return None;
        }
        let whole: u64 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
        // More digits than these are less than a nanosecond of an hour.
        let fraction = &fraction[..fraction.len().min(13)];
        let scale = 10_u128.pow(u32::try_from(fraction.len()).ok()?);
        let part: u128 = if fraction.is_empty() { 0 } else { fraction.parse().ok()? };
        let part = u64::try_from(part * u128::from(unit) / scale).ok()?;
        nanoseconds = nanoseconds.checked_add(whole.checked_mul(unit)?)?.checked_add(part)?;
        rest = tail;
    }
    (!text.is_empty()).then(|| Duration::from_nanos(nanoseconds))
}

/// A duration from `least` to `most`.
pub fn duration_within(text: &str, least: Duration, most: Duration) -> Result<Duration, Wrong> {
    let found = duration(text).ok_or_else(|| {
        Wrong::new(format!("{text:?} is no duration"), "write a number with a unit, such as 20s or 1m30s")
    })?;
    match (least..=most).contains(&found) {
        true => Ok(found),
        false => Err(Wrong::new(
            format!("{text} is out of range"),
            format!("write something from {least:?} to {most:?}"),
        )),
    }
}

/// A whole number of at least `least`.
pub fn number(text: &str, least: i64) -> Result<i64, Wrong> {
    let wrong = |what: String| Wrong::new(what, format!("write a whole number of at least {least}"));
    let found: i64 = text.parse().map_err(|_| wrong(format!("{text:?} is no whole number")))?;
    if found < least { Err(wrong(format!("{text} is too small"))) } else { Ok(found) }
}

/// A number of bytes such as `10Mi`; not less than `least`.
pub fn bytes(text: &str, least: u64) -> Result<u64, Wrong> {
    let fix = || format!("write a size such as 10Mi, of at least {least} bytes");
    let found = Quantity::parse(text).filter(|found| found.milli() >= 0);
    let found = found.ok_or_else(|| Wrong::new(format!("{text:?} is no size"), fix()))?.bytes().0;
    if found < least { Err(Wrong::new(format!("{text} is too small"), fix())) } else { Ok(found) }
}

/// Either word of each `name=value`, told apart by the first `=`. A text may hold several, as on kubelet's command line.
pub fn pairs(values: &[String]) -> Result<BTreeMap<&str, &str>, Wrong> {
    let mut pairs = BTreeMap::new();
    for text in values.iter().flat_map(|value| value.split(',')).filter(|text| !text.is_empty()) {
        let (name, value) = text
            .split_once('=')
            .filter(|(name, _)| !name.is_empty())
            .ok_or_else(|| Wrong::new(format!("{text:?} is no name with a value"), "write NAME=VALUE"))?;
        pairs.insert(name.trim(), value.trim());
    }
    Ok(pairs)
}

/// What is kept back, from `cpu=100m`, `memory=1Gi`. Process numbers are taken, as kubelet takes them, and not kept back.
pub fn reserved(values: &[String]) -> Result<Amounts, Wrong> {
    let mut reserved = Amounts::default();
    for (name, text) in pairs(values)? {
        let amount = Quantity::parse(text).filter(|found| found.milli() >= 0).ok_or_else(|| {
            Wrong::new(format!("{name}: {text:?} is no quantity"), "write one such as 100m or 1Gi")
        })?;
        match name {
            "cpu" => reserved.cpu_milli = amount.millicores().0,
            "memory" => reserved.memory = amount.bytes().0,
            "ephemeral-storage" => reserved.storage = amount.bytes().0,
            "pid" => {}
            _ => {
                return Err(Wrong::new(
                    format!("{name} cannot be kept back"),
                    "write cpu, memory, ephemeral-storage or pid",
                ));
            }
        }
    }
    Ok(reserved)
}

/// So much of what there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Threshold {
    /// So many bytes.
    Bytes(u64),
    /// So many thousandths of all.
    Part(u64),
}

impl Threshold {
    /// In bytes, where there are `all`.
    pub fn of(self, all: u64) -> u64 {
        match self {
            Threshold::Bytes(bytes) => bytes,
            Threshold::Part(part) => {
                u64::try_from(u128::from(all) * u128::from(part) / 1000).unwrap_or(u64::MAX)
            }
        }
    }
}

/// Below what of its memory and of its file system a kubelet would evict: what no pod may count on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Thresholds {
    /// `memory.available`.
    pub memory: Option<Threshold>,
    /// `nodefs.available`.
    pub storage: Option<Threshold>,
}

/// Signals of which a kubelet evicts, besides those that are counted here.
const SIGNALS: [&str; 7] = [
    "nodefs.inodesFree",
    "imagefs.available",
    "imagefs.inodesFree",
    "containerfs.available",
    "containerfs.inodesFree",
    "pid.available",
    "allocatableMemory.available",
];

/// Thresholds from `memory.available=100Mi`, `nodefs.available<10%`.
pub fn thresholds(values: &[String]) -> Result<Thresholds, Wrong> {
    let mut found = Thresholds::default();
    for text in values.iter().flat_map(|value| value.split(',')).filter(|text| !text.is_empty()) {
        let wrong = |what: &str| {
            Err(Wrong::new(
                format!("{text:?} {what}"),
                "write SIGNAL: AMOUNT, such as memory.available: 100Mi or 5%",
            ))
        };
        let Some((signal, amount)) = text.split_once(['=', '<']) else { return wrong("is no threshold") };
        let percent = amount.trim().strip_suffix('%').map(Quantity::parse);
        let threshold = match (percent, Quantity::parse(amount.trim())) {
            (Some(Some(percent)), _) if (0..=100_000).contains(&percent.milli()) => {
                Threshold::Part(u64::try_from(percent.milli() / 100).unwrap_or(0))
            }
            (None, Some(amount)) if 0 <= amount.milli() => Threshold::Bytes(amount.bytes().0),
            _ => return wrong("names no amount"),
        };
        match signal.trim() {
            "memory.available" => found.memory = Some(threshold),
            "nodefs.available" => found.storage = Some(threshold),
            signal if SIGNALS.contains(&signal) => {}
            _ => return wrong("names no signal"),
        }
    }
    Ok(found)
}

/// A number from 0 to 1, in thousandths; not 0.
pub fn factor(text: &str) -> Result<u64, Wrong> {
    let found = Quantity::parse(text).map(Quantity::milli).filter(|milli| (1..=1000).contains(milli));
    let found = found.and_then(|milli| u64::try_from(milli).ok());
    found.ok_or_else(|| {
        Wrong::new(format!("{text:?} is no part of 1"), "write a number above 0, such as 0.9 or 1")
    })
}

/// Labels of the node.
pub fn labels(values: &[String]) -> Result<BTreeMap<String, String>, Wrong> {
    let found = pairs(values)?;
    for (name, value) in &found {
        let (prefix, own) = name.split_once('/').map_or((None, *name), |(prefix, own)| (Some(prefix), own));
        let fine = word(own)
            && !own.is_empty()
            && word(value)
            && prefix.is_none_or(|prefix| super::node_name(prefix).is_ok_and(|lower| lower == prefix));
        if !fine {
            return Err(Wrong::new(
                format!("{name}={value} is no label"),
                "write [DOMAIN/]NAME=VALUE of letters, digits, '-', '_' and '.', at most 63 each, that begin and end with a \
                 letter or digit",
            ));
        }
    }
    Ok(found.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
}

/// What a label's name or value is made of.
fn word(text: &str) -> bool {
    let edge = |byte: Option<&u8>| byte.is_none_or(u8::is_ascii_alphanumeric);
    let inside = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    text.len() <= 63
        && text.bytes().all(inside)
        && edge(text.as_bytes().first())
        && edge(text.as_bytes().last())
}
