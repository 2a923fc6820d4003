//! What containers say at their end: acceptance 8.06, 8.07. What counts of files and logs is played in `agent`'s own tests.

use serde_json::{Value, json};

use crate::harness::World;
use crate::harness::image::{run, tool};
use crate::harness::pod::{Seen, pod, with, with_main};

fn once(name: &str, args: &[&str], fields: Value) -> Value {
    with_main(with(pod(name, args), json!({"restartPolicy": "Never"})), fields)
}

fn ended(world: &World, name: &str) -> Seen {
    world.once(name, "has ended", |pod| pod.exit_code().is_some())
}

fn message(seen: &Seen) -> String {
    seen.main()["state"]["terminated"]["message"].as_str().unwrap_or_default().to_owned()
}

/// 8.06, 8.07
#[test]
fn the_message_is_the_file_or_the_end_of_the_log() {
    let world = World::new();
    let (fall_back, own) = (json!("FallbackToLogsOnError"), json!("/var/run/my.log"));
    let default = "/dev/termination-log";
    for (name, args, fields, expected) in [
        ("failed", vec!["say", "3", default, "DONE\nfor good"], json!({}), "DONE\nfor good"),
        ("well", vec!["say", "0", default, "DONE"], json!({"terminationMessagePolicy": fall_back}), "DONE"),
        ("own", vec!["say", "0", "/var/run/my.log", "DONE"], json!({"terminationMessagePath": own}), "DONE"),
        ("relative", vec!["say", "0", "/tmp/a", "DONE"], json!({"terminationMessagePath": "tmp/a"}), "DONE"),
        ("silent", vec!["exit", "1"], json!({}), ""),
        (
            "logged",
            vec!["crash-signal", "10"],
            json!({"terminationMessagePolicy": fall_back}),
            "SIGUSR1 did not end this process\n",
        ),
        ("fine", vec!["echo", "nothing wrong"], json!({"terminationMessagePolicy": fall_back}), ""),
        ("said", vec!["say", "1", default, "DONE"], json!({"terminationMessagePolicy": fall_back}), "DONE"),
    ] {
        world.write("words.yaml", &once(name, &args, fields));
        assert_eq!(message(&ended(&world, name)), expected, "{name}");
    }
    let described = world.says(&["describe", "pod", "said"]);
    assert!(described.lines().any(|line| line.split_whitespace().eq(["Message:", "DONE"])), "{described}");
}

/// Threats 7 and 22: the container can neither put another file there nor have more read than counts.
#[test]
fn whoever_says_too_much_is_heard_at_the_end_only() {
    let world = World::new();
    world.write("much.yaml", &once("much", &["say-much", "/dev/termination-log"], json!({})));
    let said = message(&ended(&world, "much"));
    assert_eq!(said.len(), 4096);
    assert_eq!(said.trim_start_matches('\0'), "the end");
    let log = world.log("much");
    assert!(!log.contains("Ok"), "{log}");
}

/// The first run's words are the last state's while the second one runs.
#[test]
fn words_of_the_run_before_are_in_the_last_state() {
    let world = World::new();
    let fields = json!({"terminationMessagePath": "/shared"});
    let steps = ["steps", "/shared", "3", "run"];
    world.write("again.yaml", &with_main(pod("again", &steps), fields));
    // Each run has a file of its own, so that every one is the first.
    let seen = world.once("again", "ran twice", |pod| 2 <= pod.restarts());
    assert_eq!(seen.main()["lastState"]["terminated"]["message"], ".");
}

/// 8.06, by a user who is not root.
#[test]
fn a_user_who_is_not_root_may_write() {
    let mut world = World::without_agent();
    let layout = world.dir.join("layout").display().to_string();
    let image = format!("{layout}:1");
    let from = format!("docker-archive:{}", world.archives().join("workload-1.tar").display());
    run(tool("skopeo").args(["--insecure-policy", "copy", "--quiet", &from, &format!("oci:{image}")]));
    run(tool("umoci").args(["config", "--image", &image, "--config.user", "worker"]));
    let archive = format!("docker-archive:{}:worker:1", world.archives().join("worker.tar").display());
    run(tool("skopeo").args(["--insecure-policy", "copy", "--quiet", &format!("oci:{image}"), &archive]));
    world.start_agent();
    let say = ["say", "0", "/dev/termination-log", "DONE"];
    world.write("worker.yaml", &once("worker", &say, json!({"image": "worker:1"})));
    assert_eq!(message(&ended(&world, "worker")), "DONE");
}

/// The end of a container that nobody heard of is told whole by the next agent.
#[test]
fn what_is_said_while_no_agent_is_there_is_heard() {
    let mut world = World::new();
    let wait = ["write", "/dev/termination-log", "DONE"];
    world.write("wait.yaml", &once("wait", &wait, json!({})));
    let pid = {
        let uid = world.running("wait").uid();
        world.place().container_processes(&uid)[0]
    };
    world.kill_agent();
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGTERM).unwrap();
    crate::harness::eventually(crate::harness::SOON, "it ends", || {
        (!crate::harness::kernel::lives(pid)).then_some(())
    });
    world.start_agent();
    assert_eq!(message(&ended(&world, "wait")), "DONE");
}

/// 6.08
#[test]
fn a_stop_signal_of_the_manifest_is_sent() {
    let world = World::new();
    let both = with(pod("usr1", &["trap-term"]), json!({"os": {"name": "linux"}, "restartPolicy": "Never"}));
    let mut both = with_main(both, json!({"lifecycle": {"stopSignal": "SIGUSR1"}}));
    both["spec"]["containers"]
        .as_array_mut()
        .unwrap()
        .push(crate::harness::pod::container("deaf", &["ignore-term"]));
    world.write("usr1.yaml", &both);
    let seen = world.running("usr1");
    assert_eq!(
        (&seen.main()["stopSignal"], &seen.container("deaf")["stopSignal"]),
        (&json!("SIGUSR1"), &Value::Null)
    );
    world.remove("usr1.yaml");
    world.once("usr1", "main has ended", |pod| pod.exit_code() == Some(0));
    let log = world.says(&["logs", &world.pod_name("usr1"), "-c", "main"]);
    assert!(log.contains("ended by SIGUSR1"), "{log}");
    world.gone("usr1");
}
