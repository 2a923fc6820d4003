//! Namespaces, devices, limits and what is hidden: the OCI `linux` object.

use serde_json::{Map, Value, json};

use super::{CPU_PERIOD_US, Device, Inputs, MemoryQos, cpu_quota_us, cpu_shares, devices, page_name};
use crate::spec::{Bytes, IdMapping, Millicores, Resources};
use crate::status::{Failure, Reason};

/// Hidden (kubelet's `defaultMaskedPaths`, reference D.5). Those that do not exist are skipped by the runtime.
const MASKED: [&str; 12] = [
    "/proc/asound",
    "/proc/acpi",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/sys/firmware",
    "/sys/devices/virtual/powercap",
];

/// Read-only (kubelet's `defaultReadonlyPaths`).
const READ_ONLY: [&str; 5] = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

/// The OCI `linux` object.
///
/// `rootfsPropagation` makes every mount of the container private, which is what Kubernetes means by the default
/// `mountPropagation: None`. Where one of them is to see what the node mounts later it does not, and the worker makes the
/// others private. Of devices the runtime makes null, zero, full, random, urandom, tty and ptmx itself. From a
/// privileged container, and with `procMount: Unmasked`, nothing is hidden.
pub fn linux(inputs: &Inputs<'_>) -> Result<Value, Failure> {
    let masked = MASKED.into_iter().chain(inputs.node.masked.iter().map(String::as_str));
    let security = &inputs.container.security;
    let (privileged, open) = (security.privileged, security.privileged || security.unmasked);
    let receives = inputs.container.receives_mounts();
    let hidden = |paths: Vec<&str>| if open { json!([]) } else { json!(paths) };
    let mut linux = json!({
        "cgroupsPath": inputs.cgroup,
        "resources": resources(inputs),
        "namespaces": namespaces(inputs)?,
        "rootfsPropagation": if receives { "slave" } else { "private" },
        "maskedPaths": hidden(masked.collect()),
        "readonlyPaths": hidden(READ_ONLY.to_vec()),
    });
    if let Some(users) = inputs.users {
        linux["uidMappings"] = mappings(users);
        linux["gidMappings"] = mappings(users);
    }
    if inputs.seccomp {
        linux["seccomp"] = json!({ "defaultAction": "SCMP_ACT_ERRNO" });
    }
    if privileged {
        linux["devices"] = inputs.devices.iter().map(device).collect();
    }
    Ok(linux)
}

/// The pod's IDs as OCI has them.
pub fn mappings(ids: IdMapping) -> Value {
    json!([{ "containerID": 0, "hostID": ids.host_id, "size": ids.length }])
}

fn device(device: &Device) -> Value {
    json!({
        "path": device.path,
        "type": if device.block { "b" } else { "c" },
        "major": device.number.0,
        "minor": device.number.1,
        "fileMode": device.mode,
        "uid": device.owner.0,
        "gid": device.owner.1,
    })
}

/// Its own mounts always; its own processes, the pod's or the node's; on v2 its own view of the cgroups, so that it sees its
/// cgroup as the root and not the node's tree, which a privileged one does.
fn namespaces(inputs: &Inputs<'_>) -> Result<Vec<Value>, Failure> {
    let mut namespaces = vec![json!({ "type": "mount" })];
    let pod = inputs.pod;
    match inputs.pause_pid {
        _ if pod.host_pid => {}
        Some(pid) if pod.share_process_namespace => {
            namespaces.push(json!({ "type": "pid", "path": format!("/proc/{pid}/ns/pid") }));
        }
        None if pod.share_process_namespace => {
            let message =
                format!("pod {}: the process that holds its PID namespace is unknown", pod.full_name());
            return Err(Failure::new(Reason::CreateContainerError, message));
        }
        _ => namespaces.push(json!({ "type": "pid" })),
    }
    if inputs.users.is_some() {
        // The pod's: the worker says where it is.
        namespaces.push(json!({ "type": "user" }));
    }
    if inputs.node.cgroup.unified && !inputs.container.security.privileged {
        namespaces.push(json!({ "type": "cgroup" }));
    }
    Ok(namespaces)
}

fn resources(inputs: &Inputs<'_>) -> Value {
    let mut resources = Map::new();
    resources.insert("devices".to_owned(), devices::rules(inputs.container.security.privileged));
    let wanted = inputs.pod.of_container(inputs.container);
    let able = &inputs.node.cgroup;

    let mut cpu = Map::new();
    if able.cpu {
        let request = wanted.cpu_request.or(wanted.cpu_limit).unwrap_or(Millicores(0));
        cpu.insert("shares".to_owned(), json!(cpu_shares(request)));
    }
    if let Some(limit) = wanted.cpu_limit.filter(|limit| able.cpu_quota && limit.0 > 0) {
        cpu.insert("quota".to_owned(), json!(cpu_quota_us(limit)));
        cpu.insert("period".to_owned(), json!(CPU_PERIOD_US));
    }
    if !cpu.is_empty() {
        resources.insert("cpu".to_owned(), Value::Object(cpu));
    }
    if let Some(limit) = wanted.memory_limit.filter(|limit| able.memory && limit.0 > 0) {
        let limit = i64::try_from(limit.0).unwrap_or(i64::MAX);
        let mut memory = json!({ "limit": limit });
        if able.swap && !able.unified {
            // Memory and swap together: no swap beyond the limit.
            memory["swap"] = json!(limit);
        }
        resources.insert("memory".to_owned(), memory);
    }
    let pages = inputs.node.huge_pages.iter();
    // Whoever does not ask for any gets none.
    let pages: Vec<Value> = pages
        .map(|size| {
            let limit = wanted.huge_pages.get(size).map_or(0, |bytes| bytes.0);
            json!({ "pageSize": page_name(*size), "limit": i64::try_from(limit).unwrap_or(i64::MAX) })
        })
        .collect();
    if !pages.is_empty() {
        resources.insert("hugepageLimits".to_owned(), Value::Array(pages));
    }
    let unified = unified(inputs, &wanted);
    if !unified.is_empty() {
        resources.insert("unified".to_owned(), Value::Object(unified));
    }
    Value::Object(resources)
}

/// Files of cgroup v2 that the other fields cannot express: a container dies whole when it is out of memory, and does not
/// swap, as no static pod does. (libcontainer drops a swap limit of 0.)
fn unified(inputs: &Inputs<'_>, wanted: &Resources) -> Map<String, Value> {
    let able = &inputs.node.cgroup;
    let mut files = Map::new();
    if able.unified && able.oom_group {
        files.insert("memory.oom.group".to_owned(), json!("1"));
    }
    if able.unified && able.swap {
        files.insert("memory.swap.max".to_owned(), json!("0"));
    }
    if let Some(qos) = inputs.node.memory_qos.filter(|_| able.unified && able.memory) {
        let request = wanted.memory_request.unwrap_or(Bytes(0)).0;
        let kept = MemoryQos::keeps(inputs.pod.qos).filter(|_| qos.reserves && 0 < request);
        files.extend(kept.map(|file| (file.to_owned(), json!(request.to_string()))));
        let high = qos.high(request, wanted.memory_limit);
        files.extend(high.map(|bytes| ("memory.high".to_owned(), json!(bytes.to_string()))));
    }
    files
}
