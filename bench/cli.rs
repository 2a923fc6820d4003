//! What a person waits for: a function a figure.

use std::fs::{self, File};
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};

use crate::clock::now;
use crate::harness::pod::pod;
use crate::harness::{World, binary};
use crate::table::compared;

/// As many pods as a node has by default, nearly.
const PODS: usize = 100;

/// `get pods` of 100 pods, beside a start of the same program that does nothing.
pub fn get_pods(runs: usize) {
    let mut world = World::without_agent();
    world.start_agent();
    world.write("pod.yaml", &pod("pod", &["trap-term"]));
    let uid = world.running("pod").uid();
    let status = fs::read(world.runtime.join("pods").join(&uid).join("status.json")).unwrap();
    let mut published: Value = serde_json::from_slice(&status).unwrap();
    // A directory that no agent clears up; its lock is ours. On tmpfs, as the real one.
    let runtime = world.runtime.join("bench");
    for number in 0..PODS {
        let directory = runtime.join("pods").join(number.to_string());
        fs::create_dir_all(&directory).unwrap();
        published["object"]["metadata"]["name"] = json!(format!("pod-{number}"));
        published["object"]["metadata"]["uid"] = json!(number.to_string());
        fs::write(directory.join("status.json"), published.to_string()).unwrap();
    }
    let lock = File::create(runtime.join("lock")).unwrap();
    lock.lock().unwrap();
    let run = |arguments: &[&str], lines: usize| -> Duration {
        let mut command = Command::new(binary());
        command.arg("--runtime-dir").arg(&runtime).args(arguments).stdin(Stdio::null());
        let before = now();
        let output = command.output().unwrap();
        let took = now() - before;
        let found = output.stdout.iter().filter(|byte| **byte == b'\n').count();
        assert_eq!(found, lines, "{}", String::from_utf8_lossy(&output.stderr));
        took
    };
    let (mut tables, mut documents, mut starts) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..runs {
        tables.push(run(&["get", "pods"], PODS + 1));
        documents.push(run(&["get", "pods", "-o", "name"], PODS));
        starts.push(run(&["--version"], 1));
    }
    compared("get pods, 100 of them", tables, "holdfast --version", starts.clone());
    compared("get pods -o name, 100 of them", documents, "holdfast --version", starts);
}
