#![allow(clippy::unwrap_used)]

use std::time::Duration;

use clap::Parser;
use serde_json::{Value, json};

use super::read::Found;
use super::table::Columns;
use super::*;
use crate::api::published;
use crate::protocol::{Exited, Hello, RunState, State};
use crate::status::{Failure, Reason, Wall};

const NOW: &str = "2026-11-21T22:00:00Z";

fn at(time: &str) -> Timestamp {
    time.parse().unwrap()
}

/// A pod with the containers whose statuses are given.
fn pod(name: &str, phase: &str, statuses: Value) -> Value {
    let containers: Vec<Value> =
        statuses.as_array().unwrap().iter().map(|status| json!({"name": status["name"]})).collect();
    json!({
        "metadata": {"name": name, "namespace": "default", "creationTimestamp": "2026-11-21T21:58:00Z"},
        "spec": {"nodeName": "edge-1", "containers": containers},
        "status": {"phase": phase, "podIP": "10.0.0.7", "containerStatuses": statuses},
    })
}

fn running(name: &str) -> Value {
    json!({"name": name, "ready": true, "restartCount": 0, "state": {"running": {"startedAt": "2026-11-21T21:58:00Z"}}})
}

fn terminated(name: &str, reason: &str) -> Value {
    json!({"name": name, "restartCount": 0, "state": {"terminated": {"reason": reason, "exitCode": 3}}})
}

fn waiting(name: &str, reason: &str) -> Value {
    json!({
        "name": name, "restartCount": 2, "state": {"waiting": {"reason": reason}},
        "lastState": {"terminated": {"finishedAt": "2026-11-21T21:59:50Z"}},
    })
}

fn found(object: Value) -> Found {
    let (version, manifest, log_directory) = (1, String::new(), String::new());
    let pod = published::Pod { version, object, events: Vec::new(), manifest, log_directory, next: None };
    Found { uid: "0".into(), pod }
}

#[track_caller]
fn check_row(object: &Value, ready: &str, status: &str, restarts: &str) {
    let row = row::row(object, at(NOW));
    assert_eq!((&*row.ready, &*row.status, &*row.restarts), (ready, status, restarts));
}

#[test]
fn a_pod_is_summed_up_in_kubectls_words() {
    check_row(&pod("a", "Running", json!([running("a"), running("b")])), "2/2", "Running", "0");
    check_row(&pod("a", "Pending", json!([])), "0/0", "Pending", "0");
    check_row(
        &pod("a", "Pending", json!([waiting("a", "ErrImagePull")])),
        "0/1",
        "ErrImagePull",
        "2 (10s ago)",
    );
    let half = pod("a", "Running", json!([running("a"), waiting("b", "CrashLoopBackOff")]));
    check_row(&half, "1/2", "CrashLoopBackOff", "2 (10s ago)");
    check_row(&pod("a", "Succeeded", json!([terminated("a", "Completed")])), "0/1", "Completed", "0");
    check_row(&pod("a", "Failed", json!([terminated("a", "OOMKilled")])), "0/1", "OOMKilled", "0");
    check_row(&pod("a", "Failed", json!([terminated("a", "")])), "0/1", "ExitCode:3", "0");
    let mut killed = pod("a", "Failed", json!([terminated("a", "")]));
    killed["status"]["containerStatuses"][0]["state"]["terminated"]["signal"] = json!(9);
    check_row(&killed, "0/1", "Signal:9", "0");
    // Of two that have something to tell, the first is heard.
    let two = json!([terminated("a", "Error"), waiting("b", "ErrImagePull")]);
    check_row(&pod("a", "Running", two), "0/2", "Error", "2 (10s ago)");
}

#[test]
fn a_pod_of_which_one_container_is_done_runs_if_it_is_ready() {
    let mut object = pod("a", "Running", json!([terminated("a", "Completed"), running("b")]));
    check_row(&object, "1/2", "NotReady", "0");
    object["status"]["conditions"] = json!([{"type": "Ready", "status": "True"}]);
    check_row(&object, "1/2", "Running", "0");
}

#[test]
fn a_pod_that_is_deleted_terminates_until_it_is_over() {
    let mut object = pod("a", "Running", json!([running("a")]));
    object["metadata"]["deletionTimestamp"] = json!("2026-11-21T22:00:30Z");
    check_row(&object, "1/1", "Terminating", "0");
    object["status"]["phase"] = json!("Succeeded");
    object["status"]["reason"] = json!("Evicted");
    check_row(&object, "1/1", "Evicted", "0");
}

#[test]
fn the_table_is_kubectls() {
    let pods = [
        found(pod("web-edge-1", "Running", json!([running("a"), waiting("b", "CrashLoopBackOff")]))),
        found(pod("a-edge-1", "Running", json!([running("a")]))),
    ];
    let usual = "\
NAME         READY   STATUS             RESTARTS      AGE
web-edge-1   1/2     CrashLoopBackOff   2 (10s ago)   2m
a-edge-1     1/1     Running            0             2m
";
    assert_eq!(table::pods(&pods, Columns::default(), at(NOW)), usual);
    let wide = "\
NAMESPACE   NAME       READY   STATUS    RESTARTS   AGE   IP         NODE     NOMINATED NODE   READINESS GATES
default     a-edge-1   1/1     Running   0          2m    10.0.0.7   edge-1   <none>           <none>
";
    assert_eq!(table::pods(&pods[1..], Columns { namespace: true, wide: true }, at(NOW)), wide);
}

#[test]
fn each_file_of_the_manifests_directory_has_its_line() {
    let verdict = json!({"directory": "/m", "files": [
        {"name": "a.yaml", "state": "accepted", "pods": [{"namespace": "default", "name": "a-edge", "uid": "1"}]},
        {"name": "b.yaml", "state": "last-good",
         "pods": [{"namespace": "default", "name": "b-edge", "uid": "2", "last_good": true}],
         "problems": [
            {"severity": "error", "line": 3, "column": 7, "path": "spec.x", "message": "is bad", "fix": "mend it"},
            {"severity": "warning", "line": 4, "column": 1, "path": "", "message": "odd\u{1b}[2J"}]},
        {"name": ".x\n", "state": "ignored", "ignored": "a dot file"},
    ]});
    let expected = "\
NAME     STATE      PODS                         MESSAGE
a.yaml   Accepted   default/a-edge
b.yaml   LastGood   default/b-edge (as it was)   3:7: error: spec.x: is bad; mend it
                                                 4:1: warning: odd^[[2J
.x^J     Ignored    <none>                       a dot file
";
    assert_eq!(table::manifests(&verdict, None), expected);
    assert_eq!(table::manifests(&verdict, Some("a.yaml")).lines().count(), 2);
}

#[test]
fn columns_are_those_of_go() {
    // What text/tabwriter makes of it: a line without tabs ends a block, and each block finds its own width.
    let text = "a\tb\tc\naaa\tbb\tc\nplain\nx\ty\nlong\t\tz\n";
    assert_eq!(tabs::align(text, 0, 2), "a    b   c\naaa  bb  c\nplain\nx     y\nlong    z\n");
    assert_eq!(tabs::align("a\tb\n", 6, 3), "a     b\n");
    assert_eq!(tabs::align("äöü\tb\nabcd\tb\n", 0, 1), "äöü  b\nabcd b\n");
    assert_eq!(tabs::align("", 6, 3), "");
}

#[test]
fn ages_are_as_coarse_as_kubectls() {
    let (minute, hour, day) = (60, 3600, 86_400);
    let ages = [
        (-2, "<invalid>"),
        (-1, "0s"),
        (0, "0s"),
        (119, "119s"),
        (120, "2m"),
        (9 * minute + 59, "9m59s"),
        (10 * minute + 5, "10m"),
        (179 * minute, "179m"),
        (3 * hour, "3h"),
        (7 * hour + 59 * minute, "7h59m"),
        (8 * hour + minute, "8h"),
        (47 * hour, "47h"),
        (2 * day, "2d"),
        (7 * day + 23 * hour, "7d23h"),
        (8 * day, "8d"),
        (729 * day, "729d"),
        (730 * day, "2y"),
        (731 * day, "2y1d"),
        (8 * 365 * day + day, "8y"),
    ];
    for (seconds, age) in ages {
        assert_eq!(age::human(seconds), age, "{seconds}");
    }
    assert_eq!(age::since("", at(NOW)), "<unknown>");
}

#[test]
fn what_others_say_does_not_steer_the_terminal() {
    assert_eq!(harmless::line("\u{1b}]0;x\u{7}\r\n\t\u{7f}ok"), "^[]0;x^G^M^J^I^?ok");
    assert_eq!(harmless::line("\u{9b}2J \u{202e}evil"), "<U+009B>2J <U+202E>evil");
    assert_eq!(harmless::line("größe 日本"), "größe 日本");
}

#[test]
fn a_stream_stays_harmless_wherever_it_is_cut() {
    let bytes = "a\r\n\u{1b}[31mä日\u{1F600}\tb\u{9b}c\r".as_bytes();
    for cut in 0..=bytes.len() {
        let mut stream = harmless::Stream::default();
        let text = stream.text(&bytes[..cut]) + &stream.text(&bytes[cut..]) + &stream.rest();
        assert_eq!(text, "a\n^[[31mä日\u{1F600}\tb<U+009B>c^M", "{cut}");
    }
    let mut stream = harmless::Stream::default();
    assert_eq!(stream.text(b"\xff\xfe a \xe6\x97") + &stream.rest(), "\u{fffd}\u{fffd} a \u{fffd}");
}

#[test]
fn yaml_is_read_as_the_same_values() {
    let value = json!({
        "empty": {}, "none": [], "nothing": null, "number": 3, "truth": true,
        "words": ["plain", "two words", "N", "on", "Yes", "null", "~", "12:30", "0644", "1e3", "", " x", "x ", "- a", "a: b", "#c", "'q'"],
        "lines": "one\ntwo", "ended": "one\n\ntwo\n", "odd": " one\ntwo", "trailing": "one \ntwo", "feeds": "a\n\n",
        "nested": [[1, [2, {"a": []}]], {"b": {"c": "d"}, "e": [{"f": 1}]}],
        "y": "\u{1b}[2J\u{85}\u{2028}ä", "a b": 1, "tab": "a\tb",
    });
    let text = yaml::yaml(&value);
    assert_eq!(serde_yaml::from_str::<Value>(&text).unwrap(), value, "{text}");
    assert!(!text.chars().any(|c| c != '\n' && c.is_control()), "{text:?}");
    // YAML 1.1 must have no other opinion.
    for word in ["N", "on", "Yes", "12:30", "0644", "1e3", "y"] {
        assert!(text.contains(&format!("\"{word}\"")), "{word}: {text}");
    }
    assert_eq!(yaml::yaml(&json!({})), "{}\n");
}

fn state(runs: Vec<RunState>) -> State {
    State {
        hello: Hello { version: 1, uid: "0".into(), sandbox: 0, pid: 1, pause_pid: None },
        runs,
        dropped: 0,
    }
}

fn exited(attempt: u32, code: i32, oom_killed: bool) -> RunState {
    let (started, finished) = (Wall(0), Wall(1_000_000_000));
    let (signal, ran) = (None, Duration::from_secs(1));
    let name = "a".to_string();
    RunState::Exited(Exited {
        name,
        attempt,
        code,
        signal,
        oom_killed,
        started,
        finished,
        finished_boot: ran,
        ran,
    })
}

/// What becomes of a published container `a` by what its pod process says.
#[track_caller]
fn check_live(published: Value, state: Option<&State>, status: &str, ready: &str) -> Value {
    let mut object = pod("p", "Running", json!([published]));
    object["status"]["conditions"] = json!([{"type": "Ready", "status": "True"}]);
    live::correct(&mut object, state);
    let row = row::row(&object, at(NOW));
    assert_eq!((&*row.status, &*row.ready), (status, ready), "{object}");
    assert_eq!(object["status"]["conditions"][0]["status"], if ready == "1/1" { "True" } else { "False" });
    object
}

#[test]
fn without_an_agent_a_pod_process_tells_what_runs() {
    let (name, started) = ("a".to_string(), Wall(0));
    let (pid, started_boot, stopping) = (9, Duration::ZERO, false);
    let runs = |attempt| {
        let name = name.clone();
        state(vec![RunState::Running { name, attempt, pid, started, started_boot, stopping }])
    };
    check_live(running("a"), Some(&runs(0)), "Running", "1/1");
    let object = check_live(waiting("a", "CrashLoopBackOff"), Some(&runs(3)), "Running", "1/1");
    assert_eq!(object["status"]["containerStatuses"][0]["restartCount"], 3);
    check_live(running("a"), Some(&state(vec![exited(0, 0, false)])), "Completed", "0/1");
    check_live(running("a"), Some(&state(vec![exited(0, 1, false)])), "Error", "0/1");
    check_live(running("a"), Some(&state(vec![exited(0, 137, true)])), "OOMKilled", "0/1");
    check_live(
        waiting("a", "CrashLoopBackOff"),
        Some(&state(vec![exited(2, 1, false)])),
        "CrashLoopBackOff",
        "0/1",
    );
    let starting = state(vec![RunState::Starting { name: name.clone(), attempt: 0 }]);
    check_live(running("a"), Some(&starting), "ContainerCreating", "0/1");
    let failure = Failure::new(Reason::RunContainerError, "no such file");
    let failed = state(vec![RunState::Failed { name, attempt: 0, failure }]);
    check_live(running("a"), Some(&failed), "RunContainerError", "0/1");
}

#[test]
fn without_a_pod_process_nothing_runs() {
    let object = check_live(running("a"), None, "ContainerStatusUnknown", "0/1");
    let exit = &object["status"]["containerStatuses"][0]["state"]["terminated"];
    assert_eq!((&exit["exitCode"], &exit["startedAt"]), (&json!(137), &json!("2026-11-21T21:58:00Z")));
    check_live(waiting("a", "ErrImagePull"), None, "ErrImagePull", "0/1");
}

#[test]
fn a_pod_may_be_named_as_kubectl_does() {
    for (written, name) in [
        ("web", Some("web")),
        ("pod/web", Some("web")),
        ("pods/web", Some("web")),
        ("deploy/web", None),
        ("a/b/c", None),
    ] {
        let parsed = Arguments::try_parse_from(["holdfast", "restart", written]).ok();
        let parsed = parsed.map(|arguments| match arguments.verb {
            Verb::Restart(pod) => pod.name,
            _ => panic!("not restart"),
        });
        assert_eq!(parsed.as_deref(), name, "{written}");
    }
}

#[test]
fn flags_may_stand_before_and_after_the_verb() {
    let parse = |line: &str| Arguments::try_parse_from(line.split(' '));
    for line in ["holdfast --runtime-dir /r/ get pods -A", "holdfast get pods -A --runtime-dir /r"] {
        assert_eq!(parse(line).unwrap().runtime_dir, std::path::Path::new("/r"), "{line}");
    }
    let Verb::Exec(exec) = parse("holdfast exec web -c a -i -- sh -c -i").unwrap().verb else { panic!() };
    assert_eq!(
        (exec.command, exec.container.as_deref()),
        (vec!["sh".into(), "-c".into(), "-i".into()], Some("a"))
    );
    let Verb::Agent(agent) = parse("holdfast agent --node-name Edge-1 --data-dir /d -vv").unwrap().verb
    else {
        panic!()
    };
    assert_eq!((agent.node_name.as_deref(), agent.verbose), (Some("edge-1"), 2));
    for wrong in
        ["holdfast", "holdfast get", "holdfast get nodes", "holdfast exec web", "holdfast agent --data-dir d"]
    {
        assert!(parse(wrong).is_err(), "{wrong}");
    }
}
