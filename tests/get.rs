//! `get` and `events` against a published directory; no root needed, no agent, no containers.
#![allow(clippy::unwrap_used)]

#[allow(dead_code, reason = "what other tests use of it")]
mod world;

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdout, Command};

use holdfast::protocol::{Notice, Reply, Request, RunState};
use k8s_openapi::api::core::v1;
use serde_json::{Value, json};
use world::{Leash, PodProcess, World, exited, object, output, running, waiting};

/// A pod with labels.
fn labelled(name: &str, labels: Value) -> Value {
    let mut object = object(name, "default", json!([running("a")]));
    object["metadata"]["labels"] = labels;
    object
}

/// Three pods of one namespace and one of another.
fn pods() -> World {
    let world = World::with_agent();
    world.publish("1", labelled("web-10", json!({"app": "web", "tier": "front"})));
    world.publish("2", labelled("web-9", json!({"app": "web"})));
    let mut db = labelled("db", json!({"app": "db"}));
    db["status"]["phase"] = json!("Pending");
    world.publish("3", db);
    world.publish("4", object("far", "prod", json!([waiting("a", "ErrImagePull")])));
    world
}

fn publish_node(world: &World, object: Value) {
    let data = world.root().join("data");
    let node = json!({
        "version": 1, "name": "edge-1", "pid": 1, "started": 0, "cgroup_root": "/", "data_dir": data,
        "manifests_dir": "/m", "log_dir": "/l", "object": object,
    });
    // As an agent does: whole, by a rename.
    fs::write(world.runtime().join("node.json.new"), node.to_string()).unwrap();
    fs::rename(world.runtime().join("node.json.new"), world.runtime().join("node.json")).unwrap();
}

fn node() -> Value {
    json!({
        "apiVersion": "v1", "kind": "Node",
        "metadata": {"name": "edge-1", "creationTimestamp": "2020-01-01T00:00:00Z", "labels": {"zone": "a"}},
        "spec": {},
        "status": {
            "conditions": [{"type": "Ready", "status": "True"}],
            "nodeInfo": {
                "architecture": "amd64", "bootID": "b", "containerRuntimeVersion": "holdfast://0.1.0",
                "kernelVersion": "6.18.0", "kubeProxyVersion": "", "kubeletVersion": "v1.36.0-holdfast",
                "machineID": "m", "operatingSystem": "linux", "osImage": "Debian", "systemUUID": "s",
            },
        },
    })
}

fn event(name: &str, second: u32, kind: &str, about: (&str, &str), count: u32) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Event",
        "metadata": {"name": name, "namespace": "default", "creationTimestamp": "2020-01-01T00:00:00Z"},
        "involvedObject": {"apiVersion": "v1", "kind": about.0, "name": about.1, "namespace": "default"},
        "reason": "Reason", "message": format!("message of {name}"), "type": kind, "count": count,
        "firstTimestamp": "2020-01-01T00:00:00Z", "lastTimestamp": format!("2020-01-01T00:00:{second:02}Z"),
        "source": {"component": "holdfast", "host": "edge-1"},
    })
}

fn write_events(world: &World, file: &str, events: &[Value]) {
    let mut lines = fs::File::options().create(true).append(true).open(world.runtime().join(file)).unwrap();
    lines.write_all(events.iter().map(|event| format!("{event}\n")).collect::<String>().as_bytes()).unwrap();
}

#[test]
fn what_is_named_is_shown_in_that_order_and_what_is_not_there_is_an_error_each() {
    let world = pods();
    world.check(&["get", "pods", "web-9", "db-edge-1", "-o", "name"], "pod/web-9-edge-1\npod/db-edge-1\n");
    world.check(&["get", "pod/web-9", "po/db", "-o", "name"], "pod/web-9-edge-1\npod/db-edge-1\n");
    let some = world.run(&["get", "pods", "nil", "db", "none", "--no-headers"]);
    assert_eq!((some.code, some.out.lines().count()), (1, 1), "{}", some.err);
    assert!(some.out.starts_with("db-edge-1   1/1   Pending"), "{}", some.out);
    let nowhere = "not found in namespace \"default\"; `holdfast get pods -A` lists all";
    assert_eq!(some.err, format!("error: pod \"nil\" {nowhere}\nerror: pod \"none\" {nowhere}\n"));
    world.check_error(&["get", "pods", "nil", "-o", "json"], "error: pod \"nil\" not found");
    world.check(&["get", "pods", "nil", "--ignore-not-found"], "");
    // Two that are named are a list, as all are.
    let two: Value =
        serde_json::from_str(&world.run(&["get", "pods", "db", "web-9", "-o", "json"]).out).unwrap();
    assert_eq!((&two["kind"], two["items"].as_array().unwrap().len()), (&json!("List"), 2));
}

#[test]
fn pods_are_selected_by_labels_and_by_fields() {
    let world = pods();
    let names = |flags: &[&str]| {
        let run = world.run(&[&["get", "pods", "-o", "name"], flags].concat());
        assert_eq!((run.code, &*run.err), (0, ""));
        run.out.replace("-edge-1\n", " ").replace("pod/", "")
    };
    assert_eq!(names(&["-l", "app=web"]), "web-10 web-9 ");
    assert_eq!(names(&["-l", "app in (web,db),!tier"]), "db web-9 ");
    assert_eq!(names(&["--selector=app!=web"]), "db ");
    assert_eq!(names(&["--field-selector", "status.phase=Pending"]), "db ");
    assert_eq!(names(&["--field-selector=status.phase!=Pending", "-A"]), "web-10 web-9 far ");
    assert_eq!(names(&["--field-selector", "metadata.namespace=prod", "-A"]), "far ");
    assert_eq!(names(&["-l", "app=none"]), "");
    let none = world.run(&["get", "pods", "-l", "app=none"]);
    assert_eq!((none.code, &*none.err), (0, "No resources found in default namespace.\n"));
    world.check_error(&["get", "pods", "-l", "a in b"], "error: selector \"a in b\": found \"b\"");
}

#[test]
fn pods_are_sorted_and_shown_with_their_labels() {
    let world = pods();
    let table = world.run(&["get", "pods", "--sort-by=.metadata.name", "-L", "app", "--show-labels"]);
    let lines: Vec<&str> = table.out.lines().collect();
    assert!(lines[0].ends_with("   APP   LABELS"), "{}", table.out);
    assert!(lines[1].starts_with("db-edge-1 ") && lines[1].ends_with("   db    app=db"), "{}", table.out);
    assert!(lines[2].starts_with("web-9-edge-1 ") && lines[2].ends_with("   web   app=web"), "{}", table.out);
    assert!(lines[3].ends_with("   web   app=web,tier=front"), "{}", table.out);
    world.check_error(
        &["get", "pods", "--sort-by=.x"],
        "error: couldn't find any field with path \".x\" in the list of objects\n",
    );
}

#[test]
fn templates_and_columns_of_ones_own() {
    let world = pods();
    world.check(&["get", "pod", "db", "-o", "jsonpath={.status.phase}"], "Pending");
    let range = r#"jsonpath={range .items[*]}{.metadata.name}={.status.phase}{"\n"}{end}"#;
    let expected = "db-edge-1=Pending\nweb-10-edge-1=Running\nweb-9-edge-1=Running\n";
    world.check(&["get", "pods", "-o", range], expected);
    world.check(
        &["get", "pods", "-o", r#"jsonpath={.items[?(@.metadata.labels.app=="db")].metadata.name}"#],
        "db-edge-1",
    );
    world.check(
        &["get", "pods", "-o", "jsonpath-as-json={.items[0].metadata.labels}"],
        "[\n    {\n        \"app\": \"db\"\n    }\n]\n",
    );
    let columns = "custom-columns=NAME:.metadata.name,APP:.metadata.labels.app,TIER:.metadata.labels.tier";
    let expected = "\
NAME            APP   TIER
db-edge-1       db    <none>
web-10-edge-1   web   front
web-9-edge-1    web   <none>
";
    world.check(&["get", "pods", "-o", columns], expected);
    world.check_error(
        &["get", "pod", "db", "-o", "jsonpath={.spec.containers[3]}"],
        "error: jsonpath \"{.spec.containers[3]}\": array index out of bounds: index 3, length 1\n",
    );
    let file = world.root().join("template");
    fs::write(&file, "{.metadata.namespace}").unwrap();
    world.check(&["get", "pod", "db", "-o", &format!("jsonpath-file={}", file.display())], "default");
}

#[test]
fn the_node_is_ready_while_its_agent_runs() {
    let mut world = World::with_agent();
    publish_node(&world, node());
    let run = world.run(&["get", "nodes"]);
    let words: Vec<&str> = run.out.split_whitespace().collect();
    assert_eq!(words[..8], ["NAME", "STATUS", "ROLES", "AGE", "VERSION", "edge-1", "Ready", "<none>"]);
    world.check(&["get", "no/edge-1", "-o", "name"], "node/edge-1\n");
    world.check_error(&["get", "node", "x"], "error: node \"x\" not found; `holdfast get nodes` lists all\n");
    world.end_agent();
    let run = world.run(&["get", "node", "edge-1", "--no-headers"]);
    assert!(run.out.starts_with("edge-1   NotReady   <none>"), "{}", run.out);
    assert_eq!(run.err, "the agent is not running: this is what it last published\n");
}

#[test]
fn several_kinds_are_several_tables() {
    let world = pods();
    publish_node(&world, node());
    let run = world.run(&["get", "nodes,pods", "-l", "!x", "--field-selector", "metadata.name!=x"]);
    let paragraphs: Vec<&str> = run.out.split("\n\n").collect();
    assert_eq!(paragraphs.len(), 2, "{}{}", run.out, run.err);
    assert!(
        paragraphs[0].contains("\nnode/edge-1 ") && paragraphs[1].contains("\npod/db-edge-1 "),
        "{}",
        run.out
    );
    let list: Value = serde_json::from_str(&world.run(&["get", "no,po", "-o", "json"]).out).unwrap();
    let kinds: Vec<_> = list["items"].as_array().unwrap().iter().map(|item| item["kind"].as_str()).collect();
    assert_eq!(kinds, [Some("Node"), Some("Pod"), Some("Pod"), Some("Pod")]);
    let mixed = "error: manifests are no objects of core/v1: ask for them alone\n";
    fs::write(world.runtime().join("manifests.json"), r#"{"version":1,"directory":"/m","files":[]}"#)
        .unwrap();
    world.check_error(&["get", "pods,manifests", "-o", "json"], mixed);
}

#[test]
fn events_of_both_files_of_the_ring_are_listed_by_time() {
    let world = World::with_agent();
    let pod = ("Pod", "web-edge-1");
    write_events(&world, "events.1", &[event("a", 1, "Normal", pod, 1), event("b", 2, "Warning", pod, 1)]);
    // Told again, and cut off by a full disk.
    write_events(
        &world,
        "events",
        &[event("n", 3, "Normal", ("Node", "edge-1"), 1), event("a", 4, "Normal", pod, 7)],
    );
    fs::File::options()
        .append(true)
        .open(world.runtime().join("events"))
        .unwrap()
        .write_all(b"{\"half")
        .unwrap();
    world.check(&["get", "events", "-o", "name"], "event/b\nevent/n\nevent/a\n");
    world.check(
        &["get", "ev", "--field-selector", "involvedObject.kind=Pod,type=Warning", "-o", "name"],
        "event/b\n",
    );
    world.check(
        &["get", "events", "--sort-by=.metadata.name", "-o", "jsonpath={.items[*].metadata.name}"],
        "a b n",
    );
    let objects = |run: world::Run| {
        let rows = run
            .out
            .lines()
            .map(|line| line.split("   ").filter(|cell| !cell.is_empty()).nth(3).unwrap().trim().to_string());
        rows.collect::<Vec<_>>()
    };
    assert_eq!(
        objects(world.run(&["get", "events"])),
        ["OBJECT", "pod/web-edge-1", "node/edge-1", "pod/web-edge-1"]
    );
    assert_eq!(
        objects(world.run(&["events"])),
        ["OBJECT", "Pod/web-edge-1", "Node/edge-1", "Pod/web-edge-1"]
    );
    assert_eq!(
        objects(world.run(&["events", "--for", "pod/web", "--types=warning"])),
        ["OBJECT", "Pod/web-edge-1"]
    );
    let counted = world.run(&["events", "--for=node/edge-1", "--no-headers"]);
    assert!(
        counted.out.ends_with("   message of n\n") && counted.out.lines().count() == 1,
        "{}",
        counted.out
    );
    assert!(world.run(&["events", "--for", "pod/web"]).out.contains(" (x7 over "), "how often");
    let none = world.run(&["events", "--for", "pod/other"]);
    assert_eq!((none.code, &*none.out, &*none.err), (0, "", "No events found in default namespace.\n"));
    world.check_error(
        &["events", "--for", "web"],
        "error: --for \"web\": write KIND/NAME, such as pod/NAME\n",
    );
    let list: Value = serde_json::from_str(&world.run(&["get", "events", "-o", "json"]).out).unwrap();
    let events: Vec<v1::Event> = serde_json::from_value(list["items"].clone()).unwrap();
    assert_eq!(events[2].count, Some(7));
}

/// A store with one image, as the agent leaves it.
fn write_store(world: &World) {
    let store = world.root().join("data/agent/holdfast/images");
    fs::create_dir_all(&store).unwrap();
    let config =
        json!({"entrypoint": [], "cmd": [], "env": [], "user": "", "working_dir": "", "stop_signal": ""});
    let digest = |c: &str| format!("sha256:{}", c.repeat(64));
    let index = json!({"archives": [], "images": [{
        "id": digest("a"), "names": ["docker.io/library/redis:7"], "digests": [digest("b")],
        "layers": [{"chain": digest("c"), "size": 4_200_000}], "config": config, "architecture": "amd64", "os": "linux",
    }]});
    fs::write(store.join("index.json.new"), index.to_string()).unwrap();
    fs::rename(store.join("index.json.new"), store.join("index.json")).unwrap();
}

#[test]
fn images_are_those_of_the_agents_store() {
    let world = World::with_agent();
    publish_node(&world, node());
    let none = world.run(&["get", "images"]);
    let archives = world.root().join("data/agent/images");
    assert_eq!(
        (none.code, none.err),
        (0, format!("No images found; put an archive into {}\n", archives.display()))
    );
    assert!(!world.root().join("data").exists(), "whoever reads makes nothing");
    write_store(&world);
    let table = "\
NAME                        IMAGE ID        SIZE
docker.io/library/redis:7   aaaaaaaaaaaaa   4.2MB
";
    world.check(&["get", "images"], table);
    for name in ["redis:7", "docker.io/library/redis:7", "aaaaaaaaaaaaa"] {
        world.check(&["get", "images", name], table);
    }
    world.check(&["get", "images", "-o", "name"], "image/docker.io/library/redis:7\n");
    world.check(&["get", "images", "-o", "jsonpath={.images[*].size}"], "4200000");
    world.check_error(
        &["get", "image", "nginx"],
        "error: image \"nginx\" not found; `holdfast get images` lists all\n",
    );
}

#[test]
fn objects_are_read_by_a_kubernetes_client() {
    let world = pods();
    publish_node(&world, node());
    let read: v1::Node =
        serde_json::from_str(&world.run(&["get", "node", "edge-1", "-o", "json"]).out).unwrap();
    assert_eq!(serde_json::to_value(&read).unwrap(), node());
    let list: Value = serde_json::from_str(&world.run(&["get", "pods", "-A", "-o", "json"]).out).unwrap();
    let pods: Vec<v1::Pod> = serde_json::from_value(list["items"].clone()).unwrap();
    assert_eq!(pods.len(), 4);
    let yaml: Value = serde_yaml::from_str(&world.run(&["get", "pods", "-A", "-o", "yaml"]).out).unwrap();
    assert_eq!(yaml, list);
}

#[test]
fn what_is_no_kind_here_is_explained() {
    let world = pods();
    world.check_error(
        &["get", "deployments"],
        "error: there are no deployments on this node; pods come from manifests: holdfast get pods\n",
    );
    world.check_error(
        &["get", "widgets"],
        "error: there is no kind \"widgets\"; there are pods (po), manifests, ",
    );
}

/// Threat: a manifest whose annotation draws on the terminal of whoever lists it.
#[test]
fn a_template_is_raw_in_a_pipe_and_harmless_on_a_terminal() {
    let world = World::with_agent();
    let mut hostile = object("web", "default", json!([running("a")]));
    hostile["metadata"]["annotations"] = json!({"x": "\u{1b}[2J\u{202e}x"});
    world.publish("1", hostile);
    let template = "jsonpath={.metadata.annotations.x}";
    world.check(&["get", "pod", "web", "-o", template], "\u{1b}[2J\u{202e}x");
    let terminal = nix::pty::openpty(None, None).unwrap();
    for output in [template, "custom-columns=X:.metadata.annotations.x", "json", "yaml"] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_holdfast"));
        command.arg("--runtime-dir").arg(world.runtime()).args(["get", "pod", "web", "-o", output]);
        let status =
            command.stdout(terminal.slave.try_clone().unwrap()).env("NO_COLOR", "1").status().unwrap();
        assert!(status.success());
        let mut shown = vec![0; 64 * 1024];
        let length =
            nix::unistd::read(std::os::fd::AsRawFd::as_raw_fd(&terminal.master), &mut shown).unwrap();
        let shown = String::from_utf8_lossy(&shown[..length]).into_owned();
        assert!(shown.contains("[2J"), "{output}: {shown:?}");
        assert!(!shown.contains(['\u{1b}', '\u{202e}']), "{output}: {shown:?}");
    }
}

/// A command that goes on, and what it says.
struct Watch {
    leash: Leash,
    child: Child,
    lines: std::io::Lines<BufReader<ChildStdout>>,
}

impl Watch {
    fn start(world: &World, arguments: &[&str]) -> Watch {
        let mut child = world.spawn(arguments);
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Watch { leash: Leash::of(&child), child, lines }
    }

    /// The next line of stdout, its blanks squeezed.
    fn line(&mut self) -> String {
        let line = self.lines.next().expect("it goes on, and says this in time").unwrap();
        line.split_whitespace().collect::<Vec<_>>().join(" ")
    }

    /// Nobody reads any more: it ends well, having said this to people.
    fn end(mut self) -> String {
        drop(self.lines);
        let status = self.child.wait().unwrap();
        let mut told = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut told).unwrap();
        assert!(status.success(), "{status}: {told}");
        drop(self.leash);
        told
    }
}

#[test]
fn a_watch_shows_what_comes_changes_and_goes() {
    let world = World::with_agent();
    world.publish("1", object("web", "default", json!([running("a")])));
    let mut watch = Watch::start(&world, &["get", "pods", "-w"]);
    assert_eq!(watch.line(), "NAME READY STATUS RESTARTS AGE");
    assert_eq!(watch.line(), "web-edge-1 1/1 Running 0 400d");
    world.publish("2", object("db", "default", json!([waiting("a", "ContainerCreating")])));
    assert_eq!(watch.line(), "db-edge-1 0/1 ContainerCreating 2 (300d ago) 400d");
    // What does not show is no line.
    let mut same = object("web", "default", json!([running("a")]));
    same["metadata"]["annotations"] = json!({"x": "y"});
    world.publish("1", same);
    world.publish("3", object("far", "prod", json!([running("a")])));
    world.publish("2", object("db", "default", json!([running("a")])));
    assert_eq!(watch.line(), "db-edge-1 1/1 Running 0 400d");
    fs::remove_dir_all(world.pod("1")).unwrap();
    assert_eq!(watch.line(), "web-edge-1 1/1 Running 0 400d");
    assert_eq!(watch.end(), "");
}

#[test]
fn a_watch_of_nothing_begins_with_the_first() {
    let world = World::with_agent();
    let mut watch = Watch::start(&world, &["get", "pods", "-w", "-l", "app=web"]);
    world.publish("1", labelled("db", json!({"app": "db"})));
    world.publish("2", labelled("web", json!({"app": "web"})));
    assert_eq!(watch.line(), "NAME READY STATUS RESTARTS AGE");
    assert_eq!(watch.line(), "web-edge-1 1/1 Running 0 400d");
    assert_eq!(watch.end(), "");
    world.check_error(&["get", "pods", "nil", "-w"], "error: pod \"nil\" not found");
}

#[test]
fn a_watch_goes_on_when_the_agent_dies_and_when_it_comes_back() {
    let mut world = World::with_agent();
    world.publish("1", object("web", "default", json!([running("a")])));
    let process = PodProcess::listen(&world, "1");
    let mut watch = Watch::start(&world, &["get", "pods", "-w", "--no-headers"]);
    assert_eq!(watch.line(), "web-edge-1 1/1 Running 0 400d");
    world.end_agent();
    // Nobody else listens to the pod process now.
    let listening = process.accept();
    assert_eq!(listening.request().0, Request::Watch);
    listening.reply(&Reply::State(world::state(vec![world::runs("a", 0)])));
    let state = |runs: Vec<RunState>| {
        let asking = process.accept();
        assert_eq!(asking.request().0, Request::State);
        asking.reply(&Reply::State(world::state(runs)));
    };
    state(vec![world::runs("a", 0)]);
    listening.reply(&Reply::Notice(Notice::Exited(exited("a", 0, 1))));
    state(vec![RunState::Exited(exited("a", 0, 1))]);
    assert_eq!(watch.line(), "web-edge-1 0/1 Error 0 400d");
    // The pod process goes with all that ran.
    drop(process);
    drop(listening);
    let lock = fs::File::options().write(true).open(world.runtime().join("lock")).unwrap();
    lock.lock().unwrap();
    publish_node(&world, Value::Null);
    world.publish("1", object("web", "default", json!([waiting("a", "CrashLoopBackOff")])));
    loop {
        let line = watch.line();
        if line == "web-edge-1 0/1 CrashLoopBackOff 2 (300d ago) 400d" {
            break;
        }
        // What was last published, when nothing of it ran any more.
        assert!(
            line.contains("Error") || line.contains("ContainerStatusUnknown") || line.contains("Running"),
            "{line}"
        );
    }
    let told = watch.end();
    let expected = "the agent has ended: what follows is what its pods say\nthe agent runs again\n";
    assert_eq!(told, expected);
}

/// Were the second asked after the first only, it would be after the first was given up.
#[test]
fn pod_processes_are_asked_all_at_once() {
    let world = World::without_agent();
    world.publish("1", object("db", "default", json!([running("a")])));
    world.publish("2", object("web", "default", json!([running("a")])));
    let processes = [PodProcess::listen(&world, "1"), PodProcess::listen(&world, "2")];
    // A command may be late on a machine with much to do, and is then asked for again.
    let begun = std::time::Instant::now();
    loop {
        let child = world.spawn(&["get", "pods", "-o", "name"]);
        let asked = processes.each_ref().map(PodProcess::accept);
        for connection in &asked {
            assert_eq!(connection.request().0, Request::State);
        }
        for connection in &asked {
            connection.reply_or_be_late(&Reply::State(world::state(vec![world::runs("a", 0)])));
        }
        let run = output(child);
        assert_eq!(run.out, "pod/db-edge-1\npod/web-edge-1\n");
        if !run.err.contains("warning") {
            break;
        }
        assert!(begun.elapsed() < world::LONGEST, "{}", run.err);
    }
}

#[test]
fn a_watch_speaks_every_format() {
    let world = World::with_agent();
    world.publish("1", object("web", "default", json!([running("a")])));
    let change = || world.publish("1", object("web", "default", json!([waiting("a", "Error")])));
    let undo = || world.publish("1", object("web", "default", json!([running("a")])));

    let mut watch = Watch::start(&world, &["get", "pods", "-w", "-o", "name"]);
    assert_eq!(watch.line(), "pod/web-edge-1");
    change();
    assert_eq!(watch.line(), "pod/web-edge-1");
    watch.end();
    undo();

    let ready = r#"jsonpath={.status.containerStatuses[0].ready}{"\n"}"#;
    let mut watch = Watch::start(&world, &["get", "pods", "-w", "-o", ready]);
    assert_eq!(watch.line(), "true");
    change();
    assert_eq!(watch.line(), "false");
    watch.end();
    undo();

    for (format, between) in [("yaml", Some("---")), ("json", None)] {
        let mut watch = Watch::start(&world, &["get", "pods", "-w", "-o", format]);
        let mut kinds = 0;
        let mut seen = Vec::new();
        while kinds < 2 {
            let line = watch.line();
            if line.trim_start_matches('"').starts_with("kind") {
                kinds += 1;
                if kinds == 1 {
                    change();
                }
            }
            seen.push(line);
        }
        assert_eq!(
            seen.iter().any(|line| Some(line.as_str()) == between),
            between.is_some(),
            "{format}: {seen:?}"
        );
        watch.end();
        undo();
    }
}

#[test]
fn a_watch_tells_of_events_nodes_images_and_manifests() {
    let world = World::with_agent();
    publish_node(&world, node());
    write_store(&world);
    let store = world.root().join("data/agent/holdfast/images");
    let pod = ("Pod", "web-edge-1");
    write_events(&world, "events", &[event("a", 1, "Normal", pod, 1)]);
    let mut watch = Watch::start(&world, &["events", "-w", "-o", "name"]);
    assert_eq!(watch.line(), "event/a");
    write_events(&world, "events", &[event("b", 2, "Normal", pod, 1)]);
    assert_eq!(watch.line(), "event/b");
    // The ring goes on in a new file, and what it forgets is no news.
    fs::rename(world.runtime().join("events"), world.runtime().join("events.1")).unwrap();
    write_events(&world, "events", &[event("c", 3, "Normal", pod, 1)]);
    assert_eq!(watch.line(), "event/c");
    fs::remove_file(world.runtime().join("events.1")).unwrap();
    write_events(&world, "events", &[event("c", 3, "Normal", pod, 2)]);
    assert_eq!(watch.line(), "event/c");
    watch.end();

    let mut watch = Watch::start(&world, &["get", "nodes", "-w", "--no-headers"]);
    assert!(watch.line().starts_with("edge-1 Ready <none>"));
    let mut unready = node();
    unready["status"]["conditions"][0]["status"] = json!("False");
    publish_node(&world, unready);
    assert!(watch.line().starts_with("edge-1 NotReady <none>"));
    watch.end();

    let mut watch = Watch::start(&world, &["get", "images", "-w", "-o", "jsonpath={.size}{\"\\n\"}"]);
    assert_eq!(watch.line(), "4200000");
    let index = fs::read_to_string(store.join("index.json")).unwrap();
    fs::write(store.join("index.json.new"), index.replace("4200000", "1000")).unwrap();
    fs::rename(store.join("index.json.new"), store.join("index.json")).unwrap();
    assert_eq!(watch.line(), "1000");
    watch.end();

    let manifests = |state: &str| {
        let verdict = json!({"version": 1, "directory": "/m", "files": [{"name": "a.yaml", "state": state}]});
        fs::write(world.runtime().join("manifests.json.new"), verdict.to_string()).unwrap();
        fs::rename(world.runtime().join("manifests.json.new"), world.runtime().join("manifests.json"))
            .unwrap();
    };
    manifests("accepted");
    let mut watch = Watch::start(&world, &["get", "manifests", "-w", "--no-headers"]);
    assert_eq!(watch.line(), "a.yaml Accepted <none>");
    manifests("refused");
    assert_eq!(watch.line(), "a.yaml Refused <none>");
    watch.end();
}

#[test]
fn a_watch_that_nobody_reads_ends_by_itself() {
    let world = World::with_agent();
    world.publish("1", object("web", "default", json!([running("a")])));
    let mut watch = Watch::start(&world, &["get", "pods", "-w", "-o", "name"]);
    assert_eq!(watch.line(), "pod/web-edge-1");
    // Nothing changes any more: the end of the reader alone wakes it.
    assert_eq!(watch.end(), "");
    // So does the end of all there was.
    let mut watch = Watch::start(&world, &["get", "pods", "-w", "-o", "name"]);
    assert_eq!(watch.line(), "pod/web-edge-1");
    fs::rename(world.runtime(), world.root().join("away")).unwrap();
    fs::write(world.root().join("away/node.json"), "").unwrap();
    let run = output(watch.child);
    fs::rename(world.root().join("away"), world.runtime()).unwrap();
    assert_eq!(run.code, 1, "{}", run.err);
    assert!(run.err.contains(" is gone, and with it all there was to watch"), "{}", run.err);
}
