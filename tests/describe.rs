//! `describe manifest`, what a pod's page says of its file, and colours; on a real terminal where it matters.
#![allow(clippy::unwrap_used, reason = "a story that cannot go on has failed")]

#[allow(dead_code, reason = "shared by several test programs")]
mod world;

use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::symlink;
use std::process::Command;

use serde_json::{Value, json};
use world::{World, object, running, waiting};

/// A world with a manifests directory, and what became of it.
fn world(files: &Value) -> World {
    let world = World::with_agent();
    let directory = world.root().join("m");
    fs::create_dir(&directory).unwrap();
    let verdict = json!({"version": 1, "directory": directory, "files": files});
    fs::write(world.runtime().join("manifests.json"), verdict.to_string()).unwrap();
    world
}

fn problem(line: u32, column: u32, message: &str) -> Value {
    json!({"severity": "error", "line": line, "column": column, "path": "spec.containers[0].image",
        "message": message, "fix": "name an image"})
}

#[test]
fn a_manifest_is_described_with_the_line_that_is_wrong() {
    let pod = json!({"namespace": "default", "name": "web-edge-1", "uid": "1", "last_good": true});
    let mut warning = problem(2, 7, "is no field");
    (warning["severity"], warning["path"], warning["fix"]) = (json!("warning"), json!("specs"), json!(""));
    let world = world(&json!([
        {"name": "web.yaml", "state": "last-good", "pods": [pod], "problems": [problem(1, 8, "must not be empty"), warning]},
        {"name": "web.yaml~", "state": "ignored", "ignored": "an editor's backup: the name ends with '~'"},
        {"name": "db.yaml", "state": "accepted", "pods": [{"namespace": "prod", "name": "db-edge-1", "uid": "2"}]},
    ]));
    let m = world.root().join("m");
    fs::write(m.join("web.yaml"), "image: \"\" # \u{1b}[31m\n\tspecs: 1\n").unwrap();
    let m = m.display();
    let web = format!(
        "\
Name:     web.yaml
Path:     {m}/web.yaml
State:    LastGood
Meaning:  it is wrong, and what runs is what it held when it was last right
Pods:     default/web-edge-1 (as it was when the file was last right)
Problems:
  1:8: error: spec.containers[0].image: must not be empty
    1 | image: \"\" # ^[[31m
      |        ^
    do: name an image
  2:7: warning: specs: is no field
    2 | ^Ispecs: 1
      |        ^
Next:  mend the file, and its pods follow it; remove it, and they end
"
    );
    let db = format!(
        "\
Name:      db.yaml
Path:      {m}/db.yaml
State:     Accepted
Meaning:   all that it holds is accepted
Pods:      prod/db-edge-1
Problems:  <none>
Next:      nothing: change the file to change its pods, remove it to end them
"
    );
    world.check(&["describe", "manifest", "web.yaml"], &web);
    world.check(&["describe", "manifest/db.yaml"], &db);
    world.check(&["describe", "manifests", "db", "web.yaml"], &format!("{db}\n\n{web}"));
    let run = world.run(&["describe", "manifest", "db.yaml", "x"]);
    let missing = "error: manifest \"x\" not found; `holdfast get manifests` lists all\n";
    assert_eq!((run.code, &*run.out, &*run.err), (1, &*db, missing));
    assert_eq!(world.run(&["describe", "manifests"]).out.matches("Name:").count(), 3);
}

/// Whoever may write a manifest may make it a link; what it leads to is not for the one who reads the page.
#[test]
fn no_line_is_shown_of_a_secret_or_of_what_is_elsewhere() {
    let wrong =
        |name: &str| json!({"name": name, "state": "refused", "problems": [problem(1, 1, "is wrong")]});
    let world =
        world(&json!([wrong("secret.yaml"), wrong("link.yaml"), wrong("gone.yaml"), wrong("fifo.yaml")]));
    let m = world.root().join("m");
    fs::write(m.join("secret.yaml"), "password: hunter2\nkind: Secret\n").unwrap();
    fs::write(world.root().join("elsewhere"), "password: hunter2\n").unwrap();
    symlink(world.root().join("elsewhere"), m.join("link.yaml")).unwrap();
    nix::unistd::mkfifo(&m.join("fifo.yaml"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    for (name, why) in [
        ("secret.yaml", "the file speaks of a Secret"),
        ("link.yaml", "leads out of the directory"),
        ("gone.yaml", "leads out of the directory"),
        ("fifo.yaml", "not a regular file"),
    ] {
        let page = world.run(&["describe", "manifest", name]).out;
        assert!(!page.contains("hunter2"), "{page}");
        let told = page.lines().find(|line| line.contains("the lines themselves are not shown: "));
        assert!(told.is_some_and(|told| told.contains(why)), "{name}: {page}");
    }
}

#[test]
fn a_pod_tells_what_is_wrong_with_its_file() {
    let pod = |last_good: bool| json!({"namespace": "default", "name": "web-edge-1", "uid": "1", "last_good": last_good});
    let files = |last_good: bool, problems: Value| {
        json!({"version": 1, "directory": "/manifests",
            "files": [{"name": "x.yaml", "state": "any", "pods": [pod(last_good)], "problems": problems}]})
    };
    let world = World::with_agent();
    world.publish("1", object("web", "default", json!([running("a")])));
    let told = |verdict: &Value| {
        fs::write(world.runtime().join("manifests.json"), verdict.to_string()).unwrap();
        let page = world.run(&["describe", "pod", "web"]).out;
        let below = page.lines().skip_while(|line| !line.starts_with("Manifest:")).skip(1);
        let below: Vec<String> =
            below.take_while(|line| line.starts_with(' ')).map(|line| line.trim().to_string()).collect();
        below
    };
    assert_eq!(told(&files(false, json!([]))), [""; 0]);
    assert_eq!(
        told(&files(true, json!([problem(3, 7, "must not be empty")]))),
        [
            "the file is wrong; the pod goes on as it was when the file was last right",
            "3:7: error: spec.containers[0].image: must not be empty; name an image"
        ]
    );
    let gone = json!({"version": 1, "directory": "/manifests", "files": []});
    assert_eq!(told(&gone), ["the file is gone, and so the pod ends"]);
    let other = json!({"version": 1, "directory": "/manifests", "files": [{"name": "x.yaml", "pods": []}]});
    assert_eq!(told(&other), ["the file no longer asks for this pod, and so it ends"]);
}

/// What `holdfast ARGUMENTS` writes on a terminal of its own.
fn on_a_terminal(world: &World, arguments: &[&str], variables: &[(&str, &str)]) -> String {
    let pty = nix::pty::openpty(None, None).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_holdfast"));
    command.arg("--runtime-dir").arg(world.runtime()).args(arguments);
    command.env_remove("NO_COLOR").env("TERM", "xterm").envs(variables.iter().copied());
    command.stdin(pty.slave.try_clone().unwrap()).stdout(pty.slave.try_clone().unwrap()).stderr(pty.slave);
    let mut child = command.spawn().unwrap();
    drop(command);
    let mut text = Vec::new();
    // The other end's close is an error here, EIO, after all was read.
    let _ = File::from(pty.master).read_to_end(&mut text);
    child.wait().unwrap();
    String::from_utf8(text).unwrap().replace("\r\n", "\n")
}

#[test]
fn colours_are_for_terminals_that_want_them() {
    let world = World::with_agent();
    world.publish("1", object("web", "default", json!([running("a"), waiting("b", "CrashLoopBackOff")])));
    world.publish("2", object("db", "default", json!([running("a")])));
    let get = ["get", "pods"];
    let plain = world.run(&get).out;
    let painted = on_a_terminal(&world, &get, &[]);
    assert_eq!(
        painted,
        plain.replace("CrashLoopBackOff", "\x1b[31mCrashLoopBackOff\x1b[0m"),
        "the columns stay"
    );
    for variables in [[("NO_COLOR", "1")], [("TERM", "dumb")]] {
        assert_eq!(on_a_terminal(&world, &get, &variables), plain, "{variables:?}");
    }
    assert_eq!(on_a_terminal(&world, &get, &[("NO_COLOR", "")]), painted);
    assert_eq!(on_a_terminal(&world, &["--color=never", "get", "pods"], &[]), plain);
    assert_eq!(world.run(&["get", "pods", "--color", "always"]).out, painted);
    let page = on_a_terminal(&world, &["describe", "pod", "web"], &[]);
    let page: String = page.replace("\x1b[31m", "").replace("\x1b[33m", "").replace("\x1b[0m", "");
    assert_eq!(page, world.run(&["describe", "pod", "web"]).out, "the columns stay");
}

#[test]
fn help_and_errors_are_painted_on_terminals_only() {
    let world = World::with_agent();
    let help = on_a_terminal(&world, &["--help"], &[]);
    assert!(help.contains("\x1b[1mUsage:\x1b[0m holdfast"), "{help}");
    assert!(!world.run(&["--help"]).out.contains('\x1b'));
    let error = on_a_terminal(&world, &["get", "pod", "x"], &[]);
    assert_eq!(error.split(' ').next(), Some("\x1b[31merror:\x1b[0m"), "{error}");
    assert!(
        on_a_terminal(&world, &["gte"], &[]).starts_with("\x1b[31merror:\x1b[0m unrecognized subcommand")
    );
    assert!(!world.run(&["gte"]).err.contains('\x1b'));
}
