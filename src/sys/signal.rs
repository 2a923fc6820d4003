//! Signals: a mask and a descriptor for a loop, the defaults for a program about to be executed.

use std::io;

use nix::sys::signal::SigSet;
use nix::sys::signalfd::{SfdFlags, SignalFd};

/// Blocks every signal of the calling thread; from then on they are read from the descriptor, without blocking.
pub fn block_all() -> io::Result<SignalFd> {
    let all = SigSet::all();
    all.thread_set_mask()?;
    Ok(SignalFd::with_flags(&all, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)?)
}

/// Gives every ignored signal its default and blocks none: the last thing before `execve`.
///
/// Both pass through `execve`: without this a container is deaf to SIGTERM and sits out every grace period. Every Rust
/// program ignores SIGPIPE, and a loop with a signalfd blocks all. (Handlers the kernel resets by itself.)
pub fn reset() -> io::Result<()> {
    for signal in 1..=libc::SIGRTMAX() {
        // SAFETY: `sigaction` is plain data, for which zeros are a valid value.
        let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
        // SAFETY: the pointer is to one `sigaction` that lives until the call returns. Two numbers belong to the C
        // library and are refused, which is as good: nobody can have ignored them through it.
        let asked = unsafe { libc::sigaction(signal, std::ptr::null(), &mut action) };
        if asked == 0 && action.sa_sigaction == libc::SIG_IGN {
            // SAFETY: sets a disposition, no handler.
            unsafe { libc::signal(signal, libc::SIG_DFL) };
        }
    }
    SigSet::empty().thread_set_mask()?;
    Ok(())
}
