//! Many pods with a network, one after the other and killed: nothing of them stays. 30 here, 1,000 by `make turnover`
//! (`HOLDFAST_TURNOVER`).

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use nix::sys::signal::Signal;
use serde_json::json;

use crate::harness::kernel::signal;
use crate::harness::pod::{pod, with_main};
use crate::harness::{Machine, SOON, World, eventually};
use crate::lan::rules;
use crate::network::{alone, machine};

/// Pods at once.
const BATCH: usize = 10;

/// What must not grow.
#[derive(Debug, PartialEq)]
struct Counts {
    namespaces: usize,
    held: usize,
    links: Vec<String>,
    leases: usize,
    addresses: String,
    routes: String,
    rules: String,
}

fn counts(world: &World, machine: &Machine) -> Counts {
    let leases = fs::read_to_string(world.runtime.join("addresses.json")).unwrap();
    let leases: serde_json::Value = serde_json::from_str(&leases).unwrap();
    let processes: Vec<i32> = world.place().processes().into_iter().map(|(pid, _)| pid).collect();
    let network = |pid: &i32| fs::read_link(format!("/proc/{pid}/ns/net")).ok();
    let open = |pid: &i32| fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
    let is_network = |path: &PathBuf| path.to_string_lossy().starts_with("net:");
    Counts {
        namespaces: processes.iter().filter_map(network).collect::<BTreeSet<_>>().len(),
        held: processes
            .iter()
            .flat_map(open)
            .filter_map(|it| fs::read_link(it.path()).ok())
            .filter(is_network)
            .count(),
        links: machine.links(),
        leases: leases["pods"].as_object().unwrap().len(),
        addresses: machine.ip("-o -4 address show"),
        routes: machine.ip("-4 route show table all"),
        rules: rules(machine),
    }
}

#[test]
fn nothing_of_a_thousand_pods_stays_also_where_all_were_killed() {
    let wanted: usize = std::env::var("HOLDFAST_TURNOVER").map_or(30, |number| number.parse().unwrap());
    let mut world = alone();
    let machine = machine(&world);
    // The first ones make what stays: the bridge and the table.
    start(&world, 0);
    end(&world, 0);
    // Until the kernel has cleared away behind them, and the bridge knows that nobody is left.
    let mut before = counts(&world, &machine);
    eventually(SOON, "no links of pods", || {
        before = counts(&world, &machine);
        (!before.links.iter().any(|link| link.contains('-')) && before.routes.contains("linkdown"))
            .then_some(())
    });
    println!("before: {before:#?}");
    let as_before = |world: &World| {
        let same = || (counts(world, &machine) == before).then_some(());
        eventually(SOON, "as many of everything as before", same);
    };
    for number in 1..=wanted.div_ceil(BATCH) {
        start(&world, number);
        // Every third batch loses everything at once, the agent too.
        if number % 3 == 0 {
            kill_everything(&mut world);
        }
        end(&world, number);
        if number % 3 == 0 {
            as_before(&world);
            println!("{} of {wanted} pods", number * BATCH);
        }
    }
    as_before(&world);
    println!("after: {:#?}", counts(&world, &machine));
}

/// SIGKILL for the agent, the pod processes and the containers; the agent comes back.
fn kill_everything(world: &mut World) {
    world.kill_agent();
    for (pid, _) in world.place().processes() {
        signal(pid, Signal::SIGKILL);
    }
    world.start_agent();
}

fn names(batch: usize) -> Vec<String> {
    (0..BATCH).map(|index| format!("turn-{batch}-{index}")).collect()
}

/// Pods with ports of the node, which run.
fn start(world: &World, batch: usize) {
    for (port, name) in (8000..).zip(names(batch)) {
        let ports = json!([
            {"containerPort": 80, "hostPort": port},
            {"containerPort": 80, "hostPort": port, "protocol": "UDP", "hostIP": "127.0.0.1"},
        ]);
        let manifest = with_main(pod(&name, &["trap-term"]), json!({"ports": ports}));
        world.write(&format!("{name}.yaml"), &manifest);
    }
    eventually(SOON + SOON, "a batch runs", || {
        let running = world.pods().iter().filter(|pod| pod.is("Ready") && !pod.is_terminating()).count();
        (running == BATCH).then_some(())
    });
}

fn end(world: &World, batch: usize) {
    names(batch).iter().for_each(|name| world.remove(&format!("{name}.yaml")));
    eventually(SOON + SOON, "a batch is gone", || world.pods().is_empty().then_some(()));
}
