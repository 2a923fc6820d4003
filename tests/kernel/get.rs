//! `get` and `events` beside a real agent with real containers.

use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::harness::kernel::{signal, sleeps, tasks, wake_ups};
use crate::harness::pod::{pod, with};
use crate::harness::{SOON, World, binary, eventually, stays_true_for};

/// A command that goes on, and its lines as they come.
struct Watch {
    child: Child,
    lines: Receiver<String>,
}

impl Watch {
    fn start(world: &World, arguments: &[&str]) -> Watch {
        let mut command = Command::new(binary());
        command.arg("--runtime-dir").arg(&world.runtime).args(arguments);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let out: ChildStdout = child.stdout.take().unwrap();
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(out).lines().map_while(Result::ok) {
                let words: Vec<&str> = line.split_whitespace().collect();
                if sender.send(words.join(" ")).is_err() {
                    break;
                }
            }
        });
        Watch { child, lines }
    }

    /// Lines up to the first that holds `words`.
    #[track_caller]
    fn until(&self, words: &str) -> Vec<String> {
        let mut seen = Vec::new();
        loop {
            match self.lines.recv_timeout(SOON) {
                Ok(line) => seen.push(line),
                Err(_) => panic!("no line with {words:?} after {seen:?}"),
            }
            if seen.last().is_some_and(|line| line.contains(words)) {
                return seen;
            }
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The whole life of a pod, its agent's death in it, seen by one command that sleeps unless something happens.
#[test]
fn a_watch_follows_a_pod_from_its_manifest_to_its_end_whatever_becomes_of_the_agent() {
    let mut world = World::new();
    let watch = Watch::start(&world, &["get", "pods", "-w"]);
    // Deaf, so that its end takes the grace period and nobody can miss it.
    let deaf = json!({"restartPolicy": "Always", "terminationGracePeriodSeconds": 2});
    world.write("web.yaml", &with(pod("web", &["sleep"]), deaf));
    let seen = watch.until(" 1/1 Running 0 ");
    assert_eq!(seen[0], "NAME READY STATUS RESTARTS AGE");
    let before = &seen[1..seen.len() - 1];
    // Which of the short states before it are seen is a matter of speed.
    let begins =
        |line: &String| line.contains(" 0/1 Pending 0 ") || line.contains(" 0/1 ContainerCreating 0 ");
    assert!(before.iter().all(begins), "{seen:?}");
    let uid = world.running("web").uid();

    let pid = watch.child.id().cast_signed();
    // It goes to sleep some time after its line was read; from then on nothing wakes it.
    eventually(SOON, "a second in which the command sleeps", || {
        let before = sleeps(pid);
        stays_true_for(Duration::from_secs(1), "nothing is told while nothing happens", || {
            watch.lines.try_recv().is_err()
        });
        (wake_ups(&before, &sleeps(pid)) == 0).then_some(())
    });

    world.kill_agent();
    // Without an agent, pod processes tell, and nothing is started again.
    let main = world.place().pod_cgroup(&uid).unwrap().join("main-0");
    tasks(&main).into_iter().for_each(|pid| signal(pid, Signal::SIGKILL));
    watch.until(" 0/1 Error 0 ");
    world.start_agent();
    watch.until(" 1/1 Running 1 (");
    world.remove("web.yaml");
    watch.until(" Terminating ");
    world.gone("web");
    // What has gone is shown once more, as it was.
    watch.until(" Terminating ");
}

#[test]
fn the_node_its_images_and_what_happened_are_listed() {
    let world = World::new();
    world.write("web.yaml", &pod("web", &["trap-term"]));
    let seen = world.running("web");
    let node: Value = serde_json::from_str(&world.says(&["get", "nodes", "-o", "json"])).unwrap();
    let name = node["items"][0]["metadata"]["name"].as_str().unwrap().to_string();
    let table = world.says(&["get", "nodes", "--no-headers"]);
    let words: Vec<&str> = table.split_whitespace().collect();
    assert_eq!(words[..3], [name.as_str(), "Ready", "<none>"]);

    let watch = Watch::start(&world, &["events", "-w", "--for", "pod/web"]);
    watch.until(&format!(" Normal Started Pod/{} ", seen.name()));
    let started = world.says(&["get", "events", "--field-selector", "reason=Started", "-o", "name"]);
    assert!(started.starts_with("event/web"), "{started}");
    let agent =
        world.says(&["events", "--for", &format!("node/{name}"), "-o", "jsonpath={.items[*].reason}"]);
    assert!(agent.split(' ').any(|reason| reason == "Starting"), "{agent}");
    world.remove("web.yaml");
    watch.until(" Normal Killing ");

    let images = world.says(&["get", "images"]);
    assert!(images.starts_with("NAME ") && images.lines().count() > 1, "{images}");
    assert_eq!(world.says(&["get", "manifests", "-o", "jsonpath={.files[*].name}"]), "");
}
