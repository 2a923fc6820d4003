//! Netlink, by which the kernel is told of links, addresses, routes and rules for packets: an encoder and its socket.
//!
//! A [`Batch`] of messages goes out in one piece, and [`Socket::ask`] hears what became of each. Which messages there are,
//! and what is in them, is for whoever writes them to know.
//!
//! Invariant: what comes back is read with its lengths looked at; it is the kernel's, but of any version.

use std::fmt;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::atomic::{AtomicU32, Ordering};

use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, recv, send, setsockopt, socket, sockopt,
};
use nix::sys::time::TimeVal;

/// Length of `nlmsghdr`, and of the head of an attribute.
const HEAD: usize = 16;
const ATTRIBUTE_HEAD: usize = 4;
/// What an answer says: `NLMSG_ERROR` (no error is one, too) and `NLMSG_DONE`.
const ERROR: u16 = 2;
const DONE: u16 = 3;
/// In an error: the message that it is about was left out (`NLM_F_CAPPED`), and attributes follow (`NLM_F_ACK_TLVS`).
const CAPPED: u16 = 0x100;
const HAS_ATTRIBUTES: u16 = 0x200;
/// `NLMSGERR_ATTR_MSG`: a sentence.
const SENTENCE: u16 = 1;
/// `NLA_F_NESTED`.
const NESTED: u16 = 0x8000;
/// More than the kernel puts into one piece of a long answer.
const PIECE: usize = 64 << 10;
/// The kernel answers before `send` returns, but for long lists.
const PATIENCE_S: i64 = 10;

/// Whom to talk to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// rtnetlink: links, addresses, routes.
    Route,
    /// nfnetlink: nf_tables.
    Filter,
}

/// A connection to the kernel, in the network namespace in which it was opened.
#[derive(Debug)]
pub struct Socket {
    descriptor: OwnedFd,
    /// The number of the last message.
    sequence: AtomicU32,
}

/// Why the kernel refuses a message.
#[derive(Debug)]
pub struct Refused {
    /// Its error number, and whatever it said.
    pub cause: io::Error,
    /// A sentence of the kernel's; mostly empty.
    pub sentence: String,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.sentence.is_empty() {
            true => write!(f, "{}", self.cause),
            false => write!(f, "{} ({})", self.cause, self.sentence),
        }
    }
}

impl std::error::Error for Refused {}

impl From<io::Error> for Refused {
    fn from(cause: io::Error) -> Refused {
        Refused { cause, sentence: String::new() }
    }
}

impl From<nix::Error> for Refused {
    fn from(cause: nix::Error) -> Refused {
        io::Error::from(cause).into()
    }
}

/// A message of the kernel's: its type, and what follows its head.
#[derive(Debug, Clone)]
pub struct Answer {
    /// `nlmsg_type`.
    pub kind: u16,
    /// The fixed part and the attributes.
    pub body: Vec<u8>,
}

/// Messages that go out together.
#[derive(Debug, Default)]
pub struct Batch {
    bytes: Vec<u8>,
    /// Where the last message begins.
    open: Option<usize>,
    /// Where the sequence number of each message is, and whether it is answered.
    messages: Vec<(usize, bool)>,
}

impl Batch {
    /// Nothing.
    pub fn new() -> Batch {
        Batch::default()
    }

    /// Begins a message of type `kind`, of which `head` is the fixed part; the attributes follow.
    pub fn message(&mut self, kind: u16, flags: i32, head: &[u8]) -> &mut Batch {
        self.close();
        let at = self.bytes.len();
        self.open = Some(at);
        let flags = (flags | libc::NLM_F_REQUEST) as u16;
        let answered = flags & (libc::NLM_F_ACK | libc::NLM_F_DUMP) as u16 != 0;
        self.bytes.extend(0u32.to_ne_bytes());
        self.bytes.extend(kind.to_ne_bytes());
        self.bytes.extend(flags.to_ne_bytes());
        self.messages.push((self.bytes.len(), answered));
        self.bytes.extend([0; 8]);
        self.raw(head)
    }

    /// An attribute of plain bytes.
    pub fn bytes(&mut self, kind: u16, value: &[u8]) -> &mut Batch {
        // No attribute of ours comes near 64 KiB: names, addresses, numbers.
        let length = u16::try_from(value.len() + ATTRIBUTE_HEAD).unwrap_or(u16::MAX);
        self.bytes.extend(length.to_ne_bytes());
        self.bytes.extend(kind.to_ne_bytes());
        self.raw(value)
    }

    /// A text, ended as C's are.
    pub fn text(&mut self, kind: u16, value: &str) -> &mut Batch {
        self.bytes(kind, &[value.as_bytes(), b"\0"].concat())
    }

    /// A number in the machine's own order.
    pub fn number(&mut self, kind: u16, value: u32) -> &mut Batch {
        self.bytes(kind, &value.to_ne_bytes())
    }

    /// A number in the order of the network.
    pub fn network_number(&mut self, kind: u16, value: u32) -> &mut Batch {
        self.bytes(kind, &value.to_be_bytes())
    }

    /// An attribute made of others.
    pub fn nested(&mut self, kind: u16, inside: impl FnOnce(&mut Batch)) -> &mut Batch {
        let at = self.bytes.len();
        self.bytes.extend([0; 2]);
        self.bytes.extend((kind | NESTED).to_ne_bytes());
        inside(self);
        let length = u16::try_from(self.bytes.len() - at).unwrap_or(u16::MAX);
        self.bytes[at..at + 2].copy_from_slice(&length.to_ne_bytes());
        self
    }

    /// Bytes as they are, such as a structure at the beginning of a nested attribute.
    pub fn raw(&mut self, bytes: &[u8]) -> &mut Batch {
        self.bytes.extend(bytes);
        self.bytes.resize(padded(self.bytes.len()), 0);
        self
    }

    fn close(&mut self) {
        if let Some(at) = self.open.take() {
            let length = u32::try_from(self.bytes.len() - at).unwrap_or(u32::MAX);
            self.bytes[at..at + 4].copy_from_slice(&length.to_ne_bytes());
        }
    }
}

impl Socket {
    /// Fails where the kernel has no such family.
    pub fn open(family: Family) -> io::Result<Socket> {
        let protocol = match family {
            Family::Route => SockProtocol::NetlinkRoute,
            Family::Filter => SockProtocol::NetlinkNetFilter,
        };
        let descriptor = socket(AddressFamily::Netlink, SockType::Raw, SockFlag::SOCK_CLOEXEC, protocol)?;
        for option in [libc::NETLINK_CAP_ACK, libc::NETLINK_EXT_ACK] {
            let on: libc::c_int = 1;
            // SAFETY: the option is read from `on`, whose size is given, and which lives until the call returns. That an
            // old kernel knows it not is fine: there is no sentence then.
            unsafe {
                libc::setsockopt(
                    descriptor.as_raw_fd(),
                    libc::SOL_NETLINK,
                    option,
                    (&raw const on).cast(),
                    size_of_val(&on) as libc::socklen_t,
                );
            }
        }
        setsockopt(&descriptor, sockopt::ReceiveTimeout, &TimeVal::new(PATIENCE_S, 0))?;
        Ok(Socket { descriptor, sequence: AtomicU32::new(0) })
    }

    /// Sends `batch`, and returns what the kernel says beyond `done`, once it has answered each message that asks for it.
    ///
    /// Fails with the first refusal. Of rtnetlink the other messages count all the same; a batch of nf_tables counts as a whole.
    pub fn ask(&self, mut batch: Batch) -> Result<Vec<Answer>, Refused> {
        batch.close();
        let (mut awaited, mut numbers) = (Vec::new(), Vec::new());
        for (at, answered) in &batch.messages {
            let number = self.sequence.fetch_add(1, Ordering::Relaxed).wrapping_add(1);
            batch.bytes[*at..at + 4].copy_from_slice(&number.to_ne_bytes());
            numbers.push(number);
            if *answered {
                awaited.push(number);
            }
        }
        send(self.descriptor.as_raw_fd(), &batch.bytes, MsgFlags::empty())?;
        let (mut answers, mut refused) = (Vec::new(), None);
        let mut buffer = vec![0; PIECE];
        while !awaited.is_empty() {
            let length = match recv(self.descriptor.as_raw_fd(), &mut buffer, MsgFlags::empty()) {
                Err(nix::Error::EINTR) => continue,
                other => other?,
            };
            for heard in messages(&buffer[..length]) {
                match heard.kind {
                    // Of an earlier batch that was given up.
                    _ if !numbers.contains(&heard.sequence) => {}
                    ERROR => {
                        awaited.retain(|number| *number != heard.sequence);
                        refused = refused.or(refusal(&heard));
                    }
                    DONE => awaited.retain(|number| *number != heard.sequence),
                    kind => answers.push(Answer { kind, body: heard.body.to_vec() }),
                }
            }
        }
        match refused {
            Some(refused) => Err(refused),
            None => Ok(answers),
        }
    }
}

/// The attributes in `bytes`, by type, without their flags.
pub fn attributes(mut bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let length = usize::from(u16::from_ne_bytes(bytes.get(..2)?.try_into().ok()?));
        let kind = u16::from_ne_bytes(bytes.get(2..4)?.try_into().ok()?);
        let value = bytes.get(ATTRIBUTE_HEAD..length)?;
        bytes = bytes.get(padded(length)..).unwrap_or_default();
        Some((kind & 0x3fff, value))
    })
}

struct Heard<'a> {
    kind: u16,
    flags: u16,
    sequence: u32,
    body: &'a [u8],
}

fn messages(mut bytes: &[u8]) -> impl Iterator<Item = Heard<'_>> {
    std::iter::from_fn(move || {
        let head = bytes.get(..HEAD)?;
        let long = |at: usize| Some(u32::from_ne_bytes(head.get(at..at + 4)?.try_into().ok()?));
        let short = |at: usize| Some(u16::from_ne_bytes(head.get(at..at + 2)?.try_into().ok()?));
        let length = usize::try_from(long(0)?).ok()?;
        let body = bytes.get(HEAD..length)?;
        let heard = Heard { kind: short(4)?, flags: short(6)?, sequence: long(8)?, body };
        bytes = bytes.get(padded(length)..).unwrap_or_default();
        Some(heard)
    })
}

/// What an answer of type [`ERROR`] says; `None` where all is well.
fn refusal(heard: &Heard<'_>) -> Option<Refused> {
    let code = i32::from_ne_bytes(heard.body.get(..4)?.try_into().ok()?);
    if code == 0 {
        return None;
    }
    let original = heard.body.get(4..8).and_then(|length| length.try_into().ok()).map(u32::from_ne_bytes);
    let original = usize::try_from(original.unwrap_or_default()).unwrap_or(usize::MAX);
    let skipped = if heard.flags & CAPPED != 0 { HEAD } else { padded(original.min(PIECE)) };
    let rest = heard.body.get(4 + skipped..).filter(|_| heard.flags & HAS_ATTRIBUTES != 0);
    let sentence = attributes(rest.unwrap_or_default()).find(|(kind, _)| *kind == SENTENCE);
    let sentence = sentence.map(|(_, text)| String::from_utf8_lossy(text).trim_end_matches('\0').to_owned());
    Some(Refused {
        cause: io::Error::from_raw_os_error(code.saturating_neg()),
        sentence: sentence.unwrap_or_default(),
    })
}

fn padded(length: usize) -> usize {
    length.next_multiple_of(4)
}

#[cfg(test)]
mod tests;
