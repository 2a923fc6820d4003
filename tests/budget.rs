//! Promises that are numbers: size of the binary, memory of agent and pod process, writes and wake-ups when idle.
//!
//! Everything is measured on the static program that boxes get. No timings: those are `make bench`'s, beside other programs.

#![allow(missing_docs, reason = "each name is a sentence")]
#![allow(clippy::unwrap_used, reason = "a measurement that cannot go on has failed")]

#[path = "kernel/harness/mod.rs"]
mod harness;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Once;
use std::time::Duration;

use harness::kernel::{figure, of_smaps, sleeps, wake_ups};
use harness::pod::pod;
use harness::{World, stays_true_for};

/// 8 MB.
const BINARY: u64 = 8_000_000;
/// 6 MiB, proportional share, with ten pods.
const AGENT_KIB: u64 = 6 * 1024;
/// Private, of each pod process.
const POD_PROCESS_KIB: u64 = 300;
/// Long enough for every timer that is not the re-list; short of it.
const IDLE: Duration = Duration::from_secs(15);

/// The program that boxes get: built if it is not up to date.
fn static_program() -> PathBuf {
    static BUILT: Once = Once::new();
    let target = format!("{}-unknown-linux-musl", std::env::consts::ARCH);
    BUILT.call_once(|| {
        // What `cargo test` says of libraries is for another compiler than this one.
        harness::image::run(Command::new("build/musl.sh").arg(&target).env_remove("LD_LIBRARY_PATH"));
    });
    PathBuf::from("target/dist").join(target).join("release/holdfast").canonicalize().unwrap()
}

#[test]
fn the_program_is_small_and_static() {
    let binary = static_program();
    let size = fs::metadata(&binary).unwrap().len();
    println!("binary: {size} bytes");
    assert!(size <= BINARY, "{size} bytes, {BINARY} allowed");
    let bytes = fs::read(&binary).unwrap();
    assert!(!contains(&bytes, b"/lib64/ld-linux"), "it has no interpreter");
    // Errors ask for a backtrace, of which it has none; without its guard that ends the program.
    let mut asked = Command::new(&binary);
    asked.args(["image", "import", "/nowhere.tar"]).env("RUST_BACKTRACE", "1");
    let output = asked.output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
}

fn contains(bytes: &[u8], wanted: &[u8]) -> bool {
    bytes.windows(wanted.len()).any(|window| window == wanted)
}

#[test]
fn ten_pods_cost_little_and_an_idle_node_does_nothing() {
    let mut world = World::with_binary(&static_program());
    world.start_agent();
    for number in 0..10 {
        world.write(&format!("pod{number}.yaml"), &pod(&format!("pod{number}"), &["trap-term"]));
    }
    let uids: Vec<String> = (0..10).map(|number| world.running(&format!("pod{number}")).uid()).collect();
    let pod_processes: Vec<i32> = uids.iter().map(|uid| world.place().pod_process(uid).unwrap()).collect();

    let agent = of_smaps(world.agent(), "Pss");
    println!("agent: {agent} KiB PSS with 10 pods");
    assert!(agent <= AGENT_KIB, "{agent} KiB, {AGENT_KIB} allowed");
    for pid in &pod_processes {
        let private = of_smaps(*pid, "Private_Clean") + of_smaps(*pid, "Private_Dirty");
        println!("pod process: {private} KiB private, {} KiB PSS", of_smaps(*pid, "Pss"));
        assert!(private <= POD_PROCESS_KIB, "{private} KiB, {POD_PROCESS_KIB} allowed");
    }
    idle(&mut world, &pod_processes);
}

/// Bytes written, ticks and wake-ups while nothing happens.
///
/// The re-list is rarer than one in [`IDLE`], but may fall into it: hence its handful of wake-ups.
fn idle(world: &mut World, pod_processes: &[i32]) {
    let all: Vec<i32> = pod_processes.iter().copied().chain([world.agent()]).collect();
    let written = |pid: i32| figure(&format!("/proc/{pid}/io"), "write_bytes");
    let settled = newest(&world.data());
    let before: Vec<_> = all.iter().map(|pid| (written(*pid), sleeps(*pid))).collect();
    stays_true_for(IDLE, "the agent lives", || world.agent_lives());
    let after: Vec<_> = all.iter().map(|pid| (written(*pid), sleeps(*pid))).collect();
    assert_eq!(newest(&world.data()), settled, "a file of the data directory changed");
    for (pid, (before, after)) in all.iter().zip(before.iter().zip(&after)) {
        let (bytes, wakes) = (after.0 - before.0, wake_ups(&before.1, &after.1));
        println!("process {pid}: {bytes} bytes written, woken {wakes} times in {IDLE:?}");
        assert_eq!(bytes, 0, "process {pid} wrote");
        let allowed = if *pid == world.agent() { 20 } else { 0 };
        assert!(wakes <= allowed, "process {pid} woke {wakes} times, {allowed} allowed");
    }
}

/// The newest change below a directory.
fn newest(folder: &Path) -> Option<std::time::SystemTime> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let times = entries.filter_map(|entry| {
        let metadata = entry.path().symlink_metadata().ok()?;
        let inside = if metadata.is_dir() { newest(&entry.path()) } else { None };
        inside.max(metadata.modified().ok())
    });
    times.max()
}
