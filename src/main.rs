//! Picks the role, sets up the log, turns an error into an exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    holdfast::cli::main()
}
