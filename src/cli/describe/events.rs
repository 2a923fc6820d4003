//! Events, last on a page, as kubectl lists them.

use jiff::Timestamp;
use serde_json::Value;

use super::page::Page;
use crate::cli::age::since;
use crate::cli::colour::Ink;
use crate::cli::field::{number, text};

/// Writes core/v1 `events`, the latest last.
pub fn events(page: &mut Page, events: &[Value], now: Timestamp) {
    if events.is_empty() {
        page.row(0, "Events", "<none>");
        return;
    }
    let mut events: Vec<&Value> = events.iter().collect();
    // Of one second, in the order of the API server, by name: ours begin with the nanosecond of the first time.
    events.sort_by_key(|event| (text(event, "/lastTimestamp"), text(event, "/metadata/name")));
    page.line(0, "Events:");
    page.cells(1, &["Type", "Reason", "Age", "From", "Message"]);
    page.cells(1, &["----", "------", "----", "----", "-------"]);
    for event in events {
        let kind = text(event, "/type");
        let ink = (kind != "Normal").then_some(Ink::Warning);
        let from = match text(event, "/source/component") {
            "" => text(event, "/reportingComponent"),
            component => component,
        };
        let message = match (text(event, "/involvedObject/fieldPath"), text(event, "/message").trim()) {
            ("", message) => message.to_string(),
            (container, message) => format!("{container}: {message}"),
        };
        page.painted_cells(1, ink, &[kind, text(event, "/reason"), &age(event, now), from, &message]);
    }
}

fn age(event: &Value, now: Timestamp) -> String {
    let at = |pointer: &str| since(text(event, pointer), now);
    let first = match text(event, "/eventTime") {
        "" => at("/firstTimestamp"),
        time => since(time, now),
    };
    if event.get("series").is_some_and(Value::is_object) {
        return format!(
            "{} (x{} over {first})",
            at("/series/lastObservedTime"),
            number(event, "/series/count")
        );
    }
    match number(event, "/count") {
        ..=1 => first,
        count => format!("{} (x{count} over {first})", at("/lastTimestamp")),
    }
}
