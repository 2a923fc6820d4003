//! Pseudo-terminals: a pair made from a multiplexer, their sizes, and what is really one.

use std::fs::OpenOptions;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use nix::sys::stat::{SFlag, fstat, major, minor};
use nix::sys::statfs::{FsType, fstatfs};

/// The multiplexer's device number (Linux, `Documentation/admin-guide/devices.txt`).
const MULTIPLEXER: (u64, u64) = (5, 2);

/// `DEVPTS_SUPER_MAGIC` of `linux/magic.h`, which libc lacks.
const DEVPTS: FsType = FsType(0x1cd1);

/// Rows and columns, in characters.
pub type Size = (u16, u16);

/// Both ends of a pseudo-terminal.
#[derive(Debug)]
pub struct Pair {
    /// Where what is typed goes in and what is shown comes out. Does not block.
    pub master: OwnedFd,
    /// The terminal itself.
    pub slave: OwnedFd,
}

/// Makes a pseudo-terminal from `multiplexer`, which belongs to the calling process's user.
///
/// Whatever stands at that path is only opened, with the caller's rights: what is no multiplexer of a devpts is
/// `InvalidInput`. The other end comes from the first by number, never by a path.
pub fn pair(multiplexer: &Path) -> io::Result<Pair> {
    let flags = libc::O_NOCTTY | libc::O_NONBLOCK | libc::O_NOFOLLOW;
    let master = OpenOptions::new().read(true).write(true).custom_flags(flags).open(multiplexer)?;
    if !is_master(master.as_fd())? {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no multiplexer of terminals"));
    }
    let unlocked: libc::c_int = 0;
    // SAFETY: the request reads one integer, which lives until the call returns.
    check(unsafe { libc::ioctl(master.as_raw_fd(), libc::TIOCSPTLCK as _, &raw const unlocked) })?;
    let flags = libc::O_RDWR | libc::O_NOCTTY | libc::O_CLOEXEC;
    // SAFETY: plain numbers.
    let slave = check(unsafe { libc::ioctl(master.as_raw_fd(), libc::TIOCGPTPEER as _, flags) })?;
    // SAFETY: the kernel just made this descriptor for us, and nobody else knows it.
    let slave = unsafe { OwnedFd::from_raw_fd(slave) };
    Ok(Pair { master: master.into(), slave })
}

/// Whether a descriptor is the master's end of a pseudo-terminal, whoever it came from.
pub fn is_master(descriptor: BorrowedFd<'_>) -> io::Result<bool> {
    if fstatfs(descriptor)?.filesystem_type() != DEVPTS {
        return Ok(false);
    }
    let stat = fstat(descriptor.as_raw_fd())?;
    let character = SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT == SFlag::S_IFCHR;
    Ok(character && (major(stat.st_rdev), minor(stat.st_rdev)) == MULTIPLEXER)
}

/// The size of a terminal, by either end.
pub fn size(terminal: impl AsFd) -> io::Result<Size> {
    let mut size = libc::winsize { ws_row: 0, ws_col: 0, ws_xpixel: 0, ws_ypixel: 0 };
    let number = terminal.as_fd().as_raw_fd();
    // SAFETY: the request writes one `winsize`, which lives until the call returns.
    check(unsafe { libc::ioctl(number, libc::TIOCGWINSZ as _, &raw mut size) })?;
    Ok((size.ws_row, size.ws_col))
}

/// Sets the size of a terminal, by either end. Those in front of it get a SIGWINCH where it changes.
pub fn set_size(terminal: impl AsFd, (rows, columns): Size) -> io::Result<()> {
    let size = libc::winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
    let number = terminal.as_fd().as_raw_fd();
    // SAFETY: the request reads one `winsize`, which lives until the call returns.
    check(unsafe { libc::ioctl(number, libc::TIOCSWINSZ as _, &raw const size) }).map(drop)
}

/// Makes a terminal descriptors 0, 1 and 2, and the controlling one of the calling session leader.
pub fn become_standard(terminal: OwnedFd) -> io::Result<()> {
    for number in 0..3 {
        nix::unistd::dup2(terminal.as_raw_fd(), number)?;
    }
    // SAFETY: plain numbers.
    check(unsafe { libc::ioctl(0, libc::TIOCSCTTY as _, 0) }).map(drop)
}

fn check(result: libc::c_int) -> io::Result<libc::c_int> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}
