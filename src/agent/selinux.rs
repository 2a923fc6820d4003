//! Labels of SELinux, which containers have where the node is to give them (`selinux: true`), as with k3s.
//!
//! The parts of a label that its pod does not say are containerd's. Its level is the pod's own, so that no policy lets a pod near
//! the files of another; which levels are taken is read from each pod's `sandbox.json`.

use std::hash::{DefaultHasher, Hash, Hasher};

use super::world::World;
use crate::bundle::Labels;
use crate::protocol::Sandbox;
use crate::spec::{Container, Pod, SelinuxOptions};
use crate::status::{Failure, Reason};
use crate::sys::selinux::{self, Here};

/// Categories of a policy for many tenants, as Fedora's and Debian's have them.
const CATEGORIES: u64 = 1024;

/// The level for `pod`: the one it had, or one that none of `others` has. None where containers get no labels.
pub fn allot(world: &World, pod: &Pod, others: &[Sandbox]) -> Option<String> {
    if !world.config.selinux || selinux::here() == Here::Nothing {
        return None;
    }
    let (own, others): (Vec<_>, Vec<_>) = others.iter().partition(|sandbox| sandbox.uid == pod.uid.0);
    let had = own.into_iter().find_map(|sandbox| sandbox.selinux_level.clone());
    let taken: Vec<_> = others.iter().filter_map(|sandbox| sandbox.selinux_level.as_deref()).collect();
    Some(had.unwrap_or_else(|| free(&pod.uid.0, &taken)))
}

/// Two categories that none of `taken` has, from a place in their list that is the pod's.
fn free(uid: &str, taken: &[&str]) -> String {
    let mut hasher = DefaultHasher::new();
    uid.hash(&mut hasher);
    let mut place = hasher.finish();
    loop {
        let (one, other) = (place % CATEGORIES, place / CATEGORIES % CATEGORIES);
        let level = format!("s0:c{},c{}", one.min(other), one.max(other));
        if one != other && !taken.contains(&level.as_str()) {
            return level;
        }
        place = place.wrapping_add(1);
    }
}

/// The labels of `container`, whose pod has `level`. None where the kernel has no SELinux, as with any container runtime,
/// or the node is not to give any and nobody asks for some.
///
/// Fails with `CreateContainerError` where what it asks for cannot be had, or the policy does not know it.
pub fn labels(world: &World, container: &Container, level: Option<&str>) -> Result<Option<Labels>, Failure> {
    let security = &container.security;
    let asked = security.selinux_options.is_some() && !security.privileged;
    let wrong = |why: &str| {
        let message = format!("container {}: seLinuxOptions: {why}", container.name);
        Failure::new(Reason::CreateContainerError, message)
    };
    match (selinux::here(), level) {
        (Here::Nothing, _) => return Ok(None),
        (_, None) if !asked => return Ok(None),
        (_, None) if !world.config.selinux => {
            return Err(wrong(
                "this node has SELinux, and gives no labels: say selinux: true in its config.yaml, and start the agent again",
            ));
        }
        (_, None) => {
            return Err(wrong(
                "the pod began when the node gave no labels; change the manifest, be it a label, and the pod gets a new one",
            ));
        }
        (Here::NoPolicy, _) => {
            return Err(wrong(
                "the kernel has SELinux without a policy: load one, start the node without SELinux, or say selinux: false",
            ));
        }
        (Here::Policy, Some(_)) => {}
    }
    let labels = compose(security.selinux_options.as_ref(), level.unwrap_or_default());
    for label in [&labels.0, &labels.1] {
        let known = || selinux::is_known(label).map_err(|error| wrong(&format!("ask for {label}: {error}")));
        if !plain(label) || !known()? {
            return Err(wrong(&format!(
                "the policy of this node has no label {label:?}; change the options, or load the policy of container-selinux"
            )));
        }
    }
    Ok(Some(Labels { process: (!security.privileged).then_some(labels.0), file: labels.1 }))
}

/// Labels of process and files (containerd's `container_t`, and whose options count for what: its `InitLabels`).
fn compose(options: Option<&SelinuxOptions>, level: &str) -> (String, String) {
    let none = SelinuxOptions::default();
    let options = options.unwrap_or(&none);
    let or = |option: &Option<String>, default: &str| option.clone().unwrap_or_else(|| default.to_owned());
    let (user, level) = (or(&options.user, "system_u"), or(&options.level, level));
    let (role, kind) = (or(&options.role, "system_r"), or(&options.kind, "container_t"));
    (format!("{user}:{role}:{kind}:{level}"), format!("{user}:object_r:container_file_t:{level}"))
}

/// Whether there is nothing in `label` that would be more than a label among the options of a mount.
fn plain(label: &str) -> bool {
    label
        .chars()
        .all(|letter| letter.is_ascii_alphanumeric() || matches!(letter, '_' | '-' | '.' | ':' | ','))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_of_a_pod_count_and_what_they_leave_is_containerds() {
        let options = |user: &str, role: &str, kind: &str, level: &str| {
            let said = |option: &str| (!option.is_empty()).then(|| option.to_owned());
            SelinuxOptions { user: said(user), role: said(role), kind: said(kind), level: said(level) }
        };
        let check = |options: Option<SelinuxOptions>, process: &str, file: &str| {
            let found = compose(options.as_ref(), "s0:c1,c2");
            assert_eq!(found, (process.to_owned(), file.to_owned()), "{options:?}");
        };
        check(None, "system_u:system_r:container_t:s0:c1,c2", "system_u:object_r:container_file_t:s0:c1,c2");
        check(
            Some(options("", "", "logger_t", "")),
            "system_u:system_r:logger_t:s0:c1,c2",
            "system_u:object_r:container_file_t:s0:c1,c2",
        );
        check(
            Some(options("u", "r", "t", "s1:c3.c5")),
            "u:r:t:s1:c3.c5",
            "u:object_r:container_file_t:s1:c3.c5",
        );
    }

    #[test]
    fn a_label_is_nothing_more_than_that() {
        for label in ["a:b:c:s0:c1,c2", "a:b:c-d:s0-s1:c0.c1023"] {
            assert!(plain(label), "{label}");
        }
        for label in ["a\",lowerdir=/", "a b", "a\0", "a\\", "a\n", "a=b", "\u{e4}"] {
            assert!(!plain(label), "{label:?}");
        }
    }

    #[test]
    fn levels_are_each_one_pods_alone() {
        let first = free("a", &[]);
        assert_eq!(first, free("a", &[]), "it is the pod's own");
        let mut taken = vec![first];
        for _ in 0..50 {
            let all: Vec<_> = taken.iter().map(String::as_str).collect();
            let next = free("a", &all);
            assert!(!taken.contains(&next), "{next}");
            let categories = next.strip_prefix("s0:c").and_then(|it| it.split_once(",c"));
            let numbers = categories.and_then(|(one, other)| Some((one.parse().ok()?, other.parse().ok()?)));
            assert!(
                numbers.is_some_and(|(one, other): (u64, u64)| one < other && other < CATEGORIES),
                "{next}"
            );
            taken.push(next);
        }
    }
}
