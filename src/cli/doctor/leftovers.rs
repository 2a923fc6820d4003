//! What is there and belongs to no pod: of agents that died, of boots before, of pods whose manifests went.
//!
//! The agent removes such things by itself, at its start or after the first clean look at the manifests; where they stay
//! there is a reason, which is worth knowing.

use std::collections::BTreeSet;
use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use super::mounts;
use super::{Findings, Place};
use crate::cgroup::Hierarchy;
use crate::cli::space::{human, taken};

/// Things of one kind that are named; the others are counted.
const NAMED: usize = 3;
/// For how long each is counted.
const PATIENCE: std::time::Duration = std::time::Duration::from_millis(300);

pub fn check(place: &Place) -> Findings {
    let mut findings = Findings::new("leftovers");
    let boot = boot(&mut findings, place);
    let Some(pods) = names(&mut findings, &place.runtime.pods()) else { return findings };
    let data = names(&mut findings, &place.data.pods()).unwrap_or_default();
    if boot {
        runtime(&mut findings, place, &pods);
    }
    groups(&mut findings, place, &pods);
    volumes(&mut findings, place, &pods, &data);
    logs(&mut findings, place, &pods, &data);
    links(&mut findings, &place.log_dir.with_file_name("containers"), &place.log_dir);
    mounted(&mut findings, place);
    if findings.found.is_empty() {
        findings.ok("nothing is left over");
    }
    findings
}

/// Names in a directory; none where it is not there, `None` where it may not be read, which is told.
fn names(findings: &mut Findings, directory: &Path) -> Option<BTreeSet<String>> {
    match fs::read_dir(directory) {
        Ok(entries) => {
            Some(entries.flatten().filter_map(|entry| entry.file_name().into_string().ok()).collect())
        }
        Err(error) if error.kind() == ErrorKind::NotFound => Some(BTreeSet::new()),
        Err(error) => {
            findings.unseen(directory, &error);
            None
        }
    }
}

/// Tells of `these`, if there are any: the first by name.
fn tell<'a>(findings: &mut Findings, what: &str, these: impl IntoIterator<Item = &'a String>, fix: &str) {
    let these: Vec<&String> = these.into_iter().collect();
    if these.is_empty() {
        return;
    }
    let named: Vec<&str> = these.iter().take(NAMED).map(|name| name.as_str()).collect();
    let more = match these.len().saturating_sub(NAMED) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    findings.warning(format!("{what}: {}{more}", named.join(", ")), fix);
}

/// Whether the runtime directory is of this boot.
fn boot(findings: &mut Findings, place: &Place) -> bool {
    let now = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    match fs::read_to_string(place.runtime.boot_id()) {
        Ok(known) if known != now => {
            findings.warning(
                format!(
                    "{} is of an earlier boot: nothing in it is true any more",
                    place.runtime.root().display()
                ),
                "start the agent: it clears it; a tmpfs there would end with the boot",
            );
            false
        }
        _ => true,
    }
}

/// Directories in the runtime directory that are no pods.
fn runtime(findings: &mut Findings, place: &Place, pods: &BTreeSet<String>) {
    let broken = pods.iter().filter(|uid| !place.runtime.pod(uid).spec().exists());
    let what = format!("directories in {} that are no pods", place.runtime.pods().display());
    tell(findings, &what, broken, "restart the agent: it removes them");
}

/// cgroups of pods that nobody knows.
fn groups(findings: &mut Findings, place: &Place, pods: &BTreeSet<String>) {
    let Ok(hierarchy) = Hierarchy::detect(&place.cgroup_root) else { return };
    let present = match hierarchy.pods_present() {
        Ok(present) => present,
        Err(error) => return findings.warning(format!("{error:#}"), ""),
    };
    for (uid, path) in present.iter().filter(|(uid, _)| !pods.contains(*uid)) {
        let what = match hierarchy.is_empty(path) {
            Ok(true) => format!("cgroup {path} belongs to no pod"),
            _ => format!("cgroup {path} belongs to no pod, and processes run in it"),
        };
        let theirs = place.agent_runs != Some(true) && place.node.is_none();
        let fix = match theirs {
            true => format!("if no kubelet has a pod {uid}: start the agent, it ends and removes it"),
            false => "restart the agent: it ends and removes it".to_string(),
        };
        findings.warning(what, fix);
    }
}

/// Volumes of pods that are not there.
fn volumes(findings: &mut Findings, place: &Place, pods: &BTreeSet<String>, data: &BTreeSet<String>) {
    let orphans: Vec<&String> = data.iter().filter(|uid| !pods.contains(*uid)).collect();
    if orphans.is_empty() {
        return;
    }
    let bytes: u64 = orphans.iter().map(|uid| taken(&place.data.pods().join(uid), PATIENCE).0).sum();
    let what = format!("volumes of pods that are gone in {} ({})", place.data.pods().display(), human(bytes));
    let fix =
        "the agent removes them once every file of the manifests directory is right and one is accepted";
    tell(findings, &what, orphans, fix);
}

/// Logs of pods that are not there.
fn logs(findings: &mut Findings, place: &Place, pods: &BTreeSet<String>, data: &BTreeSet<String>) {
    let Some(names) = names(findings, &place.log_dir) else { return };
    let orphans: Vec<&String> = names.iter().filter(|name| is_of_nobody(name, pods, data)).collect();
    if orphans.is_empty() {
        return;
    }
    let bytes: u64 = orphans.iter().map(|name| taken(&place.log_dir.join(name), PATIENCE).0).sum();
    let what = format!("logs of pods that are gone in {} ({})", place.log_dir.display(), human(bytes));
    tell(findings, &what, orphans, "remove them if no other kubelet on this machine has such pods");
}

/// `<namespace>_<name>_<uid>` of a pod that is neither in the runtime directory nor in the data directory.
fn is_of_nobody(name: &str, pods: &BTreeSet<String>, data: &BTreeSet<String>) -> bool {
    let mut parts = name.rsplitn(2, '_');
    let (uid, rest) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    rest.contains('_') && !pods.contains(uid) && !data.contains(uid)
}

/// Links to logs that are gone.
fn links(findings: &mut Findings, links: &Path, logs: &Path) {
    let Some(names) = names(findings, links) else { return };
    let dangling = |name: &&String| {
        let link = links.join(name.as_str());
        fs::read_link(&link).is_ok_and(|target| target.starts_with(logs) && !target.exists())
    };
    let what = format!("links to logs that are gone in {}", links.display());
    tell(
        findings,
        &what,
        names.iter().filter(dangling),
        &format!("remove them: find {} -xtype l -delete", links.display()),
    );
}

/// Mounts below our directories in the node's own table: those of pods are in their own.
fn mounted(findings: &mut Findings, place: &Place) {
    let table = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let (pods, own) = (place.runtime.pods(), place.data.own());
    let mounts = mounts::mounts(&table).into_iter().map(|mount| mount.at);
    let left: Vec<String> = mounts
        .filter(|at| (at.starts_with(&pods) && *at != pods) || (at.starts_with(&own) && *at != own))
        .map(|at| at.display().to_string())
        .collect();
    tell(findings, "mounts that no pod holds", &left, "unmount them by `umount`; the agent makes none here");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logs_of_nobody_are_told_by_the_uid_in_their_name() {
        let (pods, data) = (["a".to_string()].into(), ["b".to_string()].into());
        let of_nobody = |name: &str| is_of_nobody(name, &pods, &data);
        assert!(!of_nobody("default_web_a") && !of_nobody("default_web_b"));
        assert!(of_nobody("default_web_c"));
        // Not of our making.
        assert!(!of_nobody("web_c") && !of_nobody("c") && !of_nobody(""));
    }

    #[test]
    fn of_many_the_first_are_named() {
        let mut findings = Findings::new("leftovers");
        tell(&mut findings, "x", &[], "fix");
        assert_eq!(findings.found, []);
        let names: Vec<String> = (1..=5).map(|number| number.to_string()).collect();
        tell(&mut findings, "x", &names, "fix");
        assert_eq!(findings.found[0].what, "x: 1, 2, 3 and 2 more");
    }
}
