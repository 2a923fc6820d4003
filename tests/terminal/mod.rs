//! What `tests/terminal.sh` fetches: kubectl, zsh, fish, mandoc.
#![allow(dead_code, reason = "each crate of tests uses its part")]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// The folder of the programs, fetched once.
pub fn folder() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/terminal.sh");
        let output = Command::new(script).output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim_end().to_owned();
        assert!(output.status.success(), "{}", text(&output.stderr));
        text(&output.stdout).into()
    })
}
