//! Starting, running, ending.

use std::fs;
use std::time::Duration;

use holdfast::protocol::{Reply, Request, RunState};
use holdfast::status::Reason;

use crate::world::*;

#[test]
fn a_container_runs_and_its_output_and_exit_code_come_back() {
    let world = World::new();
    let (exited, text) = world.run(0, "echo out; echo err >&2; hostname 2>/dev/null; exit 3");
    assert_eq!((exited.code, exited.signal, exited.oom_killed), (3, None, false));
    assert!(text.contains("out\n") && text.contains("err\n"), "{text}");
    let journal = fs::read_to_string(world.pod().join("exits")).unwrap();
    assert_eq!(serde_json::from_str::<holdfast::protocol::Exited>(journal.trim()).unwrap(), exited);
    assert_eq!(world.state().runs, [RunState::Exited(exited)]);
    eventually("nothing is left", || world.left_over().is_empty());
}
