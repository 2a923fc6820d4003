//! libcontainer's error causes, which it tells to `tracing` only: its own errors say "failed to prepare rootfs".
//!
//! The errors that matter happen in processes that libcontainer clones, so they come back through a pipe; and what it tells is
//! for those who know its insides, so it is said again in a person's words.

use std::fmt::{Debug, Write};
use std::fs::File;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::unistd::pipe2;
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

/// The reading end.
pub struct Causes(File);

/// Most bytes that are read of one failure.
const LONGEST: u64 = 8192;

/// Begins to listen, in this process and in those it clones. Once a process.
pub fn listen() -> anyhow::Result<Causes> {
    let (reader, writer) = pipe2(OFlag::O_CLOEXEC | OFlag::O_NONBLOCK)?;
    tracing::subscriber::set_global_default(Writer(writer))?;
    Ok(Causes(File::from(reader)))
}

impl Causes {
    /// What was told up to now: what was being done, and why it did not work.
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
        sentence(&lines)
    }
}

/// The lines, of which the first tell the cause and what was being done, as one sentence. Where they are of another kind than
/// is known here, the first two as they are; what follows only says so again.
fn sentence(lines: &[&str]) -> String {
    let cause = lines.iter().find_map(|line| cause(line));
    let mount = lines.iter().find_map(|line| Mount::parse(line));
    match (mount, cause, lines) {
        (Some(mount), Some(cause), _) => format!("{}: {cause}{}", mount.step(), mount.hint(&cause)),
        (None, Some(cause), [first, ..]) => {
            let step = first.split_once(" err=").map_or(*first, |(step, _)| step);
            let step = step.split_once(": ").map_or(step, |(step, _)| step);
            format!("{}: {cause}", step.trim_start_matches("failed to "))
        }
        _ => lines.iter().take(2).copied().collect::<Vec<_>>().join("; "),
    }
}

/// Why, by the innermost of the errors that a line shows.
fn cause(line: &str) -> Option<String> {
    if let Some((_, message)) = line.rsplit_once(", message: ") {
        return quoted(message);
    }
    if let Some((_, name)) = line.rsplit_once("Nix(") {
        let name = name.split(')').next().unwrap_or_default();
        let numbers = (1..=MAX_ERRNO).map(Errno::from_raw);
        return numbers
            .into_iter()
            .find(|known| format!("{known:?}") == name)
            .map(|known| known.desc().to_owned());
    }
    if let Some((_, words)) = line.rsplit_once("Other(") {
        return quoted(words);
    }
    let (words, _) = line.split_once(" (os error ")?;
    Some(words.rsplit(": ").next().unwrap_or(words).to_owned())
}

/// Largest number that Linux gives an error.
const MAX_ERRNO: i32 = 133;

/// The text that begins with a quotation mark, as Rust writes one for programmers.
fn quoted(text: &str) -> Option<String> {
    let mut found = String::new();
    let mut rest = text.strip_prefix('"')?.chars();
    loop {
        match rest.next()? {
            '"' => return Some(found),
            '\\' => found.extend(rest.next()),
            other => found.push(other),
        }
    }
}

/// The mount that was being made.
struct Mount {
    destination: String,
    kind: String,
    source: String,
}

impl Mount {
    fn parse(line: &str) -> Option<Mount> {
        let rest = line.strip_prefix("failed to mount ")?;
        let Some(fields) = rest.strip_prefix("Mount { ") else {
            let destination = rest.split(": ").next()?.to_owned();
            return Some(Mount { destination, kind: String::new(), source: String::new() });
        };
        let field = |name: &str| fields.split_once(name).and_then(|(_, value)| quoted(value));
        Some(Mount {
            destination: field("destination: ")?,
            kind: field("typ: Some(").unwrap_or_default(),
            source: field("source: Some(").unwrap_or_default(),
        })
    }

    fn is_bind(&self) -> bool {
        self.kind == "bind"
    }

    fn step(&self) -> String {
        match (self.is_bind(), self.kind.as_str()) {
            (true, _) => format!("mount {} at {}", self.source, self.destination),
            (false, "") => format!("mount {}", self.destination),
            (false, kind) => format!("mount {kind} at {}", self.destination),
        }
    }

    /// What is behind a cause that says little.
    fn hint(&self, cause: &str) -> &'static str {
        let does_not_fit = ["Not a directory", "Is a directory", "Invalid argument"].contains(&cause);
        match (cause, self.is_bind()) {
            ("Read-only file system", _) => {
                "; what it is to be mounted on is missing, and cannot be made below something that is read-only"
            }
            (_, true) if does_not_fit && Path::new(&self.source).is_dir() => {
                "; this is a directory, and can be only where the image has a directory or nothing"
            }
            (_, true) if does_not_fit => {
                "; this is no directory, and can be only where the image has a file or nothing"
            }
            ("Not a directory", false) => "; the image must have a directory or nothing there",
            _ => "",
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_is_what_a_person_would_say() {
        let prepare = "failed to initialize container process: failed to prepare rootfs";
        for (lines, expected) in [
            (
                &[
                    r#"failed to canonicalize "/gone": No such file or directory (os error 2)"#,
                    r#"failed to mount Mount { destination: "/mnt", typ: Some("bind"), source: Some("/gone"), options: None }: io error"#,
                ][..],
                "mount /gone at /mnt: No such file or directory",
            ),
            (
                &[
                    r#"failed to mount Mount { destination: "/a\"b", typ: Some("bind"), source: Some("/none"), options: Some(["bind"]) }: syscall"#,
                    "failed to prepare rootfs err=Mount(Syscall(Nix(EINVAL)))",
                ],
                "mount /none at /a\"b: Invalid argument; this is no directory, and can be only where the image has a file or nothing",
            ),
            (
                &[
                    "failed to mount /dev: open newly created directory failed",
                    r#"failed to prepare rootfs err=Mount(Pathrs(Error(RawOsError { source: Os { code: 20, kind: NotADirectory, message: "Not a directory" } })))"#,
                ],
                "mount /dev: Not a directory; the image must have a directory or nothing there",
            ),
            (
                &[
                    r#"failed to prepare rootfs err=Mount(Other("filesystem proc must be mounted on ordinary directory"))"#,
                    prepare,
                ],
                "prepare rootfs: filesystem proc must be mounted on ordinary directory",
            ),
            (
                &[
                    "failed to set rlimit err=Nix(EINVAL) rlimit=PosixRlimit { typ: RlimitNofile, hard: 5, soft: 10 }",
                ],
                "set rlimit: Invalid argument",
            ),
            (
                &["sysctl net.none not allowed in host network namespace"],
                "sysctl net.none not allowed in host network namespace",
            ),
            (&["of", "another", "kind"], "of; another"),
            (&[], ""),
        ] {
            assert_eq!(sentence(lines), expected);
        }
    }
}
