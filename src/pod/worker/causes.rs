//! libcontainer's error causes, which it tells to `tracing` only: its own errors say "failed to prepare rootfs".
//!
//! The errors that matter happen in processes that libcontainer clones, so they come back through a pipe.

use std::fmt::{Debug, Write};
use std::fs::File;
use std::io::Read;
use std::os::fd::OwnedFd;

use nix::fcntl::OFlag;
use nix::unistd::pipe2;
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

/// The reading end.
pub struct Causes(File);

/// Most bytes that are told of one failure.
const LONGEST: u64 = 2048;

/// Begins to listen, in this process and in those it clones. Once a process.
pub fn listen() -> anyhow::Result<Causes> {
    let (reader, writer) = pipe2(OFlag::O_CLOEXEC | OFlag::O_NONBLOCK)?;
    tracing::subscriber::set_global_default(Writer(writer))?;
    Ok(Causes(File::from(reader)))
}

impl Causes {
    /// The first two things that were told up to now, separated by `; `: the cause, and what was being done. What follows
    /// only says so again.
    pub fn told(&self) -> String {
        let mut bytes = Vec::new();
        // Ends with "would block" while a writer lives; what came until then is what counts.
        let _ = (&self.0).take(LONGEST).read_to_end(&mut bytes);
        let text = String::from_utf8_lossy(&bytes);
        let mut lines: Vec<&str> = Vec::new();
        for line in text.lines().filter(|line| !line.is_empty()) {
            if !lines.contains(&line) {
                lines.push(line);
            }
        }
        lines.truncate(2);
        lines.join("; ")
    }
}

struct Writer(OwnedFd);

impl Subscriber for Writer {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() <= Level::ERROR
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(LevelFilter::ERROR)
    }

    fn event(&self, event: &Event<'_>) {
        let mut line = Line(String::new());
        event.record(&mut line);
        let mut text = line.0.replace('\n', " ");
        text.push('\n');
        // A full pipe holds more than is ever told.
        let _ = nix::unistd::write(&self.0, text.as_bytes());
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }
    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        // Writing to a string does not fail.
        let _ = match field.name() {
            "message" => write!(self.0, "{value:?}"),
            name => write!(self.0, " {name}={value:?}"),
        };
        // Fields come before the message as often as after it.
        if self.0.starts_with(' ') {
            self.0.remove(0);
        }
    }
}
