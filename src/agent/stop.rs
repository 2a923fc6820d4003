//! The agent's own end, by a signal: it is written down, so that the next agent can tell it from a crash.
//!
//! Pods go on. The signal then does what it always does, so that whoever sent it sees its own work.

use std::io;

use nix::sys::signal::{SigSet, Signal, raise};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use smol::Async;
use smol::channel::Sender;

use super::Message;

/// What ends an agent: a service manager, a person at a terminal, a terminal that goes.
const ENDING: [Signal; 3] = [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP];

/// Where the signals come out.
pub struct Signals(Async<SignalFd>);

impl Signals {
    /// Takes the signals for this process. To be called before it has other threads, which inherit what is blocked; a
    /// child that is no pod process would, too.
    pub fn take() -> io::Result<Signals> {
        let signals = ending();
        signals.thread_block()?;
        Ok(Signals(Async::new(SignalFd::with_flags(
            &signals,
            SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK,
        )?)?))
    }

    /// Tells the loop of the first that comes.
    pub async fn tell(self, sender: Sender<Message>) {
        loop {
            if self.0.readable().await.is_err() {
                return;
            }
            if let Ok(Some(told)) = self.0.get_ref().read_signal() {
                let signal =
                    i32::try_from(told.ssi_signo).ok().and_then(|number| Signal::try_from(number).ok());
                let _ = sender.send(Message::Signal(signal.unwrap_or(Signal::SIGTERM))).await;
                return;
            }
        }
    }
}

/// Lets `signal` do what it does: end the process.
pub fn obey(signal: Signal) -> io::Result<()> {
    ending().thread_unblock()?;
    Ok(raise(signal)?)
}

fn ending() -> SigSet {
    ENDING.into_iter().collect()
}
