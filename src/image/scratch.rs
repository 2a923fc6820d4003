//! Where something is made that is not whole yet.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

/// A folder in `tmp/`, removed when it is done with.
pub struct Scratch(pub PathBuf);

impl Scratch {
    /// Makes one.
    pub fn new(tmp: &Path) -> Result<Scratch> {
        // What could not be removed has some of the names.
        for number in 0_u32.. {
            let path = tmp.join(format!("image-{number}"));
            match fs::create_dir(&path) {
                Ok(()) => return Ok(Scratch(path)),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error).with_context(|| format!("make {}", path.display())),
            }
        }
        bail!("no name is free in {}", tmp.display())
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.0) {
            log::warn!("image store: {} stays until the next import: {error}", self.0.display());
        }
    }
}
