//! What a person types.
//!
//! Readers read the files that the agent published and the logs that pod processes write, and ask a pod process where no
//! agent keeps those files up to date; they never ask the agent. What is no manifest (`restart`, `down`) is ordered by a
//! small file.
//!
//! Invariant: nothing that a manifest or a container says reaches a terminal raw ([`harmless`]). But for `exec -t` and
//! `attach -t`, in which the caller's terminal is the container's until the session ends ([`session`]).
//! Invariant: exit code 0, 1 on any error, 2 for a command line that cannot be read, or that of the command `exec` ran;
//! `status`, `doctor` and `check` tell by theirs what they found; an error is one line on stderr.

mod age;
mod args;
mod attach;
mod check;
mod choose;
mod colour;
mod completion;
mod cp;
mod demo;
mod describe;
mod doctor;
mod exec;
mod field;
mod get;
mod habits;
mod harmless;
mod hello;
mod image;
mod jsonpath;
mod live;
mod logs;
mod node;
mod order;
mod port_forward;
mod read;
mod report;
mod row;
mod select;
mod session;
mod sink;
mod space;
mod start;
mod status;
mod table;
mod tabs;
mod top;
mod trust;
mod wait;
mod yaml;

#[cfg(test)]
mod tests;

use std::io::{self, ErrorKind, Write};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::FromArgMatches;
use jiff::Timestamp;

pub use args::grammar;
use args::{Arguments, Verb};

use crate::host::Runtime;

/// Exit code for a command line that cannot be read, as of most programs.
const UNREADABLE: u8 = 2;

/// How long a pod process may take to say what runs: it has one thread and nothing that blocks, so a second is long.
const PATIENCE: Duration = Duration::from_secs(1);

/// Does what the command line says.
pub fn main() -> ExitCode {
    let mut grammar = grammar();
    let words = habits::understood(std::env::args_os().collect(), &grammar);
    let parsed = grammar.try_get_matches_from_mut(&words);
    let arguments = match parsed.and_then(|matches| Arguments::from_arg_matches(&matches)) {
        Ok(arguments) => arguments,
        Err(error) => return explain(&habits::answered(error, &words, &grammar)),
    };
    colour::decide(arguments.color);
    match run(arguments) {
        Ok(code) => code,
        Err(error) => {
            let error = harmless::line(&format!("{error:#}{}", remedy(&error)));
            // There is nobody left to tell of a failure.
            let _ = writeln!(io::stderr(), "{} {error}", colour::Ink::Bad.paint_error("error:"));
            ExitCode::FAILURE
        }
    }
}

/// What clap has to say instead of arguments: help and version, to stdout, or an error.
fn explain(error: &clap::Error) -> ExitCode {
    // What was typed may be another flag's fault, `--color` included: help looks as the terminal allows.
    colour::decide(colour::When::Auto);
    let text = harmless::Stream::default().text(error.render().to_string().as_bytes());
    let text = colour::help(&text, error.use_stderr());
    // There is nobody left to tell of a failure.
    let _ = match error.use_stderr() {
        true => io::stderr().write_all(text.as_bytes()),
        false => io::stdout().write_all(text.as_bytes()),
    };
    ExitCode::from(if error.use_stderr() { UNREADABLE } else { 0 })
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
        Verb::Get(get) => return get::get(&runtime, &get),
        Verb::Events(events) => return get::events(&runtime, &events),
        Verb::Describe(describe) => describe::describe(&runtime, &describe)?,
        Verb::Check(judge) => return check::check(&judge),
        Verb::Logs(logs) => logs::logs(&runtime, &logs)?,
        Verb::Exec(exec) => return exec::exec(&runtime, &exec),
        Verb::Cp(copied) => cp::cp(&runtime, &copied)?,
        Verb::Status(asked) => return status::status(&runtime, &asked),
        Verb::Config(asked) => start::config(asked, &runtime)?,
        Verb::Doctor(asked) => return doctor::doctor(&runtime, &asked),
        Verb::Top(top) => top::top(&runtime, &top)?,
        Verb::Attach(attach) => return attach::attach(&runtime, &attach),
        Verb::PortForward(ports) => return port_forward::port_forward(&runtime, &ports),
        Verb::Image(image) => return image::image(&runtime, &image),
        Verb::Restart(pod) => order::restart(&runtime, &pod)?,
        Verb::Down => order::down(&runtime)?,
        Verb::Completion(shell) => completion::script(&shell)?,
        Verb::Complete(typed) => completion::complete(&typed)?,
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
