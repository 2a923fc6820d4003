//! `get`: objects, which a client reads.

use serde_json::Value;

use crate::describe::hand_made;
use crate::judge::Judge;

/// JSON is the same to the byte; kubectl escapes what HTML would take amiss, and so does nobody else.
#[test]
fn objects_are_printed_as_kubectl_prints_them() {
    let world = hand_made();
    let runtime = world.runtime();
    let judge = Judge::of(&runtime);
    for arguments in [
        &["get", "pod", "everything", "-o", "json"][..],
        &["get", "pods", "-o", "json"],
        &["get", "po", "-A", "-o", "json"],
    ] {
        let (theirs, ours) = judge.both(arguments);
        let theirs = theirs.replace("\\u003c", "<").replace("\\u003e", ">").replace("\\u0026", "&");
        assert!(theirs == ours, "{arguments:?}\n--- kubectl\n{theirs}\n--- holdfast\n{ours}");
    }
    for arguments in [&["get", "pod", "everything", "-o", "yaml"][..], &["get", "pods", "-o", "yaml"]] {
        let (theirs, ours) = judge.both(arguments);
        let value = |text: &str| serde_yaml::from_str::<Value>(text).unwrap();
        assert_eq!(value(&theirs), value(&ours), "{arguments:?}");
    }
}
