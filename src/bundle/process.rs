//! The process: what is run, with which environment and which privileges.

use serde_json::{Value, json};

use super::{ImageConfig, Inputs, Node, Variables, expansion, resources};
use crate::spec::Container;
use crate::status::{Failure, Reason};

/// Where programs are looked for unless the image or the manifest says otherwise (containerd's `WithDefaultPathEnv`).
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// What containers may do by default: containerd's list (`pkg/oci/spec.go`).
pub const CAPABILITIES: [&str; 14] = [
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_FSETID",
    "CAP_FOWNER",
    MKNOD,
    "CAP_NET_RAW",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETFCAP",
    "CAP_SETPCAP",
    "CAP_NET_BIND_SERVICE",
    "CAP_SYS_CHROOT",
    "CAP_KILL",
    "CAP_AUDIT_WRITE",
];

/// Left out on cgroup v2: libcontainer ignores device rules there, so that who makes the node of a disk could read it.
const MKNOD: &str = "CAP_MKNOD";

/// The OCI `process` object, for root: the worker looks up the image's USER.
///
/// `terminal` is false also for a container with one: the pod process's worker makes it, with the container's own rights,
/// where the runtime would make it as root and hand it over by a socket.
///
/// `noNewPrivileges` is absent, not false: false together with a seccomp filter fails. The group 0 is listed, since an
/// empty list would leave the caller's groups on the container.
pub fn process(inputs: &Inputs<'_>) -> Result<Value, Failure> {
    let args = args(inputs.container, inputs.image, &inputs.variables)?;
    let env = env(inputs);
    let cwd = cwd(inputs.container, inputs.image);
    // Which one is not said: it may be made of a Secret.
    if args.iter().chain(&env).chain([&cwd]).any(|text| text.contains('\0')) {
        let message = "a command, argument, variable or directory contains a NUL byte";
        return Err(Failure::new(Reason::CreateContainerConfigError, message));
    }
    let capabilities: Vec<&str> =
        CAPABILITIES.into_iter().filter(|name| *name != MKNOD || !inputs.node.cgroup.unified).collect();
    let mut process = json!({
        "terminal": false,
        "user": { "uid": 0, "gid": 0, "additionalGids": [0] },
        "args": args,
        "env": env,
        "cwd": cwd,
        "capabilities": {
            "bounding": capabilities,
            "effective": capabilities,
            "permitted": capabilities,
            "inheritable": [],
            "ambient": [],
        },
        "rlimits": [nofile(inputs.node)],
    });
    if let Some(floor) = inputs.node.oom_score_floor {
        let wanted = resources::oom_score_adj(inputs.pod, inputs.container, inputs.node.memory);
        process["oomScoreAdj"] = json!(wanted.max(floor));
    }
    Ok(process)
}

/// The program and its arguments: `command` replaces ENTRYPOINT and drops CMD, `args` replaces CMD.
fn args(container: &Container, image: &ImageConfig, own: &Variables) -> Result<Vec<String>, Failure> {
    let expanded = |texts: &[String]| -> Vec<String> {
        texts.iter().map(|text| expansion::expand(text, |name| own.get(name))).collect()
    };
    let (program, arguments) = match (container.command.is_empty(), container.args.is_empty()) {
        (true, true) => (image.entrypoint.clone(), image.cmd.clone()),
        (true, false) => (image.entrypoint.clone(), expanded(&container.args)),
        (false, _) => (expanded(&container.command), expanded(&container.args)),
    };
    let args = [program, arguments].concat();
    if args.first().is_none_or(String::is_empty) {
        let message = format!(
            "container {}: no command specified: neither the manifest (command, args) nor image {} (ENTRYPOINT, CMD) \
             names a program; add a command to the manifest",
            container.name, container.image
        );
        return Err(Failure::new(Reason::CreateContainerError, message));
    }
    Ok(args)
}

/// The manifest's directory, else the image's, else `/`.
fn cwd(container: &Container, image: &ImageConfig) -> String {
    let written = container.working_dir.as_deref().unwrap_or(&image.working_dir);
    if written.starts_with('/') { written.to_owned() } else { format!("/{written}") }
}

/// The whole environment, `NAME=value`: PATH, HOSTNAME, TERM with a terminal (containerd's `WithTTY`), the image's, the
/// manifest's. A later value replaces an earlier one in its place.
fn env(inputs: &Inputs<'_>) -> Vec<String> {
    let mut variables = Variables::default();
    variables.set("PATH", DEFAULT_PATH.to_owned());
    variables.set("HOSTNAME", inputs.hostname.to_owned());
    if inputs.container.tty {
        variables.set("TERM", "xterm".to_owned());
    }
    let of_image = inputs.image.env.iter().filter_map(|variable| variable.split_once('='));
    for (name, value) in of_image.chain(inputs.variables.iter()) {
        variables.set(name, value.to_owned());
    }
    variables.iter().map(|(name, value)| format!("{name}={value}")).collect()
}

/// What the agent was started with, as far as the node permits: asking for more would fail the container.
fn nofile(node: &Node) -> Value {
    let hard = node.nofile.1.min(node.nofile_max);
    json!({ "type": "RLIMIT_NOFILE", "soft": node.nofile.0.min(hard), "hard": hard })
}
