//! How long a command in a container takes, from its own start on the node to its end.

use std::process::Command;

use serde_json::json;

use crate::clock::now;
use crate::crun::Crun;
use crate::harness::image::run;
use crate::harness::pod::{pod, with, with_main};
use crate::harness::{World, binary};
use crate::table::compared;

/// Prints the times of `exec`, beside those of `crun exec` of the same program in a container of the same bundle.
pub fn measure(runs: usize) {
    let mut world = World::without_agent();
    world.start_agent();
    // Where crun's container writes that it runs.
    let volumes = json!([{"name": "shared", "hostPath": {"path": world.shared()}}]);
    let mounts = json!([{"name": "shared", "mountPath": "/shared"}]);
    let manifest = with(pod("first", &["trap-term"]), json!({"volumes": volumes}));
    world.write("first.yaml", &with_main(manifest, json!({"volumeMounts": mounts})));
    let first = world.running("first");
    let mut crun = Crun::with_bundle_of(&world, &first.uid());
    crun.exec();
    let exec = || {
        let before = now();
        let mut command = Command::new(binary());
        command.arg("--runtime-dir").arg(&world.runtime);
        run(command.args(["exec", "first", "--", "/workload", "echo", "x"]));
        now() - before
    };
    exec();
    let (ours, theirs) = (0..runs).map(|_| (exec(), crun.exec().took)).unzip();
    compared("exec of echo, to its end", ours, "crun exec", theirs);
}
