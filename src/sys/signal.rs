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
///
/// By the bare system call: the C library keeps two signals (32 and 33) for itself and would leave them ignored.
pub fn reset() -> io::Result<()> {
    for signal in 1..=libc::SIGRTMAX() {
        // The kernel's `sigaction` begins with the handler; all zeros mean SIG_DFL, no flags, an empty mask. It is at
        // most 4 words on 64-bit machines and 5 on 32-bit ones.
        let default = [0usize; 8];
        let mut current = [0usize; 8];
        let none = std::ptr::null::<usize>();
        // SAFETY: the pointer is to more memory than the kernel's `sigaction` takes, and it lives until the call returns.
        let asked = unsafe { rt_sigaction(signal, none, current.as_mut_ptr()) };
        if asked == 0 && current.first() == Some(&libc::SIG_IGN) {
            // SAFETY: as above; it sets a disposition, no handler.
            unsafe { rt_sigaction(signal, default.as_ptr(), std::ptr::null_mut()) };
        }
    }
    SigSet::empty().thread_set_mask()?;
    Ok(())
}

/// # Safety
/// Both pointers are null or to a kernel's `sigaction`.
unsafe fn rt_sigaction(signal: i32, new: *const usize, old: *mut usize) -> libc::c_long {
    // The size of the kernel's signal set: 64 signals.
    const MASK: usize = 8;
    // SAFETY: as the caller says.
    unsafe { libc::syscall(libc::SYS_rt_sigaction, signal, new, old, MASK) }
}
