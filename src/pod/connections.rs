//! Who is connected, and what they have not read yet.
//!
//! Invariant: sending never waits. Whoever lets [`LONGEST_QUEUE`] packets pile up is disconnected, and gets the whole
//! state when it comes back.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use nix::poll::PollFlags;
use nix::sys::socket::{Shutdown, shutdown};

use crate::protocol::{MAX_PACKET, Reply, Request};
use crate::status::{Failure, Reason};
use crate::sys::seqpacket;

/// Packets that may wait for a reader.
const LONGEST_QUEUE: usize = 64;

/// Connections at a time. Only root can make one; this is against mistakes.
const MOST: usize = 128;

/// A connection's name, never used twice.
pub type Id = u64;

/// All connections.
#[derive(Default)]
pub struct Connections {
    list: Vec<Connection>,
    last: Id,
}

struct Connection {
    id: Id,
    socket: OwnedFd,
    watching: bool,
    /// Whether an answer is owed: no further request is read until it is given.
    busy: bool,
    queue: VecDeque<Packet>,
}

/// What is to be sent, with the descriptors that go with it.
struct Packet {
    bytes: Vec<u8>,
    descriptors: Vec<OwnedFd>,
}

/// What came of looking at a connection.
pub enum Heard {
    /// Nothing.
    Nothing,
    /// A request, with the descriptors that came with it.
    Request(Request, Vec<OwnedFd>),
    /// What cannot be read.
    Nonsense(String),
    /// It is over.
    Ended,
}

impl Connections {
    /// Whether there is room for another one.
    pub fn room(&self) -> bool {
        self.list.len() < MOST
    }

    /// Takes a connection from `listener`, if whoever made it may speak to us.
    pub fn accept(&mut self, listener: BorrowedFd<'_>) -> io::Result<()> {
        let socket = seqpacket::accept(listener)?;
        // The socket's mode says the same; but modes are changed by mistake.
        if seqpacket::peer(&socket)?.uid != 0 {
            return Ok(());
        }
        self.last += 1;
        let queue = VecDeque::new();
        self.list.push(Connection { id: self.last, socket, watching: false, busy: false, queue });
        Ok(())
    }

    /// What to wait for.
    pub fn wanted(&self) -> impl Iterator<Item = (Id, BorrowedFd<'_>, PollFlags)> {
        self.list.iter().map(|connection| {
            // The end of a connection is told unasked.
            let mut flags = PollFlags::empty();
            flags.set(PollFlags::POLLIN, !connection.busy);
            flags.set(PollFlags::POLLOUT, !connection.queue.is_empty());
            (connection.id, connection.socket.as_fd(), flags)
        })
    }

    /// Acts on what `poll` said: sends what waits, then takes a request.
    pub fn hear(&mut self, id: Id, ready: PollFlags) -> Heard {
        let Some(connection) = self.list.iter_mut().find(|connection| connection.id == id) else {
            return Heard::Nothing;
        };
        if ready.contains(PollFlags::POLLOUT) && !connection.flush() {
            return Heard::Ended;
        }
        if connection.busy || !ready.contains(PollFlags::POLLIN) {
            let over = PollFlags::POLLHUP | PollFlags::POLLERR | PollFlags::POLLNVAL;
            return if ready.intersects(over) { Heard::Ended } else { Heard::Nothing };
        }
        match seqpacket::recv(connection.socket.as_fd(), MAX_PACKET) {
            Ok(Some(packet)) => match serde_json::from_slice(&packet.bytes) {
                Ok(request) => Heard::Request(request, packet.descriptors),
                Err(error) => Heard::Nonsense(format!("read the request: {error}")),
            },
            Ok(None) => Heard::Ended,
            Err(error) => match error.kind() {
                io::ErrorKind::WouldBlock => Heard::Nothing,
                io::ErrorKind::InvalidData => Heard::Nonsense(format!("receive the request: {error}")),
                _ => Heard::Ended,
            },
        }
    }

    /// Forgets a connection.
    pub fn end(&mut self, id: Id) {
        self.list.retain(|connection| connection.id != id);
    }

    /// From now on it gets notices.
    pub fn watch(&mut self, id: Id) {
        self.change(id, |connection| connection.watching = true);
    }

    /// An answer will follow; until then nothing is read.
    pub fn owe(&mut self, id: Id) {
        self.change(id, |connection| connection.busy = true);
    }

    /// Tells that a request was not done.
    pub fn fail(&mut self, id: Id, reason: Reason, message: impl Into<String>) {
        self.send(id, &Reply::Failed(Failure::new(reason, message)));
    }

    /// The answer to a request. A connection that is gone gets none.
    pub fn reply(&mut self, id: Id, reply: &Reply) {
        self.change(id, |connection| connection.busy = false);
        self.send(id, reply);
    }

    /// Says something, though the answer is still owed.
    pub fn send(&mut self, id: Id, reply: &Reply) {
        self.send_with(id, reply, Vec::new());
    }

    /// As [`Connections::send`], with descriptors attached, which are then closed here.
    pub fn send_with(&mut self, id: Id, reply: &Reply, descriptors: Vec<OwnedFd>) {
        let Some(bytes) = written(reply) else { return };
        let Some(connection) = self.list.iter_mut().find(|connection| connection.id == id) else { return };
        if matches!(reply, Reply::Failed(_)) {
            connection.busy = false;
        }
        connection.push(Packet { bytes, descriptors });
    }

    /// Whether all that was said to it was sent, so that a little more may be said.
    pub fn keeps_up(&self, id: Id) -> bool {
        self.list.iter().any(|connection| connection.id == id && connection.queue.is_empty())
    }

    /// Tells all who watch.
    pub fn tell(&mut self, notice: &Reply) {
        let Some(bytes) = written(notice) else { return };
        let packet = || Packet { bytes: bytes.clone(), descriptors: Vec::new() };
        self.list.iter_mut().filter(|connection| connection.watching).for_each(|it| it.push(packet()));
    }

    fn change(&mut self, id: Id, change: impl FnOnce(&mut Connection)) {
        if let Some(connection) = self.list.iter_mut().find(|connection| connection.id == id) {
            change(connection);
        }
    }
}

impl Connection {
    /// Sends, now or later.
    ///
    /// A connection that is of no use any more is shut down and not forgotten here: its end is heard of in [`Connections::hear`],
    /// where what was begun for it ends, too.
    fn push(&mut self, packet: Packet) {
        let full = self.queue.len() >= LONGEST_QUEUE;
        if full {
            log::warn!("a connection that does not read was ended");
        } else {
            self.queue.push_back(packet);
        }
        if full || !self.flush() {
            self.queue.clear();
            // It fails where the other end is gone, which is as good.
            let _ = shutdown(self.socket.as_raw_fd(), Shutdown::Both);
        }
    }

    fn flush(&mut self) -> bool {
        while let Some(Packet { bytes, descriptors }) = self.queue.front() {
            let attached: Vec<_> = descriptors.iter().map(AsFd::as_fd).collect();
            match seqpacket::send(self.socket.as_fd(), bytes, &attached) {
                Ok(()) => self.queue.pop_front(),
                Err(error) => return error.kind() == io::ErrorKind::WouldBlock,
            };
        }
        true
    }
}

fn written(reply: &Reply) -> Option<Vec<u8>> {
    let bytes = serde_json::to_vec(reply).inspect_err(|error| log::error!("write a reply: {error}")).ok()?;
    if bytes.len() > MAX_PACKET {
        log::error!("a reply of {} bytes is too long to send", bytes.len());
        return None;
    }
    Some(bytes)
}
