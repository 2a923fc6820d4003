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

use anyhow::{Result, bail};

use super::{args, now};
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
        let (directory, attempt) = match one.run(logs.previous)? {
            Run::Logged(directory, attempt) => (directory, attempt),
            Run::Silent => continue,
            Run::Waiting(reason) => {
                let (container, pod) = (&one.container, one.found.name());
                bail!("container {container:?} in pod {pod:?} is waiting to start: {reason}")
            }
        };
        let mut stream = stream(one, directory, attempt, logs)?;
        if !stream.print(&mut output)? || !stream.rest(&mut output)? {
            return Ok(());
        }
    }
    output.finish()
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
