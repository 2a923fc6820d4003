//! The order of containers in virtual time: acceptance sections 3, 4 and 5.

mod tests;

use std::sync::Arc;
use std::time::Duration;

use super::Told::{Ends, Fails, Hangs, Happens, Shown};
use super::{ALWAYS, Told, check, end, gone, lost, pod};
use crate::lifecycle::Event;
use crate::spec::{
    Check, Container, Pod, Probe, Probes, RestartAction, RestartPolicy, RestartRule, Role, Uid,
};
use crate::status::Reason;

pub(super) const NEVER: RestartPolicy = RestartPolicy::Never;
pub(super) const ON_FAILURE: RestartPolicy = RestartPolicy::OnFailure;

/// A pod of these containers: `i…` are init containers, `s…` sidecars, others regular.
pub(super) fn of(policy: RestartPolicy, names: &[&str]) -> Pod {
    let mut pod = Pod::clone(&pod("web", "web", policy));
    pod.containers = names.iter().map(|name| container(name)).collect();
    pod
}

pub(super) fn container(name: &str) -> Container {
    let role = match name.as_bytes()[0] {
        b'i' => Role::Init,
        b's' => Role::Sidecar,
        _ => Role::Regular,
    };
    Container { name: name.into(), image: "nginx:1".into(), role, ..Container::default() }
}

pub(super) fn set(pod: Pod) -> (u64, Told) {
    (0, Happens(Event::ManifestSet(Arc::new(pod))))
}

pub(super) fn tick(at: u64) -> (u64, Told) {
    (at, Happens(Event::Tick))
}

/// Run `attempt` of `container` ends at second `at`.
pub(super) fn exited(at: u64, container: &str, attempt: u32, code: i32) -> (u64, Told) {
    exited_in(0, at, container, attempt, code)
}

pub(super) fn exited_in(sandbox: u32, at: u64, container: &str, attempt: u32, code: i32) -> (u64, Told) {
    let end = crate::lifecycle::RunEnd { container: container.into(), ..end(at, attempt, code, 1) };
    (at, Happens(Event::Exited { uid: Uid("web".into()), sandbox, end }))
}
