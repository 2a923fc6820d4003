//! Who reads along what a container prints, while it is logged.
//!
//! Each has two pipes that it made itself. What does not fit into them is lost to that reader alone, who is told how much:
//! neither the container nor its log ever waits for anybody, and nothing is kept here.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsRawFd, OwnedFd};

use anyhow::{Context, Result, ensure};
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::sys::stat::{SFlag, fstat};

use super::connections::Id;
use super::lines::STDOUT;

/// Readers of one container at a time. Only root can become one; this is against mistakes, and bounds what their pipes
/// hold.
pub const MOST: usize = 16;

/// Somebody who reads along.
pub struct Reader {
    /// Who asked.
    pub asker: Id,
    /// For stdout and for stderr, until nobody reads it any more.
    pipes: [Option<File>; 2],
    /// Bytes that went past since that was last told.
    missed: u64,
    /// Whether everything went through since.
    recovered: bool,
}

impl Reader {
    /// A reader with the pipes that came with its request.
    pub fn new(asker: Id, descriptors: Vec<OwnedFd>) -> Result<Reader> {
        let count = descriptors.len();
        let pipes = <[OwnedFd; 2]>::try_from(descriptors).ok();
        let [stdout, stderr] =
            pipes.with_context(|| format!("two pipes are needed, {count} came with the request"))?;
        let pipes = [Some(pipe(stdout)?), Some(pipe(stderr)?)];
        Ok(Reader { asker, pipes, missed: 0, recovered: false })
    }

    /// Lets it have `bytes` of the stream `name`, as far as there is room.
    pub fn give(&mut self, name: &str, mut bytes: &[u8]) {
        let [stdout, stderr] = &mut self.pipes;
        let place = if name == STDOUT { stdout } else { stderr };
        let Some(pipe) = place else { return };
        while !bytes.is_empty() {
            match pipe.write(bytes) {
                Ok(length) => bytes = bytes.get(length..).unwrap_or_default(),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.missed = self.missed.saturating_add(bytes.len() as u64);
                    self.recovered = false;
                    return;
                }
                // It is about to go, which its connection tells.
                Err(_) => {
                    *place = None;
                    return;
                }
            }
        }
        self.recovered = self.missed > 0;
    }

    /// How many bytes it missed, once it keeps up again; then that is told.
    pub fn recovered(&mut self) -> Option<u64> {
        std::mem::take(&mut self.recovered).then(|| std::mem::take(&mut self.missed))
    }

    /// How many bytes it missed and was not told of.
    pub fn missed(&self) -> Option<u64> {
        (self.missed > 0).then_some(self.missed)
    }
}

/// A pipe that does not block any more; anything else might.
fn pipe(descriptor: OwnedFd) -> Result<File> {
    let stat = fstat(descriptor.as_raw_fd()).context("look at a descriptor")?;
    let kind = SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT;
    ensure!(kind == SFlag::S_IFIFO, "what came with the request is no pipe");
    fcntl(descriptor.as_raw_fd(), FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).context("set non-blocking")?;
    Ok(File::from(descriptor))
}
