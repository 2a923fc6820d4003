//! Sizes, for people, and what a directory takes.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, Instant};

/// `bytes` with one unit and three digits: `812M`, `1.2G`.
pub fn human(bytes: u64) -> String {
    // In tenths of the unit.
    let (mut tenths, mut unit) = (u128::from(bytes) * 10, "");
    for next in ["K", "M", "G", "T", "P", "E"] {
        if tenths < 10_000 {
            break;
        }
        (tenths, unit) = ((tenths + 512) / 1024, next);
    }
    let whole = (tenths + 5) / 10;
    match unit {
        "" => bytes.to_string(),
        _ if 100 <= tenths => format!("{whole}{unit}"),
        _ => format!("{}.{}{unit}", tenths / 10, tenths % 10),
    }
}

/// So many bytes in that time, as bytes a day. Less than an hour counts as one: what a start writes says little of a day.
pub fn per_day(bytes: u64, time: Duration) -> u64 {
    let daily = u128::from(bytes) * 86_400 / u128::from(time.as_secs().max(3600));
    u64::try_from(daily).unwrap_or(u64::MAX)
}

/// Bytes that the files below `path` take on its file system, and whether all of them were counted within `patience`: a
/// slow card with many layers takes long.
///
/// No link is followed and no other file system entered. What cannot be read is not counted.
pub fn taken(path: &Path, patience: Duration) -> (u64, bool) {
    let begun = Instant::now();
    let Ok(root) = fs::symlink_metadata(path) else { return (0, true) };
    let (mut sum, mut folders) = (0_u64, vec![path.to_path_buf()]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            if patience < begun.elapsed() {
                return (sum, false);
            }
            let Ok(found) = entry.metadata() else { continue };
            if found.dev() != root.dev() {
                continue;
            }
            // A file of several names is counted with each: few have them, and a list of all would have no bound.
            sum = sum.saturating_add(found.blocks().saturating_mul(512));
            if found.is_dir() {
                folders.push(entry.path());
            }
        }
    }
    (sum, true)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn sizes_have_three_digits_at_most() {
        let sizes = [0, 999, 1000, 1024, 10_200, 1_000_000, 850_000_000, 1_300_000_000, u64::MAX];
        let shown = sizes.map(human);
        assert_eq!(shown, ["0", "999", "1.0K", "1.0K", "10K", "977K", "811M", "1.2G", "16E"]);
    }

    #[test]
    fn what_a_directory_takes_is_counted_without_following_links() {
        let folder = std::env::temp_dir().join(format!("holdfast-space-{}", std::process::id()));
        fs::create_dir_all(folder.join("a/b")).unwrap();
        fs::write(folder.join("a/b/file"), vec![1; 100_000]).unwrap();
        let without = taken(&folder, Duration::MAX);
        std::os::unix::fs::symlink("/usr", folder.join("link")).unwrap();
        let with = taken(&folder, Duration::MAX);
        assert!((100_000..200_000).contains(&without.0) && without.1, "{without:?}");
        assert!(with.0 < without.0 + 10_000 && with.1, "{with:?}");
        assert!(!taken(&folder, Duration::ZERO).1, "no time, no answer");
        fs::remove_dir_all(&folder).unwrap();
        assert_eq!(taken(&folder, Duration::MAX), (0, true));
    }
}
