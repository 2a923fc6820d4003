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
/// program ignores SIGPIPE, a loop with a signalfd blocks all, and glibc's `posix_spawn` ignores the two signals that it
/// keeps for itself (32 and 33) and lets no program change: so the kernel is asked, not the C library. (Handlers the
/// kernel resets by itself.)
pub fn reset() -> io::Result<()> {
    /// The kernel's own layout (`struct kernel_sigaction`); `handler` is first on every architecture we run on.
    #[repr(C)]
    struct Action {
        handler: usize,
        rest: [usize; 4],
    }
    /// Bytes of the kernel's signal set.
    const SET: usize = 8;
    for signal in 1..=64 {
        let mut action = Action { handler: 0, rest: [0; 4] };
        // SAFETY: a null new action asks only; the old one is written into `action`, which is at least as long as the
        // kernel's and lives until the call returns.
        let asked = unsafe {
            libc::syscall(libc::SYS_rt_sigaction, signal, std::ptr::null::<Action>(), &mut action, SET)
        };
        if asked == 0 && action.handler == libc::SIG_IGN {
            let default = Action { handler: libc::SIG_DFL, rest: [0; 4] };
            // SAFETY: sets a disposition, no handler; `default` lives until the call returns.
            let set = unsafe {
                libc::syscall(libc::SYS_rt_sigaction, signal, &default, std::ptr::null_mut::<Action>(), SET)
            };
            if set != 0 {
                return Err(io::Error::last_os_error());
            }
        }
    }
    SigSet::empty().thread_set_mask()?;
    Ok(())
}
