//! Hooks of real containers: acceptance section 6. What follows from them in every order is played in virtual time, in
//! `lifecycle`'s own tests.

use std::fs;
use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::pod::{container, pod, with, with_main};
use crate::harness::{A_WHILE, SOON, World, eventually, stays_true_for};

/// `/shared` in the first container is a directory that the story sees, and so is it in the others that ask for it.
fn with_shared(world: &World, pod: Value) -> Value {
    with_main(with(pod, volume(world)), mount())
}

fn volume(world: &World) -> Value {
    json!({"volumes": [{"name": "shared", "hostPath": {"path": world.shared()}}]})
}

fn mount() -> Value {
    json!({"volumeMounts": [{"name": "shared", "mountPath": "/shared"}]})
}

fn hooks(post_start: Value, pre_stop: Value) -> Value {
    json!({"lifecycle": {"postStart": post_start, "preStop": pre_stop}})
}

fn exec(command: &[&str]) -> Value {
    let command: Vec<&str> = ["/workload"].iter().chain(command).copied().collect();
    json!({"exec": {"command": command}})
}

/// Lasts until the story says that it is over, by a file.
fn until(file: &str) -> Value {
    exec(&["until", file])
}

fn put(world: &World, file: &str) {
    fs::write(world.shared().join(file), "").unwrap();
}

fn wrote(world: &World, file: &str) {
    eventually(SOON, &format!("{file} is there"), || world.shared().join(file).exists().then_some(()));
}

/// The events of all pods that have `reason`, a message each.
fn events(world: &World, reason: &str) -> Vec<String> {
    let list: Value = serde_json::from_str(&world.says(&["get", "events", "-A", "-o", "json"])).unwrap();
    let items = list["items"].as_array().unwrap().iter();
    let with_reason = items.filter(|event| event["reason"] == reason);
    with_reason.map(|event| event["message"].as_str().unwrap_or_default().to_owned()).collect()
}

fn told(world: &World, reason: &str, message: &str) {
    eventually(SOON, &format!("an event {reason}: {message}"), || {
        events(world, reason).iter().any(|told| told == message).then_some(())
    });
}

/// 6.01, 6.09
#[test]
fn the_next_container_starts_once_the_hook_is_over() {
    let world = World::new();
    let mut two = with_shared(&world, pod("two", &["trap-term"]));
    two = with_main(two, hooks(until("/shared/go"), Value::Null));
    two["spec"]["containers"].as_array_mut().unwrap().push(container("second", &["trap-term"]));
    world.write("two.yaml", &two);
    let held = world.once("two", "main runs", |pod| pod.main()["state"]["running"].is_object());
    assert_eq!((&held.main()["started"], &held.main()["ready"]), (&json!(false), &json!(false)));
    wrote(&world, "go.begun");
    stays_true_for(A_WHILE, "nothing else starts", || {
        let seen = world.pod("two").unwrap();
        seen.container("second")["state"]["waiting"].is_object() && !seen.is("Ready")
    });
    put(&world, "go");
    assert_eq!(world.running("two").restarts(), 0);
}

/// 6.01: by HTTP, in the pod's own network; whatever the status.
#[test]
fn hooks_may_ask_over_the_network() {
    let world = World::new();
    let web = with_shared(&world, pod("web", &["serve", "8080", "/shared"]));
    let get = |path: &str| json!({"httpGet": {"path": path, "port": "http"}});
    let mut other = container("other", &["trap-term"]);
    other["lifecycle"] = json!({"postStart": {"httpGet": {"path": "/begun", "port": 8080}}});
    let mut web = with_main(web, hooks(until("/shared/up"), get("/ends?a=b")));
    web = with_main(web, json!({"ports": [{"name": "http", "containerPort": 8080}]}));
    web["spec"]["containers"].as_array_mut().unwrap().push(other);
    // Holds the pod, so that the log can be read.
    web["spec"]["containers"].as_array_mut().unwrap().push(container("deaf", &["ignore-term"]));
    world.write("web.yaml", &with(web, json!({"terminationGracePeriodSeconds": 20})));
    let log = || world.says(&["logs", &world.pod_name("web"), "-c", "main"]);
    wrote(&world, "up.begun");
    eventually(SOON, "the server is there", || log().contains("serving").then_some(()));
    put(&world, "up");
    world.running("web");
    assert!(log().contains("asked for /begun"), "{}", log());
    world.remove("web.yaml");
    eventually(SOON, "the hook and then the signal", || {
        let log = log();
        let (asked, ended) = (log.find("asked for /ends?a=b"), log.find("ended by SIGTERM"));
        asked.zip(ended).map(|(asked, ended)| assert!(asked < ended, "{log}"))
    });
    assert_eq!(events(&world, "FailedPreStopHook"), [""; 0], "404 is an answer");
    kill(&world, "web");
}

/// Nobody waits for the grace of a deaf container.
pub fn kill(world: &World, name: &str) {
    let uid = world.pod(name).unwrap().uid();
    for pid in world.place().container_processes(&uid) {
        let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGKILL);
    }
    world.gone(name);
}

/// 6.02, also for an edit and for `restart`: the container is there and got no signal while the hook runs.
#[test]
fn the_signal_comes_after_the_hook() {
    let world = World::new();
    let long = json!({"terminationGracePeriodSeconds": 600});
    for (how, go) in [("edit", "go1"), ("restart", "go2"), ("remove", "go3")] {
        let name = format!("hooked-{how}");
        let mut hooked = with_shared(&world, with(pod(&name, &["trap-term"]), long.clone()));
        hooked = with_main(hooked, hooks(Value::Null, until(&format!("/shared/{go}"))));
        world.write("hooked.yaml", &hooked);
        let seen = world.running(&name);
        std::thread::scope(|scope| {
            match how {
                "edit" => {
                    hooked["metadata"]["labels"] = json!({"a": "b"});
                    world.write("hooked.yaml", &hooked);
                }
                // It waits for the end.
                "restart" => drop(scope.spawn(|| world.says(&["restart", &seen.name()]))),
                _ => world.remove("hooked.yaml"),
            }
            wrote(&world, &format!("{go}.begun"));
            stays_true_for(Duration::from_secs(1), "main runs on", || {
                let pods = world.pods();
                let same = pods.iter().find(|pod| pod.uid() == seen.uid());
                same.is_some_and(|pod| pod.main()["state"]["running"].is_object())
            });
            put(&world, go);
        });
        match how {
            "remove" => world.gone(&name),
            _ => drop(eventually(SOON, "it runs anew", || {
                world.pod(&name).filter(|pod| pod.life() != seen.life() && pod.is("Ready"))
            })),
        }
        world.write("hooked.yaml", &pod("other", &["trap-term"]));
        put(&world, go);
        world.gone(&name);
    }
}

/// 6.04, 6.06, 6.07: a sleep of 15 s, a container that does not wait for it, and none at all.
#[test]
fn a_sleep_delays_the_signal_and_holds_nobody_who_is_gone() {
    let world = World::new();
    let sleeping = |name: &str, seconds: u32| {
        let pod = with(pod(name, &["trap-term"]), json!({"terminationGracePeriodSeconds": 600}));
        with_main(pod, hooks(json!({"sleep": {"seconds": 0}}), json!({"sleep": {"seconds": seconds}})))
    };
    world.write("short.yaml", &sleeping("short", 2));
    world.write("zero.yaml", &sleeping("zero", 0));
    world.write("long.yaml", &sleeping("long", 590));
    let (short, long) = (world.running("short"), world.running("long"));
    world.running("zero");
    let begun = std::time::Instant::now();
    world.remove("short.yaml");
    world.remove("zero.yaml");
    world.remove("long.yaml");
    world.gone("short");
    assert!(Duration::from_secs(2) <= begun.elapsed(), "not before its sleep: {:?}", begun.elapsed());
    world.gone("zero");
    assert!(world.pod("long").is_some_and(|pod| pod.is_terminating() && pod.life() == long.life()));
    assert_ne!(short.uid(), long.uid());
    kill(&world, "long");
}

/// 6.11: two seconds after the grace at most, which is the floor, all is gone, the hook's command too.
#[test]
fn an_endless_hook_ends_with_the_grace() {
    let world = World::new();
    let endless = with(pod("endless", &["ignore-term"]), json!({"terminationGracePeriodSeconds": 1}));
    world.write("endless.yaml", &with_main(endless, hooks(Value::Null, exec(&["ignore-term"]))));
    world.running("endless");
    world.remove("endless.yaml");
    world.gone("endless");
    eventually(SOON, "only the agent runs", || (world.place().processes().len() == 1).then_some(()));
}

/// 6.12, 6.13: the probe's own end is slow since the hook is, and readiness is asked meanwhile.
#[test]
fn a_probe_that_fails_runs_the_hook_and_readiness_goes_on() {
    let world = World::new();
    put(&world, "ready");
    put(&world, "healthy");
    let there = |file: &str| {
        let mut probe = exec(&["there", file]);
        (probe["periodSeconds"], probe["failureThreshold"]) = (json!(1), json!(1));
        probe["timeoutSeconds"] = json!(30);
        probe
    };
    let mut live = with_shared(&world, pod("live", &["trap-term"]));
    live = with(live, json!({"terminationGracePeriodSeconds": 600}));
    live = with_main(live, hooks(Value::Null, until("/shared/go")));
    let probes = json!({"livenessProbe": there("/shared/healthy"), "readinessProbe": there("/shared/ready")});
    world.write("live.yaml", &with_main(live, probes));
    let seen = world.running("live");
    fs::remove_file(world.shared().join("healthy")).unwrap();
    wrote(&world, "go.begun");
    told(&world, "Killing", "Container main failed liveness probe, will be restarted");
    fs::remove_file(world.shared().join("ready")).unwrap();
    world.once("live", "is not ready, and the same", |pod| !pod.is("Ready") && pod.life() == seen.life());
    let failed = events(&world, "Unhealthy").iter().filter(|told| told.contains("Liveness")).count();
    assert_eq!(failed, 1, "liveness is asked no more");
    put(&world, "healthy");
    put(&world, "ready");
    put(&world, "go");
    world.once("live", "is restarted", |pod| pod.restarts() == 1 && pod.is("Ready"));
}

/// Reference B.8: killed, restarted by the policy, and told.
#[test]
fn a_post_start_hook_that_fails_ends_its_container() {
    let world = World::new();
    let mut failing = with_shared(&world, pod("failing", &["trap-term"]));
    failing = with_main(failing, hooks(exec(&["there", "/shared/fine"]), Value::Null));
    world.write("failing.yaml", &failing);
    told(&world, "FailedPostStartHook", "PostStartHook failed: exit code 1");
    told(&world, "Killing", "FailedPostStartHook");
    put(&world, "fine");
    world.once("failing", "runs after all", |pod| 1 <= pod.restarts() && pod.is("Ready"));
}

/// Hooks that do not end take no thread that others need, and end with their containers.
#[test]
fn hooks_that_never_end_hold_up_nobody_else() {
    let world = World::new();
    let mut stuck = pod("stuck", &[]);
    let containers: Vec<Value> = (0..4)
        .map(|number| {
            // The first one holds back the others.
            let mut one = container(&format!("c{number}"), &["trap-term"]);
            one["lifecycle"] = json!({"postStart": exec(&["ignore-term"])});
            one
        })
        .collect();
    stuck["spec"]["containers"] = json!(containers);
    for number in 0..8 {
        stuck["metadata"]["name"] = json!(format!("stuck{number}"));
        world.write(&format!("stuck{number}.yaml"), &stuck);
    }
    let mute = with_main(pod("mute", &["mute", "8080"]), {
        hooks(json!({"exec": {"command": ["/workload", "echo"]}}), json!({"httpGet": {"port": 8080}}))
    });
    world.write("mute.yaml", &with(mute, json!({"terminationGracePeriodSeconds": 600})));
    for number in 0..8 {
        world.once(&format!("stuck{number}"), "c0 runs", |pod| {
            pod.container("c0")["state"]["running"].is_object()
        });
    }
    world.running("mute");
    world.write("free.yaml", &pod("free", &["trap-term"]));
    world.running("free");
    let threads = |world: &World| {
        let tasks = fs::read_dir(format!("/proc/{}/task", world.agent())).unwrap().flatten();
        let names = tasks.filter_map(|task| fs::read_to_string(task.path().join("comm")).ok());
        names.filter(|name| name.trim() == "hook").count()
    };
    world.remove("mute.yaml");
    eventually(SOON, "the hook that asks has come", || (threads(&world) == 9).then_some(()));
    kill(&world, "mute");
    for number in 0..8 {
        world.remove(&format!("stuck{number}.yaml"));
    }
    for number in 0..8 {
        world.gone(&format!("stuck{number}"));
    }
    eventually(SOON, "no hook is left", || (threads(&world) == 0).then_some(()));
}

/// A hook that was begun is begun again by the next agent, and the end waits for it.
#[test]
fn the_next_agent_runs_the_hook_again() {
    let mut world = World::new();
    let mut hooked = with_shared(&world, pod("hooked", &["trap-term"]));
    hooked = with(hooked, json!({"terminationGracePeriodSeconds": 600}));
    let counted = exec(&["until", "/shared/go"]);
    world.write("hooked.yaml", &with_main(hooked, hooks(Value::Null, counted)));
    let uid = world.running("hooked").uid();
    world.remove("hooked.yaml");
    wrote(&world, "go.begun");
    world.kill_agent();
    eventually(SOON, "the command is killed with the agent that asked for it", || {
        (world.place().container_processes(&uid).len() == 1).then_some(())
    });
    fs::remove_file(world.shared().join("go.begun")).unwrap();
    world.start_agent();
    wrote(&world, "go.begun");
    assert!(world.pod("hooked").is_some_and(|pod| pod.main()["state"]["running"].is_object()));
    put(&world, "go");
    world.gone("hooked");
}

/// 6.02: `down` is an end as any other.
#[test]
fn down_runs_hooks() {
    let mut world = World::new();
    let mut hooked = with_shared(&world, pod("hooked", &["trap-term"]));
    hooked = with_main(hooked, hooks(Value::Null, exec(&["say", "0", "/shared/said", "so"])));
    world.write("hooked.yaml", &hooked);
    world.running("hooked");
    world.down();
    assert!(world.shared().join("said").exists());
}
