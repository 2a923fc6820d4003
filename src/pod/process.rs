//! The loop: wait for something to happen, act on it, see what is due.

use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, poll};
use nix::sys::signalfd::SignalFd;

use super::attach::tell_missed;
use super::command::{Command, Stage};
use super::connections::{Connections, Heard, Id};
use super::lines::Scratch;
use super::run::{Phase, Run};
use super::sandbox::{Parts, Users};
use super::spawn;
use crate::cgroup::Hierarchy;
use crate::protocol::Sandbox;
use crate::status::Reason;
use crate::sys::clock;
use crate::sys::process::Ended;

/// How long no connections are taken after taking one failed, which is mostly for want of descriptors.
const ACCEPT_AGAIN: Duration = Duration::from_millis(200);

/// Everything a pod process knows.
pub struct Process {
    pub(super) sandbox: Sandbox,
    pub(super) directory: PathBuf,
    pub(super) cgroups: Hierarchy,
    pub(super) connections: Connections,
    /// The latest run of each container, and older ones of which something is left.
    pub(super) runs: Vec<Run>,
    pub(super) commands: Vec<Command>,
    /// The latest key of a run or a command.
    pub(super) last_key: u64,
    pub(super) scratch: Scratch,
    /// Children that ended before their worker said who they are.
    pub(super) unclaimed: Vec<Ended>,
    /// The pod's user namespace, where it has one of its own.
    pub(super) users: Option<Users>,
    /// The process that holds a shared PID namespace.
    pub(super) pause: Option<i32>,
    pub(super) leaving: Option<Leaving>,
    signals: SignalFd,
    listener: OwnedFd,
    accept_at: Option<Duration>,
    /// Held for as long as this process lives: that is how others know.
    _lock: OwnedFd,
}

/// Why a pod process is about to exit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leaving {
    /// This connection told it to.
    Told(Id),
    /// The process that held the pod's PID namespace is gone, and with it everything in there.
    Lost,
}

/// What `poll` may find ready; runs and commands by their keys.
#[derive(Debug, Clone, Copy)]
enum Source {
    Signals,
    Listener,
    Connection(Id),
    Stream(u64, &'static str),
    StartingRun(u64),
    StartingCommand(u64),
}

impl Process {
    /// A pod process around a sandbox that was made.
    pub fn new(sandbox: Sandbox, directory: PathBuf, lock: OwnedFd, parts: Parts) -> Process {
        Process {
            sandbox,
            directory,
            cgroups: parts.cgroups,
            connections: Connections::default(),
            runs: Vec::new(),
            commands: Vec::new(),
            last_key: 0,
            scratch: Scratch::new(),
            unclaimed: Vec::new(),
            users: parts.users,
            pause: parts.pause,
            leaving: None,
            signals: parts.signals,
            listener: parts.listener,
            accept_at: None,
            _lock: lock,
        }
    }

    /// Serves until it is told to leave.
    pub fn run(&mut self) -> ExitCode {
        // A child may have ended before signals were looked at.
        self.reap();
        loop {
            for (source, ready) in self.wait() {
                self.act(source, ready);
            }
            self.look_again();
            if let Some(code) = self.left() {
                return code;
            }
        }
    }

    /// Waits until something is ready or due; what is ready.
    fn wait(&mut self) -> Vec<(Source, PollFlags)> {
        let now = clock::boottime();
        if self.accept_at.is_some_and(|at| at <= now) {
            self.accept_at = None;
        }
        let timeout = spawn::timeout(self.next_due().map(|at| at.saturating_sub(now)));
        let (sources, mut wanted): (Vec<Source>, Vec<PollFd<'_>>) = self.wanted().into_iter().unzip();
        if let Err(error) = poll(&mut wanted, timeout)
            && error != nix::Error::EINTR
        {
            log::error!("poll: {error}");
            // Whatever is wrong must not turn into a busy loop.
            std::thread::sleep(Duration::from_millis(100));
            return Vec::new();
        }
        let ready = wanted.iter().map(|descriptor| descriptor.revents().unwrap_or(PollFlags::empty()));
        sources.into_iter().zip(ready).filter(|(_, ready)| !ready.is_empty()).collect()
    }

    fn wanted(&self) -> Vec<(Source, PollFd<'_>)> {
        let read = PollFlags::POLLIN;
        let mut wanted = vec![(Source::Signals, PollFd::new(self.signals.as_fd(), read))];
        if self.accept_at.is_none() && self.connections.room() {
            wanted.push((Source::Listener, PollFd::new(self.listener.as_fd(), read)));
        }
        for (id, socket, flags) in self.connections.wanted() {
            wanted.push((Source::Connection(id), PollFd::new(socket, flags)));
        }
        for run in &self.runs {
            if let Phase::Starting { worker, .. } = &run.phase
                && let Some(socket) = &worker.socket
            {
                wanted.push((Source::StartingRun(run.key), PollFd::new(socket.as_fd(), read)));
            }
            for stream in run.output.iter().flat_map(|output| &output.streams) {
                wanted.push((Source::Stream(run.key, stream.name()), PollFd::new(stream.as_fd(), read)));
            }
        }
        for command in &self.commands {
            if let Stage::Starting(worker) = &command.stage
                && let Some(socket) = &worker.socket
            {
                wanted.push((Source::StartingCommand(command.key), PollFd::new(socket.as_fd(), read)));
            }
        }
        wanted
    }

    fn act(&mut self, source: Source, ready: PollFlags) {
        match source {
            Source::Signals => {
                // SIGCHLD is all that matters: nobody ends a pod by a signal that can be caught. Signals without a name
                // are errors here; they are taken off all the same.
                while !matches!(self.signals.read_signal(), Ok(None) | Err(nix::Error::EAGAIN)) {}
                self.reap();
            }
            Source::Listener => {
                if let Err(error) = self.connections.accept(self.listener.as_fd()) {
                    log::warn!("take a connection: {error}");
                    self.accept_at = Some(clock::boottime() + ACCEPT_AGAIN);
                }
            }
            Source::Connection(id) => match self.connections.hear(id, ready) {
                Heard::Nothing => {}
                Heard::Request(request, descriptors) => self.serve(id, request, descriptors),
                Heard::Nonsense(message) => self.connections.fail(id, Reason::Error, message),
                Heard::Ended => {
                    self.connections.end(id);
                    self.abandon(id);
                }
            },
            Source::Stream(key, name) => {
                let output =
                    self.runs.iter_mut().find(|run| run.key == key).and_then(|run| run.output.as_mut());
                if let Some(output) = output {
                    output.read(name, &mut self.scratch);
                    tell_missed(&mut self.connections, output);
                }
            }
            Source::StartingRun(key) => self.hear_of_run(key),
            Source::StartingCommand(key) => self.hear_of_command(key),
        }
    }

    /// When something is due next, on CLOCK_BOOTTIME.
    fn next_due(&self) -> Option<Duration> {
        let of_runs = self.runs.iter().map(Run::next_due);
        let of_commands = self.commands.iter().map(|command| command.kill_at);
        of_runs.chain(of_commands).chain([self.accept_at]).flatten().min()
    }
}
