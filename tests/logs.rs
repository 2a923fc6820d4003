//! `logs` against a published directory and log files that the test made: no root needed, no agent, no containers.
#![allow(clippy::unwrap_used)]

#[allow(dead_code, reason = "each file of tests plays only some of it")]
mod world;

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::time::Duration;

use holdfast::protocol::{Notice, Reply, Request};
use serde_json::{Value, json};
use world::{PodProcess, World, exited, object, running, waiting};

/// A line of a log, written in second `second` of an hour.
fn line(second: u32, text: &str) -> String {
    format!("2026-11-21T21:{:02}:{:02}.000000000Z stdout F {text}\n", second / 60, second % 60)
}

fn labelled(name: &str, app: &str, containers: &[&str]) -> Value {
    let statuses: Vec<Value> = containers.iter().map(|name| running(name)).collect();
    let mut object = object(name, "default", Value::from(statuses));
    object["metadata"]["labels"] = json!({"app": app});
    object
}

#[test]
fn since_leaves_out_what_is_older() {
    let world = World::with_agent();
    world.publish("1", object("web", "default", json!([running("a")])));
    let now = jiff::Timestamp::now();
    let old = now - Duration::from_secs(3600);
    world.write_log(
        "a/0.log",
        &format!("{old} stdout F old\nno log line\n{now} stdout P ne\n{now} stdout F w\n2026-11-21T22:00:00+01:00 stdout F zone\n"),
    );
    world.check(&["logs", "web", "--since", "10m"], "no log line\nnew\n");
    world.check(&["logs", "web", "--since=2h"], "old\nno log line\nnew\n");
    world.write_log("a/0.log", &[line(1, "one"), line(2, "two"), line(3, "three")].concat());
    world.check(&["logs", "web", "--since-time", "2026-11-21T21:00:02Z"], "two\nthree\n");
    world.check(&["logs", "web", "--since-time", "2026-11-21T22:00:02.5+01:00"], "three\n");
    world.check(&["logs", "web", "--since-time", "2026-11-21T21:00:02Z", "--tail=1"], "three\n");
    world.check(&["logs", "web", "--since-time", "2026-11-21T21:00:03Z", "--tail=2"], "three\n");
    for wrong in [
        ["logs", "web", "--since", "yesterday"].as_slice(),
        &["logs", "web", "--since", "1h", "--since-time", "2026-11-21T21:00:02Z"],
        &["logs", "web", "--since-time", "noon"],
        &["logs"],
        &["logs", "web", "-l", "app=web"],
        &["logs", "web", "-c", "a", "--all-containers"],
        &["logs", "web", "a", "-c", "a"],
        &["logs", "web", "--tail=-2"],
    ] {
        assert_eq!(world.run(wrong).code, 2, "{wrong:?}");
    }
}

/// kubectl takes it after the pod's name too, though its help does not say so.
#[test]
fn a_container_may_follow_its_pod() {
    let world = World::with_agent();
    world.publish("1", object("web", "default", json!([running("a"), running("b")])));
    world.write_log("a/0.log", &line(1, "one"));
    world.write_log("b/0.log", &line(2, "two"));
    world.check(&["logs", "web", "b"], "two\n");
    world.check(&["logs", "web", "b", "--tail=-1"], "two\n");
    world.check_error(
        &["logs", "web", "c"],
        "error: container \"c\" is not in pod web-edge-1; choose one of: a, b",
    );
}

#[test]
fn bytes_are_limited_for_each_container() {
    let world = World::with_agent();
    world.publish("1", object("web", "default", json!([running("a"), running("b")])));
    world.write_log("a/0.log", &[line(1, "one"), line(2, "two")].concat());
    world.write_log("b/0.log", &[line(1, "eins"), line(2, "zwei")].concat());
    world.check(&["logs", "web", "-c", "a", "--limit-bytes", "6"], "one\ntw");
    world.check(&["logs", "web", "-c", "a", "--limit-bytes=0"], "one\ntwo\n");
    world.check(&["logs", "web", "--all-containers", "--limit-bytes", "5"], "one\nteins\n");
    world.check(
        &["logs", "web", "-c", "a", "--limit-bytes", "8", "--timestamps", "--prefix"],
        "[pod/web-edge-1/a] 2026-11-",
    );
}

#[test]
fn all_containers_and_a_selector_show_the_logs_of_each_in_turn() {
    let world = World::with_agent();
    world.publish("1", labelled("web", "web", &["a", "b"]));
    world.write_log("a/0.log", &[line(1, "one"), line(5, "five")].concat());
    world.write_log("b/0.log", &[line(3, "three"), line(4, "four")].concat());
    world.check(&["logs", "web", "--all-containers"], "one\nfive\nthree\nfour\n");
    world.check(
        &["logs", "web", "--all-containers", "--prefix", "--tail=1"],
        "[pod/web-edge-1/a] five\n[pod/web-edge-1/b] four\n",
    );
    world.check(&["logs", "-l", "app=web", "--all-containers", "--tail", "1"], "five\nfour\n");
    let many: String = (0..20).map(|number| line(number, &number.to_string())).collect();
    world.write_log("b/0.log", &many);
    let ten = world.run(&["logs", "-l", "app in (web,db)", "-c", "b"]);
    assert_eq!((ten.out.lines().count(), ten.out.lines().next()), (10, Some("10")), "kubectl's default");
    let all = world.run(&["logs", "-l", "app=web", "-c", "b", "--tail=-1"]);
    assert_eq!(all.out.lines().count(), 20);
    let none = world.run(&["logs", "-l", "app=other"]);
    assert_eq!((none.code, &*none.err), (0, "No resources found in default namespace.\n"));
    world.check_error(&["logs", "-l", "app=web,"], "error: selector");
}

#[test]
fn logs_that_are_followed_at_once_come_in_order_of_time() {
    let world = World::without_agent();
    world.publish("1", labelled("web", "web", &["a", "b", "c"]));
    world.write_log("a/0.log.20261121-210000", &[line(1, "a1"), line(4, "a4")].concat());
    world.write_log("a/0.log", &[line(6, "a6"), "torn\n".to_string()].concat());
    world.write_log("b/0.log", &[line(2, "b2"), line(3, "b3"), line(7, "b7")].concat());
    world.write_log("c/0.log", &[line(0, "c0"), line(5, "c5"), line(9, "c9")].concat());
    let expected = "c0\na1\nb2\nb3\na4\nc5\na6\ntorn\nb7\nc9\n";
    let run = world.run(&["logs", "-f", "web", "--all-containers"]);
    assert_eq!((run.code, &*run.out), (0, expected), "{}", run.err);
    let run = world.run(&["logs", "-f", "web", "--all-containers", "--max-log-requests=2"]);
    assert_eq!(run.code, 1);
    assert!(run.err.contains("3 logs are to be followed at once, at most 2 are"), "{}", run.err);
}

#[test]
fn following_waits_for_a_container_that_has_not_started() {
    let world = World::with_agent();
    world.publish("1", object("web", "default", json!([waiting("a", "ContainerCreating")])));
    world.check_error(
        &["logs", "web"],
        "error: container \"a\" in pod \"web-edge-1\" is waiting to start: ContainerCreating",
    );
    let mut follow = world.spawn(&["logs", "-f", "web"]);
    let mut lines = BufReader::new(follow.stdout.take().unwrap());
    let process = PodProcess::listen(&world, "1");
    world.write_log("a/0.log", &line(1, "one"));
    world.publish("1", object("web", "default", json!([running("a")])));
    let connection = process.accept();
    assert_eq!(connection.request().0, Request::Watch);
    connection.reply(&Reply::State(world::state(vec![world::runs("a", 0)])));
    let mut read = String::new();
    lines.read_line(&mut read).unwrap();
    assert_eq!(read, "one\n");
    world.append_log("a/0.log", &line(2, "two"));
    connection.reply(&Reply::Notice(Notice::Exited(exited("a", 0, 0))));
    read.clear();
    lines.read_to_string(&mut read).unwrap();
    assert_eq!(read, "two\n");
    assert!(follow.wait().unwrap().success());
}

#[test]
fn following_ends_with_an_error_when_the_pod_goes_before_its_container_starts() {
    let world = World::with_agent();
    world.publish("1", object("web", "default", json!([waiting("a", "ContainerCreating")])));
    let mut follow = world.spawn(&["logs", "-f", "web"]);
    // Either it was not there at all any more, or it was and went.
    fs::remove_file(world.pod("1").join("status.json")).unwrap();
    let mut error = String::new();
    follow.stderr.take().unwrap().read_to_string(&mut error).unwrap();
    assert_eq!(follow.wait().unwrap().code(), Some(1));
    assert!(error.contains("never started") || error.contains("not found"), "{error}");
}

/// A log below the directory of all logs, which an agent published or did not.
fn leave(world: &World, directory: &str, log: &str, text: &str) {
    let path = world.root().join("log").join(directory).join(log);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

/// After a reboot nothing is published any more, and what was written before is what a technician came for.
#[test]
fn logs_of_a_pod_that_nobody_knows_any_more_are_shown_and_told_of() {
    let world = World::with_agent();
    let log_dir = world.root().join("log");
    let node = json!({
        "version": 1, "name": "edge-1", "pid": 1, "started": 0, "cgroup_root": "/", "data_dir": "/d",
        "manifests_dir": "/m", "log_dir": log_dir,
    });
    fs::write(world.runtime().join("node.json"), node.to_string()).unwrap();
    leave(&world, "default_web-edge-1_1", "a/0.log", &line(1, "first"));
    leave(&world, "default_web-edge-1_2", "a/0.log", &line(2, "second"));
    leave(&world, "default_web-edge-1_2", "a/1.log", &line(3, "third"));
    leave(&world, "default_web-edge-1_2", "b/0.log", &line(4, "of b"));
    leave(&world, "prod_web-edge-1_3", "a/0.log", &line(5, "elsewhere"));
    fs::create_dir_all(log_dir.join("default_web-edge-1_4/a")).unwrap();
    // The directory that was written to last, whatever its name.
    let at = |path: &str, seconds: u64| {
        let file = fs::File::options().append(true).open(log_dir.join(path)).unwrap();
        file.set_modified(std::time::SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)).unwrap();
    };
    at("default_web-edge-1_1/a/0.log", 1_000_000_000);
    at("default_web-edge-1_2/a/1.log", 1_000_000_060);
    at("default_web-edge-1_2/b/0.log", 1_000_000_030);
    for name in ["web", "web-edge-1", "pod/web"] {
        let run = world.run(&["logs", name, "-c", "a"]);
        assert_eq!((run.code, &*run.out), (0, "third\n"), "{name}: {}", run.err);
        let told = "pod \"web-edge-1\" is gone; it wrote this until 2001-09-09T01:47:40Z, into ";
        assert!(run.err.starts_with(told) && run.err.lines().count() == 1, "{}", run.err);
    }
    assert_eq!(world.run(&["logs", "web", "-c", "a", "--previous"]).out, "second\n");
    assert_eq!(world.run(&["logs", "web", "-c", "b", "-f"]).out, "of b\n");
    assert_eq!(world.run(&["logs", "web", "--all-containers"]).out, "third\nof b\n");
    let run = world.run(&["logs", "web"]);
    assert!(
        run.out == "third\n" && run.err.contains("Defaulted container \"a\" out of: a, b"),
        "{}",
        run.err
    );
    assert_eq!(world.run(&["logs", "web", "-n", "prod"]).out, "elsewhere\n");
    world.check_error(&["logs", "we"], "error: pod \"we\" not found in namespace \"default\"");
    // Whoever is there comes first.
    world.publish("9", object("web", "default", json!([running("a")])));
    world.write_log("a/0.log", &line(6, "alive"));
    world.check(&["logs", "web"], "alive\n");
}

#[test]
fn logs_of_pods_that_are_gone_are_found_where_no_agent_has_run_since_the_boot() {
    let world = World::without_agent();
    fs::remove_dir_all(world.runtime()).unwrap();
    leave(&world, "default_web-box_1", "a/0.log", &line(1, "before the power went"));
    let log_dir = world.root().join("log").display().to_string();
    let run = world.run(&["logs", "web-box", "--log-dir", &log_dir]);
    assert_eq!((run.code, &*run.out), (0, "before the power went\n"), "{}", run.err);
    let error = world.run(&["logs", "none", "--log-dir", &log_dir]);
    assert!(error.code == 1 && error.err.starts_with("error: no agent has run here"), "{}", error.err);
}

/// Threats 22: what was planted in the directory of all logs is not entered.
#[test]
fn logs_of_pods_that_are_gone_are_not_followed_out_of_their_directory() {
    let world = World::with_agent();
    let log_dir = world.root().join("log");
    leave(&world, "secret/a", "0.log", &line(1, "secret"));
    let secret = log_dir.join("secret");
    std::os::unix::fs::symlink(&secret, log_dir.join("default_web_1")).unwrap();
    fs::create_dir_all(log_dir.join("default_db_1")).unwrap();
    std::os::unix::fs::symlink(secret.join("a"), log_dir.join("default_db_1/a")).unwrap();
    fs::create_dir_all(log_dir.join("default_dns_1/a")).unwrap();
    std::os::unix::fs::symlink(secret.join("a/0.log"), log_dir.join("default_dns_1/a/0.log")).unwrap();
    for name in ["web", "db", "dns"] {
        let run = world.run(&["logs", name, "--log-dir", log_dir.to_str().unwrap()]);
        assert_eq!((run.code, &*run.out), (1, ""), "{name}: {}", run.err);
        assert!(run.err.lines().last().unwrap().starts_with("error: "), "{}", run.err);
    }
}

#[test]
fn errors_of_some_logs_do_not_hide_the_others_where_they_are_to_be_ignored() {
    let world = World::without_agent();
    world.publish("1", object("web", "default", json!([waiting("a", "ErrImagePull"), running("b")])));
    world.write_log("b/0.log", &line(1, "one"));
    let waits = "error: container \"a\" in pod \"web-edge-1\" is waiting to start: ErrImagePull\n";
    let run = world.run(&["logs", "web", "--all-containers", "--ignore-errors"]);
    assert_eq!((run.code, &*run.out), (0, "one\n"));
    assert!(run.err.ends_with(waits), "{}", run.err);
    let run = world.run(&["logs", "web", "--all-containers"]);
    assert!((run.code, &*run.out) == (1, "") && run.err.ends_with(waits), "{}", run.err);
    // Also while following: a log that is none.
    world.publish("1", labelled("web", "web", &["b", "c"]));
    fs::create_dir_all(world.logs().join("c")).unwrap();
    std::os::unix::fs::symlink("/etc/passwd", world.logs().join("c/0.log")).unwrap();
    let run = world.run(&["logs", "-f", "web", "--all-containers", "--ignore-errors"]);
    assert_eq!((run.code, &*run.out), (0, "one\n"), "{}", run.err);
    assert!(run.err.contains("error: refuse ") && run.err.contains("symbolic link"), "{}", run.err);
    assert_eq!(world.run(&["logs", "-f", "web", "--all-containers"]).code, 1);
}

#[test]
fn a_pod_may_name_the_container_that_is_meant() {
    let world = World::with_agent();
    let mut object = object("web", "default", json!([running("a"), running("b")]));
    object["metadata"]["annotations"] = json!({"kubectl.kubernetes.io/default-container": "b"});
    world.publish("1", object.clone());
    world.write_log("a/0.log", &line(1, "of a"));
    world.write_log("b/0.log", &line(2, "of b"));
    world.check(&["logs", "web"], "of b\n");
    world.check(&["logs", "web", "-c", "a"], "of a\n");
    object["metadata"]["annotations"] = json!({"kubectl.kubernetes.io/default-container": "nobody"});
    world.publish("1", object);
    let run = world.run(&["logs", "web"]);
    assert_eq!((run.code, &*run.out), (0, "of a\n"));
    assert_eq!(run.err, "Defaulted container \"a\" out of: a, b\n");
}
