//! What users type: each manifest as it stands in `tests/manifests`, and what they expect of it. `redis` has a story of its own.

use std::fs;

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use super::lifecycle::main_process;
use crate::harness::image::shell;
use crate::harness::kernel::signal;
use crate::harness::{A_WHILE, SOON, Seen, World, eventually, stays_true_for};

fn text(name: &str) -> String {
    fs::read_to_string(format!("tests/manifests/{name}.yaml")).unwrap()
}

fn with_images(world: &World) {
    fs::copy(shell(), world.archives().join("shell.tar")).unwrap();
}

/// These containers are deaf, as a shell is that is PID 1, and have half a minute: nobody waits for that.
fn hurry(world: &World, uid: &str) {
    world.place().container_processes(uid).into_iter().for_each(|pid| signal(pid, Signal::SIGKILL));
}

fn removed(world: &World, name: &str) {
    let uid = world.pod(name).unwrap().uid();
    world.remove("it.yaml");
    world.once(name, "ends", Seen::is_terminating);
    hurry(world, &uid);
    world.gone(name);
}

fn restarts(pod: &Seen, container: &str) -> u64 {
    pod.container(container)["restartCount"].as_u64().unwrap_or_default()
}

#[test]
fn static_yaml_comes_back_when_killed_changes_when_edited_and_goes_when_removed() {
    let world = World::new();
    with_images(&world);
    world.write_text("it.yaml", &text("static"));
    let first = world.running("myapp-pod");
    assert_eq!(first.full_name(), format!("default/myapp-pod-{}", world.name));
    signal(main_process(&world, &first.uid(), "nginx-container"), Signal::SIGKILL);
    world.once("myapp-pod", "is back", |pod| restarts(pod, "nginx-container") == 1 && pod.is("Ready"));
    world.write_text("it.yaml", &text("static").replace("front-end", "back-end"));
    eventually(SOON, "the old one ends", || world.pods().iter().any(Seen::is_terminating).then_some(()));
    hurry(&world, &first.uid());
    let edited = world.once("myapp-pod", "is another", |pod| pod.uid() != first.uid() && pod.is("Ready"));
    assert_eq!(edited.0["metadata"]["labels"]["type"], "back-end");
    assert_eq!(restarts(&edited, "nginx-container"), 0);
    removed(&world, "myapp-pod");
}

/// `describe` shows the defaults of the probe as it stands; with other numbers it is seen to act.
#[test]
fn liveness_yaml_restarts_what_does_not_answer() {
    let world = World::new();
    with_images(&world);
    let numbers = [
        ("liveness-exec", "exec [ls /tmp/healthy] delay=10s timeout=1s period=5s #success=1 #failure=2"),
        ("liveness-http", "http-get http://:80/ delay=0s timeout=1s period=10s #success=1 #failure=3"),
    ];
    for (name, told) in numbers {
        world.write_text("it.yaml", &text(name));
        world.running(name);
        let described = world.says(&["describe", "pod", &world.pod_name(name)]);
        assert!(described.contains(told), "{described}");
        removed(&world, name);
    }
    let soon = |text: &str| text.replace("spec:\n", "spec:\n  terminationGracePeriodSeconds: 1\n");
    let exec = soon(&text("liveness-exec")).replace("sleep 30", "sleep 2");
    let exec = exec.replace("initialDelaySeconds: 10", "initialDelaySeconds: 1");
    world.write_text("exec.yaml", &exec.replace("periodSeconds: 5", "periodSeconds: 1"));
    let http = soon(&text("liveness-http"));
    let at = "          port: 80";
    assert!(http.contains(at) && exec.contains("sleep 2;"));
    let often = format!("{at}\n        periodSeconds: 1\n        failureThreshold: 1");
    world.write_text("http.yaml", &http.replace(at, &often));
    let seen = world.running("liveness-http");
    stays_true_for(A_WHILE, "who answers is left alone", || {
        world.pod("liveness-http").is_some_and(|now| now.life() == seen.life())
    });
    let pod = world.pod_name("liveness-http");
    world.says(&["exec", &pod, "--", "rm", "/www/index.html"]);
    world.once("liveness-http", "was restarted and answers", |pod| {
        1 <= restarts(pod, "nginx-container") && pod.is("Ready")
    });
    world.once("liveness-exec", "was restarted", |pod| 1 <= restarts(pod, "busybox"));
    let events = world.says(&["events", "-A"]);
    for told in [
        "Liveness probe failed: HTTP probe failed with statuscode: 404",
        "Container nginx-container failed liveness probe, will be restarted",
        "Container busybox failed liveness probe, will be restarted",
    ] {
        assert!(events.contains(told), "{told} in\n{events}");
    }
}

/// There is no cluster whose names could be found, for ever.
#[test]
fn init_yaml_waits_for_its_services_and_says_so() {
    let world = World::new();
    with_images(&world);
    world.write_text("it.yaml", &text("init"));
    let waits = |pod: &Seen| {
        let first = pod.container("init-myservice")["state"]["running"].is_object();
        first && pod.phase() == "Pending" && !pod.is("Initialized")
    };
    world.once("myapp-pod", "waits", waits);
    let table = world.says(&["get", "pods", "--no-headers"]);
    assert_eq!(table.split_whitespace().nth(2), Some("Init:0/2"), "{table}");
    let pod = world.pod_name("myapp-pod");
    let described = world.says(&["describe", "pod", &pod]);
    let next = "container init-mydb is started once init container init-myservice is done";
    assert!(described.contains(next), "{described}");
    eventually(SOON, "its log says what it waits for", || {
        world.says(&["logs", &pod, "-c", "init-myservice"]).contains("waiting for myservice").then_some(())
    });
    stays_true_for(A_WHILE, "it waits on", || world.pod("myapp-pod").is_some_and(|pod| waits(&pod)));
    removed(&world, "myapp-pod");
}

/// All of it but for what is where on this machine.
#[test]
fn kubelet_config_yaml_configures_an_agent() {
    let mut world = World::without_agent();
    let of_node = world.shared().join("resolv.conf");
    fs::write(&of_node, "nameserver 192.0.2.1\n").unwrap();
    let ours = ["apiVersion:", "kind:", "staticPodPath:"];
    let fields = text("kubelet-config");
    let fields: String = fields
        .lines()
        .filter(|line| !ours.iter().any(|field| line.starts_with(field)))
        .map(|line| line.replace("/run/systemd/resolve/resolv.conf", &of_node.display().to_string()) + "\n")
        .collect();
    assert!(fields.contains("fileCheckFrequency: 0s") && fields.contains("webhook:"));
    world.kubelet_config = Some(fields);
    world.start_agent();
    let mut manifest = crate::harness::pod::pod("web", &["cat", "/etc/resolv.conf"]);
    manifest["spec"]["restartPolicy"] = json!("Never");
    world.write("web.yaml", &manifest);
    world.once("web", "has succeeded", |pod| pod.phase() == "Succeeded");
    let log = world.log("web");
    assert!(log.contains("nameserver 10.96.0.10") && log.contains("cluster.local"), "{log}");
    let node: Value = serde_json::from_slice(&fs::read(world.runtime.join("node.json")).unwrap()).unwrap();
    assert_eq!(node["manifests_dir"], world.manifests().display().to_string());
    assert!(world.agent_log().contains("means nothing here: authentication"), "{}", world.agent_log());
}
