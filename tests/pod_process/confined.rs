//! A command is never less confined than its container, and nothing of ours or of the node is to be had through it.

use std::fs::{self, File};
use std::os::fd::AsFd;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::Duration;

use holdfast::protocol::{Exec, Reply, Request, RunState};
use serde_json::json;

use crate::world::*;

/// What a process may do and see, but for its own numbers, what it used, and where the freezer of v1 has it.
const EVERYTHING: &str = "grep -vE '^(Name|Pid|Tgid|Ngid|PPid|NS|Vm|Rss|Hugetlb|State|Threads|SigQ|Speculation|x86|\
                          Core|Cpus_allowed|Mems_allowed|.*ctxt)' /proc/self/status; cat /proc/self/limits; \
                          for n in cgroup ipc mnt net pid user uts; do readlink /proc/self/ns/$n; done; \
                          cat /proc/self/mountinfo; umask; pwd; cat /proc/self/oom_score_adj; env | grep -v ^SHLVL; \
                          cat /proc/sys/kernel/hostname; grep -v freezer /proc/self/cgroup; ls /proc/self/fd";

/// The shell that prints it is the container's own process, then a command in it.
fn compare(user: &str, change: impl FnOnce(&mut serde_json::Value)) {
    let world = World::new();
    let mut config = config(&[]);
    change(&mut config);
    config["process"]["args"] = json!(["/bin/sh", "-c", format!("{EVERYTHING}; echo end; exec sleep 1000")]);
    let mut request = world.request("c", 0, &config);
    request.user = user.to_owned();
    let log = request.log.path.clone();
    world.start(request);
    let text = || text_of(&fs::read_to_string(&log).unwrap());
    eventually("it said all", || text().ends_with("end\n"));
    let (code, executed) = world.executed(&["/bin/sh", "-c", &format!("{EVERYTHING}; echo end")]);
    assert_eq!(code, 0, "{executed}");
    // On v2 the command's own group is below what it sees as the root.
    let same = |text: String| text.replace("0::/exec-2\n", "0::/\n");
    for field in ["Uid:", "CapAmb:", "NoNewPrivs:", "Seccomp:", "SigBlk:", "Max open files", "CapBnd:"] {
        assert!(executed.contains(field), "{field} is in\n{executed}");
    }
    let (own, executed) = (same(text()), same(executed));
    for (own, executed) in own.lines().zip(executed.lines()) {
        assert_eq!(executed, own);
    }
    assert_eq!(executed, own);
}

#[test]
fn a_command_of_root_has_what_its_container_has() {
    compare("", |_| {});
}

#[test]
fn a_command_of_a_user_has_what_its_container_has() {
    compare("redis", |config| {
        let kept = json!(["CAP_NET_RAW", "CAP_KILL"]);
        for set in ["bounding", "effective", "permitted", "inheritable", "ambient"] {
            config["process"]["capabilities"][set] = kept.clone();
        }
        config["process"]["noNewPrivileges"] = json!(true);
        config["process"]["user"]["umask"] = json!(0o27);
        config["process"]["user"]["additionalGids"] = json!([4242]);
        config["process"]["rlimits"] = json!([
            { "type": "RLIMIT_NOFILE", "soft": 17, "hard": 19 },
            { "type": "RLIMIT_CORE", "soft": 0, "hard": 0 },
            { "type": "RLIMIT_STACK", "soft": 8388608, "hard": 8388608 },
        ]);
    });
}

/// What a bundle says and a command cannot be given is refused by its name.
#[test]
fn a_command_in_a_container_that_is_confined_otherwise_is_refused() {
    let world = World::new();
    let mut config = config(&["/bin/sleep", "1000"]);
    config["process"]["ioPriority"] = json!({ "class": "IOPRIO_CLASS_IDLE", "priority": 0 });
    world.start(world.request("c", 0, &config));
    let Reply::Failed(failure) = world.exec(&["/bin/true"]).client.hear() else { panic!() };
    assert!(failure.message.contains("process.ioPriority"), "{failure}");
}

/// CVE-2024-21626: what the working directory leads to was changed since the container was started. In the node's PID namespace
/// `/proc/self` is there for who comes in, too.
#[test]
fn no_working_directory_leads_out() {
    let world = World::new();
    for (attempt, namespaces) in [(0, ["mount", "pid"]), (1, ["mount", "cgroup"])] {
        let mut config = config(&["/bin/sleep", "1000"]);
        config["process"]["cwd"] = json!("/place");
        config["linux"]["namespaces"] = namespaces.iter().map(|kind| json!({ "type": kind })).collect();
        let pid = world.start(world.request("c", attempt, &config));
        assert_eq!(world.executed(&["/bin/true"]).0, 0);
        let place = Path::new("/proc").join(pid.to_string()).join("root/place");
        fs::remove_dir(&place).unwrap();
        for number in 0..12 {
            symlink(format!("/proc/self/fd/{number}"), &place).unwrap();
            let failure = refused(&world);
            assert!(failure.contains("working directory"), "{number}: {failure}");
            fs::remove_file(&place).unwrap();
        }
        // The container's own root once more, where it lies on the node: the C library finds a way from there to the root.
        let bundle = world.pod().join(format!("containers/c-{attempt}"));
        let lies = format!("/proc/{}/root{}/rootfs", world.pid, bundle.display());
        symlink(&lies, &place).unwrap();
        let failure = refused(&world);
        assert!(failure.contains("working directory"), "{lies}: {failure}");
        fs::remove_file(&place).unwrap();
        world.stop("c", attempt, libc::SIGKILL, Duration::ZERO);
        eventually("it is over", || matches!(world.state().runs[..], [RunState::Exited(_)]));
    }
}

/// Why a command is not executed whose stdin is a directory of the node.
fn refused(world: &World) -> String {
    let exec = Exec {
        name: "c".to_owned(),
        args: vec!["/bin/ls".to_owned()],
        terminal: false,
        size: None,
        timeout: None,
        measured: false,
    };
    let (_reader, writer) = std::io::pipe().unwrap();
    let directory = File::open("/").unwrap();
    let mut client = world.client();
    client.send(&Request::Exec(exec), &[directory.as_fd(), writer.as_fd(), writer.as_fd()]);
    match client.hear() {
        Reply::Failed(failure) => failure.message,
        other => panic!("{other:?}"),
    }
}

/// Whoever has a descriptor of the node's /dev/null can change its permissions for everybody.
#[test]
fn no_descriptor_is_the_nodes_null() {
    use std::os::unix::fs::MetadataExt;
    let world = World::new();
    world.start(world.request("c", 0, &config(&["/bin/sleep", "1000"])));
    let script = "stat -L -c %d /proc/self/fd/0; stat -c %d /dev/null";
    let (code, text) = world.executed(&["/bin/sh", "-c", script]);
    let devices: Vec<&str> = text.lines().collect();
    assert_eq!((code, devices.len()), (0, 2), "{text}");
    assert_eq!(devices[0], devices[1]);
    assert_ne!(devices[0], fs::metadata("/dev/null").unwrap().dev().to_string());
    // And what the container put there is not opened as if it were one.
    let (code, text) = world.executed(&["/bin/sh", "-c", "mv /dev/null /dev/other && mkfifo /dev/null"]);
    assert_eq!((code, &*text), (0, ""));
    let reply = world.exec(&["/bin/true"]).client.hear();
    let Reply::Failed(failure) = reply else { panic!("{reply:?}") };
    assert!(failure.message.contains("/dev/null"), "{failure}");
}

/// A neighbour of the same user that looks at every process as it comes: until it is the container's program, a command is a
/// copy of the pod process, with the memory of that.
#[test]
fn nobody_in_the_container_can_look_into_a_command_before_it_is_one() {
    let world = World::new();
    let spy = "trap 'exit 0' TERM; echo on; while :; do for p in /proc/[0-9]*; do \
               if [ -e $p/exe ] && ! [ $p/exe -ef /bin/busybox ] && [ -e $p/exe ]; then echo seen $p; fi; done; done";
    let mut request = world.request("c", 0, &config(&["/bin/sh", "-c", spy]));
    request.user = String::new();
    let log = request.log.path.clone();
    world.start(request);
    let text = || text_of(&fs::read_to_string(&log).unwrap());
    eventually("it looks", || text().contains("on\n"));
    for _ in 0..200 {
        assert_eq!(world.executed(&["/bin/true"]).0, 0);
    }
    world.stop("c", 0, libc::SIGTERM, Duration::from_secs(10));
    let seen: Vec<String> = text().lines().take(3).map(str::to_owned).collect();
    assert_eq!(seen, ["on"]);
}
