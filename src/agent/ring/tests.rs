#![allow(clippy::unwrap_used)]

use super::*;
use crate::spec::Uid;
use crate::status::Reason;

/// A runtime directory of its own.
struct Place(PathBuf);

impl Place {
    fn new(name: &str) -> Place {
        let path = std::env::temp_dir().join(format!("holdfast-ring-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Place(path)
    }

    fn ring(&self) -> Ring {
        Ring::open(&self.runtime(), "edge-1")
    }

    fn runtime(&self) -> Runtime {
        Runtime::new(&self.0)
    }

    /// The lines of the ring, the older first; what cannot be read is an error here.
    fn lines(&self) -> Vec<Value> {
        let read = |path: PathBuf| fs::read_to_string(path).unwrap_or_default();
        let text = read(self.runtime().older_events()) + &read(self.runtime().events());
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// Reason and count of each line.
    fn told(&self) -> Vec<(String, u64)> {
        let lines = self.lines().into_iter();
        lines.map(|line| (line["reason"].as_str().unwrap().into(), line["count"].as_u64().unwrap())).collect()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).unwrap();
    }
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn wall(seconds: u64) -> Wall {
    Wall(i64::try_from(seconds * 1_000_000_000).unwrap())
}

fn pod(number: usize) -> Pod {
    Pod {
        uid: Uid(format!("uid-{number}")),
        namespace: "default".into(),
        name: format!("web{number}-edge-1"),
        node_name: "edge-1".into(),
        ..Pod::default()
    }
}

fn back_off(first: u64, count: u32) -> Event {
    Event {
        kind: EventKind::Warning,
        reason: Reason::BackOff,
        message: "Back-off restarting failed container c".into(),
        container: Some("c".into()),
        first: wall(first),
        last: wall(first + u64::from(count)),
        count,
    }
}

fn told(reasons: &[(&str, u64)]) -> Vec<(String, u64)> {
    reasons.iter().map(|(reason, count)| ((*reason).into(), *count)).collect()
}

#[test]
fn what_happens_is_one_line_each_and_the_next_agent_counts_on() {
    let place = Place::new("counts");
    let mut ring = place.ring();
    ring.begin(wall(1));
    ring.pod(&pod(0), &back_off(1, 1));
    ring.flush(seconds(10));
    assert_eq!(place.told(), told(&[("Starting", 1), ("BackOff", 1)]));
    ring.note(wall(2), EventKind::Warning, "NodeWarning", "no memory controller");
    ring.end(wall(3), "as was ordered");
    ring.flush_all();
    let mut ring = place.ring();
    assert_eq!(ring.told(&pod(0), &back_off(1, 1)), 1);
    assert_eq!(ring.told(&pod(1), &back_off(1, 1)), 0);
    ring.begin(wall(4));
    ring.note(wall(4), EventKind::Warning, "NodeWarning", "no memory controller");
    ring.flush(seconds(11));
    assert_eq!(place.told()[4..], told(&[("Starting", 2), ("NodeWarning", 2)]));
    let lines = place.lines();
    assert_eq!(lines[4]["metadata"], lines[0]["metadata"], "it replaces the line of the earlier agent");
    assert_eq!(lines[4]["firstTimestamp"], "1970-01-01T00:00:01Z");
    assert_eq!(lines[4]["lastTimestamp"], "1970-01-01T00:00:04Z");
}

#[test]
fn an_agent_that_died_is_told_by_the_next() {
    let place = Place::new("died");
    for _ in 0..2 {
        let mut ring = place.ring();
        ring.begin(wall(1));
        ring.flush_all();
    }
    assert_eq!(place.told(), told(&[("Starting", 1), ("AgentDied", 1), ("Starting", 2)]));
}

#[test]
fn a_flood_is_few_lines_in_few_writes_and_the_latest_of_each_event() {
    let place = Place::new("flood");
    let mut ring = place.ring();
    // 100 pods crash 50 times each within 10 s, and after each event is a chance to write.
    let mut writes = 0;
    for tick in 0..5000_u64 {
        let now = seconds(100) + Duration::from_millis(2 * tick);
        let count = u32::try_from(tick / 100).unwrap() + 1;
        ring.pod(&pod((tick % 100) as usize), &back_off(1, count));
        let before = ring.written;
        ring.flush(now);
        writes += u32::from(ring.written != before);
    }
    assert!(writes <= 41, "{writes} writes in 10 s");
    let lines = place.told().len();
    assert!((100..=201).contains(&lines), "{lines} lines: 100 at once and 10 a second");
    assert_eq!(ring.waiting.len(), 100, "one of each pod");
    // It calms down: in the end the last word on each pod is there.
    let mut now = seconds(110);
    while let Some(due) = ring.due() {
        assert!(now <= due);
        now = due;
        ring.flush(now);
    }
    assert!(now < seconds(121), "100 lines at 10 a second, not {now:?}");
    let mut last = BTreeMap::new();
    for line in place.lines() {
        last.insert(line["metadata"]["name"].as_str().unwrap().to_owned(), line["count"].as_u64().unwrap());
    }
    assert_eq!((last.len(), last.values().min()), (100, Some(&50)));
}

#[test]
fn events_without_end_fill_two_files_and_the_queue_no_further() {
    let place = Place::new("bounds");
    let mut ring = place.ring();
    for number in 0..3000 {
        ring.pod(&pod(number), &back_off(1, 1));
    }
    assert_eq!((ring.waiting.len(), ring.dropped), (MAX_WAITING, 2000));
    ring.flush_all();
    let message = "x".repeat(4000);
    for number in 0..2000 {
        ring.note(wall(number), EventKind::Warning, "NodeWarning", &format!("{number} {message}"));
        ring.flush_all();
    }
    assert_eq!(ring.known.len(), MAX_KNOWN);
    for path in [place.runtime().events(), place.runtime().older_events()] {
        let size = fs::metadata(&path).unwrap().len();
        assert!((MAX_BYTES / 2..=MAX_BYTES).contains(&size), "{}: {size}", path.display());
    }
    let last = place.lines().pop().unwrap();
    let message = last["message"].as_str().unwrap().to_owned();
    assert!(message.starts_with("1999 xx") && message.len() == MAX_MESSAGE);
    // What went with the older file is not written again by the next agent.
    let ring = place.ring();
    assert_eq!(ring.told(&pod(0), &back_off(1, 7)), 7);
    assert_eq!(ring.told(&pod(0), &back_off(1_000_000, 7)), 0);
}

#[test]
fn half_a_line_of_an_agent_that_died_is_cut_off() {
    let place = Place::new("half");
    let mut ring = place.ring();
    ring.begin(wall(1));
    ring.flush_all();
    let whole = fs::read(place.runtime().events()).unwrap();
    fs::write(place.runtime().events(), [&whole[..], b"{\"kind\": \"Ev"].concat()).unwrap();
    let mut ring = place.ring();
    ring.begin(wall(2));
    ring.flush_all();
    assert_eq!(place.told(), told(&[("Starting", 1), ("AgentDied", 1), ("Starting", 2)]));
}

#[test]
fn a_ring_of_any_content_or_none_at_all_ends_nobody() {
    let place = Place::new("damage");
    fs::write(place.runtime().events(), b"\xff\xfe\n[]\n{\"count\": -1}\nnull\n{\"involvedObject\": {\"kind\": \"Node\", \"name\": \"edge-1\"}}\n").unwrap();
    let mut ring = place.ring();
    ring.begin(wall(1));
    ring.flush_all();
    // A directory in its place cannot be written; once it is away, it goes on.
    drop(ring);
    fs::remove_file(place.runtime().events()).unwrap();
    fs::create_dir(place.runtime().events()).unwrap();
    let mut ring = place.ring();
    ring.begin(wall(2));
    ring.flush_all();
    assert!(ring.broken && ring.due().is_none());
    fs::remove_dir(place.runtime().events()).unwrap();
    ring.begin(wall(3));
    ring.flush_all();
    assert!(!ring.broken);
    assert_eq!(place.told(), told(&[("Starting", 2)]));
}

#[test]
fn a_link_in_the_place_of_the_ring_is_not_followed() {
    let place = Place::new("link");
    let other = place.0.join("other");
    fs::write(&other, "").unwrap();
    std::os::unix::fs::symlink(&other, place.runtime().events()).unwrap();
    let mut ring = place.ring();
    ring.begin(wall(1));
    ring.flush_all();
    assert_eq!(fs::read(&other).unwrap(), b"");
}
