//! Probes.

use ::core::net::IpAddr;

use k8s_openapi::api::core::v1 as core;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::{complain, names, one_of, without_nul};
use crate::manifest::probe::port as number_of;
use crate::manifest::problems::Problems;
use crate::spec::ProbeKind;
use crate::yaml::tree::Path;

/// Checks the probes of `container`.
pub fn all(container: &core::Container, path: &Path, problems: &mut Problems<'_>) {
    for (field, kind, probe) in [
        ("startupProbe", ProbeKind::Startup, &container.startup_probe),
        ("livenessProbe", ProbeKind::Liveness, &container.liveness_probe),
        ("readinessProbe", ProbeKind::Readiness, &container.readiness_probe),
    ] {
        if let Some(probe) = probe {
            check(probe, kind, container, &path.key(field), problems);
        }
    }
}

fn check(
    probe: &core::Probe,
    kind: ProbeKind,
    container: &core::Container,
    path: &Path,
    problems: &mut Problems<'_>,
) {
    numbers(probe, kind, path, problems);
    let handlers =
        [probe.exec.is_some(), probe.http_get.is_some(), probe.tcp_socket.is_some(), probe.grpc.is_some()];
    match handlers.iter().filter(|there| **there).count() {
        1 => {}
        0 => problems.error(path, "asks nothing", "add one of exec, httpGet, tcpSocket, grpc"),
        _ => problems.error(
            path,
            "must not ask in more than one way",
            "keep one of exec, httpGet, tcpSocket, grpc",
        ),
    }
    if let Some(exec) = &probe.exec {
        command(exec, &path.key("exec").key("command"), problems);
    }
    if let Some(get) = &probe.http_get {
        http_get(get, container, &path.key("httpGet"), problems);
    }
    if let Some(socket) = &probe.tcp_socket {
        let path = path.key("tcpSocket");
        host(socket.host.as_deref(), &path.key("host"), problems);
        port(&socket.port, container, &path.key("port"), problems);
    }
    if let Some(asked) = &probe.grpc {
        grpc(asked, &path.key("grpc"), problems);
    }
}

/// A name of a port is none here: the field is a number.
fn grpc(grpc: &core::GRPCAction, path: &Path, problems: &mut Problems<'_>) {
    if !(1..=i32::from(u16::MAX)).contains(&grpc.port) {
        problems.error(&path.key("port"), "must be between 1 and 65535", "");
    }
    // What fits into the one frame that every server takes.
    if grpc.service.as_ref().is_some_and(|service| LONGEST_SERVICE < service.len()) {
        problems.error(&path.key("service"), format!("must be no longer than {LONGEST_SERVICE} bytes"), "");
    }
}

/// Longest name of a service. Kubernetes has no limit.
const LONGEST_SERVICE: usize = 8 * 1024;

/// Checks the command of a probe or a hook.
pub fn command(exec: &core::ExecAction, path: &Path, problems: &mut Problems<'_>) {
    let command = exec.command.as_deref().unwrap_or_default();
    if command.is_empty() {
        problems.error(path, "must not be empty", "name a program of the container");
    }
    for (index, word) in command.iter().enumerate() {
        without_nul(&path.index(index), word, problems);
    }
}

fn numbers(probe: &core::Probe, kind: ProbeKind, path: &Path, problems: &mut Problems<'_>) {
    for (field, value) in [
        ("initialDelaySeconds", probe.initial_delay_seconds),
        ("timeoutSeconds", probe.timeout_seconds),
        ("periodSeconds", probe.period_seconds),
        ("successThreshold", probe.success_threshold),
        ("failureThreshold", probe.failure_threshold),
    ] {
        if value.is_some_and(|value| value < 0) {
            problems.error(&path.key(field), "must not be negative", "");
        }
    }
    if kind != ProbeKind::Readiness && probe.success_threshold.is_some_and(|threshold| 1 < threshold) {
        let message = format!("must be 1 for a {} probe", kind.word());
        problems.error(&path.key("successThreshold"), message, "remove it");
    }
    let path = path.key("terminationGracePeriodSeconds");
    match probe.termination_grace_period_seconds {
        None => {}
        Some(_) if kind == ProbeKind::Readiness => {
            problems.error(&path, "must not be set: a readiness probe ends nothing", "remove it");
        }
        Some(1..=super::MAX_GRACE) => {}
        Some(_) => {
            problems.error(&path, format!("must be between 1 and {} seconds", super::MAX_GRACE), "");
        }
    }
}

/// Checks the request of a probe or a hook.
pub fn http_get(
    get: &core::HTTPGetAction,
    container: &core::Container,
    path: &Path,
    problems: &mut Problems<'_>,
) {
    one_of(&path.key("scheme"), get.scheme.as_deref(), &["HTTP", "HTTPS"], problems);
    host(get.host.as_deref(), &path.key("host"), problems);
    port(&get.port, container, &path.key("port"), problems);
    for (index, header) in get.http_headers.iter().flatten().enumerate() {
        let path = path.key("httpHeaders").index(index);
        let part = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        if header.name.is_empty() || !header.name.bytes().all(part) {
            problems.error(&path.key("name"), "must be letters, digits and '-', like X-Probe", "");
        }
        // What ends a line would begin another header, or another request.
        if header.value.bytes().any(|byte| byte != b'\t' && byte.is_ascii_control()) {
            problems.error(&path.key("value"), "must not contain control characters", "");
        }
    }
}

/// Names are not looked up: a probe that asks the name servers would tell their state too.
fn host(host: Option<&str>, path: &Path, problems: &mut Problems<'_>) {
    let host = host.unwrap_or_default();
    if !host.is_empty() && host != "localhost" && host.parse::<IpAddr>().is_err() {
        let fix = "write an address, or remove it to ask the pod; a name goes into an httpHeader called Host";
        problems.error(path, "not supported yet: names of hosts in probes and hooks", fix);
    }
}

fn port(port: &IntOrString, container: &core::Container, path: &Path, problems: &mut Problems<'_>) {
    if number_of(port, container.ports.as_deref().unwrap_or_default()).is_some() {
        return;
    }
    match port {
        IntOrString::String(name) if names::port_name(name).is_none() => {
            let message = format!("no port of the container is called {name:?}");
            problems.error(path, message, "add it under ports, or write its number");
        }
        IntOrString::String(name) if name.bytes().any(|byte| !byte.is_ascii_digit()) => {
            complain(path, names::port_name(name), problems);
        }
        _ => problems.error(path, "must be between 1 and 65535", ""),
    }
}
