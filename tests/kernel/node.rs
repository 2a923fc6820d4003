//! What the agent publishes of its node, and what happened on it.

use std::collections::BTreeMap;
use std::fs;
use std::time::Instant;

use k8s_openapi::api::core::v1;
use serde_json::{Value, json};

use crate::harness::pod::{pod, with_main};
use crate::harness::{SOON, World, eventually};

/// The events of the ring: of several lines with one name the last.
fn events(world: &World) -> Vec<Value> {
    let mut latest = BTreeMap::new();
    for file in ["events.1", "events"] {
        let text = fs::read_to_string(world.runtime.join(file)).unwrap_or_default();
        for line in text.lines() {
            let event: Value = serde_json::from_str(line).unwrap();
            let name = event["metadata"]["name"].as_str().unwrap().to_owned();
            latest.insert((event["metadata"]["namespace"].as_str().unwrap().to_owned(), name), event);
        }
    }
    latest.into_values().collect()
}

fn text<'v>(event: &'v Value, pointer: &str) -> &'v str {
    event.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// The event of `about` (the beginning of a name) with `reason` in whose message is `words`, once it is there.
fn event(world: &World, about: &str, reason: &str, words: &str) -> Value {
    eventually(SOON, &format!("event {reason} of {about}: {words}"), || {
        events(world).into_iter().find(|event| {
            text(event, "/involvedObject/name").starts_with(about)
                && text(event, "/reason") == reason
                && text(event, "/message").contains(words)
        })
    })
}

#[test]
fn the_node_is_published_as_kubernetes_knows_it_and_not_again_while_nothing_happens() {
    let world = World::new();
    let published: Value =
        serde_json::from_slice(&fs::read(world.runtime.join("node.json")).unwrap()).unwrap();
    let object = published["object"].clone();
    let node: v1::Node = serde_json::from_value(object.clone()).unwrap();
    assert_eq!(serde_json::to_value(&node).unwrap(), object, "a client loses nothing");
    assert_eq!(node.metadata.name.as_ref(), Some(&world.name));
    let info = node.status.unwrap().node_info.unwrap();
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
    assert_eq!(info.kernel_version, kernel.trim());
    assert_eq!(info.kubelet_version, format!("v{}+holdfast", env!("CARGO_PKG_VERSION")));
    // Each change of a manifest is a look at the machine.
    let written = fs::metadata(world.runtime.join("node.json")).unwrap().modified().unwrap();
    world.write("a.yaml", &pod("a", &["trap-term"]));
    world.running("a");
    assert_eq!(fs::metadata(world.runtime.join("node.json")).unwrap().modified().unwrap(), written);
}

#[test]
fn what_happened_outlives_the_pod_and_the_agent_and_is_counted_on() {
    let mut world = World::new();
    world.write("a.yaml", &pod("a", &["exit", "3"]));
    world.once("a", "crashes twice", |pod| 2 <= pod.restarts());
    let before = event(&world, "a-", "BackOff", "restarting");
    world.stop_agent();
    event(&world, &world.name, "Stopping", "stopped by SIGTERM");
    world.start_agent();
    eventually(SOON, "one event, told by two agents", || {
        (event(&world, &world.name, "Starting", "holdfast")["count"] == 2).then_some(())
    });
    assert!(!events(&world).iter().any(|event| event["reason"] == "AgentDied"), "it ended in order");
    world.kill_agent();
    world.start_agent();
    event(&world, &world.name, "AgentDied", "without a word");
    event(&world, &world.name, "Adopted", "took over 1 pod");
    eventually(SOON, "the next agent counts on", || {
        let now = event(&world, "a-", "BackOff", "restarting");
        assert_eq!(now["metadata"], before["metadata"], "it is the same event");
        (before["count"].as_u64() < now["count"].as_u64()).then_some(())
    });
    // What the pod itself tells is what the ring tells: nothing is doubled, nothing is lost.
    let uid = world.pod("a").unwrap().uid();
    eventually(SOON, "the ring and the pod tell the same", || {
        let status = fs::read(world.runtime.join("pods").join(&uid).join("status.json")).unwrap();
        let status: Value = serde_json::from_slice(&status).unwrap();
        let sorted = |mut events: Vec<Value>| {
            events.sort_by_key(|event| text(event, "/metadata/name").to_owned());
            events
        };
        let of_pod = events(&world).into_iter().filter(|event| text(event, "/involvedObject/uid") == uid);
        let ring = sorted(of_pod.collect());
        (ring == sorted(status["events"].as_array().unwrap().clone())).then_some(())
    });
    world.remove("a.yaml");
    world.gone("a");
    let gone = event(&world, "a-", "BackOff", "restarting");
    assert_eq!(gone["involvedObject"]["uid"], json!(uid));
}

#[test]
fn what_happens_to_no_pod_is_an_event_of_the_node() {
    let world = World::new();
    event(&world, &world.name, "ImageImported", "workload");
    fs::write(world.archives().join("broken.tar"), "no archive").unwrap();
    event(&world, &world.name, "ImageRefused", "broken.tar");
    world.write("a.yaml", &pod("a", &["trap-term"]));
    world.running("a");
    world.write_text("a.yaml", "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec: {}\n");
    let refused = event(&world, &world.name, "ManifestRefused", "a.yaml:4:");
    assert_eq!(refused["type"], "Warning");
    assert!(text(&refused, "/message").contains("its pods go on"), "{refused}");
    world.write("a.yaml", &pod("a", &["trap-term"]));
    event(&world, &world.name, "ManifestAccepted", "a.yaml: is right again");
}

#[test]
fn forty_crashing_containers_are_few_lines_in_few_writes() {
    let world = World::new();
    let begun = Instant::now();
    let containers: Vec<Value> = (0..20)
        .map(|number| with_main(pod("x", &["exit", "1"]), json!({"name": format!("c{number}")})))
        .map(|pod| pod["spec"]["containers"][0].clone())
        .collect();
    for name in ["a", "b"] {
        let mut pod = pod(name, &[]);
        pod["spec"]["containers"] = json!(containers);
        world.write(&format!("{name}.yaml"), &pod);
    }
    for name in ["a", "b"] {
        eventually(3 * SOON, &format!("every container of pod {name} crashed"), || {
            let pod = world.pod(name)?;
            let statuses = pod.0["status"]["containerStatuses"].as_array()?;
            statuses.iter().all(|one| 1 <= one["restartCount"].as_u64().unwrap_or(0)).then_some(())
        });
    }
    // A hundred at once and ten a second, as the ring promises; not one for each of the hundreds of things that happened.
    let text = |file: &str| fs::read_to_string(world.runtime.join(file)).unwrap_or_default();
    let lines = text("events").lines().count() + text("events.1").lines().count();
    let allowed = 100 + 10 * usize::try_from(begun.elapsed().as_secs() + 2).unwrap();
    assert!(lines <= allowed, "{lines} lines, {allowed} allowed");
    event(&world, "a-", "BackOff", "restarting");
}

#[test]
fn the_node_is_described_with_what_runs_on_it_and_what_happened() {
    let mut world = World::new();
    let resources = json!({"resources": {"requests": {"cpu": "100m", "memory": "16Mi"}}});
    world.write("a.yaml", &with_main(pod("a", &["trap-term"]), resources));
    world.running("a");
    event(&world, &world.name, "ImageImported", "workload");
    let name = world.name.clone();
    for asked in
        [&["describe", "node"][..], &["describe", "node", &name], &["describe", &format!("no/{name}")]]
    {
        let page = world.says(asked);
        let words_of = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(page.lines().any(|line| words_of(line).starts_with("Ready True <none>")), "{page}");
        assert!(page.starts_with(&format!("Name:               {name}\n")), "{page}");
        for words in ["(1 in total)", "100m (", "16Mi (", "ImageImported", "  Running:    process"] {
            assert!(page.contains(words), "{words}: {page}");
        }
    }
    let other = world.cli(&["describe", "node", "other"]);
    assert_eq!(other.status.code(), Some(1));
    world.kill_agent();
    let page = world.says(&["describe", "node"]);
    assert!(page.contains("NodeStatusUnknown") && page.contains("Running:    not running"), "{page}");
    world.start_agent();
}

/// `name` and the amounts beside it in a table of `top`, without their units.
fn row(table: &str, name: &str) -> Option<Vec<u64>> {
    let line = table.lines().find(|line| line.split_whitespace().any(|word| word == name))?;
    let amounts =
        line.split_whitespace().filter_map(|word| word.trim_end_matches(['m', 'M', 'i', '%']).parse().ok());
    Some(amounts.collect())
}

#[test]
fn top_shows_what_is_used_and_needs_no_agent() {
    let mut world = World::new();
    let mut both = pod("a", &["eat-memory", "32"]);
    // It prints as fast as it is read.
    let busy = with_main(pod("x", &["flood"]), json!({"name": "busy"}))["spec"]["containers"][0].clone();
    both["spec"]["containers"].as_array_mut().unwrap().push(busy);
    world.write("a.yaml", &both);
    world.running("a");
    let name = world.pod_name("a");
    let check = |world: &World| {
        eventually(SOON, "32 MiB are in use, and a processor is busy", || {
            let table = world.says(&["top", "pods", "--containers"]);
            let (main, busy) = (row(&table, "main")?, row(&table, "busy")?);
            // Idle, but for the odd tick; and its working set is what it touched.
            (main[0] < busy[0] && (32..48).contains(&main[1]) && 20 < busy[0]).then_some(())
        });
        let pod = row(&world.says(&["top", "pod", "a", "--no-headers"]), &name).unwrap();
        assert!(20 < pod[0] && 32 <= pod[1], "{pod:?}");
    };
    check(&world);
    let node = row(&world.says(&["top", "node"]), &world.name).unwrap();
    assert!(node.len() == 4 && 20 < node[0] && 32 < node[2], "{node:?}");
    world.kill_agent();
    check(&world);
    world.start_agent();
    assert!(world.cli(&["top", "pods", "-n", "other"]).stdout.is_empty());
    assert_eq!(world.cli(&["top", "pod", "other"]).status.code(), Some(1));
}

#[test]
fn status_tells_by_its_exit_code_whether_somebody_should_look() {
    let mut world = World::new();
    let told = |world: &World| {
        let output = world.cli(&["status", "-o", "json"]);
        let told: Value = serde_json::from_slice(&output.stdout).unwrap();
        // What is wrong with the machine's own clock is no matter here.
        let needs = told["needs"].as_array().unwrap().iter().map(|need| need.as_str().unwrap().to_owned());
        let needs: Vec<String> = needs.filter(|need| !need.starts_with("the clock")).collect();
        (needs, told, output.status.code())
    };
    world.write("a.yaml", &pod("a", &["trap-term"]));
    world.running("a");
    let (needs, said, code) = told(&world);
    assert_eq!((needs, code), (Vec::new(), Some(0)), "{said}");
    assert_eq!(said["pods"]["phases"], json!({"Running": 1}));
    assert!(said["disks"][0]["taken"].as_u64() > Some(0), "{said}");
    assert!(world.says(&["status"]).ends_with("Verdict:   all is well\n"));

    world.write("b.yaml", &pod("b", &["exit", "3"]));
    world.once("b", "crashes", |pod| pod.reason() == "CrashLoopBackOff");
    world.write_text("c.yaml", "kind: Pod\n");
    world.reported(&["c.yaml"]);
    let (needs, said, code) = told(&world);
    assert_eq!(code, Some(1));
    assert!(needs.iter().any(|need| need.starts_with("1 pod is not well")), "{needs:?}");
    assert!(needs.iter().any(|need| need.starts_with("1 manifest is wrong")), "{needs:?}");
    assert_eq!(said["pods"]["unwell"][0]["status"], "CrashLoopBackOff");
    world.kill_agent();
    let (needs, ..) = told(&world);
    assert!(needs.iter().any(|need| need.starts_with("the agent is not running")), "{needs:?}");
    world.start_agent();
}

/// Fills the runtime directory to the last byte.
fn fill(world: &World) -> std::path::PathBuf {
    let path = world.runtime.join("filler");
    let mut file = fs::File::create(&path).unwrap();
    for size in [4096, 1] {
        while std::io::Write::write(&mut file, &vec![0; size]).is_ok_and(|written| 0 < written) {}
    }
    path
}

#[test]
fn a_runtime_directory_that_is_full_harms_nobody_and_leaves_no_half_line() {
    let mut world = World::without_agent();
    fs::create_dir_all(&world.runtime).unwrap();
    let small = nix::mount::MsFlags::empty();
    let (source, kind, size) = (Some("none"), Some("tmpfs"), Some("size=1M"));
    nix::mount::mount(source, &world.runtime, kind, small, size).unwrap();
    world.start_agent();
    world.write("a.yaml", &pod("a", &["trap-term"]));
    world.running("a");
    let filler = fill(&world);
    // Each is an event, of some 600 bytes: more than the rest of the last page holds.
    for number in 0..20 {
        world.write_text(&format!("wrong{number}.yaml"), "kind: Pod\n");
    }
    eventually(SOON, "the log tells that events are lost", || {
        world.agent_log().contains("what happens meanwhile is not kept").then_some(())
    });
    assert!(world.agent_lives());
    fs::remove_file(filler).unwrap();
    for number in 0..20 {
        world.remove(&format!("wrong{number}.yaml"));
    }
    world.write_text("last.yaml", "kind: Pod\n");
    // Each line is whole: `events` reads them all.
    event(&world, &world.name, "ManifestRefused", "last.yaml");
    world.down();
    nix::mount::umount2(&world.runtime, nix::mount::MntFlags::MNT_DETACH).unwrap();
}
