//! Processes and their descriptors.

use std::ffi::{CStr, CString};
use std::fs::File;
use std::io::{self, ErrorKind, Write};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::statfs::{PROC_SUPER_MAGIC, fstatfs};
use nix::sys::wait::{Id, WaitPidFlag, waitid};
use nix::unistd::Pid;

/// A program to execute in a new process.
#[derive(Debug)]
pub struct Program<'a> {
    /// The file.
    pub path: &'a CStr,
    /// Its arguments, the name it is shown under first.
    pub arguments: &'a [CString],
    /// Its descriptors: the first becomes 0, the next 1, and so on. It gets no others.
    pub descriptors: &'a [BorrowedFd<'a>],
    /// Whether it leads a session of its own.
    pub session: bool,
}

/// Tells the kernel at `path`, a file of `/proc/thread-self/attr`, what is to confine the next program of this thread.
///
/// Fails with `Unsupported` where the kernel has no such file.
pub fn confine(path: &str, words: &str) -> io::Result<()> {
    let mut file = match File::options().write(true).open(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            return Err(io::Error::new(ErrorKind::Unsupported, format!("there is no {path}")));
        }
        file => file?,
    };
    if fstatfs(&file)?.filesystem_type() != PROC_SUPER_MAGIC {
        return Err(io::Error::other(format!("{path} is no file of the kernel's")));
    }
    // In one write, which is all that is looked at.
    file.write_all(words.as_bytes())
}

/// Executes a program in a child, with an empty environment and no signal blocked.
///
/// For callers of one thread. A program that cannot be executed shows as a child that exits with 127.
pub fn spawn(program: &Program<'_>) -> io::Result<Pid> {
    let mut arguments: Vec<*const libc::c_char> = program.arguments.iter().map(|a| a.as_ptr()).collect();
    arguments.push(std::ptr::null());
    let environment = [std::ptr::null()];
    let wanted: Vec<RawFd> = program.descriptors.iter().map(AsRawFd::as_raw_fd).collect();
    let mut moved = vec![0; wanted.len()];
    // SAFETY: the caller has one thread, so the child may do what it likes; it makes system calls only, all on memory
    // that was prepared above, and leaves by `execve` or `_exit`.
    unsafe {
        match libc::fork() {
            -1 => Err(io::Error::last_os_error()),
            0 => {
                become_program(program, &wanted, &mut moved, &arguments, &environment);
                libc::_exit(127)
            }
            child => Ok(Pid::from_raw(child)),
        }
    }
}

/// The child's part of [`spawn`]: returns only when something failed.
///
/// # Safety
/// To be called in a child that was just forked; the last two end with a null pointer.
unsafe fn become_program(
    program: &Program<'_>,
    wanted: &[RawFd],
    moved: &mut [RawFd],
    arguments: &[*const libc::c_char],
    environment: &[*const libc::c_char],
) {
    // SAFETY: system calls on descriptors and on memory that lives until `execve`; nobody in this child owns what is closed.
    unsafe {
        if !arrange(wanted, moved) || program.session && libc::setsid() < 0 {
            return;
        }
        let mut none: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&mut none);
        libc::sigprocmask(libc::SIG_SETMASK, &none, std::ptr::null_mut());
        libc::execve(program.path.as_ptr(), arguments.as_ptr(), environment.as_ptr());
    }
}

/// Makes the descriptors `wanted` 0, 1 and so on, and closes all others; false when that failed.
///
/// # Safety
/// To be called in a child that was just forked, in which nothing goes on to use what is closed.
unsafe fn arrange(wanted: &[RawFd], moved: &mut [RawFd]) -> bool {
    let count = wanted.len() as RawFd;
    // SAFETY: system calls on descriptors, which are the caller's to close.
    unsafe {
        // First out of the way, then into place: the wanted numbers may be each other's targets.
        for (to, from) in moved.iter_mut().zip(wanted) {
            *to = libc::fcntl(*from, libc::F_DUPFD, count);
            if *to < 0 {
                return false;
            }
        }
        for (to, from) in (0..count).zip(moved.iter()) {
            if libc::dup2(*from, to) < 0 {
                return false;
            }
        }
        libc::syscall(libc::SYS_close_range, count, libc::c_uint::MAX, 0) == 0
    }
}

/// Runs `child` in a child process, whose exit code is what it returns.
///
/// For callers of one thread. `descriptors` are the child's 0, 1 and so on, and it has no others: it takes them by
/// [`inherited`], and must use nothing that the caller owns by another number. It exits with 127 where they cannot be put in
/// place, and never goes on in what its caller was doing, not even when it panics.
pub fn fork(descriptors: &[BorrowedFd<'_>], child: impl FnOnce() -> u8) -> io::Result<Pid> {
    let wanted: Vec<RawFd> = descriptors.iter().map(AsRawFd::as_raw_fd).collect();
    let mut moved = vec![0; wanted.len()];
    // SAFETY: the caller has one thread, so the child may do what it likes, and uses none of the caller's descriptors.
    unsafe {
        match libc::fork() {
            -1 => Err(io::Error::last_os_error()),
            0 if !arrange(&wanted, &mut moved) => libc::_exit(127),
            0 => leave_with(child),
            pid => Ok(Pid::from_raw(pid)),
        }
    }
}

/// As [`fork`], but the child is the caller's sibling, a child of the caller's parent, and has copies of all its descriptors.
/// Gives its process ID as the caller sees it, also where it is born in another PID namespace.
pub fn fork_sibling(child: impl FnOnce() -> u8) -> io::Result<Pid> {
    // By the bare system call, since C libraries have no such fork: the order of its arguments, which differs between
    // machines, does not matter where all but the first are 0.
    let (flags, none) = (libc::CLONE_PARENT | libc::SIGCHLD, 0usize);
    // SAFETY: without CLONE_VM this is a fork. The caller has one thread, so that no lock of the C library is held.
    match unsafe { libc::syscall(libc::SYS_clone, flags, none, none, none, none) } {
        -1 => Err(io::Error::last_os_error()),
        0 => leave_with(child),
        pid => Ok(Pid::from_raw(pid as libc::pid_t)),
    }
}

/// Ends the process with what `child` returns.
fn leave_with(child: impl FnOnce() -> u8) -> ! {
    let code = std::panic::catch_unwind(std::panic::AssertUnwindSafe(child)).unwrap_or(PANICKED);
    // SAFETY: it ends the process, without what its parent registered to be done at its own end.
    unsafe { libc::_exit(code.into()) }
}

/// Exit code of a child that panicked, as of every Rust program.
const PANICKED: u8 = 101;

/// A descriptor of a process: whatever is done by it is done to that one, or to none.
pub fn pidfd(pid: i32) -> io::Result<OwnedFd> {
    // SAFETY: plain numbers.
    let raw = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) };
    if raw < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel just made this descriptor, close-on-exec, for us, and nobody else knows it.
    Ok(unsafe { OwnedFd::from_raw_fd(raw as RawFd) })
}

/// Takes over a descriptor that was inherited under a known number, and makes it close-on-exec.
///
/// For the first lines of a process, once for each number: nobody else may own it.
pub fn inherited(number: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: asks and sets a flag of a number; a number without a descriptor is an error.
    let result = unsafe { libc::fcntl(number, libc::F_SETFD, libc::FD_CLOEXEC) };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the descriptor is open, and by this function's contract nobody else's.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

/// Duplicates a descriptor by number, to at least `lowest`, close-on-exec.
pub fn duplicate(number: RawFd, lowest: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: a number without a descriptor is an error.
    let raw = unsafe { libc::fcntl(number, libc::F_DUPFD_CLOEXEC, lowest) };
    if raw < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel just made this descriptor for us, and nobody else knows it.
    Ok(unsafe { OwnedFd::from_raw_fd(raw) })
}

/// Closes every descriptor from `lowest` on except those in `keep`.
///
/// For the first lines of a process, before anything owns what is closed.
pub fn close_others(lowest: RawFd, keep: &[BorrowedFd<'_>]) -> io::Result<()> {
    let mut keep: Vec<u32> = keep.iter().filter_map(|fd| u32::try_from(fd.as_raw_fd()).ok()).collect();
    keep.sort_unstable();
    let mut from = u32::try_from(lowest).unwrap_or(0);
    for number in keep {
        if from < number {
            close_range(from, number - 1, 0)?;
        }
        from = from.max(number + 1);
    }
    close_range(from, u32::MAX, 0)
}

/// Marks every descriptor from `lowest` on close-on-exec.
pub fn close_on_exec(lowest: u32) -> io::Result<()> {
    close_range(lowest, u32::MAX, libc::CLOSE_RANGE_CLOEXEC)
}

fn close_range(first: u32, last: u32, flags: libc::c_uint) -> io::Result<()> {
    // SAFETY: plain numbers. What is closed is nobody's by the contracts of the callers.
    let result = unsafe { libc::syscall(libc::SYS_close_range, first, last, flags) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// A child that ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ended {
    /// Its process ID, free from now on.
    pub pid: i32,
    /// Exit code; 128 + signal where a signal ended it.
    pub code: i32,
    /// The signal that ended it, also one without a name.
    pub signal: Option<i32>,
    /// Processor time that it used, with those whose end it waited for.
    pub cpu: Duration,
}

/// Takes one child that ended, whichever; `None` when there is none now.
///
/// Not by `nix`, which loses a child that a real-time signal ended.
pub fn reap() -> Option<Ended> {
    let mut status = 0;
    // SAFETY: `rusage` is plain data, for which zeros are a valid value.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    let pid = loop {
        // SAFETY: the pointers are to an integer and a `rusage` that live until the call returns.
        let pid = unsafe { libc::wait4(-1, &mut status, libc::WNOHANG, &mut usage) };
        if pid >= 0 || io::Error::last_os_error().kind() != io::ErrorKind::Interrupted {
            break pid;
        }
    };
    if pid <= 0 {
        return None;
    }
    let signal = libc::WIFSIGNALED(status).then(|| libc::WTERMSIG(status));
    let code = signal.map_or_else(|| libc::WEXITSTATUS(status), |signal| 128 + signal);
    let cpu = time(usage.ru_utime) + time(usage.ru_stime);
    Some(Ended { pid, code, signal, cpu })
}

/// Whether `pid` is a child that was not taken yet, ended or not. A number that is spent is given again.
pub fn is_child(pid: i32) -> bool {
    let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
    waitid(Id::Pid(Pid::from_raw(pid)), flags) != Err(Errno::ECHILD)
}

fn time(of: libc::timeval) -> Duration {
    let (seconds, micros) = (u64::try_from(of.tv_sec), u64::try_from(of.tv_usec));
    Duration::from_secs(seconds.unwrap_or(0)) + Duration::from_micros(micros.unwrap_or(0))
}

/// Sends a signal by number, also one without a name. A process that is gone is success.
pub fn signal(pid: i32, number: i32) -> io::Result<()> {
    if pid <= 0 {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "a process ID must be positive"));
    }
    // SAFETY: plain numbers.
    let result = unsafe { libc::kill(pid, number) };
    match io::Error::last_os_error() {
        _ if result == 0 => Ok(()),
        error if error.raw_os_error() == Some(libc::ESRCH) => Ok(()),
        error => Err(error),
    }
}
