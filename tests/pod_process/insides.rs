//! What a container and a command in it are, seen from inside: exactly what was said, for both.

use std::fs;

use holdfast::status::Reason;
use serde_json::{Value, json};

use crate::world::*;

/// Capability sets of containerd's 14.
const DEFAULTS: &str = "00000000a80425fb";

/// Fields of `/proc/self/status` that tell what a process may do and hear.
const STATUS: &str = "for f in Uid Gid Groups CapInh CapPrm CapEff CapBnd CapAmb NoNewPrivs SigBlk SigIgn SigCgt; do \
                      grep ^$f: /proc/self/status; done";

/// What the script prints as the container's own process, and as a command in it.
fn both(world: &World, attempt: u32, mut config: Value, user: &str, script: &str) -> [String; 2] {
    config["process"]["args"] = json!(["/bin/sh", "-c", format!("{script}; echo end; exec sleep 1000")]);
    let mut request = world.request("c", attempt, &config);
    request.user = user.to_owned();
    let log = request.log.path.clone();
    world.start(request);
    let text = || text_of(&fs::read_to_string(&log).unwrap());
    eventually("it said all", || text().ends_with("end\n"));
    let (code, executed) = world.executed(&["/bin/sh", "-c", script]);
    assert_eq!(code, 0, "{executed}");
    world.stop("c", attempt, libc::SIGKILL, std::time::Duration::ZERO);
    eventually("it is over", || matches!(world.state().runs[..], [holdfast::protocol::RunState::Exited(_)]));
    [text().trim_end_matches("end\n").to_owned(), executed]
}

fn check_status(user: &str, change: impl FnOnce(&mut Value), expected: &[(&str, &str)]) {
    let world = World::new();
    let mut config = config(&[]);
    change(&mut config);
    for text in both(&world, 0, config, user, STATUS) {
        for (field, value) in expected {
            let found = text.lines().find_map(|line| line.strip_prefix(&format!("{field}:")));
            let found = found.map(|value| value.split_whitespace().collect::<Vec<_>>().join(" "));
            assert_eq!(found.as_deref(), Some(*value), "{field} of\n{text}");
        }
    }
}

#[test]
fn root_has_the_capabilities_it_was_given_and_no_other_and_no_group_of_ours() {
    check_status(
        "",
        |_| {},
        &[
            ("Uid", "0 0 0 0"),
            ("Groups", "0"),
            ("CapInh", "0000000000000000"),
            ("CapPrm", DEFAULTS),
            ("CapEff", DEFAULTS),
            ("CapBnd", DEFAULTS),
            ("CapAmb", "0000000000000000"),
            ("NoNewPrivs", "0"),
            ("SigBlk", "0000000000000000"),
            ("SigIgn", "0000000000000000"),
        ],
    );
}

#[test]
fn a_user_by_name_has_its_ids_its_groups_and_no_capability() {
    check_status(
        "redis",
        |config| {
            config["process"]["noNewPrivileges"] = json!(true);
            config["process"]["user"]["additionalGids"] = json!([4242]);
        },
        &[
            ("Uid", "999 999 999 999"),
            ("Gid", "1000 1000 1000 1000"),
            ("Groups", "29 1000 4242"),
            ("CapPrm", "0000000000000000"),
            ("CapEff", "0000000000000000"),
            ("CapBnd", DEFAULTS),
            ("NoNewPrivs", "1"),
            ("SigBlk", "0000000000000000"),
            ("SigIgn", "0000000000000000"),
        ],
    );
}

#[test]
fn a_user_that_the_image_does_not_know_is_refused_by_name() {
    let world = World::new();
    for (attempt, (user, words)) in [
        ("postgres", "user \"postgres\" is not in the image's /etc/passwd"),
        ("redis:wheel", "group \"wheel\" is not in the image's /etc/group"),
        ("4294967296", "an ID must be between 0 and 2147483647"),
    ]
    .into_iter()
    .enumerate()
    {
        let mut request = world.request("c", attempt as u32, &config(&["/bin/true"]));
        request.user = user.to_owned();
        let failure = world.fail(request);
        assert_eq!(failure.reason, Reason::CreateContainerConfigError);
        assert!(failure.message.contains(words), "{failure}");
    }
}

#[test]
fn a_passwd_file_that_is_a_fifo_or_leads_out_of_the_image_harms_nobody() {
    let world = World::new();
    let mut request = world.request("c", 0, &config(&["/bin/true"]));
    let upper = std::path::Path::new(&request.overlay.upper);
    fs::create_dir(upper.join("etc")).unwrap();
    nix::unistd::mkfifo(&upper.join("etc/passwd"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    request.user = "redis".to_owned();
    assert!(world.fail(request).message.contains("/etc/passwd"));
    // A link to a file of the node that does know a user is looked up inside the image.
    let outside = world.directory.join("passwd");
    fs::write(&outside, "intruder:x:0:0::/:/bin/sh\n").unwrap();
    let mut request = world.request("c", 1, &config(&["/bin/true"]));
    let upper = std::path::Path::new(&request.overlay.upper);
    fs::create_dir(upper.join("etc")).unwrap();
    std::os::unix::fs::symlink(&outside, upper.join("etc/passwd")).unwrap();
    request.user = "intruder".to_owned();
    assert!(world.fail(request).message.contains("user \"intruder\" is not in the image's /etc/passwd"));
}

#[test]
fn only_the_three_descriptors_are_there() {
    let world = World::new();
    for text in both(&world, 0, config(&[]), "", "readlink /proc/self/fd/0; ls /proc/self/fd") {
        // The last is the directory that is being listed.
        assert_eq!(text, "/dev/null\n0\n1\n2\n3\n");
    }
}

#[test]
fn no_number_is_a_way_out_of_the_image() {
    let world = World::new();
    for number in 3..12 {
        let mut config = config(&["/bin/true"]);
        config["process"]["cwd"] = json!(format!("/proc/self/fd/{number}"));
        world.fail(world.request("c", number, &config));
    }
}

#[test]
fn environment_limits_score_and_directory_are_the_containers_own() {
    let world = World::new();
    let mut config = config(&[]);
    config["process"]["cwd"] = json!("/new/place");
    config["process"]["rlimits"] = json!([{ "type": "RLIMIT_CORE", "soft": 0, "hard": 0 }]);
    let script =
        "env | grep -v ^SHLVL; pwd; ulimit -n; ulimit -Hn; ulimit -c; cat /proc/self/oom_score_adj; umask";
    for text in both(&world, 0, config, "redis", script) {
        let mut lines: Vec<&str> = text.lines().collect();
        lines[..4].sort_unstable();
        let expected = ["HOME=/data", "MARK=mine", "PATH=/bin:/usr/bin", "PWD=/new/place", "/new/place"];
        assert_eq!(lines[..5], expected, "{text}");
        assert_eq!(lines[5..], ["1024", "4096", "0", "500", "0022"], "{text}");
    }
}

#[test]
fn a_command_is_in_the_containers_namespaces_and_below_its_cgroup() {
    let world = World::new();
    let script = "for n in cgroup ipc mnt net pid uts; do readlink /proc/self/ns/$n; done";
    let [own, executed] = both(&world, 0, config(&[]), "", script);
    assert_eq!(own, executed);
}

#[test]
fn a_command_cannot_be_executed_for_the_same_reasons() {
    let world = World::new();
    world.start(world.request("c", 0, &config(&["/bin/sleep", "1000"])));
    for (command, words) in [
        ("missing", "exec: \"missing\": executable file not found in $PATH"),
        ("/bin/missing", "no such file or directory"),
        ("nonsense", "exec format error"),
    ] {
        let mut running = world.exec(&[command]);
        let holdfast::protocol::Reply::Failed(failure) = running.client.hear() else { panic!() };
        assert_eq!(failure.reason, Reason::StartError, "{failure}");
        assert!(failure.message.contains(words), "{failure}");
    }
}

/// Threat 5: until its first `execve` a container's first process is our own binary.
#[test]
fn an_entry_point_that_is_our_own_binary_cannot_harm_it() {
    let directory = std::path::Path::new(env!("CARGO_TARGET_TMPDIR"));
    let copy = directory.join(format!("holdfast-copy-{}", std::process::id()));
    crate::debian::copy_program(env!("CARGO_BIN_EXE_holdfast").as_ref(), &copy);
    executable(&copy);
    let before = (fs::metadata(&copy).unwrap().len(), mode(&copy));
    {
        let world = World::from(&copy, |_| {});
        // As a pod process the binary reads a file of the container's choice, here one that nobody ever writes.
        let request = world.request("c", 0, &config(&["/proc/self/exe", "pod-process", "/x"]));
        let upper = std::path::Path::new(&request.overlay.upper);
        fs::create_dir(upper.join("x")).unwrap();
        nix::unistd::mkfifo(&upper.join("x/sandbox.json"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        world.start(request);
        let script =
            "readlink /proc/1/exe; chmod 0 /proc/1/exe; echo harm > /proc/1/exe; touch /proc/1/exe; true";
        let (_, text) = world.executed(&["/bin/sh", "-c", script]);
        assert!(text.starts_with("/\n"), "the entry point is our binary: {text}");
        assert_eq!(text.matches("Read-only file system").count(), 3, "{text}");
        let (_, text) = world.executed(&["/proc/self/exe"]);
        assert!(text.contains("Usage: "), "all it does is to say what it could do: {text}");
    }
    assert_eq!((fs::metadata(&copy).unwrap().len(), mode(&copy)), before);
    fs::remove_file(&copy).unwrap();
}

fn mode(path: &std::path::Path) -> u32 {
    use std::os::unix::fs::PermissionsExt;
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}
