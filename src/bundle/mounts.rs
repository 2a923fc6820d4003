//! What is mounted where in a container: containerd's defaults and the pod's volumes (reference D.7).

use serde_json::{Value, json};

use super::{Bind, Inputs, Labels};
use crate::spec::IdMapping;
use crate::status::{Failure, Reason};

/// The OCI `mounts`, in the order to make them: what is nearer to the root comes first.
///
/// A volume takes the place of a default on the same path, and so does the file for last words; a volume that of both.
pub fn mounts(inputs: &Inputs<'_>) -> Result<Vec<Value>, Failure> {
    let mut volumes = Vec::new();
    for bind in &inputs.binds {
        let path = clean(&bind.path);
        check(&path).map_err(|why| {
            let message = format!("container {}: mountPath {:?}: {why}", inputs.container.name, bind.path);
            Failure::new(Reason::CreateContainerConfigError, message)
        })?;
        let mount = volume(bind);
        volumes.push((path, if bind.of_node { mapped(mount, inputs.users) } else { mount }));
    }
    let last_words = clean(&inputs.container.last_words.path);
    if !last_words.is_empty() {
        check(&last_words).map_err(|why| {
            let (name, path) = (&inputs.container.name, &inputs.container.last_words.path);
            let message = format!("container {name}: terminationMessagePath {path:?}: {why}");
            Failure::new(Reason::CreateContainerConfigError, message)
        })?;
        if !volumes.iter().any(|(volume, _)| *volume == last_words) {
            volumes.push((last_words, mapped(bind(&inputs.last_words, &["rw"]), inputs.users)));
        }
    }
    let covered = |path: &str| volumes.iter().any(|(volume, _)| volume == path);
    let mut all: Vec<_> = defaults(inputs).into_iter().filter(|(path, _)| !covered(path)).collect();
    all.extend(volumes);
    all.sort_by(|(a, _), (b, _)| (depth(a), a).cmp(&(depth(b), b)));
    Ok(all.into_iter().map(|(path, mount)| placed(path, mount)).collect())
}

/// Refuses what would let a volume stand where the runtime makes device nodes or writes to `/proc` before the program runs:
/// other containers of the pod could swap files under its hands.
fn check(path: &str) -> Result<(), &'static str> {
    if !path.starts_with('/') || path.split('/').any(|part| part == "..") || path.contains('\0') {
        return Err("must be absolute, without \"..\"");
    }
    match path {
        "/" => Err("the root file system is the image's"),
        "/dev" => Err("is made by the runtime, with the devices of the node for whoever is privileged"),
        _ if path == "/proc" || path.starts_with("/proc/") => {
            Err("the process file system cannot be replaced")
        }
        _ => Ok(()),
    }
}

fn defaults(inputs: &Inputs<'_>) -> Vec<(String, Value)> {
    let strict = ["nosuid", "noexec", "nodev"];
    let files = &inputs.files;
    let security = &inputs.container.security;
    // As containerd has it; /etc/hosts is the kubelet's, and stays writable.
    let as_root = if security.read_only_root { "ro" } else { "rw" };
    let list = [
        ("/proc", json!({ "type": "proc", "source": "proc", "options": strict })),
        (
            "/dev",
            json!({ "type": "tmpfs", "source": "tmpfs",
                "options": ["nosuid", "strictatime", "mode=755", "size=65536k"] }),
        ),
        (
            "/dev/pts",
            json!({ "type": "devpts", "source": "devpts",
                "options": ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"] }),
        ),
        ("/dev/mqueue", json!({ "type": "mqueue", "source": "mqueue", "options": strict })),
        // With hostNetwork too: sysfs shows the network namespace it was mounted in, which is the node's then.
        (
            "/sys",
            json!({ "type": "sysfs", "source": "sysfs",
                "options": ["nosuid", "noexec", "nodev", if security.privileged { "rw" } else { "ro" }] }),
        ),
        ("/sys/fs/cgroup", cgroup(inputs.node.cgroup.unified, security.privileged)),
        ("/dev/shm", bind(&files.shm, &["nosuid", "noexec", "nodev", "rw"])),
        ("/etc/hosts", mapped(bind(&files.hosts, &["rw"]), inputs.users)),
        ("/etc/hostname", mapped(bind(&files.hostname, &[as_root]), inputs.users)),
        ("/etc/resolv.conf", mapped(bind(&files.resolv_conf, &[as_root]), inputs.users)),
    ];
    list.into_iter()
        .map(|(path, mount)| (path.to_owned(), labelled(mount, inputs.selinux.as_ref())))
        .collect()
}

/// The same with the container's label, where it has one, on all that is in it, where it is a file system of its own. What the
/// kernel shows there has labels of the kernel's, and those of message queues and cgroups are not one container's alone.
fn labelled(mut mount: Value, labels: Option<&Labels>) -> Value {
    if let Some(labels) = labels
        && (mount["type"] == "tmpfs" || mount["type"] == "devpts")
        && let Some(options) = mount["options"].as_array_mut()
    {
        options.push(json!(format!("context={}", labels.file)));
    }
    mount
}

/// On v2 the container's own cgroup, read-only, as its cgroup namespace shows it. On v1 an empty directory: libcontainer
/// ignores `ro` there, and a container that can write to its memory cgroup lifts its own limit. A privileged one has the
/// node's, which it may write to.
fn cgroup(unified: bool, privileged: bool) -> Value {
    if privileged {
        bind("/sys/fs/cgroup", &["nosuid", "noexec", "nodev", "rw"])
    } else if unified {
        json!({ "type": "cgroup", "source": "cgroup", "options": ["nosuid", "noexec", "nodev", "relatime", "ro"] })
    } else {
        json!({ "type": "tmpfs", "source": "tmpfs",
            "options": ["nosuid", "noexec", "nodev", "ro", "mode=755", "size=4k"] })
    }
}

fn volume(volume: &Bind) -> Value {
    // Options of the whole tree alone can be taken off: those of one mount are added to what its source has.
    let of_values: &[&str] = if volume.of_values { &["rexec", "rnosuid", "rnodev"] } else { &[] };
    // What its mount says already, whatever the runtime makes of that.
    let of_image: &[&str] = if volume.of_image { &["noexec", "nosuid", "nodev"] } else { &[] };
    let recursive: &[&str] = if volume.recursive_read_only { &["rro"] } else { &[] };
    bind(
        &volume.source,
        &[&[if volume.read_only { "ro" } else { "rw" }], recursive, of_values, of_image].concat(),
    )
}

/// `rprivate` says what is meant; what makes it so is `rootfsPropagation` ([`super::linux`]), since libcontainer 0.7 ignores
/// the option of the single mount.
fn bind(source: &str, options: &[&str]) -> Value {
    let options = [&["rbind", "rprivate"], options].concat();
    json!({ "type": "bind", "source": source, "options": options })
}

/// The same with the owners of its files as the pod's users, where it has its own: ID for ID. The worker does that.
fn mapped(mut mount: Value, users: Option<IdMapping>) -> Value {
    if let Some(users) = users {
        for field in ["uidMappings", "gidMappings"] {
            mount[field] = super::linux::mappings(users);
        }
    }
    mount
}

fn placed(path: String, mut mount: Value) -> Value {
    mount["destination"] = json!(path);
    mount
}

/// `path` without repeated and final slashes and without `.`.
fn clean(path: &str) -> String {
    let parts: Vec<_> = path.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
    let root = if path.starts_with('/') { "/" } else { "" };
    format!("{root}{}", parts.join("/"))
}

fn depth(path: &str) -> usize {
    path.matches('/').count()
}
