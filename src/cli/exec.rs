//! `exec`: hands a pod process three pipe ends made here, and pumps.
//!
//! Invariant: a container never gets a descriptor of the caller's: it could open what is behind it anew, and would hold
//! the caller's terminal.

use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::process::ExitCode;

use anyhow::{Context, Result, bail, ensure};
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::unistd::pipe2;

use super::args;
use super::sink::Sink;
use super::{choose, read};
use crate::agent::Client;
use crate::host::Runtime;
use crate::protocol::{Exec, Reply, Request};

/// Most that is taken from a pipe at once: its size.
const CHUNK: usize = 64 * 1024;

/// Runs the command; its exit code is ours.
pub fn exec(runtime: &Runtime, exec: &args::Exec) -> Result<ExitCode> {
    ensure!(!exec.tty, "-t: terminals are not supported yet; leave it out, -i passes stdin on without one");
    let found = read::pod(runtime, &exec.pod.namespace.namespace, &exec.pod.name)?;
    let name = choose::container(&found, exec.container.as_deref())?;
    let client = Client::connect(&runtime.pod(&found.uid).socket())
        .with_context(|| format!("pod {}/{} has no running pod process", found.namespace(), found.name()))?;
    let (stdin, to_stdin) = pipe2(OFlag::O_CLOEXEC)?;
    let (from_stdout, stdout) = pipe2(OFlag::O_CLOEXEC)?;
    let (from_stderr, stderr) = pipe2(OFlag::O_CLOEXEC)?;
    let request = Request::Exec(Exec { name, args: exec.command.clone(), terminal: false, timeout: None });
    client.send(&request, &[stdin.as_fd(), stdout.as_fd(), stderr.as_fd()])?;
    drop((stdin, stdout, stderr));
    let input = match exec.stdin {
        true => Some(Input::new(to_stdin)?),
        // The command reads the end at once.
        false => {
            drop(to_stdin);
            None
        }
    };
    let mut pump = Pump {
        client,
        input,
        outputs: [Output::new(from_stdout, Sink::stdout())?, Output::new(from_stderr, Sink::stderr())?],
    };
    // At most 255, as every exit status.
    pump.run().map(|code| ExitCode::from(u8::try_from(code).unwrap_or(u8::MAX)))
}

struct Pump {
    client: Client,
    input: Option<Input>,
    outputs: [Output; 2],
}

impl Pump {
    /// Until the command has ended and all that it wrote is through. The exit code, or 1 if nobody reads any more.
    fn run(&mut self) -> Result<i32> {
        loop {
            let ready = self.wait()?;
            let open = match &mut self.input {
                Some(input) => !ready.broken && input.pump(ready.stdin)?,
                None => false,
            };
            if !open {
                self.input = None;
            }
            for output in &mut self.outputs {
                if !output.pump()? {
                    // The command is killed when the connection ends.
                    return Ok(1);
                }
            }
            if !ready.reply {
                continue;
            }
            match self.client.receive()? {
                Some(Reply::Exited { code }) => {
                    self.drain()?;
                    return Ok(code);
                }
                Some(Reply::Failed(failure)) => bail!("{}", failure.message),
                Some(_) => {}
                None => bail!("the pod process ended before the command did"),
            }
        }
    }

    /// Everything written before the command ended is in the pipes; what its children write later is not waited for.
    fn drain(&mut self) -> Result<()> {
        for output in &mut self.outputs {
            while output.pipe.is_some() && output.pump()? && output.more {}
            output.sink.finish()?;
        }
        Ok(())
    }

    fn wait(&self) -> Result<Ready> {
        let mut descriptors = vec![PollFd::new(self.client.as_fd(), PollFlags::POLLIN)];
        for output in &self.outputs {
            descriptors.extend(output.pipe.as_ref().map(|pipe| PollFd::new(pipe.as_fd(), PollFlags::POLLIN)));
        }
        let stdin = std::io::stdin();
        let input = descriptors.len();
        if let Some(Input { pipe, pending }) = &self.input {
            // With nothing to pass on, only the end of the command's stdin is told of the pipe.
            let (out, read) = match pending.is_empty() {
                true => (PollFlags::empty(), PollFlags::POLLIN),
                false => (PollFlags::POLLOUT, PollFlags::empty()),
            };
            descriptors.push(PollFd::new(pipe.as_fd(), out));
            descriptors.push(PollFd::new(stdin.as_fd(), read));
        }
        match poll(&mut descriptors, PollTimeout::NONE) {
            Err(Errno::EINTR) => {}
            other => {
                other.context("wait for the command")?;
            }
        }
        let told = |index: usize| {
            let revents = descriptors.get(index).and_then(|descriptor| descriptor.revents());
            revents.unwrap_or(PollFlags::empty())
        };
        Ok(Ready {
            reply: !told(0).is_empty(),
            broken: told(input).contains(PollFlags::POLLERR),
            stdin: told(input + 1).intersects(PollFlags::POLLIN | PollFlags::POLLHUP | PollFlags::POLLERR),
        })
    }
}

/// What the wait brought.
struct Ready {
    /// The pod process has something to say.
    reply: bool,
    /// The command reads no more.
    broken: bool,
    /// Our stdin can be read.
    stdin: bool,
}

/// Our stdin, on its way to the command's.
struct Input {
    pipe: File,
    pending: Vec<u8>,
}

impl Input {
    fn new(pipe: OwnedFd) -> Result<Input> {
        Ok(Input { pipe: unblocked(pipe)?, pending: Vec::new() })
    }

    /// Moves what can be moved; `false` at the end of either side.
    fn pump(&mut self, readable: bool) -> Result<bool> {
        if self.pending.is_empty() {
            if !readable {
                return Ok(true);
            }
            let mut buffer = vec![0; CHUNK];
            match nix::unistd::read(std::io::stdin().as_raw_fd(), &mut buffer) {
                Ok(0) => return Ok(false),
                Ok(length) => self.pending.extend_from_slice(&buffer[..length]),
                Err(Errno::EAGAIN | Errno::EINTR) => return Ok(true),
                Err(error) => return Err(error).context("read stdin"),
            }
        }
        match self.pipe.write(&self.pending) {
            Ok(length) => self.pending.drain(..length).for_each(drop),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
            // The command has closed its stdin: that is its business.
            Err(error) if error.kind() == ErrorKind::BrokenPipe => return Ok(false),
            Err(error) => return Err(error).context("write to the command's stdin"),
        }
        Ok(true)
    }
}

/// The command's stdout or stderr, on its way to ours.
struct Output {
    pipe: Option<File>,
    sink: Sink,
    /// Whether there may be more to read at once.
    more: bool,
}

impl Output {
    fn new(pipe: OwnedFd, sink: Sink) -> Result<Output> {
        Ok(Output { pipe: Some(unblocked(pipe)?), sink, more: false })
    }

    /// Moves one piece, if there is one; `false` when nobody reads ours any more.
    fn pump(&mut self) -> Result<bool> {
        self.more = false;
        let Some(pipe) = &mut self.pipe else { return Ok(true) };
        let mut buffer = vec![0; CHUNK];
        match pipe.read(&mut buffer) {
            Ok(0) => self.pipe = None,
            Ok(length) => {
                self.more = true;
                return self.sink.write(&buffer[..length]);
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
            Err(error) => return Err(error).context("read the command's output"),
        }
        Ok(true)
    }
}

/// Our end of a pipe does not block; the other end is another open file and does.
fn unblocked(pipe: OwnedFd) -> Result<File> {
    fcntl(pipe.as_raw_fd(), FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
    Ok(File::from(pipe))
}
