#![allow(clippy::unwrap_used)]

use serde_json::{Value, json};

use super::*;
use crate::yaml::tree::{Node, Position, Scalar};

fn pod() -> core::Pod {
    let resources = json!({
        "limits": {"cpu": "1250m", "memory": "64Mi", "hugepages-2Mi": "4Mi", "ephemeral-storage": "0"},
        "requests": {"cpu": "250m", "memory": "33"},
    });
    serde_json::from_value(json!({
        "metadata": {
            "name": "web-edge-1", "namespace": "default", "uid": "0123",
            "labels": {"b": "2", "app": "web"},
            "annotations": {"text": "a \"b\"\\\n\tc\u{1}\u{7f}é\u{85}", "example.com/key": "value"},
        },
        "spec": {
            "nodeName": "edge-1",
            "containers": [{"name": "main", "resources": resources}, {"name": "free"}],
        },
    }))
    .unwrap()
}

/// What `read` makes of it, and what is wrong.
fn read<T>(read: impl FnOnce(&Path, &mut Problems<'_>) -> Option<T>) -> Result<T, Vec<String>> {
    let node = Node::scalar(Position::START, Scalar::Null);
    let mut problems = Problems::new(&node);
    let found = read(&Path::of("at"), &mut problems);
    let wrong: Vec<_> = problems.finish().iter().map(|it| format!("{}: {}", it.path, it.message)).collect();
    if wrong.is_empty() { Ok(found.unwrap()) } else { Err(wrong) }
}

fn field(path: &str) -> core::ObjectFieldSelector {
    core::ObjectFieldSelector { api_version: None, field_path: path.to_owned() }
}

fn text(text: &str) -> Result<ValueSource, Vec<String>> {
    Ok(ValueSource::Text(text.to_owned()))
}

/// 9.06: names, uid and what the pod is labelled with.
#[test]
fn variables_take_the_fields_that_kubernetes_lets_them_take() {
    let pod = pod();
    let of = |path: &str| read(|at, problems| variable(&pod, &field(path), at, problems));
    for (path, value) in [
        ("metadata.name", "web-edge-1"),
        ("metadata.namespace", "default"),
        ("metadata.uid", "0123"),
        ("metadata.labels['app']", "web"),
        ("metadata.labels['none']", ""),
        ("metadata.annotations['example.com/key']", "value"),
        ("spec.nodeName", "edge-1"),
        ("spec.serviceAccountName", ""),
    ] {
        assert_eq!(of(path), text(value), "{path}");
    }
    for (path, address) in [
        ("status.hostIP", Address::HostIp),
        ("status.hostIPs", Address::HostIps),
        ("status.podIP", Address::PodIp),
        ("status.podIPs", Address::PodIps),
    ] {
        assert_eq!(of(path), Ok(ValueSource::Address(address)));
    }
    for path in ["metadata.labels", "metadata.labels['app", "status.phase", "spec.hostname", ""] {
        let wrong = of(path).unwrap_err();
        assert!(wrong[0].starts_with("at.fieldPath: must be one of metadata.name, "), "{path}: {wrong:?}");
    }
    let old = core::ObjectFieldSelector { api_version: Some("v0".into()), ..field("metadata.name") };
    assert_eq!(
        read(|at, problems| variable(&pod, &old, at, problems)),
        Err(vec!["at.apiVersion: must be v1".to_owned()])
    );
}

/// 9.08: what a file holds is written as the kubelet writes it.
#[test]
fn files_hold_labels_and_annotations_in_go_quotes() {
    let pod = pod();
    let of = |path: &str| read(|at, problems| file(&pod, &field(path), at, problems));
    assert_eq!(of("metadata.labels"), text("app=\"web\"\nb=\"2\""));
    assert_eq!(
        of("metadata.annotations"),
        text("example.com/key=\"value\"\ntext=\"a \\\"b\\\"\\\\\\n\\tc\\x01\\x7fé\\u0085\"")
    );
    assert_eq!(of("metadata.labels['b']"), text("2"));
    assert!(of("status.podIP").is_err() && of("spec.nodeName").is_err());
}

/// 9.07: divided and rounded up; without a limit what the node has, without a request nothing.
#[test]
fn amounts_are_divided_and_rounded_up() {
    let pod = pod();
    let containers = pod.spec.as_ref().unwrap().containers.clone();
    let of = |container: usize, resource: &str, divisor: Value| {
        let selector = json!({"resource": resource, "divisor": divisor});
        let selector = serde_json::from_value(selector).unwrap();
        read(|at, problems| amount(&pod, Some(&containers[container]), &selector, at, problems))
    };
    let none = Value::Null;
    for (resource, divisor, value) in [
        ("limits.cpu", none.clone(), "2"),
        ("limits.cpu", json!("1m"), "1250"),
        ("limits.cpu", json!("0"), "2"),
        ("limits.memory", none.clone(), "67108864"),
        ("limits.memory", json!("1Mi"), "64"),
        ("limits.memory", json!("1G"), "1"),
        ("requests.cpu", json!("1m"), "250"),
        ("requests.memory", json!("1k"), "1"),
        ("limits.hugepages-2Mi", json!("1Mi"), "4"),
        ("requests.ephemeral-storage", none.clone(), "0"),
    ] {
        assert_eq!(of(0, resource, divisor), text(value), "{resource}");
    }
    let allocatable = |resource, divisor| Ok(ValueSource::Allocatable(Allocatable { resource, divisor }));
    assert_eq!(of(1, "limits.cpu", none.clone()), allocatable(Resource::Cpu, 1000));
    assert_eq!(of(1, "limits.memory", json!("1Ki")), allocatable(Resource::Memory, 1024));
    assert_eq!(of(0, "limits.ephemeral-storage", none.clone()), allocatable(Resource::EphemeralStorage, 1));
    assert_eq!(of(1, "limits.hugepages-2Mi", none.clone()), text("0"));
    assert_eq!(of(1, "requests.cpu", none.clone()), text("0"));
    let mut bound = pod.clone();
    let own = json!({"limits": {"memory": "1Gi"}, "requests": {"memory": "1Gi"}});
    bound.spec.as_mut().unwrap().resources = serde_json::from_value(own).unwrap();
    let of_bound = |resource: &str| {
        let selector = serde_json::from_value(json!({"resource": resource, "divisor": "1Mi"})).unwrap();
        read(|at, problems| amount(&bound, Some(&containers[1]), &selector, at, problems))
    };
    assert_eq!(of_bound("limits.memory"), text("1024"), "what binds it is its pod's limit");
    assert_eq!(of_bound("requests.memory"), text("0"));
    let wrong = |resource: &str, divisor: Value| of(0, resource, divisor).unwrap_err().remove(0);
    assert!(wrong("limits.cpu", json!("1k")).starts_with("at.divisor: must be one of 1, 1m"));
    assert!(wrong("limits.memory", json!("1m")).starts_with("at.divisor: must be one of 1, 1k,"));
    for resource in ["cpu", "limits.gpu", "limit.cpu", "limits."] {
        assert!(wrong(resource, none.clone()).starts_with("at.resource: must be limits or requests"));
    }
}

#[test]
fn an_amount_is_of_a_container_that_there_is() {
    let pod = pod();
    let of = |name: Value| {
        let selector = serde_json::from_value(json!({"resource": "requests.cpu", "containerName": name}));
        read(|at, problems| amount(&pod, None, &selector.unwrap(), at, problems))
    };
    assert_eq!(of(json!("main")), text("1"));
    assert_eq!(of(json!("x")).unwrap_err(), ["at.containerName: no container of the pod is called \"x\""]);
    assert!(of(Value::Null).unwrap_err()[0].starts_with("at.containerName: is missing"));
}
