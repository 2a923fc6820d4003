#![allow(clippy::unwrap_used)]

use super::*;
use crate::cgroup::Mount;

/// Files of a group as a kernel has them, in a directory that is gone at the end.
struct Tree(std::path::PathBuf, Hierarchy);

impl Tree {
    fn new(name: &str, unified: bool, files: &[(&str, &str, &str)]) -> Tree {
        let root = std::env::temp_dir().join(format!("holdfast-usage-{name}-{}", std::process::id()));
        let mut mounts = Vec::new();
        for (controller, file, text) in files {
            let mount = if unified { root.clone() } else { root.join(controller) };
            fs::create_dir_all(mount.join("kubepods/pod1")).unwrap();
            fs::write(mount.join("kubepods/pod1").join(file), text).unwrap();
            let controllers = if unified { Vec::new() } else { vec![(*controller).to_owned()] };
            let mount = Mount { path: mount, controllers };
            if !mounts.contains(&mount) {
                mounts.push(mount);
            }
        }
        Tree(root, Hierarchy { root: String::new(), unified, mounts })
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).unwrap();
    }
}

#[test]
fn what_a_group_uses_is_the_kubelets_working_set_on_v2() {
    let files = [
        ("", "cpu.stat", "usage_usec 1500000\nuser_usec 1\n"),
        ("", "memory.current", "10000\n"),
        ("", "memory.stat", "anon 1\ninactive_file 4000\nactive_file 5\n"),
        ("", "pids.current", "3\n"),
        ("", "io.stat", "8:0 rbytes=10 wbytes=20 rios=1 wios=2\n8:16 rbytes=1 wbytes=2 rios=1\n7:0 \n"),
    ];
    let tree = Tree::new("v2", true, &files);
    let used = tree.1.usage("/kubepods/pod1");
    let expected = Usage {
        cpu: Some(Duration::from_millis(1500)),
        memory: Some(6000),
        pids: Some(3),
        io: Some((11, 22)),
    };
    assert_eq!(used, expected);
    assert_eq!(tree.1.usage("/kubepods/pod2"), Usage::default(), "a group that is gone uses nothing");
}

#[test]
fn what_a_group_uses_is_the_kubelets_working_set_on_v1() {
    let files = [
        ("cpuacct", "cpuacct.usage", "1500000000\n"),
        ("memory", "memory.usage_in_bytes", "10000\n"),
        ("memory", "memory.stat", "inactive_file 1\ntotal_inactive_file 20000\n"),
    ];
    let tree = Tree::new("v1", false, &files);
    let used = tree.1.usage("/kubepods/pod1");
    // More cache than is charged, between two looks, is no memory at all; a controller that is not there counts nothing.
    let expected = Usage { cpu: Some(Duration::from_millis(1500)), memory: Some(0), pids: None, io: None };
    assert_eq!(used, expected);
}

#[test]
fn the_real_kernel_is_understood() {
    let used = Hierarchy::detect("/").unwrap().usage("/");
    assert!(used.cpu.is_some_and(|cpu| !cpu.is_zero()), "{used:?}");
}
