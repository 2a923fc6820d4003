#![allow(clippy::unwrap_used)]

use std::fs;
use std::os::unix::fs::symlink;

use super::*;

fn place(name: &str) -> std::path::PathBuf {
    let place = std::env::temp_dir().join(format!("hf-last-words-{}-{name}", std::process::id()));
    fs::create_dir_all(place.join("pod")).unwrap();
    place
}

fn record(kind: char, text: &str) -> String {
    format!("2026-01-02T03:04:05.678901234Z stdout {kind} {text}\n")
}

fn said(log: &str) -> String {
    String::from_utf8(end_of_log(log.as_bytes())).unwrap()
}

#[test]
fn the_end_of_a_log_is_so_many_lines_and_bytes_8_07() {
    assert_eq!(said(""), "");
    assert_eq!(said(&(record('F', "one") + &record('F', "") + &record('F', "two"))), "one\n\ntwo\n");
    // A line in pieces is one line, and what was cut off by a full disk is none.
    assert_eq!(said(&(record('P', "one, ") + &record('F', "two") + "2026-01")), "one, two\n");
    let many: String = (0..100).map(|number| record('F', &number.to_string())).collect();
    let expected: String = (20..100).map(|number| format!("{number}\n")).collect();
    assert_eq!(said(&many), expected);
    let long = record('F', &"x".repeat(3000)) + &record('F', "end");
    assert_eq!(said(&long), "x".repeat(2048 - 5) + "\nend\n");
}

#[test]
fn enough_is_read_of_a_log_for_all_that_counts() {
    let first = record('P', &"a".repeat(16 * 1024));
    let log = first + &record('F', &"b".repeat(16 * 1024));
    for lines in [0, 1, 79, 80] {
        let log = log.clone() + &record('F', &"c".repeat(20)).repeat(lines);
        let read = &log.as_bytes()[log.len().saturating_sub(READ_OF_LOG)..];
        assert_eq!(String::from_utf8(end_of_log(read)).unwrap(), said(&log), "{lines}");
    }
}

#[test]
fn the_end_of_a_file_is_read_and_no_link_is_followed() {
    let root = place("tail");
    let file = root.join("pod/words");
    fs::write(&file, "0123456789").unwrap();
    assert_eq!(tail(&root, &file, 4096).unwrap(), b"0123456789");
    assert_eq!(tail(&root, &file, 4).unwrap(), b"6789");
    // Huge, and takes no room.
    fs::File::options().write(true).open(&file).unwrap().set_len(1 << 40).unwrap();
    assert_eq!(tail(&root, &file, 4).unwrap(), [0; 4]);
    for (name, target) in [("link", "words"), ("away", "/etc/passwd")] {
        symlink(target, root.join("pod").join(name)).unwrap();
        let refused = tail(&root, &root.join("pod").join(name), 4096).unwrap_err();
        assert_eq!(refused.raw_os_error(), Some(libc::ELOOP), "{name}");
    }
    symlink("pod", root.join("folder")).unwrap();
    let refused = tail(&root, &root.join("folder/words"), 4096).unwrap_err();
    assert_eq!(refused.raw_os_error(), Some(libc::ELOOP));
    nix::unistd::mkfifo(&root.join("pod/fifo"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    assert_eq!(tail(&root, &root.join("pod/fifo"), 4096).unwrap_err().kind(), io::ErrorKind::InvalidData);
    assert_eq!(tail(&root, &root.join("pod/none"), 4096).unwrap_err().kind(), io::ErrorKind::NotFound);
    fs::remove_dir_all(root).unwrap();
}
