//! CLOCK_MONOTONIC, which a container's first instruction reads too, and waiting finer than a story needs.

use std::time::Duration;

use nix::time::{ClockId, clock_gettime};

/// Now.
pub fn now() -> Duration {
    clock_gettime(ClockId::CLOCK_MONOTONIC).unwrap().into()
}

/// What `look` finds, looked for every 100 µs.
pub fn soon<T>(what: &str, look: impl FnMut() -> Option<T>) -> T {
    within(Duration::from_secs(30), Duration::from_micros(100), what, look)
}

/// What `look` finds, of what takes minutes.
pub fn in_minutes<T>(what: &str, look: impl FnMut() -> Option<T>) -> T {
    within(Duration::from_secs(600), Duration::from_millis(100), what, look)
}

fn within<T>(limit: Duration, pause: Duration, what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let start = now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(now() - start < limit, "not within {limit:?}: {what}");
        std::thread::sleep(pause);
    }
}

/// The clock as the `n`-th run of `workload first-instruction FILE` wrote it (counted from 0), once it did.
pub fn first_instruction(file: &std::path::Path, n: usize) -> Duration {
    soon("a container's first instruction", || {
        let text = std::fs::read_to_string(file).ok().filter(|text| text.ends_with('\n'))?;
        let monotonic = text.lines().nth(n)?.split(' ').nth(1)?.parse().ok()?;
        Some(Duration::from_nanos(monotonic))
    })
}

/// The middle one.
pub fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}
