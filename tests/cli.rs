//! The binary against a published directory that the test made; no root needed, no agent, no containers.
//!
//! The test plays the agent (by its lock and its files) and the pod process (by its socket).
#![allow(clippy::unwrap_used)]

mod world;

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};

use holdfast::protocol::{Reply, Request, RunState};
use k8s_openapi::api::core::v1;
use serde_json::{Value, json};
use world::{PodProcess, World, exited, object, running, waiting};

#[test]
fn pods_are_listed_as_kubectl_lists_them() {
    let world = World::with_agent();
    world.publish("1", object("web", "default", json!([running("a"), waiting("b", "CrashLoopBackOff")])));
    world.publish("2", object("db", "prod", json!([running("a")])));
    let default = "\
NAME         READY   STATUS             RESTARTS       AGE
web-edge-1   1/2     CrashLoopBackOff   2 (300d ago)   400d
";
    world.check(&["get", "pods"], default);
    world.check(&["get", "pod", "web"], default);
    world.check(&["get", "po", "web-edge-1", "-n", "default"], default);
    let all = "\
NAMESPACE   NAME         READY   STATUS             RESTARTS       AGE
default     web-edge-1   1/2     CrashLoopBackOff   2 (300d ago)   400d
prod        db-edge-1    1/1     Running            0              400d
";
    world.check(&["get", "pods", "-A"], all);
    world.check_error(&["get", "pod", "db"], "error: pod \"db\" not found in namespace \"default\"");
    let none = world.run(&["get", "pods", "-n", "empty"]);
    assert_eq!((none.code, &*none.out, &*none.err), (0, "", "No resources found in empty namespace.\n"));
}

#[test]
fn json_and_yaml_are_read_by_a_kubernetes_client() {
    let world = World::with_agent();
    world.publish("1", object("web", "default", json!([running("a")])));
    world.publish("2", object("on", "default", json!([waiting("a", "ErrImagePull")])));
    let one: v1::Pod = serde_json::from_str(&world.run(&["get", "pod", "web", "-o", "json"]).out).unwrap();
    assert_eq!(one.metadata.name.as_deref(), Some("web-edge-1"));
    for (format, list) in [
        ("json", world.run(&["get", "pods", "-o", "json"])),
        ("yaml", world.run(&["get", "pods", "-o", "yaml"])),
    ] {
        let list: Value = serde_yaml::from_str(&list.out).unwrap();
        assert_eq!((&list["kind"], &list["apiVersion"]), (&json!("List"), &json!("v1")), "{format}");
        let pods: Vec<v1::Pod> = serde_json::from_value(list["items"].clone()).unwrap();
        let phases: Vec<_> = pods.iter().map(|pod| pod.status.as_ref().unwrap().phase.as_deref()).collect();
        assert_eq!(phases, [Some("Running"), Some("Running")], "{format}");
    }
}

#[test]
fn a_file_that_cannot_be_read_hides_no_other() {
    let world = World::with_agent();
    world.publish("1", object("web", "default", json!([running("a")])));
    fs::create_dir_all(world.pod("2")).unwrap();
    fs::write(world.pod("2").join("status.json"), "{\"version\": 7}").unwrap();
    fs::create_dir_all(world.pod("3")).unwrap();
    fs::write(world.pod("3").join("status.json"), "{\"ver").unwrap();
    fs::create_dir_all(world.pod("4")).unwrap();
    let listed = world.run(&["get", "pods"]);
    assert_eq!(listed.code, 0);
    assert_eq!(listed.out.lines().count(), 2, "{}", listed.out);
    let warnings: Vec<&str> = listed.err.lines().collect();
    assert_eq!(warnings.len(), 2, "{}", listed.err);
    assert!(
        warnings[0].contains("2/status.json: it was written by a newer holdfast (version 7"),
        "{}",
        listed.err
    );
    assert!(warnings[1].contains("3/status.json"), "{}", listed.err);
}

#[test]
fn what_a_manifest_says_does_not_steer_the_terminal() {
    let world = World::with_agent();
    let mut object = object("web", "default", json!([waiting("a", "Err\u{1b}[2J")]));
    object["metadata"]["annotations"] = json!({"x": "\u{1b}]0;title\u{7}"});
    object["spec"]["containers"][0]["command"] = json!(["\u{1b}c", "\u{9b}31m"]);
    world.publish("1", object);
    for verb in [
        &["get", "pods"][..],
        &["describe", "pod", "web"],
        &["get", "pods", "-o", "yaml"],
        &["get", "pods", "-o", "json"],
    ] {
        let run = world.run(verb);
        assert_eq!(run.code, 0, "{}", run.err);
        assert!(!run.out.chars().any(|c| c.is_control() && c != '\n'), "{verb:?}: {:?}", run.out);
    }
}

#[test]
fn without_an_agent_pod_processes_are_asked_and_it_is_said() {
    let world = World::without_agent();
    world.publish("1", object("alive", "default", json!([running("a"), running("b")])));
    world.publish("2", object("gone", "default", json!([running("a")])));
    let runs = vec![world::runs("a", 0), RunState::Exited(exited("b", 0, 1))];
    let process = PodProcess::listen(&world, "1");
    let asked = std::thread::spawn(move || {
        let connection = process.accept();
        assert_eq!(connection.request().0, Request::State);
        connection.reply(&Reply::State(world::state(runs)));
    });
    let listed = world.run(&["get", "pods"]);
    asked.join().unwrap();
    assert_eq!(listed.err, "the agent is not running: this is what it last published\n");
    let expected = "\
NAME           READY   STATUS                   RESTARTS   AGE
alive-edge-1   1/2     Error                    0          400d
gone-edge-1    0/1     ContainerStatusUnknown   0          400d
";
    assert_eq!(listed.out, expected);
}

#[test]
fn a_directory_where_no_agent_ever_ran_is_an_error() {
    let world = World::without_agent();
    fs::remove_dir_all(world.runtime()).unwrap();
    world.check_error(&["get", "pods"], "error: no agent has run here: there is no ");
    world.check_error(&["get", "manifests"], "error: no agent has run here: there is no ");
    assert_eq!(world.run(&["down"]).code, 0);
}

#[test]
fn logs_go_on_across_rotations_and_put_lines_together() {
    let world = World::with_agent();
    world.publish("1", object("web", "default", json!([running("a")])));
    world.write_log("a/0.log.20261121-211824", "1 stdout F one\n2 stdout P tw\n");
    world.write_log("a/0.log", "3 stdout F o\n4 stderr F three\n5 stdout F \u{1b}[31mred\n");
    world.check(&["logs", "web"], "one\ntwo\nthree\n\u{1b}[31mred\n");
    world.check(&["logs", "web", "--tail", "2", "--timestamps"], "4 three\n5 \u{1b}[31mred\n");
    world.check(&["logs", "web", "--tail=0"], "");
    world.check_error(&["logs", "web", "--previous"], "error: previous terminated container \"a\"");
    world.write_log("a/1.log", "6 stdout F again\n");
    world.check(&["logs", "web"], "again\n");
    world.check(&["logs", "web", "-p", "--tail=1"], "\u{1b}[31mred\n");
}

#[test]
fn a_container_that_waits_shows_its_latest_run() {
    let world = World::with_agent();
    world.publish(
        "1",
        object("web", "default", json!([waiting("a", "CrashLoopBackOff"), waiting("b", "ErrImagePull")])),
    );
    world.write_log("a/1.log", "1 stdout F first\n");
    world.write_log("a/2.log", "1 stdout F second\n");
    world.check(&["logs", "web", "-c", "a"], "second\n");
    world.check(&["logs", "web", "-c", "a", "-p"], "second\n");
    world.check_error(
        &["logs", "web", "-c", "b"],
        "error: container \"b\" in pod \"web-edge-1\" is waiting to start: ErrImagePull\n",
    );
}

#[test]
fn of_several_containers_the_first_is_meant_and_it_is_said() {
    let world = World::with_agent();
    world.publish("1", object("web", "default", json!([running("a"), running("b")])));
    world.write_log("a/0.log", "1 stdout F of a\n");
    world.write_log("b/0.log", "1 stdout F of b\n");
    let first = world.run(&["logs", "web"]);
    assert_eq!((&*first.out, &*first.err), ("of a\n", "Defaulted container \"a\" out of: a, b\n"));
    world.check(&["logs", "web", "-c", "b"], "of b\n");
    let wrong = "error: container \"c\" is not in pod web-edge-1; choose one of: a, b\n";
    world.check_error(&["logs", "web", "-c", "c"], wrong);
    world.check_error(&["exec", "web", "-c", "c", "--", "true"], wrong);
}

/// Threat 22: a container that mounts the log directory replaces its log by a link.
#[test]
fn a_log_that_became_a_link_is_not_followed() {
    let world = World::with_agent();
    world.publish("1", object("web", "default", json!([running("a"), running("b")])));
    let secret = world.root().join("secret");
    fs::create_dir(&secret).unwrap();
    fs::write(secret.join("0.log"), "1 stdout F secret\n").unwrap();
    fs::create_dir_all(world.logs().join("a")).unwrap();
    std::os::unix::fs::symlink(secret.join("0.log"), world.logs().join("a/0.log")).unwrap();
    std::os::unix::fs::symlink(&secret, world.logs().join("b")).unwrap();
    for container in ["a", "b"] {
        let run = world.run(&["logs", "web", "-c", container]);
        assert_eq!((run.code, &*run.out), (1, ""), "{}", run.err);
        assert!(run.err.contains("link") || run.err.contains("Not a directory"), "{}", run.err);
    }
}

#[test]
fn following_ends_with_the_container_and_misses_nothing() {
    let world = World::with_agent();
    world.publish("1", object("web", "default", json!([running("a")])));
    world.write_log("a/0.log", "1 stdout F one\n");
    let process = PodProcess::listen(&world, "1");
    let mut follow = world.spawn(&["logs", "-f", "web"]);
    let connection = process.accept();
    assert_eq!(connection.request().0, Request::Watch);
    connection.reply(&Reply::State(world::state(vec![world::runs("a", 0)])));
    let mut lines = BufReader::new(follow.stdout.take().unwrap()).lines().map(Result::unwrap);
    assert_eq!(lines.next().unwrap(), "one");
    world.append_log("a/0.log", "2 stdout F two\n");
    assert_eq!(lines.next().unwrap(), "two");
    // Written to until the last moment, then rotated twice.
    world.append_log("a/0.log", "3 stdout P thr");
    world.append_log("a/0.log", "ee\n");
    for (number, line) in [(2, "4 stdout F e\n"), (1, "5 stdout F four\n")] {
        fs::rename(world.logs().join("a/0.log"), world.logs().join(format!("a/0.log.{number}"))).unwrap();
        world.write_log("a/0.log", line);
    }
    assert_eq!(lines.next().unwrap(), "threee");
    assert_eq!(lines.next().unwrap(), "four");
    world.append_log("a/0.log", "6 stdout F five\n7 stdout F");
    connection.reply(&Reply::Notice(holdfast::protocol::Notice::Exited(exited("b", 0, 0))));
    connection.reply(&Reply::Notice(holdfast::protocol::Notice::Exited(exited("a", 0, 0))));
    assert_eq!(lines.next().unwrap(), "five");
    assert_eq!(lines.next().unwrap(), "");
    assert_eq!(lines.next(), None);
    assert!(follow.wait().unwrap().success());
}

#[test]
fn following_a_container_that_is_over_ends_at_once() {
    let world = World::with_agent();
    world.publish("1", object("web", "default", json!([waiting("a", "CrashLoopBackOff")])));
    world.write_log("a/0.log", "1 stdout F one\n");
    world.check(&["logs", "-f", "web"], "one\n");
}

/// Plays a command: answers as its name says.
fn play(process: PodProcess) {
    let connection = process.accept();
    let (request, mut descriptors) = connection.request();
    let Request::Exec(exec) = request else { panic!("{request:?}") };
    assert_eq!(exec.name, "a");
    let [stdin, stdout, stderr] = &mut descriptors[..] else { panic!("{descriptors:?}") };
    match exec.args[0].as_str() {
        "cat" => {
            let mut input = Vec::new();
            stdin.read_to_end(&mut input).unwrap();
            stdout.write_all(&input).unwrap();
            stderr.write_all(b"on stderr\n").unwrap();
            // Descriptors may stay open in a child that goes on.
            connection.reply(&Reply::Exited { code: 7 });
        }
        "yes" => while stdout.write_all(&[b'y'; 4096]).is_ok() {},
        "deaf" => {
            descriptors.remove(0);
            connection.reply(&Reply::Exited { code: 0 });
        }
        "missing" => {
            let failure = holdfast::status::Failure::new(
                holdfast::status::Reason::StartError,
                "exec missing: not found",
            );
            connection.reply(&Reply::Failed(failure));
        }
        "lost" => {}
        other => panic!("{other}"),
    }
}

fn exec(world: &World, flags: &[&str], command: &str) -> world::Run {
    let process = PodProcess::listen(world, "1");
    let playing = std::thread::spawn(move || play(process));
    let mut arguments = vec!["exec", "web"];
    arguments.extend(flags);
    arguments.extend(["--", command]);
    let input = vec![b'x'; 300_000];
    let run = world.run_with_input(&arguments, &input);
    playing.join().unwrap();
    run
}

#[test]
fn an_execed_command_has_its_input_its_outputs_and_its_exit_code() {
    let world = World::with_agent();
    world.publish("1", object("web", "default", json!([running("a")])));
    let run = exec(&world, &["-i"], "cat");
    assert_eq!((run.code, run.out.len(), &*run.err), (7, 300_000, "on stderr\n"));
    let run = exec(&world, &[], "cat");
    assert_eq!((run.code, &*run.out, &*run.err), (7, "", "on stderr\n"));
    assert_eq!(exec(&world, &["-i"], "deaf").code, 0);
    let run = exec(&world, &[], "missing");
    assert_eq!((run.code, &*run.err), (127, "error: exec missing: not found\n"));
    let run = exec(&world, &[], "lost");
    assert_eq!((run.code, &*run.err), (1, "error: the pod process ended before the command did\n"));
}

#[test]
fn a_command_ends_when_nobody_reads_its_output() {
    let world = World::with_agent();
    world.publish("1", object("web", "default", json!([running("a")])));
    let process = PodProcess::listen(&world, "1");
    let playing = std::thread::spawn(move || play(process));
    let mut child = world.spawn(&["exec", "web", "--", "yes"]);
    let mut some = [0; 10];
    child.stdout.take().unwrap().read_exact(&mut some).unwrap();
    // The pipe is gone with the statement above.
    assert_eq!(child.wait().unwrap().code(), Some(1));
    playing.join().unwrap();
}

#[test]
fn exec_in_a_pod_without_a_process_says_so() {
    let world = World::with_agent();
    world.publish("1", object("web", "default", json!([running("a")])));
    world.check_error(
        &["exec", "web", "--", "true"],
        "error: pod default/web-edge-1 has no running pod process: ",
    );
}

#[test]
fn a_restart_is_ordered_and_waited_for() {
    let world = World::with_agent();
    let statuses = |id: &str, status: Value| {
        let mut status = status;
        status["containerID"] = json!(id);
        object("web", "default", json!([status]))
    };
    world.publish("1", statuses("holdfast://0", running("a")));
    let child = world.spawn(&["restart", "web"]);
    let order = world.runtime().join("orders/restart-1");
    world.wait_for(&order);
    let mut ending = statuses("holdfast://0", running("a"));
    ending["metadata"]["deletionTimestamp"] = json!("2026-11-21T21:18:24Z");
    world.publish("1", ending);
    fs::remove_file(&order).unwrap();
    // The sandbox is made anew, and its directory with it.
    fs::remove_dir_all(world.pod("1")).unwrap();
    world.publish("1", statuses("holdfast://0", waiting("a", "ContainerCreating")));
    world.publish("1", statuses("holdfast://1", running("a")));
    let run = world::output(child);
    assert_eq!((run.code, &*run.out, &*run.err), (0, "pod default/web-edge-1 restarted\n", ""));
    assert_eq!(fs::read_dir(world.runtime().join("orders")).unwrap().count(), 0);
}

#[test]
fn a_restart_that_nobody_would_do_is_refused() {
    let world = World::without_agent();
    world.publish("1", object("web", "default", json!([running("a")])));
    let run = world.run(&["restart", "web"]);
    assert_eq!(run.code, 1);
    assert!(run.err.contains("error: no agent runs that could restart the pod"), "{}", run.err);
}

#[test]
fn down_tells_each_pod_that_ended_and_returns_when_all_have() {
    let mut world = World::with_agent();
    world.publish("1", object("web", "default", json!([running("a")])));
    world.publish("2", object("db", "default", json!([running("a")])));
    let mut child = world.spawn(&["down"]);
    world.wait_for(&world.runtime().join("orders/down"));
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    fs::remove_dir_all(world.pod("2")).unwrap();
    assert_eq!(lines.next().unwrap(), "pod default/db-edge-1 ended");
    fs::remove_dir_all(world.pod("1")).unwrap();
    assert_eq!(lines.next().unwrap(), "pod default/web-edge-1 ended");
    world.end_agent();
    assert!(child.wait().unwrap().success());
}

#[test]
fn an_agent_that_dies_while_it_restarts_is_noticed() {
    let mut world = World::with_agent();
    world.publish("1", object("web", "default", json!([running("a")])));
    let child = world.spawn(&["restart", "web"]);
    world.wait_for(&world.runtime().join("orders/restart-1"));
    world.end_agent();
    let run = world::output(child);
    assert_eq!(run.err, "error: the agent ended before pod default/web-edge-1 was restarted\n");
}

#[test]
fn files_of_the_manifests_directory_are_listed() {
    let world = World::with_agent();
    let problem =
        json!({"severity": "error", "line": 3, "column": 7, "path": "kind", "message": "no Deployment"});
    let verdict = json!({"version": 1, "directory": "/m", "problem": "it is gone", "files": [
        {"name": "a.yaml", "state": "refused", "pods": [], "problems": [problem]},
        {"name": "b.bak", "state": "ignored", "ignored": "a backup"},
    ]});
    fs::write(world.runtime().join("manifests.json"), verdict.to_string()).unwrap();
    let run = world.run(&["get", "manifests"]);
    let expected = "\
NAME     STATE     OBJECTS   MESSAGE
a.yaml   Refused   <none>    3:7: error: kind: no Deployment
b.bak    Ignored   <none>    a backup
";
    assert_eq!(
        (run.code, &*run.out, &*run.err),
        (0, expected, "warning: /m: it is gone; what ran from it goes on: bring the directory back\n")
    );
    let json: Value = serde_json::from_str(&world.run(&["get", "manifests", "-o", "json"]).out).unwrap();
    assert_eq!(json, verdict);
    world.check_error(&["get", "manifests", "c"], "error: manifest \"c\" not found\n");
}

/// Starts the demo's workload on a free port: the process, its lines, its address.
fn hello(world: &World) -> (std::process::Child, impl Iterator<Item = String> + use<>, String) {
    let mut child =
        world.spawn_with(&["hello"], &[("HOST", "127.0.0.1"), ("PORT", "0"), ("GREETING", "servus")]);
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    let address = lines.next().unwrap().strip_prefix("hello listens on ").unwrap().to_string();
    (child, lines, address)
}

fn ask(address: &str, path: &str) -> String {
    let mut connection = std::net::TcpStream::connect(address).unwrap();
    write!(connection, "GET {path} HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    let mut answer = String::new();
    connection.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn the_demos_workload_serves_logs_and_ends_when_told() {
    let world = World::without_agent();
    let (mut child, mut lines, address) = hello(&world);
    assert!(ask(&address, "/x").contains("<p>servus from "));
    assert_eq!(lines.next().unwrap(), "GET /x HTTP/1.1");
    // A client that says nothing does not end it.
    drop(std::net::TcpStream::connect(&address).unwrap());
    assert!(lines.next().unwrap().starts_with("no answer: "));
    let pid = nix::unistd::Pid::from_raw(child.id().try_into().unwrap());
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).unwrap();
    assert_eq!(lines.next().unwrap(), "hello was told to end");
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn the_demos_workload_crashes_when_asked_to() {
    let world = World::without_agent();
    let (mut child, _lines, address) = hello(&world);
    ask(&address, "/crash");
    assert_eq!(child.wait().unwrap().code(), Some(1));
}
