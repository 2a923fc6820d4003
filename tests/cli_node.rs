//! The node's own verbs against a published directory that the test made; no root needed, no agent, no containers.
#![allow(clippy::unwrap_used)]

#[allow(dead_code, reason = "shared with other programs")]
mod world;

use std::fs;

use serde_json::{Value, json};
use world::{World, object, running, waiting};

/// Publishes the node; `object` is what the agent says of it.
fn publish(world: &World, object: &Value) {
    let node = json!({
        "version": 1, "name": "edge-1", "pid": std::process::id(), "started": 0, "cgroup_root": "/",
        "data_dir": world.root().join("data"), "manifests_dir": world.root().join("manifests"),
        "log_dir": world.root().join("log"), "warnings": ["no memory\u{1b}[2J controller"], "object": object,
    });
    fs::write(world.runtime().join("node.json"), node.to_string()).unwrap();
}

fn node() -> Value {
    let ready =
        json!({"type": "Ready", "status": "True", "reason": "KubeletReady", "message": "the agent runs"});
    json!({
        "metadata": {"name": "edge-1"},
        "status": {
            "conditions": [ready], "capacity": {"cpu": "2"}, "allocatable": {"cpu": "2"},
            "nodeInfo": {"kubeletVersion": "v0.9.0+holdfast"},
        },
    })
}

fn event(name: &str, message: &str, count: u64) -> String {
    let event = json!({
        "metadata": {"name": name, "namespace": "default"}, "involvedObject": {"kind": "Node", "name": "edge-1"},
        "type": "Warning", "reason": "X", "message": message, "count": count,
        "firstTimestamp": "2026-11-21T21:18:24Z", "lastTimestamp": "2026-11-21T21:18:24Z",
    });
    format!("{event}\n")
}

#[test]
fn events_are_read_from_both_files_the_last_word_on_each_and_half_a_line_is_none() {
    let world = World::with_agent();
    publish(&world, &node());
    fs::write(world.runtime().join("events.1"), event("a", "first", 1) + &event("b", "older", 1)).unwrap();
    let newer =
        "\u{0}garbage\n".to_string() + &event("a", "again\u{1b}[2J", 7) + "{\"metadata\": {\"name\": \"c\"";
    fs::write(world.runtime().join("events"), newer).unwrap();
    let run = world.run(&["describe", "node"]);
    assert_eq!((run.code, &*run.err), (0, ""), "{}", run.out);
    assert!(
        run.out.contains("(x7 over") && run.out.contains("again^[[2J") && run.out.contains("older"),
        "{}",
        run.out
    );
    assert!(!run.out.contains("first") && !run.out.contains('\u{1b}'), "{}", run.out);
}

#[test]
fn a_node_without_its_agent_is_described_and_is_not_ready() {
    let world = World::without_agent();
    publish(&world, &node());
    let run = world.run(&["describe", "node", "edge"]);
    assert_eq!(run.err, "the agent is not running: this is what it last published\n");
    let conditions = run.out.lines().find(|line| line.contains("NodeStatusUnknown")).unwrap();
    let words: Vec<&str> = conditions.split_whitespace().collect();
    assert_eq!(words[..2], ["Ready", "Unknown"]);
    let other = world.run(&["describe", "node", "other"]);
    assert_eq!(other.code, 1);
    assert!(
        other.err.contains("error: node \"other\" not found; this one is called \"edge-1\""),
        "{}",
        other.err
    );
}

#[test]
fn that_no_agent_runs_is_said_once() {
    let world = World::without_agent();
    publish(&world, &node());
    for asked in [&["status"][..], &["get", "node"], &["describe", "node"], &["top", "node"]] {
        let run = world.run(asked);
        assert_eq!(run.err, "the agent is not running: this is what it last published\n", "{asked:?}");
    }
}

/// What the agent warns of may be anything, and is told as its own word.
#[test]
fn doctor_tells_warnings_of_the_agent_as_its_own() {
    let world = World::with_agent();
    publish(&world, &node());
    let told = world.run(&["doctor"]).out;
    assert!(told.contains("warning  agent        it says: no memory^[[2J controller\n"), "{told}");
}

/// A directory that is gone is to be brought back, not to be made anew.
#[test]
fn a_manifests_directory_that_is_gone_is_told_in_one_voice() {
    let world = World::with_agent();
    publish(&world, &node());
    let directory = world.root().join("manifests");
    let verdict = json!({"version": 1, "directory": directory, "problem": "No such file", "files": []});
    fs::write(world.runtime().join("manifests.json"), verdict.to_string()).unwrap();
    let back = "what ran from it goes on";
    let doctor = world.run(&["doctor"]).out;
    assert!(doctor.contains(back) && !doctor.contains("the agent makes it"), "{doctor}");
    let listed = world.run(&["get", "manifests"]).err;
    assert!(listed.contains(back), "{listed}");
}

#[test]
fn status_is_a_screen_and_its_exit_code_an_answer() {
    let world = World::with_agent();
    publish(&world, &node());
    world.publish("1", object("web", "default", json!([running("a")])));
    let well = world.run(&["status"]);
    assert!(
        well.out.contains("Pods:      1 Running\n") && well.out.contains("v0.9.0, runs for"),
        "{}",
        well.out
    );
    assert!(well.out.contains("Images:    none\n"), "{}", well.out);
    assert!(well.out.contains("Warnings:  no memory^[[2J controller\n"), "{}", well.out);
    let told = |arguments: &[&str]| {
        let run = world.run(arguments);
        (serde_json::from_str::<Value>(&run.out).unwrap(), run)
    };
    let (json, run) = told(&["status", "-o", "json"]);
    // Whether this machine's clock is right is not this test's matter.
    let needs = json["needs"].as_array().unwrap();
    let needs: Vec<_> =
        needs.iter().filter(|need| !need.as_str().unwrap().starts_with("the clock")).collect();
    assert_eq!(needs, Vec::<&Value>::new());
    assert!(!run.out.contains('\u{1b}'));
    world.publish("2", object("db", "default", json!([waiting("a", "CrashLoopBackOff")])));
    let (json, run) = told(&["status", "-o", "json"]);
    assert_eq!(run.code, 1);
    assert_eq!(json["pods"]["unwell"][0]["name"], "db-edge-1");
    fs::write(world.runtime().join("events"), event("a", "it broke", 1)).unwrap();
    assert_eq!(world.run(&["status"]).code, 1);
}

#[test]
fn what_an_agent_of_before_published_is_enough() {
    let world = World::with_agent();
    publish(&world, &Value::Null);
    for asked in [&["describe", "node"][..], &["status"], &["doctor"]] {
        let run = world.run(asked);
        assert!(!run.out.is_empty() && !run.err.contains("panicked"), "{asked:?}: {} {}", run.out, run.err);
    }
}

#[test]
fn without_anything_published_each_verb_says_what_to_do() {
    let world = World::with_agent();
    for asked in [&["describe", "node"][..], &["status"], &["top", "node"], &["top", "pods"]] {
        let run = world.run(asked);
        assert_eq!(run.code, 1, "{asked:?}");
        assert!(run.err.contains("start an agent with `holdfast agent`"), "{asked:?}: {}", run.err);
    }
    let doctor = world.run(&["doctor"]);
    assert!(doctor.out.contains("warning  agent        the agent is only starting\n"), "{}", doctor.out);
}
