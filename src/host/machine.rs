//! The machine that pods run on, by what its kernel says of it.
//!
//! Invariant: what cannot be read is absent, never an error: a node without `/sys` runs pods too.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, UdpSocket};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::sys::statvfs::statvfs;

use crate::api::{Machine, Pressure};
use crate::sys::clock;

/// Below this much memory that is available a node is short of it: kubelet's `memory.available<100Mi`.
const LEAST_MEMORY: u64 = 100 << 20;
/// Or below this part of it, where that is less: 100Mi are most of a small board.
const LEAST_MEMORY_PART: u64 = 20;
/// Below this part of free space, free inodes and free process IDs a node is short of them: k3s' `nodefs.available<5%`.
const LEAST_PART: u64 = 20;

/// What a file system has, in bytes and inodes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Space {
    /// Bytes in all.
    pub total: u64,
    /// Bytes that may still be written.
    pub free: u64,
    /// Inodes in all; 0 where the file system makes them as it goes.
    pub inodes: u64,
    /// Inodes that are free.
    pub inodes_free: u64,
    /// Whether nothing can be written to it.
    pub read_only: bool,
}

/// What a node has left.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Left {
    /// Memory in all and what of it is available, in bytes.
    pub memory: (u64, u64),
    /// The file system of the data directory, where it can be asked.
    pub disk: Option<Space>,
    /// Threads that there may be, and that there are.
    pub threads: (u64, u64),
}

/// The machine; `data` is the data directory.
pub fn machine(data: &Path) -> Machine {
    let read = |path: &str| text(path).unwrap_or_default();
    let machine_id =
        ["/etc/machine-id", "/var/lib/dbus/machine-id"].into_iter().find_map(text).unwrap_or_default();
    let firmware =
        ["/sys/class/dmi/id/product_uuid", "/proc/device-tree/system-id", "/proc/device-tree/vm,uuid"];
    Machine {
        address: address(),
        cpus: cpus(&read("/sys/devices/system/cpu/online")).unwrap_or_else(parallelism),
        memory: memory(&read("/proc/meminfo")).0,
        storage: space(data).map_or(0, |space| space.total),
        huge_pages: huge_pages(),
        architecture: std::env::consts::ARCH.to_owned(),
        boot_id: read("/proc/sys/kernel/random/boot_id"),
        system_uuid: firmware.into_iter().find_map(text).unwrap_or_else(|| machine_id.clone()),
        machine_id,
        kernel: read("/proc/sys/kernel/osrelease"),
        os_image: ["/etc/os-release", "/usr/lib/os-release"]
            .into_iter()
            .find_map(|path| os_image(&text(path)?))
            .unwrap_or_else(|| "Unknown".to_owned()),
    }
}

/// What the node has left; `data` is the data directory.
pub fn left(data: &Path) -> Left {
    let number = |path: &str| text(path).and_then(|text| text.parse().ok()).unwrap_or(u64::MAX);
    let limit = number("/proc/sys/kernel/threads-max").min(number("/proc/sys/kernel/pid_max"));
    let load = text("/proc/loadavg").unwrap_or_default();
    Left {
        memory: memory(&text("/proc/meminfo").unwrap_or_default()),
        disk: space(data),
        threads: (limit, threads(&load).unwrap_or(0)),
    }
}

/// Whether the node is short of something by what it has left, and a sentence that names no figure that changes.
pub fn short_of(pressure: Pressure, left: &Left) -> (bool, String) {
    let part = |free: u64, all: u64| 0 < all && free < all / LEAST_PART;
    let (short, is_short, is_not) = match pressure {
        Pressure::Memory => {
            let least = LEAST_MEMORY.min(left.memory.0 / LEAST_MEMORY_PART);
            let sentence = format!("less than {} MiB of memory are available", least >> 20);
            (left.memory.1 < least, sentence, "enough memory is available")
        }
        Pressure::Disk => {
            let disk = left.disk.unwrap_or_default();
            let inodes = part(disk.inodes_free, disk.inodes);
            let what = if inodes { "inodes" } else { "space" };
            let sentence = format!("less than 5 % of the data directory's {what} is free");
            (
                inodes || part(disk.free, disk.total),
                sentence,
                "enough of the data directory's file system is free",
            )
        }
        Pressure::Pid => {
            let free = left.threads.0.saturating_sub(left.threads.1);
            let sentence = "less than 5 % of the process IDs are free".to_owned();
            (part(free, left.threads.0), sentence, "enough process IDs are free")
        }
    };
    (short, if short { is_short } else { is_not.to_owned() })
}

/// What the file system of `path`, or of the nearest directory above that exists, has; `None` where it cannot be asked.
pub fn space(path: &Path) -> Option<Space> {
    let there = path.ancestors().find(|path| path.exists())?;
    let told = statvfs(there).ok()?;
    let unit = told.fragment_size();
    Some(Space {
        total: told.blocks().saturating_mul(unit),
        free: told.blocks_available().saturating_mul(unit),
        inodes: told.files(),
        inodes_free: told.files_available(),
        read_only: told.flags().contains(nix::sys::statvfs::FsFlags::ST_RDONLY),
    })
}

/// `MemTotal` and `MemAvailable` of `/proc/meminfo`, in bytes.
pub fn memory(meminfo: &str) -> (u64, u64) {
    (kib(meminfo, "MemTotal"), kib(meminfo, "MemAvailable"))
}

/// A line of `/proc/meminfo` in bytes; 0 where it is not there.
pub fn kib(meminfo: &str, name: &str) -> u64 {
    let line = meminfo.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    let number = line.and_then(|rest| rest.trim().strip_suffix(" kB")?.parse::<u64>().ok());
    number.unwrap_or(0).saturating_mul(1024)
}

/// For how long a process has been there, by the clock that is never set; `None` where it is not.
pub fn age_of_process(pid: u32) -> Option<Duration> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // What stands before may hold blanks and brackets: the name.
    let ticks: u64 = stat.rsplit_once(')')?.1.split_whitespace().nth(19)?.parse().ok()?;
    // USER_HZ is 100 on every architecture that there are binaries for.
    Some(clock::boottime().saturating_sub(Duration::from_millis(ticks.saturating_mul(10))))
}

/// Bytes that a process has had read from and written to block devices, with its children that ended and that it waited for.
/// What it made dirty counts as written at once. `None` where the kernel does not count.
pub fn io_of_process(pid: u32) -> Option<(u64, u64)> {
    let told = fs::read_to_string(format!("/proc/{pid}/io")).ok()?;
    let of = |name: &str| told.lines().find_map(|line| line.strip_prefix(name)?.trim().parse::<u64>().ok());
    let (read, written) = (of("read_bytes:")?, of("write_bytes:")?);
    // What was removed before it reached the disk.
    Some((read, written.saturating_sub(of("cancelled_write_bytes:").unwrap_or(0))))
}

/// The disk that `path` is on: its name, and the bytes that were written to it since it is there, which is since the boot but for
/// what is plugged in later. `None` where it is on none that the kernel knows of, such as a network's.
pub fn written(path: &Path) -> Option<(String, u64)> {
    let there = path.ancestors().find(|path| path.exists())?;
    let mut device = block_device(fs::metadata(there).ok()?.dev())?;
    // From partitions and mapped devices to what wears out. There is no way on where several are mapped together.
    for _ in 0..8 {
        let slaves = fs::read_dir(device.join("slaves")).into_iter().flatten().flatten().collect::<Vec<_>>();
        device = match (device.join("partition").exists(), slaves.as_slice()) {
            (true, _) => device.parent()?.to_owned(),
            (false, [below]) => below.path().canonicalize().ok()?,
            (false, _) => break,
        };
    }
    let stat = fs::read_to_string(device.join("stat")).ok()?;
    Some((device.file_name()?.to_str()?.to_owned(), bytes_written(&stat)?))
}

/// Sectors, which are of 512 bytes whatever the disk has, of the kernel's `Documentation/block/stat.rst`.
fn bytes_written(stat: &str) -> Option<u64> {
    stat.split_whitespace().nth(6)?.parse::<u64>().ok()?.checked_mul(512)
}

/// The folder of a block device. File systems of several devices have a number of their own, and the mount names one of them.
fn block_device(number: u64) -> Option<PathBuf> {
    let of = |number: u64| {
        let (major, minor) = (nix::sys::stat::major(number), nix::sys::stat::minor(number));
        Path::new("/sys/dev/block").join(format!("{major}:{minor}")).canonicalize().ok()
    };
    of(number).or_else(|| {
        let (major, minor) = (nix::sys::stat::major(number), nix::sys::stat::minor(number));
        let mounts = fs::read_to_string("/proc/self/mountinfo").ok()?;
        let own = format!("{major}:{minor}");
        let line = mounts.lines().find(|line| line.split(' ').nth(2) == Some(own.as_str()))?;
        let source = line.split_once(" - ")?.1.split(' ').nth(1)?;
        of(fs::metadata(source).ok().filter(|found| found.file_type().is_block_device())?.rdev())
    })
}

/// The content of a small file without blanks around it and the NUL that ends what firmware says; `None` where it is empty
/// or not to be read.
pub fn text(path: &str) -> Option<String> {
    let bytes = fs::read(path).ok()?;
    let text = String::from_utf8_lossy(&bytes);
    let text = text.trim_matches(|c: char| c.is_whitespace() || c == '\0');
    (!text.is_empty()).then(|| text.to_owned())
}

/// The address that packets to others would carry; none is sent. Without a way to others, the first that is no loopback.
pub fn address() -> Option<String> {
    let towards = |from: IpAddr, to: IpAddr| {
        let socket = UdpSocket::bind((from, 0)).ok()?;
        socket.connect((to, 9)).ok()?;
        socket.local_addr().ok().map(|address| address.ip())
    };
    // Addresses that are set aside for documentation.
    let to = (Ipv4Addr::new(192, 0, 2, 1), Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1));
    let found = towards(Ipv4Addr::UNSPECIFIED.into(), to.0.into())
        .or_else(|| towards(Ipv6Addr::UNSPECIFIED.into(), to.1.into()));
    let found = found.filter(|ip| !ip.is_loopback() && !ip.is_unspecified());
    found.map(|ip| ip.to_string()).or_else(|| own_address(&text("/proc/net/fib_trie")?))
}

/// The first address of the node's own in `/proc/net/fib_trie` that is no loopback.
fn own_address(trie: &str) -> Option<String> {
    let mut last = None;
    for line in trie.lines().map(str::trim) {
        if let Some(leaf) = line.strip_prefix("|-- ") {
            last = leaf.parse::<IpAddr>().ok();
        } else if line.starts_with("/32 host LOCAL")
            && let Some(ip) = last.filter(|ip| !ip.is_loopback())
        {
            return Some(ip.to_string());
        }
    }
    None
}

/// How many processors a list such as `0-3,6` names.
fn cpus(list: &str) -> Option<u64> {
    let range = |range: &str| {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let (first, last) = (first.parse::<u64>().ok()?, last.parse::<u64>().ok()?);
        Some(last.checked_sub(first)? + 1)
    };
    list.split(',').map(range).sum()
}

fn parallelism() -> u64 {
    std::thread::available_parallelism().map_or(1, |cpus| cpus.get() as u64)
}

/// Huge pages that the machine keeps: each size in bytes, and how many bytes there are of it.
pub fn huge_pages() -> Vec<(u64, u64)> {
    let entries = fs::read_dir("/sys/kernel/mm/hugepages").into_iter().flatten().flatten();
    let size = |entry: &fs::DirEntry| {
        let name = entry.file_name().into_string().ok()?;
        let kib: u64 = name.strip_prefix("hugepages-")?.strip_suffix("kB")?.parse().ok()?;
        let pages: u64 = text(entry.path().join("nr_hugepages").to_str()?)?.parse().ok()?;
        Some((kib << 10, pages.saturating_mul(kib << 10)))
    };
    let mut sizes: Vec<(u64, u64)> = entries.filter_map(|entry| size(&entry)).collect();
    sizes.sort_unstable();
    sizes
}

/// `PRETTY_NAME` of os-release.
fn os_image(release: &str) -> Option<String> {
    let name = release.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="))?;
    Some(name.trim().trim_matches(['"', '\'']).to_owned())
}

/// All threads of `/proc/loadavg`: `0.20 0.18 0.12 1/80 11206`.
fn threads(load: &str) -> Option<u64> {
    load.split(' ').nth(3)?.split_once('/')?.1.parse().ok()
}

#[cfg(test)]
mod tests;
