//! `get` and `events`: objects, which a client reads, and what of them is asked for.
//!
//! Tables are printed by an API server, which there is none of here: see `src/cli/get/tests.rs`.

use serde_json::Value;

use crate::describe::hand_made;
use crate::judge::Judge;

/// Every one of these must print the same bytes.
const SAME: &[&[&str]] = &[
    &["get", "pods", "-o", "name"],
    &["get", "pod", "everything", "-o", "name"],
    &["get", "pods", "-o", "name", "--sort-by", ".metadata.name"],
    &["get", "pods", "-o", "name", "--sort-by", "{.status.phase}"],
    &["get", "pods", "-o", "name", "-l", "tier=front"],
    &["get", "pods", "-o", "name", "-l", "tier in (front,back),app!=init"],
    &["get", "pods", "-o", "name", "--selector", "!tier"],
    &["get", "pods", "-o", "name", "--field-selector", "status.phase=Pending"],
    &["get", "pods", "-o", "name", "--field-selector", "status.phase!=Running,spec.nodeName=edge-1"],
    &["get", "pods", "-o", "name", "--field-selector", "metadata.name=bare", "-A"],
    &["get", "pods", "bare", "init", "-o", "name"],
    &["get", "pod/bare", "pod/init", "-o", "name"],
    &["get", "pods", "-o", "jsonpath={.items[*].metadata.name}"],
    &["get", "pods", "-o", "jsonpath={range .items[*]}{.metadata.name}{'\\t'}{.status.phase}{'\\n'}{end}"],
    &["get", "pods", "-o", "jsonpath={.items[?(@.status.phase=='Pending')].metadata.name}"],
    &["get", "pod", "everything", "-o", "jsonpath={.spec.containers[0].ports[*].containerPort}"],
    &["get", "pod", "everything", "-o", "jsonpath={.spec.containers[-1:].name}"],
    &["get", "pod", "everything", "-o", "jsonpath={.metadata.labels}"],
    &[
        "get",
        "pod",
        "everything",
        "-o",
        "jsonpath={.metadata.annotations['kubernetes\\.io/config\\.source']}",
    ],
    &["get", "pod", "everything", "-o", "jsonpath={.not.there}"],
    &["get", "pod", "everything", "-o", "jsonpath={.status.conditions}"],
    &["get", "pods", "-o", "custom-columns=NAME:.metadata.name,PHASE:.status.phase,IP:.status.podIP"],
    &[
        "get",
        "pods",
        "-o",
        "custom-columns=NAME:.metadata.name,IMAGES:.spec.containers[*].image",
        "--no-headers",
    ],
    &["get", "pods", "-o", "custom-columns=NAME:.metadata.name", "--sort-by", ".metadata.name"],
];

#[test]
fn what_is_asked_for_is_printed_as_kubectl_prints_it() {
    let world = hand_made();
    let runtime = world.runtime();
    let judge = Judge::of(&runtime);
    let mut differ = Vec::new();
    for arguments in SAME {
        let (theirs, ours) = judge.both(arguments);
        if theirs != ours {
            differ.push(format!("{arguments:?}\n--- kubectl\n{theirs}\n--- holdfast\n{ours}"));
        }
    }
    assert!(differ.is_empty(), "{}", differ.join("\n"));
}

/// JSON is the same to the byte; kubectl escapes what HTML would take amiss, and nobody else does.
#[test]
fn objects_are_printed_as_kubectl_prints_them() {
    let world = hand_made();
    let runtime = world.runtime();
    let judge = Judge::of(&runtime);
    for arguments in [
        &["get", "pod", "everything", "-o", "json"][..],
        &["get", "pods", "-o", "json"],
        &["get", "po", "-A", "-o", "json"],
        &["get", "pods", "-o", "json", "-l", "tier"],
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

#[test]
fn what_is_not_there_is_an_error_in_both() {
    let world = hand_made();
    let runtime = world.runtime();
    let judge = Judge::of(&runtime);
    for arguments in [
        &["get", "pod", "x"][..],
        &["get", "pod", "x", "-o", "json"],
        &["get", "pods", "-o", "jsonpath={.a"],
        &["get", "widgets"],
    ] {
        let (theirs, ours) = (judge.kubectl(arguments), judge.holdfast(arguments));
        assert_eq!((theirs.status.code(), ours.status.code()), (Some(1), Some(1)), "{arguments:?}");
        assert!(ours.stdout.is_empty() && !ours.stderr.is_empty(), "{arguments:?}");
    }
}
