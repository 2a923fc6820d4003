//! What the kernel knows of a world: its processes, mounts and cgroups. Looked at from outside, never through holdfast.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::mount::{MntFlags, umount2};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::{SOON, eventually};

/// Everything that carries a world's name.
pub struct Place {
    /// Directories of its own.
    pub paths: Vec<PathBuf>,
    /// Its cgroup, relative to each hierarchy's root.
    pub cgroup_root: String,
}

/// Sends a signal; a process that is gone already is fine.
pub fn signal(pid: i32, signal: Signal) {
    match kill(Pid::from_raw(pid), signal) {
        Ok(()) | Err(Errno::ESRCH) => {}
        Err(error) => panic!("{signal} to {pid}: {error}"),
    }
}

impl Place {
    fn owns(&self, text: &str) -> bool {
        self.paths.iter().any(|path| text.contains(&*path.to_string_lossy()))
    }

    /// Its processes, each with its command line: by cgroup, or by a path of ours as an argument.
    pub fn processes(&self) -> Vec<(i32, String)> {
        let mut found = Vec::new();
        for pid in pids().filter(|pid| *pid != std::process::id().cast_signed()) {
            let command = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            let command = String::from_utf8_lossy(&command).replace('\0', " ");
            let cgroups = fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap_or_default();
            let inside = format!(":{}/", self.cgroup_root);
            let is_zombie = proc_stat(pid).is_none_or(|(state, _)| state == 'Z');
            if !is_zombie && (self.owns(&command) || cgroups.lines().any(|line| line.contains(&inside))) {
                found.push((pid, command));
            }
        }
        found
    }

    /// Lines of our own mountinfo that name it.
    pub fn mounts(&self) -> Vec<String> {
        let table = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        table.lines().filter(|line| self.owns(line)).map(str::to_owned).collect()
    }

    /// Its cgroups in every hierarchy, deepest first.
    pub fn cgroups(&self) -> Vec<PathBuf> {
        let mut found = Vec::new();
        for hierarchy in hierarchies() {
            let root = hierarchy.join(self.cgroup_root.trim_start_matches('/'));
            let mut folders = vec![root];
            while let Some(folder) = folders.pop().filter(|folder| folder.is_dir()) {
                folders.extend(sub_folders(&folder));
                found.push(folder);
            }
        }
        found.sort_by_key(|folder| std::cmp::Reverse(folder.components().count()));
        found
    }

    /// Its cgroups that belong to pods: the frame around them may stay.
    pub fn pod_cgroups(&self) -> Vec<PathBuf> {
        let of_pod = |folder: &PathBuf| folder.to_string_lossy().contains("/pod");
        self.cgroups().into_iter().filter(of_pod).collect()
    }

    /// The cgroup of a pod in the first hierarchy that has it.
    pub fn pod_cgroup(&self, uid: &str) -> Option<PathBuf> {
        self.cgroups().into_iter().find(|folder| folder.ends_with(format!("pod{uid}")))
    }

    /// The pod process of a pod.
    pub fn pod_process(&self, uid: &str) -> Option<i32> {
        let leaf = self.pod_cgroup(uid)?.join("holdfast");
        tasks(&leaf).into_iter().next()
    }

    /// Processes of all containers of a pod, exec'ed ones included.
    pub fn container_processes(&self, uid: &str) -> Vec<i32> {
        let Some(pod) = self.pod_cgroup(uid) else { return Vec::new() };
        let mut folders = sub_folders(&pod);
        folders.retain(|folder| !folder.ends_with("holdfast"));
        let mut found = Vec::new();
        while let Some(folder) = folders.pop() {
            found.extend(tasks(&folder));
            folders.extend(sub_folders(&folder));
        }
        found.sort_unstable();
        found
    }

    /// Sockets and other special files below its directories.
    pub fn sockets(&self) -> Vec<PathBuf> {
        let mut found = Vec::new();
        let mut folders = self.paths.clone();
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
                match entry.file_type() {
                    Ok(kind) if kind.is_dir() => folders.push(entry.path()),
                    Ok(kind) if kind.is_socket() => found.push(entry.path()),
                    _ => {}
                }
            }
        }
        found
    }

    /// Processes, mounts and pods' cgroups that there are.
    pub fn left(&self) -> Vec<String> {
        let processes =
            self.processes().into_iter().map(|(pid, command)| format!("process {pid}: {command}"));
        let mounts = self.mounts().into_iter().map(|mount| format!("mount {mount}"));
        let cgroups = self.pod_cgroups().into_iter().map(|cgroup| format!("cgroup {}", cgroup.display()));
        processes.chain(mounts).chain(cgroups).collect()
    }

    /// Takes everything away, by force, as far as it goes: for stories that failed, and the frame of those that did not.
    pub fn clear(&self) {
        for (pid, _) in self.processes() {
            signal(pid, Signal::SIGKILL);
        }
        // What is in the kernel still must not hide the story's own failure, so nothing here panics.
        let _ = std::panic::catch_unwind(|| {
            eventually(SOON, "killed processes vanish", || self.processes().is_empty().then_some(()));
            eventually(SOON, "cgroups can be removed", || {
                let left: Vec<_> = self.cgroups();
                left.iter().all(|folder| fs::remove_dir(folder).is_ok()).then_some(())
            });
        });
        for mount in self.mounts().iter().rev() {
            let at = mount.split(' ').nth(4).unwrap_or_default();
            let _ = umount2(at, MntFlags::MNT_DETACH);
        }
        for path in &self.paths {
            let _ = fs::remove_dir_all(path);
        }
    }
}

/// Mount points of all cgroup hierarchies.
fn hierarchies() -> Vec<PathBuf> {
    let table = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let fields = table.lines().map(|line| line.split(' ').collect::<Vec<_>>());
    let cgroups = fields.filter(|fields| fields.len() > 2 && matches!(fields[2], "cgroup" | "cgroup2"));
    cgroups.map(|fields| PathBuf::from(fields[1])).collect()
}

fn sub_folders(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .map(|entry| entry.path())
        .collect()
}

/// Processes of one cgroup.
pub fn tasks(cgroup: &Path) -> Vec<i32> {
    let text = fs::read_to_string(cgroup.join("cgroup.procs")).unwrap_or_default();
    text.lines().filter_map(|line| line.parse().ok()).collect()
}

/// Every process ID there is.
pub fn pids() -> impl Iterator<Item = i32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_string_lossy().parse().ok())
}

/// State letter and parent of a process.
pub fn proc_stat(pid: i32) -> Option<(char, i32)> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, rest) = stat.rsplit_once(") ")?;
    let mut fields = rest.split(' ');
    Some((fields.next()?.chars().next()?, fields.next()?.parse().ok()?))
}

/// Zombies among the children of a process.
pub fn zombies_of(parent: i32) -> usize {
    pids().filter(|pid| proc_stat(*pid) == Some(('Z', parent))).count()
}

/// Number of open descriptors of a process.
pub fn descriptors(pid: i32) -> usize {
    fs::read_dir(format!("/proc/{pid}/fd")).map(Iterator::count).unwrap_or_default()
}

/// Whether the process exists and is no zombie.
pub fn lives(pid: i32) -> bool {
    proc_stat(pid).is_some_and(|(state, _)| state != 'Z')
}

/// The number after `name:` in a file of `/proc`; KiB where the kernel says kB.
///
/// # Panics
/// When the file or the name is not there.
pub fn figure(file: &str, name: &str) -> u64 {
    let text = fs::read_to_string(file).unwrap_or_else(|error| panic!("{file}: {error}"));
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    let number = value.and_then(|value| value.split_whitespace().next()?.parse().ok());
    number.unwrap_or_else(|| panic!("{file} has no {name}:\n{text}"))
}

/// A line of a process's memory, in KiB: `Pss`, `Private_Dirty`, …
pub fn of_smaps(pid: i32, name: &str) -> u64 {
    figure(&format!("/proc/{pid}/smaps_rollup"), name)
}

/// How often each thread of a process has gone to sleep by itself, and so was woken.
pub fn sleeps(pid: i32) -> BTreeMap<String, u64> {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let of_thread = |thread: fs::DirEntry| {
        let file = thread.path().join("status");
        let sleeps = file.exists().then(|| figure(&file.to_string_lossy(), "voluntary_ctxt_switches"));
        Some((thread.file_name().to_string_lossy().into_owned(), sleeps?))
    };
    threads.filter_map(of_thread).collect()
}

/// Wake-ups between two looks. Threads may have ended or begun meanwhile.
pub fn wake_ups(before: &BTreeMap<String, u64>, after: &BTreeMap<String, u64>) -> u64 {
    after.iter().map(|(thread, sleeps)| sleeps - before.get(thread).unwrap_or(&0)).sum()
}
