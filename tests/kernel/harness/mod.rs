//! A world of its own for each story: directories, cgroup, node name, agent. What it leaves behind fails the story.
//!
//! Invariant: nothing is touched that does not carry the world's name.
//! Invariant: only [`eventually`] and [`stays_true_for`] wait.

#![allow(dead_code, reason = "shared by several test programs, none of which uses all of it")]

#[path = "../../debian/mod.rs"]
pub mod debian;
pub mod image;
pub mod kernel;
pub mod machine;
pub mod pod;
pub mod servers;
mod wait;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;

pub use kernel::Place;
pub use machine::Machine;
pub use pod::Seen;
pub use wait::{SOON, eventually, stays_true_for};

/// The binary under test: beside the program that runs this, one folder up.
pub fn binary() -> PathBuf {
    if let Some(named) = std::env::var_os("HOLDFAST_BINARY") {
        return PathBuf::from(named);
    }
    let this = std::env::current_exe().expect("a running program has a path");
    this.parent().and_then(Path::parent).expect("below target/<profile>/").join("holdfast")
}

/// Every world of this process, for [`clear_all`].
static OPEN: Mutex<Vec<Place>> = Mutex::new(Vec::new());

/// Takes away every world by force: for a program whose panics do not unwind.
pub fn clear_all() {
    OPEN.lock().unwrap().iter().for_each(Place::clear);
}

/// Directories, cgroup, node and agent of one story.
pub struct World {
    /// Data directory, manifests and logs are in here; on a disk.
    pub dir: PathBuf,
    /// The runtime directory.
    pub runtime: PathBuf,
    /// Node name, also of the cgroup root.
    pub name: String,
    /// Fields of a KubeletConfiguration: paths and the cgroup are given to the agent in this, and not by flags.
    pub kubelet_config: Option<String>,
    /// More of the agent's environment, as a service manager sets it.
    pub environment: Vec<(String, String)>,
    /// Where the agent runs, with a network for its pods; else it runs in this machine, and its pods have none.
    pub machine: Option<Arc<Machine>>,
    /// What starts the agent: a program whose last arguments are the agent's command line.
    pub through: Vec<&'static str>,
    binary: PathBuf,
    agent: Option<Child>,
}

/// A tmpfs, as `/run` is on every box; build machines have it on disk at times, which costs milliseconds a file.
fn memory_disk() -> &'static Path {
    let on_tmpfs = |path: &str| {
        nix::sys::statfs::statfs(path)
            .is_ok_and(|found| found.filesystem_type() == nix::sys::statfs::TMPFS_MAGIC)
    };
    Path::new(if on_tmpfs("/run") || !on_tmpfs("/dev/shm") { "/run" } else { "/dev/shm" })
}

impl World {
    /// A world with test images and a running agent.
    pub fn new() -> World {
        let mut world = World::without_agent();
        world.start_agent();
        world
    }

    /// A world in which no agent has run yet.
    pub fn without_agent() -> World {
        World::with_binary(&binary())
    }

    /// A world of another binary, in which no agent has run yet.
    pub fn with_binary(binary: &Path) -> World {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        assert!(nix::unistd::geteuid().is_root(), "this needs root: run `make test` as root");
        // No name begins another one: it is by them that things are told apart.
        let name = format!("hf-{}-{:03}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        let dir = std::env::temp_dir().join(&name);
        let runtime = memory_disk().join(&name);
        let binary = binary.to_owned();
        let (kubelet_config, environment, agent) = (None, Vec::new(), None);
        let world = World {
            dir,
            runtime,
            name,
            kubelet_config,
            environment,
            machine: None,
            through: Vec::new(),
            binary,
            agent,
        };
        OPEN.lock().unwrap().push(world.place());
        fs::create_dir_all(world.manifests()).unwrap();
        fs::create_dir_all(world.archives()).unwrap();
        fs::create_dir_all(world.dir.join("staging")).unwrap();
        fs::write(world.registries(), "mirrors: {'*': {}}").unwrap();
        for archive in image::archives() {
            let to = world.archives().join(archive.file_name().expect("an archive is a file"));
            fs::hard_link(archive, &to).or_else(|_| fs::copy(archive, &to).map(drop)).unwrap();
        }
        world
    }

    pub fn data(&self) -> PathBuf {
        self.dir.join("data")
    }

    pub fn manifests(&self) -> PathBuf {
        self.dir.join("manifests")
    }

    pub fn archives(&self) -> PathBuf {
        self.data().join("agent/images")
    }

    pub fn logs(&self) -> PathBuf {
        self.dir.join("log/pods")
    }

    /// What the agent knows of registries: that there is none for anybody.
    pub fn registries(&self) -> PathBuf {
        self.dir.join("registries.yaml")
    }

    /// A directory for hostPath volumes.
    pub fn shared(&self) -> PathBuf {
        let shared = self.dir.join("shared");
        fs::create_dir_all(&shared).unwrap();
        shared
    }

    pub fn cgroup_root(&self) -> String {
        format!("/{}", self.name)
    }

    pub fn place(&self) -> Place {
        Place { paths: vec![self.dir.clone(), self.runtime.clone()], cgroup_root: self.cgroup_root() }
    }

    // The agent.

    /// The command line of this world's agent, with `changes` to its flags.
    pub fn agent_command(&self, changes: &[(&str, &str)]) -> Command {
        let text = |path: PathBuf| path.display().to_string();
        let mut flags = vec![
            ("--runtime-dir", text(self.runtime.clone())),
            ("--data-dir", text(self.data())),
            ("--pod-manifest-path", text(self.manifests())),
            ("--node-name", self.name.clone()),
            ("--log-dir", text(self.logs())),
            ("--cgroup-root", self.cgroup_root()),
            ("--private-registry", text(self.registries())),
        ];
        if let Some(fields) = &self.kubelet_config {
            let file = self.dir.join("kubelet.yaml");
            let kind = "apiVersion: kubelet.config.k8s.io/v1beta1\nkind: KubeletConfiguration\n";
            let places = [("staticPodPath", 2), ("podLogsDir", 4), ("cgroupRoot", 5)];
            let places = places.map(|(field, at)| format!("{field}: {}\n", flags[at].1)).concat();
            fs::write(&file, [kind, &places, fields].concat()).unwrap();
            flags = vec![
                flags[0].clone(),
                flags[1].clone(),
                flags[3].clone(),
                flags[6].clone(),
                ("--config", text(file)),
            ];
        }
        if self.machine.is_none() {
            flags.push(("--pod-cidr", "none".to_owned()));
        }
        for (flag, value) in &mut flags {
            if let Some((_, other)) = changes.iter().find(|(changed, _)| changed == flag) {
                *value = (*other).to_owned();
            }
        }
        let mut command = match self.through.split_first() {
            None => Command::new(&self.binary),
            Some((first, others)) => {
                let mut command = Command::new(first);
                command.args(others).arg(&self.binary);
                command
            }
        };
        command.arg("agent").args(flags.iter().flat_map(|(flag, value)| [*flag, value]));
        // Nobody outside the world is asked.
        command.arg("--disable-default-registry-endpoint").env("HOME", &self.dir);
        command.stdin(Stdio::null()).envs(self.environment.iter().cloned());
        command
    }

    /// Starts the agent and waits until it has published itself.
    pub fn start_agent(&mut self) {
        assert!(self.agent.is_none(), "the agent runs");
        let log = fs::OpenOptions::new().append(true).create(true).open(self.agent_log_file()).unwrap();
        let mut command = self.agent_command(&[]);
        command.stdout(log.try_clone().unwrap()).stderr(log);
        let mut spawn = move || command.spawn().unwrap();
        self.agent = Some(match &self.machine {
            Some(machine) => machine.inside(spawn),
            None => spawn(),
        });
        eventually(SOON, "the agent publishes itself", || {
            assert!(self.agent_lives(), "the agent ended:\n{}", self.agent_log());
            let published = fs::read(self.runtime.join("node.json")).ok()?;
            let published: Value = serde_json::from_slice(&published).ok()?;
            (published["pid"] == self.agent()).then_some(())
        });
    }

    /// Process ID of the agent.
    pub fn agent(&self) -> i32 {
        i32::try_from(self.agent.as_ref().expect("the agent runs").id()).unwrap()
    }

    pub fn agent_lives(&mut self) -> bool {
        self.agent.as_mut().is_some_and(|agent| agent.try_wait().unwrap().is_none())
    }

    /// SIGKILL, as a crash would.
    pub fn kill_agent(&mut self) {
        let mut agent = self.agent.take().expect("the agent runs");
        agent.kill().unwrap();
        agent.wait().unwrap();
    }

    /// SIGTERM, as `systemctl restart` would.
    pub fn stop_agent(&mut self) {
        kernel::signal(self.agent(), nix::sys::signal::Signal::SIGTERM);
        let mut agent = self.agent.take().expect("the agent runs");
        eventually(SOON, "the agent ends on SIGTERM", || agent.try_wait().unwrap());
    }

    /// `holdfast down`: every pod ends, then the agent.
    pub fn down(&mut self) {
        self.says(&["down"]);
        eventually(SOON, "the agent ends after down", || (!self.agent_lives()).then_some(()));
        assert!(self.pods().is_empty(), "pods after down");
        self.agent = None;
    }

    /// Reaps an agent that ended by itself.
    pub fn forget_agent(&mut self) {
        assert!(!self.agent_lives(), "the agent runs");
        self.agent = None;
    }

    fn agent_log_file(&self) -> PathBuf {
        self.dir.join("agent.log")
    }

    /// What the agent has logged so far.
    pub fn agent_log(&self) -> String {
        fs::read_to_string(self.agent_log_file()).unwrap_or_default()
    }

    // Manifests.

    /// Puts a manifest into the directory by a rename, as a careful tool does.
    pub fn write(&self, file: &str, manifest: &Value) {
        self.write_text(file, &manifest.to_string());
    }

    pub fn write_text(&self, file: &str, text: &str) {
        let staged = self.dir.join("staging").join(file);
        fs::write(&staged, text).unwrap();
        fs::rename(staged, self.manifests().join(file)).unwrap();
    }

    pub fn remove(&self, file: &str) {
        fs::remove_file(self.manifests().join(file)).unwrap();
    }

    // What is seen.

    /// Runs `holdfast ARGS` in this world.
    pub fn cli(&self, args: &[&str]) -> Output {
        let mut command = Command::new(&self.binary);
        command.arg("--runtime-dir").arg(&self.runtime).args(args).stdin(Stdio::null());
        command.output().unwrap()
    }

    /// What `holdfast ARGS` prints; it must succeed.
    pub fn says(&self, args: &[&str]) -> String {
        let output = self.cli(args);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "holdfast {}: {}\n{stderr}", args.join(" "), output.status);
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Every pod there is.
    pub fn pods(&self) -> Vec<Seen> {
        let list: Value = serde_json::from_str(&self.says(&["get", "pods", "-A", "-o", "json"])).unwrap();
        let items = list["items"].as_array().expect("get -o json prints a list");
        items.iter().cloned().map(Seen).collect()
    }

    /// The pod whose manifest calls it `name`, in the default namespace.
    pub fn pod(&self, name: &str) -> Option<Seen> {
        let full_name = format!("default/{name}-{}", self.name);
        self.pods().into_iter().find(|pod| pod.full_name() == full_name)
    }

    /// The pod's own name: the node's is appended.
    pub fn pod_name(&self, name: &str) -> String {
        format!("{name}-{}", self.name)
    }

    /// The pod, once `holds`.
    pub fn once(&self, name: &str, what: &str, holds: impl Fn(&Seen) -> bool) -> Seen {
        eventually(SOON, &format!("pod {name}: {what}"), || self.pod(name).filter(&holds))
    }

    /// The pod, once it runs and is ready.
    pub fn running(&self, name: &str) -> Seen {
        self.once(name, "is ready", |pod| {
            pod.phase() == "Running" && pod.is("Ready") && !pod.is_terminating()
        })
    }

    /// Waits until the pod is nowhere.
    pub fn gone(&self, name: &str) {
        eventually(SOON, &format!("pod {name} is gone"), || self.pod(name).is_none().then_some(()));
    }

    /// What `get manifests` says, once it says all of `words`.
    pub fn reported(&self, words: &[&str]) -> String {
        eventually(SOON, &format!("get manifests says {words:?}"), || {
            let output = self.cli(&["get", "manifests"]);
            let said = [output.stdout, output.stderr].concat();
            let said = String::from_utf8_lossy(&said).into_owned();
            words.iter().all(|word| said.contains(word)).then_some(said)
        })
    }

    /// The log of container `main`.
    pub fn log(&self, name: &str) -> String {
        self.says(&["logs", &self.pod_name(name)])
    }

    /// Runs the workload in container `main` by `exec`.
    pub fn exec(&self, name: &str, args: &[&str]) -> Output {
        let pod = self.pod_name(name);
        let command = ["exec", &pod, "--", "/workload"].into_iter().chain(args.iter().copied());
        self.cli(&command.collect::<Vec<_>>())
    }

    /// Ends everything and shows that nothing is left. A story that ends well does this by itself.
    fn finish(&mut self) {
        if self.agent_lives() {
            self.down();
        }
        self.agent = None;
        eventually(SOON, "nothing is left", || self.place().left().is_empty().then_some(()));
    }

    /// What a failed story should show.
    fn explain(&self) {
        let log = self.agent_log();
        let tail: Vec<&str> = log.lines().rev().take(40).collect();
        eprintln!("--- {}: end of the agent's log", self.name);
        tail.iter().rev().for_each(|line| eprintln!("{line}"));
        eprintln!("--- {}: what there is\n{}", self.name, self.place().left().join("\n"));
        for verb in [&["get", "pods", "-A"][..], &["get", "manifests"]] {
            eprintln!("--- {}: {}", self.name, verb.join(" "));
            eprint!("{}", String::from_utf8_lossy(&self.cli(verb).stdout));
        }
        for pod_log in fs::read_dir(self.runtime.join("pods")).into_iter().flatten().flatten() {
            let text = fs::read_to_string(pod_log.path().join("log")).unwrap_or_default();
            eprintln!("--- {}\n{text}", pod_log.path().display());
        }
    }
}

impl Drop for World {
    fn drop(&mut self) {
        let fine = !std::thread::panicking();
        let finished =
            fine && std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| self.finish())).is_ok();
        if !finished {
            self.explain();
        }
        if let Some(mut agent) = self.agent.take() {
            let _ = agent.kill();
            let _ = agent.wait();
        }
        self.place().clear();
        assert!(finished || !fine, "{}: something was left, see above", self.name);
    }
}

/// A short while, for [`stays_true_for`]: many times what an action takes.
pub const A_WHILE: Duration = Duration::from_secs(3);
