//! The two clocks: one to decide by, one to show.

use std::time::Duration;

use nix::time::{ClockId, clock_gettime};

use crate::status::Wall;

/// Time since boot, sleep included (CLOCK_BOOTTIME): the same for all processes, never set back, so it may cross them.
pub fn boottime() -> Duration {
    read(ClockId::CLOCK_BOOTTIME)
}

/// Processor time that the calling thread used since it began.
pub fn of_thread() -> Duration {
    read(ClockId::CLOCK_THREAD_CPUTIME_ID)
}

/// The wall clock, for display only: edge boxes boot in 1970, and then it jumps.
pub fn wall() -> Wall {
    let now = read(ClockId::CLOCK_REALTIME);
    Wall(i64::try_from(now.as_nanos()).unwrap_or(i64::MAX))
}

/// Whether somebody keeps the wall clock right, as far as the kernel was told; `None` where it does not say.
pub fn synchronised() -> Option<bool> {
    // SAFETY: plain numbers, of which all zero are the request to change nothing.
    let mut asked: libc::timex = unsafe { std::mem::zeroed() };
    // SAFETY: the pointer is to a whole `timex` that lives until the call returns.
    let state = unsafe { libc::adjtimex(&mut asked) };
    (0 <= state).then_some(state != libc::TIME_ERROR && asked.status & libc::STA_UNSYNC == 0)
}

/// Zero where the kernel does not know the clock, which no kernel since 2.6.39 does.
fn read(clock: ClockId) -> Duration {
    clock_gettime(clock).map(Duration::from).unwrap_or_default()
}
