//! The real kubectl as the judge: what it says of the objects that holdfast publishes, and what holdfast says of them.
//!
//! A small API server on loopback serves the published objects to kubectl; each difference that is meant is listed with
//! its reason, and any other fails. Needs no network once `tests/terminal.sh` has fetched kubectl.
#![allow(clippy::unwrap_used, missing_docs, reason = "each name is a sentence")]

#[path = "../kernel/harness/mod.rs"]
#[allow(unused_imports, reason = "shared by several test programs")]
mod harness;
#[path = "../terminal/mod.rs"]
mod terminal;
#[path = "../world/mod.rs"]
#[allow(dead_code, reason = "shared by several test programs")]
mod world;

mod describe;
mod get;
mod judge;
mod server;
