#![allow(clippy::unwrap_used)]

use std::fmt;

use k8s_openapi::api::core::v1 as core;
use serde::de::{Deserialize, Deserializer, Error, Visitor};
use serde_json::json;

use super::*;
use crate::yaml::tree::{Node, Position, Scalar};

/// Fields that are used, by the object they are in.
const USED: &[(&str, &[&str])] = &[
    (
        "spec",
        &[
            "activeDeadlineSeconds",
            "containers",
            "dnsConfig",
            "dnsPolicy",
            "hostAliases",
            "hostIPC",
            "hostNetwork",
            "hostPID",
            "hostname",
            "hostnameOverride",
            "initContainers",
            "nodeName",
            "priority",
            "priorityClassName",
            "restartPolicy",
            "setHostnameAsFQDN",
            "shareProcessNamespace",
            "subdomain",
            "terminationGracePeriodSeconds",
            "volumes",
        ],
    ),
    ("spec.dnsConfig", &["nameservers", "options", "searches"]),
    ("spec.dnsConfig.options[]", &["name", "value"]),
    ("spec.hostAliases[]", &["hostnames", "ip"]),
    (
        "spec.containers[]",
        &[
            "args",
            "command",
            "env",
            "envFrom",
            "image",
            "imagePullPolicy",
            "lifecycle",
            "livenessProbe",
            "name",
            "ports",
            "readinessProbe",
            "resources",
            "restartPolicy",
            "restartPolicyRules",
            "startupProbe",
            "stdin",
            "stdinOnce",
            "terminationMessagePath",
            "terminationMessagePolicy",
            "tty",
            "volumeMounts",
            "workingDir",
        ],
    ),
    ("spec.containers[].env[]", &["name", "value", "valueFrom"]),
    (
        "spec.containers[].env[].valueFrom",
        &["configMapKeyRef", "fieldRef", "fileKeyRef", "resourceFieldRef", "secretKeyRef"],
    ),
    ("spec.containers[].env[].valueFrom.configMapKeyRef", &["key", "name", "optional"]),
    ("spec.containers[].env[].valueFrom.fieldRef", &["apiVersion", "fieldPath"]),
    ("spec.containers[].env[].valueFrom.fileKeyRef", &["key", "optional", "path", "volumeName"]),
    ("spec.containers[].env[].valueFrom.resourceFieldRef", &["containerName", "divisor", "resource"]),
    ("spec.containers[].env[].valueFrom.secretKeyRef", &["key", "name", "optional"]),
    ("spec.containers[].envFrom[]", &["configMapRef", "prefix", "secretRef"]),
    (
        "spec.containers[].livenessProbe|readinessProbe|startupProbe",
        &[
            "exec",
            "failureThreshold",
            "httpGet",
            "initialDelaySeconds",
            "periodSeconds",
            "successThreshold",
            "grpc",
            "tcpSocket",
            "terminationGracePeriodSeconds",
            "timeoutSeconds",
        ],
    ),
    (
        "spec.containers[].livenessProbe|readinessProbe|startupProbe.httpGet",
        &["host", "httpHeaders", "path", "port", "scheme"],
    ),
    ("spec.containers[].lifecycle", &["stopSignal"]),
    ("spec.containers[].ports[]", &["containerPort", "name", "protocol"]),
    ("spec.containers[].resources", &["limits", "requests"]),
    ("spec.containers[].restartPolicyRules[]", &["action", "exitCodes"]),
    ("spec.containers[].restartPolicyRules[].exitCodes", &["operator", "values"]),
    ("spec.containers[].volumeMounts[]", &["mountPath", "name", "readOnly"]),
    ("spec.volumes[]", &["configMap", "downwardAPI", "emptyDir", "hostPath", "name", "projected", "secret"]),
    ("spec.volumes[].configMap", &["defaultMode", "items", "name", "optional"]),
    ("spec.volumes[].downwardAPI", &["defaultMode", "items"]),
    ("spec.volumes[].downwardAPI.items[]", &["fieldRef", "mode", "path", "resourceFieldRef"]),
    ("spec.volumes[].projected", &["defaultMode", "sources"]),
    ("spec.volumes[].projected.sources[]", &["configMap", "downwardAPI", "secret"]),
    ("spec.volumes[].secret", &["defaultMode", "items", "optional", "secretName"]),
    ("spec.volumes[].secret.items[]", &["key", "mode", "path"]),
    ("spec.volumes[].emptyDir", &[]),
    ("spec.volumes[].hostPath", &["path", "type"]),
];

#[test]
fn every_field_of_core_v1_is_used_or_has_a_row() {
    for (object, known) in [
        ("spec", names::<core::PodSpec>()),
        ("spec.dnsConfig", names::<core::PodDNSConfig>()),
        ("spec.dnsConfig.options[]", names::<core::PodDNSConfigOption>()),
        ("spec.hostAliases[]", names::<core::HostAlias>()),
        ("spec.containers[]", names::<core::Container>()),
        ("spec.containers[].env[]", names::<core::EnvVar>()),
        ("spec.containers[].env[].valueFrom", names::<core::EnvVarSource>()),
        ("spec.containers[].env[].valueFrom.configMapKeyRef", names::<core::ConfigMapKeySelector>()),
        ("spec.containers[].env[].valueFrom.fieldRef", names::<core::ObjectFieldSelector>()),
        ("spec.containers[].env[].valueFrom.fileKeyRef", names::<core::FileKeySelector>()),
        ("spec.containers[].env[].valueFrom.resourceFieldRef", names::<core::ResourceFieldSelector>()),
        ("spec.containers[].env[].valueFrom.secretKeyRef", names::<core::SecretKeySelector>()),
        ("spec.containers[].envFrom[]", names::<core::EnvFromSource>()),
        ("spec.containers[].livenessProbe|readinessProbe|startupProbe", names::<core::Probe>()),
        (
            "spec.containers[].livenessProbe|readinessProbe|startupProbe.httpGet",
            names::<core::HTTPGetAction>(),
        ),
        ("spec.containers[].lifecycle", names::<core::Lifecycle>()),
        ("spec.containers[].ports[]", names::<core::ContainerPort>()),
        ("spec.containers[].resources", names::<core::ResourceRequirements>()),
        ("spec.containers[].restartPolicyRules[]", names::<core::ContainerRestartRule>()),
        (
            "spec.containers[].restartPolicyRules[].exitCodes",
            names::<core::ContainerRestartRuleOnExitCodes>(),
        ),
        ("spec.containers[].volumeMounts[]", names::<core::VolumeMount>()),
        ("spec.volumes[]", names::<core::Volume>()),
        ("spec.volumes[].configMap", names::<core::ConfigMapVolumeSource>()),
        ("spec.volumes[].downwardAPI", names::<core::DownwardAPIVolumeSource>()),
        ("spec.volumes[].downwardAPI.items[]", names::<core::DownwardAPIVolumeFile>()),
        ("spec.volumes[].projected", names::<core::ProjectedVolumeSource>()),
        ("spec.volumes[].projected.sources[]", names::<core::VolumeProjection>()),
        ("spec.volumes[].secret", names::<core::SecretVolumeSource>()),
        ("spec.volumes[].secret.items[]", names::<core::KeyToPath>()),
        ("spec.volumes[].emptyDir", names::<core::EmptyDirVolumeSource>()),
        ("spec.volumes[].hostPath", names::<core::HostPathVolumeSource>()),
    ] {
        let (_, used) = USED.iter().find(|(path, _)| *path == object).unwrap();
        let listed = ROWS.iter().filter_map(|row| row.field.strip_prefix(object)?.strip_prefix('.'));
        let listed: Vec<_> =
            listed.filter(|rest| !rest.contains(['.', '['])).flat_map(|rest| rest.split('|')).collect();
        for field in known {
            let has_row = listed.contains(field);
            assert!(used.contains(field) || has_row, "{object}.{field}: use it or give it a row");
            let gated = matches!((object, *field), ("spec", "priorityClassName")) || *field == "scheme";
            assert!(!(used.contains(field) && has_row) || gated, "{object}.{field}: is used and has a row");
        }
        for field in listed.iter().chain(used.iter()) {
            assert!(known.contains(field), "{object}.{field}: Kubernetes has no such field");
        }
    }
}

#[test]
fn each_row_finds_its_field() {
    for (pod, expected) in [
        (
            json!({"initContainers": [{"securityContext": {"privileged": true}}]}),
            "spec.initContainers[0].securityContext",
        ),
        (
            json!({"containers": [{"startupProbe": {"httpGet": {"scheme": "HTTPS"}}}]}),
            "spec.containers[0].startupProbe.httpGet.scheme",
        ),
        (
            json!({"containers": [{"securityContext": {"privileged": true}}]}),
            "spec.containers[0].securityContext",
        ),
        (json!({"securityContext": {"runAsUser": 1}}), "spec.securityContext"),
        (json!({"hostUsers": false}), "spec.hostUsers"),
        (json!({"os": {"name": "windows"}}), "spec.os.name"),
        (json!({"volumes": [{"name": "a", "image": {}}]}), "spec.volumes[0].image"),
        (
            json!({"volumes": [{"name": "a", "projected": {"sources": [{}, {"serviceAccountToken": {}}]}}]}),
            "spec.volumes[0].projected.sources[1].serviceAccountToken",
        ),
        (json!({"volumes": [{"name": "a", "hostPaht": {}}]}), "spec.volumes[0]"),
        (json!({"volumes": [{"name": "a", "emptyDir": {}, "hostPath": {}}]}), "spec.volumes[0]"),
        (
            json!({"volumes": [{"name": "a", "emptyDir": {"medium": "Memory"}}]}),
            "spec.volumes[0].emptyDir.medium",
        ),
        (json!({"containers": [{"ports": [{"hostPort": 80}]}]}), "spec.containers[0].ports[0].hostPort"),
        (
            json!({"containers": [{"resources": {"limits": {"hugepages-2Mi": "2Mi"}}}]}),
            "spec.containers[0].resources.limits.hugepages-2Mi",
        ),
        (
            json!({"containers": [{"resources": {"requests": {"nvidia.com/gpu": 1}}}]}),
            "spec.containers[0].resources.requests[nvidia.com/gpu]",
        ),
        (
            json!({"containers": [{"volumeMounts": [{"mountPropagation": "Bidirectional"}]}]}),
            "spec.containers[0].volumeMounts[0].mountPropagation",
        ),
    ] {
        assert_eq!(told(&json!({ "spec": pod })), [format!("error {expected}")]);
    }
}

#[test]
fn what_says_nothing_is_passed_over() {
    let pod = json!({
        "metadata": {"annotations": {"a": "b"}},
        "spec": {
            "initContainers": [], "securityContext": {}, "hostUsers": true, "dnsPolicy": "ClusterFirst",
            "os": {"name": "linux"}, "subdomain": "", "hostNetwork": true, "setHostnameAsFQDN": false,
            "serviceAccountName": "", "nodeSelector": {}, "tolerations": [{}], "priority": 1, "priorityClassName": "a",
            "volumes": [{"name": "a"}, {"name": "b", "emptyDir": {"medium": ""}}, {"name": "c", "hostPath": {"path": "/"}}],
            "containers": [{
                "securityContext": {}, "lifecycle": {}, "tty": false, "stdinOnce": true, "envFrom": [],
                "terminationMessagePath": "/dev/termination-log", "terminationMessagePolicy": "File",
                "ports": [{"hostPort": 80}], "resources": {"limits": {"cpu": 1, "memory": 1}},
                "volumeMounts": [{"subPath": "", "mountPropagation": "None", "recursiveReadOnly": "Disabled"}],
            }],
        },
    });
    assert_eq!(told(&pod), [""; 0]);
    let warned = json!({"spec": {"priorityClassName": "a", "automountServiceAccountToken": true}});
    assert_eq!(
        told(&warned),
        ["warning spec.automountServiceAccountToken", "warning spec.priorityClassName"]
    );
}

/// Severity and path of each problem that the rows find in `pod`.
fn told(pod: &Value) -> Vec<String> {
    let node = Node::scalar(Position::START, Scalar::Null);
    let mut problems = Problems::new(&node);
    check(pod, &mut problems);
    problems.finish().iter().map(|problem| format!("{} {}", problem.severity, problem.path)).collect()
}

/// The names of the fields of `T`, which its deserializer asks for.
fn names<T: for<'de> Deserialize<'de>>() -> &'static [&'static str] {
    T::deserialize(Asked).err().unwrap().0
}

/// A deserializer that is only asked what it should look for.
struct Asked;

#[derive(Debug)]
struct Names(&'static [&'static str]);

impl fmt::Display for Names {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}

impl std::error::Error for Names {}

impl Error for Names {
    fn custom<T: fmt::Display>(_: T) -> Names {
        Names(&[])
    }
}

impl<'de> Deserializer<'de> for Asked {
    type Error = Names;

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Names> {
        Err(Names(&[]))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        _: V,
    ) -> Result<V::Value, Names> {
        Err(Names(fields))
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 u8 u16 u32 u64 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}
