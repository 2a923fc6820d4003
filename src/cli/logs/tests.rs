#![allow(clippy::unwrap_used)]

use super::cri::Joiner;
use super::files::{Directory, LogName};

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
