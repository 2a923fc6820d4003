//! Another supervisor that reads the same manifests: two of them would run everything twice, on the same data.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
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
    let wanted = watched(directory)?;
    let deadline = Instant::now() + INSTANT;
    loop {
        let rival = rival(&wanted, ours)?;
        if deadline <= Instant::now() {
            return Some(rival);
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Notices a rival that comes later, whenever it is asked.
///
/// What an idle node pays for it is one listing of `/proc`: a process is asked for its name by the first two looks that see
/// it, since one that was just forked has yet to become what it is. `doctor` sees those that take longer.
pub struct Lookout {
    directory: PathBuf,
    /// The processes of the last look; those with `true` are none, and were not twice.
    known: BTreeMap<u32, bool>,
    rival: Option<String>,
}

impl Lookout {
    /// Looks at those that watch `directory`.
    pub fn new(directory: &Path) -> Lookout {
        Lookout { directory: directory.to_owned(), known: BTreeMap::new(), rival: None }
    }

    /// The rival that the last look found, in words.
    pub fn rival(&self) -> Option<String> {
        self.rival.clone()
    }

    /// Looks; a new rival takes a second to be sure of.
    pub fn look(&mut self) {
        let own = std::process::id();
        let mut suspects = Vec::new();
        let mut known = BTreeMap::new();
        let names = fs::read_dir("/proc").into_iter().flatten().flatten().map(|entry| entry.file_name());
        for pid in names.filter_map(|name| name.to_str()?.parse().ok()).filter(|pid| *pid != own) {
            let before = self.known.get(&pid).copied();
            let rival = before != Some(true) && is_called_like_one(&Path::new("/proc").join(pid.to_string()));
            if rival {
                suspects.push(pid);
            }
            known.insert(pid, before.is_some() && !rival);
        }
        self.known = known;
        let wanted = watched(&self.directory);
        let any = wanted.is_some_and(|wanted| {
            suspects.iter().any(|pid| watches(&Path::new("/proc").join(pid.to_string()), &wanted))
        });
        self.rival = match self.rival.take() {
            known @ Some(_) if any => known,
            _ if any => find_but(&self.directory, Some(own)),
            _ => None,
        };
    }
}

/// How `/proc/<pid>/fdinfo` names `directory`.
fn watched(directory: &Path) -> Option<String> {
    let look = fs::metadata(directory).ok()?;
    // The kernel's own way to write a device, which `stat` does not have.
    let device = nix::sys::stat::major(look.dev()) << 20 | nix::sys::stat::minor(look.dev());
    Some(format!(" ino:{:x} sdev:{device:x} ", look.ino()))
}

fn is_called_like_one(process: &Path) -> bool {
    fs::read_to_string(process.join("comm")).is_ok_and(|name| NAMES.contains(&name.trim()))
}

fn rival(wanted: &str, ours: Option<u32>) -> Option<String> {
    let processes = fs::read_dir("/proc").ok()?.flatten();
    processes.map(|entry| entry.path()).find_map(|process| {
        let name = fs::read_to_string(process.join("comm")).ok()?;
        // Not `self`, either.
        let pid: u32 = process.file_name()?.to_str()?.parse().ok()?;
        let other = ours != Some(pid) && NAMES.contains(&name.trim());
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
