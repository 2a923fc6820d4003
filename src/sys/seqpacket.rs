//! Unix sockets of type `SOCK_SEQPACKET`: whole packets, in order, with descriptors attached.
//!
//! The functions work on any descriptor and keep to its blocking mode, so the same ones serve a poll loop and an
//! asynchronous reactor that made the descriptor non-blocking: `WouldBlock` says "later".
//!
//! Invariant: a packet arrives whole or is an error.

use std::ffi::OsStr;
use std::fs::{File, Permissions};
use std::io::{self, IoSlice, IoSliceMut};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use nix::sys::socket::{
    AddressFamily, Backlog, ControlMessage, ControlMessageOwned, MsgFlags, SockFlag, SockType, UnixAddr,
    accept4, bind, connect as connect_to, getsockopt, recv as receive, recvmsg, sendmsg, socket, socketpair,
    sockopt,
};

/// Most descriptors that one packet may carry.
pub const MAX_DESCRIPTORS: usize = 8;

/// A packet.
#[derive(Debug)]
pub struct Packet {
    /// What was sent.
    pub bytes: Vec<u8>,
    /// The descriptors that came with it, close-on-exec.
    pub descriptors: Vec<OwnedFd>,
}

/// Who is at the other end, as it was when it connected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer {
    /// Its process ID.
    pub pid: i32,
    /// Its user ID.
    pub uid: u32,
}

/// Listens at `path`, mode 0600, without blocking; nothing may be there.
pub fn listen(path: &Path) -> io::Result<OwnedFd> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let listener = socket(AddressFamily::Unix, SockType::SeqPacket, flags, None)?;
    let (_directory, short) = short(path)?;
    bind(listener.as_raw_fd(), &UnixAddr::new(&short)?)?;
    // Nobody can connect before `listen`, so there is no moment at which the mode is wrong.
    std::fs::set_permissions(&short, Permissions::from_mode(0o600))?;
    nix::sys::socket::listen(&listener, Backlog::new(64)?)?;
    Ok(listener)
}

/// Takes a connection, non-blocking.
pub fn accept(listener: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    let raw = accept4(listener.as_raw_fd(), SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK)?;
    // SAFETY: the kernel just made this descriptor for us, and nobody else knows it.
    Ok(unsafe { OwnedFd::from_raw_fd(raw) })
}

/// Connects to the socket at `path`; the descriptor blocks. Connecting itself waits for nothing but a full backlog.
pub fn connect(path: &Path) -> io::Result<OwnedFd> {
    let connection = socket(AddressFamily::Unix, SockType::SeqPacket, SockFlag::SOCK_CLOEXEC, None)?;
    let (_directory, short) = short(path)?;
    connect_to(connection.as_raw_fd(), &UnixAddr::new(&short)?)?;
    Ok(connection)
}

/// Two connected ends, both blocking.
pub fn pair() -> io::Result<(OwnedFd, OwnedFd)> {
    Ok(socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC)?)
}

/// Sends one packet, whole, with `descriptors` attached. `BrokenPipe`: the other end is gone (no signal is raised).
pub fn send(socket: BorrowedFd<'_>, bytes: &[u8], descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
    let raw: Vec<RawFd> = descriptors.iter().map(AsRawFd::as_raw_fd).collect();
    let attached = [ControlMessage::ScmRights(&raw)];
    let attached = if raw.is_empty() { &[][..] } else { &attached[..] };
    loop {
        let sent =
            sendmsg::<()>(socket.as_raw_fd(), &[IoSlice::new(bytes)], attached, MsgFlags::MSG_NOSIGNAL, None);
        match sent {
            Err(nix::Error::EINTR) => {}
            Err(error) => return Err(error.into()),
            Ok(length) if length == bytes.len() => return Ok(()),
            Ok(_) => return Err(io::Error::new(io::ErrorKind::InvalidData, "packet sent in part")),
        }
    }
}

/// Takes one packet of at most `longest` bytes; `None` when the other end is closed.
///
/// A longer packet, or one with more than [`MAX_DESCRIPTORS`] descriptors, is `InvalidData` and lost.
pub fn recv(socket: BorrowedFd<'_>, longest: usize) -> io::Result<Option<Packet>> {
    // Asking first keeps long buffers away from those who mostly get short packets.
    let length = retry(|| receive(socket.as_raw_fd(), &mut [], MsgFlags::MSG_PEEK | MsgFlags::MSG_TRUNC))?;
    let mut bytes = vec![0; length.min(longest)];
    let mut space = nix::cmsg_space!([RawFd; MAX_DESCRIPTORS]);
    let (got, flags, descriptors) = {
        let mut parts = [IoSliceMut::new(&mut bytes)];
        let message = loop {
            match recvmsg::<()>(socket.as_raw_fd(), &mut parts, Some(&mut space), MsgFlags::MSG_CMSG_CLOEXEC)
            {
                Err(nix::Error::EINTR) => {}
                other => break other?,
            }
        };
        let mut descriptors = Vec::new();
        // Control data that was cut off still holds the descriptors that fitted: take them, so that they are closed.
        if let Ok(attached) = message.cmsgs() {
            for control in attached {
                if let ControlMessageOwned::ScmRights(raw) = control {
                    // SAFETY: the kernel just made these descriptors for us, and nobody else knows them.
                    descriptors.extend(raw.into_iter().map(|raw| unsafe { OwnedFd::from_raw_fd(raw) }));
                }
            }
        }
        (message.bytes, message.flags, descriptors)
    };
    if flags.intersects(MsgFlags::MSG_TRUNC | MsgFlags::MSG_CTRUNC) {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            format!("packet of {length} bytes is too long"),
        ));
    }
    bytes.truncate(got);
    Ok((got > 0).then_some(Packet { bytes, descriptors }))
}

/// Who connected.
pub fn peer(connection: impl AsFd) -> io::Result<Peer> {
    let credentials = getsockopt(&connection, sockopt::PeerCredentials)?;
    Ok(Peer { pid: credentials.pid(), uid: credentials.uid() })
}

/// The same place by a path that fits into the 107 bytes of a socket's address, for as long as the file is open.
fn short(path: &Path) -> io::Result<(File, PathBuf)> {
    let parent = path.parent().unwrap_or(Path::new("/"));
    let name = path.file_name().unwrap_or(OsStr::new(""));
    let flags = libc::O_PATH | libc::O_DIRECTORY;
    let directory = std::fs::OpenOptions::new().read(true).custom_flags(flags).open(parent)?;
    let short = Path::new("/proc/self/fd").join(directory.as_raw_fd().to_string()).join(name);
    Ok((directory, short))
}

fn retry(mut call: impl FnMut() -> nix::Result<usize>) -> io::Result<usize> {
    loop {
        match call() {
            Err(nix::Error::EINTR) => {}
            other => return Ok(other?),
        }
    }
}
