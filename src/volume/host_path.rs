//! Paths of the node (reference D.7).

use std::fs::{self, DirBuilder, OpenOptions, Permissions};
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

use anyhow::{Context, Result, bail};

use crate::spec::HostPathType;

/// Makes or checks what `kind` asks for. Symbolic links are followed: the path is the operator's.
pub fn prepare(path: &Path, kind: HostPathType) -> Result<()> {
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
