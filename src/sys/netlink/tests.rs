#![allow(clippy::unwrap_used)]

use super::*;

#[test]
fn a_message_is_its_head_and_its_attributes_each_padded() {
    let mut batch = Batch::new();
    batch.message(16, libc::NLM_F_ACK, &[9; 4]).text(3, "br").nested(18, |inside| {
        inside.bytes(1, &[7]);
    });
    batch.close();
    let bytes = &batch.bytes;
    assert_eq!(bytes.len(), 16 + 4 + 8 + 4 + 8);
    assert_eq!(bytes[..4], 40u32.to_ne_bytes());
    let found: Vec<_> = attributes(&bytes[20..]).collect();
    assert_eq!(found[0], (3, &b"br\0"[..]));
    assert_eq!((found[1].0, attributes(found[1].1).collect::<Vec<_>>()), (18, vec![(1, &[7u8][..])]));
    assert_eq!(found.len(), 2);
}

#[test]
fn lengths_that_lie_end_the_reading() {
    for bytes in [&[][..], &[0; 4], &[3, 0, 1, 0], &[200, 0, 1, 0, 5], &[8, 0, 1]] {
        assert_eq!(attributes(bytes).count(), 0, "{bytes:?}");
    }
    assert_eq!(messages(&[0; 16]).count(), 0);
    let mut long = [0; 16];
    long[..4].copy_from_slice(&17u32.to_ne_bytes());
    assert_eq!(messages(&long).count(), 0);
}

#[test]
fn the_kernel_answers_and_says_why_it_refuses() {
    let socket = Socket::open(Family::Route).unwrap();
    let mut batch = Batch::new();
    // RTM_GETLINK of everything: `lo` is there at least.
    batch.message(libc::RTM_GETLINK, libc::NLM_F_DUMP, &[0; 16]);
    let names = socket.ask(batch).unwrap().into_iter().filter_map(|answer| {
        let name = attributes(answer.body.get(16..)?).find(|(kind, _)| *kind == libc::IFLA_IFNAME)?;
        Some(String::from_utf8_lossy(name.1).into_owned())
    });
    assert!(names.into_iter().any(|name| name == "lo\0"));
    let mut batch = Batch::new();
    batch.message(libc::RTM_GETLINK, libc::NLM_F_ACK, &[0; 16]).text(libc::IFLA_IFNAME, "no-such-link");
    let refused = socket.ask(batch).unwrap_err();
    assert_eq!(refused.cause.raw_os_error(), Some(libc::ENODEV));
}
