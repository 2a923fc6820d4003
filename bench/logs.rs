//! How fast a log is printed.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::json;

use crate::clock::{median, now};
use crate::harness::{World, binary};
use crate::table::{compared, plain};

/// Length of the log, in MiB, and a line of it.
const LENGTH: usize = 256;
const LINE: &str =
    "2026-11-21T21:18:24.123456789Z stdout F 127.0.0.1 - - GET /index.html HTTP/1.1 200 612 curl/8.5.0\n";

/// `logs` of one file, beside `cat` and `cut` of it; all of it, and its end.
pub fn logs(runs: usize) {
    let world = World::without_agent();
    // In memory, so that no disk is measured.
    let root = world.runtime.join("bench");
    let log = root.join("log/pod/main/0.log");
    fs::create_dir_all(log.parent().unwrap()).unwrap();
    fs::create_dir_all(root.join("run/pods/1")).unwrap();
    let mut file = File::create(&log).unwrap();
    let mebibyte = LINE.repeat((1 << 20) / LINE.len());
    (0..LENGTH).for_each(|_| file.write_all(mebibyte.as_bytes()).unwrap());
    let published = json!({
        "version": 1, "events": [], "manifest": "/m", "log_directory": root.join("log/pod"),
        "object": {
            "metadata": {"name": "pod", "namespace": "default"},
            "spec": {"containers": [{"name": "main"}]},
            "status": {"phase": "Running", "containerStatuses": [{"name": "main", "state": {"running": {}}}]},
        },
    });
    fs::write(root.join("run/pods/1/status.json"), published.to_string()).unwrap();
    let lock = File::create(root.join("run/lock")).unwrap();
    lock.lock().unwrap();
    let ours = |arguments: &[&str]| {
        let mut command = Command::new(binary());
        command.arg("--runtime-dir").arg(root.join("run")).args(["logs", "pod"]).args(arguments);
        took(command)
    };
    let peer = |program: &str, arguments: &[&str], file: &Path| {
        let mut command = Command::new(program);
        command.args(arguments).arg(file);
        took(command)
    };
    let (mut all, mut tail, mut cat, mut cut) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for _ in 0..runs {
        all.push(ours(&[]));
        cat.push(peer("cat", &[], &log));
        tail.push(ours(&["--tail", "10"]));
        cut.push(peer("cut", &["-d ", "-f4-"], &log));
    }
    let rate = LENGTH as f64 / median(all.clone()).as_secs_f64();
    plain("logs, MiB a second", format!("{rate:.0}"));
    compared("logs, 256 MiB", all.clone(), "cat", cat.clone());
    compared("logs, 256 MiB", all, "cut -d ' ' -f4-", cut);
    compared("logs --tail 10, of 256 MiB", tail, "cat", cat);
}

/// How long it takes with a reader at the other end of a pipe.
fn took(mut command: Command) -> Duration {
    let before = now();
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
    std::io::copy(child.stdout.as_mut().unwrap(), &mut std::io::sink()).unwrap();
    assert!(child.wait().unwrap().success());
    now() - before
}
