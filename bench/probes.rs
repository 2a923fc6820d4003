//! What probes cost: the processor time of all processes together, which the kernel counts by cgroup.

use std::fs;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use crate::crun::Crun;
use crate::harness::kernel::figure;
use crate::harness::pod::{pod, with, with_main};
use crate::harness::{World, stays_true_for};
use crate::table::{compared, plain};

/// Pods, each with one probe.
const PODS: usize = 100;
/// Between two probes of one pod.
const PERIOD: Duration = Duration::from_secs(10);
/// Every probe is asked several times in it.
const WINDOW: Duration = Duration::from_secs(60);

/// Prints what 100 pods with an exec probe use of a core, what one probe costs, and what `crun exec` does.
pub fn measure(runs: usize) {
    let mut world = World::without_agent();
    world.start_agent();
    let first = one(&world, "first", json!({}));
    let mut crun = Crun::with_bundle_of(&world, &first);
    crun.exec();
    let theirs = (0..runs).map(|_| crun.exec().cpu).collect();
    drop(crun);
    // The same pods without probes are what is taken off.
    let names: Vec<String> = (0..PODS).map(|number| format!("pod{number}")).collect();
    names.iter().for_each(|name| put(&world, name, json!({})));
    names.iter().for_each(|name| drop(world.running(name)));
    let idle = window(&mut world);
    names.iter().for_each(|name| world.remove(&format!("{name}.yaml")));
    names.iter().for_each(|name| world.gone(name));
    let probe = json!({"readinessProbe": {
        "exec": {"command": ["/workload", "echo", "x"]}, "periodSeconds": PERIOD.as_secs(), "timeoutSeconds": 5}});
    names.iter().for_each(|name| put(&world, name, probe.clone()));
    names.iter().for_each(|name| drop(world.running(name)));
    let probed = window(&mut world);
    let share = |used: Duration| format!("{:.2} %", used.as_secs_f64() / WINDOW.as_secs_f64() * 100.0);
    plain(&format!("{PODS} pods, no probe: of one core"), share(idle.all()));
    plain(&format!("{PODS} pods, exec probe every 10 s: of one core"), share(probed.all()));
    let probes = PODS as f64 * WINDOW.as_secs_f64() / PERIOD.as_secs_f64();
    let each = |used: Duration, idle: Duration| used.saturating_sub(idle).div_f64(probes);
    let all = each(probed.all(), idle.all());
    compared("exec probe, all processes: CPU", vec![all], "crun exec: CPU", theirs);
    let ms = |time: Duration| format!("{:.2} ms", time.as_secs_f64() * 1e3);
    plain("  of that the agent", ms(each(probed.agent, idle.agent)));
    plain("  of that pod process and command", ms(each(probed.pods, idle.pods)));
}

fn put(world: &World, name: &str, fields: Value) {
    world.write(&format!("{name}.yaml"), &with_main(pod(name, &["trap-term"]), fields));
}

/// Starts a pod in whose bundle crun finds its way; its UID.
fn one(world: &World, name: &str, fields: Value) -> String {
    let volumes = json!([{"name": "shared", "hostPath": {"path": world.shared()}}]);
    let mounts = json!([{"name": "shared", "mountPath": "/shared"}]);
    let manifest = with(pod(name, &["trap-term"]), json!({"volumes": volumes}));
    let manifest = with_main(with_main(manifest, json!({"volumeMounts": mounts})), fields);
    world.write(&format!("{name}.yaml"), &manifest);
    world.running(name).uid()
}

/// Processor time that was used.
#[derive(Clone, Copy)]
struct Used {
    agent: Duration,
    /// Pod processes and all that they start.
    pods: Duration,
}

impl Used {
    fn all(self) -> Duration {
        self.agent + self.pods
    }
}

fn window(world: &mut World) -> Used {
    // What the starts left to do is done.
    stays_true_for(PERIOD, "the agent lives", || world.agent_lives());
    let before = used(world);
    stays_true_for(WINDOW, "the agent lives", || world.agent_lives());
    let after = used(world);
    Used { agent: after.agent - before.agent, pods: after.pods - before.pods }
}

fn used(world: &World) -> Used {
    let tree = |mount: &str| format!("{mount}/{}/kubepods", world.cgroup_root().trim_matches('/'));
    let v1 = format!("{}/cpuacct.usage", tree("/sys/fs/cgroup/cpuacct"));
    let pods = match Path::new(&v1).exists() {
        true => Duration::from_nanos(fs::read_to_string(v1).unwrap().trim().parse().unwrap()),
        false => Duration::from_micros(figure(&format!("{}/cpu.stat", tree("/sys/fs/cgroup")), "usage_usec")),
    };
    // Of all its threads, also of those that ended.
    let agent = Duration::from_millis(crate::footprint::ticks(world.agent()) * 10);
    Used { agent, pods }
}
