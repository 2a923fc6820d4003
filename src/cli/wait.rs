//! Waits for something to change on disk, or for a descriptor, without looking again and again.

use std::io::ErrorKind;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result};
use inotify::{Inotify, WatchMask};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

/// Something that was written whole, came, went or changed its name in a directory.
pub fn entries() -> WatchMask {
    WatchMask::CREATE
        | WatchMask::MOVED_TO
        | WatchMask::MOVED_FROM
        | WatchMask::DELETE
        | WatchMask::DELETE_SELF
        | WatchMask::ONLYDIR
}

/// What is waited for.
pub struct Wait(Inotify);

impl Wait {
    /// Waits for nothing yet.
    pub fn new() -> Result<Wait> {
        Ok(Wait(Inotify::init().context("start inotify")?))
    }

    /// Waits for `mask` at `path` too; again for the same path changes nothing. `false` where nothing is there.
    pub fn add(&mut self, path: &Path, mask: WatchMask) -> Result<bool> {
        match self.0.watches().add(path, mask) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
            other => other.map(|_| true).with_context(|| format!("watch {}", path.display())),
        }
    }

    /// Waits until something changed or one of `others` can be read; `false` when `deadline` passed first.
    ///
    /// Several changes are told at once: look at everything, and look once before the first call.
    pub fn change(&mut self, others: &[BorrowedFd<'_>], deadline: Option<Instant>) -> Result<bool> {
        loop {
            let timeout = match deadline.map(|deadline| deadline.saturating_duration_since(Instant::now())) {
                Some(left) if left.is_zero() => return Ok(false),
                // Rounded up, so that the last wait is not a busy one.
                Some(left) => PollTimeout::try_from(left.as_millis() + 1).unwrap_or(PollTimeout::MAX),
                None => PollTimeout::NONE,
            };
            let mut descriptors = vec![PollFd::new(self.0.as_fd(), PollFlags::POLLIN)];
            descriptors.extend(others.iter().map(|other| PollFd::new(*other, PollFlags::POLLIN)));
            match poll(&mut descriptors, timeout) {
                Ok(0) | Err(Errno::EINTR) => continue,
                other => other.context("wait for a change")?,
            };
            drop(descriptors);
            return self.forget().map(|()| true);
        }
    }

    /// As [`Wait::change`] without a deadline, and also until nobody reads `output` any more: `false` then.
    pub fn change_while_read(&mut self, others: &[BorrowedFd<'_>], output: BorrowedFd<'_>) -> Result<bool> {
        // A pipe without a reader is told of without being asked for.
        let mut descriptors = vec![PollFd::new(output, PollFlags::empty())];
        descriptors.push(PollFd::new(self.0.as_fd(), PollFlags::POLLIN));
        descriptors.extend(others.iter().map(|other| PollFd::new(*other, PollFlags::POLLIN)));
        while let Err(error) = poll(&mut descriptors, PollTimeout::NONE) {
            if error != Errno::EINTR {
                return Err(error).context("wait for a change");
            }
        }
        let gone = descriptors[0].revents().is_some_and(|events| !events.is_empty());
        drop(descriptors);
        self.forget().map(|()| !gone)
    }

    /// Takes out what was told.
    fn forget(&mut self) -> Result<()> {
        let mut buffer = [0; 16 * 1024];
        loop {
            match self.0.read_events(&mut buffer).map(|mut events| events.next().is_none()) {
                Ok(true) => return Ok(()),
                Ok(false) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error).context("read inotify"),
            }
        }
    }
}

impl AsFd for Wait {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
