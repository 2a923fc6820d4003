//! The exit journal: `<pod-directory>/exits`, one [`Exited`] a line, for agents that were not there.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use anyhow::{Context, Result};

use crate::protocol::Exited;

/// Writes an exit down. Not synced: the containers do not outlive the power, nor does the tmpfs.
pub fn append(path: &Path, exited: &Exited) -> Result<()> {
    let mut line = serde_json::to_vec(exited).context("write an exit as JSON")?;
    line.push(b'\n');
    let file = OpenOptions::new().append(true).create(true).mode(0o600).open(path);
    file.and_then(|mut file| file.write_all(&line)).with_context(|| format!("append to {}", path.display()))
}
