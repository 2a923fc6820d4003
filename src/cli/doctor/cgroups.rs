//! cgroups: which version, which controllers, and whether they may be handed down.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use super::{Findings, Place};
use crate::cgroup::{Hierarchy, device_programs};
use crate::host::machine::text;

/// Where cgroups are mounted.
const MOUNT: &str = "/sys/fs/cgroup";
/// Where a Raspberry Pi keeps its kernel's command line: since Debian 12, and before.
const CMDLINES: [&str; 2] = ["/boot/firmware/cmdline.txt", "/boot/cmdline.txt"];
/// What switches the memory controller on.
const WORDS: [&str; 2] = ["cgroup_enable=memory", "cgroup_memory=1"];

pub fn check(place: &Place) -> Findings {
    let mut findings = Findings::new("cgroups");
    let hierarchy = match Hierarchy::detect(&place.cgroup_root) {
        Ok(hierarchy) => hierarchy,
        Err(error) => {
            // The sentence says what to do.
            findings.problem(format!("{error:#}"), "");
            return findings;
        }
    };
    let controllers = match hierarchy.unified() {
        true => {
            findings.ok("cgroup v2");
            devices(&mut findings);
            delegation(&mut findings, &place.cgroup_root);
            words(&Path::new(MOUNT).join("cgroup.controllers"))
        }
        false => {
            findings.ok("cgroup v1");
            enabled(&fs::read_to_string("/proc/cgroups").unwrap_or_default())
        }
    };
    memory(&mut findings, controllers.contains("memory"));
    for (name, loss, option) in [
        ("cpu", "CPU requests and limits are not applied", "CONFIG_CGROUP_SCHED"),
        ("pids", "a container that forks without end is not held", "CONFIG_CGROUP_PIDS"),
    ] {
        if controllers.contains(name) {
            findings.ok(format!("controller {name}"));
        } else {
            let what = format!("there is no {name} controller: {loss}");
            findings.warning(what, format!("use a kernel with {option}"));
        }
    }
    findings
}

/// v2: whether containers can be kept from the node's devices. Only root can tell.
fn devices(findings: &mut Findings) {
    match device_programs() {
        Ok(()) => findings.ok("programs that decide about devices"),
        Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {}
        Err(_) => findings.warning(
            "the kernel cannot restrict devices on cgroup v2: containers get no CAP_MKNOD, and device nodes of images do \
             not work",
            "use a kernel with CONFIG_CGROUP_BPF",
        ),
    }
}

fn memory(findings: &mut Findings, there: bool) {
    if there {
        findings.ok("controller memory");
        return;
    }
    let cmdline = text("/proc/cmdline").unwrap_or_default();
    let model = text("/proc/device-tree/model").unwrap_or_default();
    let file = CMDLINES.iter().find_map(|path| Some((*path, text(path)?)));
    let file = file.as_ref().map(|(path, line)| (*path, line.as_str()));
    findings.warning(
        "there is no memory controller: memory limits are not applied, and one pod can take all memory",
        advice(&cmdline, &model, file),
    );
}

/// How to get the memory controller: the very line where there is a file for it.
fn advice(cmdline: &str, model: &str, file: Option<(&str, &str)>) -> String {
    let off = cmdline.split(' ').any(|word| word == "cgroup_disable=memory");
    match file {
        Some((path, line)) if model.contains("Raspberry Pi") || off => {
            let kept = line
                .split_whitespace()
                .filter(|word| !WORDS.contains(word) && *word != "cgroup_disable=memory");
            let line: Vec<&str> = kept.chain(WORDS).collect();
            format!("make the one line of {path} this, and reboot: {}", line.join(" "))
        }
        _ if off => {
            format!(
                "take cgroup_disable=memory out of the kernel's command line, add {}, and reboot",
                WORDS.join(" ")
            )
        }
        _ => format!(
            "add {} to the kernel's command line and reboot, or use a kernel with CONFIG_MEMCG",
            WORDS.join(" ")
        ),
    }
}

/// v2: whether each group on the way to the pods' may hand controllers down.
fn delegation(findings: &mut Findings, root: &str) {
    let mut group = PathBuf::from(MOUNT);
    for part in root.split('/').filter(|part| !part.is_empty()) {
        group.push(part);
        if !group.exists() {
            // The agent makes it.
            break;
        }
        let processes = fs::read_to_string(group.join("cgroup.procs")).unwrap_or_default();
        if !processes.trim().is_empty() {
            let count = processes.lines().count();
            findings.problem(
                format!(
                    "cgroup {} holds {count} processes, so that it cannot hand controllers down",
                    group.display()
                ),
                "name an empty group by --cgroup-root, or move these processes into a group below it",
            );
        }
        let able = words(&group.join("cgroup.controllers"));
        for name in ["cpu", "memory", "pids"].into_iter().filter(|name| !able.contains(*name)) {
            let above = group.parent().unwrap_or(&group).join("cgroup.subtree_control");
            if words(&Path::new(MOUNT).join("cgroup.controllers")).contains(name) {
                findings.warning(
                    format!("cgroup {} was not given the controller {name}", group.display()),
                    format!("as root: echo +{name} > {}; under systemd set Delegate=yes", above.display()),
                );
            }
        }
    }
}

fn words(path: &Path) -> BTreeSet<String> {
    let text = fs::read_to_string(path).unwrap_or_default();
    text.split_whitespace().map(str::to_string).collect()
}

/// Controllers of `/proc/cgroups` that are on, and in a v1 hierarchy: `memory 5 80 1`.
fn enabled(table: &str) -> BTreeSet<String> {
    let rows = table
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| line.split_whitespace().collect::<Vec<_>>());
    let on = rows.filter(|row| row.len() == 4 && row[1] != "0" && row[3] == "1");
    on.map(|row| row[0].to_string()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_raspberry_pi_is_told_the_very_line() {
        let line = "console=serial0,115200 root=PARTUUID=1 rootwait cgroup_disable=memory";
        let said = advice(line, "Raspberry Pi 3 Model B Rev 1.2", Some(("/boot/firmware/cmdline.txt", line)));
        assert_eq!(
            said,
            "make the one line of /boot/firmware/cmdline.txt this, and reboot: console=serial0,115200 root=PARTUUID=1 \
             rootwait cgroup_enable=memory cgroup_memory=1"
        );
        let said = advice("quiet", "Raspberry Pi 4", None);
        assert!(said.starts_with("add cgroup_enable=memory cgroup_memory=1 to the kernel's"), "{said}");
        let said = advice("quiet cgroup_disable=memory", "", None);
        assert!(said.starts_with("take cgroup_disable=memory out"), "{said}");
        // A file of that name on another machine may be anything.
        let said = advice("quiet", "", Some(("/boot/cmdline.txt", "x")));
        assert!(!said.contains("cmdline.txt"), "{said}");
    }

    #[test]
    fn a_controller_that_is_off_or_on_no_v1_hierarchy_is_none() {
        let table =
            "#subsys_name\thierarchy\tnum_cgroups\tenabled\ncpu\t3\t80\t1\nmemory\t0\t1\t0\npids\t0\t5\t1\n";
        assert_eq!(enabled(table), ["cpu".to_string()].into());
    }
}
