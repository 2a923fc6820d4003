//! What the kernel must have.

use std::fs;
use std::path::Path;

use super::{Findings, Place};
use crate::host::machine::text;

/// The first kernel that can make a mount read-only that is nowhere (`mount_setattr`).
const LEAST: (u32, u32) = (5, 12);

pub fn check(_: &Place) -> Findings {
    let mut findings = Findings::new("kernel");
    let release = text("/proc/sys/kernel/osrelease").unwrap_or_default();
    version(&mut findings, &release);
    for (namespace, option) in
        [("mnt", "NAMESPACES"), ("net", "NET_NS"), ("ipc", "IPC_NS"), ("uts", "UTS_NS"), ("pid", "PID_NS")]
    {
        if !Path::new("/proc/self/ns").join(namespace).exists() {
            let what = format!("the kernel has no {namespace} namespaces");
            findings.problem(what, format!("use a kernel with CONFIG_{option}"));
        }
    }
    let systems = fs::read_to_string("/proc/filesystems").unwrap_or_default();
    let module = release_has_overlay(&release);
    match (systems.contains("\toverlay\n"), module) {
        (true, _) => findings.ok("overlay file systems"),
        (false, true) => findings.ok("overlay file systems, by a module that the agent loads"),
        (false, false) => findings.problem(
            "the kernel has no overlay file system",
            "load it by `modprobe overlay`, or use a kernel with CONFIG_OVERLAY_FS",
        ),
    }
    match text("/proc/sys/kernel/seccomp/actions_avail") {
        Some(actions) if actions.contains("errno") => findings.ok("seccomp filters"),
        _ => findings.warning(
            "the kernel has no seccomp filters: containers may make every system call",
            "use a kernel with CONFIG_SECCOMP_FILTER",
        ),
    }
    findings
}

fn version(findings: &mut Findings, release: &str) {
    let mut numbers = release.split(['.', '-', '+']).map(|part| part.parse::<u32>().unwrap_or(0));
    let version = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    match LEAST <= version {
        true => findings.ok(format!("Linux {release}")),
        false => {
            let (major, minor) = LEAST;
            let what = format!("Linux {release} is too old: {major}.{minor} or later is needed");
            findings.problem(what, "update the system's kernel");
        }
    }
}

fn release_has_overlay(release: &str) -> bool {
    let modules = Path::new("/lib/modules").join(release);
    let list = fs::read_to_string(modules.join("modules.dep")).unwrap_or_default();
    list.lines().any(|line| line.split(':').next().is_some_and(|path| path.contains("/overlay.ko")))
}

#[cfg(test)]
mod tests {
    use super::super::Level;
    use super::*;

    #[test]
    fn a_kernel_before_5_12_is_too_old() {
        let level = |release: &str| {
            let mut findings = Findings::new("kernel");
            version(&mut findings, release);
            findings.found[0].level
        };
        for release in ["5.12.0", "6.1.21-v8+", "6.18.44-fc-v669", "10.0"] {
            assert_eq!(level(release), Level::Ok, "{release}");
        }
        for release in ["5.11.22", "4.19.0-18-amd64", "", "x"] {
            assert_eq!(level(release), Level::Problem, "{release}");
        }
    }
}
