//! Pod processes, for real: the real binary, real namespaces, root. Each test has a pod process of its own, with its own
//! directory and cgroup, and leaves nothing.
#![allow(clippy::unwrap_used)]

mod around;
mod confined;
#[path = "../debian/mod.rs"]
mod debian;
mod insides;
mod lives;
mod starts;
mod terminals;
mod world;
