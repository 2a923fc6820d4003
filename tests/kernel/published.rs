//! The published files are what docs/published-files.md says: every field that is there is documented, and every field
//! that is documented is there.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use k8s_openapi::api::core::v1;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::harness::pod::{container, pod, with, with_main};
use crate::harness::{SOON, Seen, World, eventually};

/// What the document says of one file: kinds by field.
type Table = BTreeMap<String, String>;

/// The tables of the document, by the heading they stand under.
fn documented() -> BTreeMap<String, Table> {
    let text =
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/published-files.md")).unwrap();
    let mut tables = BTreeMap::<String, Table>::new();
    let mut heading = String::new();
    for line in text.lines() {
        if let Some(title) = line.strip_prefix("## ") {
            heading = title.trim_matches('`').to_owned();
        } else if let Some((field, rest)) = line.strip_prefix("| `").and_then(|row| row.split_once("` | ")) {
            let kind = rest.split(" | ").next().unwrap().to_owned();
            tables.entry(heading.clone()).or_default().insert(field.to_owned(), kind);
        }
    }
    tables
}

/// A published file, seen at several times.
struct Checked<'t> {
    table: &'t Table,
    met: BTreeSet<String>,
}

impl Checked<'_> {
    /// The value at `path`, and all below it, are documented, and of that kind.
    fn value(&mut self, path: &str, value: &Value) {
        if !path.is_empty() && !path.ends_with("[]") {
            let kind = self.table.get(path).unwrap_or_else(|| panic!("{path} is not documented: {value}"));
            let (kind, sometimes) =
                kind.split_once(", sometimes").map_or((&**kind, false), |(kind, _)| (kind, true));
            self.met.insert(path.to_owned());
            if value.is_null() {
                assert!(sometimes, "{path} is null");
                return;
            }
            if is(kind, path, value) {
                return;
            }
        }
        match value {
            Value::Object(fields) => {
                let at =
                    |field: &str| if path.is_empty() { field.to_owned() } else { format!("{path}.{field}") };
                fields.iter().for_each(|(field, value)| self.value(&at(field), value));
            }
            Value::Array(items) => items.iter().for_each(|item| self.value(&format!("{path}[]"), item)),
            other => panic!("{path}: {other}"),
        }
    }

    /// Nothing is documented that was not met.
    fn finish(self, file: &str) {
        let documented: BTreeSet<String> = self.table.keys().cloned().collect();
        let missing: Vec<&String> = documented.difference(&self.met).collect();
        assert!(missing.is_empty(), "{file}: documented, but nowhere to be seen: {missing:?}");
    }
}

/// Whether nothing is left to be looked at below; fails where the value is not of that kind.
fn is(kind: &str, path: &str, value: &Value) -> bool {
    let fine = match kind {
        "text" | "time" => value.is_string(),
        "number" => value.is_number(),
        "truth" => value.is_boolean(),
        "list of text" => value.as_array().is_some_and(|items| items.iter().all(Value::is_string)),
        "texts by name" => value.as_object().is_some_and(|map| map.values().all(Value::is_string)),
        "core/v1 Pod" => reads_as::<v1::Pod>(value),
        "core/v1 Node" => reads_as::<v1::Node>(value),
        "list of core/v1 Event" => value.as_array().unwrap().iter().all(reads_as::<v1::Event>),
        "core/v1" => true,
        "list" => return !value.is_array(),
        "object" => return !value.is_object(),
        _ => panic!("{path}: the document says {kind:?}"),
    };
    if kind == "time" {
        value.as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
    }
    assert!(fine, "{path}: {value} is no {kind}");
    true
}

/// Read by a Kubernetes client and written again, nothing is lost.
fn reads_as<T: DeserializeOwned + Serialize>(value: &Value) -> bool {
    let read: T = serde_json::from_value(value.clone()).unwrap();
    let mut written = serde_json::to_value(read).unwrap();
    let mut value = value.clone();
    [&mut written, &mut value].into_iter().for_each(without_nothing);
    assert_eq!(written, value);
    true
}

/// Takes out what is null or empty, and tells the same time in one way: none of them is a loss.
fn without_nothing(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.values_mut().for_each(without_nothing);
            fields.retain(|_, value| {
                !value.is_null() && value != &json!({}) && value != &json!([]) && value != ""
            });
        }
        Value::Array(items) => items.iter_mut().for_each(without_nothing),
        _ => {}
    }
}

fn read(path: &Path) -> Option<Value> {
    fs::read(path).ok().map(|text| serde_json::from_slice(&text).unwrap())
}

#[test]
fn published_files_are_what_their_document_says() {
    let documented = documented();
    let table = |file: &str| Checked { table: &documented[file], met: BTreeSet::new() };
    let (mut pods, mut node, mut manifests) =
        (table("pods/<uid>/status.json"), table("node.json"), table("manifests.json"));
    let mut probes = table("probes.json");
    let mut status = table("What is in a Pod's status");
    let world = World::new();
    let mut look = || {
        for entry in fs::read_dir(world.runtime.join("pods")).unwrap() {
            let Some(pod) = read(&entry.unwrap().path().join("status.json")) else { continue };
            pods.value("", &pod);
            let object = &pod["object"];
            status.value("", &json!({"metadata": object["metadata"], "status": object["status"]}));
        }
        node.value("", &read(&world.runtime.join("node.json")).unwrap());
        manifests.value("", &read(&world.runtime.join("manifests.json")).unwrap());
        probes.value("", &read(&world.runtime.join("probes.json")).unwrap());
    };

    let mounts = json!([{"name": "tmp", "mountPath": "/tmp", "readOnly": true}]);
    let ports = json!([{"containerPort": 65001}]);
    let rich = json!({"ports": ports, "resources": {"limits": {"cpu": "500m"}}, "volumeMounts": mounts,
        "lifecycle": {"stopSignal": "SIGTERM"},
        "readinessProbe": {"exec": {"command": ["/workload", "echo"]}}});
    let mut rich = with_main(pod("rich", &["trap-term"]), rich);
    rich["metadata"]["labels"] = json!({"app": "web"});
    let volumes = json!([{"name": "tmp", "emptyDir": {}}]);
    let inits = json!([container("first", &["exit", "0"])]);
    let os = json!({"name": "linux"});
    let fields = json!({"volumes": volumes, "hostNetwork": true, "os": os, "initContainers": inits});
    world.write("rich.yaml", &with(rich, fields));
    world.running("rich");
    let late = with(pod("late", &["trap-term"]), json!({"hostNetwork": true}));
    world.write("late.yaml", &with_main(late, json!({"ports": ports})));
    world.write("crashing.yaml", &pod("crashing", &["crash-signal", "11"]));
    world.write("deaf.yaml", &pod("deaf", &["ignore-term"]));
    let absent = json!({"image": "localhost/not-there:1", "imagePullPolicy": "Never", "colour": "blue"});
    world.write("absent.yaml", &with_main(pod("absent", &["exit", "0"]), absent));
    world.write("broken.yaml", &with_main(pod("broken", &[]), json!({"command": ["/not-there"]})));
    let never = json!({"restartPolicy": "Never"});
    world.write("killed.yaml", &with(pod("killed", &["crash-signal", "11"]), never.clone()));
    let broken = with_main(pod("never", &[]), json!({"command": ["/not-there"]}));
    world.write("never.yaml", &with(broken, never));
    world.write_text("web.yaml~", "");
    world.write_text("map.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: m}\n");
    world.running("deaf");
    world.once("late", "waits for a port", |pod| pod.reason() == "NodePorts");
    world.once("crashing", "backs off", |pod| pod.reason() == "CrashLoopBackOff");
    world.once("absent", "has no image", |pod| pod.reason() == "ErrImageNeverPull");
    world.once("broken", "cannot be started", |pod| {
        pod.main()["lastState"]["terminated"]["message"].is_string()
    });
    world.once("killed", "is over", |pod| pod.phase() == "Failed");
    world.once("never", "is over", |pod| pod.phase() == "Failed");
    look();
    world.write_text("deaf.yaml", "kind: Pod\napiVersion: v1\nmetadata: [");
    world.reported(&["deaf.yaml", "LastGood"]);
    look();
    world.remove("deaf.yaml");
    world.once("deaf", "is ending", Seen::is_terminating);
    look();
    fs::rename(world.manifests(), world.dir.join("elsewhere")).unwrap();
    world.reported(&["warning: "]);
    look();
    fs::rename(world.dir.join("elsewhere"), world.manifests()).unwrap();

    // At most ten a second are written.
    let events = eventually(SOON, "ten events", || {
        let lines = fs::read_to_string(world.runtime.join("events")).unwrap();
        (10 < lines.lines().count()).then_some(lines)
    });
    let events: Vec<Value> = events.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(events.iter().all(reads_as::<v1::Event>));
    pods.finish("status.json");
    node.finish("node.json");
    manifests.finish("manifests.json");
    probes.finish("probes.json");
    status.finish("a Pod's status");
}
