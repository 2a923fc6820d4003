#![allow(clippy::unwrap_used)]

use std::io::Write;

use super::*;

#[test]
fn the_keys_that_end_a_session_are_found_and_others_pass() {
    let check = |typed: &[&[u8]], passed: &[u8], ends: bool| {
        let mut keys = Keys::default();
        let (mut all, mut ended) = (Vec::new(), false);
        for piece in typed {
            let (passed, found) = keys.look(piece);
            all.extend(passed);
            ended |= found;
        }
        assert_eq!((&*all, ended), (passed, ends), "{typed:?}");
    };
    check(&[b"ls\r"], b"ls\r", false);
    check(&[b"ls\x10\x11rest"], b"ls", true);
    check(&[b"\x10", b"\x11"], b"", true);
    check(&[b"\x10x\x11"], b"\x10x\x11", false);
    check(&[b"\x10\x10\x11"], b"\x10", true);
    check(&[b"a\x10", b"b"], b"a\x10b", false);
    check(&[b"\x11"], b"\x11", false);
}

#[test]
fn a_held_key_and_a_full_buffer_pass_together() {
    let mut keys = Keys::default();
    let mut found = false;
    let mut buffer = vec![b'x'; 5];
    buffer[0] = 0x10;
    assert_eq!(look_for(Some(&mut keys), &mut buffer, 1, &mut found), 0);
    let mut buffer = vec![b'y'; 5];
    assert_eq!(look_for(Some(&mut keys), &mut buffer, 4, &mut found), 5);
    assert_eq!(buffer, b"\x10yyyy");
    assert!(!found);
}

#[test]
fn a_flow_reads_nothing_before_what_it_read_is_written() {
    let (from, mut source) = std::io::pipe().unwrap();
    let (mut sink, to) = std::io::pipe().unwrap();
    let to = unblocked(to.into()).unwrap();
    let mut flow = Flow::new(File::from(unblocked(from.into()).unwrap()), Target::Plain(File::from(to)));
    let whole = |_: &mut [u8], length| length;
    assert_eq!(flow.fill(whole).unwrap(), Step::Nothing);
    // Twice what a pipe holds: the second piece stays in the buffer, and a third is not taken.
    for _ in 0..2 {
        source.write_all(&vec![b'x'; 60_000]).unwrap();
        assert_eq!(flow.fill(whole).unwrap(), Step::Moved);
        flow.empty().unwrap();
    }
    assert!(flow.is_pending());
    source.write_all(b"third").unwrap();
    assert_eq!(flow.fill(whole).unwrap(), Step::Nothing);
    let mut bytes = vec![0; 120_000];
    std::io::Read::read_exact(&mut sink, &mut bytes[..60_000]).unwrap();
    assert_eq!(flow.empty().unwrap(), Step::Moved);
    drop(source);
    assert_eq!(flow.fill(whole).unwrap(), Step::Moved);
    assert_eq!(flow.empty().unwrap(), Step::Moved);
    assert_eq!(flow.fill(whole).unwrap(), Step::Ended);
    drop(sink);
    let (from, mut source) = std::io::pipe().unwrap();
    source.write_all(b"more").unwrap();
    let target = Target::Plain(duplicate(flow.target()).unwrap());
    let mut flow = Flow::new(File::from(OwnedFd::from(from)), target);
    flow.fill(whole).unwrap();
    assert_eq!(flow.empty().unwrap(), Step::Unwanted);
}
