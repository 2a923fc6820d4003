//! Files that are old or new, never half.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Replaces `path` by `bytes` at once: readers see the old file or the new one.
///
/// Not synced: for tmpfs, where nothing outlives the power. One writer at a time for each path.
pub fn replace(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let (beside, _) = write_beside(path, bytes, mode)?;
    rename(&beside, path)
}

/// As [`replace`], and what was written outlives a power cut once this returns.
pub fn replace_synced(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let (beside, file) = write_beside(path, bytes, mode)?;
    if let Err(error) = file.sync_all() {
        // The first error is the one to tell.
        let _ = fs::remove_file(&beside);
        return Err(error);
    }
    rename(&beside, path)?;
    File::open(path.parent().unwrap_or(Path::new("/")))?.sync_all()
}

/// Writes `<path>.new`, whatever was there before.
fn write_beside(path: &Path, bytes: &[u8], mode: u32) -> io::Result<(PathBuf, File)> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".new");
    let beside = PathBuf::from(beside);
    match fs::remove_file(&beside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let written = OpenOptions::new().write(true).create_new(true).mode(mode).open(&beside);
    let written = written.and_then(|mut file| file.write_all(bytes).map(|()| file));
    match written {
        Ok(file) => Ok((beside, file)),
        Err(error) => {
            // A full disk is the likely cause; what is half must not stay.
            let _ = fs::remove_file(&beside);
            Err(error)
        }
    }
}

fn rename(beside: &Path, path: &Path) -> io::Result<()> {
    fs::rename(beside, path).inspect_err(|_| {
        let _ = fs::remove_file(beside);
    })
}
