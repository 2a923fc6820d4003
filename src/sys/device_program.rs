//! Handing the kernel a program that decides which devices the processes of a cgroup may use.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

/// Commands of bpf(2), types of programs and of places, and the flag that lets groups below have programs of their own, all of
/// which must allow a use (`linux/bpf.h`).
const PROG_LOAD: libc::c_int = 5;
const PROG_ATTACH: libc::c_int = 8;
const PROG_DETACH: libc::c_int = 9;
const PROG_TYPE_CGROUP_DEVICE: u32 = 15;
const CGROUP_DEVICE: u32 = 6;
const ALLOW_MULTI: u32 = 2;

/// Length of an instruction, in bytes.
const INSTRUCTION: usize = 8;

/// The part of `union bpf_attr` that loading a program reads.
#[repr(C)]
#[derive(Default)]
struct Load {
    prog_type: u32,
    insn_cnt: u32,
    insns: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log_buf: u64,
    kern_version: u32,
    prog_flags: u32,
}

/// The part of it that attaching and detaching read.
#[repr(C)]
struct Attach {
    target_fd: u32,
    attach_bpf_fd: u32,
    attach_type: u32,
    attach_flags: u32,
}

/// Has the kernel check `program`, and keep it for as long as the descriptor or a group that it is attached to is there.
///
/// It takes CAP_SYS_ADMIN. `InvalidInput` where the kernel has no such programs (CONFIG_CGROUP_BPF).
pub fn load(program: &[u8]) -> io::Result<OwnedFd> {
    let count = u32::try_from(program.len() / INSTRUCTION).map_err(io::Error::other)?;
    let attributes = Load {
        prog_type: PROG_TYPE_CGROUP_DEVICE,
        insn_cnt: count,
        insns: program.as_ptr() as u64,
        license: c"Apache-2.0".as_ptr() as u64,
        ..Load::default()
    };
    // SAFETY: the kernel reads the attributes, of the size that is told, a C string that is always there and `count` whole
    // instructions of `program`, which lives until the call returns.
    let raw = unsafe { libc::syscall(libc::SYS_bpf, PROG_LOAD, &raw const attributes, size_of::<Load>()) };
    if raw < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel just made this descriptor, close-on-exec, for us, and nobody else knows it.
    Ok(unsafe { OwnedFd::from_raw_fd(raw as RawFd) })
}

/// From here on `program` decides for every process in the cgroup and below, beside those of the groups above.
pub fn attach(group: BorrowedFd<'_>, program: BorrowedFd<'_>) -> io::Result<()> {
    place(PROG_ATTACH, ALLOW_MULTI, group, program)
}

/// Undoes [`attach`].
pub fn detach(group: BorrowedFd<'_>, program: BorrowedFd<'_>) -> io::Result<()> {
    place(PROG_DETACH, 0, group, program)
}

fn place(command: libc::c_int, flags: u32, group: BorrowedFd<'_>, program: BorrowedFd<'_>) -> io::Result<()> {
    let attributes = Attach {
        target_fd: group.as_raw_fd() as u32,
        attach_bpf_fd: program.as_raw_fd() as u32,
        attach_type: CGROUP_DEVICE,
        attach_flags: flags,
    };
    // SAFETY: the kernel reads the attributes, of the size that is told, which live until the call returns.
    let result = unsafe { libc::syscall(libc::SYS_bpf, command, &raw const attributes, size_of::<Attach>()) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
