//! Starting, running, ending.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use holdfast::protocol::{Exited, Reply, Request, RunState, StartContainer};
use holdfast::status::Reason;
use serde_json::json;

use crate::world::*;

const SHORT: Duration = Duration::from_millis(300);

#[test]
fn a_container_runs_and_its_output_and_exit_code_come_back() {
    let world = World::new();
    let (exited, text) = world.run(0, "echo out; echo err >&2; exit 3");
    assert_eq!((exited.code, exited.signal, exited.oom_killed), (3, None, false));
    assert!(text.contains("out\n") && text.contains("err\n"), "{text}");
    let journal = fs::read_to_string(world.pod().join("exits")).unwrap();
    assert_eq!(serde_json::from_str::<Exited>(journal.trim()).unwrap(), exited);
    assert_eq!(world.state().runs, [RunState::Exited(exited)]);
    eventually("nothing is left", || world.left_over().is_empty());
}

#[test]
fn a_container_that_a_signal_ends_says_which() {
    let world = World::new();
    let mut watcher = world.watch();
    // In the node's PID namespace, since a first process is deaf to most signals.
    let mut config = config(&["/bin/sleep", "1000"]);
    config["linux"]["namespaces"] = json!([{ "type": "mount" }]);
    for (attempt, signal) in
        [libc::SIGKILL, libc::SIGSEGV, libc::SIGTERM, libc::SIGRTMIN() + 3].into_iter().enumerate()
    {
        let pid = world.start(world.request("c", attempt as u32, &config));
        kill(pid, signal);
        let exited = watcher.exited("c", attempt as u32);
        assert_eq!((exited.code, exited.signal), (128 + signal, Some(signal)));
    }
}

#[test]
fn what_cannot_be_executed_is_a_start_error_that_says_why() {
    let world = World::new();
    let cases = [
        ("missing", "exec: \"missing\": executable file not found in $PATH"),
        ("/bin/missing", "exec: \"/bin/missing\": no such file or directory"),
        ("forbidden", "exec: \"forbidden\": permission denied"),
        ("/etc", "exec: \"/etc\": permission denied"),
        ("nonsense", "exec: \"nonsense\": exec format error"),
    ];
    for (attempt, (command, words)) in cases.into_iter().enumerate() {
        let failure = world.fail(world.request("c", attempt as u32, &config(&[command])));
        assert_eq!(failure.reason, Reason::StartError, "{failure}");
        assert!(failure.message.starts_with(words), "{failure}");
        assert!(
            matches!(&world.state().runs[..], [RunState::Failed { failure: told, .. }] if *told == failure)
        );
    }
    eventually("nothing is left", || world.left_over().is_empty());
    assert!(!world.pod().join("exits").exists());
}

#[test]
fn what_the_runtime_refuses_comes_with_its_cause() {
    let world = World::new();
    let mut missing = config(&["/bin/true"]);
    missing["mounts"].as_array_mut().unwrap().push(json!({
        "destination": "/data", "type": "bind", "source": "/no/such/place", "options": ["rbind", "ro"],
    }));
    let failure = world.fail(world.request("c", 0, &missing));
    assert_eq!(failure.reason, Reason::RunContainerError);
    assert!(failure.message.contains("/no/such/place"), "{failure}");
    let mut request = world.request("c", 1, &config(&["/bin/true"]));
    request.overlay.lower = vec!["no-such-layer".to_owned()];
    let failure = world.fail(request);
    assert_eq!(failure.reason, Reason::CreateContainerError);
    assert!(failure.message.contains("mount an overlay of layers at "), "{failure}");
    eventually("nothing is left", || world.left_over().is_empty());
}

#[test]
fn a_container_killed_for_memory_is_told_so() {
    let world = World::new();
    let mut limited = config(&["/bin/sh", "-c", "tail /dev/zero"]);
    limited["linux"]["resources"] = json!({ "memory": { "limit": 16 << 20, "swap": 16 << 20 } });
    let (exited, _) = world.run_request(world.request("c", 0, &limited));
    assert!(exited.oom_killed && exited.code == 137, "{exited:?}");
    let (exited, _) = world.run(1, "exit 137");
    assert!(!exited.oom_killed, "{exited:?}");
}

#[test]
fn a_memory_limit_that_is_too_small_to_start_in_is_a_failed_start() {
    let world = World::new();
    let mut limited = config(&["/bin/true"]);
    limited["linux"]["resources"] = json!({ "memory": { "limit": 8 << 10, "swap": 8 << 10 } });
    let failure = world.fail(world.request("c", 0, &limited));
    assert_eq!(failure.reason, Reason::RunContainerError, "{failure}");
    eventually("nothing is left", || world.left_over().is_empty());
}

#[test]
fn a_stop_is_the_signal_once_and_then_everything_dies() {
    let world = World::new();
    let mut watcher = world.watch();
    let script = "trap 'echo stopping' TERM; echo ready; while true; do sleep 0.1; done";
    let request = world.request("c", 0, &config(&["/bin/sh", "-c", script]));
    let log = request.log.path.clone();
    world.start(request);
    let text = || text_of(&fs::read_to_string(&log).unwrap());
    eventually("it listens", || text().contains("ready"));
    let begun = Instant::now();
    world.stop("c", 0, libc::SIGTERM, LONG);
    eventually("the signal came", || text().contains("stopping"));
    world.stop("c", 0, libc::SIGTERM, SHORT);
    let exited = watcher.exited("c", 0);
    assert_eq!((exited.code, exited.signal), (137, Some(9)));
    assert!(begun.elapsed() >= SHORT && begun.elapsed() < LONG, "{:?}", begun.elapsed());
    assert_eq!(text().matches("stopping").count(), 1);
    // One that is over, or never was, is stopped.
    world.stop("c", 0, libc::SIGTERM, SHORT);
    world.stop("other", 5, libc::SIGTERM, SHORT);
}

#[test]
fn a_container_that_ends_at_its_signal_is_not_killed() {
    let world = World::new();
    let mut watcher = world.watch();
    let script = "trap 'exit 5' TERM; echo ready; while true; do sleep 0.05; done";
    let request = world.request("c", 0, &config(&["/bin/sh", "-c", script]));
    let log = request.log.path.clone();
    world.start(request);
    eventually("it listens", || fs::read_to_string(&log).unwrap().contains("ready"));
    world.stop("c", 0, libc::SIGTERM, LONG);
    assert_eq!(watcher.exited("c", 0).code, 5);
}

/// A container that is far more work to start than usual, so that its worker can be caught at it.
fn slow(world: &World) -> StartContainer {
    let mut config = config(&["/bin/true"]);
    let shm = json!({ "destination": "/tmp", "type": "tmpfs", "source": "tmpfs", "options": ["size=4k"] });
    config["mounts"].as_array_mut().unwrap().extend(std::iter::repeat_n(shm, 3000));
    world.request("c", 0, &config)
}

/// The worker that starts a container, once there is one.
fn worker_of(world: &World) -> i32 {
    let children = format!("/proc/{0}/task/{0}/children", world.pid);
    let mut found = None;
    eventually("a worker appears", || {
        let children = fs::read_to_string(&children).unwrap_or_default();
        let mut pids = children.split_whitespace().filter_map(|pid| pid.parse::<i32>().ok());
        found = pids.find(|pid| {
            fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| line.starts_with(b"holdfast: worker\0"))
        });
        found.is_some()
    });
    found.unwrap()
}

#[test]
fn a_worker_that_hangs_is_killed_with_all_it_made_at_its_deadline() {
    let world = World::new();
    let mut request = slow(&world);
    request.deadline = Duration::from_secs(2);
    let mut client = world.client();
    client.send(&Request::StartContainer(Box::new(request)), &[]);
    let worker = worker_of(&world);
    signal(worker, libc::SIGSTOP);
    let Reply::Failed(failure) = client.hear() else { panic!() };
    assert_eq!(failure.reason, Reason::RunContainerError);
    assert!(failure.message.contains("did not start in time"), "{failure}");
    eventually("nothing is left", || world.left_over().is_empty());
    eventually("the worker is gone", || !Path::new(&format!("/proc/{worker}")).exists());
    // And the pod goes on.
    assert_eq!(world.run(1, "exit 0").0.code, 0);
}

#[test]
fn a_worker_that_dies_is_a_failed_start() {
    let world = World::new();
    let mut client = world.client();
    client.send(&Request::StartContainer(Box::new(slow(&world))), &[]);
    signal(worker_of(&world), libc::SIGKILL);
    let Reply::Failed(failure) = client.hear() else { panic!() };
    assert!(failure.message.contains("killed by signal 9"), "{failure}");
    eventually("nothing is left", || world.left_over().is_empty());
}

#[test]
fn a_container_that_is_still_being_started_can_be_stopped() {
    let world = World::new();
    let mut client = world.client();
    client.send(&Request::StartContainer(Box::new(slow(&world))), &[]);
    signal(worker_of(&world), libc::SIGSTOP);
    world.stop("c", 0, libc::SIGTERM, Duration::ZERO);
    let Reply::Failed(failure) = client.hear() else { panic!() };
    assert!(failure.message.contains("stopped before it ran"), "{failure}");
    eventually("nothing is left", || world.left_over().is_empty());
}

#[test]
fn a_container_that_a_process_escapes_from_takes_it_along() {
    // In the node's PID namespace the first process does not take the others along: the cgroup does.
    let world = World::new();
    let mut watcher = world.watch();
    let mut config = config(&["/bin/sh", "-c", "(trap '' TERM HUP; sleep 1234.5) & echo $!; exit 4"]);
    config["linux"]["namespaces"] = json!([{ "type": "mount" }, { "type": "cgroup" }]);
    let request = world.request("c", 0, &config);
    let log = request.log.path.clone();
    world.start(request);
    assert_eq!(watcher.exited("c", 0).code, 4);
    let pid = text_of(&fs::read_to_string(log).unwrap());
    assert!(!Path::new(&format!("/proc/{}", pid.trim())).exists(), "{pid}");
    eventually("nothing is left", || world.left_over().is_empty());
}

#[test]
fn two_containers_share_what_a_pod_shares_and_nothing_else() {
    let world = World::new();
    let script = "for n in net ipc uts pid mnt; do readlink /proc/self/ns/$n; done; \
                  cat /proc/sys/kernel/hostname /sys/class/net/lo/operstate";
    let (_, first) = world.run(0, script);
    let (_, second) = world.run(1, script);
    let (first, second): (Vec<_>, Vec<_>) = (first.lines().collect(), second.lines().collect());
    assert_eq!(first[..3], second[..3]);
    assert_eq!(first[5..], ["pod-host", "unknown"]);
    for (line, name) in first.iter().zip(["net", "ipc", "uts", "pid", "mnt"]) {
        assert_ne!(fs::read_link(format!("/proc/self/ns/{name}")).unwrap().to_str().unwrap(), *line);
    }
}

#[test]
fn a_pod_of_the_nodes_network_and_ipc_has_them_and_its_name() {
    let world = World::with(|sandbox| {
        sandbox.host_network = true;
        sandbox.host_ipc = true;
    });
    let (_, text) = world.run(0, "for n in net uts ipc; do readlink /proc/self/ns/$n; done");
    let ours = ["net", "uts", "ipc"].map(|name| fs::read_link(format!("/proc/self/ns/{name}")).unwrap());
    let ours: String = ours.iter().map(|link| format!("{}\n", link.display())).collect();
    assert_eq!(text, ours);
}

#[test]
fn containers_of_a_shared_pid_namespace_see_each_other_and_their_orphans_are_reaped() {
    let world = World::with(|sandbox| sandbox.share_process_namespace = true);
    let pause = world.state().hello.pause_pid.expect("somebody holds the namespace");
    let status = fs::read_to_string(format!("/proc/{pause}/status")).unwrap();
    for line in
        ["CapEff:\t0000000000000000", "CapBnd:\t0000000000000000", "NoNewPrivs:\t1", "Groups:\t65535 "]
    {
        assert!(status.lines().any(|found| found == line), "{line}: {status}");
    }
    let descriptors = fs::read_dir(format!("/proc/{pause}/fd")).unwrap().count();
    assert_eq!(descriptors, 3);
    let mut shared = config(&["/bin/sleep", "7777"]);
    shared["linux"]["namespaces"] = json!([{ "type": "mount" }, { "type": "cgroup" }, { "type": "pid", "path": format!("/proc/{pause}/ns/pid") }]);
    world.start(world.request("sleeper", 0, &shared));
    let script = "cat /proc/[0-9]*/comm | grep -c sleep; (sleep 0.01 &); sleep 0.3; \
                  cat /proc/[0-9]*/status | grep -c 'State:.Z'; kill -9 1; echo on";
    shared["process"]["args"] = json!(["/bin/sh", "-c", script]);
    let (_, text) = world.run_request(world.request("c", 0, &shared));
    assert_eq!(text, "1\n0\non\n");
    world.leave();
    assert!(!Path::new(&format!("/proc/{pause}")).exists());
}

#[test]
fn a_pod_whose_pid_namespace_is_lost_ends_with_its_exits_written_down() {
    let world = World::with(|sandbox| sandbox.share_process_namespace = true);
    let pause = world.state().hello.pause_pid.unwrap();
    let mut shared = config(&["/bin/sleep", "1000"]);
    shared["linux"]["namespaces"] =
        json!([{ "type": "mount" }, { "type": "pid", "path": format!("/proc/{pause}/ns/pid") }]);
    let mut watcher = world.watch();
    world.start(world.request("c", 0, &shared));
    signal(pause, libc::SIGKILL);
    assert_eq!(watcher.exited("c", 0).code, 137);
    assert_eq!(watcher.hear_within(LONG), None);
    eventually("it is gone", || !Path::new(&format!("/proc/{}", world.pid)).exists());
    assert!(fs::read_to_string(world.pod().join("exits")).unwrap().contains("\"code\":137"));
}

#[test]
fn leaving_kills_everything_and_answers_when_it_is_gone() {
    let world = World::new();
    let first = world.start(world.request("a", 0, &config(&["/bin/sleep", "1000"])));
    let second = world.start(world.request("b", 0, &config(&["/bin/sleep", "1000"])));
    world.leave();
    for pid in [first, second] {
        assert!(!Path::new(&format!("/proc/{pid}")).exists());
    }
    assert_eq!(fs::read_to_string(world.pod().join("exits")).unwrap().lines().count(), 2);
    assert_eq!(world.left_over(), Vec::<String>::new());
    assert!(!world.pod().join("sock").exists());
}

#[test]
fn a_container_is_started_once_and_not_beside_itself() {
    let world = World::new();
    world.start(world.request("c", 1, &config(&["/bin/sleep", "1000"])));
    assert!(world.fail(world.request("c", 2, &config(&["/bin/true"]))).message.contains("still runs"));
    world.stop("c", 1, libc::SIGKILL, Duration::ZERO);
    eventually("it is over", || matches!(world.state().runs[..], [RunState::Exited(_)]));
    assert!(world.fail(world.request("c", 1, &config(&["/bin/true"]))).message.contains("started already"));
    assert_eq!(world.run(2, "exit 0").0.code, 0);
}

fn kill(pid: i32, number: i32) {
    signal(pid, number);
}
