//! Another supervisor that reads the same manifests: two of them would run everything twice, on the same data.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// What a supervisor's process is called; k3s calls itself `k3s-agent` or `k3s-server` once it runs.
const NAMES: [&str; 4] = ["kubelet", "k3s", "k3s-agent", "k3s-server"];

/// The process of a kubelet or k3s that watches `directory`, in words, if there is one.
///
/// Seen by the inotify watches in `/proc/<pid>/fdinfo`, since a supervisor may have learnt its directory from a file.
pub fn find(directory: &Path) -> Option<String> {
    let inode = fs::metadata(directory).ok()?.ino();
    let processes = fs::read_dir("/proc").ok()?.flatten();
    processes.map(|entry| entry.path()).find_map(|process| {
        let name = fs::read_to_string(process.join("comm")).ok()?;
        let watches = NAMES.contains(&name.trim()) && watches(&process, inode);
        let pid = process.file_name()?.to_str()?;
        watches.then(|| format!("{} (process {pid})", name.trim()))
    })
}

/// Whether some inotify descriptor of `process` watches `inode`.
fn watches(process: &Path, inode: u64) -> bool {
    let wanted = format!(" ino:{inode:x} ");
    let infos = fs::read_dir(process.join("fdinfo")).into_iter().flatten().flatten();
    infos
        .filter_map(|info| fs::read_to_string(info.path()).ok())
        .any(|info| info.lines().any(|line| line.starts_with("inotify ") && line.contains(&wanted)))
}
