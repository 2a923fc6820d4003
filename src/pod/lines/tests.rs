#![allow(clippy::unwrap_used)]

use std::fs;
use std::io::Write;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use super::*;
use crate::protocol::LogFile;

/// A directory of the test's own, gone afterwards.
struct Place(PathBuf);

impl Place {
    fn new(name: &str) -> Place {
        let place = std::env::temp_dir().join(format!("holdfast-lines-{}-{name}", std::process::id()));
        fs::create_dir_all(&place).unwrap();
        Place(place)
    }

    fn log(&self, max_bytes: u64, max_files: u32) -> Log {
        let path = self.0.join("0.log").to_str().unwrap().to_owned();
        Log::open(LogFile { path, max_bytes, max_files })
    }

    /// All files by name, with what is in them.
    fn files(&self) -> Vec<(String, Vec<u8>)> {
        let entries = fs::read_dir(&self.0).unwrap().map(|entry| entry.unwrap());
        let read = entries.map(|entry| {
            (entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap_or_default())
        });
        let mut files: Vec<_> = read.collect();
        files.sort();
        files
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).unwrap();
    }
}

/// What comes out, as `F:text` and `P:text`, when the container writes `writes` and closes.
fn records(name: &str, writes: &[&[u8]]) -> Vec<String> {
    let place = Place::new(name);
    let (reader, mut writer) = std::io::pipe().unwrap();
    let mut stream = Stream::new(File::from(OwnedFd::from(reader)), STDOUT);
    let (mut log, mut scratch) = (place.log(1 << 30, 5), Scratch::new());
    for bytes in writes {
        writer.write_all(bytes).unwrap();
        let mut left = bytes.len();
        while left > 0 {
            assert_eq!(stream.read(&mut log, &mut scratch, &mut []), Got::Some);
            left = left.saturating_sub(LONGEST);
        }
    }
    drop(writer);
    assert_eq!(stream.read(&mut log, &mut scratch, &mut []), Got::End);
    assert_eq!(scratch.dropped, 0);
    let text = String::from_utf8_lossy(&fs::read(place.0.join("0.log")).unwrap()).into_owned();
    text.lines().map(record).collect()
}

fn record(line: &str) -> String {
    let words: Vec<&str> = line.splitn(4, ' ').collect();
    let [time, "stdout", tag, text] = words[..] else { panic!("{line:?}") };
    assert_eq!((time.len(), time.ends_with('Z')), (30, true), "{time}");
    let _: jiff::Timestamp = time.parse().unwrap();
    format!("{tag}:{text}")
}

#[test]
fn each_line_is_a_record() {
    assert_eq!(records("lines", &[b"a\nb c\n\n"]), ["F:a", "F:b c", "F:"]);
}

#[test]
fn a_line_that_comes_in_pieces_is_one_record() {
    assert_eq!(records("pieces", &[b"a", b"b", b"c\nd", b"\n"]), ["F:abc", "F:d"]);
}

#[test]
fn a_last_line_without_an_end_is_partial_as_in_containerd() {
    assert_eq!(records("last", &[b"a\nb"]), ["F:a", "P:b"]);
}

#[test]
fn a_line_is_cut_where_it_gets_longer_than_16_kib() {
    let exactly = "x".repeat(LONGEST);
    assert_eq!(records("exact", &[format!("{exactly}\n").as_bytes()]), [format!("F:{exactly}")]);
    let longer = records("longer", &[format!("{exactly}y\n").as_bytes()]);
    assert_eq!(longer, [format!("P:{exactly}"), "F:y".to_owned()]);
    let endless = records("endless", &[exactly.as_bytes(), exactly.as_bytes(), b"z"]);
    assert_eq!(endless, [format!("P:{exactly}"), format!("P:{exactly}"), "P:z".to_owned()]);
}

/// Writes `count` lines of some hundred bytes to a log of 1000 bytes.
fn fill(place: &Place, max_files: u32, count: usize) -> u64 {
    let (reader, mut writer) = std::io::pipe().unwrap();
    let mut stream = Stream::new(File::from(OwnedFd::from(reader)), STDOUT);
    let (mut log, mut scratch) = (place.log(1000, max_files), Scratch::new());
    for number in 0..count {
        writer.write_all(format!("{number:0100}\n").as_bytes()).unwrap();
        stream.read(&mut log, &mut scratch, &mut []);
    }
    scratch.dropped
}

#[test]
fn a_log_is_rotated_before_it_gets_too_long_and_only_so_many_are_kept() {
    let place = Place::new("rotate");
    assert_eq!(fill(&place, 3, 100), 0);
    let files = place.files();
    assert_eq!(files.len(), 3, "{files:?}");
    assert!(files.iter().all(|(_, bytes)| bytes.len() <= 1000 && bytes.ends_with(b"\n")));
    let newest = String::from_utf8(files[0].1.clone()).unwrap();
    assert!(files[0].0 == "0.log" && newest.contains("099\n"), "{newest}");
    let kept: usize =
        files.iter().map(|(_, bytes)| bytes.iter().filter(|byte| **byte == b'\n').count()).sum();
    assert!((15..=22).contains(&kept), "{kept} lines are kept");
    let mode = fs::metadata(place.0.join("0.log")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o640);
}

#[test]
fn one_file_is_a_limit_too() {
    let place = Place::new("one");
    fill(&place, 1, 50);
    assert_eq!(place.files().len(), 1);
}

#[test]
fn many_lines_in_one_read_do_not_make_a_file_too_long() {
    let place = Place::new("burst");
    let (reader, mut writer) = std::io::pipe().unwrap();
    let mut stream = Stream::new(File::from(OwnedFd::from(reader)), STDOUT);
    let (mut log, mut scratch) = (place.log(1000, 100), Scratch::new());
    writer.write_all("0123456789\n".repeat(500).as_bytes()).unwrap();
    stream.read(&mut log, &mut scratch, &mut []);
    let files = place.files();
    assert!(files.iter().all(|(_, bytes)| bytes.len() <= 1000), "{files:?}");
    let lines: usize =
        files.iter().map(|(_, bytes)| bytes.iter().filter(|byte| **byte == b'\n').count()).sum();
    assert_eq!(lines, 500);
}

#[test]
fn a_link_in_the_logs_place_is_not_followed() {
    let place = Place::new("link");
    let target = place.0.join("target");
    fs::write(&target, "untouched").unwrap();
    symlink(&target, place.0.join("0.log")).unwrap();
    assert_eq!(fill(&place, 3, 1), 141);
    assert_eq!(fs::read(&target).unwrap(), b"untouched");
}

#[test]
fn a_fifo_in_the_logs_place_does_not_stop_us() {
    let place = Place::new("fifo");
    nix::unistd::mkfifo(&place.0.join("0.log"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    assert_eq!(fill(&place, 3, 2), 282);
}

#[test]
fn output_that_finds_no_room_is_counted_and_later_output_is_kept_whole() {
    let place = Place::new("full");
    let directory = place.0.join("gone");
    let path = directory.join("0.log").to_str().unwrap().to_owned();
    let mut log = Log::open(LogFile { path: path.clone(), max_bytes: 1000, max_files: 3 });
    assert_eq!(log.append(b"lost\n"), 5);
    fs::create_dir(&directory).unwrap();
    assert_eq!(log.append(b"kept\n"), 0);
    assert_eq!(fs::read(Path::new(&path)).unwrap(), b"kept\n");
    fs::remove_dir_all(&directory).unwrap();
}
