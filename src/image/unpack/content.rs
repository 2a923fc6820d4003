//! The content of one file: out of the archive, into the layer, and left out of its recipe.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;

use anyhow::{Context, Result};
use flate2::Crc;

use super::TOO_LONG;
use crate::image::limits::Budget;
use crate::image::recipe::Recorder;
use crate::image::tarball::{Entry, Source, Tarball};
use crate::sys::write_back;

/// After so many bytes of a file the disk begins with them. Small files come with the sync of all.
const STRETCH: u64 = 1 << 20;

/// A file that was just made.
pub struct Target<'t> {
    /// It, empty.
    pub file: &'t mut File,
    /// Its path in the layer without any link, if that can be told.
    pub real: Option<&'t Path>,
}

/// Writes the content of a file; its CRC-32, unless it has holes.
pub fn write<S: Source>(
    to: Target<'_>,
    entry: &Entry,
    content: &mut Tarball<Recorder<S>>,
    buffer: &mut [u8],
    budget: &mut Budget,
) -> Result<Option<u32>> {
    let Target { file, real } = to;
    budget.room_for(entry.size)?;
    let Some(segments) = &entry.segments else {
        begin(real, content.source(), (0, entry.size))?;
        return copy(file, content, entry.size, buffer, budget).map(Some);
    };
    let stored: u64 = segments.iter().map(|(_, length)| length).sum();
    budget.bytes(entry.size - stored, &*file)?;
    file.set_len(entry.size).context("make room")?;
    for (offset, length) in segments {
        file.seek(SeekFrom::Start(*offset))?;
        begin(real, content.source(), (*offset, *length))?;
        copy(file, content, *length, buffer, budget)?;
    }
    Ok(None)
}

/// What comes next is content of the file at `real`: that is not for the recipe.
fn begin(real: Option<&Path>, recipe: &mut Recorder<impl Source>, part: (u64, u64)) -> Result<()> {
    let (offset, length) = part;
    match real {
        Some(path) => recipe.content(path, offset, length),
        None if length == 0 => Ok(()),
        None => {
            recipe.lost(TOO_LONG);
            recipe.skip(length);
            Ok(())
        }
    }
}

fn copy(
    file: &mut File,
    content: &mut impl Read,
    length: u64,
    buffer: &mut [u8],
    budget: &mut Budget,
) -> Result<u32> {
    let (mut left, mut waiting) = (length, 0);
    let mut sum = Crc::new();
    while left > 0 {
        let most = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
        let got = match content.read(&mut buffer[..most]) {
            Ok(0) => return Err(io::Error::from(io::ErrorKind::UnexpectedEof)).context("read the layer"),
            Ok(got) => got,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error).context("read the layer"),
        };
        budget.bytes(got as u64, &*file)?;
        file.write_all(&buffer[..got]).context("write")?;
        sum.update(&buffer[..got]);
        left -= got as u64;
        waiting += got as u64;
        if waiting >= STRETCH {
            write_back::begin(file);
            waiting = 0;
        }
    }
    Ok(sum.sum())
}
