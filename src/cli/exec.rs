//! `exec`: runs a command in a container, by the pod process.
//!
//! With `-t` the command has a terminal of the container's own `/dev/pts`, whose master comes here; the caller's terminal is
//! raw meanwhile and shows all that the command writes, as it is: to steer it is what a terminal is for. What would
//! outlive the session is undone: see [`super::session`].

use std::io::IsTerminal;
use std::os::fd::AsFd;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use nix::fcntl::OFlag;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::unistd::pipe2;

use super::args;
use super::field::{list, text};
use super::read::{self, Found};
use super::session::{End, Session};
use super::{PATIENCE, choose, live, say};
use crate::agent::Client;
use crate::host::Runtime;
use crate::protocol::{Exec, Notice, Reply, Request, RunState, Size, State, TERMINALS};
use crate::status::{Failure, Reason};
use crate::sys::{clock, terminal};

/// Exit code of a command that is not there, and of one that cannot be executed, as of a shell.
const NOT_FOUND: u8 = 127;
const NOT_EXECUTABLE: u8 = 126;

/// How long a container may take to end after what ran in it: until the pod process has killed what is left there.
const CONTAINER_END: Duration = Duration::from_millis(500);

/// Runs the command; its exit code is ours.
pub fn exec(runtime: &Runtime, exec: &args::Exec) -> Result<ExitCode> {
    ensure_command(exec)?;
    let found = read::pod(runtime, &exec.pod.namespace.namespace, &exec.pod.name)?;
    let name = container(&found, exec.container.as_deref(), exec.quiet)?;
    let client = connect(runtime, &found, "exec into")?;
    let begun = clock::boottime();
    let with_terminal = terminal_wanted(exec.stdin, exec.tty, exec.quiet);
    let mut session = match with_terminal {
        false => with_pipes(client, &name, exec)?,
        true => {
            ensure_terminals(&client, &found, "terminals")?;
            match in_terminal(client, &name, exec)? {
                Ok(session) => session,
                Err(failure) => return refused(&failure, &found),
            }
        }
    };
    let code = match session.run()? {
        End::Failed(failure) => return refused(&failure, &found),
        End::Exited(code) => {
            if code == 128 + libc::SIGKILL {
                drop(session);
                say_if_container_ended(runtime, &found, &name, begun);
            }
            code
        }
        // The command is killed when the connection ends.
        End::Unread | End::Detached => 1,
        End::Signal(signal) => 128 + signal,
    };
    // At most 255, as every exit status.
    Ok(ExitCode::from(u8::try_from(code).unwrap_or(u8::MAX)))
}

/// Whether there is a command, where it belongs.
fn ensure_command(exec: &args::Exec) -> Result<()> {
    match exec.words.first() {
        Some(flag) if flag.starts_with('-') => {
            bail!(
                "unexpected argument {flag:?}; flags of the command come after --, those of exec are in exec --help"
            )
        }
        Some(_) => {
            let flags = match (exec.stdin, exec.tty) {
                (true, true) => "-it ",
                (true, false) => "-i ",
                (false, true) => "-t ",
                (false, false) => "",
            };
            let namespace = Some(&exec.pod.namespace.namespace).filter(|name| *name != "default");
            let named = |flag: &str, value: Option<&String>| {
                value.map(|value| format!("{flag} {value} ")).unwrap_or_default()
            };
            let (namespace, container) = (named("-n", namespace), named("-c", exec.container.as_ref()));
            let words =
                [std::slice::from_ref(&exec.pod.name), &["--".to_string()], &exec.words, &exec.command];
            let words = words.concat().join(" ");
            bail!("the command comes after --; type: holdfast exec {flags}{namespace}{container}{words}")
        }
        None => Ok(()),
    }
}

/// The container that is meant; without a word about others where `quiet`.
pub fn container(found: &Found, asked: Option<&str>, quiet: bool) -> Result<String> {
    let first = list(&found.pod.object, "/spec/containers").first().map(|first| text(first, "/name"));
    choose::container(found, asked.or(first.filter(|_| quiet)))
}

/// The pod's process. `what` is what cannot be done in a pod that is over.
pub fn connect(runtime: &Runtime, found: &Found, what: &str) -> Result<Client> {
    let phase = text(&found.pod.object, "/status/phase");
    if matches!(phase, "Succeeded" | "Failed") {
        bail!("cannot {what} a container in a completed pod; current phase is {phase}");
    }
    Client::connect(&runtime.pod(&found.uid).socket())
        .with_context(|| format!("pod {}/{} has no running pod process", found.namespace(), found.name()))
}

/// Whether the caller's terminal is to be the container's, in kubectl's way and words.
pub fn terminal_wanted(stdin: bool, tty: bool, quiet: bool) -> bool {
    let fit = std::io::stdin().is_terminal();
    if tty && !quiet {
        match (stdin, fit) {
            (false, _) => say("Unable to use a TTY - nothing is passed on to it; add -i"),
            (true, false) => say("Unable to use a TTY - input is not a terminal or the right kind of file"),
            (true, true) => {}
        }
    }
    tty && stdin && fit
}

/// Asks what runs, of a pod process that knows terminals.
pub fn ensure_terminals(client: &Client, found: &Found, what: &str) -> Result<()> {
    let State { hello, .. } = client.state(&Request::State, PATIENCE)?;
    ensure!(
        hello.version >= TERMINALS,
        "pod {} is held by a process of an older holdfast, which knows no {what}; change the manifest, be it a label, and \
         the pod is started anew",
        found.name()
    );
    Ok(())
}

fn with_pipes(client: Client, name: &str, exec: &args::Exec) -> Result<Session> {
    let (stdin, to_stdin) = pipe2(OFlag::O_CLOEXEC)?;
    let (from_stdout, stdout) = pipe2(OFlag::O_CLOEXEC)?;
    let (from_stderr, stderr) = pipe2(OFlag::O_CLOEXEC)?;
    client.send(&request(name, exec, None), &[stdin.as_fd(), stdout.as_fd(), stderr.as_fd()])?;
    drop((stdin, stdout, stderr));
    let mut session = Session::with_command(client);
    // Without -i the command reads the end at once.
    if exec.stdin {
        session.pass_stdin_to(to_stdin)?;
    }
    session.pass_to_stdout(from_stdout)?;
    session.pass_to_stderr(from_stderr)?;
    Ok(session)
}

/// The session, or why the command was not begun.
fn in_terminal(client: Client, name: &str, exec: &args::Exec) -> Result<Result<Session, Failure>> {
    let size = terminal::size(std::io::stdin()).context("ask for the terminal's size")?;
    client.send(&request(name, exec, Some(size)), &[])?;
    let (reply, master) = client.receive_with()?.context("the pod process ended before the command began")?;
    match reply {
        Reply::Started { .. } => {}
        Reply::Failed(failure) => return Ok(Err(failure)),
        other => bail!("the pod process answered {other:?}"),
    }
    let master = master.into_iter().next().context("the pod process gave no terminal")?;
    let mut session = Session::with_command(client);
    session.pass_stdin_to(master.try_clone()?)?;
    session.be_terminal(master.as_fd())?;
    session.pass_to_stdout(master)?;
    Ok(Ok(session))
}

fn request(name: &str, exec: &args::Exec, size: Option<terminal::Size>) -> Request {
    Request::Exec(Exec {
        name: name.to_owned(),
        args: exec.command.clone(),
        terminal: size.is_some(),
        size: size.map(|(rows, columns)| Size { rows, columns }),
        timeout: None,
        measured: false,
    })
}

/// Tells why the command was not begun, with a shell's exit code for it.
fn refused(failure: &Failure, found: &Found) -> Result<ExitCode> {
    let code = match code_of(failure) {
        Some(code) => code,
        None => bail!("{}; see: holdfast describe pod {}", failure.message, found.name()),
    };
    say(&format!("error: {}", failure.message));
    Ok(ExitCode::from(code))
}

/// The exit code for a command that could not be executed. A pod process says why in words only.
fn code_of(failure: &Failure) -> Option<u8> {
    let executed = failure.reason == Reason::StartError && failure.message.starts_with("exec");
    let missing =
        ["not found", "no such file or directory"].iter().any(|words| failure.message.contains(words));
    executed.then_some(if missing { NOT_FOUND } else { NOT_EXECUTABLE })
}

/// A command that was killed may have been so because its container ended under it, which is known a little later. `begun`
/// is before the command was, on CLOCK_BOOTTIME.
fn say_if_container_ended(runtime: &Runtime, found: &Found, name: &str, begun: Duration) {
    let ended = || -> Result<bool> {
        let client = Client::connect(&runtime.pod(&found.uid).socket())?;
        let state = client.state(&Request::Watch, PATIENCE)?;
        let until = Instant::now() + CONTAINER_END;
        let run = state.runs.iter().find(|run| live::name(run) == name);
        // Another run of it is no run that the command was in.
        let mut over = !matches!(run, Some(RunState::Running { started_boot, .. }) if *started_boot <= begun);
        while !over {
            let left = until.saturating_duration_since(Instant::now());
            let mut wanted = [PollFd::new(client.as_fd(), PollFlags::POLLIN)];
            if poll(&mut wanted, PollTimeout::try_from(left)?)? == 0 {
                return Ok(false);
            }
            let notice = client.receive()?.context("it ended")?;
            over = matches!(notice, Reply::Notice(Notice::Exited(exited)) if exited.name == name);
        }
        Ok(over)
    };
    // A pod process that is gone by now says enough by that.
    if let Ok(true) = ended() {
        say(&format!("container {name:?} ended, and the command with it"));
    }
}
