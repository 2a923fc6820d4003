//! What a container's process has, by its bundle, as far as a command in it needs the same.
//!
//! Invariant: what is not understood here is an error. A command that lacks what confines its container is worse than none.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use nix::sched::CloneFlags;
use nix::sys::resource::Resource;
use nix::sys::stat::Mode;
use serde_json::{Map, Value};

use crate::pod::program;
use crate::sys::privileges::{Capabilities, Ids, Set};

/// What a command needs.
#[derive(Debug, PartialEq)]
pub struct Wanted {
    /// The namespaces that are not the pod process's own.
    pub namespaces: CloneFlags,
    /// The container's environment.
    pub env: Vec<String>,
    /// The working directory.
    pub directory: PathBuf,
    /// User and groups.
    pub ids: Ids,
    /// Capabilities.
    pub capabilities: Capabilities,
    /// Limits: the soft and the hard one.
    pub limits: Vec<(Resource, u64, u64)>,
    /// Whether no program it executes may have more rights than it has.
    pub no_new_privileges: bool,
    /// Badness for the out-of-memory killer.
    pub oom_score_adj: Option<i64>,
    /// The AppArmor profile.
    pub apparmor: Option<String>,
    /// The label of SELinux.
    pub selinux: Option<String>,
    /// The seccomp program.
    pub filter: Option<Vec<u8>>,
    /// What is taken off the modes of new files.
    pub umask: Mode,
}

/// What is known of an OCI process. The arguments are the command's own, and terminals are made otherwise.
const OF_PROCESS: [&str; 12] = [
    "terminal",
    "user",
    "args",
    "env",
    "cwd",
    "capabilities",
    "rlimits",
    "noNewPrivileges",
    "apparmorProfile",
    "selinuxLabel",
    "oomScoreAdj",
    "consoleSize",
];
/// What is known of an OCI `linux` object: of the cgroup, the namespaces, or done to the mounts once for all who see them.
const OF_LINUX: [&str; 11] = [
    "cgroupsPath",
    "resources",
    "namespaces",
    "rootfsPropagation",
    "maskedPaths",
    "readonlyPaths",
    "sysctl",
    "devices",
    "seccomp",
    "uidMappings",
    "gidMappings",
];
const OF_USER: [&str; 4] = ["uid", "gid", "additionalGids", "umask"];

/// The mask where the bundle has none: the worker's, with which the container itself was started.
const UMASK: Mode = Mode::from_bits_truncate(0o022);

/// Reads it.
pub fn read(bundle: &Path) -> Result<Wanted> {
    let path = bundle.join("config.json");
    let text = fs::read(&path).with_context(|| format!("read {}", path.display()))?;
    let (mut wanted, filtered) = parse(&text).with_context(|| format!("understand {}", path.display()))?;
    if filtered {
        wanted.filter = Some(program::filter(bundle)?);
    }
    Ok(wanted)
}

/// Whether there is a seccomp program is told beside.
fn parse(text: &[u8]) -> Result<(Wanted, bool)> {
    let config: Value = serde_json::from_slice(text)?;
    let process = object(&config, "process")?;
    let linux = object(&config, "linux")?;
    only(process, "process", &OF_PROCESS)?;
    only(linux, "linux", &OF_LINUX)?;
    let filtered = linux.get("seccomp").is_some_and(|seccomp| !seccomp.is_null());
    let wanted = Wanted {
        namespaces: namespaces(linux)?,
        env: texts(process.get("env"))?,
        directory: PathBuf::from(process.get("cwd").and_then(Value::as_str).context("no process.cwd")?),
        ids: ids(process)?,
        umask: umask(process)?,
        capabilities: capabilities(process)?,
        limits: list(process.get("rlimits"))?.iter().map(limit).collect::<Result<_>>()?,
        no_new_privileges: match process.get("noNewPrivileges") {
            None => false,
            Some(value) => value.as_bool().context("process.noNewPrivileges is neither true nor false")?,
        },
        oom_score_adj: match process.get("oomScoreAdj") {
            None => None,
            Some(value) => Some(value.as_i64().context("process.oomScoreAdj is no number")?),
        },
        apparmor: optional(process, "apparmorProfile")?,
        selinux: optional(process, "selinuxLabel")?,
        filter: None,
    };
    Ok((wanted, filtered))
}

impl Wanted {
    /// The command's environment: the container's, and the kind of its terminal, as containerd names it (`oci.WithTTY`),
    /// unless the container's own names one.
    pub fn environment(&self, terminal: bool) -> Vec<String> {
        let mut environment = self.env.clone();
        if terminal && !environment.iter().any(|variable| variable.starts_with("TERM=")) {
            environment.push("TERM=xterm".to_owned());
        }
        environment
    }

    /// What is being done when something is wrong with the working directory.
    pub fn at_directory(&self) -> String {
        format!("enter the working directory {}", self.directory.display())
    }
}

fn optional(process: &Map<String, Value>, member: &str) -> Result<Option<String>> {
    let Some(value) = process.get(member) else { return Ok(None) };
    value.as_str().map(|text| Some(text.to_owned())).with_context(|| format!("process.{member} is no text"))
}

/// Fails where the object called `name` has a member that is not one of `known`.
fn only(object: &Map<String, Value>, name: &str, known: &[&str]) -> Result<()> {
    match object.iter().find(|(key, value)| !value.is_null() && !known.contains(&key.as_str())) {
        None => Ok(()),
        Some((key, _)) => {
            bail!("the container has {name}.{key}, which commands in it cannot be given: it runs none")
        }
    }
}

fn object<'a>(of: &'a Value, name: &str) -> Result<&'a Map<String, Value>> {
    of.get(name).and_then(Value::as_object).with_context(|| format!("no object {name}"))
}

/// Empty where there is none.
fn list(value: Option<&Value>) -> Result<&[Value]> {
    match value {
        None | Some(Value::Null) => Ok(&[]),
        Some(value) => Ok(value.as_array().context("not a list")?),
    }
}

fn texts(value: Option<&Value>) -> Result<Vec<String>> {
    let text = |value: &Value| value.as_str().map(str::to_owned).context("not a text");
    list(value)?.iter().map(text).collect()
}

fn namespaces(linux: &Map<String, Value>) -> Result<CloneFlags> {
    let mut namespaces = CloneFlags::empty();
    for namespace in list(linux.get("namespaces"))? {
        namespaces |= match namespace.get("type").and_then(Value::as_str).unwrap_or_default() {
            "mount" => CloneFlags::CLONE_NEWNS,
            "pid" => CloneFlags::CLONE_NEWPID,
            "cgroup" => CloneFlags::CLONE_NEWCGROUP,
            "network" => CloneFlags::CLONE_NEWNET,
            "ipc" => CloneFlags::CLONE_NEWIPC,
            "uts" => CloneFlags::CLONE_NEWUTS,
            "user" => CloneFlags::CLONE_NEWUSER,
            other => bail!("commands cannot enter a namespace of type {other:?}"),
        };
    }
    // All of the container's confinement is in there: its root is that namespace's.
    if !namespaces.contains(CloneFlags::CLONE_NEWNS) {
        bail!("the container has no mounts of its own");
    }
    Ok(namespaces)
}

fn ids(process: &Map<String, Value>) -> Result<Ids> {
    let user = process.get("user").and_then(Value::as_object).context("no process.user")?;
    only(user, "process.user", &OF_USER)?;
    let id = |value: &Value| value.as_u64().and_then(|id| u32::try_from(id).ok()).context("not an ID");
    let of =
        |name: &str| user.get(name).context("no ID").and_then(id).with_context(|| format!("user.{name}"));
    let groups = list(user.get("additionalGids"))?.iter().map(id).collect::<Result<_>>()?;
    Ok(Ids { uid: of("uid")?, gid: of("gid")?, groups })
}

fn umask(process: &Map<String, Value>) -> Result<Mode> {
    match process.get("user").and_then(|user| user.get("umask")) {
        None | Some(Value::Null) => Ok(UMASK),
        Some(mask) => mask
            .as_u64()
            .and_then(|mask| Mode::from_bits(u32::try_from(mask).ok()?))
            .context("user.umask is no mask"),
    }
}

/// All five: where the bundle says nothing at all, nothing would be dropped.
fn capabilities(process: &Map<String, Value>) -> Result<Capabilities> {
    let capabilities = process.get("capabilities").context("no process.capabilities")?;
    let set = |name: &str| -> Result<Set> {
        texts(capabilities.get(name))?.iter().try_fold(Set::default(), |set, capability| {
            set.with(capability).with_context(|| format!("unknown capability {capability:?}"))
        })
    };
    // What is beyond the bounding set was lent to the container's own process, until it became the program.
    let bounding = set("bounding")?;
    Ok(Capabilities {
        bounding,
        effective: set("effective")?.and(bounding),
        permitted: set("permitted")?.and(bounding),
        inheritable: set("inheritable")?,
        ambient: set("ambient")?,
    })
}

fn limit(limit: &Value) -> Result<(Resource, u64, u64)> {
    let name = limit.get("type").and_then(Value::as_str).unwrap_or_default();
    let resource = match name {
        "RLIMIT_AS" => Resource::RLIMIT_AS,
        "RLIMIT_CORE" => Resource::RLIMIT_CORE,
        "RLIMIT_CPU" => Resource::RLIMIT_CPU,
        "RLIMIT_DATA" => Resource::RLIMIT_DATA,
        "RLIMIT_FSIZE" => Resource::RLIMIT_FSIZE,
        "RLIMIT_LOCKS" => Resource::RLIMIT_LOCKS,
        "RLIMIT_MEMLOCK" => Resource::RLIMIT_MEMLOCK,
        "RLIMIT_MSGQUEUE" => Resource::RLIMIT_MSGQUEUE,
        "RLIMIT_NICE" => Resource::RLIMIT_NICE,
        "RLIMIT_NOFILE" => Resource::RLIMIT_NOFILE,
        "RLIMIT_NPROC" => Resource::RLIMIT_NPROC,
        "RLIMIT_RSS" => Resource::RLIMIT_RSS,
        "RLIMIT_RTPRIO" => Resource::RLIMIT_RTPRIO,
        "RLIMIT_RTTIME" => Resource::RLIMIT_RTTIME,
        "RLIMIT_SIGPENDING" => Resource::RLIMIT_SIGPENDING,
        "RLIMIT_STACK" => Resource::RLIMIT_STACK,
        other => bail!("unknown limit {other:?}"),
    };
    let number = |of: &str| limit.get(of).and_then(Value::as_u64).with_context(|| format!("{name}: no {of}"));
    Ok((resource, number("soft")?, number("hard")?))
}

#[cfg(test)]
mod tests;
