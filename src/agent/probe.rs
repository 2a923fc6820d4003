//! Asking a probe once.
//!
//! Commands run through the pod process, as those of `holdfast exec` do. What goes over the network is asked from the pod's
//! network namespace, by a thread that lives for that one question: which network a thread is in is its own affair.

use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, AsRawFd};
use std::sync::PoisonError;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sched::{CloneFlags, setns};
use nix::unistd::pipe2;

use super::client::{Client, PATIENCE};
use super::tally::Run;
use super::world::World;
use crate::bundle;
use crate::lifecycle::{Learnt, Outcome};
use crate::probe::{self, Answer, Deadline};
use crate::protocol::{Exec, Reply, Request};
use crate::spec::{Check, Container, Pod, Probe, ProbeKind};
use crate::status::{Failure, Reason};
use crate::sys::clock;

/// How often what went wrong on our side is tried at once, as in the kubelet.
const TRIES: usize = 3;
/// What is kept of what a command prints.
const LONGEST_OUTPUT: usize = 10 * 1024;

/// Asks the probe of `kind` of `container`. Fails where it could not be asked.
pub fn ask(world: &World, pod: &Pod, container: &Container, kind: ProbeKind) -> Result<Learnt, Failure> {
    let name = &container.name;
    let probe = container.probes.get(kind);
    let probe = probe.ok_or_else(|| {
        Failure::new(Reason::Unhealthy, format!("container {name} has no {} probe", kind.word()))
    })?;
    let (begun, before) = (clock::boottime(), clock::of_thread());
    let mut cpu = Duration::ZERO;
    let result = tried(|| match &probe.check {
        Check::Exec(command) => execute(world, pod, container, command, probe, &mut cpu),
        _ => over_network(world, pod, probe, &mut cpu),
    });
    let run = Run {
        answer: match &result {
            Ok((Outcome::Success, _)) => "success",
            Ok((Outcome::Warning, _)) => "warning",
            Ok((Outcome::Failure, _)) => "failure",
            Err(_) => "error",
        },
        wall: clock::boottime().saturating_sub(begun),
        cpu: cpu + clock::of_thread().saturating_sub(before),
    };
    let mut tally = world.probes.lock().unwrap_or_else(PoisonError::into_inner);
    tally.note((pod, container, kind, probe), &run, &world.runtime.probes());
    match result {
        Ok((outcome, message)) => Ok(Learnt::Probed { outcome, message }),
        Err(error) => Err(Failure::new(Reason::Unhealthy, format!("{error:#}"))),
    }
}

/// What `ask` comes to, after a few tries where it goes wrong.
fn tried(mut ask: impl FnMut() -> Result<Answer>) -> Result<Answer> {
    let mut result = ask();
    for _ in 1..TRIES {
        if result.is_ok() {
            break;
        }
        result = ask();
    }
    result
}

fn over_network(world: &World, pod: &Pod, probe: &Probe, cpu: &mut Duration) -> Result<Answer> {
    let namespace = match pod.host_network {
        true => None,
        false => Some(Client::connect(&world.runtime.pod(&pod.uid.0).socket())?.network()?),
    };
    let check = || -> Result<Answer> {
        if let Some(namespace) = &namespace {
            setns(namespace, CloneFlags::CLONE_NEWNET).context("enter the pod's network")?;
        }
        let deadline = Deadline::after(probe.timeout);
        match &probe.check {
            Check::Http(get) => Ok(probe::get(get, deadline)),
            Check::Tcp { host, port } => Ok(probe::tcp(host.as_deref(), *port, deadline)),
            Check::Grpc { port, service } => Ok(probe::grpc(*port, service, probe.timeout, deadline)),
            Check::Exec(_) => bail!("a command does not go over the network"),
        }
    };
    let measured = || (check(), clock::of_thread());
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().name("probe".to_owned());
        let thread = thread.spawn_scoped(scope, measured).context("start a thread")?;
        let (answer, used) = thread.join().map_err(|_| anyhow!("the probe's thread panicked"))?;
        *cpu += used;
        answer
    })
}

fn execute(
    world: &World,
    pod: &Pod,
    container: &Container,
    command: &[String],
    probe: &Probe,
    cpu: &mut Duration,
) -> Result<Answer> {
    let args = bundle::expand_static(command, &container.env);
    let (output, theirs) = pipe2(OFlag::O_CLOEXEC).context("make a pipe")?;
    fcntl(output.as_raw_fd(), FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).context("set non-blocking")?;
    let null = File::open("/dev/null").context("open /dev/null")?;
    let request = Request::Exec(Exec {
        name: container.name.clone(),
        args: args.clone(),
        terminal: false,
        size: None,
        timeout: Some(probe.timeout),
        measured: true,
    });
    let client = Client::connect(&world.runtime.pod(&pod.uid.0).socket())?;
    let deadline = Deadline::after(probe.timeout);
    client.send(&request, &[null.as_fd(), theirs.as_fd(), theirs.as_fd()])?;
    drop(theirs);
    let mut output = Output { pipe: Some(File::from(output)), kept: Vec::new() };
    // The pod process kills what takes too long; it is given up where that does not help.
    let given_up = Deadline::after(probe.timeout.saturating_add(PATIENCE));
    let reply = loop {
        output.read();
        match answer(&client, &output, given_up)? {
            Some(Reply::Started { .. }) | None => {}
            Some(Reply::Spent { cpu: spent }) => *cpu += spent,
            Some(reply) => break reply,
        }
    };
    output.read();
    let late = || format!("command timed out: \"{}\" timed out after {:?}", args.join(" "), probe.timeout);
    match reply {
        Reply::Exited { .. } | Reply::Failed(_) if deadline.left().is_none() => {
            Ok((Outcome::Failure, late()))
        }
        Reply::Exited { code: 0 } => Ok((Outcome::Success, output.text())),
        Reply::Exited { .. } => Ok((Outcome::Failure, output.text())),
        Reply::Failed(failure) => bail!("{}", failure.message),
        other => bail!("the pod process answered {other:?}"),
    }
}

/// The next reply; `None` when there is something else to do first.
fn answer(client: &Client, output: &Output, given_up: Deadline) -> Result<Option<Reply>> {
    let left = given_up.left().context("the command does not end, though it was killed")?;
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
