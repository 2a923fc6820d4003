//! An archive that comes through a pipe: onto the disk first, since archives are read in another order than they come in.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;

use anyhow::{Context, Result, bail};

use super::archive::MAX_ARCHIVE;
use super::limits::Room;
use super::store::Store;
use super::stream::BUFFER;

impl Store {
    /// The rest of `from` in a file that has no name and goes with its descriptor, so that nobody can leave it behind.
    ///
    /// It has at most as many bytes as an archive may unpack to, and leaves free what an image leaves free.
    pub fn spool(&self, mut from: impl Read) -> Result<File> {
        let folder = self.root.join("tmp");
        let mut options = File::options();
        options.read(true).write(true).mode(0o600).custom_flags(libc::O_TMPFILE);
        let mut file =
            options.open(&folder).with_context(|| format!("make a file in {}", folder.display()))?;
        let mut room = Room::new(self.limits.free_percent);
        let (mut buffer, mut total) = (vec![0; BUFFER], 0);
        loop {
            let length = match from.read(&mut buffer) {
                Ok(0) => return Ok(file),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                length => length.context("read the archive")?,
            };
            total += length as u64;
            if total > MAX_ARCHIVE {
                bail!("it has more than {MAX_ARCHIVE} bytes");
            }
            room.take(length as u64, &file)?;
            file.write_all(&buffer[..length]).context("keep the archive")?;
        }
    }
}
