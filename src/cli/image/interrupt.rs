//! Ctrl-C in the middle of an import: what was begun is cleaned up first. A second one ends at once; what is then left lies
//! where the next import or the agent's next start removes it.

use std::fs;
use std::io;
use std::process::{ExitCode, exit};
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, Result};
use nix::sys::signal::{SigSet, Signal};

/// There is something to clean up.
static BEGUN: AtomicBool = AtomicBool::new(false);
static ASKED: AtomicBool = AtomicBool::new(false);

/// From now on signals are heard; before any other thread is started. What was ignored stays so, as `nohup` wants it.
pub fn hear() -> Result<()> {
    let mut signals = SigSet::empty();
    let ignored = ignored();
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
        if ignored & (1 << (signal as u64 - 1)) == 0 {
            signals.add(signal);
        }
    }
    signals.thread_block().context("block signals")?;
    std::thread::spawn(move || {
        while let Ok(signal) = signals.wait() {
            if ASKED.swap(true, Ordering::AcqRel) || !BEGUN.load(Ordering::Acquire) {
                exit(128 + signal as i32);
            }
        }
    });
    Ok(())
}

/// Fails once somebody asked for the end; until [`rest`], the end then waits for whoever calls this.
pub fn check() -> io::Result<()> {
    BEGUN.store(true, Ordering::Release);
    if is_asked() { Err(io::Error::other("interrupted")) } else { Ok(()) }
}

/// There is nothing to clean up.
pub fn rest() {
    BEGUN.store(false, Ordering::Release);
}

/// Whether somebody asked for the end.
pub fn is_asked() -> bool {
    ASKED.load(Ordering::Acquire)
}

/// What a shell makes of SIGINT.
pub fn code() -> ExitCode {
    ExitCode::from(128 + Signal::SIGINT as u8)
}

/// A bit for each signal that this process was started to ignore.
fn ignored() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or_default()
}
