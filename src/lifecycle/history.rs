//! What happened to a pod, counted instead of repeated.

use serde::{Deserialize, Serialize};

use crate::status::{Event, EventKind, Reason, Wall};

/// Most events kept of one pod; the oldest goes first.
const MAX_EVENTS: usize = 48;

/// The latest events of one pod, oldest first.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct History(Vec<Event>);

impl History {
    /// Takes in something that happened at `at`. The same thing again moves to the end and is counted.
    pub fn note(
        &mut self,
        at: Wall,
        kind: EventKind,
        reason: Reason,
        container: Option<&str>,
        message: String,
    ) {
        let same = |event: &Event| {
            event.reason == reason && event.container.as_deref() == container && event.message == message
        };
        let mut event = match self.0.iter().position(same) {
            Some(index) => self.0.remove(index),
            None => {
                let container = container.map(str::to_owned);
                Event { kind, reason, message, container, first: at, last: at, count: 0 }
            }
        };
        event.last = at;
        event.count += 1;
        if MAX_EVENTS <= self.0.len() {
            self.0.remove(0);
        }
        self.0.push(event);
    }

    /// All that are kept, oldest first.
    pub fn all(&self) -> &[Event] {
        &self.0
    }
}
