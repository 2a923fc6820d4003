//! How far an import is, on a terminal: one line that goes when it is done.
//!
//! Drawn here and not by a crate: it is one line, and the binary has little room.

use std::cell::Cell;
use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

use crate::cli::get::images::size;
use crate::cli::harmless;
use crate::image::Step;

/// Between two drawings: what an eye can follow.
const PAUSE: Duration = Duration::from_millis(100);
/// Characters of the bar itself, and of the name before it: with the numbers less than 80.
const WIDTH: u64 = 24;
const NAME: usize = 24;

/// A bar on stderr, if that is a terminal.
pub struct Bar {
    name: String,
    drawn: Cell<Option<Instant>>,
    on_terminal: bool,
}

impl Bar {
    /// For the archive `name`.
    pub fn new(name: &str) -> Bar {
        Bar { name: harmless::line(name), drawn: Cell::new(None), on_terminal: io::stderr().is_terminal() }
    }

    /// Shows `step`, unless the last one was shown just now.
    pub fn show(&self, step: Step) {
        let due = self.drawn.get().is_none_or(|drawn| PAUSE <= drawn.elapsed());
        if self.on_terminal && due {
            self.drawn.set(Some(Instant::now()));
            // Carriage return, and the rest of the line cleared.
            write(&format!("\r{}\u{1b}[K", line(&self.name, step)));
        }
    }

    /// Takes it away.
    pub fn clear(&self) {
        if self.drawn.take().is_some() {
            write("\r\u{1b}[K");
        }
    }
}

/// `redis.tar  [======>      ]  51%  18.2MB of 35.9MB`
pub fn line(name: &str, step: Step) -> String {
    let Step { done, of } = step;
    let part = |whole: u64| whole * (done >> 10).min(of >> 10) / (of >> 10).max(1);
    let filled = part(WIDTH);
    let bar: String = (0..WIDTH)
        .map(|at| {
            if at < filled {
                '='
            } else if at == filled {
                '>'
            } else {
                ' '
            }
        })
        .collect();
    let name: String = match name.chars().count() > NAME {
        true => name.chars().take(NAME - 3).chain("...".chars()).collect(),
        false => name.to_string(),
    };
    format!("{name:NAME$}  [{bar}] {:3}%  {} of {}", part(100), size(done), size(of))
}

fn write(text: &str) {
    let mut err = io::stderr().lock();
    // There is nobody left to tell of a failure.
    let _ = err.write_all(text.as_bytes()).and_then(|()| err.flush());
}
