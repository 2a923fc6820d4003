//! Leaves unwind tables out of the release binary: cargo has no setting for one profile, but the linker takes a script.
//!
//! For glibc alone: the musl builds of `make dist` have a standard library without tables.

use std::env::var;

fn main() {
    println!("cargo:rerun-if-changed=build/no-unwind-tables.ld");
    if var("PROFILE").as_deref() == Ok("release") && var("CARGO_CFG_TARGET_ENV").as_deref() == Ok("gnu") {
        let folder = var("CARGO_MANIFEST_DIR").expect("cargo tells where the package is");
        println!("cargo:rustc-link-arg-bins=-Wl,--no-eh-frame-hdr,-T,{folder}/build/no-unwind-tables.ld");
    }
}
