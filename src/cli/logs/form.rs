//! What of a line is printed, and how.

use jiff::Timestamp;

use super::cri::{Line, UNKNOWN};

/// Length of a time as pod processes and kubelets in UTC write it: `2026-11-21T21:18:24.123456789Z`.
const WRITTEN: usize = 30;

/// How the lines of one container are printed.
#[derive(Debug, Default)]
pub struct Form {
    /// Whether with the time.
    pub timestamps: bool,
    /// What comes before each line.
    pub prefix: Vec<u8>,
    /// What is older is left out.
    pub oldest: Option<Oldest>,
    /// So many lines are left out first.
    pub skip: u64,
    /// So many bytes, prefixes apart, are printed yet; `None` for no limit.
    pub left: Option<u64>,
}

impl Form {
    /// Appends `line` to `out`, or what is to be printed of it.
    pub fn put(&mut self, line: &Line<'_>, out: &mut Vec<u8>) {
        if self.skip > 0 {
            self.skip -= 1;
            return;
        }
        if self.is_full() || self.oldest.as_ref().is_some_and(|oldest| oldest.is_after(line.time)) {
            return;
        }
        out.extend_from_slice(&self.prefix);
        let start = out.len();
        if self.timestamps {
            out.extend_from_slice(line.time);
            out.push(b' ');
        }
        out.extend_from_slice(line.text);
        out.push(b'\n');
        if let Some(left) = &mut self.left {
            let kept = usize::try_from(*left).unwrap_or(usize::MAX).min(out.len() - start);
            out.truncate(start + kept);
            *left -= kept as u64;
        }
    }

    /// Whether nothing more is printed.
    pub fn is_full(&self) -> bool {
        self.left == Some(0)
    }
}

/// A time, and how log lines have it.
#[derive(Debug)]
pub struct Oldest {
    time: Timestamp,
    written: String,
}

impl Oldest {
    /// The time itself.
    pub fn new(time: Timestamp) -> Oldest {
        Oldest { time, written: time.strftime("%Y-%m-%dT%H:%M:%S.%9fZ").to_string() }
    }

    /// Whether it is after `time`, as a log has it. What has no time that can be read is evidence, and never too old.
    fn is_after(&self, time: &[u8]) -> bool {
        if time.len() == WRITTEN && time.ends_with(b"Z") && self.written.len() == WRITTEN {
            return self.written.as_bytes() > time;
        }
        let read = std::str::from_utf8(time).ok().filter(|_| time != UNKNOWN);
        let read = read.and_then(|time| time.parse::<Timestamp>().ok());
        read.is_some_and(|time| self.time > time)
    }
}
