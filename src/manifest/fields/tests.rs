#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
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
            "hostUsers",
            "hostname",
            "hostnameOverride",
            "initContainers",
            "nodeName",
            "priority",
            "priorityClassName",
            "resources",
            "restartPolicy",
            "securityContext",
            "setHostnameAsFQDN",
            "shareProcessNamespace",
            "subdomain",
            "terminationGracePeriodSeconds",
            "volumes",
        ],
    ),
    (
        "spec.securityContext",
        &[
            "appArmorProfile",
            "fsGroup",
            "fsGroupChangePolicy",
            "runAsGroup",
            "runAsNonRoot",
            "runAsUser",
            "seLinuxOptions",
            "seccompProfile",
            "supplementalGroups",
            "supplementalGroupsPolicy",
            "sysctls",
        ],
    ),
    (
        "spec.containers[].securityContext",
        &[
            "allowPrivilegeEscalation",
            "appArmorProfile",
            "capabilities",
            "privileged",
            "procMount",
            "readOnlyRootFilesystem",
            "runAsGroup",
            "runAsNonRoot",
            "runAsUser",
            "seLinuxOptions",
            "seccompProfile",
        ],
    ),
    ("spec.containers[].securityContext.capabilities", &["add", "drop"]),
    ("spec.securityContext.appArmorProfile", &["localhostProfile", "type"]),
    ("spec.securityContext.seLinuxOptions", &["level", "role", "type", "user"]),
    ("spec.securityContext.seccompProfile", &["localhostProfile", "type"]),
    ("spec.securityContext.sysctls[]", &["name", "value"]),
    ("spec.containers[].securityContext.appArmorProfile", &["localhostProfile", "type"]),
    ("spec.containers[].securityContext.seLinuxOptions", &["level", "role", "type", "user"]),
    ("spec.containers[].securityContext.seccompProfile", &["localhostProfile", "type"]),
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
            "securityContext",
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
    ("spec.containers[].lifecycle", &["postStart", "preStop", "stopSignal"]),
    ("spec.containers[].lifecycle.postStart|preStop", &["exec", "httpGet", "sleep"]),
    (
        "spec.containers[].lifecycle.postStart|preStop.httpGet",
        &["host", "httpHeaders", "path", "port", "scheme"],
    ),
    ("spec.containers[].lifecycle.postStart|preStop.sleep", &["seconds"]),
    ("spec.containers[].ports[]", &["containerPort", "hostIP", "hostPort", "name", "protocol"]),
    ("spec.containers[].resources", &["limits", "requests"]),
    ("spec.resources", &["limits", "requests"]),
    ("spec.containers[].restartPolicyRules[]", &["action", "exitCodes"]),
    ("spec.containers[].restartPolicyRules[].exitCodes", &["operator", "values"]),
    (
        "spec.containers[].volumeMounts[]",
        &["mountPath", "mountPropagation", "name", "readOnly", "recursiveReadOnly", "subPath", "subPathExpr"],
    ),
    (
        "spec.volumes[]",
        &["configMap", "downwardAPI", "emptyDir", "hostPath", "image", "name", "projected", "secret"],
    ),
    ("spec.volumes[].configMap", &["defaultMode", "items", "name", "optional"]),
    ("spec.volumes[].downwardAPI", &["defaultMode", "items"]),
    ("spec.volumes[].downwardAPI.items[]", &["fieldRef", "mode", "path", "resourceFieldRef"]),
    ("spec.volumes[].projected", &["defaultMode", "sources"]),
    ("spec.volumes[].projected.sources[]", &["configMap", "downwardAPI", "secret"]),
    ("spec.volumes[].secret", &["defaultMode", "items", "optional", "secretName"]),
    ("spec.volumes[].secret.items[]", &["key", "mode", "path"]),
    ("spec.volumes[].emptyDir", &["medium", "sizeLimit"]),
    ("spec.volumes[].hostPath", &["path", "type"]),
    ("spec.volumes[].image", &["pullPolicy", "reference"]),
];

#[test]
fn every_field_of_core_v1_is_used_or_has_a_row() {
    for (object, known) in [
        ("spec", names::<core::PodSpec>()),
        ("spec.securityContext", names::<core::PodSecurityContext>()),
        ("spec.containers[].securityContext", names::<core::SecurityContext>()),
        ("spec.containers[].securityContext.capabilities", names::<core::Capabilities>()),
        ("spec.securityContext.appArmorProfile", names::<core::AppArmorProfile>()),
        ("spec.securityContext.seccompProfile", names::<core::SeccompProfile>()),
        ("spec.securityContext.sysctls[]", names::<core::Sysctl>()),
        ("spec.containers[].securityContext.appArmorProfile", names::<core::AppArmorProfile>()),
        ("spec.containers[].securityContext.seccompProfile", names::<core::SeccompProfile>()),
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
        ("spec.containers[].lifecycle.postStart|preStop", names::<core::LifecycleHandler>()),
        ("spec.containers[].lifecycle.postStart|preStop.httpGet", names::<core::HTTPGetAction>()),
        ("spec.containers[].lifecycle.postStart|preStop.sleep", names::<core::SleepAction>()),
        ("spec.containers[].ports[]", names::<core::ContainerPort>()),
        ("spec.containers[].resources", names::<core::ResourceRequirements>()),
        ("spec.resources", names::<core::ResourceRequirements>()),
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
        ("spec.volumes[].image", names::<core::ImageVolumeSource>()),
    ] {
        let (_, used) = USED.iter().find(|(path, _)| *path == object).unwrap();
        let listed = ROWS.iter().filter_map(|row| row.field.strip_prefix(object)?.strip_prefix('.'));
        let listed: Vec<_> =
            listed.filter(|rest| !rest.contains(['.', '['])).flat_map(|rest| rest.split('|')).collect();
        for field in known {
            let has_row = listed.contains(field);
            assert!(used.contains(field) || has_row, "{object}.{field}: use it or give it a row");
            let gated = ["priorityClassName", "medium", "mountPropagation"].contains(field);
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
            json!({"initContainers": [{"securityContext": {"windowsOptions": {"hostProcess": true}}}]}),
            "spec.initContainers[0].securityContext.windowsOptions",
        ),
        (
            json!({"containers": [{"lifecycle": {"postStart": {"tcpSocket": {}}}}]}),
            "spec.containers[0].lifecycle.postStart.tcpSocket",
        ),
        (
            json!({"securityContext": {"windowsOptions": {"hostProcess": true}}}),
            "spec.securityContext.windowsOptions",
        ),
        (json!({"os": {"name": "windows"}}), "spec.os.name"),
        (
            json!({"volumes": [{"name": "a", "projected": {"sources": [{}, {"serviceAccountToken": {}}]}}]}),
            "spec.volumes[0].projected.sources[1].serviceAccountToken",
        ),
        (json!({"volumes": [{"name": "a", "hostPaht": {}}]}), "spec.volumes[0]"),
        (json!({"volumes": [{"name": "a", "emptyDir": {}, "hostPath": {}}]}), "spec.volumes[0]"),
        (json!({"resources": {"claims": [{"name": "a"}]}}), "spec.resources.claims"),
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
            "volumes": [{"name": "a"}, {"name": "b", "emptyDir": {"medium": ""}},
                {"name": "d", "emptyDir": {"medium": "Memory", "sizeLimit": "1Mi"}}, {"name": "c", "hostPath": {"path": "/"}}],
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

/// `docs/pod-fields.md` is written by this test, and README.md's short form of it below `README`:
/// `cargo test --lib pod_fields | sed -n '/^# What becomes/,/^README/p' | sed '$d' >docs/pod-fields.md`
#[test]
fn pod_fields_are_what_their_documents_say() {
    let (expected, short) = (document(), short());
    let whole = include_str!("../../../docs/pod-fields.md") == expected;
    assert!(
        whole && include_str!("../../../README.md").contains(&short),
        "they are to be\n{expected}README\n{short}"
    );
}

const HEAD: &str = "\
# What becomes of each field of a Pod

Made from the lists that the agent and `holdfast check` go by; a test holds it to them. What is not listed is taken as Kubernetes
has it, `metadata` and the insides of what works included. A name that Kubernetes does not know is a warning.

*Works* is as with a kubelet, but for what README.md says. *Not yet* and *no* refuse the pod where the field says anything that
would change it; `check` tells the line, and what to write instead. What works and is in a table too has values that are
otherwise.
";

/// What becomes of each field of an object; nothing where it simply works.
type Told = BTreeMap<&'static str, Vec<&'static Row>>;

/// The fields of each object, used or with a row.
fn objects() -> BTreeMap<&'static str, Told> {
    let mut objects: BTreeMap<&str, Told> = BTreeMap::new();
    for (object, fields) in USED {
        let known = objects.entry(object).or_default();
        fields.iter().for_each(|field| drop(known.insert(field, Vec::new())));
    }
    for row in ROWS {
        let (object, names) = row.field.rsplit_once('.').unwrap();
        for name in names.split('|') {
            objects.entry(object).or_default().entry(name.trim_end_matches("[]")).or_default().push(row);
        }
    }
    objects
}

fn used(object: &str, field: &str) -> bool {
    USED.iter().any(|(path, fields)| *path == object && fields.contains(&field))
}

fn document() -> String {
    let mut text = HEAD.to_owned();
    for (object, fields) in objects().into_iter().filter(|(_, fields)| !fields.is_empty()) {
        text.push_str(&format!("\n## {object}\n"));
        let works: Vec<_> = fields.keys().filter(|field| used(object, field)).collect();
        let works: Vec<_> = works.iter().map(|field| format!("`{field}`")).collect();
        if !works.is_empty() {
            text.push_str(&format!("\nWorks: {}.\n", works.join(", ")));
        }
        let rows = fields.iter().flat_map(|(field, rows)| rows.iter().map(move |row| (field, row)));
        let rows: String =
            rows.map(|(field, row)| format!("| `{field}` | {} | {} |\n", fate(row.fate), row.why)).collect();
        if !rows.is_empty() {
            text.push_str(&format!(
                "\n| field | what becomes of it | why, or of what |\n|---|---|---|\n{rows}"
            ));
        }
    }
    text
}

/// How many fields work, and which do not, of the three objects that matter most.
fn short() -> String {
    let objects = objects();
    let line = |object: &str| {
        let of = |wanted: Fate| {
            let fields = objects[object].iter().filter(|(field, _)| !used(object, field));
            let fields = fields.filter(|(_, rows)| rows.iter().any(|row| row.fate == wanted));
            fields.map(|(field, _)| format!("`{field}`")).collect::<Vec<_>>().join(", ")
        };
        let works = objects[object].keys().filter(|field| used(object, field)).count();
        format!("| `{object}` | {works} fields | {} | {} |\n", of(Fate::NotYet), of(Fate::Never))
    };
    let lines: String = ["spec", "spec.containers[]", "spec.volumes[]"].map(line).concat();
    format!("| of | works | not yet | never |\n|---|---|---|---|\n{lines}")
}

fn fate(fate: Fate) -> &'static str {
    match fate {
        Fate::NotYet => "not yet",
        Fate::Never => "no",
        Fate::Warned => "works with a warning",
        Fate::Ignored => "nothing comes of it",
    }
}
