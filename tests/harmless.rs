//! Whatever was published by or of containers, manifests and images, no verb writes a control character to a terminal.
//!
//! Verbs, kinds and formats are those that the program itself completes, so that a new one is swept without a word here.
#![allow(clippy::unwrap_used, reason = "a story that cannot go on has failed")]

#[allow(dead_code, reason = "shared by several test programs")]
mod world;

use std::fs::{self, File};
use std::io::Read;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use serde_json::{Map, Value, json};
use world::World;

/// Escape sequences, their one-character forms, other controls of both sets, and what turns writing around.
const HOSTILE: &str =
    "\u{1b}]0;x\u{7}\u{1b}[2J\u{9b}31m\u{90}\u{8}\r\u{b}\u{7f}\u{85}\u{200e}\u{200f}\u{202e}\u{2066}\u{0}";

/// What a name may end with: an argument has no zero byte.
fn spoilt_end() -> &'static str {
    HOSTILE.trim_end_matches('\0')
}

/// Verbs that are not run without arguments that end them, or that do more than tell.
const NOT_SWEPT: &[(&str, &str)] = &[
    ("agent", "it runs containers: what it logs is told by tests/kernel"),
    ("demo", "it runs containers of its own"),
];

/// Every text in `value`, names of fields apart, with hostile characters at its end; those of maps too.
fn spoil(value: &Value) -> Value {
    match value {
        // What is read as a time, a number or an address stays what it is: the page would lack the rest.
        Value::String(text) if text.ends_with('Z') => value.clone(),
        Value::String(text) => json!(format!("{text}{}", spoilt_end())),
        Value::Array(items) => items.iter().map(spoil).collect(),
        Value::Object(fields) => {
            let map =
                |key: &str| ["labels", "annotations", "limits", "requests", "nodeSelector"].contains(&key);
            let spoilt = fields.iter().map(|(key, value)| {
                let value = match value {
                    Value::Object(fields) if map(key) => {
                        let pairs =
                            fields.iter().map(|(key, value)| (format!("{key}{HOSTILE}"), spoil(value)));
                        Value::Object(pairs.collect::<Map<_, _>>())
                    }
                    value => spoil(value),
                };
                (key.clone(), value)
            });
            Value::Object(spoilt.collect())
        }
        other => other.clone(),
    }
}

/// A directory in which everything is hostile, and the name of a pod in it.
fn hostile(world: &World) -> String {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/kubectl/pods");
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let published: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        let mut spoilt = spoil(&published);
        spoilt["object"]["metadata"]["namespace"] = json!("default");
        let name = path.file_stem().unwrap().to_str().unwrap();
        // A log that is there, so that `logs` has something to say.
        let logs = world.root().join("log").join(name);
        spoilt["log_directory"] = json!(logs);
        for container in ["web", "a", "side"] {
            let folder = logs.join(format!("{container}{}", spoilt_end()));
            fs::create_dir_all(&folder).unwrap();
            fs::write(folder.join("0.log"), format!("2026-11-21T21:18:24Z stdout F {HOSTILE}\n")).unwrap();
        }
        fs::create_dir_all(world.pod(name)).unwrap();
        fs::write(world.pod(name).join("status.json"), spoilt.to_string()).unwrap();
    }
    let problem =
        json!({"severity": "error", "line": 1, "column": 3, "path": "p", "message": "m", "fix": "f"});
    let manifests = world.root().join("m");
    fs::create_dir(&manifests).unwrap();
    let file = format!("f{}", spoilt_end());
    fs::write(manifests.join(&file), format!("a: {HOSTILE}\n")).unwrap();
    let mut verdict = spoil(&json!({"directory": "", "problem": "p", "files": [
        {"name": "f", "state": "refused", "ignored": "i", "problems": [problem],
            "pods": [{"namespace": "n", "name": "x", "uid": "u", "last_good": true}]},
    ]}));
    (verdict["version"], verdict["directory"]) = (json!(1), json!(manifests));
    fs::write(world.runtime().join("manifests.json"), verdict.to_string()).unwrap();
    let mut node = spoil(&json!({
        "name": "edge-1", "cgroup_root": "/", "data_dir": "/d", "manifests_dir": "/m", "log_dir": "/l",
        "warnings": ["w"],
        "object": {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "edge-1", "labels": {"a": "b"}},
            "status": {"conditions": [{"type": "t", "status": "s", "reason": "r", "message": "m"}],
                "nodeInfo": {"kernelVersion": "k", "osImage": "o"}, "addresses": [{"type": "Hostname", "address": "a"}],
                "capacity": {"cpu": "2"}, "images": [{"names": ["i"], "sizeBytes": 1}]}},
    }));
    (node["version"], node["pid"], node["started"]) = (json!(1), json!(1), json!(0));
    fs::write(world.runtime().join("node.json"), node.to_string()).unwrap();
    let event = spoil(&json!({
        "apiVersion": "v1", "kind": "Event", "metadata": {"name": "e", "namespace": "default"}, "reason": "r",
        "message": "m", "type": "Warning", "count": 2, "source": {"component": "c"}, "reportingComponent": "c",
        "involvedObject": {"kind": "Pod", "name": "n", "namespace": "default", "fieldPath": "f"},
        "firstTimestamp": "2026-11-21T21:18:24Z", "lastTimestamp": "2026-11-21T21:18:24Z",
    }));
    fs::write(world.runtime().join("events"), format!("{event}\n")).unwrap();
    format!("everything{}", spoilt_end())
}

/// What the program offers after `words`.
fn offered(world: &World, words: &[&str]) -> Vec<String> {
    let run = world.run(&[&["__complete", "--"], words].concat());
    assert_eq!(run.code, 0, "{}", run.err);
    let words = run.out.lines().map(|line| line.split('\t').next().unwrap().to_string());
    words.filter(|word| !word.starts_with(':')).collect()
}

/// Runs on a terminal of its own, stdout and stderr, and gives everything that was written there.
fn on_a_terminal(world: &World, arguments: &[String]) -> String {
    let pty = nix::pty::openpty(None, None).unwrap();
    let mut modes = nix::sys::termios::tcgetattr(&pty.slave).unwrap();
    // As written: a terminal would put a carriage return before each line feed.
    nix::sys::termios::cfmakeraw(&mut modes);
    nix::sys::termios::tcsetattr(&pty.slave, nix::sys::termios::SetArg::TCSANOW, &modes).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_holdfast"));
    command
        .arg("--runtime-dir")
        .arg(world.runtime())
        .args(arguments)
        .env("NO_COLOR", "1")
        .stdin(Stdio::null());
    command.stdout(pty.slave.try_clone().unwrap()).stderr(pty.slave);
    let mut child = command.spawn().unwrap();
    drop(command);
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        let mut text = Vec::new();
        // The other end's close is an error here, EIO, after all was read.
        let _ = File::from(pty.master).read_to_end(&mut text);
        sender.send(text)
    });
    let text = receiver.recv_timeout(Duration::from_secs(20)).unwrap_or_else(|_| {
        child.kill().unwrap();
        panic!("holdfast {arguments:?} does not end: say in NOT_SWEPT why, or how it does");
    });
    child.wait().unwrap();
    String::from_utf8(text).unwrap()
}

#[test]
fn no_verb_writes_a_control_character_to_a_terminal() {
    let mut swept = Vec::new();
    let verbs = offered(&World::without_agent(), &[""]);
    for verb in verbs.iter().filter(|verb| !NOT_SWEPT.iter().any(|(not, _)| not == verb)) {
        // Without an agent, nothing waits for one. A world each, since some verbs end what is there.
        let world = World::without_agent();
        let pod = hostile(&world);
        let mut lines = vec![vec![], vec![pod.clone()], vec![pod.clone(), "--".into(), "true".into()]];
        for kind in offered(&world, &[verb, ""]).into_iter().filter(|kind| !kind.starts_with("everything")) {
            lines.extend([vec![kind.clone()], vec![kind, pod.clone()]]);
        }
        let mut formats = offered(&world, &[verb, "x", "-o", ""]);
        if !offered(&world, &[verb, "--output"]).is_empty() {
            // Formats with templates cannot be offered whole.
            let known = [
                "json",
                "yaml",
                "name",
                "wide",
                "jsonpath={}",
                "jsonpath={..name}",
                "custom-columns=A:.metadata",
            ];
            formats.extend(known.map(str::to_string));
        }
        let plain = lines.clone();
        for format in formats {
            for line in plain.iter().filter(|line| !line.contains(&"--".to_string())) {
                lines.push([&line[..], &["-o".to_string(), format.clone()]].concat());
            }
        }
        lines.push(vec!["--help".into()]);
        for line in lines {
            let line = [std::slice::from_ref(verb), &line[..]].concat();
            let text = on_a_terminal(&world, &line);
            let raw = text.chars().find(|c| {
                (c.is_control() && !matches!(c, '\n' | '\t'))
                    || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
            });
            assert_eq!(raw, None, "holdfast {line:?}: {text:?}");
            swept.push((line, text));
        }
    }
    let pod = format!("everything{}", spoilt_end());
    // That much was said, and of what is hostile.
    for (line, marker) in [
        (&["get", "pods"][..], "everything^["),
        (&["get", "manifests"], "f^["),
        (&["describe", "pod"], "x^["),
        (&["describe", "manifest"], "a: ^["),
        (&["logs", &pod], "^[]0;x^G"),
        (&["exec", &pod, "--", "true"], "everything^["),
    ] {
        let said = swept.iter().find(|(swept, _)| swept == line);
        let said = &said.unwrap_or_else(|| panic!("{line:?} was not swept")).1;
        assert!(said.contains(marker), "{line:?}: {said}");
    }
    println!("{} command lines swept", swept.len());
}
