//! Where a container's output goes: to a terminal harmless, into a file or pipe as it is.

use std::io::{self, ErrorKind, IsTerminal, Write};

use anyhow::{Context, Result};

use super::harmless::Stream;

/// Our stdout or stderr.
pub struct Sink {
    to: Box<dyn Write>,
    terminal: Option<Stream>,
}

impl Sink {
    /// Our stdout.
    pub fn stdout() -> Sink {
        let to = io::stdout();
        Sink { terminal: to.is_terminal().then(Stream::default), to: Box::new(to) }
    }

    /// Our stderr.
    pub fn stderr() -> Sink {
        let to = io::stderr();
        Sink { terminal: to.is_terminal().then(Stream::default), to: Box::new(to) }
    }

    /// Writes all of it now; `false` when nobody reads any more.
    pub fn write(&mut self, bytes: &[u8]) -> Result<bool> {
        match &mut self.terminal {
            Some(stream) => {
                let text = stream.text(bytes);
                write(&mut *self.to, text.as_bytes())
            }
            None => write(&mut *self.to, bytes),
        }
    }

    /// Writes what was held back because it might have gone on.
    pub fn finish(&mut self) -> Result<bool> {
        let rest = self.terminal.as_mut().map(Stream::rest).unwrap_or_default();
        write(&mut *self.to, rest.as_bytes())
    }
}

fn write(to: &mut dyn Write, bytes: &[u8]) -> Result<bool> {
    match to.write_all(bytes).and_then(|()| to.flush()) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(error).context("write the output"),
    }
}
