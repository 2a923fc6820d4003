//! The pod process: holds a pod's namespaces, pipes and logs, reaps, writes exits down. It outlives the agent.
//!
//! It is the pod's "pause" and its "shim" in one: one thread around `poll(2)`, which starts and kills what it is asked to
//! ([`crate::protocol`]) and tells how it ended. Calls to libcontainer are made by a `worker`, a process for each; commands
//! in containers are made without it, by forks ([`exec`]).
//!
//! **How to start one.** Make `<pod-directory>` with `sandbox.json` ([`crate::protocol::Sandbox`]) in it, take the lock
//! on `<pod-directory>/lock` ([`crate::sys::lock::take`]) and make the pod's cgroup ([`crate::cgroup::Hierarchy::create_pod`]). Then execute
//! `holdfast pod-process <pod-directory>` by [`crate::sys::untouchable::Untouchable::command`], with that lock's
//! descriptor as stdin, a pipe as stdout and `<pod-directory>/log`, opened to append, as stderr. The pipe says `ready\n`
//! and the command exits with 0, or it says what is wrong and the command exits with another code. The pod process is a
//! grandchild, no child: it lives on, keeps the lock, and answers at `<pod-directory>/sock`.
//!
//! Invariant: one thread; and it decides nothing: no restart policy, no probe, no image.
//! Invariant: after `ready` it does not exit by itself, except when told to, or when the process that held the pod's
//! shared PID namespace is lost and nothing is left to hold. So: no `unwrap`, no indexing, nothing that panics.
//! Invariant: an exit is in `<pod-directory>/exits` before anybody is told.
//! Invariant: nobody who does not read, and no disk that is full, stops it, nor the container, nor the container's log.

mod attach;
mod command;
mod connections;
mod diary;
mod ends;
mod exec;
mod job;
mod journal;
mod launch;
mod lines;
mod log_file;
mod process;
mod program;
mod readers;
mod requests;
mod run;
mod sandbox;
mod spawn;
mod user_namespace;
mod worker;

use std::process::ExitCode;

/// `holdfast pod-process <pod-directory>`: starts a pod process and exits when it is ready or has failed.
pub fn process(arguments: &[String]) -> ExitCode {
    match arguments {
        [directory] => launch::launch(directory.as_ref()),
        [directory, role] if role == launch::STAY => launch::stay(directory.as_ref()),
        _ => {
            eprintln!("usage: holdfast pod-process <pod-directory>; the agent starts pod processes");
            ExitCode::FAILURE
        }
    }
}

/// `holdfast worker …`: one job for the pod process that started it.
pub fn worker() -> ExitCode {
    worker::run()
}
