#![allow(clippy::unwrap_used)]

use super::{LONGEST, MOST, is_list, parse};

#[test]
fn a_list_is_told_by_its_name() {
    for (name, expected) in
        [("a.txt", true), ("A.TXT", true), (".txt", true), ("txt", false), ("é.tx", false)]
    {
        assert_eq!(is_list(name), expected, "{name}");
    }
}

#[test]
fn a_list_has_a_name_a_line() {
    let images = parse(b"# k3s-images.txt\n\n  docker.io/rancher/mirrored-pause:3.6 \r\nbusybox\n").unwrap();
    let images: Vec<String> = images.iter().map(ToString::to_string).collect();
    assert_eq!(images, ["docker.io/rancher/mirrored-pause:3.6", "docker.io/library/busybox:latest"]);
    assert_eq!(parse(b"").unwrap(), []);
    assert_eq!(parse(b"\n   \n\n").unwrap(), []);
}

#[test]
fn a_hostile_list_is_told_with_what_is_wrong() {
    let most = |count: usize| "a\n".repeat(count).into_bytes();
    assert_eq!(parse(&most(MOST)).unwrap().len(), MOST);
    let long = vec![b'\n'; usize::try_from(LONGEST).unwrap()];
    assert!(parse(&long).is_ok());
    for (list, words) in [
        (most(MOST + 1), "more than 256 images"),
        ([&long[..], b"\n"].concat(), "more than 64 KiB"),
        (b"\x7fELF\x00".to_vec(), "no text"),
        (b"a\xff".to_vec(), "no text"),
        (
            b"busybox\n5d41402abc4b2a76b9719d911017c592  k3s-airgap-images-arm64.tar.zst\n".to_vec(),
            "line 2: ",
        ),
        ([&[b'a'; 513][..], b"\n"].concat(), "line 1 has more than 512 bytes"),
        (b"../../etc/passwd\n".to_vec(), "line 1: "),
    ] {
        let told = parse(&list).unwrap_err();
        assert!(told.contains(words) && told.len() < 400, "{told}");
    }
}
