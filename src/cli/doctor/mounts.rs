//! What is mounted where, by the kernel's table.

use std::path::{Path, PathBuf};

/// A line of `/proc/self/mountinfo` (proc_pid_mountinfo(5)).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    /// Where.
    pub at: PathBuf,
    /// Type of the file system.
    pub kind: String,
    /// What it is on: `/dev/mmcblk0p2`.
    pub source: String,
}

/// All mounts, in the order of the table: a later one hides an earlier.
pub fn mounts(table: &str) -> Vec<Mount> {
    let mount = |line: &str| {
        let (left, right) = line.split_once(" - ")?;
        let mut right = right.split(' ');
        Some(Mount {
            at: PathBuf::from(unescaped(left.split(' ').nth(4)?)),
            kind: right.next()?.to_string(),
            source: unescaped(right.next()?),
        })
    };
    table.lines().filter_map(mount).collect()
}

/// The mount that `path` is on.
pub fn of<'m>(mounts: &'m [Mount], path: &Path) -> Option<&'m Mount> {
    let above = mounts.iter().filter(|mount| path.starts_with(&mount.at));
    // Of several at one place the last is on top, and is the one that `max_by_key` gives.
    above.max_by_key(|mount| mount.at.components().count())
}

/// Blanks and the like are written as `\040`.
fn unescaped(text: &str) -> String {
    let mut parts = text.split('\\');
    let mut out = parts.next().unwrap_or_default().to_string();
    for part in parts {
        match part.get(..3).and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            Some(byte) => {
                out.push(char::from(byte));
                out.push_str(&part[3..]);
            }
            None => {
                out.push('\\');
                out.push_str(part);
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_and_latest_mount_counts() {
        let table = "1 0 8:1 / / rw - ext4 /dev/root rw\n2 1 0:5 / /mnt/a\\040b rw shared:1 - nfs host:/x rw\n\
                     3 1 0:6 / /var rw - ext4 /dev/sda2 rw\n4 1 0:7 / /var rw - tmpfs none rw\nhalf a line\n";
        let mounts = mounts(table);
        let kind = |path: &str| of(&mounts, Path::new(path)).map(|mount| mount.kind.as_str());
        assert_eq!(kind("/mnt/a b/c"), Some("nfs"));
        assert_eq!(kind("/variable"), Some("ext4"));
        assert_eq!(kind("/var/lib"), Some("tmpfs"));
        assert_eq!(mounts.len(), 4);
        assert_eq!(unescaped("a\\04"), "a\\04");
        assert_eq!(unescaped("\\ä"), "\\ä");
    }
}
