//! The caller's own terminal, while what is typed and shown belongs to a container.
//!
//! Invariant: it is as it was once this is dropped, whatever ended the session: the command, an error, a signal that can be
//! caught, a panic.

use std::fs::{File, OpenOptions};
use std::io::{IsTerminal, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::termios::{FlushArg, SetArg, Termios, cfmakeraw, tcflush, tcgetattr, tcsetattr};

use crate::sys::terminal::{self, Size};

/// Signals that would end us, and those that have to do with terminals.
const SIGNALS: [Signal; 7] = [
    Signal::SIGTERM,
    Signal::SIGINT,
    Signal::SIGHUP,
    Signal::SIGQUIT,
    Signal::SIGWINCH,
    Signal::SIGCONT,
    Signal::SIGTSTP,
];

/// Ends what a program may have left switched on, and would make the shell read rubbish: reports of the mouse and of
/// focus, marks around what is pasted; then the other screen, a hidden cursor, colours.
const SETTLE: &[u8] =
    b"\x1b[?1000l\x1b[?1002l\x1b[?1003l\x1b[?1004l\x1b[?1006l\x1b[?2004l\x1b[?1047l\x1b[?25h\x1b[0m";

/// Asks a terminal whether it is well, and its answer, which comes after those to all earlier questions.
const QUESTION: &[u8] = b"\x1b[5n";
const ANSWER: &[u8] = b"\x1b[0n";

/// How long to wait for that answer. A terminal on a serial line needs some ten milliseconds.
const LONGEST_ANSWER: Duration = Duration::from_millis(300);

/// How long nothing must come after it.
const QUIET: Duration = Duration::from_millis(30);

/// What a signal means for the session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Told {
    /// Nothing.
    Nothing,
    /// The terminal may have another size.
    Resized,
    /// It is over, by this signal.
    Over(i32),
}

/// The caller's terminal, raw.
pub struct Screen {
    saved: Termios,
    signals: SignalFd,
    mask: SigSet,
    /// Whether anything went to it that it may answer to.
    asked: bool,
}

/// For a panic, which may not unwind.
static SAVED: OnceLock<libc::termios> = OnceLock::new();

impl Screen {
    /// Takes the terminal on stdin over.
    pub fn take() -> Result<Screen> {
        let stdin = std::io::stdin();
        let saved = tcgetattr(&stdin).context("ask for the terminal's settings")?;
        let mask: SigSet = SIGNALS.into_iter().collect();
        mask.thread_block().context("block signals")?;
        let flags = SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK;
        let signals = SignalFd::with_flags(&mask, flags).context("take signals")?;
        if SAVED.set(saved.clone().into()).is_ok() {
            let before = std::panic::take_hook();
            std::panic::set_hook(Box::new(move |panic| {
                if let Some(saved) = SAVED.get() {
                    // What can be done here.
                    let _ = tcsetattr(std::io::stdin(), SetArg::TCSANOW, &Termios::from(*saved));
                }
                before(panic);
            }));
        }
        let screen = Screen { saved, signals, mask, asked: false };
        screen.make_raw()?;
        Ok(screen)
    }

    fn make_raw(&self) -> Result<()> {
        let mut raw = self.saved.clone();
        cfmakeraw(&mut raw);
        tcsetattr(std::io::stdin(), SetArg::TCSANOW, &raw).context("make the terminal raw")
    }

    /// Its size.
    pub fn size(&self) -> Option<Size> {
        terminal::size(std::io::stdin()).ok()
    }

    /// Where to write what it shows: stdout, where that is a terminal without waiting for it, so that signals are heard
    /// while it is stopped. It is opened anew for that: the caller's own must go on to block.
    pub fn output() -> Result<File> {
        let stdout = std::io::stdout();
        if stdout.is_terminal() {
            let path = format!("/proc/self/fd/{}", stdout.as_raw_fd());
            let flags = libc::O_NONBLOCK | libc::O_NOCTTY;
            if let Ok(file) = OpenOptions::new().write(true).custom_flags(flags).open(path) {
                return Ok(file);
            }
        }
        Ok(File::from(stdout.as_fd().try_clone_to_owned().context("duplicate stdout")?))
    }

    /// Notes what is about to be shown.
    pub fn shows(&mut self, bytes: &[u8]) {
        // Everything that a terminal answers to begins so: ENQ, ESC, and the 8-bit forms of what follows an ESC.
        self.asked |= bytes.iter().any(|byte| matches!(byte, 0x05 | 0x1b | 0x80..=0x9f));
    }

    /// Where signals are heard.
    pub fn signals(&self) -> BorrowedFd<'_> {
        self.signals.as_fd()
    }

    /// What the signals that came mean.
    pub fn told(&mut self) -> Result<Told> {
        let mut told = Told::Nothing;
        while let Some(signal) = self.signals.read_signal().context("read signals")? {
            match i32::try_from(signal.ssi_signo).unwrap_or_default() {
                libc::SIGWINCH => told = Told::Resized,
                libc::SIGCONT => {
                    // Whoever had the terminal meanwhile changed it.
                    self.make_raw()?;
                    told = Told::Resized;
                }
                // Ctrl-Z is the container's; nobody stops us while the terminal is raw.
                libc::SIGTSTP => {}
                number => return Ok(Told::Over(number)),
            }
        }
        Ok(told)
    }

    /// Waits for the answers to what a container asked the terminal, and throws them away: the shell would read them as
    /// typed. They come in order, so ours is the last; a container can guess ours, and therefore it must be quiet then.
    fn settle(&self) {
        let dumb = std::env::var_os("TERM").is_none_or(|term| term.is_empty() || term == "dumb");
        let mut out = std::io::stdout();
        let takes = |out: &std::io::Stdout| {
            let mut wanted = [PollFd::new(out.as_fd(), PollFlags::POLLOUT)];
            let now = poll(&mut wanted, PollTimeout::ZERO);
            now.is_ok() && wanted[0].revents() == Some(PollFlags::POLLOUT)
        };
        if !self.asked || dumb || !out.is_terminal() || !takes(&out) {
            return;
        }
        if out.write_all(&[SETTLE, QUESTION].concat()).and_then(|()| out.flush()).is_err() {
            return;
        }
        let begun = Instant::now();
        let (mut heard, mut answered) = (Vec::new(), false);
        let mut bytes = [0; 256];
        loop {
            let left = LONGEST_ANSWER.saturating_sub(begun.elapsed());
            let wait = if answered { left.min(QUIET) } else { left };
            let stdin = std::io::stdin();
            let mut wanted = [PollFd::new(stdin.as_fd(), PollFlags::POLLIN)];
            let wait = PollTimeout::try_from(wait).unwrap_or(PollTimeout::ZERO);
            if !matches!(poll(&mut wanted, wait), Ok(1..)) {
                return;
            }
            match nix::unistd::read(stdin.as_raw_fd(), &mut bytes) {
                Ok(length @ 1..) => heard.extend_from_slice(&bytes[..length]),
                _ => return,
            }
            answered |= heard.windows(ANSWER.len()).any(|window| window == ANSWER);
            // What may be the beginning of the answer is all that is needed of it.
            heard.drain(..heard.len().saturating_sub(ANSWER.len()));
        }
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        self.settle();
        // What was typed and not taken goes nowhere. Nothing waits for output that a stopped terminal does not take. There
        // is nobody left to tell of a failure.
        let _ = tcflush(std::io::stdin(), FlushArg::TCIFLUSH);
        let _ = tcsetattr(std::io::stdin(), SetArg::TCSANOW, &self.saved);
        // One that came in between has nothing to end any more.
        while matches!(self.signals.read_signal(), Ok(Some(_))) {}
        let _ = self.mask.thread_unblock();
    }
}
