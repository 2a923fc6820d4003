use super::*;

#[test]
fn what_the_kernel_says_of_itself_is_read() {
    assert_eq!(cpus("0-3,6"), Some(5));
    assert_eq!(cpus("0"), Some(1));
    assert_eq!((cpus(""), cpus("3-1"), cpus("a")), (None, None, None));
    assert_eq!(threads("0.20 0.18 0.12 1/80 11206"), Some(80));
    assert_eq!(threads(""), None);
    let meminfo = "MemTotal:       24684084 kB\nMemFree:         1 kB\nMemAvailable:   20000000 kB\n";
    assert_eq!(memory(meminfo), (24_684_084 << 10, 20_000_000 << 10));
    assert_eq!(memory("MemTotal: many kB"), (0, 0));
    assert_eq!(
        os_image("ID=debian\nPRETTY_NAME=\"Debian GNU/Linux 12\"\n").as_deref(),
        Some("Debian GNU/Linux 12")
    );
    assert_eq!(os_image("ID=debian\n"), None);
}

#[test]
fn a_node_without_a_way_to_others_has_its_own_address() {
    let trie = "Local:\n  +-- 0.0.0.0/0 3 0 5\n     |-- 127.0.0.1\n        /32 host LOCAL\n     |-- 10.99.0.0\n        \
                /24 link UNICAST\n     |-- 10.99.0.1\n        /32 host LOCAL\n";
    assert_eq!(own_address(trie).as_deref(), Some("10.99.0.1"));
    assert_eq!(own_address("Main:\n     |-- 127.0.0.1\n        /32 host LOCAL\n"), None);
}

#[test]
fn a_node_is_short_of_what_it_has_little_of() {
    let space = Space { total: 1000, free: 500, inodes: 1000, inodes_free: 500, read_only: false };
    let fine = Left { memory: (8 << 30, 4 << 30), disk: Some(space), threads: (1000, 10) };
    let short = |left: &Left| Pressure::ALL.map(|kind| short_of(kind, left).0);
    assert_eq!(short(&fine), [false; 3]);
    assert_eq!(short(&Left { memory: (8 << 30, 99 << 20), ..fine }), [true, false, false]);
    // A board of 512 MiB is not short of memory with 64 of them.
    assert_eq!(short(&Left { memory: (512 << 20, 64 << 20), ..fine }), [false; 3]);
    assert_eq!(short(&Left { memory: (512 << 20, 24 << 20), ..fine }), [true, false, false]);
    assert_eq!(short(&Left { disk: Some(Space { free: 49, ..space }), ..fine }), [false, true, false]);
    assert_eq!(short(&Left { disk: Some(Space { inodes_free: 0, ..space }), ..fine }), [false, true, false]);
    // btrfs has no number of inodes.
    assert_eq!(short(&Left { disk: Some(Space { inodes: 0, inodes_free: 0, ..space }), ..fine }), [false; 3]);
    assert_eq!(short(&Left { disk: None, ..fine }), [false; 3]);
    assert_eq!(short(&Left { threads: (1000, 960), ..fine }), [false, false, true]);
}

#[test]
fn sectors_that_were_written_are_of_512_bytes() {
    let stat = "  1202   15  104202  1102  800  911  13728  2701  0  3000  3804  0 0 0 0 0 0\n";
    assert_eq!(bytes_written(stat), Some(13_728 * 512));
    assert_eq!(bytes_written("1 2 3"), None);
}

/// What this process writes goes to the disk that it is told of, where it is told of one.
#[test]
fn a_process_knows_its_age_and_what_it_wrote() {
    let pid = std::process::id();
    assert!(age_of_process(pid).is_some_and(|age| age <= clock::boottime()));
    assert!(io_of_process(pid).is_some());
    assert_eq!(written(Path::new("/proc")), None, "there is no disk below it");
}
