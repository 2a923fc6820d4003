//! Running a hook, once.
//!
//! Invariant: a hook has a thread of its own, so that one that never ends holds up nobody else; it ends with its container
//! at the latest.
//! Invariant: nothing that a hook prints or is answered, and no path that it asks for, is told: secrets may be in it.

use std::cell::Cell;
use std::os::fd::AsFd;

use anyhow::{Result, bail};
use log::warn;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use smol::channel::Sender;

use super::Message;
use super::client::{Client, PATIENCE};
use super::perform::Job;
use super::world::World;
use super::{command, probe};
use crate::lifecycle::Learnt;
use crate::probe::{Asked, Deadline, hook};
use crate::protocol::{Notice, Reply, Request, RunState};
use crate::spec::{Container, Hook, HookKind, HttpGet, Pod};
use crate::status::{Failure, Reason};

/// A hook asks one question; a connection's buffers are on the heap but for a few kilobytes.
const STACK: usize = 256 * 1024;

/// Performs `job`, a hook, in a thread of its own: those of the pool are few, and others need them.
pub fn spawn(job: Job, sender: Sender<Message>) {
    let unable = job.failed(Failure::new(Reason::Failed, "start a thread for it: the system has none left"));
    let tell = sender.clone();
    let perform = move || {
        let (action, result, link) = job.perform();
        // Nobody is there to hear it once the agent ends.
        let _ = tell.try_send(Message::Done { action, result, link });
    };
    let thread = std::thread::Builder::new().name("hook".to_owned()).stack_size(STACK);
    if let Err(error) = thread.spawn(perform) {
        warn!("start a thread for a hook: {error}");
        let (action, result) = unable;
        let _ = sender.try_send(Message::Done { action, result, link: None });
    }
}

/// Runs the hook of `kind` of run `attempt` of `container`, in this thread, which it takes into the pod's network for good.
pub fn run(
    world: &World,
    pod: &Pod,
    container: &Container,
    attempt: u32,
    kind: HookKind,
) -> Result<Learnt, Failure> {
    let learnt = match container.hooks.get(kind) {
        Some(Hook::Exec(args)) => execute(world, pod, container, args).map(|()| Learnt::Done),
        Some(Hook::Http(get)) => over_network(world, pod, container, attempt, get),
        // Time passes by itself.
        Some(Hook::Sleep(_)) | None => Ok(Learnt::Done),
    };
    let reason = match kind {
        HookKind::PostStart => Reason::FailedPostStartHook,
        HookKind::PreStop => Reason::FailedPreStopHook,
    };
    learnt.map_err(|error| Failure::new(reason, format!("{error:#}")))
}

fn execute(world: &World, pod: &Pod, container: &Container, args: &[String]) -> Result<()> {
    match command::run(world, pod, container, args.to_vec(), None)?.code {
        Ok(0) => Ok(()),
        Ok(code) => bail!("exit code {code}"),
        Err(failure) => bail!("{}", failure.message),
    }
}

fn over_network(
    world: &World,
    pod: &Pod,
    container: &Container,
    attempt: u32,
    get: &HttpGet,
) -> Result<Learnt> {
    let watch = Watch::of(world, pod, &container.name, attempt)?;
    probe::enter(probe::network(world, pod)?.as_ref())?;
    let host = get.host.clone().or_else(|| probe::own_address(world, pod));
    let get = &HttpGet { host, ..get.clone() };
    match hook(get, Deadline::while_it_is(&|| watch.goes_on())) {
        Ok(Asked::AsWanted) => Ok(Learnt::Done),
        Ok(Asked::OverHttp(place)) => Ok(Learnt::FellBack { place }),
        Err(why) if watch.goes_on() => bail!("{why}"),
        Err(_) => bail!("the container ended"),
    }
}

/// A run that is watched to its end.
struct Watch<'a> {
    client: Client,
    container: &'a str,
    attempt: u32,
    over: Cell<bool>,
}

impl Watch<'_> {
    fn of<'a>(world: &World, pod: &Pod, container: &'a str, attempt: u32) -> Result<Watch<'a>> {
        let client = Client::connect(&world.runtime.pod(&pod.uid.0).socket())?;
        let state = client.state(&Request::Watch, PATIENCE)?;
        let runs = |run: &RunState| matches!(run, RunState::Running { name, attempt: number, .. } if name == container && *number == attempt);
        let over = Cell::new(!state.runs.iter().any(runs));
        Ok(Watch { client, container, attempt, over })
    }

    /// Whether it runs, as far as was told.
    fn goes_on(&self) -> bool {
        while !self.over.get() && self.is_told() {
            let over = match self.client.receive() {
                Ok(Some(Reply::Notice(Notice::Exited(end)))) => {
                    end.name == self.container && end.attempt == self.attempt
                }
                // A newer pod process may tell more than this agent understands.
                Ok(Some(_)) => false,
                Ok(None) | Err(_) => true,
            };
            self.over.set(over);
        }
        !self.over.get()
    }

    /// Whether there is something to be received.
    fn is_told(&self) -> bool {
        let mut wanted = [PollFd::new(self.client.as_fd(), PollFlags::POLLIN)];
        poll(&mut wanted, PollTimeout::ZERO).is_ok_and(|ready| 0 < ready)
    }
}
