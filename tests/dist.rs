//! Ways to a static program, as far as they can be tried without a network: README's lines are run as they stand, with
//! stand-ins for the programs of others, and a small program is linked as rustup's Rust would link it.

#![allow(missing_docs, reason = "each name is a sentence")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod debian;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use debian::run;

/// A folder with the project's build files, and programs that come before all others.
struct Place(PathBuf);

impl Place {
    fn new(name: &str) -> Place {
        let place = Place(std::env::temp_dir().join(format!("{name}-{}", std::process::id())));
        fs::create_dir_all(place.0.join("bin")).unwrap();
        fs::create_dir_all(place.0.join(".cargo")).unwrap();
        for file in ["Makefile", "cross.toml", ".cargo/config.toml"] {
            fs::copy(file, place.0.join(file)).unwrap();
        }
        place
    }

    fn program(&self, name: &str, script: &str) {
        let file = self.0.join("bin").join(name);
        fs::write(&file, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(file, fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        let path = std::env::var("PATH").unwrap();
        command.current_dir(&self.0).env("PATH", format!("{}:{path}", self.0.join("bin").display()));
        command.env_remove("CROSS_CONFIG").env_remove("RUSTFLAGS").env_remove("CARGO_ENCODED_RUSTFLAGS");
        command
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).unwrap();
    }
}

/// The indented lines of README that follow the one which begins like this.
fn lines_of_readme(beginning: &str) -> String {
    let readme = fs::read_to_string("README.md").unwrap();
    let mut lines = readme.lines().skip_while(|line| !line.starts_with(beginning)).skip(1);
    assert_eq!(lines.next(), Some(""), "README has a line that begins {beginning:?}, and commands below it");
    lines.map_while(|line| line.strip_prefix("    ")).map(|line| format!("{line}\n")).collect()
}

/// What the lines did: one line for each stand-in's call.
fn calls_of(lines: &str, name: &str) -> Vec<String> {
    let place = Place::new(name);
    // A build leaves a program where the target is named.
    let stand_in = "\
echo \"$(basename \"$0\") $*${CROSS_CONFIG:+ (by $(sed -n s/^default-target//p \"$CROSS_CONFIG\"))}\" >>calls
while [ $# -gt 1 ]; do
    [ \"$1\" != --target ] || { mkdir -p \"target/$2/release\" && echo built >\"target/$2/release/holdfast\"; }
    shift
done";
    for name in ["cross", "cargo", "rustup"] {
        place.program(name, stand_in);
    }
    place.program("scp", "[ \"$(cat \"$1\")\" = built ] && echo \"scp $*\" >>calls");
    run(place.command("sh").args(["-e", "-c", lines]));
    fs::read_to_string(place.0.join("calls")).unwrap().lines().map(String::from).collect()
}

#[test]
fn readmes_lines_for_cross_build_by_cross_with_our_configuration() {
    let calls = calls_of(&lines_of_readme("With a container engine"), "cross");
    let build = "cross build --locked --release --bin holdfast --target aarch64-unknown-linux-musl \
                 (by  = \"aarch64-unknown-linux-musl\")";
    assert_eq!(calls[0], "cargo install cross --locked");
    assert_eq!(calls[1], build);
    assert!(calls[2].starts_with("scp target/aarch64-unknown-linux-musl/release/holdfast "), "{calls:?}");
    assert_eq!(calls.len(), 3);
}

#[test]
fn readmes_lines_for_rustup_build_by_cargo_alone() {
    let calls = calls_of(&lines_of_readme("With rustup"), "rustup");
    assert_eq!(calls[0], "rustup target add aarch64-unknown-linux-musl");
    assert_eq!(calls[1], "cargo build --locked --release --target aarch64-unknown-linux-musl");
    assert!(calls[2].starts_with("scp target/aarch64-unknown-linux-musl/release/holdfast "), "{calls:?}");
    assert_eq!(calls.len(), 3);
}

#[test]
fn make_cross_asks_for_which_machine() {
    let place = Place::new("which");
    place.program("cross", "echo called");
    let output = place.command("make").arg("cross").output().unwrap();
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(
        !output.status.success() && said.contains("which machine?") && !said.contains("called"),
        "{said}"
    );
}

/// The library of `build/toolchain.sh` lies where rustup's would, and the linker has rustup's name here.
#[test]
fn a_plain_build_needs_no_linker_for_arm_and_is_static_at_a_fixed_address() {
    // The second one would be at no fixed address by itself.
    let machines = ["aarch64", std::env::consts::ARCH];
    let targets = machines.map(|machine| format!("{machine}-unknown-linux-musl"));
    let toolchain = PathBuf::from(run(Command::new("build/toolchain.sh").args(&targets)).trim_end());
    let place = Place::new("plain");
    place.program("rust-lld", &format!("exec '{}' \"$@\"", toolchain.join("bin/ld.lld").display()));
    let manifest = "[package]\nname = \"plain\"\nedition = \"2024\"\n[profile.release]\npanic = \"abort\"\n[workspace]\n";
    fs::write(place.0.join("Cargo.toml"), manifest).unwrap();
    fs::create_dir(place.0.join("src")).unwrap();
    fs::write(place.0.join("src/main.rs"), "fn main() { println!(\"runs\") }\n").unwrap();
    for (machine, target) in machines.iter().zip(targets) {
        let mut build = place.command("cargo");
        build.env("RUSTC", toolchain.join("bin/rustc")).env("CARGO_TARGET_DIR", place.0.join("target"));
        run(build.args(["build", "--quiet", "--offline", "--release", "--target", &target]));
        let program = place.0.join("target").join(&target).join("release/plain");
        let emulator = toolchain.join(format!("bin/qemu-{machine}-static"));
        assert_eq!(run(Command::new(emulator).arg(&program)), "runs\n");
        assert_eq!(kind(&program), (2, vec![]), "{target}: ET_EXEC, with neither PT_DYNAMIC nor PT_INTERP");
    }
}

/// e_type of a little-endian ELF file of 64 bits, and which of its program headers make it anything but static.
fn kind(program: &Path) -> (u16, Vec<u32>) {
    let bytes = fs::read(program).unwrap();
    let short = |at: usize| u16::from_le_bytes(bytes[at..at + 2].try_into().unwrap());
    let headers = u64::from_le_bytes(bytes[32..40].try_into().unwrap()) as usize;
    let kinds = (0..short(56) as usize).map(|number| headers + number * short(54) as usize);
    let kinds = kinds.map(|at| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap()));
    // PT_DYNAMIC, PT_INTERP.
    (short(16), kinds.filter(|kind| [2, 3].contains(kind)).collect())
}
