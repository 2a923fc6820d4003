//! Many starts: nothing grows. 60 here, 2,000 by `make soak` (`HOLDFAST_SOAK`).

use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::json;

use crate::harness::kernel::{descriptors, zombies_of};
use crate::harness::pod::{container, pod, with};
use crate::harness::{SOON, World, eventually};

/// Pods at once, each with two containers.
const BATCH: usize = 10;

/// What must not grow.
#[derive(Debug, PartialEq)]
struct Counts {
    processes: usize,
    descriptors_of_agent: usize,
    descriptors_of_witness: usize,
    zombies: usize,
    mounts: usize,
    cgroups: usize,
    sockets: usize,
}

fn counts(world: &World, witness: i32) -> Counts {
    let place = world.place();
    Counts {
        processes: place.processes().len(),
        descriptors_of_agent: descriptors(world.agent()),
        descriptors_of_witness: descriptors(witness),
        zombies: zombies_of(world.agent()) + zombies_of(witness),
        mounts: place.mounts().len(),
        cgroups: place.cgroups().len(),
        sockets: place.sockets().len(),
    }
}

#[test]
fn thousands_of_starts_leave_nothing() {
    let wanted: usize = std::env::var("HOLDFAST_SOAK").map_or(60, |number| number.parse().unwrap());
    let world = World::new();
    let busy = Busy::start();
    world.write("witness.yaml", &pod("witness", &["trap-term"]));
    let life = world.running("witness").life();
    let uid = world.running("witness").uid();
    let witness = world.place().pod_process(&uid).expect("a running pod has a pod process");
    // The first batch opens what stays open.
    batch(&world, 0);
    let before = counts(&world, witness);
    let mut started = 0;
    for number in 1.. {
        started += batch(&world, number);
        if started >= wanted {
            break;
        }
        if number % 10 == 0 {
            println!("{started} of {wanted} starts");
        }
    }
    eventually(SOON, "as many of everything as before", || (counts(&world, witness) == before).then_some(()));
    assert_eq!(world.running("witness").life(), life);
    drop(busy);
}

/// Starts pods, waits for their end, removes them; the number of container starts.
fn batch(world: &World, number: usize) -> usize {
    let names: Vec<String> = (0..BATCH).map(|index| format!("soak-{number}-{index}")).collect();
    for name in &names {
        let mut manifest = with(pod(name, &["exit", "0"]), json!({"restartPolicy": "Never"}));
        manifest["spec"]["containers"].as_array_mut().unwrap().push(container("second", &["echo", "hello"]));
        world.write(&format!("{name}.yaml"), &manifest);
    }
    eventually(SOON + SOON, "a batch has succeeded", || {
        let done = world.pods().iter().filter(|pod| pod.phase() == "Succeeded").count();
        (done == BATCH).then_some(())
    });
    for name in &names {
        world.remove(&format!("{name}.yaml"));
    }
    eventually(SOON + SOON, "a batch is gone", || (world.pods().len() == 1).then_some(()));
    2 * BATCH
}

/// Keeps both cores busy for as long as it lives.
struct Busy(std::sync::Arc<AtomicBool>);

impl Busy {
    fn start() -> Busy {
        let on = std::sync::Arc::new(AtomicBool::new(true));
        for _ in 0..2 {
            let on = on.clone();
            std::thread::spawn(move || while on.load(Ordering::Relaxed) {});
        }
        Busy(on)
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Relaxed);
    }
}
