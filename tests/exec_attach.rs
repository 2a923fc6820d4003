//! `exec` and `attach` of the binary with a pod process that is played: no root, no container.

#![allow(missing_docs, reason = "each name is a sentence")]
#![allow(clippy::unwrap_used, reason = "a test may fail loudly")]
#![allow(dead_code, reason = "the world is shared, and used in part")]

mod pty;
mod world;

use std::io::Write;
use std::process::Command;

use holdfast::protocol::{Reply, Request};
use holdfast::status::{Failure, Reason};
use serde_json::json;

use pty::Pty;
use world::{PodProcess, World, object, running, runs, state};

/// A pod process of version 1 goes on under a newer command line, and is not asked for what it does not know.
#[test]
fn a_pod_process_that_is_too_old_for_terminals_is_told_of() {
    let world = World::with_agent();
    world.publish("1", object("web", "default", json!([running("a")])));
    for arguments in [&["attach", "web"][..], &["exec", "-it", "web", "--", "sh"]] {
        let process = PodProcess::listen(&world, "1");
        let playing = std::thread::spawn(move || {
            let connection = process.accept();
            assert_eq!(connection.request().0, Request::State);
            connection.reply(&Reply::State(state(vec![runs("a", 0)])));
        });
        let mut command = Command::new(env!("CARGO_BIN_EXE_holdfast"));
        command.arg("--runtime-dir").arg(world.runtime()).args(arguments);
        let mut pty = Pty::run(&command);
        assert_eq!(pty.ends(), Some(1));
        let said = pty.shown();
        assert!(
            said.contains(" pod web-edge-1 is held by a process of an older holdfast, which knows no "),
            "{said}"
        );
        assert!(pty.is_restored());
        playing.join().unwrap();
    }
}

/// Without -t, an old one is asked as ever.
#[test]
fn a_command_without_a_terminal_needs_no_new_pod_process() {
    let world = World::with_agent();
    world.publish("1", object("web", "default", json!([running("a")])));
    let process = PodProcess::listen(&world, "1");
    let playing = std::thread::spawn(move || {
        let connection = process.accept();
        let (request, mut descriptors) = connection.request();
        let Request::Exec(exec) = request else { panic!("{request:?}") };
        assert!(!exec.terminal && exec.size.is_none());
        descriptors[1].write_all(b"\x1b[1mbytes\xff").unwrap();
        connection.reply(&Reply::Exited { code: 0 });
    });
    let child = world.spawn(&["exec", "web", "--", "x"]).wait_with_output().unwrap();
    assert_eq!((child.status.code(), &*child.stdout), (Some(0), &b"\x1b[1mbytes\xff"[..]));
    playing.join().unwrap();
}

#[test]
fn why_a_command_was_not_begun_is_its_exit_code() {
    let world = World::with_agent();
    world.publish("1", object("web", "default", json!([running("a")])));
    let check = |reason: Reason, message: &'static str, code: i32| {
        let process = PodProcess::listen(&world, "1");
        let playing = std::thread::spawn(move || {
            let connection = process.accept();
            connection.request();
            connection.reply(&Reply::Failed(Failure::new(reason, message)));
        });
        let run = world.run(&["exec", "web", "--", "x"]);
        assert_eq!(run.code, code, "{message}: {}", run.err);
        assert!(run.err.starts_with(&format!("error: {message}")), "{}", run.err);
        playing.join().unwrap();
    };
    check(Reason::StartError, "exec: \"x\": executable file not found in $PATH", 127);
    check(
        Reason::StartError,
        "exec: \"/x\": no such file or directory (it, or the interpreter that it names)",
        127,
    );
    check(Reason::StartError, "exec: \"x\": permission denied", 126);
    check(
        Reason::StartError,
        "exec: \"x\": exec format error: not a program for this machine, or a script without #!",
        126,
    );
    check(
        Reason::StartError,
        "make a terminal by the container's /dev/pts/ptmx: it is no multiplexer of terminals",
        1,
    );
    check(Reason::RunContainerError, "container \"a\" does not run", 1);
}

/// kubectl once took the command without `--`: what to type instead does what was meant.
#[test]
fn a_command_without_dashes_is_answered_with_all_that_was_typed() {
    let world = World::with_agent();
    world.check_error(
        &["exec", "-it", "web", "-c", "a", "-n", "prod", "sh"],
        "error: the command comes after --; type: holdfast exec -it -n prod -c a web -- sh",
    );
    world.check_error(
        &["exec", "web", "ls", "-l"],
        "error: the command comes after --; type: holdfast exec web -- ls -l",
    );
}
