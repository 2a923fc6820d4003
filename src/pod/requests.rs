//! What the pod process is asked, and how it begins to do it.

use std::fs::File;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::unistd::pipe2;

use super::command::{Command, START, Stage};
use super::connections::Id;
use super::exec::{self, Entry};
use super::job::{self, Job, MORE, Task, container_id};
use super::lines::{STDERR, STDOUT, Stream};
use super::log_file::Log;
use super::process::{Leaving, Process};
use super::run::{Input, Output, Phase, Run, Stopping};
use super::spawn::{self, Worker};
use crate::protocol::{Exec, Hello, Reply, Request, StartContainer, State, Stdin, Stop, VERSION};
use crate::status::{Failure, Reason};
use crate::sys::{clock, process};

impl Process {
    /// Does what `asker` asks, or begins to.
    pub fn serve(&mut self, asker: Id, request: Request, descriptors: Vec<OwnedFd>) {
        match request {
            Request::State => self.connections.reply(asker, &Reply::State(self.state())),
            Request::Watch => {
                self.connections.watch(asker);
                self.connections.reply(asker, &Reply::State(self.state()));
            }
            Request::Stop(stop) => {
                self.stop(&stop);
                self.connections.reply(asker, &Reply::Done);
            }
            Request::Leave => {
                self.connections.owe(asker);
                self.leave(Leaving::Told(asker));
            }
            Request::StartContainer(_) | Request::Exec(_) | Request::Attach(_) if self.leaving.is_some() => {
                self.connections.fail(asker, Reason::RunContainerError, "the pod is being removed");
            }
            Request::StartContainer(request) => self.start(asker, *request),
            Request::Exec(exec) => self.exec(asker, exec, descriptors),
            Request::Attach(attach) => self.attach(asker, &attach, descriptors),
        }
    }

    fn state(&self) -> State {
        let latest =
            |run: &&Run| !self.runs.iter().any(|other| other.name == run.name && other.key > run.key);
        State {
            hello: Hello {
                version: VERSION,
                uid: self.sandbox.uid.clone(),
                sandbox: self.sandbox.sandbox,
                pid: nix::unistd::getpid().as_raw(),
                pause_pid: self.pause,
            },
            runs: self.runs.iter().filter(latest).map(Run::state).collect(),
            dropped: self.scratch.dropped,
        }
    }

    fn start(&mut self, asker: Id, request: StartContainer) {
        let id = container_id(&request.name, request.attempt);
        if let Some(run) = self.runs.iter().find(|run| run.name == request.name && !run.over()) {
            let message = format!("container {} still runs, {id} cannot be started beside it", run.id());
            return self.connections.fail(asker, Reason::RunContainerError, message);
        }
        // A run that never came about and left nothing may be tried again under its number.
        let again = |run: &Run| run.swept && matches!(run.phase, Phase::Failed(_));
        let spent =
            |run: &Run| run.attempt > request.attempt || (run.attempt == request.attempt && !again(run));
        if self.runs.iter().any(|run| run.name == request.name && spent(run)) {
            let message = format!("container {id} was started already");
            return self.connections.fail(asker, Reason::RunContainerError, message);
        }
        // What is over and left nothing is not told any more once there is a newer one.
        self.runs.retain(|run| run.name != request.name || !run.swept);
        let deadline = clock::boottime() + request.deadline;
        let (name, attempt) = (request.name.clone(), request.attempt);
        let (bundle, cgroup) = (PathBuf::from(&request.bundle), request.cgroup.clone());
        let (phase, output, input) = match self.begin(request) {
            Ok((worker, output, input)) => {
                self.connections.owe(asker);
                (Phase::Starting { worker, asker, deadline }, Some(output), input)
            }
            Err(error) => {
                let failure = Failure::new(Reason::RunContainerError, format!("{error:#}"));
                self.connections.reply(asker, &Reply::Failed(failure.clone()));
                (Phase::Failed(failure), None, Input::None)
            }
        };
        self.last_key += 1;
        self.runs.push(Run {
            key: self.last_key,
            name,
            attempt,
            bundle,
            cgroup,
            phase,
            output,
            input,
            stop: None,
            spent: Vec::new(),
            worker_left: true,
            swept: false,
            retry: None,
        });
    }

    fn begin(&self, request: StartContainer) -> Result<(Worker, Output, Input)> {
        let title = container_id(&request.name, request.attempt);
        let log = Log::open(request.log.clone());
        let mut output = Output { log, streams: Vec::new(), readers: Vec::new() };
        let (mut input, mut theirs) = (Input::None, Vec::new());
        if request.terminal {
            input = Input::Terminal { typed: request.stdin != Stdin::None, ends: None };
        } else {
            for name in [STDOUT, STDERR] {
                let (reader, writer) = pipe2(OFlag::O_CLOEXEC).context("make a pipe")?;
                output.streams.push(Stream::new(File::from(unblocked(reader)?), name));
                theirs.push(writer);
            }
            if request.stdin != Stdin::None {
                let (reader, writer) = pipe2(OFlag::O_CLOEXEC).context("make a pipe")?;
                let writer = unblocked(writer)?;
                input = match request.stdin {
                    Stdin::Once => Input::Once(Some(writer)),
                    _ => Input::Open(writer),
                };
                theirs.push(reader);
            }
        }
        let mut theirs: Vec<_> = theirs.iter().map(AsFd::as_fd).collect();
        let job = self.job(Task::Start(Box::new(request)), theirs.len());
        theirs.extend(self.users.iter().map(|users| users.namespace.as_fd()));
        let worker = spawn::worker(&title, &job, &self.directory, &theirs)?;
        Ok((worker, output, input))
    }

    /// The worker has the pod's user namespace behind its `descriptors`.
    fn job(&self, task: Task, descriptors: usize) -> Job {
        let runtime = self.runtime().to_string_lossy().into_owned();
        let descriptor = MORE.saturating_add(i32::try_from(descriptors).unwrap_or_default());
        let users = self.users.as_ref().map(|users| job::Users { descriptor, ids: users.ids });
        Job { runtime, nofile: self.sandbox.nofile, users, task }
    }

    /// Where libcontainer keeps its state.
    pub(super) fn runtime(&self) -> PathBuf {
        self.directory.join("runtime")
    }

    /// A run that is over, or that never was, is stopped.
    fn stop(&mut self, stop: &Stop) {
        let wanted = |run: &&mut Run| run.name == stop.name && run.attempt == stop.attempt && !run.over();
        let Some(run) = self.runs.iter_mut().find(wanted) else { return };
        let kill_at = clock::boottime().saturating_add(stop.grace);
        let stopping = run.stop.get_or_insert(Stopping { signal: stop.signal, sent: false, kill_at });
        stopping.kill_at = stopping.kill_at.min(kill_at);
        self.send_stop_signals();
    }

    /// Sends the stop signal to what runs and did not get it yet; what is still being started gets it when it runs.
    pub(super) fn send_stop_signals(&mut self) {
        for run in &mut self.runs {
            let Phase::Running(begun) = &run.phase else { continue };
            let Some(stop) = run.stop.as_mut().filter(|stop| !stop.sent) else { continue };
            stop.sent = true;
            if let Err(error) = process::signal(begun.pid, stop.signal) {
                log::warn!("container {}-{}: send signal {}: {error}", run.name, run.attempt, stop.signal);
            }
        }
    }

    /// Kills everything; when all is gone the pod process exits.
    pub(super) fn leave(&mut self, why: Leaving) {
        self.leaving = Some(why);
        let now = clock::boottime();
        for run in self.runs.iter_mut().filter(|run| !run.over()) {
            let stop = run.stop.get_or_insert(Stopping { signal: libc::SIGKILL, sent: true, kill_at: now });
            stop.kill_at = now;
        }
        for command in &mut self.commands {
            command.doomed = true;
            command.kill_at = Some(now);
        }
    }

    fn exec(&mut self, asker: Id, exec: Exec, descriptors: Vec<OwnedFd>) {
        let fail = |process: &mut Process, message: String| {
            process.connections.fail(asker, Reason::RunContainerError, message);
        };
        let running = |run: &Run| match &run.phase {
            Phase::Running(begun) if run.name == exec.name => Some(begun.pid),
            _ => None,
        };
        let Some((run, pid)) = self.runs.iter().find_map(|run| Some((run, running(run)?))) else {
            return fail(self, format!("container {:?} does not run", exec.name));
        };
        let wanted = if exec.terminal { 0 } else { 3 };
        if descriptors.len() != wanted {
            let came = descriptors.len();
            return fail(self, format!("a command needs {wanted} descriptors, {came} came with the request"));
        }
        if exec.args.is_empty() {
            return fail(self, "a command needs a name".to_owned());
        }
        let key = self.last_key + 1;
        let name = format!("exec-{key}");
        let cgroup = format!("{}/{name}", run.cgroup);
        let container = (run.name.clone(), run.attempt);
        let descriptors: Vec<_> = descriptors.iter().map(AsFd::as_fd).collect();
        let worker = exec::begin(
            &Entry {
                exec: &exec,
                bundle: &run.bundle,
                pid,
                cgroup: &run.cgroup,
                name: &name,
                nofile: self.sandbox.nofile,
                cgroups: &self.cgroups,
                users: self.users.as_ref().map(|users| users.ids),
            },
            &descriptors,
        );
        let worker = match worker {
            Ok(worker) => worker,
            Err(error) => return fail(self, format!("{error:#}")),
        };
        self.last_key = key;
        self.connections.owe(asker);
        let now = clock::boottime();
        let timeout_at = exec.timeout.map(|timeout| now.saturating_add(timeout));
        let kill_at = Some(timeout_at.unwrap_or(Duration::MAX).min(now + START));
        self.commands.push(Command {
            key,
            name,
            cgroup,
            container,
            asker,
            kill_at,
            timeout_at,
            doomed: false,
            measured: exec.measured,
            worker: worker.pid,
            cpu: Duration::ZERO,
            stage: Stage::Starting(worker),
        });
    }

    /// Whoever asked is gone: its commands end, and nobody reads along for it.
    pub(super) fn abandon(&mut self, asker: Id) {
        self.detach(asker);
        for command in self.commands.iter_mut().filter(|command| command.asker == asker) {
            command.doomed = true;
            command.kill_at = Some(clock::boottime());
        }
    }
}

/// Our end of a pipe does not block; the container's is another open file and does, as programs expect.
fn unblocked(pipe: OwnedFd) -> Result<OwnedFd> {
    fcntl(pipe.as_raw_fd(), FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).context("set non-blocking")?;
    Ok(pipe)
}
