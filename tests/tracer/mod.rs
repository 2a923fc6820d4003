//! Runs a program under ptrace, all of its threads, and kills it where it is about to change the disk for the n-th time.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::ffi::c_void;
use std::io::Write;
use std::process::{Command, Stdio};

use nix::errno::Errno;
use nix::libc::{self, c_long, user_regs_struct};
use nix::sys::ptrace::{self, Options};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

/// What became of the program.
#[derive(Debug)]
pub struct Run {
    /// Calls that changed the disk, or were about to.
    pub changes: u64,
    /// Its exit code; none where it was killed.
    pub code: Option<i32>,
    /// The call at which it was killed, by its number.
    pub at: Option<c_long>,
}

/// Runs `program` with its arguments in `command`'s environment; with `last` it never comes to that change, counted from 0.
///
/// The kernel skips a call at whose beginning its thread is killed, so that each point is one between two changes.
#[allow(clippy::zombie_processes, reason = "it is waited for with all of its threads")]
pub fn run(command: &mut Command, last: Option<u64>) -> Run {
    let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
    let pid = Pid::from_raw(child.id().cast_signed());
    let also = Options::PTRACE_O_TRACECLONE | Options::PTRACE_O_TRACEFORK | Options::PTRACE_O_TRACEVFORK;
    let options =
        Options::PTRACE_O_TRACESYSGOOD | Options::PTRACE_O_TRACEEXEC | Options::PTRACE_O_EXITKILL | also;
    ptrace::seize(pid, options).unwrap();
    ptrace::interrupt(pid).unwrap();
    child.stdin.take().unwrap().write_all(b"go\n").unwrap();

    let mut run = Run { changes: 0, code: None, at: None };
    let mut begun = false;
    // Only what this very thread has begun: other stories run beside this one.
    let ours = WaitPidFlag::__WALL | WaitPidFlag::__WNOTHREAD;
    loop {
        match waitpid(None, Some(ours)) {
            Ok(WaitStatus::PtraceSyscall(thread)) => {
                if let Some(call) = change(thread).filter(|_| begun && run.at.is_none()) {
                    if last == Some(run.changes) {
                        run.at = Some(call);
                        kill(pid, Signal::SIGKILL).unwrap();
                        continue;
                    }
                    run.changes += 1;
                }
                go_on(thread, None);
            }
            Ok(WaitStatus::PtraceEvent(thread, _, event)) => {
                begun |= event == libc::PTRACE_EVENT_EXEC;
                go_on(thread, None);
            }
            Ok(WaitStatus::Stopped(thread, signal)) => go_on(thread, Some(signal)),
            Ok(WaitStatus::Exited(gone, code)) if gone == pid => return Run { code: Some(code), ..run },
            Ok(WaitStatus::Signaled(gone, ..)) if gone == pid => return run,
            Ok(_) | Err(Errno::EINTR) => {}
            Err(error) => panic!("wait for the program: {error}"),
        }
    }
}

/// A command for [`run`]: it waits until it is traced.
pub fn traced(program: &str) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", "read go && exec \"$@\"", "sh", program]);
    command
}

fn go_on(thread: Pid, signal: Option<Signal>) {
    match ptrace::syscall(thread, signal) {
        // It was killed meanwhile.
        Ok(()) | Err(Errno::ESRCH) => {}
        Err(error) => panic!("let thread {thread} go on: {error}"),
    }
}

/// The call that `thread` is about to make, if it is one that changes the disk.
fn change(thread: Pid) -> Option<c_long> {
    let (number, arguments) = begins(&ptrace::getregs(thread).ok()?)?;
    let makes =
        |flags: u64| flags & (libc::O_CREAT | libc::O_TRUNC | libc::O_TMPFILE) as u64 & !DIRECTORY != 0;
    let changes = match number {
        libc::SYS_write | libc::SYS_writev => 2 < arguments[0],
        libc::SYS_openat => makes(arguments[2]),
        // Its flags are the first field of a structure.
        libc::SYS_openat2 => {
            makes(ptrace::read(thread, arguments[2] as *mut c_void).unwrap_or(0).cast_unsigned())
        }
        number => CHANGES.contains(&number) || OLD.contains(&number),
    };
    changes.then_some(number)
}

/// O_TMPFILE has it too, and alone it makes nothing.
const DIRECTORY: u64 = libc::O_DIRECTORY as u64;

/// Calls that change what is on the disk, or what of it lasts.
const CHANGES: &[c_long] = &[
    libc::SYS_pwrite64,
    libc::SYS_pwritev,
    libc::SYS_copy_file_range,
    libc::SYS_sendfile,
    libc::SYS_splice,
    libc::SYS_renameat,
    libc::SYS_renameat2,
    libc::SYS_linkat,
    libc::SYS_unlinkat,
    libc::SYS_mkdirat,
    libc::SYS_mknodat,
    libc::SYS_symlinkat,
    libc::SYS_truncate,
    libc::SYS_ftruncate,
    libc::SYS_fallocate,
    libc::SYS_fsync,
    libc::SYS_fdatasync,
    libc::SYS_syncfs,
    libc::SYS_sync,
    libc::SYS_fchown,
    libc::SYS_fchownat,
    libc::SYS_fchmod,
    libc::SYS_fchmodat,
    libc::SYS_setxattr,
    libc::SYS_lsetxattr,
    libc::SYS_fsetxattr,
    libc::SYS_utimensat,
];

/// Those that only this machine has.
#[cfg(target_arch = "x86_64")]
const OLD: &[c_long] = &[
    libc::SYS_rename,
    libc::SYS_link,
    libc::SYS_unlink,
    libc::SYS_rmdir,
    libc::SYS_mkdir,
    libc::SYS_mknod,
    libc::SYS_symlink,
    libc::SYS_chown,
    libc::SYS_lchown,
    libc::SYS_chmod,
    libc::SYS_creat,
];
#[cfg(not(target_arch = "x86_64"))]
const OLD: &[c_long] = &[];

/// Number and first arguments of the call that begins; none where one ends.
#[cfg(target_arch = "x86_64")]
fn begins(registers: &user_regs_struct) -> Option<(c_long, [u64; 3])> {
    let begins = registers.rax.cast_signed() == -i64::from(libc::ENOSYS);
    let arguments = [registers.rdi, registers.rsi, registers.rdx];
    begins.then_some((registers.orig_rax.cast_signed(), arguments))
}

/// As ptrace(2) has it: `x7` tells beginnings and ends apart.
#[cfg(target_arch = "aarch64")]
fn begins(registers: &user_regs_struct) -> Option<(c_long, [u64; 3])> {
    let [first, second, third, ..] = registers.regs;
    (registers.regs[7] == 0).then_some((registers.regs[8].cast_signed(), [first, second, third]))
}
