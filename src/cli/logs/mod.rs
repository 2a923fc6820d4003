//! `logs`: what containers wrote, out of their files, across rotations.
//!
//! The files lie where a container with a hostPath may have put its own hands: they are opened without following links
//! ([`files`]). The pod process tells when a container is over, so that following ends without looking again and again.
//!
//! Invariant: works without an agent.
//! Invariant: memory is bounded by the number of containers, whatever is in the files and however many lines are wanted.

mod cri;
mod files;
mod follow;
mod form;
mod gone;
mod source;
mod stream;
mod tail;
mod which;

#[cfg(test)]
mod tests;

use anyhow::{Error, Result, bail};

use super::{args, now, say};
use crate::host::Runtime;
use cri::Line;
use files::Directory;
use form::{Form, Oldest};
use source::Source;
use stream::{Output, Stream};
use which::{Run, Wanted};

/// Prints what `logs` asks for.
pub fn logs(runtime: &Runtime, logs: &args::Logs) -> Result<()> {
    let wanted = which::containers(runtime, logs)?;
    if logs.follow {
        return follow::follow(runtime, wanted, logs);
    }
    let mut output = Output::new();
    for one in &wanted {
        match print(one, logs, &mut output) {
            Ok(true) => {}
            Ok(false) => return Ok(()),
            Err(error) => tell_or_fail(error, logs)?,
        }
    }
    output.finish()
}

/// Prints what one container wrote; `false` when nobody reads any more.
fn print(wanted: &Wanted, logs: &args::Logs, output: &mut Output) -> Result<bool> {
    let (directory, attempt) = match wanted.run(logs.previous)? {
        Run::Logged(directory, attempt) => (directory, attempt),
        Run::Silent => return Ok(true),
        Run::Waiting(reason) => {
            let (container, pod) = (&wanted.container, wanted.found.name());
            bail!("container {container:?} in pod {pod:?} is waiting to start: {reason}")
        }
    };
    let mut stream = stream(wanted, directory, attempt, logs)?;
    Ok(stream.print(output)? && stream.rest(output)?)
}

/// With `--ignore-errors` an error of one log is told, and no reason to end.
fn tell_or_fail(error: Error, logs: &args::Logs) -> Result<()> {
    if !logs.ignore_errors {
        return Err(error);
    }
    say(&format!("error: {error:#}"));
    Ok(())
}

/// The lines of a run that are asked for.
fn stream(wanted: &Wanted, directory: Directory, attempt: u32, logs: &args::Logs) -> Result<Stream> {
    let mut source = Source::open(directory, attempt)?;
    if !logs.follow {
        source.end_now();
    }
    let skip = match logs.last() {
        Some(count) => tail::begin(&mut source, count)?,
        None => 0,
    };
    let prefix = match logs.prefix {
        true => format!("[pod/{}/{}] ", wanted.found.name(), wanted.container).into_bytes(),
        false => Vec::new(),
    };
    let form = Form {
        timestamps: logs.timestamps,
        prefix,
        oldest: logs.oldest(now()).map(Oldest::new),
        skip,
        left: Some(logs.limit_bytes).filter(|limit| *limit > 0),
    };
    Ok(Stream::new(source, form))
}
