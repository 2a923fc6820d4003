//! `describe`, line by line.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use serde_json::json;

use crate::harness::pod::{pod, with, with_main};
use crate::harness::{self, SOON, eventually};
use crate::judge::{Judge, publish, published};
use crate::world::World;

/// Lines that only one of them has, or that they write differently, and why.
struct Difference {
    because: &'static str,
    /// Whether this line of holdfast's is one.
    ours: fn(&str) -> bool,
    /// Whether this line of kubectl's is one.
    theirs: fn(&str) -> bool,
}

const DIFFERENCES: &[Difference] = &[
    Difference {
        because: "only a node knows the manifest, the logs and what comes next",
        ours: |line| ["Manifest:  ", "Logs:  ", "Next:  "].iter().any(|label| line.starts_with(label)),
        theirs: |_| false,
    },
    Difference {
        because: "why a container waits is what one wants to know; kubectl has it in -o yaml only",
        ours: |line| line.starts_with("      Message:  ") && !line.ends_with("segmentation fault"),
        theirs: |_| false,
    },
    Difference {
        because: "the time when the grace period ends, which kubectl calls invalid before",
        ours: |line| line.starts_with("Status:  ") && line.contains("Terminating (until "),
        theirs: |line| line.starts_with("Status:  ") && line.ends_with("Terminating (lasts <invalid>)"),
    },
    Difference {
        because: "kubectl looks up the name and the namespace only",
        ours: |line| LOOKED_UP.iter().any(|(field, value)| line.ends_with(&format!(" {value} ({field})"))),
        theirs: |line| LOOKED_UP.iter().any(|(field, _)| line.ends_with(&format!("   ({field})"))),
    },
    Difference {
        because: "kubectl looks at the container itself, whichever is named",
        ours: |line| line == "      OTHER:  65536 (limits.memory)",
        theirs: |line| line == "      OTHER:  node allocatable (limits.memory)",
    },
    Difference {
        because: "kubectl does not know of keys of files",
        ours: |line| line.contains("<set to the key 'k' of e in volume 'v'>  "),
        theirs: |_| false,
    },
    Difference {
        because: "kubectl says that there are no devices, and lists them, where there are no mounts",
        ours: |line| line == "    Devices:",
        theirs: |line| line.starts_with("    Devices:"),
    },
    Difference {
        because: "kubectl indents these twice",
        ours: |line| line == "    VolumeAttributes:  a=1" || line == "                       b=2",
        theirs: |line| line == "    VolumeAttributes:      a=1" || line == "                           b=2",
    },
];

/// Fields of the hand-made pod and what they hold.
const LOOKED_UP: &[(&str, &str)] = &[
    ("v1:metadata.uid", "uid-everything"),
    ("v1:metadata.labels['tier']", "front"),
    ("v1:metadata.annotations['note']", "short"),
];

/// Both pages have the same lines in the same order, but for what is meant; returns which of that there was.
#[track_caller]
fn same_page(judge: &Judge, arguments: &[&str]) -> BTreeSet<&'static str> {
    compare(&arguments.join(" "), &judge.both(arguments))
}

#[track_caller]
fn compare(what: &str, (theirs, ours): &(String, String)) -> BTreeSet<&'static str> {
    let mut met = BTreeSet::new();
    let mut meant = |line: &str, is: fn(&Difference) -> fn(&str) -> bool| {
        let found = DIFFERENCES.iter().find(|difference| is(difference)(line));
        met.extend(found.map(|difference| difference.because));
        found.is_some()
    };
    // kubectl leaves blanks at the ends of lines, and one empty line or two between pages.
    let mut their_lines: Vec<&str> = theirs.lines().map(str::trim_end).collect();
    their_lines.retain(|line| !line.is_empty() && !meant(line, |difference| difference.theirs));
    let mut our_lines: Vec<&str> = ours.lines().collect();
    our_lines.retain(|line| !line.is_empty() && !meant(line, |difference| difference.ours));
    let count = their_lines.len().max(our_lines.len());
    let differs = (0..count).find(|at| their_lines.get(*at) != our_lines.get(*at));
    if let Some((kubectl, holdfast)) = differs.map(|at| (their_lines.get(at), our_lines.get(at))) {
        panic!(
            "{what}: kubectl has {kubectl:?} where holdfast has {holdfast:?}\n\
             --- kubectl\n{theirs}\n--- holdfast\n{ours}"
        );
    }
    met
}

/// The objects of `tests/kubectl/pods`, which have every field that kubectl describes.
pub fn hand_made() -> World {
    let world = World::with_agent();
    for entry in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/kubectl/pods")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap();
        publish(&world, &format!("uid-{name}"), &fs::read_to_string(&path).unwrap());
    }
    world
}

#[test]
fn every_field_of_a_pod_is_described_as_kubectl_describes_it() {
    let world = hand_made();
    let runtime = world.runtime();
    let judge = Judge::of(&runtime);
    let mut met = BTreeSet::new();
    for name in ["everything", "bare", "init", "failed", "ending", "may-still-run"] {
        met.extend(same_page(&judge, &["describe", "pod", name]));
    }
    let all: BTreeSet<&str> = DIFFERENCES.iter().map(|difference| difference.because).collect();
    assert_eq!(met, all, "a difference that is no more");
}

#[test]
fn pods_are_chosen_as_kubectl_chooses_them() {
    let world = hand_made();
    let runtime = world.runtime();
    let judge = Judge::of(&runtime);
    for arguments in [
        // kubectl leaves events out where several are described, unless told; here they cost nothing.
        &["describe", "pods", "--show-events=true"][..],
        &["describe", "po", "-A", "--show-events"],
        &["describe", "pod/failed", "pod/bare", "--show-events"],
        &["describe", "pod", "init", "bare", "--show-events"],
        &["describe", "pods", "-l", "tier=front"],
        &["describe", "pods", "-l", "app in (batch, init),tier!=front", "--show-events"],
        &["describe", "pods", "--selector", "!app", "--show-events"],
        &["describe", "pod", "e", "--show-events=false"],
        &["describe", "pod", "everything", "--show-events=false"],
        &["describe", "pod", "everything", "--show-events"],
    ] {
        same_page(&judge, arguments);
    }
    for arguments in [&["describe", "pod", "x"][..], &["describe", "pod", "bare", "-n", "other"]] {
        let (theirs, ours) = (judge.kubectl(arguments), judge.holdfast(arguments));
        assert_eq!((theirs.status.code(), ours.status.code()), (Some(1), Some(1)), "{arguments:?}");
        assert_eq!((theirs.stdout, ours.stdout), (Vec::new(), Vec::new()), "{arguments:?}");
    }
    let none = ["describe", "pods", "-n", "other"];
    let (theirs, ours) = (judge.kubectl(&none), judge.holdfast(&none));
    assert_eq!((theirs.status, theirs.stderr), (ours.status, ours.stderr));
}

/// What a real agent publishes of real containers, and not only what somebody thought that it does.
#[test]
fn pods_of_a_real_agent_are_described_as_kubectl_describes_them() {
    let world = harness::World::new();
    let rich = with_main(
        pod("rich", &["trap-term"]),
        json!({
            "env": [{"name": "A", "value": "1"}, {"name": "B", "value": ""}],
            "ports": [{"containerPort": 80, "name": "http"}, {"containerPort": 53, "protocol": "UDP"}],
            "resources": {"limits": {"cpu": "0.5", "memory": "67108864"}},
            "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],
        }),
    );
    let volumes = json!([{"name": "tmp", "emptyDir": {}}, {"name": "srv", "hostPath": {"path": "/srv"}}]);
    let rich = with(rich, json!({"volumes": volumes, "hostNetwork": true}));
    world.write("rich.yaml", &rich);
    world.write("crashing.yaml", &pod("crashing", &["exit", "3"]));
    world.write("ended.yaml", &with(pod("ended", &["exit", "0"]), json!({"restartPolicy": "Never"})));
    let absent = json!({"image": "localhost/not-there:1", "imagePullPolicy": "Never"});
    world.write("absent.yaml", &with_main(pod("absent", &["exit", "0"]), absent));
    world.running("rich");
    world.once("crashing", "backs off", |pod| pod.reason() == "CrashLoopBackOff");
    world.once("ended", "is over", |pod| pod.phase() == "Succeeded");
    world.once("absent", "has no image", |pod| pod.reason() == "ErrImageNeverPull");
    // Nothing may happen between what kubectl is shown and what holdfast reads.
    let same = |name: &str| {
        let name = world.pod_name(name);
        eventually(SOON, "the pod stays as it is while both describe it", || {
            let before = published(&world.runtime);
            let judge = Judge::of(&world.runtime);
            let pages = judge.both(&["describe", "pod", &name]);
            (published(&world.runtime) == before).then(|| compare(&name, &pages))
        })
    };
    let mut met = BTreeSet::new();
    for name in ["rich", "crashing", "ended", "absent"] {
        met.extend(same(name));
    }
    assert_eq!(met.len(), 2, "ours and messages: {met:?}");
}

/// The node of a real agent.
#[test]
fn the_node_is_described_as_kubectl_describes_it() {
    let world = harness::World::new();
    let resources = json!({"resources": {"limits": {"cpu": "500m", "memory": "64Mi"}}});
    world.write("web.yaml", &with_main(pod("web", &["trap-term"]), resources));
    world.write("db.yaml", &pod("db", &["trap-term"]));
    world.running("web");
    world.running("db");
    eventually(SOON, "the node stays as it is while both describe it", || {
        let before = published(&world.runtime);
        let judge = Judge::of(&world.runtime);
        let pages = judge.both(&["describe", "node", &world.name]);
        (published(&world.runtime) == before).then(|| compare("node", &node_pages(&pages)))
    });
}

/// What differs on a node's page, made the same: widths of tables, since two of kubectl's columns are wider or empty here.
fn node_pages((theirs, ours): &(String, String)) -> (String, String) {
    let narrow = |line: &str| {
        line.split("  ").map(str::trim).filter(|cell| !cell.is_empty()).collect::<Vec<_>>().join("  ")
    };
    let mut kubectl = Vec::new();
    for line in theirs.lines().map(str::trim_end) {
        // There are no leases, and no heartbeat: the lock of the runtime directory tells whether the agent lives.
        let line = line.replace("Mon, 01 Jan 0001 00:00:00 +0000", "<none>");
        if !line.starts_with("Lease:") {
            kubectl.push(narrow(&line));
        }
    }
    // The agent and its warnings, which kubectl does not know of, stand before the events.
    let (head, agent) = ours.split_once("\nAgent:\n").unwrap();
    let (_, events) = agent.split_once("\nEvents:").unwrap();
    let holdfast = format!("{head}\nEvents:{events}");
    (kubectl.join("\n"), holdfast.lines().map(narrow).collect::<Vec<_>>().join("\n"))
}
