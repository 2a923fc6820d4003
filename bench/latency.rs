//! How long it takes: to run, to run again, to be gone.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::clock::{first_instruction, now, soon};
use crate::crun::Crun;
use crate::harness::World;
use crate::harness::kernel::{signal, tasks};
use crate::harness::pod::{pod, with, with_main};
use crate::table::compared;

/// A pod that writes down when its first instruction ran, each time.
fn timed(world: &World, name: &str) -> (Value, PathBuf) {
    let file = format!("/shared/{name}");
    let volumes = json!([{"name": "shared", "hostPath": {"path": world.shared()}}]);
    let mounts = json!([{"name": "shared", "mountPath": "/shared"}]);
    let manifest = with(pod(name, &["first-instruction", &file]), json!({"volumes": volumes}));
    (with_main(manifest, json!({"volumeMounts": mounts})), world.shared().join(name))
}

/// Puts a manifest there; the moment before the rename.
fn put(world: &World, name: &str) -> (Duration, PathBuf) {
    let (manifest, file) = timed(world, name);
    let before = now();
    world.write(&format!("{name}.yaml"), &manifest);
    (before, file)
}

/// Removes a pod's manifest; how long until its process, cgroup and directories are gone.
fn removal(world: &World, name: &str, uid: &str) -> Duration {
    let pod_process = world.place().pod_process(uid).expect("a running pod has a pod process");
    let cgroup = world.place().pod_cgroup(uid).expect("a running pod has a cgroup");
    let directory = world.runtime.join("pods").join(uid);
    let before = now();
    world.remove(&format!("{name}.yaml"));
    soon("a removed pod is gone", || {
        let left = directory.exists() || cgroup.exists() || crate::harness::kernel::lives(pod_process);
        (!left).then_some(())
    });
    now() - before
}

/// Prints all times.
pub fn measure(runs: usize) {
    let mut world = World::without_agent();
    world.start_agent();
    put(&world, "first");
    let first = world.running("first");
    let mut crun = Crun::with_bundle_of(&world, &first.uid());
    crun.round(1);

    let (mut starts, mut restarts, mut removals) = (Vec::new(), Vec::new(), Vec::new());
    let (mut peer_starts, mut peer_ends) = (Vec::new(), Vec::new());
    for number in 0..runs {
        let name = format!("bench{number}");
        let (before, file) = put(&world, &name);
        starts.push(first_instruction(&file, 0) - before);
        let uid = world.running(&name).uid();
        let cgroup = world.place().pod_cgroup(&uid).unwrap().join("main-0");
        let before = now();
        tasks(&cgroup).into_iter().for_each(|pid| signal(pid, Signal::SIGKILL));
        restarts.push(first_instruction(&file, 1) - before);
        world.running(&name);
        removals.push(removal(&world, &name, &uid));
        let peer = crun.round(1);
        peer_starts.push(peer.start);
        peer_ends.push(peer.end);
    }
    compared("manifest rename to first instruction", starts, "crun run", peer_starts.clone());
    compared("crash to running again", restarts, "crun run", peer_starts);
    compared("manifest removal to all gone", removals, "crun kill to end", peer_ends);

    let (mut tens, mut peer_tens) = (Vec::new(), Vec::new());
    for round in 0..runs.div_ceil(5) {
        let names: Vec<String> = (0..10).map(|number| format!("ten{round}-{number}")).collect();
        let put: Vec<_> = names.iter().map(|name| put(&world, name)).collect();
        let last = put.iter().map(|(_, file)| first_instruction(file, 0)).max().unwrap();
        tens.push(last - put[0].0);
        for name in &names {
            fs::remove_file(world.manifests().join(format!("{name}.yaml"))).unwrap();
        }
        names.iter().for_each(|name| world.gone(name));
        peer_tens.push(crun.round(10).start);
    }
    compared("10 manifests at once, the last first instruction", tens, "10 crun run at once", peer_tens);
}
