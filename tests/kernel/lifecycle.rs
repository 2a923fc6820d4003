//! Restart policy and how runs end. Long back-offs are played in virtual time, in `lifecycle`'s own tests (3.06–3.08).

use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::pod::{container, pod, with, with_main};
use crate::harness::{A_WHILE, World, stays_true_for};

/// A pod whose runs end as `steps` say: the n-th run does the n-th step.
fn steps(world: &World, policy: &str, steps: &[&str]) -> Value {
    let args: Vec<&str> = ["steps", "/shared/runs"].iter().chain(steps).copied().collect();
    let volume = json!([{"name": "shared", "hostPath": {"path": world.shared()}}]);
    let pod = with(pod("steps", &args), json!({"restartPolicy": policy, "volumes": volume}));
    with_main(pod, json!({"volumeMounts": [{"name": "shared", "mountPath": "/shared"}]}))
}

/// 3.01
#[test]
fn always_restarts_after_failure_and_success() {
    let world = World::new();
    world.write("steps.yaml", &steps(&world, "Always", &["1", "0", "run"]));
    let seen = world.once("steps", "has run three times", |pod| pod.restarts() == 2 && pod.is("Ready"));
    assert_eq!(seen.phase(), "Running");
    assert_eq!(seen.main()["lastState"]["terminated"]["exitCode"], 0);
}

/// 3.02
#[test]
fn on_failure_restarts_after_failure_only() {
    let world = World::new();
    world.write("steps.yaml", &steps(&world, "OnFailure", &["1", "0", "run"]));
    let seen = world.once("steps", "has succeeded", |pod| pod.phase() == "Succeeded");
    assert_eq!((seen.restarts(), seen.is("Ready"), seen.exit_code()), (1, false, Some(0)));
    assert_eq!(seen.reason(), "Completed");
    stays_true_for(A_WHILE, "it stays so", || {
        world.pod("steps").is_some_and(|now| now.life() == seen.life())
    });
}

/// 3.03
#[test]
fn never_runs_once() {
    let world = World::new();
    world.write("steps.yaml", &steps(&world, "Never", &["1", "0", "run"]));
    let seen = world.once("steps", "has failed", |pod| pod.phase() == "Failed");
    assert_eq!((seen.restarts(), seen.is("Ready"), seen.exit_code()), (0, false, Some(1)));
    stays_true_for(A_WHILE, "it stays so", || {
        world.pod("steps").is_some_and(|now| now.life() == seen.life())
    });
}

/// 3.04
#[test]
fn a_failed_container_has_a_reason_and_its_exit_code() {
    let world = World::new();
    world.write("exit.yaml", &with(pod("exit", &["exit", "42"]), json!({"restartPolicy": "Never"})));
    let seen = world.once("exit", "has failed", |pod| pod.phase() == "Failed");
    let ended = &seen.main()["state"]["terminated"];
    assert_eq!((&ended["exitCode"], &ended["reason"]), (&json!(42), &json!("Error")));
    assert!(ended["startedAt"].is_string() && ended["finishedAt"].is_string(), "{ended}");
}

/// Exit codes, signals, programs that are not there: each is told apart.
#[test]
fn a_crash_is_128_and_its_signal_and_a_missing_program_a_start_error() {
    let world = World::new();
    let mut crash = with(pod("crash", &["crash-signal", "11"]), json!({"restartPolicy": "Never"}));
    let mut missing = container("missing", &[]);
    missing["command"] = json!(["/not/there"]);
    crash["spec"]["containers"].as_array_mut().unwrap().push(missing);
    world.write("crash.yaml", &crash);
    let seen = world.once("crash", "has failed", |pod| pod.phase() == "Failed");
    assert_eq!((seen.exit_code(), seen.reason()), (Some(139), "Error".to_owned()));
    let missing = &seen.container("missing")["state"]["terminated"];
    assert_eq!((&missing["exitCode"], &missing["reason"]), (&json!(128), &json!("StartError")));
    assert!(missing["message"].as_str().is_some_and(|message| message.contains("/not/there")), "{missing}");
}

/// 3.07, its first seconds: at 0 s and 0 s, the third not before 10 s.
#[test]
fn a_crash_loop_backs_off_and_says_so() {
    let world = World::new();
    world.write("loop.yaml", &pod("loop", &["exit", "1"]));
    let seen = world.once("loop", "backs off", |pod| pod.reason() == "CrashLoopBackOff");
    assert_eq!(seen.restarts(), 1);
    assert_eq!(seen.phase(), "Running", "as kubelet has it: it will run again");
    assert_eq!(seen.main()["lastState"]["terminated"]["exitCode"], 1);
    stays_true_for(Duration::from_secs(5), "it waits", || {
        world.pod("loop").is_some_and(|pod| pod.restarts() == 1)
    });
    let description = world.says(&["describe", "pod", &world.pod_name("loop")]);
    assert!(description.contains("BackOff"), "{description}");
}

/// 3.05: without a pod that keeps its identity, an edit is a new pod, and so is its back-off.
#[test]
fn an_edit_starts_the_back_off_over() {
    let world = World::new();
    world.write("loop.yaml", &pod("loop", &["exit", "1"]));
    world.once("loop", "backs off", |pod| pod.reason() == "CrashLoopBackOff");
    world.write("loop.yaml", &pod("loop", &["trap-term"]));
    let seen = world.running("loop");
    assert_eq!(seen.restarts(), 0);
}

#[test]
fn restart_starts_a_pod_anew() {
    let world = World::new();
    world.write("web.yaml", &pod("web", &["trap-term"]));
    let before = world.running("web");
    world.says(&["restart", &world.pod_name("web")]);
    let after = world.once("web", "runs anew", |pod| pod.is("Ready") && pod.life() != before.life());
    assert_eq!(after.uid(), before.uid());
}

/// 14.01: what a pod is called and marked by stays through its runs, and it goes whether it runs or was only made.
#[test]
fn labels_annotations_and_attempts_are_kept_until_the_pod_goes() {
    let world = World::new();
    let mut manifest = steps(&world, "Always", &["1", "0", "run"]);
    manifest["metadata"]["labels"] = json!({"app": "web"});
    manifest["metadata"]["annotations"] = json!({"example.org/note": "kept"});
    world.write("steps.yaml", &manifest);
    let absent = json!({"image": "localhost/not-there:1", "imagePullPolicy": "Never"});
    world.write("absent.yaml", &with_main(pod("absent", &[]), absent));
    let first = world.once("steps", "ran once", |pod| pod.restarts() == 1);
    let last = world.once("steps", "runs again", |pod| pod.restarts() == 2 && pod.is("Ready"));
    for seen in [&first, &last] {
        assert_eq!(seen.0["metadata"]["labels"], json!({"app": "web"}));
        assert_eq!(seen.0["metadata"]["annotations"]["example.org/note"], "kept");
        assert_eq!(seen.uid(), first.uid());
    }
    assert_ne!(first.life(), last.life(), "each run is another container");
    world.once("absent", "was made, and waits", |pod| pod.reason() == "ErrImageNeverPull");
    world.remove("absent.yaml");
    world.gone("absent");
    world.remove("steps.yaml");
    world.gone("steps");
    assert!(world.place().pod_cgroups().is_empty());
}

/// Several containers: one pod, one network, ended and restarted each for itself.
#[test]
fn containers_of_a_pod_restart_alone_and_share_its_network() {
    let world = World::new();
    let mut two = pod("two", &["listen", "8080"]);
    two["spec"]["containers"].as_array_mut().unwrap().push(container("other", &["trap-term", "3"]));
    world.write("two.yaml", &two);
    let before = world.running("two");
    let inside =
        |name: &str| world.says(&["exec", &world.pod_name("two"), "-c", name, "--", "/workload", "status"]);
    let namespace = |text: String, kind: &str| {
        text.lines().find(|line| line.starts_with(&format!("ns.{kind}:"))).unwrap().to_owned()
    };
    for kind in ["net", "ipc", "uts"] {
        assert_eq!(namespace(inside("main"), kind), namespace(inside("other"), kind));
    }
    for kind in ["pid", "mnt"] {
        assert_ne!(namespace(inside("main"), kind), namespace(inside("other"), kind));
    }
    let pid: i32 = main_process(&world, &before.uid(), "other");
    crate::harness::kernel::signal(pid, nix::sys::signal::Signal::SIGKILL);
    let after = world.once("two", "other has restarted", |pod| {
        pod.container("other")["restartCount"] == 1 && pod.is("Ready")
    });
    assert_eq!(after.main(), before.main());
    assert_eq!(after.container("other")["lastState"]["terminated"]["exitCode"], 137);
}

/// Process 1 of a container, as the host numbers it.
pub fn main_process(world: &World, uid: &str, container: &str) -> i32 {
    let pod = world.place().pod_cgroup(uid).expect("the pod has a cgroup");
    let mut folders = std::fs::read_dir(pod).unwrap().map(|entry| entry.unwrap().path());
    let of_container = |path: &std::path::PathBuf| {
        path.is_dir() && path.file_name().unwrap().to_string_lossy().starts_with(&format!("{container}-"))
    };
    let cgroup = folders.find(of_container).unwrap_or_else(|| panic!("no cgroup of container {container}"));
    crate::harness::kernel::tasks(&cgroup)[0]
}
