//! What containers print.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::json;

use crate::harness::image::{busybox, copy_program};
use crate::harness::pod::{pod, with, with_main};
use crate::harness::{SOON, World, binary, eventually, stays_true_for};

/// 9.18
#[test]
fn output_is_in_a_cri_log_where_kubelet_has_it_with_its_link() {
    let world = World::new();
    world
        .write("say.yaml", &with(pod("say", &["echo", "hello", "there"]), json!({"restartPolicy": "Never"})));
    let seen = world.once("say", "has ended", |pod| pod.phase() == "Succeeded");
    assert_eq!(world.log("say"), "hello there\n");
    let folder = format!("default_{}_{}", seen.name(), seen.uid());
    let file = world.logs().join(folder).join("main/0.log");
    let text = fs::read_to_string(&file).unwrap();
    let fields: Vec<&str> = text.trim_end().splitn(4, ' ').collect();
    assert!(fields[0].contains('T') && fields[0].contains('.'), "RFC 3339 with nanoseconds: {text}");
    assert_eq!(fields[1..], ["stdout", "F", "hello there"]);
    let links: Vec<PathBuf> = fs::read_dir(world.logs().with_file_name("containers"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    let [link] = links.as_slice() else { panic!("one link: {links:?}") };
    let name = link.file_name().unwrap().to_string_lossy();
    assert!(name.starts_with(&format!("{}_default_main-", seen.name())) && name.ends_with(".log"), "{name}");
    assert_eq!(fs::read_to_string(link).unwrap(), text);
}

/// Standard error, long lines, a last line without an end.
#[test]
fn both_streams_and_long_lines_are_kept() {
    let world = World::new();
    world.write("long.yaml", &with(pod("long", &["write-lines", "3", "40000"]), json!({})));
    world.running("long");
    eventually(SOON, "three long lines", || {
        let log = world.log("long");
        (log.lines().count() == 3 && log.lines().all(|line| line.len() == 40_000)).then_some(())
    });
    world.write("usage.yaml", &with(pod("usage", &[]), json!({"restartPolicy": "Never"})));
    world.once("usage", "has failed", |pod| pod.exit_code() == Some(64));
    assert!(world.log("usage").starts_with("usage: workload"));
}

/// 9.19 with the default limits of 10 MiB and 5 files: never more, never longer, and nothing but the oldest is lost.
#[test]
fn logs_are_rotated_by_size_and_the_oldest_go() {
    let world = World::new();
    world.write("flood.yaml", &pod("flood", &["flood"]));
    let seen = world.running("flood");
    let folder = world.logs().join(format!("default_{}_{}", seen.name(), seen.uid())).join("main");
    let sizes = || -> Vec<u64> {
        let entries = fs::read_dir(&folder).unwrap().flatten();
        entries.filter_map(|entry| entry.metadata().ok()).map(|file| file.len()).collect()
    };
    eventually(SOON + SOON, "five files", || (sizes().len() == 5).then_some(()));
    // A file may be longer by what one read of a pipe brings.
    let most = 10 * 1024 * 1024 + 128 * 1024;
    stays_true_for(Duration::from_secs(5), "no file more, none longer", || {
        sizes().len() <= 5 && sizes().iter().all(|size| *size <= most)
    });
    world.remove("flood.yaml");
    world.gone("flood");
}

#[test]
fn previous_shows_the_run_before() {
    let world = World::new();
    let volume = json!([{"name": "shared", "hostPath": {"path": world.shared()}}]);
    let mut manifest = with(pod("twice", &["steps", "/shared/runs", "7", "run"]), json!({"volumes": volume}));
    manifest["spec"]["containers"][0]["volumeMounts"] = json!([{"name": "shared", "mountPath": "/shared"}]);
    manifest["spec"]["containers"][0]["command"] = json!(["/workload", "steps", "/shared/runs", "7", "run"]);
    world.write("twice.yaml", &manifest);
    world.once("twice", "runs the second time", |pod| pod.restarts() == 1 && pod.is("Ready"));
    world.says(&["logs", &world.pod_name("twice"), "--previous"]);
}

#[test]
fn follow_shows_what_comes_and_ends_with_the_container() {
    let world = World::new();
    world.write(
        "count.yaml",
        &with(pod("count", &["write-lines", "20", "10", "100"]), json!({"restartPolicy": "Never"})),
    );
    world.running("count");
    let mut follow = Command::new(binary());
    follow.arg("--runtime-dir").arg(&world.runtime).args(["logs", "-f", &world.pod_name("count")]);
    let mut follow = follow.stdout(Stdio::piped()).spawn().unwrap();
    eventually(SOON, "all lines are written", || world.log("count").contains("19 ").then_some(()));
    world.remove("count.yaml");
    world.gone("count");
    eventually(SOON, "logs -f ends", || follow.try_wait().unwrap());
    let shown = String::from_utf8(follow.wait_with_output().unwrap().stdout).unwrap();
    assert_eq!(shown.lines().filter(|line| line.ends_with('x')).count(), 20, "{shown}");
}

/// As in `logs -f | head`, when nothing more is ever written.
#[test]
fn follow_ends_when_nobody_reads_it_any_more() {
    let world = World::new();
    world.write("quiet.yaml", &pod("quiet", &["trap-term"]));
    world.running("quiet");
    let mut follow = Command::new(binary());
    follow.arg("--runtime-dir").arg(&world.runtime).args(["logs", "-f", &world.pod_name("quiet")]);
    let mut follow = follow.stdout(Stdio::piped()).spawn().unwrap();
    drop(follow.stdout.take());
    eventually(SOON, "logs -f ends", || follow.try_wait().unwrap());
}

/// 12 kB/s or a flood: a reader that never reads must not stop the container.
#[test]
fn a_flood_does_not_hold_up_the_pod() {
    let world = World::new();
    let mut manifest = pod("flood", &["flood"]);
    manifest["spec"]["containers"]
        .as_array_mut()
        .unwrap()
        .push(crate::harness::pod::container("calm", &["trap-term"]));
    world.write("flood.yaml", &manifest);
    world.running("flood");
    let output =
        world.cli(&["exec", &world.pod_name("flood"), "-c", "calm", "--", "/workload", "echo", "alive"]);
    assert_eq!(output.stdout, b"alive\n");
    world.remove("flood.yaml");
    world.gone("flood");
}

/// After a reboot, before an agent runs: what a pod wrote before the power went is on the disk, and nothing on `/run`.
#[test]
fn logs_are_there_after_a_reboot_before_an_agent_runs() {
    let mut world = World::new();
    world.write("say.yaml", &with(pod("say", &["echo", "hello"]), json!({"restartPolicy": "Never"})));
    world.once("say", "has ended", |pod| pod.phase() == "Succeeded");
    let name = world.pod_name("say");
    world.down();
    fs::remove_dir_all(&world.runtime).unwrap();
    let logs = world.logs().display().to_string();
    let output = world.cli(&["logs", &name, "--log-dir", &logs]);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && output.stdout == b"hello\n", "{stderr}");
    assert!(stderr.starts_with(&format!("pod {name:?} is gone; it wrote this until ")), "{stderr}");
}

/// Threat 22: a pod that mounts the directory of all logs puts links in the place of its own log, then of its folder. Whoever
/// reads them is root; neither `logs` nor the last words of the container follow.
#[test]
fn a_link_in_the_place_of_a_log_shows_nothing_of_the_node() {
    let world = World::new();
    copy_program(&busybox(), &world.shared().join("busybox"));
    let secrets = world.dir.join("secrets");
    fs::create_dir(&secrets).unwrap();
    fs::write(secrets.join("0.log"), "2026-01-01T00:00:00.000000000Z stdout F precious\n").unwrap();
    let volumes = json!([
        {"name": "logs", "hostPath": {"path": world.logs()}},
        {"name": "shared", "hostPath": {"path": world.shared()}},
    ]);
    let script = "echo mine; until [ -e /shared/end ]; do /shared/busybox sleep 0.1; done; exit 3";
    let fields = json!({
        "command": ["/shared/busybox", "sh", "-c", script],
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": [
            {"name": "logs", "mountPath": "/logs"}, {"name": "shared", "mountPath": "/shared"},
        ],
    });
    let spec = json!({"volumes": volumes, "restartPolicy": "Never"});
    world.write("evil.yaml", &with_main(with(pod("evil", &[]), spec), fields));
    world.running("evil");
    let name = world.pod_name("evil");
    eventually(SOON, "it says something", || world.log("evil").contains("mine").then_some(()));
    let evil = |script: &str| {
        let script = format!("cd /logs/default_{name}_* && {script}");
        world.says(&["exec", &name, "--", "/shared/busybox", "sh", "-c", &script]);
    };
    let refused = || {
        let output = world.cli(&["logs", &name]);
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && output.stdout.is_empty(), "{output:?}");
        assert!(told.contains("symbolic link") || told.contains("Not a directory"), "{told}");
    };
    let (ln, mv) = ("/shared/busybox ln -s", "/shared/busybox mv");
    evil(&format!("{mv} main/0.log main/kept && {ln} {}/0.log main/0.log", secrets.display()));
    refused();
    fs::write(world.shared().join("end"), "").unwrap();
    let seen = world.once("evil", "has ended", |pod| pod.exit_code() == Some(3));
    assert!(!seen.0.to_string().contains("precious"), "{}", seen.0);
    refused();
    let folder = world.logs().join(format!("default_{name}_{}", seen.uid()));
    fs::rename(folder.join("main"), folder.join("away")).unwrap();
    std::os::unix::fs::symlink(&secrets, folder.join("main")).unwrap();
    refused();
}
