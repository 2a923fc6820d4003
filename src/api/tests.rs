#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::time::Duration;

use k8s_openapi::api::core::v1;
use serde_json::{Value, json};

use super::*;
use crate::spec::{Pod, Uid};
use crate::status::{
    Condition, ConditionKind, ContainerState, ContainerStatus, Event, EventKind, Exit, Phase, PodStatus,
    Reason, Wall,
};

/// What a kubelet 1.36.2 published of a static pod, as its API server kept it.
fn by_kubelet() -> Value {
    let mut object: Value = serde_json::from_str(include_str!("pod-by-kubelet.json")).unwrap();
    // What the mirroring and the API server add.
    let metadata = object["metadata"].as_object_mut().unwrap();
    for key in ["ownerReferences", "resourceVersion", "generation"] {
        metadata.remove(key).unwrap();
    }
    metadata["annotations"].as_object_mut().unwrap().remove("kubernetes.io/config.mirror").unwrap();
    object.sort_all_objects();
    object
}

fn wall(time: &str) -> Wall {
    Wall(time.parse::<jiff::Timestamp>().unwrap().as_nanosecond().try_into().unwrap())
}

/// The spec behind [`by_kubelet`].
fn spec() -> Pod {
    let mut object = by_kubelet();
    object.as_object_mut().unwrap().remove("status");
    let metadata = object["metadata"].as_object_mut().unwrap();
    metadata.remove("creationTimestamp");
    metadata["annotations"].as_object_mut().unwrap().remove("kubernetes.io/config.seen");
    Pod {
        uid: Uid("6381e895-09f9-4cb6-9746-6434cf1783e2".into()),
        namespace: "default".into(),
        name: "t1-edge-1".into(),
        origin: "/manifests/t1.yaml".into(),
        object: object.to_string(),
        node_name: "edge-1".into(),
        hostname: "edge-1".into(),
        grace: Duration::from_secs(30),
        host_network: true,
        ..Pod::default()
    }
}

fn condition(kind: ConditionKind, since: &str) -> Condition {
    Condition { kind, holds: true, reason: None, message: String::new(), since: wall(since) }
}

/// The status behind [`by_kubelet`].
fn status() -> PodStatus {
    let (seen, running) = ("2026-11-21T21:18:24Z", "2026-11-21T21:18:25.25Z");
    let container = ContainerStatus {
        name: "c".into(),
        image: "localhost/busybox:1.35".into(),
        image_id: "sha256:b42a678674b1d4172a03cdfa15e92101d9c52744dcce0f37c04041a4a5fb97a6".into(),
        volume_images: Default::default(),
        container_id: "containerd://acd77bcb5b0e5b03fbf4a956aa13641619e49bc3dc9c65902f10dd5ffc5c8f00".into(),
        state: ContainerState::Running { started: wall(running) },
        last_state: None,
        ready: true,
        started: true,
        restart_count: 0,
        stop_signal: None,
    };
    PodStatus {
        init_containers: Vec::new(),
        phase: Phase::Running,
        reason: None,
        message: String::new(),
        conditions: vec![
            condition(ConditionKind::PodScheduled, seen),
            condition(ConditionKind::PodReadyToStartContainers, running),
            condition(ConditionKind::Initialized, seen),
            condition(ConditionKind::ContainersReady, running),
            condition(ConditionKind::Ready, running),
        ],
        start_time: Some(wall(seen)),
        deletion: None,
        pod_ips: vec!["10.99.0.1".into()],
        host_ip: Some("10.99.0.1".into()),
        containers: vec![container],
        events: Vec::new(),
    }
}

const SEEN: &str = "2026-11-21T21:18:24.719241221Z";

/// The core/v1 Pod, after it was seen to lose nothing in the hands of a client.
fn check(spec: &Pod, status: &PodStatus) -> Value {
    let object = pod(spec, status, wall(SEEN)).unwrap();
    let client: v1::Pod = serde_json::from_value(object.clone()).unwrap();
    assert_eq!(serde_json::to_value(client).unwrap(), without_nulls(object.clone()));
    object
}

/// A client leaves out `"lastProbeTime": null`, which a kubelet writes.
fn without_nulls(value: Value) -> Value {
    match value {
        Value::Object(fields) => {
            let fields = fields.into_iter().filter(|(_, value)| !value.is_null());
            fields.map(|(key, value)| (key, without_nulls(value))).collect()
        }
        Value::Array(items) => items.into_iter().map(without_nulls).collect(),
        other => other,
    }
}

#[test]
fn a_running_pod_is_published_as_a_kubelet_publishes_it() {
    let ours = check(&spec(), &status());
    assert_eq!(
        serde_json::to_string_pretty(&ours).unwrap(),
        serde_json::to_string_pretty(&by_kubelet()).unwrap()
    );
}

#[test]
fn a_crash_loop_shows_the_wait_and_the_exit_before() {
    let mut status = status();
    let container = &mut status.containers[0];
    container.state =
        ContainerState::Waiting { reason: Reason::CrashLoopBackOff, message: "back-off 10s".into() };
    container.last_state = Some(Exit {
        code: 139,
        signal: Some(11),
        reason: Reason::Error,
        message: String::new(),
        started: wall("2026-11-21T21:18:25.9Z"),
        finished: wall("2026-11-21T21:18:26.1Z"),
        container_id: "holdfast://c-0".into(),
    });
    (container.ready, container.started) = (false, false);
    container.restart_count = 1;
    let object = check(&spec(), &status);
    let container = &object["status"]["containerStatuses"][0];
    assert_eq!(
        container["state"],
        json!({"waiting": {"message": "back-off 10s", "reason": "CrashLoopBackOff"}})
    );
    let exit = json!({
        "containerID": "holdfast://c-0", "exitCode": 139, "finishedAt": "2026-11-21T21:18:26Z", "reason": "Error",
        "signal": 11, "startedAt": "2026-11-21T21:18:25Z",
    });
    assert_eq!(container["lastState"], json!({"terminated": exit}));
    assert_eq!(container["started"], false);
    assert_eq!(container["restartCount"], 1);
}

#[test]
fn a_pod_that_ends_tells_until_when_it_may_take() {
    let mut status = status();
    status.deletion = Some(wall("2026-11-21T21:20:00.5Z"));
    let metadata = &check(&spec(), &status)["metadata"];
    assert_eq!(metadata["deletionTimestamp"], "2026-11-21T21:20:30Z");
    assert_eq!(metadata["deletionGracePeriodSeconds"], 30);
}

#[test]
fn a_pod_that_waits_has_no_empty_fields() {
    let mut status = status();
    status.phase = Phase::Pending;
    (status.start_time, status.pod_ips, status.host_ip) = (None, Vec::new(), None);
    status.containers[0].container_id.clear();
    status.conditions[4].holds = false;
    status.conditions[4].reason = Some(Reason::ContainersNotReady);
    status.conditions[4].message = "containers with unready status: [c]".into();
    let object = check(&spec(), &status);
    for path in ["startTime", "podIP", "podIPs", "hostIP", "hostIPs", "reason", "message"] {
        assert_eq!(object["status"].get(path), None, "{path}");
    }
    assert_eq!(object["status"]["containerStatuses"][0].get("containerID"), None);
    let ready = &object["status"]["conditions"][2];
    assert_eq!((&ready["type"], &ready["status"]), (&json!("Ready"), &json!("False")));
    assert_eq!(ready["reason"], "ContainersNotReady");
}

#[test]
fn resources_and_read_only_mounts_are_repeated_in_the_status() {
    let mut spec = spec();
    let mut object: Value = serde_json::from_str(&spec.object).unwrap();
    object["spec"]["containers"][0]["resources"] =
        json!({"limits": {"cpu": "1"}, "requests": {"cpu": "500m"}});
    object["spec"]["containers"][0]["volumeMounts"][0]["readOnly"] = json!(true);
    spec.object = object.to_string();
    let object = check(&spec, &status());
    let container = &object["status"]["containerStatuses"][0];
    assert_eq!(container["resources"], json!({"limits": {"cpu": "1"}, "requests": {"cpu": "500m"}}));
    assert_eq!(container["allocatedResources"], json!({"cpu": "500m"}));
    let mount =
        json!({"mountPath": "/out", "name": "out", "readOnly": true, "recursiveReadOnly": "Disabled"});
    assert_eq!(container["volumeMounts"], json!([mount]));
    // 10.08
    for (asked, told) in [("Enabled", "Enabled"), ("IfPossible", "Enabled"), ("Disabled", "Disabled")] {
        let mut object: Value = serde_json::from_str(&spec.object).unwrap();
        object["spec"]["containers"][0]["volumeMounts"][0]["recursiveReadOnly"] = json!(asked);
        spec.object = object.to_string();
        let mount = &check(&spec, &status())["status"]["containerStatuses"][0]["volumeMounts"][0];
        assert_eq!(mount["recursiveReadOnly"], told);
    }
    // 14.08: by core/v1 of Kubernetes 1.35, which knows it where the types here do not yet.
    let mut status = status();
    status.containers[0].volume_images = BTreeMap::from([("out".into(), "sha256:1".into())]);
    let object = pod(&spec, &status, wall(SEEN)).unwrap();
    let mount = &object["status"]["containerStatuses"][0]["volumeMounts"][0];
    assert_eq!(mount["volumeStatus"], json!({"image": {"imageRef": "sha256:1"}}));
}

#[test]
fn a_damaged_object_is_an_error_and_no_panic() {
    for object in ["", "[]", "null", "{\"metadata\""] {
        let spec = Pod { object: object.into(), ..spec() };
        assert!(pod(&spec, &status(), wall(SEEN)).is_err(), "{object}");
    }
    let spec = Pod { object: "{\"metadata\": 1, \"spec\": {\"containers\": 2}}".into(), ..spec() };
    assert_eq!(pod(&spec, &status(), wall(SEEN)).unwrap()["status"]["phase"], "Running");
}

#[test]
fn an_event_is_one_for_kubectl() {
    let event = Event {
        kind: EventKind::Warning,
        reason: Reason::BackOff,
        message: "Back-off restarting failed container c".into(),
        container: Some("c".into()),
        first: wall("2026-11-21T21:18:24.9Z"),
        last: wall("2026-11-21T21:19:24Z"),
        count: 4,
    };
    let object = super::event(&spec(), &event);
    let client: v1::Event = serde_json::from_value(object.clone()).unwrap();
    assert_eq!(client.involved_object.field_path.as_deref(), Some("spec.containers{c}"));
    assert_eq!(client.involved_object.name.as_deref(), Some("t1-edge-1"));
    assert_eq!(client.source.unwrap().component.as_deref(), Some("holdfast"));
    assert_eq!((client.type_.as_deref(), client.count), (Some("Warning"), Some(4)));
    assert_eq!(object["firstTimestamp"], "2026-11-21T21:18:24Z");
    assert_eq!(object["lastTimestamp"], "2026-11-21T21:19:24Z");
    assert_eq!(object["metadata"]["name"], "t1-edge-1.18ea2c1d16472900-backoff-c");
}

#[test]
fn times_are_those_of_kubernetes_even_in_1970() {
    assert_eq!(seconds(Wall(0)), "1970-01-01T00:00:00Z");
    assert_eq!(seconds(Wall(1_999_999_999)), "1970-01-01T00:00:01Z");
    assert_eq!(nanoseconds(Wall(1_500_000_000)), "1970-01-01T00:00:01.5Z");
    assert_eq!(seconds(Wall(-1)), "1969-12-31T23:59:59Z");
    for extreme in [Wall(i64::MIN), Wall(i64::MAX)] {
        assert!(seconds(extreme).ends_with('Z') && nanoseconds(extreme).ends_with('Z'));
    }
}

#[test]
fn a_published_file_of_a_newer_version_is_refused_by_name() {
    let error = published::read::<published::Pod>(b"{\"version\": 2, \"pods\": []}").unwrap_err();
    assert_eq!(
        error.to_string(),
        "it was written by a newer holdfast (version 2, this one reads 1): use that one"
    );
    for bad in ["", "{}", "{\"version\": 1}", "{\"version\": -1}", "\u{1}"] {
        assert!(published::read::<published::Pod>(bad.as_bytes()).is_err(), "{bad}");
    }
}

#[test]
fn a_published_file_with_fields_to_come_is_read() {
    let text = json!({
        "version": 1, "object": {}, "events": [], "manifest": "/m", "log_directory": "/l", "new": 1,
    });
    let pod: published::Pod = published::read(text.to_string().as_bytes()).unwrap();
    assert_eq!((pod.manifest.as_str(), pod.next), ("/m", None));
}

/// What [`Machine`] is behind `node-by-kubelet.json`.
fn machine() -> Machine {
    Machine {
        address: Some("10.99.0.1".into()),
        cpus: 2,
        memory: 24_684_084 << 10,
        storage: 264_212_084 << 10,
        huge_pages: vec![(2 << 20, 0), (1 << 30, 0)],
        architecture: "x86_64".into(),
        boot_id: "2875c58f-efad-47c4-9291-82e98d2b4ffe".into(),
        machine_id: "3d1219c7c4c5404aaa1f6d2a48adfda4".into(),
        system_uuid: "3d1219c7c4c5404aaa1f6d2a48adfda4".into(),
        kernel: "6.18.44-fc-v669".into(),
        os_image: "Debian GNU/Linux 12 (bookworm)".into(),
    }
}

/// The core/v1 Node, after it was seen to lose nothing in the hands of a client.
fn check_node(machine: &Machine, short: [bool; 3]) -> Value {
    check_configured_node(machine, short, &BTreeMap::new(), Amounts::default())
}

/// As [`check_node`], of a node with labels of which something is kept back.
fn check_configured_node(
    machine: &Machine,
    short: [bool; 3],
    labels: &BTreeMap<String, String>,
    reserved: Amounts,
) -> Value {
    let (created, ready) = (wall("2026-11-21T21:18:24Z"), wall("2026-11-21T21:18:25Z"));
    let (name, uid, version, max_pods) = ("edge-1", "u", "0.1.0", 110);
    let named = Named { name, uid, created, ready, version, labels, max_pods, reserved, lacks: &[] };
    let strain = |short| Strain { short, since: created, message: "as it is".into() };
    let object = node(&named, machine, &short.map(strain));
    let client: v1::Node = serde_json::from_value(object.clone()).unwrap();
    assert_eq!(serde_json::to_value(client).unwrap(), object);
    object
}

#[test]
fn a_node_is_published_as_a_kubelet_publishes_it_but_for_what_it_is_not() {
    let mut theirs: Value = serde_json::from_str(include_str!("node-by-kubelet.json")).unwrap();
    let without = |object: &mut Value, pointer: &str, keys: &[&str]| {
        let object = object.pointer_mut(pointer).unwrap().as_object_mut().unwrap();
        keys.iter().for_each(|key| drop(object.remove(*key).unwrap()));
    };
    // Given by an API server and by controllers that read it; there are none.
    without(&mut theirs, "/metadata", &["resourceVersion", "annotations"]);
    theirs["metadata"]["uid"] = json!("u");
    // No kubelet's port answers, no feature of a kubelet is here, and images are listed from the store by who asks.
    without(&mut theirs, "/status", &["daemonEndpoints", "declaredFeatures", "images"]);
    // Nothing is evicted: all that there is may be used.
    theirs["status"]["allocatable"] = theirs["status"]["capacity"].clone();
    // An idle node writes nothing, so there is no heartbeat; and the sentences are our own.
    for condition in theirs["status"]["conditions"].as_array_mut().unwrap() {
        without(condition, "", &["lastHeartbeatTime"]);
        condition["message"] =
            json!(if condition["type"] == "Ready" { "the agent runs" } else { "as it is" });
    }
    // Not a kubelet, and not containerd: semver's build metadata tells whose version it is.
    theirs["status"]["nodeInfo"]["kubeletVersion"] = json!("v0.1.0+holdfast");
    theirs["status"]["nodeInfo"]["containerRuntimeVersion"] = json!("holdfast://0.1.0");
    theirs.sort_all_objects();
    let ours = check_node(&machine(), [false; 3]);
    assert_eq!(serde_json::to_string_pretty(&ours).unwrap(), serde_json::to_string_pretty(&theirs).unwrap());
}

#[test]
fn a_node_says_what_it_is_short_of_in_the_kubelets_words() {
    let object = check_node(&machine(), [true; 3]);
    let conditions = object["status"]["conditions"].as_array().unwrap();
    let told: Vec<_> = conditions.iter().map(|it| (it["status"].as_str(), it["reason"].as_str())).collect();
    let words = [
        "KubeletHasInsufficientMemory",
        "KubeletHasDiskPressure",
        "KubeletHasInsufficientPID",
        "KubeletReady",
    ];
    assert_eq!(told, words.map(|word| (Some("True"), Some(word))));
}

#[test]
fn what_is_kept_back_is_not_allocatable_and_labels_are_the_nodes() {
    let labels = BTreeMap::from([("plant".to_owned(), "north".to_owned())]);
    let reserved = Amounts { cpu_milli: 100, memory: 84 << 10, storage: 1 << 10 };
    let object = check_configured_node(&machine(), [false; 3], &labels, reserved.plus(Amounts::default()));
    assert_eq!(object["metadata"]["labels"]["plant"], "north");
    assert_eq!(object["metadata"]["labels"]["kubernetes.io/os"], "linux");
    let (capacity, left) = (&object["status"]["capacity"], &object["status"]["allocatable"]);
    assert_eq!((&capacity["cpu"], &capacity["memory"]), (&json!("2"), &json!("24684084Ki")));
    assert_eq!((&left["cpu"], &left["memory"]), (&json!("1900m"), &json!("24684000Ki")));
    assert_eq!(left["ephemeral-storage"], "264212083Ki");
    let all = Amounts { cpu_milli: u64::MAX, memory: u64::MAX, storage: u64::MAX };
    let object = check_configured_node(&machine(), [false; 3], &labels, all.plus(all));
    assert_eq!(object["status"]["allocatable"]["cpu"], "0", "there is no less than nothing");
}

#[test]
fn a_machine_that_says_nothing_of_itself_is_a_node() {
    let object = check_node(&Machine::default(), [false; 3]);
    assert_eq!(object["status"]["addresses"], json!([{"address": "edge-1", "type": "Hostname"}]));
    let arm = Machine {
        architecture: "aarch64".into(),
        huge_pages: vec![(64 << 10, 3 << 16)],
        ..Machine::default()
    };
    let object = check_node(&arm, [false; 3]);
    assert_eq!(object["metadata"]["labels"]["kubernetes.io/arch"], "arm64");
    assert_eq!(object["status"]["capacity"]["hugepages-64Ki"], "192Ki");
}

#[test]
fn what_happens_to_the_node_is_an_event_for_kubectl() {
    let event = NodeEvent {
        kind: EventKind::Warning,
        reason: "ManifestRefused".into(),
        message: "web.yaml:3:7: error: spec.containers: must not be empty".into(),
        first: wall("2026-11-21T21:18:24.9Z"),
        last: wall("2026-11-21T21:19:24Z"),
        count: 4,
    };
    let object = node_event("edge-1", &event);
    let client: v1::Event = serde_json::from_value(object.clone()).unwrap();
    assert_eq!(client.involved_object.kind.as_deref(), Some("Node"));
    assert_eq!(client.metadata.namespace.as_deref(), Some("default"));
    assert_eq!((client.type_.as_deref(), client.count), (Some("Warning"), Some(4)));
    let other = node_event("edge-1", &NodeEvent { message: "other".into(), ..event.clone() });
    assert_ne!(object["metadata"]["name"], other["metadata"]["name"], "of one instant");
    let again = node_event("edge-1", &NodeEvent { last: event.first, count: 9, ..event });
    assert_eq!(object["metadata"]["name"], again["metadata"]["name"], "the same again");
}

#[test]
fn a_published_node_of_an_earlier_version_is_read() {
    let text = json!({
        "version": 1, "name": "edge-1", "pid": 1, "started": 0, "cgroup_root": "/", "data_dir": "/d",
        "manifests_dir": "/m", "log_dir": "/l",
    });
    let node: published::Node = published::read(text.to_string().as_bytes()).unwrap();
    assert_eq!(node.object, Value::Null);
}
