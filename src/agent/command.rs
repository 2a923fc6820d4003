//! One command in a container, for a probe or a hook: through the pod process, as those of `holdfast exec`.

use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, AsRawFd};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::unistd::pipe2;

use super::client::{Client, PATIENCE};
use super::world::World;
use crate::probe::Deadline;
use crate::protocol::{Exec, Reply, Request};
use crate::spec::{Container, Pod};
use crate::status::Failure;

/// What is kept of what a command prints.
const LONGEST_OUTPUT: usize = 10 * 1024;

/// The end of a command.
pub struct Ended {
    /// Its exit code; or why it has none.
    pub code: Result<i32, Failure>,
    /// The beginning of what it printed.
    pub output: String,
    /// The processor time that it took.
    pub cpu: Duration,
}

/// Runs the command `args` in `container`. After `timeout` all that it started is killed; without one it goes on until it
/// ends, at the latest with its container.
pub fn run(
    world: &World,
    pod: &Pod,
    container: &Container,
    args: Vec<String>,
    timeout: Option<Duration>,
) -> Result<Ended> {
    let (output, theirs) = pipe2(OFlag::O_CLOEXEC).context("make a pipe")?;
    fcntl(output.as_raw_fd(), FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).context("set non-blocking")?;
    let null = File::open("/dev/null").context("open /dev/null")?;
    let name = container.name.clone();
    let request = Request::Exec(Exec { name, args, terminal: false, size: None, timeout, measured: true });
    let client = Client::connect(&world.runtime.pod(&pod.uid.0).socket())?;
    client.send(&request, &[null.as_fd(), theirs.as_fd(), theirs.as_fd()])?;
    drop(theirs);
    let mut output = Output { pipe: Some(File::from(output)), kept: Vec::new() };
    // The pod process kills what takes too long; it is given up where that does not help.
    let given_up = timeout.map(|timeout| Deadline::after(timeout.saturating_add(PATIENCE)));
    let mut cpu = Duration::ZERO;
    let reply = loop {
        output.read();
        match answer(&client, &output, given_up)? {
            Some(Reply::Started { .. }) | None => {}
            Some(Reply::Spent { cpu: spent }) => cpu += spent,
            Some(reply) => break reply,
        }
    };
    output.read();
    let code = match reply {
        Reply::Exited { code } => Ok(code),
        Reply::Failed(failure) => Err(failure),
        other => bail!("the pod process answered {other:?}"),
    };
    Ok(Ended { code, output: output.text(), cpu })
}

/// The next reply; `None` when there is something else to do first.
fn answer(client: &Client, output: &Output, given_up: Option<Deadline<'_>>) -> Result<Option<Reply>> {
    let left = match given_up {
        None => Duration::MAX,
        Some(given_up) => given_up.left().context("the command does not end, though it was killed")?,
    };
    let mut wanted = vec![PollFd::new(client.as_fd(), PollFlags::POLLIN)];
    wanted.extend(output.pipe.iter().map(|pipe| PollFd::new(pipe.as_fd(), PollFlags::POLLIN)));
    let longest = left.min(Duration::from_secs(3600));
    match poll(&mut wanted, PollTimeout::try_from(longest).unwrap_or(PollTimeout::MAX)) {
        Err(nix::Error::EINTR) => return Ok(None),
        other => other.context("wait for the command")?,
    };
    let ready = wanted.first().and_then(|it| it.revents()).is_some_and(|ready| !ready.is_empty());
    match ready {
        false => Ok(None),
        true => client.receive()?.context("the pod process ended before the command did").map(Some),
    }
}

/// What a command prints, of which the beginning is kept; the rest is read, so that the command goes on.
struct Output {
    pipe: Option<File>,
    kept: Vec<u8>,
}

impl Output {
    /// Takes what is there, at most so much that replies are not kept waiting.
    fn read(&mut self) {
        let Some(pipe) = &mut self.pipe else { return };
        let mut chunk = [0; 16 * 1024];
        for _ in 0..4 {
            match pipe.read(&mut chunk) {
                Ok(0) => return self.pipe = None,
                Ok(count) => {
                    let room = LONGEST_OUTPUT - self.kept.len();
                    self.kept.extend_from_slice(&chunk[..count.min(room)]);
                }
                Err(_) => return,
            }
        }
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.kept).into_owned()
    }
}
