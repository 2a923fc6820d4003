//! The records of a PAX header: `<length> <key>=<value>\n`.

use anyhow::{Context, Result};
use nix::sys::time::TimeSpec;

use super::{Refused, refuse};

/// Keys in which `tar` keeps extended attributes.
const ATTRIBUTE: &str = "SCHILY.xattr.";
/// Keys that change which bytes are which file.
const MEANING: [&str; 8] = ["path", "linkpath", "size", "uid", "gid", "mtime", "GNU.sparse.", ATTRIBUTE];

/// Records in the archive's order; the last of a key counts, as in GNU tar and Go.
#[derive(Default)]
pub struct Records(Vec<Record>);

type Record = (String, Vec<u8>);

impl Records {
    /// Reads the content of a PAX header.
    pub fn parse(mut rest: &[u8]) -> Result<Records> {
        let mut records = Vec::new();
        while !rest.is_empty() {
            let (record, after) = split(rest).context(Refused("has a damaged PAX header".into()))?;
            records.push(record);
            rest = after;
        }
        Ok(Records(records))
    }

    /// Fails if a record would change what follows; for headers that readers disagree about.
    pub fn refuse_meaning(&self) -> Result<()> {
        let meant = |key: &str| MEANING.iter().any(|known| key.starts_with(known));
        match self.0.iter().find(|(key, _)| meant(key)) {
            Some((key, _)) => {
                refuse!("sets {key:?} for all files in a global PAX header: readers disagree about it")
            }
            None => Ok(()),
        }
    }

    /// Whether there is a record `key`.
    pub fn has(&self, key: &str) -> bool {
        self.0.iter().any(|(other, value)| other == key && !value.is_empty())
    }

    /// Whether the record `key` that counts has no value.
    pub fn is_empty(&self, key: &str) -> bool {
        self.0.iter().rfind(|(other, _)| other == key).is_some_and(|(_, value)| value.is_empty())
    }

    /// Whether a record's key begins with `prefix`.
    pub fn has_some(&self, prefix: &str) -> bool {
        self.0.iter().any(|(key, _)| key.starts_with(prefix))
    }

    /// The value of `key`; an empty one means that the header's own field counts (POSIX).
    pub fn take(&mut self, key: &str) -> Option<Vec<u8>> {
        let last = self.0.iter().rposition(|(other, _)| other == key)?;
        Some(std::mem::take(&mut self.0[last].1)).filter(|value| !value.is_empty())
    }

    /// The value of `key` as a whole number, of 63 bits as in headers.
    pub fn number(&mut self, key: &str) -> Result<Option<u64>> {
        let Some(value) = self.take(key) else { return Ok(None) };
        let number = digits(&value).filter(|number| i64::try_from(*number).is_ok());
        Ok(Some(number.with_context(|| Refused(format!("has a PAX record {key:?} that is no number")))?))
    }

    /// The value of `key` as a time, in seconds with a fraction.
    pub fn time(&mut self, key: &str) -> Result<Option<TimeSpec>> {
        let Some(value) = self.take(key) else { return Ok(None) };
        Ok(Some(time(&value).with_context(|| Refused(format!("has a PAX record {key:?} that is no time")))?))
    }

    /// Extended attributes; of several with one name the last.
    pub fn attributes(&mut self) -> Vec<(Vec<u8>, Vec<u8>)> {
        let mut found: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
        for (key, value) in &mut self.0 {
            let Some(name) = key.strip_prefix(ATTRIBUTE) else { continue };
            found.retain(|(other, _)| other != name.as_bytes());
            found.push((name.as_bytes().to_vec(), std::mem::take(value)));
        }
        found
    }
}

/// The first record of `bytes`, and what is behind it.
fn split(bytes: &[u8]) -> Option<(Record, &[u8])> {
    let space = bytes.iter().take(20).position(|byte| *byte == b' ')?;
    let length = usize::try_from(digits(&bytes[..space])?).ok()?;
    let record = bytes.get(space + 1..length)?.strip_suffix(b"\n")?;
    let equals = record.iter().position(|byte| *byte == b'=')?;
    let key = String::from_utf8(record[..equals].to_vec())
        .ok()
        .filter(|key| !key.is_empty() && !key.contains('\0'))?;
    Some(((key, record[equals + 1..].to_vec()), &bytes[length..]))
}

fn digits(text: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(text).ok()?;
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

fn time(text: &[u8]) -> Option<TimeSpec> {
    let text = std::str::from_utf8(text).ok()?;
    let (negative, text) = text.strip_prefix('-').map_or((false, text), |text| (true, text));
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let seconds = i64::try_from(digits(whole.as_bytes())?).ok()?;
    digits(fraction.as_bytes().get(..9.min(fraction.len()))?).or(fraction.is_empty().then_some(0))?;
    let nanoseconds: i64 = format!("{fraction:0<9}").get(..9)?.parse().ok()?;
    Some(match (negative, nanoseconds) {
        (false, _) => TimeSpec::new(seconds, nanoseconds),
        (true, 0) => TimeSpec::new(-seconds, 0),
        // The kernel counts nanoseconds forward from the second before.
        (true, _) => TimeSpec::new(-seconds - 1, 1_000_000_000 - nanoseconds),
    })
}
