//! The order of containers: init containers, sidecars, and when all of it is over. Back-off is played in virtual time, in
//! `lifecycle`'s own tests.

use std::fs;

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::harness::kernel::{signal, tasks};
use crate::harness::pod::{Seen, container, pod, with, with_main};
use crate::harness::{A_WHILE, SOON, World, eventually, stays_true_for};
use crate::survival::imitate_power_cut;

/// A container that writes `name` into the diary and ends as `end` says.
pub fn writes(name: &str, end: &str) -> Value {
    let mut container = container(name, &["diary", "/shared/diary", name, end]);
    container["volumeMounts"] = json!([{"name": "shared", "mountPath": "/shared"}]);
    container
}

pub fn sidecar(name: &str) -> Value {
    let mut container = writes(name, "run");
    container["restartPolicy"] = json!("Always");
    container
}

pub fn pod_of(world: &World, policy: &str, inits: Value, containers: Value) -> Value {
    with(
        pod("web", &[]),
        json!({
            "restartPolicy": policy,
            "initContainers": inits,
            "containers": containers,
            "volumes": [{"name": "shared", "hostPath": {"path": world.shared()}}],
        }),
    )
}

/// What was written, in order.
pub fn diary(world: &World) -> Vec<String> {
    let text = fs::read_to_string(world.shared().join("diary")).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

#[track_caller]
pub fn wrote(world: &World, expected: &[&str]) {
    let what = format!("the diary says {expected:?}");
    eventually(SOON, &what, || (expected.len() <= diary(world).len()).then_some(()));
    assert_eq!(diary(world), expected);
}

fn word(world: &World) -> String {
    let table = world.says(&["get", "pods", "--no-headers"]);
    table.split_whitespace().nth(2).unwrap_or_default().to_owned()
}

pub fn kill(world: &World, seen: &Seen, run: &str) {
    let cgroup = world.place().pod_cgroup(&seen.uid()).unwrap().join(run);
    tasks(&cgroup).into_iter().for_each(|pid| signal(pid, Signal::SIGKILL));
}

/// 4.02, 4.05, 4.08, 4.13, 4.14
#[test]
fn init_containers_run_once_in_order_and_again_after_a_reboot() {
    let mut world = World::new();
    let inits = json!([writes("one", "0"), writes("two", "0")]);
    world.write("web.yaml", &pod_of(&world, "Always", inits, json!([writes("main", "run")])));
    let seen = world.running("web");
    wrote(&world, &["one", "two", "main"]);
    assert!(seen.is("Initialized") && seen.is("Ready"));
    for name in ["one", "two"] {
        assert_eq!(seen.container(name)["state"]["terminated"]["reason"], "Completed", "{name}");
    }

    world.kill_agent();
    world.start_agent();
    kill(&world, &seen, "main-0");
    let again = world.once("web", "has restarted", |pod| pod.restarts() == 1 && pod.is("Ready"));
    wrote(&world, &["one", "two", "main", "main"]);
    assert_eq!(again.container("one")["restartCount"], 0);

    imitate_power_cut(&mut world);
    world.start_agent();
    world.running("web");
    wrote(&world, &["one", "two", "main", "main", "one", "two", "main"]);
}

/// 4.04, 4.06; what runs when the agent is killed in the middle of it goes on.
#[test]
fn a_failed_init_container_is_told_and_keeps_the_others_from_running() {
    let mut world = World::new();
    let inits = json!([writes("one", "3"), writes("two", "0")]);
    world.write("web.yaml", &pod_of(&world, "Never", inits, json!([writes("main", "run")])));
    let seen = world.once("web", "has failed", |pod| pod.phase() == "Failed");
    assert_eq!(word(&world), "Init:Error");
    assert_eq!(seen.container("one")["state"]["terminated"]["exitCode"], 3);
    assert_eq!(seen.main()["state"]["waiting"]["reason"], "PodInitializing");
    let condition = seen.0.pointer("/status/conditions/1").unwrap();
    assert_eq!(
        (&condition["reason"], &condition["message"]),
        (&json!("ContainersNotInitialized"), &json!("containers with incomplete status: [one two]"))
    );
    world.kill_agent();
    world.start_agent();
    stays_true_for(A_WHILE, "nothing else runs", || diary(&world) == ["one"]);
}

/// 4.13, 4.15
#[test]
fn an_agent_that_is_killed_while_an_init_container_runs_goes_on_where_it_was() {
    let mut world = World::new();
    let inits = json!([writes("one", "0"), writes("two", "run")]);
    world.write("web.yaml", &pod_of(&world, "Always", inits, json!([writes("main", "run")])));
    wrote(&world, &["one", "two"]);
    let seen = world.once("web", "runs its second init container", |pod| {
        !pod.container("two")["state"]["running"].is_null()
    });
    assert_eq!((word(&world).as_str(), seen.phase().as_str()), ("Init:1/2", "Pending"));
    world.kill_agent();
    world.start_agent();
    let cgroup = world.place().pod_cgroup(&seen.uid()).unwrap().join("two-0");
    tasks(&cgroup).into_iter().for_each(|pid| signal(pid, Signal::SIGTERM));
    world.running("web");
    wrote(&world, &["one", "two", "two-ends", "main"]);
}

/// 5.01, 5.13
#[test]
fn sidecars_start_in_their_place_and_end_last_in_reverse_order() {
    let world = World::new();
    let inits = json!([writes("init", "0"), sidecar("s1"), sidecar("s2")]);
    world.write("web.yaml", &pod_of(&world, "Always", inits, json!([writes("main", "run")])));
    let seen = world.once("web", "is ready", |pod| pod.is("Ready"));
    assert_eq!(seen.container("s1")["started"], true);
    eventually(SOON, "all have written", || (diary(&world).len() == 4).then_some(()));
    let table = world.says(&["get", "pods", "--no-headers"]);
    assert_eq!(table.split_whitespace().nth(1), Some("3/3"), "sidecars count: {table}");
    let mut begun = diary(&world);
    // Sidecars are started in order; when each writes is its own affair.
    assert_eq!(begun.remove(0), "init");
    world.remove("web.yaml");
    world.gone("web");
    assert_eq!(diary(&world)[4..], ["main-ends", "s2-ends", "s1-ends"]);
}

/// 5.02, 5.05
#[test]
fn a_sidecar_restarts_and_keeps_no_pod_alive() {
    let world = World::new();
    let inits = json!([sidecar("s1")]);
    world.write("web.yaml", &pod_of(&world, "Never", inits, json!([writes("main", "run")])));
    let seen = world.running("web");
    eventually(SOON, "both have written", || (diary(&world).len() == 2).then_some(()));
    kill(&world, &seen, "s1-0");
    world.once("web", "has its sidecar again", |pod| {
        pod.container("s1")["restartCount"] == 1 && pod.is("Ready")
    });
    eventually(SOON, "it has written again", || (diary(&world).len() == 3).then_some(()));
    let cgroup = world.place().pod_cgroup(&seen.uid()).unwrap().join("main-0");
    tasks(&cgroup).into_iter().for_each(|pid| signal(pid, Signal::SIGTERM));
    let seen = world.once("web", "has succeeded", |pod| pod.phase() == "Succeeded");
    assert_eq!(seen.container("s1")["state"]["terminated"]["exitCode"], 0);
    assert_eq!(diary(&world)[3..], ["main-ends", "s1-ends"]);
    assert_eq!(word(&world), "Completed");
}

/// 1.16, 3.16, 3.17
#[test]
fn a_rule_restarts_all_containers_of_a_pod() {
    let world = World::new();
    let mut main = container("main", &["steps", "/shared/runs", "42", "run"]);
    main["volumeMounts"] = json!([{"name": "shared", "mountPath": "/shared"}]);
    main["restartPolicy"] = json!("Never");
    main["restartPolicyRules"] =
        json!([{"action": "RestartAllContainers", "exitCodes": {"operator": "In", "values": [42]}}]);
    let inits = json!([writes("init", "0")]);
    world.write("web.yaml", &pod_of(&world, "Never", inits, json!([main, writes("other", "run")])));
    let seen = world.once("web", "has begun anew", |pod| pod.restarts() == 1 && pod.is("Ready"));
    for name in ["init", "main", "other"] {
        assert_eq!(seen.container(name)["restartCount"], 1, "{name}");
    }
    let inits = diary(&world).iter().filter(|line| *line == "init").count();
    assert_eq!(inits, 2);
    let ended = |name: &str| seen.container(name)["lastState"]["terminated"].clone();
    assert_eq!((&ended("main")["exitCode"], &ended("init")["reason"]), (&json!(42), &json!("Completed")));
    assert_eq!(ended("other")["reason"], "RestartingAllContainers");
    assert!(seen.0["status"]["conditions"].to_string().contains("AllContainersRestarting"));
    stays_true_for(A_WHILE, "there is one round", || {
        world.pod("web").is_some_and(|now| now.life() == seen.life())
    });
}

/// 3.18
#[test]
fn a_pod_that_takes_too_long_fails_and_stays_so() {
    let mut world = World::new();
    // The image is there before the time runs, however busy the machine is.
    world.write("first.yaml", &pod("first", &["trap-term"]));
    world.running("first");
    let deadline = json!({"activeDeadlineSeconds": 1, "restartPolicy": "Always"});
    world.write("web.yaml", &with(pod("web", &["trap-term"]), deadline));
    let late = |pod: &Seen| pod.phase() == "Failed" && pod.exit_code() == Some(0);
    let seen = world.once("web", "was ended", late);
    assert_eq!(seen.0["status"]["reason"], "DeadlineExceeded");
    world.kill_agent();
    world.start_agent();
    stays_true_for(A_WHILE, "it stays so", || world.pod("web").is_some_and(|now| now.life() == seen.life()));
}

/// 1.15, 9.09
#[test]
fn what_an_init_container_wrote_is_a_variable_of_the_next() {
    let world = World::new();
    let mut init = container("init", &["diary", "/v/env", "CONFIG_1='value1'", "0"]);
    init["volumeMounts"] = json!([{"name": "v", "mountPath": "/v"}]);
    let key = json!({"volumeName": "v", "path": "env", "key": "CONFIG_1"});
    let manifest = with(
        pod("web", &["status"]),
        json!({"restartPolicy": "Never", "initContainers": [init], "volumes": [{"name": "v", "emptyDir": {}}]}),
    );
    let manifest =
        with_main(manifest, json!({"env": [{"name": "CONFIG_1", "valueFrom": {"fileKeyRef": key}}]}));
    world.write("web.yaml", &manifest);
    world.once("web", "has succeeded", |pod| pod.phase() == "Succeeded");
    assert!(world.log("web").contains("env.CONFIG_1: value1"), "{}", world.log("web"));
}

/// 4.03, and the word of kubectl for it.
#[test]
fn an_init_container_that_fails_is_tried_again_and_holds_up_the_others() {
    let mut world = World::without_agent();
    world.kubelet_config = Some("crashLoopBackOff: {maxContainerRestartPeriod: 1s}\n".to_owned());
    world.start_agent();
    let inits = json!([container("one", &["exit", "1"]), writes("two", "0")]);
    world.write("web.yaml", &pod_of(&world, "Always", inits, json!([writes("main", "run")])));
    let seen = world.once("web", "has tried it four times", |pod| {
        pod.container("one")["restartCount"].as_u64() >= Some(3)
    });
    assert_eq!((seen.phase().as_str(), seen.is("Initialized")), ("Pending", false));
    for name in ["two", "main"] {
        assert_eq!(seen.container(name)["state"]["waiting"]["reason"], "PodInitializing", "{name}");
    }
    eventually(SOON, "get pods says what it waits for", || {
        (word(&world) == "Init:CrashLoopBackOff").then_some(())
    });
    assert_eq!(diary(&world), [""; 0]);
}

/// 1.11, 1.12: what is left of an init container goes, and a sidecar ends, while no agent is there. The one is not run
/// again, the other is, and the regular container is left alone.
#[test]
fn only_the_sidecar_that_is_gone_is_started_again_by_the_next_agent() {
    let mut world = World::new();
    let inits = json!([writes("one", "0"), sidecar("s1")]);
    world.write("web.yaml", &pod_of(&world, "Always", inits, json!([writes("main", "run")])));
    let seen = world.running("web");
    eventually(SOON, "all have written", || (diary(&world).len() == 3).then_some(()));
    world.kill_agent();
    kill(&world, &seen, "s1-0");
    let logs = format!("{}_{}/one", seen.full_name().replace('/', "_"), seen.uid());
    fs::remove_dir_all(world.logs().join(logs)).unwrap();
    world.start_agent();
    let now = world.once("web", "has its sidecar again", |pod| {
        pod.container("s1")["restartCount"] == 1 && pod.is("Ready")
    });
    assert_ne!(now.container("s1")["containerID"], seen.container("s1")["containerID"]);
    assert_eq!((now.main(), now.container("one")), (seen.main(), seen.container("one")));
    eventually(SOON, "it has written again", || (diary(&world).len() == 4).then_some(()));
    assert_eq!(diary(&world).iter().filter(|line| *line == "one").count(), 1);
}

/// 5.08, 5.22: a startup probe holds the next back, and its answer outlives the agent.
#[test]
fn a_sidecar_that_has_started_has_for_the_next_agent_too() {
    let mut world = World::new();
    let mut gate = sidecar("s1");
    let command = json!({"command": ["/workload", "there", "/shared/go"]});
    gate["startupProbe"] = json!({"exec": command, "periodSeconds": 1, "failureThreshold": 300});
    world.write("web.yaml", &pod_of(&world, "Always", json!([gate]), json!([writes("main", "run")])));
    let waits =
        |pod: &Seen| pod.container("s1")["state"]["running"].is_object() && pod.reason() == "PodInitializing";
    world.once("web", "runs its sidecar alone", waits);
    stays_true_for(A_WHILE, "main waits", || world.pod("web").is_some_and(|pod| waits(&pod)));
    fs::write(world.shared().join("go"), "").unwrap();
    let seen = world.running("web");
    world.kill_agent();
    fs::remove_file(world.shared().join("go")).unwrap();
    world.start_agent();
    kill(&world, &seen, "main-0");
    let now = world.once("web", "main has restarted", |pod| pod.restarts() == 1 && pod.is("Ready"));
    let sidecar = now.container("s1");
    assert_eq!((&sidecar["started"], &sidecar["restartCount"]), (&json!(true), &json!(0)));
}

/// 5.16, 5.17
#[test]
fn a_pod_that_goes_while_its_init_containers_run_does_not_hang() {
    let world = World::new();
    let inits = json!([sidecar("s1"), writes("two", "run"), sidecar("s2")]);
    world.write("web.yaml", &pod_of(&world, "Always", inits, json!([writes("main", "run")])));
    eventually(SOON, "two have written", || (diary(&world).len() == 2).then_some(()));
    world.remove("web.yaml");
    world.gone("web");
    assert_eq!(diary(&world)[2..], ["two-ends", "s1-ends"]);
}

/// The command line finds init containers and sidecars like any other, and means none of them where none is named.
#[test]
fn the_command_line_finds_containers_of_every_kind() {
    let world = World::new();
    let mut beside = sidecar("s1");
    beside["ports"] = json!([{"name": "beside", "containerPort": 7}]);
    let inits = json!([container("one", &["echo", "of one"]), beside]);
    let main = container("main", &["write-lines", "1", "10"]);
    world.write("web.yaml", &pod_of(&world, "Always", inits, json!([main])));
    world.running("web");
    let name = world.pod_name("web");
    assert_eq!(world.says(&["logs", &name, "-c", "one"]), "of one\n");
    let output = world.cli(&["exec", &name, "-c", "s1", "--", "/workload", "echo", "alive"]);
    assert_eq!(output.stdout, b"alive\n", "{output:?}");
    let told = String::from_utf8(world.exec("web", &["echo", "alive"]).stderr).unwrap();
    assert!(told.contains("Defaulted container \"main\" out of: main, one (init), s1 (init)"), "{told}");
    let told = String::from_utf8(world.cli(&["logs", &name, "-c", "none"]).stderr).unwrap();
    assert!(told.contains("choose one of: main, one (init), s1 (init)"), "{told}");
    assert!(world.says(&["logs", &name, "--all-containers"]).starts_with("of one\n"));
    assert!(world.says(&["top", "pods", "--containers"]).contains(" s1 "));
    assert!(world.says(&["describe", "pod", &name]).contains("Init Containers:"));
}

/// Nobody keeps the status up to date while no agent is there: what ended well before is not what ended now.
#[test]
fn without_an_agent_a_finished_init_container_stays_finished() {
    let mut world = World::new();
    let inits = json!([writes("one", "0"), sidecar("s1")]);
    world.write("web.yaml", &pod_of(&world, "Always", inits, json!([writes("main", "run")])));
    let seen = world.running("web");
    world.kill_agent();
    assert!(world.pod("web").is_some_and(|pod| pod.is("Ready") && pod.is("Initialized")));
    kill(&world, &seen, "s1-0");
    let now = world.once("web", "shows its sidecar's end", |pod| {
        pod.container("s1")["state"]["terminated"]["exitCode"] == 137
    });
    assert!(!now.is("Ready"));
    assert_eq!(now.container("one"), seen.container("one"));
    let process = world.place().pod_process(&seen.uid()).unwrap();
    signal(process, Signal::SIGKILL);
    let lost = world.once("web", "shows that all is lost", |pod| {
        pod.main()["state"]["terminated"]["reason"] == "ContainerStatusUnknown"
    });
    assert_eq!(lost.container("one"), seen.container("one"));
    world.start_agent();
    world.once("web", "runs again", |pod| pod.restarts() == 1 && pod.is("Ready"));
}
