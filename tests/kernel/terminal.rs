//! `exec` and `attach`, by a person at a terminal and by programs with pipes.

#[path = "../pty/mod.rs"]
mod pty;

use std::fs;
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::harness::kernel::{descriptors, figure, lives, of_smaps, signal, zombies_of};
use crate::harness::pod::{pod, with, with_main};
use crate::harness::{SOON, World, eventually, stays_true_for};
use pty::Pty;

/// What runs a shell in a container that has none.
const SHELL: &str = "/shared/busybox";

/// A pod that has a shell in a volume.
fn with_shell(world: &World, name: &str, args: &[&str], container: Value) -> Value {
    let shell = world.shared().join("busybox");
    if !shell.exists() {
        crate::harness::image::copy_program(&crate::harness::image::busybox(), &shell);
    }
    let volumes = json!([{"name": "shared", "hostPath": {"path": world.shared()}}]);
    let mut manifest = with(pod(name, args), json!({"volumes": volumes}));
    manifest = with_main(manifest, json!({"volumeMounts": [{"name": "shared", "mountPath": "/shared"}]}));
    with_main(manifest, container)
}

/// A world with one pod that sleeps, called `web`.
fn sleeping() -> World {
    sleeping_with(json!({}))
}

/// The same, with `fields` laid over its spec.
fn sleeping_with(fields: Value) -> World {
    let world = World::new();
    world.write("web.yaml", &with(with_shell(&world, "web", &["trap-term"], json!({})), fields));
    world.running("web");
    world
}

fn holdfast(world: &World, args: &[&str]) -> Command {
    let mut command = Command::new(crate::harness::binary());
    command.arg("--runtime-dir").arg(&world.runtime).args(args).env("TERM", "vt220");
    command
}

/// A shell by `exec -i -t`, at its prompt.
fn shell(world: &World) -> Pty {
    let mut pty = Pty::run(&holdfast(world, &["exec", "-it", "web", "--", SHELL, "sh"]));
    pty.sees("/etc # ");
    pty
}

/// Processes in the pod but its own first one.
fn commands(world: &World) -> usize {
    world.place().container_processes(&world.pod("web").unwrap().uid()).len() - 1
}

/// A key that sends a signal also throws away what was typed and not read yet, and reaches only the foreground: so it is
/// pressed once the `sleep` of the shell is that, and runs.
fn sleeps_in_the_foreground(world: &World) -> Option<()> {
    let uid = world.pod("web").unwrap().uid();
    let sleep = world.place().container_processes(&uid).into_iter().find(|pid| {
        let command_line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        command_line == format!("{SHELL}\0sleep\01000\0").as_bytes()
    })?;
    // The state, the parent, the process group, the session, the terminal, the terminal's foreground.
    let stat = fs::read_to_string(format!("/proc/{sleep}/stat")).ok()?;
    let fields: Vec<&str> = stat.rsplit_once(") ")?.1.split(' ').collect();
    (fields[0] == "S" && fields[2] == fields[5]).then_some(())
}

#[test]
fn exec_in_a_terminal_is_a_terminal() {
    is_a_terminal(&sleeping());
}

#[test]
fn exec_in_a_terminal_is_a_terminal_for_users_of_the_pods_own() {
    is_a_terminal(&sleeping_with(json!({"hostUsers": false})));
}

/// 14.02, 14.22: names, size, resize, Ctrl-C, Ctrl-Z, Ctrl-D, exit code.
fn is_a_terminal(world: &World) {
    let mut pty = shell(world);
    pty.type_in("/shared/busybox tty; /shared/busybox stty size; echo [$TERM]\r");
    pty.sees("\r\n/dev/pts/0\r\n24 80\r\n[xterm]\r\n");
    pty.sees("# ");
    pty.resize(40, 132);
    eventually(SOON, "the command's terminal has the new size", || {
        pty.type_in("/shared/busybox stty size\r");
        pty.sees("stty size\r\n");
        pty.sees("# ").contains("40 132\r\n").then_some(())
    });
    // Only the foreground is interrupted, and the shell goes on.
    pty.type_in("/shared/busybox sleep 1000\r");
    pty.sees("sleep 1000");
    eventually(SOON, "it sleeps", || sleeps_in_the_foreground(world));
    pty.type_in("\x03");
    pty.sees("^C");
    pty.type_in("echo code $?\r");
    pty.sees("\r\ncode 130\r\n");
    pty.type_in("/shared/busybox sleep 1000\r");
    eventually(SOON, "it sleeps", || sleeps_in_the_foreground(world));
    pty.type_in("\x1a");
    pty.sees("Stopped");
    pty.type_in("jobs\r");
    pty.sees("[1]+  Stopped");
    pty.type_in("fg\r");
    eventually(SOON, "it goes on in the foreground", || sleeps_in_the_foreground(world));
    pty.type_in("\x03");
    eventually(SOON, "it is interrupted", || (commands(world) == 1).then_some(()));
    pty.type_in("exit 7\r");
    assert_eq!(pty.ends(), Some(7), "{}", pty.shown());
    assert!(pty.is_restored());
    eventually(SOON, "nothing of it is left", || (commands(world) == 0).then_some(()));

    let mut pty = shell(world);
    pty.type_in("\x04");
    assert_eq!(pty.ends(), Some(0));
    assert!(pty.is_restored());
}

/// What shells print around their own lines reaches the terminal as it is, and nothing of ours does.
#[test]
fn a_terminal_gets_every_byte_as_it_is() {
    let world = sleeping();
    let script = "/shared/busybox printf '\\033[31mred\\033[0m \\303\\244 \\377\\n'; exit 137";
    let mut pty = Pty::run(&holdfast(&world, &["exec", "-it", "web", "--", SHELL, "sh", "-c", script]));
    pty.answer();
    assert_eq!(pty.ends(), Some(137));
    assert!(pty.shown().starts_with("\x1b[31mred\x1b[0m ä \u{fffd}\r\n"), "{:?}", pty.shown());
    // Without -t the same is made harmless.
    let mut pty = Pty::run(&holdfast(&world, &["exec", "-i", "web", "--", SHELL, "sh", "-c", script]));
    assert_eq!(pty.ends(), Some(137));
    assert!(pty.shown().starts_with("^[[31mred^[[0m ä \u{fffd}\r\n"), "{:?}", pty.shown());
}

/// A terminal answers to what a container asks, maybe after its end: a shell would run that as typed.
#[test]
fn what_a_terminal_answers_after_the_end_is_not_typed_into_the_shell() {
    let world = sleeping();
    let script = "/shared/busybox printf 'asks \\033[6n'";
    let mut pty = Pty::run(&holdfast(&world, &["exec", "-it", "web", "--", SHELL, "sh", "-c", script]));
    pty.answer();
    assert_eq!(pty.ends(), Some(0));
    assert!(pty.is_restored());
    assert!(!pty.has_input());
}

#[test]
fn the_callers_terminal_is_restored_whatever_ends_the_session() {
    let world = sleeping();
    for (number, code) in
        [(Signal::SIGTERM, 143), (Signal::SIGINT, 130), (Signal::SIGHUP, 129), (Signal::SIGQUIT, 131)]
    {
        let mut pty = shell(&world);
        assert!(!pty.is_restored());
        signal(pty.pid(), number);
        assert_eq!(pty.ends(), Some(code));
        assert!(pty.is_restored(), "{number}");
        eventually(SOON, "nothing of it is left", || (commands(&world) == 0).then_some(()));
    }
    // Stopped by another and let go on.
    let mut pty = shell(&world);
    signal(pty.pid(), Signal::SIGTSTP);
    signal(pty.pid(), Signal::SIGSTOP);
    signal(pty.pid(), Signal::SIGCONT);
    pty.type_in("echo goes on\r");
    pty.sees("\r\ngoes on\r\n");
    // The window is closed.
    pty.hang_up();
    // By the signal, or by what the terminal says when it is read or written first.
    let code = pty.ends();
    assert!(matches!(code, Some(129 | 1)), "{code:?}");
    eventually(SOON, "nothing of it is left", || (commands(&world) == 0).then_some(()));
}

#[test]
fn a_container_that_ends_under_a_terminal_ends_the_session_and_says_so() {
    let world = sleeping();
    let mut pty = shell(&world);
    let uid = world.running("web").uid();
    let first = world.place().container_processes(&uid);
    let first = *first.iter().find(|pid| figure_name(**pid) == "workload").unwrap();
    signal(first, Signal::SIGKILL);
    assert_eq!(pty.ends(), Some(137));
    assert!(pty.is_restored());
    assert!(pty.shown().contains("container \"main\" ended, and the command with it"), "{}", pty.shown());
}

fn figure_name(pid: i32) -> String {
    fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default().trim().to_owned()
}

#[test]
fn a_pod_process_that_dies_under_a_terminal_ends_the_session_and_says_so() {
    let world = sleeping();
    let mut pty = shell(&world);
    let uid = world.running("web").uid();
    signal(world.place().pod_process(&uid).unwrap(), Signal::SIGKILL);
    assert_eq!(pty.ends(), Some(1));
    assert!(pty.is_restored());
    assert!(pty.shown().contains(" the pod process ended before the command did"), "{}", pty.shown());
}

#[test]
fn what_cannot_be_a_terminal_is_said_and_goes_on_without() {
    let world = sleeping();
    let output = world.cli(&["exec", "-it", "web", "--", SHELL, "tty"]);
    assert_eq!((output.status.code(), &*output.stdout), (Some(1), &b"not a tty\n"[..]));
    let said = "Unable to use a TTY - input is not a terminal or the right kind of file\n";
    assert_eq!(String::from_utf8_lossy(&output.stderr), said);
    let output = world.cli(&["exec", "-itq", "web", "--", SHELL, "tty"]);
    assert_eq!(output.stderr, b"");
    let mut pty = Pty::run(&holdfast(&world, &["exec", "-t", "web", "--", SHELL, "tty"]));
    assert_eq!(pty.ends(), Some(1));
    assert!(pty.shown().contains("nothing is passed on to it; add -i"), "{}", pty.shown());
}

#[test]
fn what_was_wrong_is_told_by_words_and_exit_code() {
    let world = sleeping();
    let check = |args: &[&str], code: i32, said: &str| {
        let output = world.cli(args);
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "{args:?}: {stderr}");
        assert!(stderr.contains(said), "{args:?}: {stderr}");
    };
    check(
        &["exec", "web", "--", "missing"],
        127,
        "error: exec: \"missing\": executable file not found in $PATH",
    );
    check(&["exec", "web", "--", "/bin/missing"], 127, "no such file or directory");
    check(&["exec", "pod/web", "--", "/etc/passwd"], 126, "permission denied");
    check(&["exec", "web", "--", SHELL, "sh", "-c", "kill -9 $$"], 137, "");
    check(&["exec", "web", "--", SHELL, "sh", "-c", "kill -15 $$"], 143, "");
    check(&["exec", "web", "-c", "other", "--", "true"], 1, "container \"other\" is not in pod");
    check(&["exec", "web", "ls", "-l"], 1, "the command comes after --; type: holdfast exec web -- ls -l");
    check(&["exec", "web"], 2, "Usage: holdfast exec [OPTIONS] POD -- COMMAND...");
    check(&["exec", "web", "--contianer", "main", "--", "true"], 1, "unexpected argument \"--contianer\"");
    check(&["attach", "web", "-c", "other"], 1, "container \"other\" is not in pod");
    world.write("over.yaml", &with(pod("over", &["exit", "3"]), json!({"restartPolicy": "Never"})));
    world.once("over", "has failed", |pod| pod.phase() == "Failed");
    check(
        &["exec", "over", "--", "true"],
        1,
        "cannot exec into a container in a completed pod; current phase is Failed",
    );
    check(&["attach", "over"], 1, "cannot attach to a container in a completed pod; current phase is Failed");
    let mut two = pod("two", &["trap-term"]);
    let other = crate::harness::pod::container("crashes", &["exit", "1"]);
    two["spec"]["containers"].as_array_mut().unwrap().push(other);
    world.write("two.yaml", &two);
    world.once("two", "backs off", |pod| {
        pod.container("crashes")["state"]["waiting"]["reason"] == "CrashLoopBackOff"
    });
    check(
        &["exec", "two", "-c", "crashes", "--", "true"],
        1,
        "container \"crashes\" does not run; see: holdfast describe",
    );
    check(
        &["attach", "two", "-c", "crashes"],
        1,
        "container \"crashes\" does not run; see: holdfast describe",
    );
    let output = world.cli(&["exec", "two", "--", "/workload", "echo", "x"]);
    assert!(String::from_utf8_lossy(&output.stderr).contains("Defaulted container"));
    assert_eq!(world.cli(&["exec", "-q", "two", "--", "/workload", "echo", "x"]).stderr, b"");
}

/// Ctrl-C without a terminal for the command.
#[test]
fn a_command_ends_with_whoever_asked_for_it() {
    let world = sleeping();
    for number in [Signal::SIGINT, Signal::SIGKILL] {
        let mut child = holdfast(&world, &["exec", "web", "--", SHELL, "sh", "-c", "echo on; sleep 1000"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdout.as_mut().unwrap().read_exact(&mut [0; 3]).unwrap();
        assert!(commands(&world) > 0);
        signal(i32::try_from(child.id()).unwrap(), number);
        child.wait().unwrap();
        eventually(SOON, "nothing of it is left", || (commands(&world) == 0).then_some(()));
    }
}

/// 1 GB, both ways, and every byte of it; threat 15.
#[test]
fn a_gigabyte_goes_through_both_ways_and_no_side_keeps_it() {
    const LENGTH: u64 = 1_000_000_000;
    let world = sleeping();
    let uid = world.running("web").uid();
    let pod_process = world.place().pod_process(&uid).unwrap();
    let before = of_smaps(pod_process, "Anonymous");
    let mut child = holdfast(&world, &["exec", "-i", "web", "--", SHELL, "cat"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let pattern: Vec<u8> = (0..1_000_000u32).map(|number| (number % 251) as u8).collect();
    let (mut stdin, mut stdout) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
    let sent = pattern.clone();
    let writing = std::thread::spawn(move || {
        for _ in 0..LENGTH / sent.len() as u64 {
            stdin.write_all(&sent).unwrap();
        }
    });
    let (mut got, mut most, mut buffer) = (0, 0, vec![0; pattern.len()]);
    while got < LENGTH {
        // Before the last part: with nothing left to write the program may be gone.
        most = figure(&format!("/proc/{}/status", child.id()), "VmHWM");
        stdout.read_exact(&mut buffer).unwrap();
        assert!(buffer == pattern, "other bytes after {got}");
        got += buffer.len() as u64;
    }
    writing.join().unwrap();
    assert_eq!(stdout.read(&mut buffer).unwrap(), 0);
    assert!(child.wait().unwrap().success());
    println!("exec -i took at most {most} KiB");
    assert!(most < 24 * 1024, "{most} KiB");
    let grown = of_smaps(pod_process, "Anonymous").saturating_sub(before);
    assert!(grown < 64, "the pod process grew by {grown} KiB");
}

/// A container that floods whoever does not read; threat 15.
#[test]
fn a_flood_that_nobody_reads_costs_no_memory() {
    let world = sleeping();
    let uid = world.running("web").uid();
    let pod_process = world.place().pod_process(&uid).unwrap();
    for flags in [&["exec", "web", "--", "/workload", "flood"][..], &["attach", "flood"]] {
        if flags[0] == "attach" {
            world.write("flood.yaml", &pod("flood", &["flood"]));
            world.running("flood");
        }
        let mut child = holdfast(&world, flags).stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
        child.stdout.as_mut().unwrap().read_exact(&mut [0; 1000]).unwrap();
        let status = format!("/proc/{}/status", child.id());
        let (own, of_pod) = (figure(&status, "VmRSS"), of_smaps(pod_process, "Anonymous"));
        stays_true_for(Duration::from_secs(2), "memory stays", || {
            figure(&status, "VmRSS") < own + 1024 && of_smaps(pod_process, "Anonymous") < of_pod + 128
        });
        child.kill().unwrap();
        child.wait().unwrap();
    }
    world.remove("flood.yaml");
    world.gone("flood");
}

fn attached(world: &World, args: &[&str]) -> Child {
    let mut command = holdfast(world, args);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

fn line(from: &mut (impl Read + AsFd)) -> String {
    let mut text = Vec::new();
    let mut byte = [0];
    while text.last() != Some(&b'\n') {
        let mut ready = [PollFd::new(from.as_fd(), PollFlags::POLLIN)];
        let came = poll(&mut ready, PollTimeout::try_from(SOON).unwrap()).unwrap();
        assert!(came > 0, "nothing more came after {:?}", String::from_utf8_lossy(&text));
        if from.read(&mut byte).unwrap() == 0 {
            break;
        }
        text.push(byte[0]);
    }
    String::from_utf8(text).unwrap()
}

/// 14.22: both streams from now on, stdin, and the container goes on when one leaves.
#[test]
fn attach_shows_what_comes_and_passes_on_what_is_said() {
    let world = World::new();
    let script =
        "while read line; do echo \"out $line\"; echo \"err $line\" >&2; [ \"$line\" = end ] && exit 3; done";
    let container = json!({"command": [SHELL, "sh", "-c", script], "stdin": true});
    world.write("web.yaml", &with_shell(&world, "web", &[], container));
    let before = world.running("web");
    let mut first = attached(&world, &["attach", "web", "-i"]);
    let mut stderr = first.stderr.take().unwrap();
    assert!(line(&mut stderr).starts_with("All commands and output from this session will be recorded"));
    assert_eq!(line(&mut stderr), "If you don't see a command prompt, try pressing enter.\n");
    let mut second = attached(&world, &["attach", "-q", "web"]);
    let (mut stdin, mut stdout) = (first.stdin.take().unwrap(), first.stdout.take().unwrap());
    // The second may be connected and not attached yet. Two pipes are those of each, three the container's.
    eventually(SOON, "both read along", || (held(&world, "pipe") == 2 * 2 + 3).then_some(()));
    stdin.write_all(b"one\n").unwrap();
    assert_eq!(line(&mut stdout), "out one\n");
    assert_eq!(line(&mut stderr), "err one\n");
    assert_eq!(line(second.stdout.as_mut().unwrap()), "out one\n");
    first.kill().unwrap();
    first.wait().unwrap();
    eventually(SOON, "one reads along", || (attachments(&world) == 1).then_some(()));
    assert_eq!(world.running("web").life(), before.life(), "the container goes on");
    let mut third = attached(&world, &["attach", "web", "-i", "-q"]);
    third.stdin.take().unwrap().write_all(b"end\n").unwrap();
    let Output { status, stdout, stderr } = third.wait_with_output().unwrap();
    assert_eq!((status.code(), &*stdout, &*stderr), (Some(0), &b"out end\n"[..], &b"err end\n"[..]));
    let Output { status, stdout, stderr } = second.wait_with_output().unwrap();
    assert_eq!((status.code(), &*stdout, &*stderr), (Some(0), &b"out end\n"[..], &b"err one\nerr end\n"[..]));
}

/// How many are connected to read along: beside the listener and the agent.
fn attachments(world: &World) -> usize {
    held(world, "socket") - 2
}

/// How many descriptors of a kind the pod process holds.
fn held(world: &World, kind: &str) -> usize {
    let uid = world.pod("web").unwrap().uid();
    let pid = world.place().pod_process(&uid).unwrap();
    let links = fs::read_dir(format!("/proc/{pid}/fd")).unwrap().flatten();
    links
        .filter(|link| fs::read_link(link.path()).is_ok_and(|to| to.to_string_lossy().starts_with(kind)))
        .count()
}

#[test]
fn stdin_once_closes_with_the_first_who_attaches() {
    let world = World::new();
    let script = "/shared/busybox cat; echo end; exec /workload trap-term";
    let container = json!({"command": [SHELL, "sh", "-c", script], "stdin": true, "stdinOnce": true});
    world.write("web.yaml", &with_shell(&world, "web", &[], container));
    world.running("web");
    let mut first = attached(&world, &["attach", "web", "-iq"]);
    first.stdin.take().unwrap().write_all(b"hello\n").unwrap();
    let mut stdout = first.stdout.take().unwrap();
    assert_eq!([line(&mut stdout), line(&mut stdout)], ["hello\n", "end\n"]);
    first.kill().unwrap();
    first.wait().unwrap();
    let output = world.cli(&["attach", "web", "-i"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("(stdinOnce), and is taken; leave out -i"));
    assert_eq!(world.log("web"), "hello\nend\n");
}

#[test]
fn attach_to_a_containers_terminal_is_to_sit_at_it() {
    sits_at_it(&json!({}));
}

#[test]
fn attach_to_a_terminal_of_users_of_the_pods_own_is_to_sit_at_it() {
    sits_at_it(&json!({"hostUsers": false}));
}

/// 14.22, with a terminal of the container's own: prompt, resize, detach by keys, come back, end.
fn sits_at_it(fields: &Value) {
    let world = World::new();
    let container = json!({"command": [SHELL, "sh"], "stdin": true, "tty": true});
    world.write("web.yaml", &with(with_shell(&world, "web", &[], container), fields.clone()));
    let before = world.running("web");
    let mut pty = Pty::run(&holdfast(&world, &["attach", "-it", "web"]));
    pty.sees("try pressing enter.\r\n");
    pty.type_in("\r");
    pty.sees("# ");
    pty.type_in("/shared/busybox tty; /shared/busybox stty size; echo [$TERM]\r");
    pty.sees("\r\n/dev/pts/0\r\n24 80\r\n[xterm]\r\n");
    pty.resize(30, 90);
    eventually(SOON, "the container's terminal has the new size", || {
        pty.type_in("/shared/busybox stty size\r");
        pty.sees("stty size\r\n");
        pty.sees("# ").contains("30 90\r\n").then_some(())
    });
    pty.type_in("\x10\x11");
    assert_eq!(pty.ends(), Some(0));
    assert!(pty.is_restored());
    assert_eq!(world.running("web").life(), before.life(), "the container goes on");
    // As one without a terminal, one still reads along; and everything is in the log.
    eventually(SOON, "the one before is gone", || (attachments(&world) == 0).then_some(()));
    // Each brings two; a connection alone may be one that has not asked for anything yet.
    let pipes = held(&world, "pipe");
    let mut reader = attached(&world, &["attach", "web"]);
    let mut pty = Pty::run(&holdfast(&world, &["attach", "-itq", "web"]));
    eventually(SOON, "both read along", || (held(&world, "pipe") == pipes + 4).then_some(()));
    pty.type_in("echo both of us\r");
    pty.sees("\r\nboth of us\r\n");
    let mut stdout = reader.stdout.take().unwrap();
    let lines: String = (0..2).map(|_| line(&mut stdout)).collect();
    assert!(lines.contains("echo both of us\r\n") || lines.contains("both of us\r\n"), "{lines:?}");
    eventually(SOON, "it is logged", || world.log("web").contains("\nboth of us").then_some(()));
    reader.kill().unwrap();
    reader.wait().unwrap();
    // A window that is closed leaves the container alone.
    pty.hang_up();
    assert_eq!(pty.ends(), Some(129));
    assert_eq!(world.running("web").life(), before.life(), "the container goes on");
    let mut pty = Pty::run(&holdfast(&world, &["attach", "-it", "web"]));
    pty.sees("try pressing enter.\r\n");
    pty.type_in("exit 4\r");
    assert_eq!(pty.ends(), Some(0));
    assert!(pty.shown().contains("Session ended, resume using 'holdfast attach web-"), "{}", pty.shown());
    world.once("web", "runs again", |pod| pod.restarts() == 1);
}

#[test]
fn attach_says_what_a_container_lacks() {
    let world = sleeping();
    let mut pty = Pty::run(&holdfast(&world, &["attach", "-it", "web"]));
    pty.sees("container main reads none; set stdin: true in its manifest");
    pty.sees("Unable to use a TTY - container main did not allocate one");
    pty.type_in("\x03");
    assert_eq!(pty.ends(), None, "Ctrl-C ends it as any program");
    assert!(pty.is_restored());
}

/// As in `attach | head`, when nothing more is ever written.
#[test]
fn attach_ends_when_nobody_reads_it_any_more() {
    let world = sleeping();
    let mut reader = attached(&world, &["attach", "web"]);
    eventually(SOON, "it reads along", || (attachments(&world) == 1).then_some(()));
    drop(reader.stdout.take());
    eventually(SOON, "attach ends", || reader.try_wait().unwrap());
}

/// Agents come and go under a session.
#[test]
fn sessions_outlive_the_agent() {
    let mut world = sleeping();
    let mut pty = shell(&world);
    world.kill_agent();
    pty.type_in("echo still here\r");
    pty.sees("\r\nstill here\r\n");
    world.start_agent();
    pty.type_in("exit 5\r");
    assert_eq!(pty.ends(), Some(5));
}

/// Threat 15, with the whole program. `HOLDFAST_SOAK=10000` for as many as the list asks for.
#[test]
fn many_sessions_leave_nothing() {
    let count = std::env::var("HOLDFAST_SOAK").ok().and_then(|count| count.parse().ok()).unwrap_or(60);
    let world = World::new();
    let container = json!({"command": [SHELL, "sh"], "stdin": true, "tty": true});
    world.write("web.yaml", &with_shell(&world, "web", &[], container));
    let uid = world.running("web").uid();
    let pod_process = world.place().pod_process(&uid).unwrap();
    let settled = || {
        eventually(SOON, "nothing of them is left", || {
            (commands(&world) == 0 && attachments(&world) == 0).then_some(())
        });
        (descriptors(pod_process), zombies_of(pod_process), world.place().pod_cgroups().len())
    };
    let before = settled();
    for number in 0..count {
        if number % 2 == 0 {
            let mut pty = Pty::run(&holdfast(&world, &["exec", "-it", "web", "--", SHELL, "true"]));
            assert_eq!(pty.ends(), Some(0));
        } else {
            let mut pty = Pty::run(&holdfast(&world, &["attach", "-it", "web"]));
            pty.sees("try pressing enter.\r\n");
            pty.type_in("\x10\x11");
            assert_eq!(pty.ends(), Some(0));
        }
    }
    eventually(SOON, "the pod process is as before", || (settled() == before).then_some(()));
    assert!(lives(pod_process));
}
