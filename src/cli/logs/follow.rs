//! Goes on as containers write, until they are over.

use std::os::fd::AsFd;
use std::rc::Rc;

use anyhow::{Context, Result, bail};
use inotify::WatchMask;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::stream::{Output, Stream, print_all};
use super::which::{Run, Wanted};
use super::{args, stream, tell_or_fail};
use crate::agent::Client;
use crate::cli::read::{self, Found};
use crate::cli::wait::{self, Wait};
use crate::cli::{PATIENCE, live};
use crate::host::Runtime;
use crate::protocol::{Notice, Reply, Request, RunState};

/// A container that is followed.
struct Followed {
    wanted: Wanted,
    /// `None` before its first run.
    stream: Option<Stream>,
    /// The number of that run.
    attempt: u32,
    /// Tells when the container ends. Without a pod process nothing is written any more.
    client: Option<Client>,
    over: bool,
}

/// Prints all of `wanted` until none of them runs.
pub fn follow(runtime: &Runtime, wanted: Vec<Wanted>, logs: &args::Logs) -> Result<()> {
    let mut wait = Wait::new()?;
    let mut output = Output::new();
    let mut followed: Vec<Followed> = wanted.into_iter().map(Followed::new).collect();
    while !followed.is_empty() {
        for mut one in std::mem::take(&mut followed) {
            match one.look(runtime, logs, &mut wait) {
                Ok(()) => followed.push(one),
                Err(error) => tell_or_fail(error, logs)?,
            }
        }
        let mut streams: Vec<&mut Stream> =
            followed.iter_mut().filter_map(|one| one.stream.as_mut()).collect();
        if !print_all(&mut streams, &mut output)? {
            return Ok(());
        }
        // Told before the last look, so that nothing written before the end was missed.
        for over in followed.extract_if(.., |one| one.is_over()) {
            if let Some(mut stream) = over.stream
                && !stream.rest(&mut output)?
            {
                return Ok(());
            }
        }
        if followed.is_empty() {
            break;
        }
        // Logs may have been written to, or pod processes have something to say, or both.
        let clients: Vec<_> =
            followed.iter().filter_map(|one| one.client.as_ref()).map(AsFd::as_fd).collect();
        if !wait.change_while_read(&clients, std::io::stdout().as_fd())? {
            return Ok(());
        }
        for one in &mut followed {
            one.listen()?;
        }
    }
    output.finish()
}

impl Followed {
    fn new(wanted: Wanted) -> Followed {
        Followed { wanted, stream: None, attempt: 0, client: None, over: false }
    }

    /// Whether nothing more comes that is wanted.
    fn is_over(&self) -> bool {
        self.over || self.stream.as_ref().is_some_and(Stream::is_full)
    }

    /// Finds out what came since the last look.
    fn look(&mut self, runtime: &Runtime, logs: &args::Logs, wait: &mut Wait) -> Result<()> {
        match &mut self.stream {
            Some(stream) => stream.source.look(),
            None => self.begin(runtime, logs, wait),
        }
    }

    /// Finds the run, or waits for one.
    fn begin(&mut self, runtime: &Runtime, logs: &args::Logs, wait: &mut Wait) -> Result<()> {
        // The agent tells by the published file when a container begins.
        let pod = runtime.pod(&self.wanted.found.uid);
        let mut run = self.wanted.run(logs.previous)?;
        if let Run::Waiting(_) = run {
            wait.add(pod.root(), wait::entries())?;
            let Some(published) = read::file(&pod.status())? else {
                bail!(
                    "pod {:?} is gone; its container {:?} never started",
                    self.wanted.found.name(),
                    self.wanted.container
                );
            };
            self.wanted.found = Rc::new(Found { uid: self.wanted.found.uid.clone(), pod: published });
            run = self.wanted.run(logs.previous)?;
        }
        let (directory, attempt) = match run {
            Run::Waiting(_) => return Ok(()),
            Run::Silent => {
                self.over = true;
                return Ok(());
            }
            Run::Logged(directory, attempt) => (directory, attempt),
        };
        wait.add(&directory.path(), wait::entries() | WatchMask::MODIFY)?;
        self.attempt = attempt;
        self.client = Client::connect(&pod.socket()).ok();
        // Asked before the files are looked at.
        self.over = !self.runs()?;
        self.stream = Some(stream(&self.wanted, directory, attempt, logs)?);
        Ok(())
    }

    /// Whether the run has not ended. From then on the pod process tells when it does.
    fn runs(&self) -> Result<bool> {
        let Some(client) = &self.client else { return Ok(false) };
        let runs = client.state(&Request::Watch, PATIENCE)?.runs;
        Ok(runs.iter().any(|run| match run {
            RunState::Starting { attempt, .. } | RunState::Running { attempt, .. } => {
                live::name(run) == self.wanted.container && *attempt == self.attempt
            }
            RunState::Exited(_) | RunState::Failed { .. } => false,
        }))
    }

    /// Takes in what the pod process has to say.
    fn listen(&mut self) -> Result<()> {
        let Some(client) = &self.client else { return Ok(()) };
        while !self.over && readable(client)? {
            self.over = match client.receive()? {
                Some(Reply::Notice(Notice::Exited(exited))) => {
                    exited.name == self.wanted.container && exited.attempt == self.attempt
                }
                Some(_) => false,
                None => true,
            };
        }
        Ok(())
    }
}

fn readable(client: &Client) -> Result<bool> {
    let mut descriptors = [PollFd::new(client.as_fd(), PollFlags::POLLIN)];
    Ok(poll(&mut descriptors, PollTimeout::ZERO).context("look at the pod process's socket")? > 0)
}
