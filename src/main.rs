//! Picks the role, sets up the log, turns an error into an exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> =
        std::env::args_os().map(|argument| argument.to_string_lossy().into_owned()).collect();
    // The two roles that a pod has its processes in come before everything else: they are small, and stay so.
    match arguments.get(1).map(String::as_str) {
        Some("pod-process") => holdfast::pod::process(arguments.get(2..).unwrap_or_default()),
        Some("worker") => holdfast::pod::worker(),
        _ => holdfast::cli::main(),
    }
}
