//! How often something may begin: a token bucket, as the kubelet's limit of pulls is one.
//!
//! Invariant: no clock is read here; time is whatever grows.

use std::time::Duration;

/// A bucket. It is full at first.
#[derive(Debug, Default)]
pub struct Bucket {
    /// When it is full again, if nothing is taken any more.
    full: Duration,
}

impl Bucket {
    /// Whether something may begin at the time `now`, of which a second has `qps` on average, and any instant `burst`. Without a
    /// limit (`qps` of 0) all may.
    pub fn takes(&mut self, now: Duration, qps: u32, burst: u32) -> bool {
        if qps == 0 {
            return true;
        }
        let one = Duration::from_secs(1) / qps;
        let full = self.full.max(now) + one;
        // So much is missing afterwards; it may be all there is.
        let may = full - now <= one * burst.max(1);
        if may {
            self.full = full;
        }
        may
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many of those who ask each 100 ms, from `from` to `to`, may begin.
    fn begin(bucket: &mut Bucket, from: u64, to: u64, qps: u32, burst: u32) -> usize {
        let times = (from..to).step_by(100).map(Duration::from_millis);
        times.filter(|now| bucket.takes(*now, qps, burst)).count()
    }

    #[test]
    fn a_burst_begins_at_once_and_then_so_many_in_a_second() {
        let mut bucket = Bucket::default();
        let now = Duration::from_secs(100);
        let at_once = |bucket: &mut Bucket| (0..50).filter(|_| bucket.takes(now, 5, 10)).count();
        assert_eq!(at_once(&mut bucket), 10);
        assert_eq!(at_once(&mut bucket), 0, "who asks in vain takes nothing");
        assert_eq!(begin(&mut bucket, 100_100, 103_100, 5, 10), 15);
        assert_eq!(begin(&mut bucket, 200_000, 200_900, 5, 10), 9, "after a while there is a burst again");
    }

    #[test]
    fn without_a_rate_there_is_no_limit_and_without_a_burst_one_begins() {
        let mut bucket = Bucket::default();
        assert_eq!(begin(&mut bucket, 0, 1000, 0, 1), 10);
        assert_eq!(begin(&mut bucket, 1000, 4000, 1, 0), 3);
    }

    #[test]
    fn a_clock_that_stands_still_gives_nothing_away() {
        let mut bucket = Bucket::default();
        assert!((0..3).all(|_| bucket.takes(Duration::ZERO, 2, 3)));
        assert!(!bucket.takes(Duration::ZERO, 2, 3));
        assert!(!bucket.takes(Duration::from_millis(499), 2, 3));
        assert!(bucket.takes(Duration::from_millis(500), 2, 3));
    }
}
