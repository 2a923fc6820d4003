//! Limits of the agent and of the node that 100 pods need.

use std::fs;

use super::{Findings, Place};
use crate::host::machine::text;

/// Open files of the agent: a connection for each of 500 pods, and as many again.
const FILES: u64 = 1024;
/// inotify instances of one user: the agent has two, each follower of a log one.
const INSTANCES: u64 = 32;
/// Process IDs: the kernel's own default on small machines.
const PIDS: u64 = 32_768;

pub fn check(place: &Place) -> Findings {
    let mut findings = Findings::new("limits");
    let (whose, pid) = match &place.node {
        Some(node) if node.agent_runs => ("the agent", node.published.pid.to_string()),
        _ => ("a process started here", "self".to_string()),
    };
    let limits = fs::read_to_string(format!("/proc/{pid}/limits")).unwrap_or_default();
    match hard(&limits, "Max open files") {
        Some(files) if files < FILES => findings.warning(
            format!("{whose} may open {files} files: too few for many pods"),
            "raise it: LimitNOFILE= of the service, or `ulimit -Hn` before the start",
        ),
        Some(files) => findings.ok(format!("{whose} may open {files} files")),
        None => {}
    }
    for (path, least, what, fix) in [
        (
            "/proc/sys/fs/inotify/max_user_instances",
            INSTANCES,
            "inotify instances",
            "sysctl fs.inotify.max_user_instances=128",
        ),
        ("/proc/sys/kernel/pid_max", PIDS, "process IDs", "sysctl kernel.pid_max=4194304"),
        ("/proc/sys/kernel/threads-max", PIDS / 8, "threads", "sysctl kernel.threads-max=32768"),
    ] {
        let Some(number) = text(path).and_then(|text| text.parse::<u64>().ok()) else {
            findings.warning(
                format!("{path} cannot be read"),
                "mount /proc, and use a kernel with CONFIG_INOTIFY_USER",
            );
            continue;
        };
        match number < least {
            true => findings.warning(
                format!("there are {number} {what}: too few for many pods"),
                format!("as root: {fix}"),
            ),
            false => findings.ok(format!("{number} {what}")),
        }
    }
    findings
}

/// The hard limit of a line of `/proc/<pid>/limits`.
fn hard(limits: &str, name: &str) -> Option<u64> {
    let rest = limits.lines().find_map(|line| line.strip_prefix(name))?;
    match rest.split_whitespace().nth(1)? {
        "unlimited" => Some(u64::MAX),
        number => number.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hard_limit_is_the_second() {
        let limits = "Limit  Soft Limit  Hard Limit  Units\nMax open files            1024      20000     files     \n\
                      Max cpu time   unlimited   unlimited   seconds\n";
        assert_eq!(hard(limits, "Max open files"), Some(20_000));
        assert_eq!(hard(limits, "Max cpu time"), Some(u64::MAX));
        assert_eq!(hard("", "Max open files"), None);
    }
}
