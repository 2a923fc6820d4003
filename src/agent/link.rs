//! Watches one pod process: its connection tells every exit, and ends when the process ends.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use log::debug;
use smol::Async;
use smol::channel::Sender;

use super::world::World;
use super::{Message, last_words};
use crate::lifecycle::{Event, RunEnd};
use crate::protocol::{Exited, MAX_PACKET, Notice, Reply};
use crate::spec::Pod;
use crate::status::{Exit, Reason};
use crate::sys::seqpacket;

/// Tells the loop what the pod process tells, until the connection ends; then that the pod is lost.
///
/// The connection has been answered already: what comes now are notices.
pub async fn follow(link: OwnedFd, world: Arc<World>, pod: Arc<Pod>, sandbox: u32, sender: Sender<Message>) {
    let uid = &pod.uid;
    if let Ok(link) = Async::new(link) {
        while let Ok(Some(packet)) = link.read_with(|link| seqpacket::recv(link.as_fd(), MAX_PACKET)).await {
            match serde_json::from_slice(&packet.bytes) {
                Ok(Reply::Notice(notice)) => {
                    let Notice::Exited(exited) = notice;
                    let (world, pod) = (world.clone(), pod.clone());
                    let end = smol::unblock(move || {
                        let mut end = run_end(exited);
                        last_words::add(&world, &pod, &mut end);
                        end
                    });
                    let event = Event::Exited { uid: uid.clone(), sandbox, end: end.await };
                    let _ = sender.send(Message::Event(event)).await;
                }
                // A newer pod process may tell more than this agent understands.
                other => debug!("pod {uid}: not a notice: {other:?}"),
            }
        }
    }
    let _ = sender.send(Message::Event(Event::PodLost { uid: uid.clone(), sandbox })).await;
}

/// The pod process's words for an exit in the core's.
pub fn run_end(exited: Exited) -> RunEnd {
    // As containerd: a container that survives the kernel's killing of one of its processes was not OOMKilled.
    let reason = match exited.code {
        0 => Reason::Completed,
        137 if exited.oom_killed => Reason::OOMKilled,
        _ => Reason::Error,
    };
    RunEnd {
        container: exited.name,
        attempt: exited.attempt,
        exit: Exit {
            code: exited.code,
            signal: exited.signal,
            reason,
            message: String::new(),
            started: exited.started,
            finished: exited.finished,
            container_id: String::new(),
        },
        finished: exited.finished_boot,
        ran: exited.ran,
    }
}
