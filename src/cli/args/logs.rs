//! `logs`.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use jiff::Timestamp;

use super::{Namespace, pod_name};
use crate::config;

/// How many lines of each container a selector shows where nothing else is said, as with kubectl.
const TAIL_OF_SELECTED: u64 = 10;

/// Which logs, and how much of them.
#[derive(Debug, Args)]
pub struct Logs {
    /// The pod's name, with the node's name in it or without
    #[arg(value_name = "POD", value_parser = pod_name, required_unless_present = "selector")]
    pub name: Option<String>,
    /// The container, as by -c: kubectl takes it here too
    #[arg(value_name = "CONTAINER", hide = true, conflicts_with_all = ["container", "all_containers", "selector"])]
    place: Option<String>,
    #[command(flatten)]
    pub namespace: Namespace,
    /// The container [default: the pod's first]
    #[arg(short, long)]
    container: Option<String>,
    /// All containers, one after the other; with -f all at once
    #[arg(long, conflicts_with = "container")]
    pub all_containers: bool,
    /// Of all pods with these labels
    #[arg(short = 'l', long, value_name = "SELECTOR", conflicts_with = "name")]
    pub selector: Option<String>,
    /// Go on until the container ends
    #[arg(short, long)]
    pub follow: bool,
    /// The run before
    #[arg(short, long)]
    pub previous: bool,
    /// Only the last lines of each container; all of them with -1 [default: -1, with -l 10]
    #[arg(long, value_name = "LINES", allow_negative_numbers = true, value_parser = clap::value_parser!(i64).range(-1..))]
    pub tail: Option<i64>,
    /// Only what is younger than this, such as 90s, 10m, 1h30m
    #[arg(long, value_name = "DURATION", value_parser = duration, conflicts_with = "since_time")]
    pub since: Option<Duration>,
    /// Only what was written then or later, such as 2026-11-21T21:18:24Z
    #[arg(long, value_name = "TIME")]
    pub since_time: Option<Timestamp>,
    /// When each line was written
    #[arg(long)]
    pub timestamps: bool,
    /// Which pod and container wrote each line
    #[arg(long)]
    pub prefix: bool,
    /// At most so many bytes of each container; 0 for all
    #[arg(long, value_name = "BYTES", default_value_t = 0, hide_default_value = true)]
    pub limit_bytes: u64,
    /// At most so many containers at once with -f
    #[arg(long, value_name = "COUNT", default_value_t = 5)]
    pub max_log_requests: usize,
    /// Tell of logs that cannot be shown, and go on with the others
    #[arg(long)]
    pub ignore_errors: bool,
    /// Where the logs lie of pods that nobody knows any more [default: where the agent put them, else /var/log/pods]
    #[arg(long, value_name = "DIR", value_parser = config::directory)]
    pub log_dir: Option<PathBuf>,
}

impl Logs {
    /// The container that is asked for.
    pub fn container(&self) -> Option<&str> {
        self.container.as_deref().or(self.place.as_deref())
    }

    /// How many of the last lines; `None` for all.
    pub fn last(&self) -> Option<u64> {
        match (self.tail, &self.selector) {
            (Some(tail), _) => u64::try_from(tail).ok(),
            (None, Some(_)) => Some(TAIL_OF_SELECTED),
            (None, None) => None,
        }
    }

    /// The oldest time that is meant, as of `now`.
    pub fn oldest(&self, now: Timestamp) -> Option<Timestamp> {
        let since = self.since.filter(|since| !since.is_zero());
        self.since_time.or_else(|| Some(now.checked_sub(since?).unwrap_or(Timestamp::MIN)))
    }
}

/// A duration as Go writes it: `1h30m`, `90s`, `1.5h`, `500ms`.
fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || "write such as 90s, 10m or 1h30m".to_string();
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    let mut total = Duration::ZERO;
    let mut rest = text;
    while !rest.is_empty() || text.is_empty() {
        let end = rest.find(|c: char| c != '.' && !c.is_ascii_digit()).ok_or_else(wrong)?;
        let number: f64 = rest[..end].parse().map_err(|_| wrong())?;
        rest = &rest[end..];
        let end = rest.find(|c: char| c == '.' || c.is_ascii_digit()).unwrap_or(rest.len());
        let unit = match &rest[..end] {
            "h" => 3600.0,
            "m" => 60.0,
            "s" => 1.0,
            "ms" => 1e-3,
            "us" | "µs" => 1e-6,
            "ns" => 1e-9,
            _ => return Err(wrong()),
        };
        rest = &rest[end..];
        let part = Duration::try_from_secs_f64(number * unit).map_err(|_| wrong())?;
        total = total.checked_add(part).ok_or_else(wrong)?;
    }
    Ok(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_go_reads_them() {
        let ms = |text| duration(text).ok().map(|read| read.as_millis());
        let good = [("1h30m", 5_400_000), ("90s", 90_000), ("1.5h", 5_400_000), ("500ms", 500), ("0", 0)];
        for (text, expected) in good {
            assert_eq!(ms(text), Some(expected), "{text}");
        }
        for text in ["", "5", "h", "-5s", "5 s", "1d", "1h30", "99999999999999999999h", "1..5s", "s5"] {
            assert_eq!(ms(text), None, "{text}");
        }
    }
}
