//! What a container said at its end: the file that it was given for that, or the end of its log (reference B.9).
//!
//! Read when the end is told, and again by the next agent where this one died: the file is there until the next run begins.
//!
//! Invariant: whatever the container did, so much is read and no more, and no link is followed.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::world::World;
use crate::host::log_name;
use crate::lifecycle::RunEnd;
use crate::protocol::log_record;
use crate::spec::{Container, Pod};
use crate::sys::beneath::Root;

/// What counts of the file: its end (`MaxContainerTerminationMessageLength`).
const LONGEST: usize = 4096;
/// What counts of the log: its end, so many bytes and so many lines (`MaxContainerTerminationMessageLogLength`, `…LogLines`).
const LONGEST_OF_LOG: usize = 2048;
const LINES_OF_LOG: usize = 80;
/// What is published of all containers of a pod together (`MaxPodTerminationMessageLogLength`).
const LONGEST_OF_POD: usize = 12 * 1024;
/// What is read of a log to have that much of it: the longest record (16 KiB and its head), of which the beginning may be
/// cut off, and as much again as what counts takes with its heads.
const READ_OF_LOG: usize = 32 * 1024;

/// Adds to `end`, the end of a run of a container of `pod`, what it said.
pub fn add(world: &World, pod: &Pod, end: &mut RunEnd) {
    let Some(container) = pod.container(&end.container) else { return };
    let said = said(world, pod, container, end);
    if said.is_empty() {
        return;
    }
    let mut length = said.len().min(LONGEST_OF_POD / pod.containers.len().max(1));
    while !said.is_char_boundary(length) {
        length -= 1;
    }
    end.exit.message.push_str(&said[..length]);
}

fn said(world: &World, pod: &Pod, container: &Container, end: &RunEnd) -> String {
    let words = &container.last_words;
    let path = world.data.last_words(&pod.uid.0, &end.container, end.attempt);
    // One that was cut off by its death is said twice, but one that was never made says nothing.
    let own = match tail(&world.data.pods(), &path, LONGEST) {
        _ if words.path.is_empty() => Vec::new(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        Err(error) => return format!("Error on reading termination log {}: {error}", path.display()),
        Ok(own) => own,
    };
    if !own.is_empty() || !words.or_log || end.exit.code == 0 {
        return String::from_utf8_lossy(&own).into_owned();
    }
    let log = world.logs(pod).join(&end.container).join(log_name(end.attempt));
    match tail(&world.config.log_dir, &log, READ_OF_LOG) {
        Err(error) => format!("Error on reading termination message from logs: {error}"),
        Ok(log) => String::from_utf8_lossy(&end_of_log(&log)).into_owned(),
    }
}

/// The last bytes of the file `path` below `root`, at most `most`.
fn tail(root: &Path, path: &Path, most: usize) -> io::Result<Vec<u8>> {
    let below = path.strip_prefix(root).map_err(io::Error::other)?;
    let (folder, name) = below.parent().zip(below.file_name()).ok_or(io::ErrorKind::InvalidInput)?;
    let file: File = Root::open(root)?.folder_without_links(folder)?.open_file(name)?;
    let length = file.metadata()?.len();
    let mut offset = length.saturating_sub(most as u64);
    let mut read = vec![0; most];
    let mut filled = 0;
    // It may be shorter by now, or longer.
    while let Some(rest) = read.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match file.read_at(rest, offset) {
            Ok(0) => break,
            Ok(count) => (filled, offset) = (filled + count, offset + count as u64),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    read.truncate(filled);
    Ok(read)
}

/// What counts of a log that ends with `bytes`; where those are not all of it, the first record may lack its beginning.
fn end_of_log(bytes: &[u8]) -> Vec<u8> {
    let records = bytes.split_inclusive(|byte| *byte == b'\n').rev().take(LINES_OF_LOG);
    let mut pieces = Vec::new();
    let mut length = 0;
    for record in records {
        let ended = record.strip_suffix(b"\n");
        let Some((_, _, whole, text)) = log_record(ended.unwrap_or(record)) else { continue };
        let end: &[u8] = if whole { b"\n" } else { b"" };
        length += text.len() + end.len();
        pieces.extend([end, text]);
        if LONGEST_OF_LOG <= length {
            break;
        }
    }
    pieces.reverse();
    let mut said = pieces.concat();
    said.drain(..said.len().saturating_sub(LONGEST_OF_LOG));
    said
}

#[cfg(test)]
mod tests;
