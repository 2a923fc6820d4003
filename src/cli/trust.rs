//! Whether the wall clock can be believed. Nothing is decided by it, but every time and age that is shown is its word.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use jiff::Timestamp;

use crate::sys::clock;

/// Before this the program did not exist: a clock that says so is wrong. 2026-01-01.
const EXISTED: i64 = 1_767_225_600;
/// Two machines may disagree by a time zone, where a file came with a time of its own.
const ZONES: i64 = 86_400;

/// How far the wall clock can be believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trust {
    /// Somebody keeps it right.
    Synchronised,
    /// It runs free: nobody has told the kernel that it is right.
    Free,
    /// It is earlier than something that has already been.
    Wrong {
        /// What has been, in seconds since 1970.
        after: i64,
    },
}

impl Trust {
    /// Of the clock at `now`; `witnesses` are files that were written on this machine.
    pub fn at(now: Timestamp, witnesses: &[PathBuf]) -> Trust {
        let written = witnesses.iter().filter_map(|path| modified(path)).max();
        Trust::judged(now.as_second(), written, clock::synchronised())
    }

    fn judged(now: i64, written: Option<i64>, synchronised: Option<bool>) -> Trust {
        let after = written.unwrap_or(0).saturating_sub(ZONES).max(EXISTED);
        match synchronised {
            _ if now < after => Trust::Wrong { after },
            Some(true) => Trust::Synchronised,
            _ => Trust::Free,
        }
    }

    /// One word, for programs.
    pub fn word(self) -> &'static str {
        match self {
            Trust::Synchronised => "synchronised",
            Trust::Free => "free",
            Trust::Wrong { .. } => "wrong",
        }
    }

    /// A sentence, for people.
    pub fn sentence(self) -> String {
        match self {
            Trust::Synchronised => "synchronised".to_string(),
            Trust::Free => "not synchronised; times and ages may be off".to_string(),
            Trust::Wrong { after } => {
                let after = Timestamp::from_second(after).unwrap_or_default();
                format!("wrong: {} has been; times and ages are off", after.strftime("%Y-%m-%d"))
            }
        }
    }
}

fn modified(path: &Path) -> Option<i64> {
    let at = fs::metadata(path).ok()?.modified().ok()?;
    i64::try_from(at.duration_since(UNIX_EPOCH).ok()?.as_secs()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_is_behind_what_has_been_is_wrong_whatever_the_kernel_says() {
        let written = Some(1_795_000_000);
        for synchronised in [None, Some(false), Some(true)] {
            assert_eq!(Trust::judged(10, None, synchronised), Trust::Wrong { after: EXISTED });
            let judged = Trust::judged(1_790_000_000, written, synchronised);
            assert_eq!(judged, Trust::Wrong { after: 1_795_000_000 - ZONES });
        }
        assert_eq!(Trust::judged(1_795_000_001, written, Some(true)), Trust::Synchronised);
        assert_eq!(Trust::judged(1_795_000_001, written, Some(false)), Trust::Free);
        assert_eq!(Trust::judged(1_795_000_001, written, None), Trust::Free);
        // A file with the time of another zone is no proof.
        assert_eq!(Trust::judged(1_795_000_000 - 3600, written, Some(true)), Trust::Synchronised);
    }
}
