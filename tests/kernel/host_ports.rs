//! Ports of the node: one pod's at a time.

use serde_json::{Value, json};

use crate::harness::World;
use crate::harness::pod::{pod, with, with_main};

/// A port that is nobody's at this moment.
fn free_port() -> u16 {
    std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port()
}

/// A pod in the node's network that listens on `port`.
fn listens(name: &str, port: u16) -> Value {
    let pod = with(pod(name, &["listen", &port.to_string()]), json!({"hostNetwork": true}));
    with_main(pod, json!({"ports": [{"containerPort": port}]}))
}

/// 1.28
#[test]
fn who_wants_a_port_that_is_taken_waits_says_for_whom_and_starts_when_it_is_free() {
    let mut world = World::new();
    let port = free_port();
    world.write("first.yaml", &listens("first", port));
    world.running("first");
    world.write("second.yaml", &listens("second", port));
    let seen = world.once("second", "waits", |pod| pod.reason() == "NodePorts");
    assert_eq!((seen.phase(), &seen.0["status"]["reason"]), ("Pending".to_owned(), &json!("NodePorts")));
    let why = format!("TCP {port} is taken by pod default/{}", world.pod_name("first"));
    let list = world.says(&["get", "pods"]);
    assert!(list.lines().any(|line| line.starts_with("second") && line.contains(" NodePorts ")), "{list}");
    let described = world.says(&["describe", "pod", &world.pod_name("second")]);
    let event = |line: &&str| line.contains("Warning") && line.contains("NodePorts") && line.contains(&why);
    assert!(described.lines().any(|line| event(&line)), "{described}");

    // The next agent finds both as they were.
    world.kill_agent();
    world.start_agent();
    let life = world.running("first").life();
    world.once("second", "still waits", |pod| pod.reason() == "NodePorts");
    assert_eq!(world.running("first").life(), life);

    world.remove("first.yaml");
    world.running("second");
    world.gone("first");
}

/// 1.14
#[test]
fn an_edited_pod_gets_its_own_port_again() {
    let world = World::new();
    let port = free_port();
    world.write("web.yaml", &listens("web", port));
    let before = world.running("web").uid();
    world.write("a.yaml", &listens("a", port));
    world.once("a", "waits", |pod| pod.reason() == "NodePorts");
    let mut edited = listens("web", port);
    edited["spec"]["containers"][0]["name"] = json!("renamed");
    world.write("web.yaml", &edited);
    let after = world.once("web", "is the new version", |pod| pod.uid() != before && pod.is("Ready"));
    assert_eq!(after.0["status"]["containerStatuses"][0]["restartCount"], 0);
    assert_eq!(world.pod("a").unwrap().reason(), "NodePorts");
}

#[test]
fn what_the_node_has_too_little_for_runs_with_a_warning() {
    let world = World::new();
    let resources = json!({"resources": {"requests": {"memory": "1Pi", "cpu": "1m"}}});
    world.write("large.yaml", &with_main(pod("large", &["trap-term"]), resources));
    world.running("large");
    let described = world.says(&["describe", "pod", &world.pod_name("large")]);
    let told: Vec<&str> = described.lines().filter(|line| line.contains("OutOf")).collect();
    assert_eq!(told.len(), 1, "{described}");
    let words = "Node didn't have enough resource: memory, requested: 1125899906842624, used: 0, capacity: ";
    assert!(told[0].contains("OutOfmemory") && told[0].contains(words), "{}", told[0]);
}
