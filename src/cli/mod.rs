//! What a person types.
//!
//! Readers read the files that the agent published and the logs that pod processes write, and ask a pod process where no
//! agent keeps those files up to date; they never ask the agent. What is no manifest (`restart`, `down`) is ordered by a
//! small file.
//!
//! Invariant: nothing that a manifest or a container says reaches a terminal raw ([`harmless`]).
//! Invariant: exit code 0, 1 on any error, or that of the command `exec` ran; an error is one line on stderr.

mod age;
mod args;
mod choose;
mod demo;
mod describe;
mod exec;
mod field;
mod get;
mod harmless;
mod hello;
mod image;
mod live;
mod logs;
mod order;
mod read;
mod row;
mod sink;
mod start;
mod table;
mod tabs;
mod wait;
mod yaml;

#[cfg(test)]
mod tests;

use std::io::{self, ErrorKind, Write};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Parser;
use jiff::Timestamp;

use args::{Arguments, Verb};

use crate::host::Runtime;

/// How long a pod process may take to say what runs: it has one thread and nothing that blocks, so a second is long.
const PATIENCE: Duration = Duration::from_secs(1);

/// Does what the command line says.
pub fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            // Help and version are such errors too, and they go to stdout. There is nobody left to tell of a failure.
            let _ = error.print();
            return ExitCode::from(u8::from(error.use_stderr()));
        }
    };
    match run(arguments) {
        Ok(code) => code,
        Err(error) => {
            say(&format!("error: {error:#}{}", remedy(&error)));
            ExitCode::FAILURE
        }
    }
}

/// What to do about an error that means the same wherever it comes from.
fn remedy(error: &anyhow::Error) -> &'static str {
    let denied = error.chain().filter_map(|cause| cause.downcast_ref::<io::Error>());
    let denied = denied.into_iter().any(|cause| cause.kind() == ErrorKind::PermissionDenied);
    match denied && !nix::unistd::geteuid().is_root() {
        true => "; run this as root",
        false => "",
    }
}

fn run(arguments: Arguments) -> Result<ExitCode> {
    let runtime = Runtime::new(arguments.runtime_dir);
    match arguments.verb {
        Verb::Agent(flags) => start::agent(flags, &runtime)?,
        Verb::Get(get) => get::get(&runtime, &get)?,
        Verb::Describe(describe) => describe::describe(&runtime, &describe)?,
        Verb::Logs(logs) => logs::logs(&runtime, &logs)?,
        Verb::Exec(exec) => return exec::exec(&runtime, &exec),
        Verb::Image(image) => return image::image(&runtime, &image),
        Verb::Restart(pod) => order::restart(&runtime, &pod)?,
        Verb::Down => order::down(&runtime)?,
        Verb::Demo => demo::demo()?,
        Verb::Hello => hello::hello()?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Writes to stdout; a reader that has gone, such as `head`, is no error.
fn print(text: &str) -> Result<()> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        other => other.context("write to stdout"),
    }
}

/// Writes a line to stderr, for people.
fn say(text: &str) {
    // There is nobody left to tell of a failure.
    let _ = writeln!(io::stderr(), "{}", harmless::line(text));
}

/// The wall clock, for ages.
fn now() -> Timestamp {
    Timestamp::now()
}
