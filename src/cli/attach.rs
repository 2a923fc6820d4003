//! `attach`: reads along what a container prints from now on, and writes to what it reads.
//!
//! The pod process logs as ever and lets us have the same bytes by two pipes made here; what does not fit into them goes
//! past us, and we are told how much. Its stdin, or the master of its terminal, comes here for as long as we are there.

use std::fs::File;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::unistd::pipe2;

use super::exec::{connect, container, ensure_terminals, terminal_wanted};
use super::read::{self, Found};
use super::session::{End, Session};
use super::{args, say};
use crate::agent::Client;
use crate::host::Runtime;
use crate::protocol::{self, Reply, Request};
use crate::sys::terminal;

/// What a pipe is to hold, in bytes: the more, the less is missed when much comes at once. Only what is in it costs memory.
const PIPE: i32 = 256 * 1024;

/// kubectl's words.
const RECORDED: &str = "All commands and output from this session will be recorded in container logs, including credentials \
                        and sensitive information passed through the command prompt.";

/// Attaches until the container ends, or the person does; success then, as for kubectl.
pub fn attach(runtime: &Runtime, attach: &args::Attach) -> Result<ExitCode> {
    let found = read::pod(runtime, &attach.pod.namespace.namespace, &attach.pod.name)?;
    let name = container(&found, attach.container.as_deref(), attach.quiet)?;
    let client = connect(runtime, &found, "attach to")?;
    ensure_terminals(&client, &found, "attach")?;
    let (mut session, in_terminal) = begin(client, &found, &name, attach)?;
    let code = match session.run()? {
        End::Exited(_) if in_terminal && !attach.quiet => {
            let command = format!("holdfast attach {} -c {name} -i -t", found.name());
            say(&format!("Session ended, resume using '{command}' command when the pod is running"));
            0
        }
        End::Exited(_) | End::Detached => 0,
        End::Unread => 1,
        End::Signal(signal) => 128 + signal,
        End::Failed(failure) => bail!("{}", failure.message),
    };
    Ok(ExitCode::from(u8::try_from(code).unwrap_or(u8::MAX)))
}

/// The session, and whether the caller's terminal is the container's.
fn begin(client: Client, found: &Found, name: &str, attach: &args::Attach) -> Result<(Session, bool)> {
    let (from_stdout, stdout) = wide_pipe()?;
    let (from_stderr, stderr) = wide_pipe()?;
    let request = protocol::Attach { name: name.to_owned(), stdin: attach.stdin };
    client.send(&Request::Attach(request), &[stdout.as_fd(), stderr.as_fd()])?;
    drop((stdout, stderr));
    let (reply, input) = client.receive_with()?.context("the pod process ended")?;
    let (has_terminal, has_stdin) = match reply {
        Reply::Attached { terminal, stdin } => (terminal, stdin),
        Reply::Failed(failure) => bail!("{}; see: holdfast describe pod {}", failure.message, found.name()),
        other => bail!("the pod process answered {other:?}"),
    };
    if attach.stdin && !has_stdin && !attach.quiet {
        say(&format!(
            "Unable to pass stdin on - container {name} reads none; set stdin: true in its manifest"
        ));
    }
    let in_terminal = match (has_terminal, attach.tty && !attach.quiet) {
        // As for kubectl: a container with a terminal is spoken to as one even without -t.
        (true, _) => terminal_wanted(attach.stdin && has_stdin, true, attach.quiet || !attach.tty),
        (false, true) => {
            say(&format!("Unable to use a TTY - container {name} did not allocate one"));
            false
        }
        (false, false) => false,
    };
    let mut session = Session::with_container(client);
    if let Some(input) = input.into_iter().next() {
        speak(&mut session, input, in_terminal)?;
        if !attach.quiet {
            session.say(RECORDED);
            session.say("If you don't see a command prompt, try pressing enter.");
        }
    }
    session.pass_to_stdout(from_stdout)?;
    session.pass_to_stderr(from_stderr)?;
    Ok((session, in_terminal))
}

fn speak(session: &mut Session, input: OwnedFd, in_terminal: bool) -> Result<()> {
    session.pass_stdin_to(input.try_clone().context("duplicate the container's stdin")?)?;
    if in_terminal {
        session.end_by_keys();
        // Another size than ours for a moment, so that what is shown is drawn anew, as kubectl does.
        if let Ok((rows, columns)) = terminal::size(std::io::stdin()) {
            terminal::set_size(&input, (rows.saturating_add(1), columns.saturating_add(1)))?;
        }
        session.be_terminal(input.as_fd())?;
    }
    Ok(())
}

fn wide_pipe() -> Result<(OwnedFd, File)> {
    let (reader, writer) = pipe2(OFlag::O_CLOEXEC).context("make a pipe")?;
    // Less is only less smooth.
    let _ = fcntl(writer.as_raw_fd(), FcntlArg::F_SETPIPE_SZ(PIPE));
    Ok((reader, File::from(writer)))
}
