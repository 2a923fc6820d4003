//! Picks the role, sets up the log, turns an error into an exit code.

fn main() {}
