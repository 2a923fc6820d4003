//! A session with a container: passes on what is typed and what is shown, until it is over.
//!
//! Invariant: a container never gets a descriptor of the caller's: it could open what is behind it anew, and would hold the
//! caller's terminal. What it has are pipes made here, or a terminal of its own.
//! Invariant: memory is bounded by the buffers, however much either side writes.

mod flow;
mod keys;
mod screen;
#[cfg(test)]
mod tests;

use std::fs::File;
use std::io::{IsTerminal, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use anyhow::{Context, Result, bail};
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::harmless;
use super::say;
use super::sink::Sink;
use crate::agent::Client;
use crate::protocol::Reply;
use crate::status::Failure;
use crate::sys::terminal;
use flow::{Flow, Step, Target};
use keys::Keys;
pub use screen::Screen;
use screen::Told;

/// Most that is read of an output after its writer ended: the longest an ordinary user may make a pipe. What its children
/// write later is not waited for.
const REST: usize = 1024 * 1024;

/// What is typed or piped in is passed on to it.
struct Input {
    flow: Flow,
    /// The keys that end the session, where there are such.
    keys: Option<Keys>,
}

/// A session.
pub struct Session {
    client: Client,
    /// What it is with, in a word.
    what: &'static str,
    /// Whether it is over as soon as nobody reads our output any more, rather than when there is some.
    only_reads: bool,
    input: Option<Input>,
    outputs: Vec<Flow>,
    /// The caller's terminal, while it is raw.
    screen: Option<Screen>,
    /// The container's terminal, which is to be as large as the caller's.
    terminal: Option<File>,
}

/// How a session ended.
#[derive(Debug, Clone, PartialEq)]
pub enum End {
    /// What ran ended with this code.
    Exited(i32),
    /// It never began.
    Failed(Failure),
    /// By the keys for it.
    Detached,
    /// Nobody reads our output any more.
    Unread,
    /// By this signal.
    Signal(i32),
}

impl Session {
    /// A session with a command, in which nothing is passed on yet.
    pub fn with_command(client: Client) -> Session {
        let (what, only_reads) = ("command", false);
        Session { client, what, only_reads, input: None, outputs: Vec::new(), screen: None, terminal: None }
    }

    /// A session with a container that goes on without it, in which nothing is passed on yet.
    pub fn with_container(client: Client) -> Session {
        Session { what: "container", only_reads: true, ..Session::with_command(client) }
    }

    /// Passes stdin on to `to`, until either ends.
    pub fn pass_stdin_to(&mut self, to: OwnedFd) -> Result<()> {
        let stdin = std::io::stdin().as_fd().try_clone_to_owned().context("duplicate stdin")?;
        let flow = Flow::new(File::from(stdin), Target::Plain(File::from(unblocked(to)?))).watched();
        self.input = Some(Input { flow, keys: None });
        Ok(())
    }

    /// Passes `from` on to stdout: as it is into a pipe, a file or a raw terminal, else harmless.
    pub fn pass_to_stdout(&mut self, from: OwnedFd) -> Result<()> {
        let own = std::io::stdout();
        let target = match (&self.screen, own.is_terminal()) {
            (Some(_), _) => Target::Plain(Screen::output()?),
            (None, true) => Target::Harmless(Sink::stdout(), duplicate(own.as_fd())?),
            (None, false) => Target::Plain(duplicate(own.as_fd())?),
        };
        self.add_output(from, target)
    }

    /// Passes `from` on to stderr.
    pub fn pass_to_stderr(&mut self, from: OwnedFd) -> Result<()> {
        let own = std::io::stderr();
        let file = duplicate(own.as_fd())?;
        let target =
            if own.is_terminal() { Target::Harmless(Sink::stderr(), file) } else { Target::Plain(file) };
        self.add_output(from, target)
    }

    fn add_output(&mut self, from: OwnedFd, target: Target) -> Result<()> {
        let flow = Flow::new(File::from(unblocked(from)?), target);
        self.outputs.push(if self.only_reads { flow.watched() } else { flow });
        Ok(())
    }

    /// From now on the caller's terminal is raw, and `terminal` is as large as it is. Before outputs are passed on.
    pub fn be_terminal(&mut self, terminal: BorrowedFd<'_>) -> Result<()> {
        self.terminal = Some(duplicate(terminal)?);
        self.screen = Some(Screen::take()?);
        self.resize();
        Ok(())
    }

    /// Lets Ctrl-P Ctrl-Q end the session.
    pub fn end_by_keys(&mut self) {
        if let Some(input) = &mut self.input {
            input.keys = Some(Keys::default());
        }
    }

    /// Until it is over. After that the caller's terminal is as it was.
    pub fn run(&mut self) -> Result<End> {
        let end = self.pump();
        self.screen = None;
        end
    }

    fn pump(&mut self) -> Result<End> {
        loop {
            let ready = self.wait()?;
            if ready.signals
                && let Some(end) = self.hear_signals()?
            {
                return Ok(end);
            }
            if ready.input && self.pump_input(ready.input_broken)? {
                return Ok(End::Detached);
            }
            if ready.unread || !self.pump_outputs()? {
                return Ok(End::Unread);
            }
            if ready.reply
                && let Some(end) = self.hear()?
            {
                return Ok(self.drain()?.unwrap_or(end));
            }
        }
    }

    /// Takes a reply; the end when it is that.
    fn hear(&mut self) -> Result<Option<End>> {
        match self.client.receive()? {
            Some(Reply::Exited { code }) => return Ok(Some(End::Exited(code))),
            Some(Reply::Failed(failure)) => return Ok(Some(End::Failed(failure))),
            Some(Reply::Missed { bytes }) => self.say(&format!(
                "warning: {bytes} bytes went past, since this was too slow to read them; the log has them: holdfast logs"
            )),
            Some(_) => {}
            None => bail!("the pod process ended before the {} did", self.what),
        }
        Ok(None)
    }

    /// A line for the person, also while the terminal is raw.
    pub fn say(&self, text: &str) {
        match self.screen {
            // There is nobody left to tell of a failure.
            Some(_) => drop(write!(std::io::stderr(), "{}\r\n", harmless::line(text))),
            None => say(text),
        }
    }

    fn hear_signals(&mut self) -> Result<Option<End>> {
        let Some(screen) = &mut self.screen else { return Ok(None) };
        match screen.told()? {
            Told::Nothing => {}
            Told::Resized => self.resize(),
            Told::Over(signal) => return Ok(Some(End::Signal(signal))),
        }
        Ok(None)
    }

    fn resize(&self) {
        if let (Some(screen), Some(terminal)) = (&self.screen, &self.terminal)
            && let Some(size) = screen.size()
        {
            // One that was hung up has no size, and ends the session by itself.
            let _ = terminal::set_size(terminal, size);
        }
    }

    /// Moves what can be moved; whether it was the keys that end the session.
    fn pump_input(&mut self, broken: bool) -> Result<bool> {
        let Some(Input { flow, keys }) = &mut self.input else { return Ok(false) };
        let mut detached = false;
        let look = |buffer: &mut [u8], length| look_for(keys.as_mut(), buffer, length, &mut detached);
        let over = broken || (flow.fill(look).context("stdin")? == Step::Ended && !flow.is_pending());
        // That a command has closed its stdin is its business.
        if over || flow.empty().context("pass stdin on")? == Step::Unwanted {
            self.input = None;
        }
        Ok(detached)
    }

    /// Moves one piece of each; `false` when nobody reads ours any more.
    fn pump_outputs(&mut self) -> Result<bool> {
        for flow in &mut self.outputs {
            let screen = &mut self.screen;
            flow.fill(|buffer, length| shown(screen.as_mut(), buffer, length)).context("output")?;
            if flow.empty().context("pass output on")? == Step::Unwanted {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Everything written before the end is in the pipes. Another end, where that comes first.
    fn drain(&mut self) -> Result<Option<End>> {
        let mut outputs = std::mem::take(&mut self.outputs);
        for flow in &mut outputs {
            let mut rest = REST;
            while flow.is_pending() || rest > 0 {
                let screen = &mut self.screen;
                let step = flow.fill(|buffer, length| {
                    rest = rest.saturating_sub(length);
                    shown(screen.as_mut(), buffer, length)
                });
                if step.context("output")? != Step::Moved && !flow.is_pending() {
                    break;
                }
                match flow.empty().context("pass output on")? {
                    Step::Unwanted => return Ok(Some(End::Unread)),
                    Step::Moved => {}
                    _ => {
                        if let Some(end) = self.wait_for_target(flow)? {
                            return Ok(Some(end));
                        }
                    }
                }
            }
            flow.finish()?;
        }
        Ok(None)
    }

    /// Until the flow's target takes something, or a signal ends it all.
    fn wait_for_target(&mut self, flow: &Flow) -> Result<Option<End>> {
        let mut wanted = vec![PollFd::new(flow.target(), PollFlags::POLLOUT)];
        wanted.extend(self.screen.as_ref().map(|screen| PollFd::new(screen.signals(), PollFlags::POLLIN)));
        match poll(&mut wanted, PollTimeout::NONE) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(error) => return Err(error).context("wait for the output"),
        }
        drop(wanted);
        self.hear_signals()
    }

    fn wait(&self) -> Result<Ready> {
        let readable = PollFlags::POLLIN;
        let mut wanted = vec![(Source::Reply, self.client.as_fd(), readable)];
        wanted.extend(self.screen.iter().map(|screen| (Source::Signals, screen.signals(), readable)));
        if let Some(Input { flow, .. }) = &self.input {
            let [from, to] = flow.wanted();
            wanted.extend(from.map(|(end, flags)| (Source::Input, end, flags)));
            wanted.extend(to.map(|(end, flags)| (Source::InputTarget, end, flags)));
        }
        for flow in &self.outputs {
            let [from, to] = flow.wanted();
            wanted.extend(from.map(|(end, flags)| (Source::Output, end, flags)));
            wanted.extend(to.map(|(end, flags)| (Source::OutputTarget, end, flags)));
        }
        let mut polled: Vec<_> = wanted.iter().map(|(_, end, flags)| PollFd::new(*end, *flags)).collect();
        match poll(&mut polled, PollTimeout::NONE) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(error) => return Err(error).context("wait for the container"),
        }
        let mut ready = Ready::default();
        for ((source, ..), polled) in wanted.iter().zip(&polled) {
            let told = polled.revents().unwrap_or(PollFlags::empty());
            let broken = told.intersects(PollFlags::POLLERR | PollFlags::POLLHUP);
            match source {
                _ if told.is_empty() => {}
                Source::Reply => ready.reply = true,
                Source::Signals => ready.signals = true,
                Source::Input => ready.input = true,
                Source::InputTarget => (ready.input, ready.input_broken) = (true, broken),
                // Outputs are asked anyway.
                Source::Output => {}
                Source::OutputTarget => ready.unread |= broken,
            }
        }
        Ok(ready)
    }
}

/// What is waited for.
enum Source {
    Reply,
    Signals,
    Input,
    InputTarget,
    Output,
    OutputTarget,
}

/// What was waited for and came.
#[derive(Default)]
struct Ready {
    reply: bool,
    signals: bool,
    input: bool,
    input_broken: bool,
    unread: bool,
}

fn shown(screen: Option<&mut Screen>, buffer: &[u8], length: usize) -> usize {
    if let Some(screen) = screen {
        screen.shows(&buffer[..length]);
    }
    length
}

/// Leaves at the beginning of `buffer` what is to be passed on of the `length` bytes there; how much that is.
fn look_for(keys: Option<&mut Keys>, buffer: &mut [u8], length: usize, found: &mut bool) -> usize {
    let Some(keys) = keys else { return length };
    let (passed, detached) = keys.look(&buffer[..length]);
    *found = detached;
    buffer[..passed.len()].copy_from_slice(&passed);
    passed.len()
}

fn duplicate(descriptor: BorrowedFd<'_>) -> Result<File> {
    Ok(File::from(descriptor.try_clone_to_owned().context("duplicate a descriptor")?))
}

/// Our end of a pipe or terminal does not block; the other end is another open file and does.
fn unblocked(pipe: OwnedFd) -> Result<OwnedFd> {
    fcntl(pipe.as_raw_fd(), FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
    Ok(pipe)
}
