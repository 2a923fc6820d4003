#![allow(clippy::unwrap_used)]

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt, symlink};
use std::os::unix::net::UnixListener;
use std::sync::atomic::{AtomicU32, Ordering};

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::sys::stat::{Mode, SFlag, makedev, mknod, umask};
use rustix::fs::{IFlags, OFlags};

use super::*;
use crate::bundle::{Bind, Variables};
use crate::host::Runtime;
use crate::protocol;
use crate::protocol::{Propagation, Tmpfs};
use crate::spec::{Bytes, Container, HostPathType, MountPropagation, SubPath, Uid, Volume, VolumeMount};

const UID: &str = "0a1b";

/// A data directory of its own.
struct World {
    root: PathBuf,
    data: Data,
}

fn world() -> World {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let name = format!("holdfast-volume-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
    let root = std::env::temp_dir().join(name);
    fs::create_dir_all(&root).unwrap();
    World { data: Data::new(root.join("data")), root }
}

impl Drop for World {
    fn drop(&mut self) {
        let removed = fs::remove_dir_all(&self.root);
        assert!(removed.is_ok() || std::thread::panicking(), "{removed:?}");
    }
}

impl World {
    /// Where a pod's volumes of values are.
    fn directory(&self) -> PodDir {
        Runtime::new(self.root.join("run")).pod(UID)
    }

    /// A prepared emptyDir: what a container can fill.
    fn volume(&self) -> PathBuf {
        Volumes::prepare(&self.data, &pod(&[("v", VolumeSource::EmptyDir)])).unwrap();
        self.data.volume(UID, "v")
    }

    /// Something outside that must survive. Links point here and never to anything of the machine: it must survive a failing
    /// test.
    fn precious(&self) -> PathBuf {
        let dir = self.root.join("precious");
        fs::create_dir_all(dir.join("inner")).unwrap();
        fs::write(dir.join("inner/file"), "precious").unwrap();
        dir
    }

    fn is_precious_there(&self) -> bool {
        fs::read_to_string(self.root.join("precious/inner/file")).is_ok_and(|text| text == "precious")
    }

    /// Removes the pod and sees that nothing is left of it, and nothing else gone.
    fn check_removed(&self) {
        remove(&self.data, UID).unwrap();
        assert_eq!(fs::read_dir(self.data.pods()).unwrap().count(), 0);
        assert!(!self.root.join("precious").exists() || self.is_precious_there());
        remove(&self.data, UID).unwrap();
    }
}

fn pod(volumes: &[(&str, VolumeSource)]) -> Pod {
    let volume = |(name, source): &(&str, VolumeSource)| Volume {
        name: (*name).into(),
        source: source.clone(),
        size_limit: None,
    };
    Pod {
        uid: Uid(UID.into()),
        namespace: "default".into(),
        name: "web".into(),
        hostname: "web".into(),
        volumes: volumes.iter().map(volume).collect(),
        ..Pod::default()
    }
}

fn mode_of(path: &Path) -> u32 {
    fs::metadata(path).unwrap().mode() & 0o7777
}

// --- preparing ---------------------------------------------------------------------------------------------------

#[test]
fn an_empty_dir_is_for_everybody_whatever_the_umask() {
    let world = world();
    // The umask of this thread alone.
    unshare(CloneFlags::CLONE_FS).unwrap();
    umask(Mode::from_bits_truncate(0o077));
    let path = world.volume();
    assert_eq!(mode_of(&path), 0o777);
    assert_eq!(mode_of(path.parent().unwrap()), 0o700, "only containers get there");
    assert_eq!(mode_of(&world.data.pods()), 0o700);

    fs::write(path.join("file"), "kept").unwrap();
    fs::set_permissions(&path, Permissions::from_mode(0o750)).unwrap();
    world.volume();
    assert_eq!(mode_of(&path), 0o750, "what a container changed stays when the agent comes back");
    assert_eq!(fs::read_to_string(path.join("file")).unwrap(), "kept");
}

#[test]
fn an_empty_dir_that_was_left_half_is_made_whole() {
    let world = world();
    let half = world.data.volume(UID, "v").with_file_name(".v");
    fs::create_dir_all(&half).unwrap();
    let path = world.volume();
    assert_eq!(mode_of(&path), 0o777);
    assert!(!half.exists());
}

#[test]
fn host_paths_are_checked_in_the_kubelets_words() {
    use HostPathType as Kind;
    let world = world();
    let at = |name: &str| world.root.join(name);
    fs::create_dir(at("dir")).unwrap();
    fs::write(at("file"), "").unwrap();
    symlink(at("dir"), at("link")).unwrap();
    symlink(at("nothing"), at("dangling")).unwrap();
    let _socket = UnixListener::bind(at("socket")).unwrap();
    mknod(&at("block"), SFlag::S_IFBLK, Mode::S_IRUSR, makedev(7, 99)).unwrap();
    for (kind, name, expected) in [
        (Kind::Unset, "dir", None),
        (Kind::Unset, "file", None),
        (Kind::Unset, "socket", None),
        (Kind::Directory, "dir", None),
        (Kind::Directory, "link", None),
        (Kind::Directory, "file", Some("directory")),
        (Kind::Directory, "absent", Some("directory")),
        (Kind::Directory, "file/below", Some("directory")),
        (Kind::DirectoryOrCreate, "dir", None),
        (Kind::DirectoryOrCreate, "file", Some("directory")),
        (Kind::File, "file", None),
        (Kind::File, "dir", Some("file")),
        (Kind::File, "socket", Some("file")),
        (Kind::FileOrCreate, "file", None),
        (Kind::FileOrCreate, "dir", Some("file")),
        (Kind::Socket, "socket", None),
        (Kind::Socket, "file", Some("socket file")),
        (Kind::CharDevice, "file", Some("character device")),
        (Kind::CharDevice, "block", Some("character device")),
        (Kind::BlockDevice, "block", None),
        (Kind::BlockDevice, "absent", Some("block device")),
    ] {
        let path = at(name).to_str().unwrap().to_owned();
        let pod = pod(&[("v", VolumeSource::HostPath { path: path.clone(), kind })]);
        let result = Volumes::prepare(&world.data, &pod);
        match expected {
            None => assert!(result.is_ok(), "{kind:?} {name}: {result:?}"),
            Some(what) => {
                let message = format!(
                    "MountVolume.SetUp failed for volume \"v\" : hostPath type check failed: {path} is not a {what}"
                );
                assert_eq!(
                    result.unwrap_err(),
                    Failure::new(Reason::FailedMount, message),
                    "{kind:?} {name}"
                );
            }
        }
    }
    let device = VolumeSource::HostPath { path: "/dev/null".into(), kind: Kind::CharDevice };
    Volumes::prepare(&world.data, &pod(&[("v", device)])).unwrap();
    assert!(!at("absent").exists());
}

#[test]
fn missing_host_paths_are_made_where_asked_for() {
    let world = world();
    unshare(CloneFlags::CLONE_FS).unwrap();
    umask(Mode::from_bits_truncate(0o077));
    let make = |name: &str, kind| host_path::prepare(&world.root.join(name), kind);
    make("a/b/c", HostPathType::DirectoryOrCreate).unwrap();
    make("d", HostPathType::Unset).unwrap();
    make("a/file", HostPathType::FileOrCreate).unwrap();
    for name in ["a", "a/b", "a/b/c", "d"] {
        assert_eq!(mode_of(&world.root.join(name)), 0o755, "{name}");
    }
    assert_eq!(mode_of(&world.root.join("a/file")), 0o644);
    assert!(world.root.join("a/file").is_file());
    let error = format!("{:#}", make("absent/file", HostPathType::FileOrCreate).unwrap_err());
    assert!(error.contains("absent/file: No such file"), "{error}");
}

#[test]
fn containers_get_the_volumes_they_name() {
    let world = world();
    let host = VolumeSource::HostPath { path: "/etc".into(), kind: HostPathType::Unset };
    let pod = pod(&[("data", VolumeSource::EmptyDir), ("host", host)]);
    let mount = |volume: &str, path: &str, read_only| VolumeMount {
        volume: volume.into(),
        path: path.into(),
        read_only,
        recursive_read_only: false,
        propagation: MountPropagation::None,
        sub_path: SubPath::Whole,
    };
    let mut container = Container {
        name: "web".into(),
        mounts: vec![mount("host", "/h", true), mount("data", "/d", false), mount("data", "/again", true)],
        ..Container::default()
    };
    let volumes = Volumes::resolve(&world.data, &world.directory(), &pod).unwrap();
    assert!(!world.data.pods().exists(), "resolving touches nothing");
    let data = world.data.volume(UID, "data").to_str().unwrap().to_owned();
    let bind = |source: &str, path: &str, read_only| Bind {
        source: source.into(),
        path: path.into(),
        read_only,
        recursive_read_only: false,
        of_values: false,
        of_image: false,
        of_node: true,
    };
    let expected = vec![bind("/etc", "/h", true), bind(&data, "/d", false), bind(&data, "/again", true)];
    let variables = Variables::default();
    let binds = |container: &Container| volumes.binds(container, &variables, Path::new("/bundle/volumes"));
    assert_eq!(binds(&container).unwrap(), Binds { binds: expected, sub_paths: Vec::new() });
    Volumes::prepare(&world.data, &pod).unwrap();
    assert_eq!(Volumes::resolve(&world.data, &world.directory(), &pod).unwrap(), volumes);

    container.mounts.push(mount("other", "/o", false));
    assert_eq!(binds(&container).unwrap_err().reason, Reason::CreateContainerConfigError);
}

#[test]
fn parts_of_volumes_are_mounted_from_places_of_our_own() {
    let world = world();
    let host = VolumeSource::HostPath { path: "/srv".into(), kind: HostPathType::Unset };
    let pod = pod(&[("host", host), ("values", VolumeSource::Projected(Vec::new()))]);
    let mount = |volume: &str, sub_path| VolumeMount {
        volume: volume.into(),
        path: "/m".into(),
        read_only: false,
        recursive_read_only: false,
        propagation: MountPropagation::None,
        sub_path,
    };
    let mounts = vec![
        mount("host", SubPath::Whole),
        mount("host", SubPath::Expression("logs/$(POD)".into())),
        mount("values", SubPath::Path("app.conf".into())),
    ];
    let mut container = Container { name: "web".into(), mounts, ..Container::default() };
    let volumes = Volumes::resolve(&world.data, &world.directory(), &pod).unwrap();
    let mut variables = Variables::default();
    let places = Path::new("/bundle/volumes");
    let error = volumes.binds(&container, &variables, places).unwrap_err();
    let expected = Failure::new(Reason::CreateContainerConfigError, "missing value for POD");
    assert_eq!(error, expected);

    variables.set("POD", "web-1".into());
    let found = volumes.binds(&container, &variables, places).unwrap();
    let sources: Vec<_> = found.binds.iter().map(|bind| (&*bind.source, bind.read_only)).collect();
    assert_eq!(sources, [("/srv", false), ("/bundle/volumes/1", false), ("/bundle/volumes/2", true)]);
    let values = world.directory().volume("values").to_str().unwrap().to_owned();
    let part = |volume: &str, root: &str, path: &str, make, place: &str| protocol::SubPath {
        volume: volume.into(),
        root: root.into(),
        path: path.into(),
        make,
        place: place.into(),
        propagation: Propagation::AsOthers,
        image: None,
    };
    let expected = [
        part("host", "/srv", "logs/web-1", true, "/bundle/volumes/1"),
        part("values", &values, "app.conf", false, "/bundle/volumes/2"),
    ];
    assert_eq!(found.sub_paths, expected);

    // 14.03: the others are made private where one receives.
    container.mounts[0].propagation = MountPropagation::HostToContainer;
    let found = volumes.binds(&container, &variables, places).unwrap();
    assert_eq!(found.binds[0].source, "/bundle/volumes/0");
    let found: Vec<_> = found.sub_paths.iter().map(|part| (&*part.path, part.propagation)).collect();
    let (slave, private) = (Propagation::Slave, Propagation::Private);
    assert_eq!(found, [("", slave), ("logs/web-1", private), ("app.conf", private)]);
    container.mounts[0].propagation = MountPropagation::None;

    for (value, message) in [
        ("..", "unable to provision SubPath `logs/..`: must not contain '..'"),
        ("", "missing value for POD"),
    ] {
        variables.set("POD", value.into());
        assert_eq!(volumes.binds(&container, &variables, places).unwrap_err().message, message);
    }
    container.mounts = vec![mount("host", SubPath::Expression("$(POD)$(B)$(A)".into()))];
    variables.set("POD", "/tmp".into());
    let missing = volumes.binds(&container, &variables, places).unwrap_err();
    assert_eq!(missing.message, "missing value for A, B");
    container.mounts = vec![mount("host", SubPath::Expression("$(POD)".into()))];
    let absolute = volumes.binds(&container, &variables, places).unwrap_err();
    assert_eq!(absolute.message, "error SubPath `/tmp` must not be an absolute path");
}

/// 10.04: as large as its limit, and no larger than what the pod may use.
#[test]
fn a_volume_in_memory_is_a_tmpfs_of_the_pod() {
    let world = world();
    let names = ["none", "less", "more"].map(|name| (name, VolumeSource::Memory));
    let mut pod = pod(&[&names[..], &[("disk", VolumeSource::EmptyDir)]].concat());
    pod.volumes[1].size_limit = Some(Bytes(4096));
    pod.volumes[2].size_limit = Some(Bytes(1 << 30));
    let directory = world.directory();
    let expected = [("none", 1 << 20), ("less", 4096), ("more", 1 << 20)].map(|(name, size)| Tmpfs {
        path: directory.volume(name).to_str().unwrap().into(),
        options: format!("mode=0777,size={size},noswap"),
        huge: false,
    });
    let none = BTreeMap::new();
    assert_eq!(memory(&directory, &pod, 1 << 20, &none).unwrap(), expected);
    assert!(directory.volume("more").is_dir() && !directory.volume("disk").exists());
    pod.volumes[0].name = "../up".into();
    assert!(memory(&directory, &pod, 1 << 20, &none).is_err());
}

/// As large as its limit, and no larger than what the pod may use of pages of that size.
#[test]
fn a_volume_in_huge_pages_is_a_hugetlbfs_of_the_pod() {
    let world = world();
    let mut pod = pod(&[("a", VolumeSource::HugePages { page: 2 << 20 })]);
    let pages = BTreeMap::from([(2 << 20, Bytes(4 << 20)), (1 << 30, Bytes(1 << 30))]);
    for (limit, size) in [(None, 4 << 20), (Some(Bytes(2 << 20)), 2 << 20), (Some(Bytes(1 << 30)), 4 << 20)] {
        pod.volumes[0].size_limit = limit;
        let made = memory(&world.directory(), &pod, 1 << 20, &pages).unwrap();
        assert_eq!(
            (made[0].options.as_str(), made[0].huge),
            (&*format!("mode=0777,pagesize=2097152,size={size}"), true)
        );
    }
}

#[test]
fn names_that_lead_elsewhere_are_refused() {
    let world = world();
    fs::create_dir_all(world.data.pods()).unwrap();
    world.precious();
    for name in ["", ".", "..", "../../../precious", "a/b", "/", "a\0b", ".hidden"] {
        let volume = pod(&[(name, VolumeSource::EmptyDir)]);
        assert_eq!(
            Volumes::prepare(&world.data, &volume).unwrap_err().reason,
            Reason::FailedMount,
            "{name:?}"
        );
        assert!(remove(&world.data, name).is_err(), "{name:?}");
        assert!(write_etc(&world.data, name, &etc("a"), "/shm").is_err(), "{name:?}");
    }
    assert!(world.is_precious_there());
}

// --- files for /etc ----------------------------------------------------------------------------------------------

fn etc(hosts: &str) -> Etc {
    Etc { hosts: hosts.into(), resolv_conf: "nameserver 10.0.0.1\n".into(), hostname: "web\n".into() }
}

#[test]
fn files_for_etc_are_rewritten_in_place_and_only_where_they_differ() {
    let world = world();
    let write = |hosts: &str| write_etc(&world.data, UID, &etc(hosts), "/run/shm").unwrap();
    let files = write("a long first text\n");
    assert_eq!(files.shm, "/run/shm");
    assert_eq!(fs::read_to_string(&files.hostname).unwrap(), "web\n");
    assert_eq!(fs::read_to_string(&files.resolv_conf).unwrap(), "nameserver 10.0.0.1\n");
    let before = fs::metadata(&files.hosts).unwrap();
    assert_eq!(before.mode() & 0o7777, 0o644);

    write("a long first text\n");
    let same = fs::metadata(&files.hosts).unwrap();
    assert_eq!((same.ino(), same.ctime_nsec()), (before.ino(), before.ctime_nsec()), "nothing is written");

    // A container may do what it likes to them.
    fs::set_permissions(&files.hosts, Permissions::from_mode(0o600)).unwrap();
    write("short\n");
    let after = fs::metadata(&files.hosts).unwrap();
    assert_eq!(fs::read_to_string(&files.hosts).unwrap(), "short\n");
    assert_eq!((after.ino(), after.mode() & 0o7777), (before.ino(), 0o644), "running containers see it");

    OpenOptions::new().write(true).open(&files.hosts).unwrap().set_len(1 << 40).unwrap();
    write("short\n");
    assert_eq!(fs::metadata(&files.hosts).unwrap().len(), 6, "an endless file is not read");
}

#[test]
fn a_link_in_the_place_of_a_file_for_etc_is_not_followed_8() {
    let world = world();
    let target = world.precious().join("inner/file");
    fs::create_dir_all(world.data.etc(UID)).unwrap();
    symlink(&target, world.data.etc(UID).join("hosts")).unwrap();
    assert!(write_etc(&world.data, UID, &etc("evil"), "/shm").is_err());
    assert!(world.is_precious_there());
}

// --- removing what containers left -------------------------------------------------------------------------------

#[test]
fn links_are_removed_and_not_what_they_point_to() {
    let world = world();
    let (volume, precious) = (world.volume(), world.precious());
    for number in 0..200 {
        symlink(&precious, volume.join(format!("dir-{number}"))).unwrap();
        symlink(precious.join("inner/file"), volume.join(format!("file-{number}"))).unwrap();
    }
    symlink("..", volume.join("up")).unwrap();
    symlink("loop", volume.join("loop")).unwrap();
    fs::hard_link(precious.join("inner/file"), volume.join("hard")).unwrap();
    world.check_removed();
}

#[test]
fn ten_thousand_directories_in_each_other_are_removed() {
    let world = world();
    let (volume, precious) = (world.volume(), world.precious());
    // Names that ours for moved directories meet.
    for number in 1..5 {
        fs::create_dir_all(world.data.pods().join(UID).join(format!(".deep-{number}/full"))).unwrap();
    }
    fs::write(world.data.pods().join(UID).join(".deep-5"), "").unwrap();
    let flags = OFlags::DIRECTORY | OFlags::CLOEXEC;
    let mut at = rustix::fs::open(&volume, flags, rustix::fs::Mode::empty()).unwrap();
    for number in 0..10_000 {
        rustix::fs::mkdirat(&at, "d", rustix::fs::Mode::RWXU).unwrap();
        if number % 100 == 0 {
            rustix::fs::symlinkat(&precious, &at, "link").unwrap();
        }
        at = rustix::fs::openat(&at, "d", flags, rustix::fs::Mode::empty()).unwrap();
    }
    drop(at);
    world.check_removed();
}

#[test]
fn hostile_names_and_kinds_are_removed() {
    let world = world();
    let volume = world.volume();
    let long = "x".repeat(255);
    let names: [&[u8]; 9] =
        [b"\n", b" ", b"-rf", b"*", b"\xff\xfe", b"...", b"..x", b"\x1b[31m", long.as_bytes()];
    for name in names {
        let dir = volume.join(OsStr::from_bytes(name));
        fs::create_dir(&dir).unwrap();
        fs::write(dir.join(OsStr::from_bytes(name)), "x").unwrap();
    }
    let secret = volume.join("no-permission");
    fs::create_dir(&secret).unwrap();
    fs::write(secret.join("file"), "x").unwrap();
    fs::set_permissions(&secret, Permissions::from_mode(0o000)).unwrap();
    mknod(&volume.join("fifo"), SFlag::S_IFIFO, Mode::S_IRUSR, 0).unwrap();
    mknod(&volume.join("device"), SFlag::S_IFCHR, Mode::S_IRUSR, makedev(1, 3)).unwrap();
    let _socket = UnixListener::bind(volume.join("socket")).unwrap();
    assert!(fs::metadata(volume.join("socket")).unwrap().file_type().is_socket());
    for number in 0..5000 {
        fs::write(volume.join(format!("many-{number}")), "").unwrap();
    }
    world.check_removed();
}

#[test]
fn what_was_made_immutable_is_removed() {
    let world = world();
    let volume = world.volume();
    fs::create_dir_all(volume.join("dir/inner")).unwrap();
    fs::write(volume.join("dir/file"), "x").unwrap();
    fs::write(volume.join("appended"), "x").unwrap();
    let set = |name: &str, flag: IFlags| {
        let file = fs::File::open(volume.join(name)).unwrap();
        rustix::fs::ioctl_setflags(&file, rustix::fs::ioctl_getflags(&file).unwrap() | flag).unwrap();
    };
    set("dir/file", IFlags::IMMUTABLE);
    set("dir/inner", IFlags::IMMUTABLE);
    set("dir", IFlags::IMMUTABLE);
    set("appended", IFlags::APPEND);
    assert!(fs::remove_file(volume.join("appended")).is_err(), "the flag bites");
    world.check_removed();
}

#[test]
fn what_is_mounted_inside_is_neither_emptied_nor_entered() {
    let world = world();
    let (volume, precious) = (world.volume(), world.precious());
    // Mounts of this thread alone, gone with it.
    unshare(CloneFlags::CLONE_NEWNS).unwrap();
    let none = None::<&str>;
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none).unwrap();
    let bind =
        |source: &Path, target: &Path| mount(Some(source), target, none, MsFlags::MS_BIND, none).unwrap();
    // Of the same file system, so that the device's number does not tell.
    fs::create_dir_all(volume.join("a/mounted")).unwrap();
    bind(&precious, &volume.join("a/mounted"));
    fs::write(volume.join("a/file"), "x").unwrap();
    bind(&precious.join("inner/file"), &volume.join("a/file"));
    fs::write(volume.join("other"), "x").unwrap();
    fs::write(volume.join("a/other"), "x").unwrap();

    let error = format!("{:#}", remove(&world.data, UID).unwrap_err());
    assert!(error.contains("volumes/v/a/mounted\": something is mounted there"), "{error}");
    assert!(error.contains("volumes/v/a/file\": something is mounted there"), "{error}");
    assert_eq!(error.matches("something").count(), 2, "each is told once: {error}");
    assert!(world.is_precious_there());
    assert!(!volume.join("other").exists() && !volume.join("a/other").exists(), "the rest is removed");

    nix::mount::umount(&volume.join("a/mounted")).unwrap();
    nix::mount::umount(&volume.join("a/file")).unwrap();
    world.check_removed();
}

#[test]
fn a_pod_directory_that_is_a_mount_or_a_link_is_left_alone() {
    let world = world();
    let precious = world.precious();
    let pod = world.data.pods().join(UID);
    fs::create_dir_all(&pod).unwrap();
    unshare(CloneFlags::CLONE_NEWNS).unwrap();
    let none = None::<&str>;
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none).unwrap();
    mount(Some(&precious), &pod, none, MsFlags::MS_BIND, none).unwrap();
    let error = format!("{:#}", remove(&world.data, UID).unwrap_err());
    assert!(error.contains("something is mounted there"), "{error}");
    nix::mount::umount(&pod).unwrap();

    fs::remove_dir(&pod).unwrap();
    symlink(&precious, &pod).unwrap();
    assert!(remove(&world.data, UID).is_err());
    assert!(world.is_precious_there());
}
