//! The signal that asks a container to stop.

use super::ImageConfig;
use crate::spec::Container;

/// Names of the signals 1 to 31 on every architecture we build for (x86, ARM).
const NAMES: [&str; 31] = [
    "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2", "PIPE",
    "ALRM", "TERM", "STKFLT", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG", "XCPU", "XFSZ",
    "VTALRM", "PROF", "WINCH", "IO", "PWR", "SYS",
];

/// Other names for some of them.
const ALIASES: [(&str, i32); 3] = [("IOT", 6), ("CLD", 17), ("POLL", 29)];

/// The first and the last real-time signal, as image builders count them (below 34 they belong to the C library).
const RTMIN: i32 = 34;
const RTMAX: i32 = 64;

const SIGTERM: i32 = 15;

/// The signal that asks `container` to stop, of its manifest or else of its image: by number (`3`), by name (`SIGQUIT`, `QUIT`), or counted from an end
/// of the real-time signals (`SIGRTMIN+3`, `RTMAX-1`). SIGTERM where neither says anything, or nothing that is a
/// signal: a container must be stoppable whatever its image says.
pub fn stop_signal(container: &Container, image: &ImageConfig) -> i32 {
    let own = container.stop_signal.as_deref().and_then(parse);
    own.or_else(|| parse(image.stop_signal.trim())).unwrap_or(SIGTERM)
}

fn parse(written: &str) -> Option<i32> {
    if let Ok(number) = written.parse() {
        return (1..=RTMAX).contains(&number).then_some(number);
    }
    let upper = written.to_ascii_uppercase();
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    if let Some(offset) = name.strip_prefix("RTMIN") {
        return real_time(RTMIN, offset);
    }
    if let Some(offset) = name.strip_prefix("RTMAX") {
        return real_time(RTMAX, offset);
    }
    let alias = ALIASES.iter().find(|(known, _)| *known == name).map(|(_, number)| *number);
    alias.or_else(|| NAMES.iter().zip(1..).find(|(known, _)| **known == name).map(|(_, number)| number))
}

/// `offset` is empty, `+n` or `-n`.
fn real_time(from: i32, offset: &str) -> Option<i32> {
    let signed = offset.is_empty() || offset.starts_with(['+', '-']);
    let offset = if offset.is_empty() { 0 } else { offset.parse::<i8>().ok()? };
    let number = from + i32::from(offset);
    (signed && (RTMIN..=RTMAX).contains(&number)).then_some(number)
}
