//! The only two functions that wait.

use std::thread::sleep;
use std::time::{Duration, Instant};

/// How long something may take that takes a fraction of a second on an idle machine.
pub const SOON: Duration = Duration::from_secs(20);

/// Between two looks: short beside what is waited for, long beside a look.
const PAUSE: Duration = Duration::from_millis(20);

/// What `look` finds, as soon as it finds something.
///
/// # Panics
/// When `deadline` has passed: `what` has not come.
pub fn eventually<T>(deadline: Duration, what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(start.elapsed() < deadline, "not within {deadline:?}: {what}");
        sleep(PAUSE);
    }
}

/// Shows that something does *not* happen, for `duration`.
///
/// # Panics
/// As soon as `holds` does not.
pub fn stays_true_for(duration: Duration, what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while start.elapsed() < duration {
        assert!(holds(), "no longer after {:?}: {what}", start.elapsed());
        sleep(PAUSE);
    }
}
