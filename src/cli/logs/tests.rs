#![allow(clippy::unwrap_used)]

use super::cri::Joiner;
use super::files::{Directory, LogName};
use super::source::{Next, Source};

/// Lines as `time text`, whatever pieces the bytes come in.
#[track_caller]
fn check(log: &str, expected: &[&str]) {
    for size in [1, 7, log.len().max(1)] {
        let mut lines = Vec::new();
        let mut joiner = Joiner::default();
        let mut out = |line: super::Line<'_>| {
            lines.push(
                [line.time, line.text].map(|bytes| String::from_utf8_lossy(bytes).into_owned()).join(" "),
            );
            Ok(())
        };
        for piece in log.as_bytes().chunks(size) {
            joiner.bytes(piece, &mut out).unwrap();
        }
        joiner.rest(&mut out).unwrap();
        assert_eq!(lines, expected, "in pieces of {size}");
    }
}

#[test]
fn pieces_of_a_line_are_put_together_in_each_stream() {
    check(
        "1 stdout P ab\n2 stderr P x\n3 stdout P cd\n4 stdout F ef\n5 stderr F y\n6 stdout F \n7 stdout F:new  a b\n",
        &["1 abcdef", "2 xy", "6 ", "7  a b"],
    );
}

#[test]
fn a_log_that_ends_in_the_middle_shows_what_is_there() {
    check("1 stdout P ab\n2 stdout F cd", &["1 abcd"]);
    check("1 stdout P ab\n", &["1 ab"]);
    check("1 stdout F ab\n2 std", &["1 ab", "? 2 std"]);
    check("", &[]);
}

#[test]
fn what_is_no_log_line_is_shown_as_it_stands() {
    check(
        "garbage\n\n1 stdin F x\n1 stdout X y\n2 stdout F z\n",
        &["? garbage", "? ", "? 1 stdin F x", "? 1 stdout X y", "2 z"],
    );
}

#[test]
fn a_line_without_end_does_not_fill_the_memory() {
    let mut joiner = Joiner::default();
    let mut longest = 0;
    let piece = format!("1 stdout P {}\n", "x".repeat(64 * 1024));
    for _ in 0..20 {
        let mut out = |line: super::Line<'_>| {
            longest = longest.max(line.text.len());
            Ok(())
        };
        joiner.bytes(piece.as_bytes(), &mut out).unwrap();
        joiner.bytes(&vec![b'y'; 3 * 1024 * 1024], &mut out).unwrap();
    }
    assert!((1024 * 1024..5 * 1024 * 1024).contains(&longest), "{longest}");
}

#[test]
fn rotated_files_are_read_before_the_current_one_the_oldest_first() {
    let root = nix::unistd::mkdtemp("/tmp/holdfast-logs-XXXXXX").unwrap();
    let order = [
        "0.log.20251231-235959",
        "0.log.20260101-000000",
        "0.log",
        "2.log.10",
        "2.log.2",
        "2.log.1",
        "2.log",
        "10.log",
    ];
    for name in
        order.iter().rev().chain(&["0.log.20251231-235959.gz", "x.log", "0.log.tmp", "0.logs", ".log", "0"])
    {
        std::fs::write(root.join(name), "").unwrap();
    }
    let directory = Directory::open(&root).unwrap().unwrap();
    let mut logs: Vec<LogName> = directory.logs().unwrap();
    logs.sort();
    std::fs::remove_dir_all(&root).unwrap();
    let names: Vec<&str> = logs.iter().map(|log| &*log.name).collect();
    assert_eq!(names, order);
}

#[test]
fn a_log_that_is_not_what_it_should_be_is_refused() {
    let root = nix::unistd::mkdtemp("/tmp/holdfast-logs-XXXXXX").unwrap();
    let outside = root.join("secret");
    std::fs::write(&outside, "secret").unwrap();
    let pod = root.join("pod");
    std::fs::create_dir(&pod).unwrap();
    std::os::unix::fs::symlink(&outside, pod.join("0.log")).unwrap();
    std::fs::hard_link(&outside, pod.join("1.log")).unwrap();
    nix::unistd::mkfifo(&pod.join("2.log"), nix::sys::stat::Mode::from_bits_truncate(0o600)).unwrap();
    std::os::unix::fs::symlink(&pod, root.join("link")).unwrap();
    std::fs::write(pod.join("3.log"), "").unwrap();
    let directory = Directory::open(&root).unwrap().unwrap();
    assert!(directory.enter("link").is_err());
    assert!(
        directory.enter("..").is_err()
            && directory.enter("pod/../pod").is_err()
            && directory.enter("").is_err()
    );
    let inside = directory.enter("pod").unwrap().unwrap();
    let refusals = ["0.log", "1.log", "2.log"].map(|name| format!("{:#}", inside.file(name).unwrap_err()));
    let regular = inside.file("3.log").unwrap().is_some();
    let missing = inside.file("4.log").unwrap().is_none();
    std::fs::remove_dir_all(&root).unwrap();
    for (refusal, reason) in refusals.iter().zip(["symbolic link", "another name", "not a regular file"]) {
        assert!(refusal.contains(reason), "{refusal}");
    }
    assert!(regular && missing);
}

/// Everything of run 0 in `root`, or its last lines.
fn shown(root: &std::path::Path, last: Option<u64>) -> Vec<String> {
    let mut source = Source::open(Directory::open(root).unwrap().unwrap(), 0).unwrap();
    source.end_now();
    let skip = last.map_or(0, |count| super::tail::begin(&mut source, count).unwrap());
    let (mut joiner, mut lines) = (Joiner::default(), Vec::new());
    let mut buffer = vec![0; 64 * 1024];
    let mut out = |line: super::Line<'_>| {
        lines.push(String::from_utf8_lossy(line.text).into_owned());
        Ok(())
    };
    loop {
        match source.read(&mut buffer).unwrap() {
            Next::Bytes(length) => joiner.bytes(&buffer[..length], &mut out).unwrap(),
            Next::Edge => joiner.end_of_file(&mut out).unwrap(),
            Next::End => break,
        }
    }
    joiner.rest(&mut out).unwrap();
    lines.split_off(usize::try_from(skip).unwrap().min(lines.len()))
}

#[test]
fn a_line_goes_on_in_the_next_file_and_a_torn_record_does_not() {
    let root = nix::unistd::mkdtemp("/tmp/holdfast-logs-XXXXXX").unwrap();
    std::fs::write(root.join("0.log.20260101-000000"), "1 stdout P a\n2 stdout P b\n2 stderr F to").unwrap();
    std::fs::write(root.join("0.log.20260101-000001"), "").unwrap();
    std::fs::write(root.join("0.log"), "3 stdout F c\n3 stdo").unwrap();
    let all = shown(&root, None);
    let last = shown(&root, Some(2));
    let more = shown(&root, Some(4));
    std::fs::remove_dir_all(&root).unwrap();
    assert_eq!(all, ["to", "abc", "3 stdo"]);
    assert_eq!((last, more), (vec!["abc".to_string(), "3 stdo".to_string()], all));
}

#[test]
fn the_last_lines_are_those_of_all_lines() {
    let root = nix::unistd::mkdtemp("/tmp/holdfast-logs-XXXXXX").unwrap();
    let mut seed = 1_u32;
    let mut random = |below: u32| {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (seed >> 8) % below
    };
    for name in ["0.log.20260101-000000", "0.log.20260101-000001", "0.log.20260101-000002", "0.log"] {
        let mut text = String::new();
        for number in 0..1500 {
            let stream = ["stdout", "stderr"][random(2) as usize];
            let tag = ["F", "F", "P"][random(3) as usize];
            let length = random(300) as usize;
            text.push_str(&format!("{number} {stream} {tag} {name} {number} {}\n", "x".repeat(length)));
        }
        std::fs::write(root.join(name), text).unwrap();
    }
    let all = shown(&root, None);
    let same = [0, 1, 2, 10, 100, 800, 1000, 2500, all.len() - 1, all.len(), all.len() + 1, usize::MAX]
        .map(|count| shown(&root, Some(count as u64)) == all[all.len().saturating_sub(count)..]);
    std::fs::remove_dir_all(&root).unwrap();
    assert_eq!(same, [true; 12]);
}

/// A hole of a tebibyte would take minutes.
#[test]
fn the_last_lines_of_a_huge_file_are_read_from_its_end() {
    use std::io::{Seek, SeekFrom, Write};
    let root = nix::unistd::mkdtemp("/tmp/holdfast-logs-XXXXXX").unwrap();
    let mut file = std::fs::File::create(root.join("0.log")).unwrap();
    file.seek(SeekFrom::Start(1 << 40)).unwrap();
    let begin = std::time::Instant::now();
    file.write_all(b"\n").unwrap();
    for number in 0..100_000 {
        file.write_all(format!("{number} stdout F line {number} of the log\n").as_bytes()).unwrap();
    }
    let last = shown(&root, Some(2));
    let took = begin.elapsed();
    std::fs::remove_dir_all(&root).unwrap();
    assert_eq!(last, ["line 99998 of the log", "line 99999 of the log"]);
    assert!(took.as_secs() < 20, "{took:?}");
}

#[test]
fn what_is_rotated_and_removed_while_it_waits_for_its_turn_is_still_read() {
    let root = nix::unistd::mkdtemp("/tmp/holdfast-logs-XXXXXX").unwrap();
    for (name, text) in [("0.log.20260101-000000", "a"), ("0.log.20260101-000001", "b"), ("0.log", "c")] {
        std::fs::write(root.join(name), text).unwrap();
    }
    let mut source = Source::open(Directory::open(&root).unwrap().unwrap(), 0).unwrap();
    std::fs::rename(root.join("0.log"), root.join("0.log.20260101-000002")).unwrap();
    std::fs::remove_file(root.join("0.log.20260101-000000")).unwrap();
    std::fs::remove_file(root.join("0.log.20260101-000001")).unwrap();
    std::fs::write(root.join("0.log"), "d").unwrap();
    let mut read = String::new();
    let mut all = |source: &mut Source| {
        let mut buffer = [0; 8];
        loop {
            match source.read(&mut buffer).unwrap() {
                Next::Bytes(length) => read.push_str(std::str::from_utf8(&buffer[..length]).unwrap()),
                Next::Edge => {}
                Next::End => break,
            }
        }
        read.clone()
    };
    assert_eq!(all(&mut source), "abc");
    source.look().unwrap();
    assert_eq!(all(&mut source), "abcd");
    source.look().unwrap();
    assert_eq!(all(&mut source), "abcd", "nothing twice");
    // The present file is emptied, as where the disk lets no file be renamed, and written to anew.
    std::fs::write(root.join("0.log"), "").unwrap();
    source.look().unwrap();
    assert_eq!(all(&mut source), "abcd");
    std::fs::write(root.join("0.log"), "e").unwrap();
    source.look().unwrap();
    assert_eq!(all(&mut source), "abcde");
    // It is removed, with all between it and what is there now.
    std::fs::remove_file(root.join("0.log")).unwrap();
    std::fs::remove_file(root.join("0.log.20260101-000002")).unwrap();
    std::fs::write(root.join("0.log.20260101-000009"), "f").unwrap();
    std::fs::write(root.join("0.log"), "g").unwrap();
    source.look().unwrap();
    assert_eq!(all(&mut source), "abcdefg");
    std::fs::remove_dir_all(&root).unwrap();
}

/// Somebody rotates as fast as the disk allows while somebody else reads: each record once, in order.
#[test]
fn a_reader_loses_nothing_while_files_are_rotated() {
    let root = nix::unistd::mkdtemp("/tmp/holdfast-logs-XXXXXX").unwrap();
    std::fs::write(root.join("0.log"), "").unwrap();
    let mut source = Source::open(Directory::open(&root).unwrap().unwrap(), 0).unwrap();
    let writer = std::thread::spawn({
        let root = root.clone();
        move || {
            for number in 0..300 {
                std::fs::rename(root.join("0.log"), root.join(format!("0.log.2026-{number:04}"))).unwrap();
                std::fs::write(root.join(".new"), format!("{number}\n")).unwrap();
                std::fs::rename(root.join(".new"), root.join("0.log")).unwrap();
                // As slow as a pod process that has a file to fill in between: see TRIES.
                std::thread::yield_now();
            }
        }
    });
    let (mut read, mut buffer) = (String::new(), [0; 16]);
    loop {
        let over = writer.is_finished();
        // Too fast once is no loss: the next look finds everything.
        let _ = source.look();
        loop {
            match source.read(&mut buffer).unwrap() {
                Next::Bytes(length) => read.push_str(std::str::from_utf8(&buffer[..length]).unwrap()),
                Next::Edge => {}
                Next::End => break,
            }
        }
        if over && source.look().is_ok() && source.read(&mut buffer).unwrap() == Next::End {
            break;
        }
    }
    writer.join().unwrap();
    std::fs::remove_dir_all(&root).unwrap();
    let expected: String = (0..300).map(|number| format!("{number}\n")).collect();
    assert_eq!(read, expected);
}
