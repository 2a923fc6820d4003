//! Handing a seccomp program to the kernel.

use std::io;

use libc::{sock_filter, sock_fprog};

/// `SECCOMP_SET_MODE_FILTER` and `SECCOMP_GET_ACTION_AVAIL` (`linux/seccomp.h`).
const SET_MODE_FILTER: libc::c_uint = 1;
const GET_ACTION_AVAIL: libc::c_uint = 2;
/// `SECCOMP_RET_ERRNO`.
const RET_ERRNO: u32 = 0x0005_0000;

/// Length of an instruction, in bytes.
const INSTRUCTION: usize = size_of::<sock_filter>();

/// Whether the kernel has filters that let calls fail (CONFIG_SECCOMP_FILTER, Linux 4.14).
pub fn is_available() -> bool {
    let action = RET_ERRNO;
    // SAFETY: the kernel reads four bytes at the address, which live until the call returns.
    unsafe { libc::syscall(libc::SYS_seccomp, GET_ACTION_AVAIL, 0, &raw const action) == 0 }
}

/// From here on `program` decides about each system call of this thread and of all that it begets, for good.
///
/// It takes CAP_SYS_ADMIN in effect, or no_new_privs.
pub fn load(program: &[u8]) -> io::Result<()> {
    let (instructions, rest) = program.as_chunks::<INSTRUCTION>();
    let length = u16::try_from(instructions.len()).ok().filter(|_| rest.is_empty());
    let len = length.ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
    let mut filter: Vec<sock_filter> = instructions.iter().map(|bytes| instruction(*bytes)).collect();
    let program = sock_fprog { len, filter: filter.as_mut_ptr() };
    // SAFETY: `program` and the `len` instructions that it points to live until the call returns; the kernel copies them.
    let result = unsafe { libc::syscall(libc::SYS_seccomp, SET_MODE_FILTER, 0, &raw const program) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

fn instruction(bytes: [u8; INSTRUCTION]) -> sock_filter {
    let [c0, c1, jt, jf, k0, k1, k2, k3] = bytes;
    sock_filter { code: u16::from_ne_bytes([c0, c1]), jt, jf, k: u32::from_ne_bytes([k0, k1, k2, k3]) }
}
