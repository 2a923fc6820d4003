//! The process: what is run, with which environment and which privileges.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{ImageConfig, Inputs, Node, Variables, capabilities, expansion, resources};
use crate::spec::Container;
use crate::status::{Failure, Reason};

/// Where programs are looked for unless the image or the manifest says otherwise (containerd's `WithDefaultPathEnv`).
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// What it takes to load a seccomp program.
const ADMIN: &str = "CAP_SYS_ADMIN";

/// The OCI `process` object, for root: the worker looks up the user ([`super::user`]).
///
/// `terminal` is false also for a container with one: the pod process's worker makes it, with the container's own rights,
/// where the runtime would make it as root and hand it over by a socket.
///
/// `noNewPrivileges` is absent, not false: false together with a seccomp filter fails. The worker adds the primary group, and
/// those that the image's files say.
pub fn process(inputs: &Inputs<'_>) -> Result<Value, Failure> {
    let args = args(inputs.container, inputs.image, &inputs.variables)?;
    let env = env(inputs);
    let cwd = cwd(inputs.container, inputs.image);
    // Which one is not said: it may be made of a Secret.
    if args.iter().chain(&env).chain([&cwd]).any(|text| text.contains('\0')) {
        let message = "a command, argument, variable or directory contains a NUL byte";
        return Err(Failure::new(Reason::CreateContainerConfigError, message));
    }
    let capabilities = capabilities::capabilities(inputs)?;
    // Without no_new_privs only who has this may load a program. It is lent until `execve`, where the kernel takes away what
    // is not in the bounding set.
    let lent = (inputs.seccomp && !inputs.container.security.no_new_privileges).then_some(ADMIN);
    let held: BTreeSet<&str> = capabilities.iter().map(String::as_str).chain(lent).collect();
    let mut process = json!({
        "terminal": false,
        "user": { "uid": 0, "gid": 0, "additionalGids": inputs.container.security.groups },
        "args": args,
        "env": env,
        "cwd": cwd,
        "capabilities": {
            "bounding": capabilities,
            "effective": held,
            "permitted": held,
            "inheritable": [],
            "ambient": [],
        },
        "rlimits": [nofile(inputs.node)],
    });
    if inputs.container.security.no_new_privileges {
        process["noNewPrivileges"] = json!(true);
    }
    if let Some(profile) = &inputs.apparmor {
        process["apparmorProfile"] = json!(profile);
    }
    if let Some(label) = inputs.selinux.as_ref().and_then(|labels| labels.process.as_ref()) {
        process["selinuxLabel"] = json!(label);
    }
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
