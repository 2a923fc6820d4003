//! A local file or tree as a tar stream.

use std::fs::{self, File, Metadata};
use std::io::{self, Read, Write};
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use tar::{Builder, EntryType, Header};

use super::say;

/// Writes `from`, called `name`, to `out`. Symbolic links stay links; what is no file, directory or link is left out.
pub fn pack(out: impl Write, from: &Path, name: &Path) -> Result<()> {
    let mut archive = Builder::new(out);
    let mut left: Vec<(PathBuf, PathBuf)> = vec![(from.to_path_buf(), name.to_path_buf())];
    while let Some((path, name)) = left.pop() {
        let metadata = fs::symlink_metadata(&path).with_context(|| format!("look at {}", path.display()))?;
        if metadata.is_dir() {
            let entries = fs::read_dir(&path).with_context(|| format!("read {}", path.display()))?;
            let mut names = Vec::new();
            for entry in entries {
                names.push(entry.with_context(|| format!("read {}", path.display()))?.file_name());
            }
            names.sort_by(|a, b| b.cmp(a));
            left.extend(names.into_iter().map(|entry| (path.join(&entry), name.join(&entry))));
        }
        append(&mut archive, &path, &name, &metadata).with_context(|| format!("send {}", path.display()))?;
    }
    archive.into_inner().and_then(|mut out| out.flush()).context("send the end of the archive")
}

fn append(archive: &mut Builder<impl Write>, path: &Path, name: &Path, metadata: &Metadata) -> Result<()> {
    let kind = metadata.file_type();
    let mut header = Header::new_gnu();
    header.set_metadata(metadata);
    if kind.is_dir() {
        header.set_entry_type(EntryType::Directory);
        header.set_size(0);
        archive.append_data(&mut header, name, io::empty())?;
    } else if kind.is_symlink() {
        header.set_entry_type(EntryType::Symlink);
        header.set_size(0);
        archive.append_link(&mut header, name, fs::read_link(path)?)?;
    } else if kind.is_file() {
        let file = File::open(path)?;
        let left = file.metadata()?.len();
        header.set_size(left);
        archive.append_data(&mut header, name, Exactly { file, left })?;
    } else {
        let what = if kind.is_socket() { "socket" } else { "device or FIFO" };
        say(&format!("warning: skipping {what}: {:?}", path.display().to_string()));
    }
    Ok(())
}

/// As many bytes of a file as were announced, whether or not it grows meanwhile.
struct Exactly {
    file: File,
    left: u64,
}

impl Read for Exactly {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        let length = self.file.read(&mut buffer[..most])?;
        if length == 0 && most > 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "it became shorter meanwhile"));
        }
        self.left -= length as u64;
        Ok(length)
    }
}
