//! Where the last lines begin, found from the end: a log of gigabytes is not read for ten lines.

use std::fs::File;
use std::io::ErrorKind;
use std::os::unix::fs::FileExt;

use anyhow::{Context, Result};
use memchr::memchr;

use super::cri::{Joiner, LONGEST};
use super::source::{Opened, Source};

/// How much of the end is looked at first; then four times as much, and so on.
const FIRST: u64 = 64 * 1024;

/// Lets `source`, of which nothing was read yet, begin near its last `count` lines. How many lines it has before those.
pub fn begin(source: &mut Source, count: u64) -> Result<u64> {
    let files = source.files();
    let total: u64 = files.iter().map(|opened| opened.length).sum();
    let mut size = FIRST;
    let (mut at, mut lines) = from(&files, total.saturating_sub(size))?;
    while size < total && lines <= count {
        size = size.saturating_mul(4);
        (at, lines) = from(&files, total.saturating_sub(size))?;
    }
    if size < total {
        // The pieces of the first line may begin earlier, between those of the other stream.
        (at, lines) = from(&files, total.saturating_sub(size.saturating_add(LONGEST as u64)))?;
    }
    source.begin_at(at.0, at.1)?;
    Ok(lines.saturating_sub(count))
}

/// The first record at or after byte `start` of all files together: its file and offset; and how many lines of output there
/// are from there on.
fn from(files: &[&Opened], start: u64) -> Result<((usize, u64), u64)> {
    let (mut index, mut offset) = (0, start);
    while files.get(index).is_some_and(|opened| offset >= opened.length) && index + 1 < files.len() {
        offset -= files[index].length;
        index += 1;
    }
    let Some(first) = files.get(index) else { return Ok(((0, 0), 0)) };
    if offset > 0 {
        offset = next_record(first, offset)?;
    }
    let mut lines = 0;
    let mut out = |_: super::Line<'_>| {
        lines += 1;
        Ok(())
    };
    let mut joiner = Joiner::default();
    for (number, opened) in files.iter().enumerate().skip(index) {
        let begin = if number == index { offset } else { 0 };
        joiner.end_of_file(&mut out)?;
        pieces(opened, begin, &mut |bytes| joiner.bytes(bytes, &mut out).map(|()| true))?;
    }
    joiner.rest(&mut out)?;
    Ok(((index, offset), lines))
}

/// Where the next record begins, from the middle of one.
fn next_record(opened: &Opened, offset: u64) -> Result<u64> {
    let mut at = offset;
    pieces(opened, offset, &mut |bytes| {
        let end = memchr(b'\n', bytes);
        at += end.map_or(bytes.len(), |end| end + 1) as u64;
        Ok(end.is_none())
    })?;
    Ok(at)
}

/// Reads up to the length that the file had, for as long as it is wanted.
fn pieces(opened: &Opened, mut offset: u64, wanted: &mut dyn FnMut(&[u8]) -> Result<bool>) -> Result<()> {
    let mut buffer = vec![0; FIRST as usize];
    while offset < opened.length {
        let most = usize::try_from(opened.length - offset).unwrap_or(usize::MAX).min(buffer.len());
        let length = read_at(&opened.file, &mut buffer[..most], offset)?;
        // It was emptied meanwhile.
        if length == 0 || !wanted(&buffer[..length])? {
            break;
        }
        offset += length as u64;
    }
    Ok(())
}

fn read_at(file: &File, buffer: &mut [u8], offset: u64) -> Result<usize> {
    loop {
        match file.read_at(buffer, offset) {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            other => return other.context("read the log"),
        }
    }
}
