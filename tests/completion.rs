//! Completion, by the shells themselves: what each of them offers after what was typed.
#![allow(clippy::unwrap_used, reason = "a story that cannot go on has failed")]

mod terminal;
#[allow(dead_code, reason = "shared by several test programs")]
mod world;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::json;
use world::{World, object, running};

/// What a shell is asked to do with the line typed so far, which is `$LINE`.
const SHELLS: &[(&str, &[&str], &str)] = &[
    (
        "bash",
        &["--norc", "--noprofile", "-c"],
        "compopt() { :; }
        source <(holdfast completion bash)
        complete -p holdfast >/dev/null || exit 1
        COMP_LINE=$LINE COMP_POINT=${#LINE}
        _holdfast
        printf '%s\\n' \"${COMPREPLY[@]}\"",
    ),
    (
        "zsh",
        // The completion system wants a terminal; the function is zsh's to read and to run all the same.
        &["-f", "-c"],
        "module_path=($HOLDFAST_MODULES)
        compdef() { registered=$2; }
        _describe() { print -rl -- ${${(P)2}%%:*}; }
        _files() { print :files; }
        source <(holdfast completion zsh)
        [[ $registered == holdfast ]] || exit 1
        words=(\"${(@s: :)LINE}\")
        CURRENT=$#words
        _holdfast",
    ),
    (
        "fish",
        &["--no-config", "-c"],
        "holdfast completion fish | source
        complete -C \"$LINE\"",
    ),
];

/// What every shell offers for `line` in `world`.
#[track_caller]
fn check(world: &World, line: &str, expected: &[&str]) {
    let binary = Path::new(env!("CARGO_BIN_EXE_holdfast")).parent().unwrap();
    let path = format!("{}:{}:/usr/bin:/bin", binary.display(), terminal::folder().display());
    let line =
        line.replacen("holdfast ", &format!("holdfast --runtime-dir {} ", world.runtime().display()), 1);
    for (shell, flags, script) in SHELLS {
        let mut command = Command::new(if *shell == "bash" {
            PathBuf::from("bash")
        } else {
            terminal::folder().join(shell)
        });
        command.args(*flags).arg(script).env_clear().env("PATH", &path).env("LINE", &line);
        command.env("HOME", world.root()).env("LC_ALL", "C.UTF-8").current_dir(world.root());
        let output = command.output().unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(errors.is_empty(), "{shell}: {line:?}: {errors}");
        let text = String::from_utf8(output.stdout).unwrap();
        let words = text.lines().map(|line| line.split('\t').next().unwrap());
        // bash inserts what follows the last `=` only.
        let typed = line.rsplit(' ').next().unwrap();
        let cut = if *shell == "bash" { typed.rfind('=').map_or("", |at| &typed[..=at]) } else { "" };
        let words: BTreeSet<String> =
            words.filter(|word| !word.is_empty()).map(|word| format!("{cut}{word}")).collect();
        let expected: BTreeSet<String> = expected.iter().map(ToString::to_string).collect();
        assert_eq!(words, expected, "{shell}: {line:?}");
    }
}

#[test]
fn every_shell_offers_what_may_come_next() {
    let world = World::with_agent();
    world.publish("1", object("web", "default", json!([running("nginx"), running("side")])));
    world.publish("2", object("worker", "default", json!([running("a")])));
    world.publish("3", object("db", "prod", json!([running("postgres")])));
    let files =
        json!({"version": 1, "directory": "/m", "files": [{"name": "web.yaml"}, {"name": "db.yaml"}]});
    fs::write(world.runtime().join("manifests.json"), files.to_string()).unwrap();
    check(&world, "holdfast comp", &["completion"]);
    check(&world, "holdfast completion ", &["bash", "fish", "zsh"]);
    check(&world, "holdfast --color=a", &["--color=always", "--color=auto"]);
    check(&world, "holdfast logs ", &["web-edge-1", "worker-edge-1"]);
    check(&world, "holdfast logs -n prod ", &["db-edge-1"]);
    check(&world, "holdfast logs wo", &["worker-edge-1"]);
    check(&world, "holdfast logs web-edge-1 -c ", &["nginx", "side"]);
    check(&world, "holdfast exec web -c n", &["nginx"]);
    check(&world, "holdfast exec web -n p", &["prod"]);
    check(&world, "holdfast exec web -- ", &[]);
    check(&world, "holdfast describe pod/we", &["pod/web-edge-1"]);
    check(&world, "holdfast describe pod w", &["web-edge-1", "worker-edge-1"]);
    check(&world, "holdfast describe manifest ", &["web.yaml", "db.yaml"]);
    check(&world, "holdfast describe pod --show-", &["--show-events"]);
}

/// A file's name is its writer's, and a shell runs what stands in `$(...)`.
#[test]
fn no_shell_is_offered_a_word_that_it_would_not_take_as_it_stands() {
    let world = World::with_agent();
    let names =
        ["$(touch x).yaml", "`touch x`", "a b.yaml", "a;b", "\u{1b}[2J", "ok.yaml", ":files", "x\ty", "x\ny"];
    let files: Vec<_> = names.iter().map(|name| json!({"name": name})).collect();
    let verdict = json!({"version": 1, "directory": "/m", "files": files});
    fs::write(world.runtime().join("manifests.json"), verdict.to_string()).unwrap();
    check(&world, "holdfast describe manifest ", &["ok.yaml"]);
    assert!(!world.root().join("x").exists());
}
