//! Each manifest as it was when all of it was last right: what of one that an edit broke runs after the power was cut.
//!
//! An agent that only starts anew finds its pods on tmpfs; after a power cut there are these files alone. A file that a
//! copy had not brought to the disk by then is as broken as one that somebody edited.
//!
//! Invariant: written only when the content changes, and after the pods of it were begun: no pod waits for a slow disk.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::PathBuf;

use log::warn;

use super::remove_pod::absent;
use crate::sys::atomic;

/// The directory of these files, `<data-dir>/agent/holdfast/last-good`.
pub struct LastGood {
    folder: PathBuf,
    names: BTreeSet<String>,
    /// Not yet done: the text to be written, or none where there shall be no file.
    changes: BTreeMap<String, Option<Vec<u8>>>,
}

impl LastGood {
    /// What `folder` holds.
    pub fn open(folder: PathBuf) -> LastGood {
        let names = match fs::read_dir(&folder) {
            Ok(entries) => {
                entries.flatten().filter_map(|entry| entry.file_name().into_string().ok()).collect()
            }
            Err(error) => {
                warn!("read {}: {error}: manifests that are wrong now run nothing", folder.display());
                BTreeSet::new()
            }
        };
        LastGood { folder, names, changes: BTreeMap::new() }
    }

    /// What the manifest `name` last held, where that is known and not `bytes`.
    pub fn other_than(&self, name: &str, bytes: &[u8]) -> Option<Vec<u8>> {
        self.names.get(name)?;
        let path = self.folder.join(name);
        let text = fs::read(&path).inspect_err(|error| warn!("read {}: {error}", path.display())).ok()?;
        (text != bytes).then_some(text)
    }

    /// `bytes` is what the manifest `name` holds, and all of it is right.
    pub fn keep(&mut self, name: &str, bytes: Vec<u8>) {
        self.changes.insert(name.to_owned(), Some(bytes));
    }

    /// Somebody removed the manifest `name`.
    pub fn forget(&mut self, name: &str) {
        self.changes.insert(name.to_owned(), None);
    }

    /// There are no other manifests than those called `names`.
    pub fn forget_all_but(&mut self, names: &BTreeSet<&str>) {
        let gone: Vec<String> =
            self.names.iter().filter(|name| !names.contains(name.as_str())).cloned().collect();
        gone.iter().for_each(|name| self.forget(name));
    }

    /// Whether something is to be written.
    pub fn is_behind(&self) -> bool {
        !self.changes.is_empty()
    }

    /// Writes what changed. What cannot be written is told, and is as it was.
    pub fn write(&mut self) {
        for (name, text) in std::mem::take(&mut self.changes) {
            let path = self.folder.join(&name);
            let written = match text {
                Some(bytes) => self.write_one(name, &bytes),
                None if self.names.remove(&name) => absent(fs::remove_file(&path)),
                None => Ok(()),
            };
            written.unwrap_or_else(|error| {
                warn!("{}: {error}: after a power cut it is not known how this manifest was", path.display());
            });
        }
    }

    fn write_one(&mut self, name: String, bytes: &[u8]) -> io::Result<()> {
        let path = self.folder.join(&name);
        if self.names.contains(&name) && fs::read(&path).is_ok_and(|kept| kept == bytes) {
            return Ok(());
        }
        atomic::replace_synced(&path, bytes, 0o600)?;
        self.names.insert(name);
        Ok(())
    }
}
