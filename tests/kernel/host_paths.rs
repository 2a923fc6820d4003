//! hostPath volumes of every type (reference D.7), as they are checked and as they are seen inside.

use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, symlink};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};

use nix::sys::stat::{Mode, SFlag, makedev, mknod};
use serde_json::{Value, json};

use crate::harness::image::{busybox, copy_program};
use crate::harness::pod::{pod, with, with_main};
use crate::harness::{SOON, World, eventually};

/// A pod with one hostPath volume of this type, mounted at `/v`.
fn one(name: &str, path: &Path, kind: &str) -> Value {
    let volumes = json!([{"name": "v", "hostPath": {"path": path, "type": kind}}]);
    let mounts = json!([{"name": "v", "mountPath": "/v"}]);
    with_main(with(pod(name, &["trap-term"]), json!({"volumes": volumes})), json!({"volumeMounts": mounts}))
}

/// 10.06, 14.03: each type is what it says, with the node's mode, and a link is what it leads to.
#[test]
fn what_is_there_is_mounted_as_it_is_and_what_may_be_made_is_made() {
    let world = World::new();
    let at = |name: &str| world.shared().join(name);
    copy_program(&busybox(), &at("busybox"));
    fs::create_dir(at("dir")).unwrap();
    fs::set_permissions(at("dir"), fs::Permissions::from_mode(0o1750)).unwrap();
    fs::write(at("dir/file"), "of the node").unwrap();
    fs::set_permissions(at("dir/file"), fs::Permissions::from_mode(0o644)).unwrap();
    symlink("dir", at("to-dir")).unwrap();
    symlink(at("dir/file"), at("to-file")).unwrap();
    let log = UnixDatagram::bind(at("socket")).unwrap();
    log.set_read_timeout(Some(SOON)).unwrap();
    // A number that no device has: it is shown, and never opened.
    mknod(&at("block"), SFlag::S_IFBLK, Mode::S_IRUSR, makedev(7, 99)).unwrap();
    let volumes = [
        ("dir", at("dir"), "Directory"),
        ("to-dir", at("to-dir"), "Directory"),
        ("file", at("dir/file"), "File"),
        ("to-file", at("to-file"), ""),
        ("socket", at("socket"), "Socket"),
        ("char", "/dev/zero".into(), "CharDevice"),
        ("block", at("block"), "BlockDevice"),
        ("new-dir", at("made/deep"), "DirectoryOrCreate"),
        ("old-dir", at("dir"), "DirectoryOrCreate"),
        ("new-file", at("new"), "FileOrCreate"),
        ("old-file", at("dir/file"), "FileOrCreate"),
        ("any", at("made/any"), ""),
        ("shared", world.shared(), ""),
    ];
    let mount = |(name, ..): &(&str, PathBuf, &str)| json!({"name": name, "mountPath": format!("/{name}")});
    let mut mounts: Vec<_> = volumes.iter().map(mount).collect();
    mounts.push(json!({"name": "socket", "mountPath": "/dev/log"}));
    let volumes =
        volumes.map(|(name, path, kind)| json!({"name": name, "hostPath": {"path": path, "type": kind}}));
    let manifest = with(pod("web", &["trap-term"]), json!({"volumes": volumes}));
    let privileged = json!({"volumeMounts": mounts, "securityContext": {"privileged": true}});
    world.write("web.yaml", &with_main(manifest, privileged));
    world.running("web");
    let script = |script: &str| {
        let shell = ["exec", &world.pod_name("web"), "--", "/shared/busybox", "sh", "-c", script];
        let output = world.cli(&shell);
        String::from_utf8([output.stdout, output.stderr].concat()).unwrap()
    };
    let shown = "cd /; for v in dir to-dir file to-file socket char block new-dir old-dir new-file old-file any; do \
                 /shared/busybox stat -c '%n %F %a' $v; done";
    assert_eq!(
        script(shown),
        "dir directory 1750\nto-dir directory 1750\nfile regular file 644\nto-file regular file 644\n\
         socket socket 755\nchar character special file 666\nblock block special file 400\n\
         new-dir directory 755\nold-dir directory 1750\nnew-file regular empty file 644\nold-file regular file 644\n\
         any directory 755\n"
            .replace("socket 755", &format!("socket {:o}", fs::metadata(at("socket")).unwrap().mode() & 0o7777))
    );
    assert_eq!(script("cd /; /shared/busybox cat to-dir/file to-file"), "of the nodeof the node");
    script("echo of the pod >/new-file; echo x >/new-dir/x; /shared/busybox chmod 600 /new-file");
    assert_eq!(fs::read_to_string(at("new")).unwrap(), "of the pod\n");
    assert_eq!(fs::metadata(at("new")).unwrap().mode() & 0o777, 0o600);
    assert!(at("made/deep/x").is_file());
    assert_eq!(script("/shared/busybox head -c 3 /char | /shared/busybox wc -c"), "3\n");
    // Who listens on the node hears the container.
    assert_eq!(script("/shared/busybox logger hello from the pod"), "");
    let mut heard = [0; 200];
    let length = log.recv(&mut heard).unwrap();
    assert!(String::from_utf8_lossy(&heard[..length]).ends_with("hello from the pod"), "{heard:?}");
    world.remove("web.yaml");
    world.gone("web");
    assert!(at("dir/file").is_file() && at("socket").metadata().unwrap().file_type().is_socket());
}

/// Each in the kubelet's words, and nothing is made; when it is put right the pod starts.
#[test]
fn what_is_something_else_is_told_and_the_pod_waits() {
    let world = World::new();
    let at = |name: &str| world.shared().join(name);
    fs::create_dir(at("dir")).unwrap();
    fs::write(at("file"), "").unwrap();
    symlink("nowhere", at("dangling")).unwrap();
    let cases = [
        ("directory", "Directory", "file", "directory"),
        ("or-dir", "DirectoryOrCreate", "file", "directory"),
        ("file", "File", "dir", "file"),
        ("or-file", "FileOrCreate", "dir", "file"),
        ("socket", "Socket", "file", "socket file"),
        ("char", "CharDevice", "file", "character device"),
        ("block", "BlockDevice", "file", "block device"),
        ("absent", "File", "absent", "file"),
        ("dangling", "Directory", "dangling", "directory"),
    ];
    for (name, kind, path, _) in cases {
        world.write(&format!("{name}.yaml"), &one(name, &at(path), kind));
    }
    world.write("parent.yaml", &one("parent", &at("none/file"), "FileOrCreate"));
    let waits = |name: &str, words: &str| {
        let seen = world.once(name, "says why it waits", |pod| {
            let message = &pod.main()["state"]["waiting"]["message"];
            message.as_str().is_some_and(|message| message.contains(words))
        });
        assert_eq!((seen.phase(), seen.reason()), ("Pending".into(), "ContainerCreating".into()), "{name}");
    };
    for (name, _, path, what) in cases {
        let path = at(path);
        let check = format!("hostPath type check failed: {} is not a {what}", path.display());
        waits(name, &format!("FailedMount: MountVolume.SetUp failed for volume \"v\" : {check}"));
    }
    waits("parent", &format!("make file {}: No such file or directory", at("none/file").display()));
    assert!(!at("absent").exists() && !at("none").exists() && !at("nowhere").exists());
    fs::create_dir(at("none")).unwrap();
    fs::write(at("absent"), "").unwrap();
    for name in ["parent", "absent"] {
        // Its back-off has grown meanwhile.
        eventually(SOON + SOON, "it starts", || world.pod(name).filter(|pod| pod.is("Ready")));
    }
    assert!(at("none/file").is_file());
}
