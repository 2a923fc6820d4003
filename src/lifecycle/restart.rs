//! Back-off, with the kubelet's numbers (reference B.5).

use std::time::Duration;

/// Delay before the second restart in a row; doubled for each one after it.
pub const FIRST_DELAY: Duration = Duration::from_secs(10);
/// Longest delay between restarts, unless configured.
pub const MAX_DELAY: Duration = Duration::from_secs(300);
/// Delay after the first failure to make a sandbox or to prepare a container; the kubelet's volume back-off begins at
/// half a second and ends at about two minutes.
const FIRST_HOLD: Duration = Duration::from_secs(1);
const MAX_HOLD: Duration = Duration::from_secs(120);

/// How restarts back off.
#[derive(Debug, Clone, Copy)]
pub struct BackOff {
    /// Longest delay: `crashLoopBackOff.maxContainerRestartPeriod`.
    pub max: Duration,
}

impl Default for BackOff {
    fn default() -> BackOff {
        BackOff { max: MAX_DELAY }
    }
}

impl BackOff {
    /// How long to wait before the next start, after `streak` short runs in a row.
    ///
    /// The first restart is immediate, as in the kubelet: most exits are not the start of a crash loop.
    pub fn delay(&self, streak: u32) -> Duration {
        match streak {
            0 | 1 => Duration::ZERO,
            streak => doubled(FIRST_DELAY.min(self.max), streak - 2, self.max),
        }
    }

    /// A run at least this long is a success, and ends the streak: twice the longest delay.
    pub fn reset_after(&self) -> Duration {
        self.max * 2
    }

    /// How long to wait after an image was not to be had `streak` times in a row.
    pub fn pull(&self, streak: u32) -> Duration {
        doubled(FIRST_DELAY, streak.saturating_sub(1), MAX_DELAY)
    }

    /// How long to wait after preparing something failed `streak` times in a row.
    pub fn hold(&self, streak: u32) -> Duration {
        doubled(FIRST_HOLD, streak.saturating_sub(1), MAX_HOLD)
    }
}

fn doubled(first: Duration, times: u32, max: Duration) -> Duration {
    first.saturating_mul(1 << times.min(16)).min(max)
}
