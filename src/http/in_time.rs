//! What must be whole in time, though a byte of it comes now and then.

use std::io::{self, ErrorKind, Read};
use std::time::{Duration, Instant};

/// Reads until its time is over; a call that is under way then may take as long as its own patience.
pub struct InTime<R> {
    /// Where it comes from.
    pub from: R,
    begun: Instant,
    most: Duration,
}

impl<R: Read> InTime<R> {
    /// What comes of `from` within `most` from now.
    pub fn new(from: R, most: Duration) -> InTime<R> {
        InTime { from, begun: Instant::now(), most }
    }
}

impl<R: Read> Read for InTime<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.begun.elapsed() > self.most {
            let seconds = self.most.as_secs();
            return Err(io::Error::new(
                ErrorKind::TimedOut,
                format!("the answer did not end in {seconds} s"),
            ));
        }
        self.from.read(into)
    }
}
