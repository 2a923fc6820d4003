//! What a container does besides running, defaulted and validated, as plain data.

use std::time::Duration;

use k8s_openapi::api::core::v1 as core;

use super::probe;
use crate::spec::{Check, Hook, Hooks, TerminationMessage};

/// Where `container` says its last words.
pub fn last_words(container: &mut core::Container) -> TerminationMessage {
    let path = container.termination_message_path.take().unwrap_or_default();
    TerminationMessage {
        // As the kubelet: what is not absolute is so from the root.
        path: if path.starts_with('/') { path } else { format!("/{path}") },
        or_log: container.termination_message_policy.as_deref() == Some("FallbackToLogsOnError"),
    }
}

/// The hooks of `container`.
pub fn hooks(container: &mut core::Container) -> Hooks {
    let ports = container.ports.as_deref().unwrap_or_default();
    let Some(lifecycle) = &mut container.lifecycle else { return Hooks::default() };
    Hooks {
        post_start: lifecycle.post_start.take().and_then(|hook| one(hook, ports)),
        pre_stop: lifecycle.pre_stop.take().and_then(|hook| one(hook, ports)),
    }
}

fn one(hook: core::LifecycleHandler, ports: &[core::ContainerPort]) -> Option<Hook> {
    if let Some(sleep) = hook.sleep {
        return Some(Hook::Sleep(Duration::from_secs(u64::try_from(sleep.seconds).unwrap_or_default())));
    }
    match probe::check(hook.exec, hook.http_get, None, None, ports)? {
        Check::Exec(command) => Some(Hook::Exec(command)),
        Check::Http(get) => Some(Hook::Http(get)),
        Check::Tcp { .. } | Check::Grpc { .. } => None,
    }
}
