//! Another supervisor that reads the same manifests: two of them would run everything twice, on the same data.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, Instant};

/// What a supervisor's process is called; k3s calls itself `k3s-agent` or `k3s-server` once it runs. Another agent of ours
/// has locks of its own, and only the manifests directory may be the same.
const NAMES: [&str; 5] = ["kubelet", "k3s", "k3s-agent", "k3s-server", "holdfast"];

/// For how long a rival is looked at again: a child of an agent that was just killed watches for it until its `execve`.
const INSTANT: Duration = Duration::from_secs(1);

/// The process of a kubelet, k3s or other agent that watches `directory`, in words, if there is one; which takes a second
/// to be sure of.
///
/// Seen by the inotify watches in `/proc/<pid>/fdinfo`, since a supervisor may have learnt its directory from a file.
pub fn find(directory: &Path) -> Option<String> {
    find_but(directory, None)
}

/// As [`find`], for who knows of one process that may watch it.
pub fn find_but(directory: &Path, ours: Option<u32>) -> Option<String> {
    let look = fs::metadata(directory).ok()?;
    // The kernel's own way to write a device, which `stat` does not have.
    let device = nix::sys::stat::major(look.dev()) << 20 | nix::sys::stat::minor(look.dev());
    let wanted = format!(" ino:{:x} sdev:{device:x} ", look.ino());
    let deadline = Instant::now() + INSTANT;
    loop {
        let rival = rival(&wanted, ours)?;
        if deadline <= Instant::now() {
            return Some(rival);
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn rival(wanted: &str, ours: Option<u32>) -> Option<String> {
    let ours = ours.map(|pid| pid.to_string());
    let processes = fs::read_dir("/proc").ok()?.flatten();
    processes.map(|entry| entry.path()).find_map(|process| {
        let name = fs::read_to_string(process.join("comm")).ok()?;
        let pid = process.file_name()?.to_str()?;
        let other = ours.as_deref() != Some(pid) && NAMES.contains(&name.trim());
        (other && watches(&process, wanted)).then(|| format!("{} (process {pid})", name.trim()))
    })
}

/// Whether some inotify descriptor of `process` watches what is `wanted`.
fn watches(process: &Path, wanted: &str) -> bool {
    let infos = fs::read_dir(process.join("fdinfo")).into_iter().flatten().flatten();
    infos
        .filter_map(|info| fs::read_to_string(info.path()).ok())
        .any(|info| info.lines().any(|line| line.starts_with("inotify ") && line.contains(wanted)))
}
