//! A handful of inks, used sparingly: a page must say the same without them.
//!
//! Colours are for terminals alone, and not even there where `NO_COLOR` has a value (no-color.org) or `TERM` is `dumb`.
//! Whether they are used is decided once, at the start, by [`decide`]; before, and in tests, they are not.
//!
//! Invariant: only this file writes an escape character. Text of others is made harmless before it is painted, so that
//! every escape sequence in a painted text is one of ours, which is what lets [`width`] leave them out.

use std::io::IsTerminal;
use std::sync::atomic::{AtomicBool, Ordering};

use clap::ValueEnum;

/// When to use colours: `--color`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum When {
    /// On a terminal
    #[default]
    Auto,
    /// Into files and pipes too
    Always,
    /// Never
    Never,
}

/// What a word is painted for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ink {
    /// Somebody should look.
    Warning,
    /// Something is wrong.
    Bad,
    /// What matters less than what is beside it.
    Faint,
    /// What the eye should find first.
    Bold,
}

static OUT: AtomicBool = AtomicBool::new(false);
static ERR: AtomicBool = AtomicBool::new(false);

/// Decides for stdout and stderr.
pub fn decide(when: When) {
    OUT.store(wanted(when, &std::io::stdout()), Ordering::Relaxed);
    ERR.store(wanted(when, &std::io::stderr()), Ordering::Relaxed);
}

fn wanted(when: When, to: &impl IsTerminal) -> bool {
    let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
        || std::env::var_os("TERM").is_some_and(|term| term == "dumb");
    match when {
        When::Auto => !refused && to.is_terminal(),
        When::Always => true,
        When::Never => false,
    }
}

impl Ink {
    /// `text`, which is harmless, painted for stdout.
    pub fn paint(self, text: &str) -> String {
        if OUT.load(Ordering::Relaxed) { self.always(text) } else { text.to_string() }
    }

    /// `text`, which is harmless, painted for stderr.
    pub fn paint_error(self, text: &str) -> String {
        if ERR.load(Ordering::Relaxed) { self.always(text) } else { text.to_string() }
    }

    fn always(self, text: &str) -> String {
        let code = match self {
            Ink::Warning => "33",
            Ink::Bad => "31",
            Ink::Faint => "2",
            Ink::Bold => "1",
        };
        format!("\x1b[{code}m{text}\x1b[0m")
    }
}

/// The ink for the STATUS word of a pod; none where all is well.
pub fn of_status(status: &str) -> Option<Ink> {
    // `Init:1/2` is on its way, `Init:Error` is not.
    let word = status.strip_prefix("Init:").unwrap_or(status);
    match word.split(' ').next().unwrap_or_default() {
        "Running" | "Completed" | "Succeeded" => None,
        "Pending" | "ContainerCreating" | "PodInitializing" | "Terminating" | "NotReady" | "Unknown" => {
            Some(Ink::Warning)
        }
        word if word.starts_with(|c: char| c.is_ascii_digit()) => Some(Ink::Warning),
        _ => Some(Ink::Bad),
    }
}

/// `text`, which is harmless, in the ink of the STATUS word that it is.
pub fn status(text: &str) -> String {
    of_status(text).map_or_else(|| text.to_string(), |ink| ink.paint(text))
}

/// How many characters `text` takes on a terminal, as far as that is their number: inks take none.
pub fn width(text: &str) -> usize {
    let mut pieces = text.split('\x1b');
    let first = pieces.next().map_or(0, |piece| piece.chars().count());
    let after = |piece: &str| piece.split_once('m').map_or(0, |(_, rest)| rest.chars().count());
    first + pieces.map(after).sum::<usize>()
}

/// clap's help or error with its headings painted; clap itself would bring a crate for colours.
pub fn help(text: &str, errors: bool) -> String {
    let paint = |ink: Ink, text: &str| if errors { ink.paint_error(text) } else { ink.paint(text) };
    let line = |line: &str| match line.split_once(':') {
        Some(("error", rest)) => paint(Ink::Bad, "error:") + rest,
        Some(("Usage", rest)) => paint(Ink::Bold, "Usage:") + rest,
        Some((heading, "")) if !heading.starts_with(' ') => paint(Ink::Bold, &format!("{heading}:")),
        _ => line.to_string(),
    };
    text.lines().map(|text| line(text) + "\n").collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inks_take_no_room() {
        for text in ["", "plain", "über"] {
            assert_eq!(width(&Ink::Bad.always(text)), text.chars().count());
            assert_eq!(
                width(&format!("a{}b{}", Ink::Bold.always(text), Ink::Faint.always("x"))),
                3 + width(text)
            );
        }
    }

    #[test]
    fn only_what_is_not_well_is_painted() {
        for (status, ink) in [
            ("Running", None),
            ("Completed", None),
            ("Init:0/2", Some(Ink::Warning)),
            ("Init:CrashLoopBackOff", Some(Ink::Bad)),
            ("ContainerCreating", Some(Ink::Warning)),
            ("CrashLoopBackOff (5m)", Some(Ink::Bad)),
            ("ExitCode:3", Some(Ink::Bad)),
            ("OOMKilled", Some(Ink::Bad)),
        ] {
            assert_eq!(of_status(status), ink, "{status}");
        }
    }

    #[test]
    fn nothing_is_painted_before_it_is_decided() {
        assert_eq!(Ink::Bad.paint("x"), "x");
        assert_eq!(status("Error"), "Error");
    }
}
