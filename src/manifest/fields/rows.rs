//! The rows.

use serde_json::Value;

use super::{Fate, Found, Row};

/// Every field that is not used, with its fate. A row is a line.
#[rustfmt::skip]
pub static ROWS: &[Row] = &[
    // Containers that a manifest cannot have.
    never("spec.ephemeralContainers", given, "kubectl debug adds these to a running pod", REMOVE),
    // Identity and isolation.
    never("spec.securityContext.windowsOptions", given, "this node runs Linux", REMOVE),
    ignored("spec.securityContext.seLinuxChangePolicy", "it is of volumes of CSI drivers"),
    never("spec.containers[].securityContext.windowsOptions", given, "this node runs Linux", REMOVE),
    not_yet("spec.runtimeClassName", given, "other runtimes than the built-in one", REMOVE),
    never("spec.serviceAccountName|serviceAccount", given, "a static pod has no service account", REMOVE),
    never("spec.imagePullSecrets", given, "a static pod may not refer to Secrets for its images", REMOVE),
    never("spec.os.name", other_than_linux, "this node runs Linux", "set it to linux, or remove spec.os"),
    // When it runs, and for how long.
    never("spec.containers[].lifecycle.postStart|preStop.tcpSocket", there, "Kubernetes never built it", OTHER_HOOK),
    not_yet("spec.readinessGates", given, "conditions that others set", REMOVE),
    never("spec.schedulingGates", given, "nothing schedules a static pod: it is on its node already", REMOVE),
    not_yet("spec.nodeSelector|affinity", given, "labels of the node", "remove it: the pod runs where its file is"),
    // Data.
    never("spec.volumes[]", of_unknown_kind, "a kind of volume that Kubernetes does not know", "check its spelling"),
    never("spec.volumes[]", of_several_kinds, "a volume of several kinds at once", "keep one of them"),
    never("spec.volumes[].projected.sources[].serviceAccountToken", there, "no cluster gives a token", REMOVE),
    never("spec.volumes[].projected.sources[].clusterTrustBundle|podCertificate", there, "no cluster signs it", REMOVE),
    never("spec.volumes[].persistentVolumeClaim|ephemeral|csi", there, "no cluster binds its claim", USE_VOLUMES),
    not_yet("spec.volumes[].nfs|iscsi|fc|rbd|cephfs|glusterfs|flexVolume", there, VOLUMES, MOUNT_ON_NODE),
    never("spec.volumes[].awsElasticBlockStore|azureDisk|azureFile|cinder|flocker", there, GONE, USE_VOLUMES),
    never("spec.volumes[].gcePersistentDisk|gitRepo|photonPersistentDisk", there, GONE, USE_VOLUMES),
    never("spec.volumes[].portworxVolume|quobyte|scaleIO|storageos|vsphereVolume", there, GONE, USE_VOLUMES),
    never("spec.containers[].volumeMounts[].mountPropagation", to_node, TO_NODE, "use None"),
    not_yet("spec.containers[].volumeDevices", given, "block devices", REMOVE),
    // Resources.
    not_yet("spec.containers[].resources.limits|requests.*", extended, "resources of device plug-ins", REMOVE),
    never("spec.containers[].resources.claims", given, "no cluster grants its claim", REMOVE),
    never("spec.resources.claims", given, "no cluster grants its claim", REMOVE),
    never("spec.resourceClaims", given, "no cluster grants its claim", REMOVE),
    not_yet("spec.overhead", given, "overhead of a runtime class", REMOVE),
    // Harmless, but not what somebody may think.
    warned("spec.automountServiceAccountToken", on, "no token is mounted: there is no cluster to give one", ""),
    warned("spec.priorityClassName", without_priority, "no cluster turns it into a number", "set spec.priority"),
    // Harmless.
    ignored("spec.tolerations", "taints do not concern static pods"),
    ignored("spec.topologySpreadConstraints|schedulerName|preemptionPolicy|schedulingGroup", "nothing is scheduled"),
    ignored("spec.enableServiceLinks", "there are no Services to name"),
    ignored("spec.os", "its name is looked at"),
    ignored("spec.containers[].resources.requests.ephemeral-storage", "nothing is scheduled"),
    ignored("spec.containers[].resizePolicy", "resources change by a new version of the pod"),
];

const OTHER_HOOK: &str = "use an exec hook";
const REMOVE: &str = "remove it";
const VOLUMES: &str = "volumes of this kind";
const GONE: &str = "Kubernetes itself has given up this kind of volume";
const USE_VOLUMES: &str = "use an emptyDir or hostPath volume";
const TO_NODE: &str = "Bidirectional would leave mounts of a container on the node";
const MOUNT_ON_NODE: &str = "mount it on the node and use a hostPath volume";

type When = fn(&Found<'_>) -> bool;

const fn not_yet(field: &'static str, when: When, why: &'static str, fix: &'static str) -> Row {
    Row { field, when, fate: Fate::NotYet, why, fix }
}

const fn never(field: &'static str, when: When, why: &'static str, fix: &'static str) -> Row {
    Row { field, when, fate: Fate::Never, why, fix }
}

const fn warned(field: &'static str, when: When, why: &'static str, fix: &'static str) -> Row {
    Row { field, when, fate: Fate::Warned, why, fix }
}

const fn ignored(field: &'static str, why: &'static str) -> Row {
    Row { field, when: given, fate: Fate::Ignored, why, fix: "" }
}

/// Says something: an empty list, mapping or string is as good as absent.
fn given(found: &Found<'_>) -> bool {
    match found.value {
        Value::Null => false,
        Value::Object(fields) => !fields.is_empty(),
        Value::Array(items) => !items.is_empty(),
        Value::String(text) => !text.is_empty(),
        Value::Bool(_) | Value::Number(_) => true,
    }
}

/// Is there, be it empty: an empty volume source or probe says something too.
fn there(_: &Found<'_>) -> bool {
    true
}

/// Whether a volume has fields, but none that says its kind: what is meant is not an emptyDir.
fn of_unknown_kind(found: &Found<'_>) -> bool {
    let others =
        found.value.as_object().map_or(0, |volume| volume.keys().filter(|key| *key != "name").count());
    others > 0 && kinds(found) == 0
}

fn of_several_kinds(found: &Found<'_>) -> bool {
    kinds(found) > 1
}

/// Kinds of volumes that are built.
const BUILT: &[&str] = &["emptyDir", "hostPath", "configMap", "secret", "downwardAPI", "projected", "image"];

/// How many kinds a volume says to be.
fn kinds(found: &Found<'_>) -> usize {
    let known = |kind: &String| {
        let listed = ROWS.iter().filter_map(|row| row.field.strip_prefix("spec.volumes[]."));
        let mut others = listed.filter(|kinds| !kinds.contains('.')).flat_map(|kinds| kinds.split('|'));
        BUILT.contains(&kind.as_str()) || others.any(|other| other == kind)
    };
    found.value.as_object().map_or(0, |volume| volume.keys().filter(|key| known(key)).count())
}

fn on(found: &Found<'_>) -> bool {
    found.value == &Value::Bool(true)
}

fn other_than_linux(found: &Found<'_>) -> bool {
    found.value != "linux"
}

fn to_node(found: &Found<'_>) -> bool {
    found.value == "Bidirectional"
}

fn extended(found: &Found<'_>) -> bool {
    !matches!(found.key, "cpu" | "memory" | "ephemeral-storage") && !found.key.starts_with("hugepages-")
}

fn without_priority(found: &Found<'_>) -> bool {
    given(found) && found.pod["spec"]["priority"].is_null()
}
