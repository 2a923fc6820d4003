//! A person at a terminal: runs a program on a pseudo-terminal, types, looks at the screen, makes the window larger.

#![allow(dead_code, reason = "shared by several test programs, none of which uses all of it")]

use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use holdfast::sys::terminal;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::termios::{Termios, tcgetattr};

/// How long anything may take.
const LONG: Duration = Duration::from_secs(20);

/// A program on a terminal.
pub struct Pty {
    master: Option<File>,
    /// Kept, so that settings and input outlive the program, as in a shell.
    slave: OwnedFd,
    before: Termios,
    child: Child,
    /// All that was ever shown.
    seen: Vec<u8>,
    /// How much of it was looked for already.
    past: usize,
    /// Whether the terminal answers to questions, as real ones do.
    answers: bool,
    /// Answers on their way.
    late: String,
}

impl Pty {
    /// Runs `command` in a session of its own, on a terminal that controls it, of 24 lines of 80 characters.
    pub fn run(command: &Command) -> Pty {
        // Not by openpty(3), whose descriptors programs started meanwhile would inherit.
        let pair = terminal::pair(Path::new("/dev/pts/ptmx")).unwrap();
        terminal::set_size(&pair.slave, (24, 80)).unwrap();
        let before = tcgetattr(&pair.slave).unwrap();
        let stream = || Stdio::from(pair.slave.try_clone().unwrap());
        // util-linux' program executes the other in its place.
        let mut on_terminal = Command::new("setsid");
        on_terminal.arg("--ctty").arg(command.get_program()).args(command.get_args());
        on_terminal.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
        let child = on_terminal.stdin(stream()).stdout(stream()).stderr(stream()).spawn().unwrap();
        let (slave, master) = (pair.slave, Some(File::from(pair.master)));
        Pty { master, slave, before, child, seen: Vec::new(), past: 0, answers: false, late: String::new() }
    }

    /// From now on the terminal answers when it is asked where its cursor is and how it does: in order, and late, as by a
    /// slow line, with the answer to the second question or after the program's end.
    pub fn answer(&mut self) {
        self.answers = true;
    }

    pub fn pid(&self) -> i32 {
        i32::try_from(self.child.id()).unwrap()
    }

    pub fn type_in(&mut self, text: &str) {
        self.master.as_mut().unwrap().write_all(text.as_bytes()).unwrap();
    }

    pub fn resize(&self, rows: u16, columns: u16) {
        terminal::set_size(self.master.as_ref().unwrap(), (rows, columns)).unwrap();
    }

    /// The window is closed.
    pub fn hang_up(&mut self) {
        self.master = None;
    }

    /// Waits until `text` is shown, after all that was waited for before; what was shown up to there.
    #[track_caller]
    pub fn sees(&mut self, text: &str) -> String {
        let until = Instant::now() + LONG;
        loop {
            let new = &self.seen[self.past..];
            if let Some(at) = new.windows(text.len()).position(|window| window == text.as_bytes()) {
                let shown = String::from_utf8_lossy(&new[..at + text.len()]).into_owned();
                self.past += at + text.len();
                return shown;
            }
            let shown = String::from_utf8_lossy(new).into_owned();
            assert!(Instant::now() < until, "{text:?} is not shown, only {shown:?}");
            self.look(Duration::from_millis(100));
        }
    }

    /// Everything that was shown up to now.
    pub fn shown(&self) -> String {
        String::from_utf8_lossy(&self.seen).into_owned()
    }

    fn look(&mut self, longest: Duration) {
        let Some(master) = &mut self.master else { return };
        let mut wanted = [PollFd::new(master.as_fd(), PollFlags::POLLIN)];
        if poll(&mut wanted, PollTimeout::try_from(longest).unwrap()).unwrap() == 0 {
            return;
        }
        let mut buffer = [0; 4096];
        let length = match master.read(&mut buffer) {
            Ok(length) => length,
            Err(error) if error.kind() == ErrorKind::WouldBlock => 0,
            Err(error) => panic!("{error}"),
        };
        let new = &buffer[..length];
        self.seen.extend_from_slice(new);
        let asked = |question: &str| new.windows(question.len()).any(|window| window == question.as_bytes());
        if self.answers && asked("\x1b[6n") {
            self.late.push_str("\x1b[7;7R");
        }
        if self.answers && asked("\x1b[5n") {
            self.late.push_str("\x1b[0n");
            self.type_late();
        }
    }

    fn type_late(&mut self) {
        let late = std::mem::take(&mut self.late);
        if let Some(master) = &mut self.master {
            master.write_all(late.as_bytes()).unwrap();
        }
    }

    /// Waits until the program ended; its exit code.
    #[track_caller]
    pub fn ends(&mut self) -> Option<i32> {
        let until = Instant::now() + LONG;
        loop {
            // All of the program's output is there before its end is.
            let ended = self.child.try_wait().unwrap();
            self.look(Duration::from_millis(20));
            if let Some(status) = ended {
                self.type_late();
                return status.code();
            }
            assert!(Instant::now() < until, "it goes on; shown was {:?}", self.shown());
        }
    }

    /// Whether the terminal is as it was before the program.
    pub fn is_restored(&self) -> bool {
        let flags = |settings: &Termios| {
            (
                settings.input_flags,
                settings.output_flags,
                settings.control_flags,
                settings.local_flags,
                settings.control_chars,
            )
        };
        flags(&tcgetattr(&self.slave).unwrap()) == flags(&self.before)
    }

    /// Whether the next program on the terminal would read something that nobody typed for it.
    pub fn has_input(&self) -> bool {
        // A line that has not ended counts, too: what is typed next would be behind it.
        let mut raw = tcgetattr(&self.slave).unwrap();
        nix::sys::termios::cfmakeraw(&mut raw);
        nix::sys::termios::tcsetattr(&self.slave, nix::sys::termios::SetArg::TCSANOW, &raw).unwrap();
        let mut wanted = [PollFd::new(self.slave.as_fd(), PollFlags::POLLIN)];
        poll(&mut wanted, PollTimeout::from(200u8)).unwrap() > 0
    }
}

impl Drop for Pty {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
