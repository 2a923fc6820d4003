//! The peer: Debian's crun on the bundle that holdfast made.
//!
//! Its version refuses hybrid cgroups, so it runs in a mount namespace of its own where the unified hierarchy is not
//! mounted. A server in there keeps the cost of that namespace out of the figures.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::{TimeVal, TimeValLike};
use serde_json::{Value, json};

use crate::clock::{first_instruction, now};
use crate::harness::World;
use crate::harness::image::{run, target, workload};

/// First argument of the server.
pub const ROLE: &str = "crun-server";

/// What the server is told for an exec rather than a round.
const EXEC: &str = "exec";

/// Most rounds at once.
const AT_ONCE: usize = 10;

/// crun, ready to run one bundle again and again.
pub struct Crun {
    server: Child,
    answers: BufReader<std::process::ChildStdout>,
}

/// What one `crun exec` took.
pub struct Exec {
    /// From the call to its end.
    pub took: Duration,
    /// Processor time of it and of the command.
    pub cpu: Duration,
}

/// What one round took.
pub struct Round {
    /// From the call to the first instruction inside.
    pub start: Duration,
    /// From the signal to all gone.
    pub end: Duration,
}

impl Crun {
    /// Takes over the bundle of the running pod `uid`, with a root file system and a cgroup of its own.
    pub fn with_bundle_of(world: &World, uid: &str) -> Crun {
        let of_pod = world.runtime.join("pods").join(uid).join("containers/main-0/config.json");
        let mut config: Value = serde_json::from_slice(&fs::read(of_pod).unwrap()).unwrap();
        // On tmpfs, as holdfast's own bundles are, and as `/run/crun` would be.
        let bundle = world.runtime.join("crun");
        let file = world.shared().join("crun");
        fs::create_dir_all(bundle.join("rootfs/etc")).unwrap();
        fs::copy(workload(), bundle.join("rootfs/workload")).unwrap();
        config["root"]["path"] = json!(bundle.join("rootfs"));
        config["process"]["args"] = json!(["/workload", "first-instruction", "/shared/crun"]);
        // What whoever loads our seccomp program is lent; crun, to which its placeholder forbids everything, loads none.
        config["linux"].as_object_mut().unwrap().remove("seccomp");
        let bounding = config["process"]["capabilities"]["bounding"].clone();
        for set in ["effective", "permitted"] {
            config["process"]["capabilities"][set] = bounding.clone();
        }
        // Files and memory that only the pod's own mount namespace has.
        let own = |mount: &Value| {
            mount["source"].as_str().is_some_and(|source| Path::new(source).starts_with(&world.runtime))
        };
        config["mounts"].as_array_mut().unwrap().retain(|mount| !own(mount));
        for number in 0..AT_ONCE {
            // Each in its own cgroup: crun ends everything in it.
            config["linux"]["cgroupsPath"] = json!(format!("{}/crun{number}", world.cgroup_root()));
            let one = bundle.join(number.to_string());
            fs::create_dir_all(&one).unwrap();
            fs::write(one.join("config.json"), config.to_string()).unwrap();
        }
        let script = "umount /sys/fs/cgroup/unified 2>/dev/null; exec \"$@\"";
        let mut server = Command::new("unshare");
        server.args(["--mount", "--propagation", "private", "sh", "-c", script, "sh"]);
        server.arg(std::env::current_exe().unwrap()).arg(ROLE).arg(&bundle).arg(&file);
        let mut server = server.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let answers = BufReader::new(server.stdout.take().unwrap());
        Crun { server, answers }
    }

    /// What `crun exec` takes in a container that runs until the end of this.
    pub fn exec(&mut self) -> Exec {
        let [took, cpu] = self.ask(EXEC);
        Exec { took, cpu }
    }

    fn ask(&mut self, what: &str) -> [Duration; 2] {
        writeln!(self.server.stdin.as_mut().unwrap(), "{what}").unwrap();
        let mut answer = String::new();
        self.answers.read_line(&mut answer).unwrap();
        let times: Vec<_> = answer.split_whitespace().map(|time| time.parse().unwrap()).collect();
        let [first, second] = times.as_slice() else { panic!("crun's server said {answer:?}") };
        [*first, *second].map(Duration::from_nanos)
    }

    /// Runs the bundle `at_once` times at once, then ends them; the slowest counts.
    pub fn round(&mut self, at_once: usize) -> Round {
        let [start, end] = self.ask(&at_once.to_string());
        Round { start, end }
    }
}

impl Drop for Crun {
    fn drop(&mut self) {
        drop(self.server.stdin.take());
        let _ = self.server.wait();
    }
}

/// Processor time of the children that ended, with theirs.
fn of_children() -> Duration {
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN).unwrap();
    let micros = |time: TimeVal| u64::try_from(time.num_microseconds()).unwrap();
    Duration::from_micros(micros(usage.user_time()) + micros(usage.system_time()))
}

/// The server: a number a line in, or [`EXEC`]; two times in nanoseconds a line out.
pub fn serve(bundle: &str, file: &str) {
    let state = PathBuf::from(bundle).join("state");
    // The program itself: the wrapper in target/debian/bin would count against it.
    let root = target().join("debian/root/usr");
    let libraries = root.join("lib").join(format!("{}-linux-gnu", std::env::consts::ARCH));
    let crun = || {
        let mut crun = Command::new(root.join("bin/crun"));
        crun.env("LD_LIBRARY_PATH", &libraries).arg("--root").arg(&state).arg("--cgroup-manager=cgroupfs");
        crun
    };
    let start_one = |number: usize| {
        let (mut crun, name) = (crun(), format!("bench{number}"));
        crun.arg("run")
            .arg("--bundle")
            .arg(format!("{bundle}/{number}"))
            .arg(&name)
            .stdin(Stdio::null())
            .stdout(Stdio::null());
        (name, crun.spawn().unwrap())
    };
    let mut kept = None;
    for line in std::io::stdin().lines() {
        let line = line.unwrap();
        if line == EXEC {
            let (name, _) = kept.get_or_insert_with(|| {
                let _ = fs::remove_file(file);
                let started = start_one(0);
                first_instruction(file.as_ref(), 0);
                started
            });
            let (before, cpu) = (now(), of_children());
            run(crun().args(["exec", name, "/workload", "echo", "x"]));
            println!("{} {}", (now() - before).as_nanos(), (of_children() - cpu).as_nanos());
            continue;
        }
        let at_once: usize = line.parse().unwrap();
        let _ = fs::remove_file(file);
        let before = now();
        let running: Vec<(String, Child)> = (0..at_once).map(start_one).collect();
        let start = first_instruction(file.as_ref(), at_once - 1) - before;
        let before = now();
        for (name, _) in &running {
            run(crun().args(["kill", name, "TERM"]));
        }
        for (_, mut child) in running {
            child.wait().unwrap();
        }
        println!("{} {}", start.as_nanos(), (now() - before).as_nanos());
    }
    if let Some((name, mut child)) = kept {
        run(crun().args(["kill", &name, "TERM"]));
        child.wait().unwrap();
    }
}
