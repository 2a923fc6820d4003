#![allow(clippy::unwrap_used)]

use super::*;

const HYBRID: &str = "\
22 1 0:20 / /proc rw - proc proc rw
30 22 0:26 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755
31 30 0:27 / /sys/fs/cgroup/cpu,cpuacct rw shared:9 - cgroup cgroup rw,cpu,cpuacct
32 30 0:28 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory
33 30 0:28 / /mnt/again rw - cgroup cgroup rw,memory
34 30 0:29 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,name=systemd
35 30 0:30 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw
";

fn check(mountinfo: &str, unified: bool, roots: &[&str]) {
    let found = Hierarchies::parse(mountinfo).unwrap();
    assert_eq!(found.unified(), unified);
    let found: Vec<_> = found.mounts.iter().map(|hierarchy| hierarchy.root.to_str().unwrap()).collect();
    assert_eq!(found, roots);
}

#[test]
fn a_hybrid_layout_is_its_controllers_each_once() {
    check(HYBRID, false, &["/sys/fs/cgroup/cpu,cpuacct", "/sys/fs/cgroup/memory"]);
}

#[test]
fn without_v1_controllers_it_is_the_unified_hierarchy() {
    check("30 22 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw,nsdelegate\n", true, &["/sys/fs/cgroup"]);
}

#[test]
fn nothing_mounted_is_nothing() {
    assert!(Hierarchies::parse("22 1 0:20 / /proc rw - proc proc rw\n").is_none());
}

#[test]
fn the_root_and_what_is_above_it_are_nobodys() {
    for path in ["", "/", "//", "/..", "/a/../..", "/a/./b"] {
        assert!(names(path).is_err(), "{path}");
    }
    assert!(names("/a/b").is_ok());
}
