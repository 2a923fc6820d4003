//! Servers that people run, in images of Debian's packages, from a registry and on several machines.

use std::fs;
use std::sync::Arc;

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::harness::image::tool;
use crate::harness::kernel::signal;
use crate::harness::{Machine, SOON, World, eventually, servers};
use crate::lifecycle::main_process;
use crate::network::ask;
use crate::openssl::Papers;
use crate::origin::{NAME, Origin, PASSWORD};

/// What nginx is told; its page is another file.
const NGINX: &str = "\
user www-data;
error_log stderr;
pid /run/nginx.pid;
worker_processes 1;
events {}
http {
  access_log off;
  server {
    listen 80;
    root /page;
  }
}
";

fn config_map(name: &str, data: Value) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data})
}

fn manifest(name: &str, container: Value, volumes: Value) -> Value {
    let mut container = container;
    container["name"] = json!("main");
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name},
        "spec": {"terminationGracePeriodSeconds": 5, "containers": [container], "volumes": volumes},
    })
}

/// nginx on port 8080 of the node: configuration and page are two ConfigMaps.
fn nginx(world: &World) {
    world.write("nginx-conf.yaml", &config_map("nginx-conf", json!({"nginx.conf": NGINX})));
    world.write("page.yaml", &config_map("page", json!({"index.html": "from a ConfigMap\n"})));
    let container = json!({
        "image": "nginx:1.22",
        "args": ["-c", "/config/nginx.conf", "-e", "stderr", "-g", "daemon off;"],
        "ports": [{"containerPort": 80, "hostPort": 8080}],
        "readinessProbe": {"httpGet": {"path": "/", "port": 80}, "periodSeconds": 1},
        "volumeMounts": [{"name": "conf", "mountPath": "/config"}, {"name": "page", "mountPath": "/page"}],
    });
    let volumes = json!([
        {"name": "conf", "configMap": {"name": "nginx-conf"}},
        {"name": "page", "configMap": {"name": "page"}},
    ]);
    world.write("nginx.yaml", &manifest("nginx", container, volumes));
}

/// redis with its data in an emptyDir.
fn redis(world: &World) {
    let container = json!({
        "image": "redis", "imagePullPolicy": "IfNotPresent",
        "args": ["--dir", "/data", "--appendonly", "yes"],
        "readinessProbe": {"exec": {"command": ["redis-cli", "ping"]}, "periodSeconds": 1},
        "volumeMounts": [{"name": "data", "mountPath": "/data"}],
    });
    world.write("redis.yaml", &manifest("redis", container, json!([{"name": "data", "emptyDir": {}}])));
}

/// etcd at `address`, one of `members`, with its data in a folder of the node.
fn etcd(world: &World, address: &str, members: &[&str]) {
    let cluster: Vec<String> =
        members.iter().map(|member| format!("{}=http://{member}:2380", called(member))).collect();
    let flags = [
        format!("--name={}", called(address)),
        "--data-dir=/data/etcd".to_owned(),
        "--listen-client-urls=http://0.0.0.0:2379".to_owned(),
        "--listen-peer-urls=http://0.0.0.0:2380".to_owned(),
        format!("--advertise-client-urls=http://{address}:2379"),
        format!("--initial-advertise-peer-urls=http://{address}:2380"),
        format!("--initial-cluster={}", cluster.join(",")),
    ];
    let container = json!({
        "image": "quay.io/coreos/etcd:3.4", "imagePullPolicy": "IfNotPresent",
        "args": flags,
        "ports": [{"containerPort": 2379, "hostPort": 2379}, {"containerPort": 2380, "hostPort": 2380}],
        "readinessProbe": {"httpGet": {"path": "/health", "port": 2379}, "periodSeconds": 1},
        "volumeMounts": [{"name": "data", "mountPath": "/data"}],
    });
    let data = json!([{"name": "data", "hostPath": {"path": world.shared()}}]);
    world.write("etcd.yaml", &manifest("etcd", container, data));
}

/// A member's name.
fn called(address: &str) -> String {
    format!("at-{}", address.replace('.', "-"))
}

/// What a program says that is run by `exec` in the pod called `name`.
fn inside(world: &World, name: &str, command: &[&str]) -> String {
    let pod = world.pod_name(name);
    let said = world.says(&[&["exec", &pod, "--"], command].concat());
    said.trim_end().to_owned()
}

/// 8.08, 14.07, 14.11: over TLS and with a password; the pods are reached by a port of the node, by `exec`, and by each other.
#[test]
fn nginx_redis_and_etcd_come_from_a_private_registry_and_answer() {
    let (machine, lan) = (Arc::new(Machine::new()), Machine::new());
    machine.connect(("lan0", "192.0.2.1/24"), &lan, ("lan0", "192.0.2.9/24"));
    let mut world = World::without_agent();
    world.machine = Some(machine.clone());
    let papers = Papers::new();
    papers.signed("here", "IP:127.0.0.1", "20200101000000Z", "20991231000000Z");
    let folder = world.dir.join("origin");
    let origin = machine.inside(|| Origin::guarded(&folder, tool("docker-registry"), &papers.file("")));
    for (archive, name) in [
        (servers::nginx(), "library/nginx:1.22"),
        (servers::redis(), "library/redis:latest"),
        (servers::etcd(), "coreos/etcd:3.4"),
    ] {
        let from = format!("docker-archive:{}", archive.display());
        machine.inside(|| origin.push(tool("skopeo"), &from, name));
    }
    let host = format!("127.0.0.1:{}", origin.port);
    let endpoint = format!("{{endpoint: ['https://{host}']}}");
    let registries = world.registries();
    let settings = |password: &str| {
        let auth = format!("auth: {{username: {NAME}, password: '{password}'}}");
        let tls = format!("tls: {{ca_file: {}}}", papers.file("ca.pem").display());
        let text = format!(
            "mirrors: {{docker.io: {endpoint}, quay.io: {endpoint}}}\nconfigs: {{'{host}': {{{auth}, {tls}}}}}"
        );
        fs::write(&registries, text).unwrap();
    };
    settings("wrong");
    world.start_agent();
    redis(&world);
    world.once("redis", "is not let in", |pod| {
        pod.main()["state"]["waiting"]["message"].to_string().contains("401")
    });
    // Taken up by the next try, without a restart of the agent.
    settings(PASSWORD);
    nginx(&world);
    etcd(&world, "192.0.2.1", &["192.0.2.1"]);
    for name in ["nginx", "redis", "etcd"] {
        world.once(name, "is ready", |pod| pod.is("Ready"));
    }

    let page = load(&lan, "http://192.0.2.1:8080/", "1s");
    assert!(
        page.contains("requests in") && !page.contains("Non-2xx") && !page.contains("Socket errors"),
        "{page}"
    );
    let page = ask(&lan, "192.0.2.1:8080").unwrap();
    assert!(page.starts_with("HTTP/1.1 200 OK") && page.ends_with("from a ConfigMap\n"), "{page}");
    assert_eq!(inside(&world, "redis", &["redis-cli", "set", "colour", "blue"]), "OK");
    assert_eq!(inside(&world, "redis", &["redis-cli", "get", "colour"]), "blue");
    assert_eq!(inside(&world, "etcd", &["etcdctl", "put", "a", "b"]), "OK");
    let seen = lan.run(tool("etcdctl").args(["--endpoints", "192.0.2.1:2379", "get", "a"]));
    assert_eq!(seen, "a\nb\n");
}

/// wrk's report of `address` for `time`.
fn load(from: &Machine, address: &str, time: &str) -> String {
    from.run(tool("wrk").args(["--threads", "1", "--connections", "8", "--duration", time, address]))
}

/// Three machines on one LAN, each with an agent, and somebody who looks on.
fn three() -> ([World; 3], Machine) {
    let lan = Machine::new();
    lan.ip("link add lan type bridge");
    lan.ip("link set lan up");
    lan.ip("address add 192.0.2.9/24 dev lan");
    let world = |number: usize| {
        let machine = Arc::new(Machine::new());
        let address = format!("{}/24", MEMBERS[number]);
        machine.plug(("lan0", &address), &lan, &format!("to{number}"), "lan");
        let mut world = World::without_agent();
        world.machine = Some(machine);
        fs::copy(servers::etcd(), world.archives().join("etcd.tar")).unwrap();
        world.start_agent();
        etcd(&world, MEMBERS[number], &MEMBERS);
        world
    };
    ([0, 1, 2].map(world), lan)
}

const MEMBERS: [&str; 3] = ["192.0.2.1", "192.0.2.2", "192.0.2.3"];

/// One machine stops at once, agent and all, while somebody writes; it comes back, and has every write that was confirmed.
#[test]
fn three_etcd_members_lose_no_write_when_one_machine_stops_and_comes_back() {
    let (mut worlds, lan) = three();
    for world in &worlds {
        world.once("etcd", "is ready", |pod| pod.is("Ready"));
    }
    let endpoints =
        |of: &[&str]| of.iter().map(|member| format!("{member}:2379")).collect::<Vec<_>>().join(",");
    let say = |of: &[&str], args: &[&str]| {
        lan.inside(|| tool("etcdctl").args(["--endpoints", &endpoints(of)]).args(args).output().unwrap())
    };
    let mut confirmed = Vec::new();
    let mut write = |number: usize| {
        let key = format!("key{number:03}");
        let output = say(&MEMBERS, &["put", &key, "written"]);
        if output.status.success() {
            confirmed.push(key);
        }
    };
    (0..20).for_each(&mut write);
    let uid = worlds[0].pod("etcd").unwrap().uid();
    let processes = [worlds[0].place().pod_process(&uid).unwrap(), main_process(&worlds[0], &uid, "main")];
    worlds[0].kill_agent();
    processes.iter().for_each(|process| signal(*process, Signal::SIGKILL));
    (20..60).for_each(&mut write);
    assert!(
        !say(&MEMBERS[..1], &["--dial-timeout=1s", "--command-timeout=1s", "endpoint", "health"])
            .status
            .success()
    );
    worlds[0].start_agent();
    let back = worlds[0].once("etcd", "is ready again", |pod| pod.restarts() == 1 && pod.is("Ready"));
    assert_eq!(back.uid(), uid);
    (60..70).for_each(&mut write);
    assert!(60 <= confirmed.len(), "{} of 70 writes", confirmed.len());
    // What the member itself has, without asking the others.
    let has = || {
        let output = say(&MEMBERS[..1], &["get", "--consistency=s", "--prefix", "--keys-only", "key"]);
        String::from_utf8(output.stdout).unwrap()
    };
    eventually(SOON, "the member has caught up", || {
        let has = has();
        confirmed.iter().all(|key| has.lines().any(|line| line == key)).then_some(())
    });
}
