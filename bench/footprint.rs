//! What it costs to be there: memory, and what an idle minute does.

use std::fs;
use std::time::Duration;

use crate::harness::kernel::{figure, of_smaps, sleeps, wake_ups};
use crate::harness::pod::pod;
use crate::harness::{World, binary, stays_true_for};
use crate::table::plain;

/// Memory with 0, 1, 10 and 50 pods, then an idle minute with 50, and the binary.
pub fn measure() {
    let mut world = World::without_agent();
    world.start_agent();
    let mut pod_processes = Vec::new();
    for wanted in [0, 1, 10, 50] {
        while pod_processes.len() < wanted {
            let name = format!("pod{}", pod_processes.len());
            world.write(&format!("{name}.yaml"), &pod(&name, &["trap-term"]));
            let uid = world.running(&name).uid();
            pod_processes.push(world.place().pod_process(&uid).unwrap());
        }
        memory(&world, &pod_processes);
    }
    idle_minute(&mut world, &pod_processes);
    plain("binary", format!("{:.2} MB", fs::metadata(binary()).unwrap().len() as f64 / 1e6));
}

fn memory(world: &World, pod_processes: &[i32]) {
    let private = |pid: i32| of_smaps(pid, "Private_Clean") + of_smaps(pid, "Private_Dirty");
    let count = pod_processes.len();
    let agent = world.agent();
    plain(&format!("agent, {count} pods: PSS"), kib(of_smaps(agent, "Pss")));
    plain(&format!("agent, {count} pods: private"), kib(private(agent)));
    let middle = |mut figures: Vec<u64>| {
        figures.sort_unstable();
        figures.get(count / 2).copied()
    };
    if let Some(pss) = middle(pod_processes.iter().map(|pid| of_smaps(*pid, "Pss")).collect()) {
        plain(&format!("pod process, {count} pods, median: PSS"), kib(pss));
    }
    if let Some(private) = middle(pod_processes.iter().map(|pid| private(*pid)).collect()) {
        plain(&format!("pod process, {count} pods, median: private"), kib(private));
    }
}

fn kib(figure: u64) -> String {
    format!("{figure} KiB")
}

fn idle_minute(world: &mut World, pod_processes: &[i32]) {
    let processes = [("agent", vec![world.agent()]), ("all pod processes", pod_processes.to_vec())];
    let work =
        |pids: &[i32]| pids.iter().map(|pid| (ticks(*pid), sleeps(*pid), written(*pid))).collect::<Vec<_>>();
    let before = processes.each_ref().map(|(_, pids)| work(pids));
    stays_true_for(Duration::from_secs(60), "the agent lives", || world.agent_lives());
    for ((who, pids), before) in processes.iter().zip(before) {
        let after = work(pids);
        let pairs = || before.iter().zip(&after);
        let ticks: u64 = pairs().map(|(before, after)| after.0 - before.0).sum();
        let wakes: u64 = pairs().map(|(before, after)| wake_ups(&before.1, &after.1)).sum();
        let bytes: u64 = pairs().map(|(before, after)| after.2 - before.2).sum();
        plain(&format!("idle minute, {who}: ticks"), ticks);
        plain(&format!("idle minute, {who}: wake-ups"), wakes);
        plain(&format!("idle minute, {who}: bytes written"), bytes);
    }
}

fn written(pid: i32) -> u64 {
    figure(&format!("/proc/{pid}/io"), "write_bytes")
}

/// Fields 14 and 15 of `stat`: user and system time in ticks of 10 ms.
pub fn ticks(pid: i32) -> u64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let (_, rest) = stat.rsplit_once(") ").unwrap();
    rest.split(' ').skip(11).take(2).map(|field| field.parse::<u64>().unwrap()).sum()
}
