//! `logs`: what a container wrote, out of its files, across rotations.
//!
//! The files lie where a container with a hostPath may have put its own hands: they are opened without following links
//! ([`files`]). The pod process tells when the container is over, so that following ends without looking again and again.
//!
//! Invariant: works without an agent.

mod cri;
mod files;

#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::fs::File;
use std::io::Read;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use anyhow::{Context, Result, bail};
use inotify::WatchMask;

use super::field::{list, named, text};
use super::read::Found;
use super::sink::Sink;
use super::wait::{self, Wait};
use super::{PATIENCE, args, choose, live, read};
use crate::agent::Client;
use crate::host::Runtime;
use crate::protocol::{Notice, Reply, Request, RunState};
use cri::{Joiner, Line};
use files::{Directory, LogName};

/// Prints what `logs` asks for.
pub fn logs(runtime: &Runtime, logs: &args::Logs) -> Result<()> {
    let found = read::pod(runtime, &logs.pod.namespace.namespace, &logs.pod.name)?;
    let container = choose::container(&found, logs.container.as_deref())?;
    let directory = open(&found, &container)?;
    let attempt = attempt(&found, &container, directory.as_ref(), logs.previous)?;
    let Some(directory) = directory else { return Ok(()) };
    let mut follow = match logs.follow {
        true => Some(Follow::new(runtime, &found.uid, &container, attempt, &directory)?),
        false => None,
    };
    let mut printer = Printer {
        sink: Sink::stdout(),
        timestamps: logs.timestamps,
        tail: usize::try_from(logs.tail).ok(),
        last: VecDeque::new(),
    };
    let mut reader = Reader { directory, attempt, file: None, joiner: Joiner::default() };
    loop {
        // Asked before the last look, so that nothing written before the end is missed.
        let over = follow.as_ref().is_none_or(|follow| follow.over);
        if !reader.read(&mut printer)? {
            return Ok(());
        }
        if !printer.flush()? || over {
            break;
        }
        if let Some(follow) = &mut follow
            && !follow.wait()?
        {
            return Ok(());
        }
    }
    reader.joiner.rest(&mut |line| printer.line(line))?;
    printer.flush()?;
    printer.sink.finish().map(drop)
}

/// The container's directory; `None` where it never wrote.
fn open(found: &Found, container: &str) -> Result<Option<Directory>> {
    let path = Path::new(&found.pod.log_directory);
    let (Some(root), Some(name)) = (path.parent(), path.file_name().and_then(|name| name.to_str())) else {
        bail!("{:?} is no log directory", found.pod.log_directory);
    };
    let Some(root) = Directory::open(root)? else { return Ok(None) };
    let Some(pod) = root.enter(name)? else { return Ok(None) };
    pod.enter(container)
}

/// The number of the run that is asked for.
fn attempt(found: &Found, container: &str, directory: Option<&Directory>, previous: bool) -> Result<u32> {
    let status = named(list(&found.pod.object, "/status/containerStatuses"), container);
    let waiting = status.map(|status| text(status, "/state/waiting/reason")).unwrap_or_default();
    let mut attempts: Vec<u32> = match directory {
        Some(directory) => directory.logs()?.iter().map(|log| log.attempt).collect(),
        None => Vec::new(),
    };
    attempts.sort_unstable();
    attempts.dedup();
    // A container that waits has ended: its latest run is the one before the next.
    let back = if previous && waiting.is_empty() { 2 } else { 1 };
    match attempts.len().checked_sub(back) {
        Some(index) => Ok(attempts[index]),
        None if previous => {
            bail!("previous terminated container {container:?} in pod {:?} not found", found.name())
        }
        None if !waiting.is_empty() => {
            bail!("container {container:?} in pod {:?} is waiting to start: {waiting}", found.name())
        }
        None => Ok(0),
    }
}

/// Reads one run's files, the oldest first, and goes on in the next where one was rotated away.
struct Reader {
    directory: Directory,
    attempt: u32,
    /// The file and its inode.
    file: Option<(File, u64)>,
    joiner: Joiner,
}

impl Reader {
    /// Everything that is there by now; `false` when nobody reads it any more.
    fn read(&mut self, printer: &mut Printer) -> Result<bool> {
        loop {
            // A file that has a successor is not written to any more: its end, read after this, is its last.
            let next = self.next()?;
            if let Some((file, _)) = &mut self.file {
                let mut buffer = vec![0; 64 * 1024];
                loop {
                    let length = file.read(&mut buffer).context("read the log")?;
                    if length == 0 {
                        break;
                    }
                    self.joiner.bytes(&buffer[..length], &mut |line| printer.line(line))?;
                    if printer.tail.is_none() && !printer.flush()? {
                        return Ok(false);
                    }
                }
            }
            match next {
                Some(next) => self.file = Some(next),
                None => return Ok(true),
            }
        }
    }

    /// The file after the present one; the oldest where there is none, or where it was removed.
    fn next(&self) -> Result<Option<(File, u64)>> {
        let mut logs: Vec<LogName> = self.directory.logs()?;
        logs.retain(|log| log.attempt == self.attempt);
        logs.sort();
        let mut opened = Vec::new();
        for log in logs {
            // One that was renamed between the list and now is found under its new name at the next look.
            if let Some(file) = self.directory.file(&log.name)? {
                let inode = file.metadata().context("look at the log")?.ino();
                opened.push((file, inode));
            }
        }
        let present = self.file.as_ref().map(|(_, inode)| *inode);
        let at = opened.iter().position(|(_, inode)| Some(*inode) == present);
        Ok(opened.into_iter().nth(at.map_or(0, |at| at + 1)))
    }
}

/// Tells when there may be more to read, and when there will be no more.
struct Follow {
    wait: Wait,
    client: Option<Client>,
    container: String,
    attempt: u32,
    over: bool,
}

impl Follow {
    fn new(
        runtime: &Runtime,
        uid: &str,
        container: &str,
        attempt: u32,
        directory: &Directory,
    ) -> Result<Follow> {
        let mut wait = Wait::new()?;
        wait.add(&directory.path(), wait::entries() | WatchMask::MODIFY)?;
        // Without a pod process nothing is written any more.
        let client = Client::connect(&runtime.pod(uid).socket()).ok();
        let runs = match &client {
            Some(client) => client.state(&Request::Watch, PATIENCE)?.runs,
            None => Vec::new(),
        };
        let runs = runs.iter().any(|run| match run {
            RunState::Starting { attempt: number, .. } | RunState::Running { attempt: number, .. } => {
                live::name(run) == container && *number == attempt
            }
            RunState::Exited(_) | RunState::Failed { .. } => false,
        });
        Ok(Follow { wait, client, container: container.to_string(), attempt, over: !runs })
    }

    /// `false` when nobody reads what is printed any more.
    fn wait(&mut self) -> Result<bool> {
        let Some(client) = &self.client else { return Ok(true) };
        // The log may have been written to, or the pod process have something to say, or both.
        if !self.wait.change_while_read(&[client.as_fd()], std::io::stdout().as_fd())? {
            return Ok(false);
        }
        while readable(client)? {
            match client.receive()? {
                Some(Reply::Notice(Notice::Exited(exited)))
                    if exited.name == self.container && exited.attempt == self.attempt =>
                {
                    self.over = true;
                }
                Some(_) => {}
                None => self.over = true,
            }
            if self.over {
                break;
            }
        }
        Ok(true)
    }
}

fn readable(client: &Client) -> Result<bool> {
    use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
    let mut descriptors = [PollFd::new(client.as_fd(), PollFlags::POLLIN)];
    Ok(poll(&mut descriptors, PollTimeout::ZERO).context("look at the pod process's socket")? > 0)
}

/// Prints lines: all at once, or first the last ones only.
struct Printer {
    sink: Sink,
    timestamps: bool,
    /// How many of the lines that are there at the beginning.
    tail: Option<usize>,
    last: VecDeque<Vec<u8>>,
}

impl Printer {
    fn line(&mut self, line: Line<'_>) -> Result<()> {
        let mut bytes = Vec::with_capacity(line.text.len() + 40);
        if self.timestamps {
            bytes.extend_from_slice(line.time);
            bytes.push(b' ');
        }
        bytes.extend_from_slice(line.text);
        bytes.push(b'\n');
        self.last.push_back(bytes);
        if let Some(tail) = self.tail
            && self.last.len() > tail
        {
            self.last.pop_front();
        }
        Ok(())
    }

    /// Prints what is held back, after which nothing is; `false` when nobody reads it any more.
    fn flush(&mut self) -> Result<bool> {
        self.tail = None;
        let all: Vec<u8> = self.last.drain(..).flatten().collect();
        if all.is_empty() { Ok(true) } else { self.sink.write(&all) }
    }
}
