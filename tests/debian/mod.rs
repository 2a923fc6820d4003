//! Tools that others wrote, which `tests/debian.sh` fetches, and running a command that must succeed.
#![allow(dead_code, reason = "each crate of tests uses its part")]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// The tool called `name`.
pub fn tool(name: &str) -> Command {
    Command::new(folder().join(name))
}

/// cargo, as if a person said it: what `cargo test` tells of this package would be a reason for ring to be compiled anew.
pub fn cargo() -> Command {
    let mut cargo = Command::new("cargo");
    let told = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    for name in
        told.filter(|name| ["CARGO_PKG_", "CARGO_MANIFEST_", "OUT_DIR"].iter().any(|of| name.starts_with(of)))
    {
        cargo.env_remove(name);
    }
    cargo
}

/// Where the packages are unpacked.
pub fn root() -> PathBuf {
    folder().join("../root").canonicalize().expect("tests/debian.sh made it")
}

/// The program busybox itself, which is static and may go into an image.
pub fn busybox() -> PathBuf {
    let places = ["../root/bin/busybox", "../root/usr/bin/busybox"].map(|place| folder().join(place));
    places.into_iter().find(|place| place.exists()).expect("tests/debian.sh fetched it")
}

/// The folder of the tools, fetched once.
fn folder() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/debian.sh");
        PathBuf::from(run(&mut Command::new(script)).trim_end())
    })
}

/// Runs a command that must succeed; what it printed is shown when it does not.
pub fn run(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{command:?}: {}\n{}", output.status, text(&output.stderr));
    text(&output.stdout)
}

/// A copy of a program that can be executed at once. Made by a process of its own: what this one writes, a child of another
/// thread may hold open in the moment before its `execve`, and the kernel executes nothing that is being written.
pub fn copy_program(from: &Path, to: &Path) {
    run(Command::new("cp").arg(from).arg(to));
}
