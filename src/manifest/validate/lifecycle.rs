//! The hooks of a container, how it is asked to stop, and where it says its last words.

use k8s_openapi::api::core::v1 as core;

use super::{one_of, probe, without_nul};
use crate::manifest::problems::Problems;
use crate::yaml::tree::Path;

/// The real-time signals that Kubernetes knows by name: so many from either end.
const FROM_FIRST: i32 = 15;
const FROM_LAST: i32 = 14;

/// The other ones (`validateStopSignal`), without `SIG`.
const SIGNALS: &[&str] = &[
    "ABRT", "ALRM", "BUS", "CHLD", "CLD", "CONT", "FPE", "HUP", "ILL", "INT", "IO", "IOT", "KILL", "PIPE",
    "POLL", "PROF", "PWR", "QUIT", "SEGV", "STKFLT", "STOP", "SYS", "TERM", "TRAP", "TSTP", "TTIN", "TTOU",
    "URG", "USR1", "USR2", "VTALRM", "WINCH", "XCPU", "XFSZ",
];

/// Checks how `container` of `spec` ends.
pub fn check(container: &core::Container, spec: &core::PodSpec, path: &Path, problems: &mut Problems<'_>) {
    last_words(container, path, problems);
    let Some(lifecycle) = &container.lifecycle else { return };
    let path = path.key("lifecycle");
    if let Some(signal) = &lifecycle.stop_signal {
        stop_signal(signal, spec, &path.key("stopSignal"), problems);
    }
    for (field, given) in [("postStart", &lifecycle.post_start), ("preStop", &lifecycle.pre_stop)] {
        if let Some(given) = given {
            hook(given, container, spec, &path.key(field), problems);
        }
    }
}

fn hook(
    hook: &core::LifecycleHandler,
    container: &core::Container,
    spec: &core::PodSpec,
    path: &Path,
    problems: &mut Problems<'_>,
) {
    let handlers =
        [hook.exec.is_some(), hook.http_get.is_some(), hook.sleep.is_some(), hook.tcp_socket.is_some()];
    match handlers.iter().filter(|there| **there).count() {
        1 => {}
        0 => problems.error(path, "does nothing", "add one of exec, httpGet, sleep"),
        _ => problems.error(path, "must not do more than one thing", "keep one of exec, httpGet, sleep"),
    }
    if let Some(exec) = &hook.exec {
        probe::command(exec, &path.key("exec").key("command"), problems);
    }
    if let Some(get) = &hook.http_get {
        probe::http_get(get, container, &path.key("httpGet"), problems);
    }
    if let Some(sleep) = &hook.sleep {
        let grace = spec.termination_grace_period_seconds.unwrap_or_default();
        if !(0..=grace).contains(&sleep.seconds) {
            let message = format!("must be between 0 and terminationGracePeriodSeconds, which is {grace}");
            problems.error(&path.key("sleep").key("seconds"), message, "");
        }
    }
}

fn stop_signal(signal: &str, spec: &core::PodSpec, path: &Path, problems: &mut Problems<'_>) {
    if spec.os.as_ref().is_none_or(|os| os.name.is_empty()) {
        let fix = "add spec.os: {name: linux}";
        problems.error(path, "must not be set while spec.os.name is empty", fix);
    } else if !is_known(signal) {
        problems.error(path, format!("{signal:?} is not the name of a signal"), "write it like SIGUSR1");
    }
}

fn is_known(signal: &str) -> bool {
    let Some(name) = signal.strip_prefix("SIG") else { return false };
    let offset = |from: &str, sign: &str| name.strip_prefix(from).and_then(|rest| rest.strip_prefix(sign));
    let written = |offset: &str, most: i32| (1..=most).any(|number| number.to_string() == offset);
    SIGNALS.contains(&name)
        || matches!(name, "RTMIN" | "RTMAX")
        || offset("RTMIN", "+").is_some_and(|offset| written(offset, FROM_FIRST))
        || offset("RTMAX", "-").is_some_and(|offset| written(offset, FROM_LAST))
}

fn last_words(container: &core::Container, path: &Path, problems: &mut Problems<'_>) {
    let known = ["File", "FallbackToLogsOnError"];
    let policy = container.termination_message_policy.as_deref();
    one_of(&path.key("terminationMessagePolicy"), policy, &known, problems);
    let path = path.key("terminationMessagePath");
    let file = container.termination_message_path.as_deref().unwrap_or_default();
    without_nul(&path, file, problems);
    let parts: Vec<_> = file.split('/').filter(|part| !matches!(*part, "" | ".")).collect();
    if parts.contains(&"..") {
        problems.error(&path, "must not contain '..'", "");
    } else if matches!(parts.as_slice(), [] | ["dev"] | ["proc", ..]) {
        problems.error(&path, "must be a file that may be there", "leave it out for /dev/termination-log");
    }
}
