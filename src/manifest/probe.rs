//! Probes that were defaulted and validated, as plain data.

use std::time::Duration;

use k8s_openapi::api::core::v1 as core;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use crate::spec::{Check, HttpGet, Probe, Probes, Scheme};

/// The probes of `container`.
pub fn all(container: &mut core::Container) -> Probes {
    let ports = container.ports.as_deref().unwrap_or_default();
    Probes {
        startup: container.startup_probe.take().and_then(|probe| one(probe, ports)),
        liveness: container.liveness_probe.take().and_then(|probe| one(probe, ports)),
        readiness: container.readiness_probe.take().and_then(|probe| one(probe, ports)),
    }
}

/// The number of `port`; a name is one of `ports`, the container's, or a number after all.
pub fn port(port: &IntOrString, ports: &[core::ContainerPort]) -> Option<u16> {
    let number = match port {
        IntOrString::Int(number) => *number,
        IntOrString::String(name) => {
            let named = ports.iter().find(|port| port.name.as_ref() == Some(name));
            named.map(|port| port.container_port).or_else(|| name.parse().ok())?
        }
    };
    u16::try_from(number).ok().filter(|number| *number != 0)
}

fn one(probe: core::Probe, ports: &[core::ContainerPort]) -> Option<Probe> {
    Some(Probe {
        check: check(probe.exec, probe.http_get, probe.tcp_socket, probe.grpc, ports)?,
        initial_delay: seconds(probe.initial_delay_seconds),
        timeout: seconds(probe.timeout_seconds),
        period: seconds(probe.period_seconds),
        success_threshold: count(probe.success_threshold),
        failure_threshold: count(probe.failure_threshold),
        grace: probe
            .termination_grace_period_seconds
            .map(|grace| Duration::from_secs(u64::try_from(grace).unwrap_or_default())),
    })
}

/// What a probe or a hook asks, of the three that ask something.
pub fn check(
    exec: Option<core::ExecAction>,
    get: Option<core::HTTPGetAction>,
    socket: Option<core::TCPSocketAction>,
    grpc: Option<core::GRPCAction>,
    ports: &[core::ContainerPort],
) -> Option<Check> {
    let host = |host: Option<String>| host.filter(|host| !host.is_empty());
    match (exec, get, socket, grpc) {
        (Some(exec), ..) => Some(Check::Exec(exec.command.unwrap_or_default())),
        (_, Some(get), ..) => {
            let path = get.path.unwrap_or_default();
            let headers = get.http_headers.unwrap_or_default().into_iter();
            let https = get.scheme.as_deref() == Some("HTTPS");
            Some(Check::Http(HttpGet {
                scheme: if https { Scheme::Https } else { Scheme::Http },
                host: host(get.host),
                port: port(&get.port, ports)?,
                path: if path.starts_with('/') { path } else { format!("/{path}") },
                headers: headers.map(|header| (header.name, header.value)).collect(),
            }))
        }
        (_, _, Some(socket), _) => {
            Some(Check::Tcp { host: host(socket.host), port: port(&socket.port, ports)? })
        }
        (.., Some(grpc)) => {
            let port = port(&IntOrString::Int(grpc.port), ports)?;
            Some(Check::Grpc { port, service: grpc.service.unwrap_or_default() })
        }
        _ => None,
    }
}

fn seconds(seconds: Option<i32>) -> Duration {
    Duration::from_secs(count(seconds).into())
}

fn count(number: Option<i32>) -> u32 {
    u32::try_from(number.unwrap_or_default()).unwrap_or_default()
}
