//! Images on disk: archives in, layers and configurations out.

use std::path::Path;

use anyhow::{Result, bail};

/// Writes a docker archive to `out`: an image `name` with nothing in it but the static program `binary`.
pub fn sample(_binary: &Path, _out: &Path, _name: &str) -> Result<()> {
    bail!("images are not built yet")
}
