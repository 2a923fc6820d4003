//! Paths of the node (reference D.7).
//!
//! A path may be on a network file system whose server is gone: whoever looks at it then waits for ever. So a thread of its
//! own looks, and is left behind where it gets no answer; the path is not looked at again before it has one.

use std::fs::{self, DirBuilder, OpenOptions, Permissions};
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError, mpsc};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::spec::HostPathType;

/// How long a file system may take to answer. A disk that sleeps takes seconds to wake up.
const PATIENCE: Duration = Duration::from_secs(10);

/// Paths that did not answer, each with a thread that still waits for it.
static SILENT: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());

/// As [`prepare_now`], but fails after [`PATIENCE`], and at once where an earlier look at the path still waits.
pub fn prepare(path: &Path, kind: HostPathType) -> Result<()> {
    let silence = || format!("{} does not answer: is its disk or server gone?", path.display());
    if silent().iter().any(|other| other == path) {
        bail!("{}", silence());
    }
    let (sender, answer) = mpsc::channel();
    let owned = path.to_owned();
    let look = move || {
        let done = prepare_now(&owned, kind);
        let mut silent = silent();
        // Where nobody waits for it any more, the next one looks again.
        let _ = sender.send(done);
        silent.retain(|other| *other != owned);
    };
    thread::Builder::new().name("host-path".to_owned()).spawn(look).context("start a thread")?;
    if let Ok(done) = answer.recv_timeout(PATIENCE) {
        return done;
    }
    let mut silent = silent();
    // It may have come this moment; with the lock held it comes later or is here.
    answer.try_recv().unwrap_or_else(|_| {
        silent.push(path.to_owned());
        bail!("{}", silence())
    })
}

fn silent() -> MutexGuard<'static, Vec<PathBuf>> {
    SILENT.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Makes or checks what `kind` asks for. Symbolic links are followed: the path is the operator's.
fn prepare_now(path: &Path, kind: HostPathType) -> Result<()> {
    use HostPathType::{
        BlockDevice, CharDevice, Directory, DirectoryOrCreate, File, FileOrCreate, Socket, Unset,
    };
    let found = match fs::metadata(path) {
        Ok(found) => Some(found.file_type()),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => None,
        Err(error) => return Err(error).with_context(|| format!("look at {}", path.display())),
    };
    let right = match (kind, &found) {
        (Unset, Some(_)) => true,
        (Unset | DirectoryOrCreate, None) => return make_dirs(path),
        (FileOrCreate, None) => return make_file(path),
        (_, None) => false,
        (Directory | DirectoryOrCreate, Some(found)) => found.is_dir(),
        (File | FileOrCreate, Some(found)) => found.is_file(),
        (Socket, Some(found)) => found.is_socket(),
        (CharDevice, Some(found)) => found.is_char_device(),
        (BlockDevice, Some(found)) => found.is_block_device(),
    };
    let what = match kind {
        Unset | Directory | DirectoryOrCreate => "directory",
        File | FileOrCreate => "file",
        Socket => "socket file",
        CharDevice => "character device",
        BlockDevice => "block device",
    };
    if !right {
        bail!("hostPath type check failed: {} is not a {what}", path.display());
    }
    Ok(())
}

/// Makes a directory and those missing above it, 0755 each, whatever the umask.
fn make_dirs(path: &Path) -> Result<()> {
    if let Some(above) = path.parent().filter(|above| !above.exists()) {
        make_dirs(above)?;
    }
    match DirBuilder::new().mode(0o755).create(path) {
        // Somebody else was quicker; it is theirs.
        Err(error) if error.kind() == ErrorKind::AlreadyExists && path.is_dir() => return Ok(()),
        made => made.with_context(|| format!("make directory {}", path.display()))?,
    }
    mode(path, 0o755)
}

/// Makes an empty file, 0644. The directory must be there.
fn make_file(path: &Path) -> Result<()> {
    let made = OpenOptions::new().write(true).create_new(true).mode(0o644).open(path);
    made.with_context(|| format!("make file {}", path.display()))?;
    mode(path, 0o644)
}

fn mode(path: &Path, mode: u32) -> Result<()> {
    fs::set_permissions(path, Permissions::from_mode(mode))
        .with_context(|| format!("set mode of {}", path.display()))
}
