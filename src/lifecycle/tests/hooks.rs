//! Hooks in virtual time: acceptance section 6.

mod tests;

use super::*;
use crate::spec::{Check, Hook, Hooks, Probe, ProbeKind, Probes, RestartAction, RestartRule, Role};

const EXEC: Hook = Hook::Exec(Vec::new());

fn sleep(seconds: u64) -> Hook {
    Hook::Sleep(Duration::from_secs(seconds))
}

/// `web` with these hooks for its container `c`, and containers after it.
fn hooked(post_start: Option<Hook>, pre_stop: Option<Hook>, others: &[&str]) -> Pod {
    let mut pod = Arc::unwrap_or_clone(pod("web", "web", RestartPolicy::Always));
    for name in others {
        pod.containers.push(Container { name: (*name).into(), ..pod.containers[0].clone() });
    }
    pod.containers[0].hooks = Hooks { post_start, pre_stop };
    pod
}

fn set(pod: Pod) -> Event {
    Event::ManifestSet(Arc::new(pod))
}

fn after(hook: Hook) -> Event {
    set(hooked(Some(hook), None, &[]))
}

fn before(hook: Hook) -> Event {
    set(hooked(None, Some(hook), &[]))
}

fn ends_at(at: u64, attempt: u32, code: i32) -> (u64, Told) {
    exited(at, attempt, code)
}

const START: &[&str] = &["PostStart c#0"];
const STOP: &[&str] = &["PreStop c#0"];
