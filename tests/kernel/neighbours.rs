//! Pods of a node find each other by name, with nobody to ask.

use std::fs;
use std::path::PathBuf;

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::harness::image::shell;
use crate::harness::kernel::signal;
use crate::harness::pod::{pod, with, with_main};
use crate::harness::{SOON, World, eventually};
use crate::network::{address, alone};

/// A world whose pods have a network, with an image of Debian's busybox.
fn with_shell() -> World {
    let mut world = alone();
    world.kill_agent();
    fs::copy(shell(), world.archives().join("shell.tar")).unwrap();
    world.start_agent();
    world
}

/// A pod of that image, which runs `words`; its own web server where there are none.
fn busybox(name: &str, words: &[&str]) -> Value {
    let image =
        json!({"image": "docker.io/library/busybox:1.28", "imagePullPolicy": "Never", "command": words});
    let mut pod = with(with_main(pod(name, &[]), image), json!({"terminationGracePeriodSeconds": 1}));
    if words.is_empty() {
        pod["spec"]["containers"][0].as_object_mut().unwrap().remove("command");
    }
    pod
}

/// Whom busybox' ping in pod `from` of `namespace` reaches by `name`; `None` where it knows nobody of that name.
fn reached(world: &World, namespace: &str, from: &str, name: &str) -> Option<String> {
    let from = world.pod_name(from);
    let said = world.cli(&["exec", "-n", namespace, &from, "--", "busybox", "ping", "-c1", "-W5", name]);
    let text = String::from_utf8(said.stdout).unwrap();
    let address = text.split_once('(')?.1.split_once(')')?.0;
    said.status.success().then(|| address.to_owned())
}

fn finds(world: &World, namespace: &str, from: &str, name: &str, address: &str) {
    let found = || (reached(world, namespace, from, name)? == address).then_some(());
    eventually(SOON, &format!("{from} finds {name} at {address}"), found);
}

/// `/etc/hosts` of a pod, as it lies on the disk.
fn file(world: &World, name: &str) -> PathBuf {
    let uid = world.pod(name).unwrap().uid();
    world.data().join("agent/holdfast/pods").join(uid).join("etc/hosts")
}

fn hosts(world: &World, name: &str) -> String {
    fs::read_to_string(file(world, name)).unwrap()
}

#[test]
fn pods_find_each_other_by_name_and_who_comes_back_elsewhere_is_found_there() {
    let mut world = with_shell();
    world.write("asks.yaml", &busybox("asks", &["sleep", "1000"]));
    let mut elsewhere = busybox("lab", &["sleep", "1000"]);
    elsewhere["metadata"]["namespace"] = json!("lab");
    world.write("lab.yaml", &elsewhere);
    let life = world.running("asks").life();
    let web = || with(busybox("web", &[]), json!({"hostname": "front"}));
    world.write("web.yaml", &web());
    let first = address(&world.running("web"));
    let whole = world.pod_name("web");
    for name in ["web", "front", "web.default", "front.default", &whole, &format!("{whole}.default")] {
        finds(&world, "default", "asks", name, &first);
    }
    finds(&world, "default", "web", "web", &first);
    // Of another namespace by that, and by nothing shorter.
    finds(&world, "lab", "lab", "web.default", &first);
    assert_eq!(reached(&world, "lab", "lab", "web"), None);

    world.remove("web.yaml");
    world.gone("web");
    assert!(!hosts(&world, "asks").contains(&first), "{}", hosts(&world, "asks"));
    assert_eq!(reached(&world, "default", "asks", "web"), None);
    world.write("web.yaml", &web());
    let second = address(&world.running("web"));
    assert_ne!(second, first);
    finds(&world, "default", "asks", "web", &second);

    // One that dies while no agent is there is another one for the next.
    world.kill_agent();
    let uid = world.pod("web").unwrap().uid();
    signal(world.place().pod_process(&uid).unwrap(), Signal::SIGKILL);
    world.start_agent();
    let third = address(&world.once("web", "is up again", |pod| pod.is("Ready") && address(pod) != second));
    assert!(!hosts(&world, "asks").contains(&second), "{}", hosts(&world, "asks"));
    finds(&world, "default", "asks", "web", &third);
    assert_eq!(world.running("asks").life(), life);
}

/// In the node's network, where it is found at the node's address among the pods, and finds them.
#[test]
fn a_pod_in_the_nodes_network_finds_the_others_and_is_found() {
    let world = with_shell();
    let node = |name: &str| with(busybox(name, &[]), json!({"hostNetwork": true}));
    world.write("node.yaml", &node("node"));
    world.write("web.yaml", &busybox("web", &[]));
    world.running("node");
    let web = address(&world.running("web"));
    finds(&world, "default", "web", "node", "10.42.0.1");
    finds(&world, "default", "node", "web.default", &web);
    let found = hosts(&world, "web");
    assert!(found.lines().any(|line| line.starts_with("10.42.0.1\tnode\t")), "{found}");
    let of_node = fs::read_to_string("/etc/hosts").unwrap_or_default();
    assert!(hosts(&world, "node").contains(&of_node));
}

/// Threat 23, CVE-2020-8557, and what else a container may do to a file that the agent writes to.
#[test]
fn whoever_spoils_its_own_hosts_harms_nobody() {
    let world = with_shell();
    let alias = json!({"hostAliases": [{"ip": "192.0.2.7", "hostnames": ["last", "plc"]}]});
    world.write("fills.yaml", &busybox("fills", &["sleep", "1000"]));
    world.write("leases.yaml", &pod("leases", &["lease", "/etc/hosts"]));
    world.write("fine.yaml", &with(pod("fine", &["trap-term"]), alias));
    ["fills", "leases", "fine"].into_iter().for_each(|name| drop(world.running(name)));
    eventually(SOON, "the lease is taken", || world.log("leases").contains("taken").then_some(()));
    let before = world.running("fine").life();
    let fill = "busybox yes | busybox head -c 100000 >/etc/hosts; busybox mv /bin/echo /etc/hosts";
    assert!(!world.cli(&["exec", &world.pod_name("fills"), "--", "sh", "-c", fill]).status.success());
    assert_eq!(hosts(&world, "fills").len(), 100_000);
    // Opened by whoever waits, a leased file holds him up for 45 seconds.
    world.write("last.yaml", &pod("last", &["trap-term"]));
    let last = address(&world.running("last"));
    let found = hosts(&world, "fine");
    assert!(found.contains(&format!("{last}\t{}", world.pod_name("last"))), "{found}");
    assert!(
        found.contains("192.0.2.7\tlast\tplc\n") && !found.contains(&format!("{last}\tlast\t")),
        "{found}"
    );
    assert!(
        hosts(&world, "fills").starts_with("# Kubernetes-managed") && hosts(&world, "fills").len() < 4096
    );
    assert!(world.agent_log().contains("it does not learn who else is up"), "{}", world.agent_log());
    // A link in its place leads nowhere.
    let (canary, link) = (world.shared().join("canary"), file(&world, "leases"));
    fs::write(&canary, "untouched").unwrap();
    fs::remove_file(&link).unwrap();
    std::os::unix::fs::symlink(&canary, &link).unwrap();
    world.remove("last.yaml");
    world.gone("last");
    assert_eq!(fs::read_to_string(&canary).unwrap(), "untouched");
    assert!(!hosts(&world, "fine").contains(&last));
    assert_eq!(world.running("fine").life(), before);
}
