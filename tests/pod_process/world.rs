//! A pod process of one's own: directories, cgroup, image, and a client, all gone afterwards.

use std::fs::{self, File};
use std::io::Read;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use holdfast::bundle::CAPABILITIES;
use holdfast::cgroup::Hierarchy;
use holdfast::protocol::{
    Exec, Exited, LogFile, MAX_PACKET, Notice, Overlay, Reply, Request, Sandbox, StartContainer, State,
    Stdin, Stop,
};
use holdfast::sys::untouchable::Untouchable;
use holdfast::sys::{lock, process, seqpacket};
use serde_json::{Value, json};

/// How long anything may take; far more than it does.
pub const LONG: Duration = Duration::from_secs(20);

pub struct World {
    pub directory: PathBuf,
    pub cgroups: Hierarchy,
    pub sandbox: Sandbox,
    pub pid: i32,
    binary: PathBuf,
}

impl World {
    /// A pod process with the usual sandbox.
    pub fn new() -> World {
        World::with(|_| {})
    }

    /// A pod process with a sandbox that was changed.
    pub fn with(change: impl FnOnce(&mut Sandbox)) -> World {
        World::from(Path::new(env!("CARGO_BIN_EXE_holdfast")), change)
    }

    /// A pod process from another binary.
    pub fn from(binary: &Path, change: impl FnOnce(&mut Sandbox)) -> World {
        let mut world = World::prepared(binary, change);
        let tree = Untouchable::of(binary).unwrap();
        let (code, verdict) = world.launch(tree.command());
        assert_eq!((code, &*verdict), (Some(0), "ready\n"), "{}", world.own_log());
        world.pid = world.state().hello.pid;
        world
    }

    /// Everything but the pod process.
    pub fn prepared(binary: &Path, change: impl FnOnce(&mut Sandbox)) -> World {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("holdfast-test-{}-{number}", std::process::id());
        let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join(&name);
        fs::create_dir_all(directory.join("pod")).unwrap();
        let mut sandbox = Sandbox {
            sysctls: Vec::new(),
            default_sysctls: Vec::new(),
            uid: "0000-uid".to_owned(),
            sandbox: 3,
            full_name: format!("default/{name}"),
            directory: directory.join("pod").to_str().unwrap().to_owned(),
            cgroup: format!("/{name}/kubepods/pod"),
            hostname: "pod-host".to_owned(),
            host_network: false,
            host_ipc: false,
            share_process_namespace: false,
            user_namespace: None,
            selinux_level: None,
            tmpfs: Vec::new(),
            oom_score_adj: -998,
            nofile: (1024, 4096),
        };
        change(&mut sandbox);
        let text = serde_json::to_vec(&sandbox).unwrap();
        fs::write(directory.join("pod/sandbox.json"), text).unwrap();
        let cgroups = Hierarchy::detect(&format!("/{name}")).unwrap();
        World { directory, cgroups, sandbox, pid: 0, binary: binary.to_owned() }
    }

    /// Starts the pod process by `command` as the agent does: its exit code and what it said.
    pub fn launch(&self, mut command: Command) -> (Option<i32>, String) {
        let pod = self.directory.join("pod");
        let lock = lock::take(&pod.join("lock")).unwrap().expect("nobody has the lock");
        let log = File::options().append(true).create(true).open(pod.join("log")).unwrap();
        let mut child = command
            .args(["pod-process", pod.to_str().unwrap()])
            .stdin(lock)
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .unwrap();
        // The command holds our descriptor of the lock.
        drop(command);
        let mut said = String::new();
        child.stdout.take().unwrap().read_to_string(&mut said).unwrap();
        (child.wait().unwrap().code(), said)
    }

    pub fn pod(&self) -> PathBuf {
        self.directory.join("pod")
    }

    pub fn own_log(&self) -> String {
        fs::read_to_string(self.pod().join("log")).unwrap_or_default()
    }

    pub fn client(&self) -> Client {
        Client(seqpacket::connect(&self.pod().join("sock")).unwrap())
    }

    pub fn state(&self) -> State {
        match self.client().ask(&Request::State) {
            Reply::State(state) => state,
            other => panic!("{other:?}"),
        }
    }

    /// A request to start a container whose bundle was written.
    pub fn request(&self, name: &str, attempt: u32, config: &Value) -> StartContainer {
        let bundle = self.pod().join(format!("containers/{name}-{attempt}"));
        let writable = self.directory.join(format!("writable/{name}-{attempt}"));
        let logs = self.directory.join(format!("logs/{name}"));
        let place = |path: PathBuf| {
            fs::create_dir_all(&path).unwrap();
            path.to_str().unwrap().to_owned()
        };
        let cgroup = format!("{}/{name}-{attempt}", self.sandbox.cgroup);
        let mut config = config.clone();
        config["linux"]["cgroupsPath"] = json!(cgroup);
        let bundle = place(bundle);
        fs::write(format!("{bundle}/config.json"), config.to_string()).unwrap();
        StartContainer {
            name: name.to_owned(),
            attempt,
            bundle,
            overlay: Overlay {
                no_devices: false,
                layers: image().parent().unwrap().to_str().unwrap().to_owned(),
                lower: vec![image().file_name().unwrap().to_str().unwrap().to_owned()],
                upper: place(writable.join("upper")),
                work: place(writable.join("work")),
            },
            sub_paths: Vec::new(),
            user: String::new(),
            strict_groups: false,
            device_rules: false,
            labels: None,
            cgroup,
            log: LogFile {
                path: format!("{}/{attempt}.log", place(logs)),
                max_bytes: 10 << 20,
                max_files: 5,
            },
            deadline: LONG,
            stdin: Stdin::None,
            terminal: false,
        }
    }

    /// Starts a container; its process ID.
    pub fn start(&self, request: StartContainer) -> i32 {
        match self.client().ask(&Request::StartContainer(Box::new(request))) {
            Reply::Started { pid, .. } => pid,
            other => panic!("{other:?}\n{}", self.own_log()),
        }
    }

    /// Starts a container that cannot start: why.
    pub fn fail(&self, request: StartContainer) -> holdfast::status::Failure {
        match self.client().ask(&Request::StartContainer(Box::new(request))) {
            Reply::Failed(failure) => failure,
            other => panic!("{other:?}"),
        }
    }

    /// Runs a shell script in container `c` until it ends: its exit and its log.
    pub fn run(&self, attempt: u32, script: &str) -> (Exited, String) {
        let request = self.request("c", attempt, &config(&["/bin/sh", "-c", script]));
        self.run_request(request)
    }

    pub fn run_request(&self, request: StartContainer) -> (Exited, String) {
        let mut watcher = self.watch();
        let log = request.log.path.clone();
        let (name, attempt) = (request.name.clone(), request.attempt);
        self.start(request);
        let exited = watcher.exited(&name, attempt);
        (exited, text_of(&fs::read_to_string(log).unwrap()))
    }

    pub fn watch(&self) -> Client {
        let mut client = self.client();
        assert!(matches!(client.ask(&Request::Watch), Reply::State(_)));
        client
    }

    pub fn stop(&self, name: &str, attempt: u32, signal: i32, grace: Duration) {
        let stop = Stop { name: name.to_owned(), attempt, signal, grace };
        assert_eq!(self.client().ask(&Request::Stop(stop)), Reply::Done);
    }

    /// Begins a command in container `c` with its output in a pipe.
    pub fn exec(&self, args: &[&str]) -> Running {
        self.exec_with(args, |_| {})
    }

    pub fn exec_with(&self, args: &[&str], change: impl FnOnce(&mut Exec)) -> Running {
        let args = args.iter().map(|&word| word.to_owned()).collect();
        let mut exec =
            Exec { name: "c".to_owned(), args, terminal: false, size: None, timeout: None, measured: false };
        change(&mut exec);
        let (reader, writer) = std::io::pipe().unwrap();
        let null = File::open("/dev/null").unwrap();
        let mut client = self.client();
        let descriptors = [null.as_fd(), writer.as_fd(), writer.as_fd()];
        client.send(&Request::Exec(exec), &descriptors);
        drop(writer);
        Running { client, output: File::from(OwnedFd::from(reader)) }
    }

    /// Runs a command in container `c` until it ends: its exit code and its output.
    pub fn executed(&self, args: &[&str]) -> (i32, String) {
        self.exec(args).end()
    }

    /// Everything on the node that is named after this world: mounts seen by the pod process, cgroups, state.
    pub fn left_over(&self) -> Vec<String> {
        let mut found = Vec::new();
        let mounts = fs::read_to_string(format!("/proc/{}/mountinfo", self.pid)).unwrap_or_default();
        let name = self.directory.file_name().unwrap().to_str().unwrap();
        found.extend(mounts.lines().filter(|line| line.contains(name)).map(str::to_owned));
        for cgroup in cgroups(&self.sandbox.cgroup) {
            if !cgroup.ends_with("/pod") && !cgroup.ends_with("/pod/holdfast") {
                found.push(cgroup);
            }
        }
        let runtime = fs::read_dir(self.pod().join("runtime")).into_iter().flatten();
        found.extend(runtime.map(|entry| entry.unwrap().path().display().to_string()));
        found
    }

    /// Asks the pod process to leave and waits until it is gone.
    pub fn leave(&self) {
        assert_eq!(self.client().ask(&Request::Leave), Reply::Done, "{}", self.own_log());
        eventually("the pod process is gone", || !Path::new(&format!("/proc/{}", self.pid)).exists());
    }
}

impl Drop for World {
    fn drop(&mut self) {
        let name = self.directory.file_name().unwrap().to_str().unwrap();
        let (root, pod) = (format!("/{name}"), format!("/{name}/kubepods/pod"));
        if std::thread::panicking() {
            eprintln!("log of the pod process:\n{}", self.own_log());
            self.cgroups.kill(&pod, LONG).unwrap();
        } else if lock::is_held(&self.pod().join("lock")).unwrap() {
            self.leave();
        }
        let removed = self.cgroups.remove(&pod, LONG).and(self.cgroups.remove_tree(LONG));
        let _ = fs::remove_dir_all(&self.directory);
        if !std::thread::panicking() {
            removed.unwrap();
            assert_eq!(cgroups(&root), Vec::<String>::new());
            let users = processes_of(&self.binary);
            if self.binary != Path::new(env!("CARGO_BIN_EXE_holdfast")) {
                assert_eq!(users, Vec::<i32>::new());
            }
        }
    }
}

/// Processes that name this path in their arguments.
fn processes_of(binary: &Path) -> Vec<i32> {
    let wanted = binary.to_str().unwrap();
    let all = fs::read_dir("/proc").unwrap().flatten();
    let pids = all.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    pids.filter(|pid| {
        fs::read_to_string(format!("/proc/{pid}/cmdline")).is_ok_and(|line| line.contains(wanted))
    })
    .collect()
}

/// Every directory of a cgroup in every hierarchy, the cgroup's own included.
pub fn cgroups(cgroup: &str) -> Vec<String> {
    let mut found = Vec::new();
    let roots = fs::read_dir("/sys/fs/cgroup").unwrap().flatten().map(|entry| entry.path());
    for root in roots.chain([PathBuf::from("/sys/fs/cgroup")]) {
        let mut left = vec![root.join(cgroup.trim_start_matches('/'))];
        while let Some(at) = left.pop().filter(|at| at.is_dir()).or_else(|| left.pop()) {
            if !at.is_dir() {
                continue;
            }
            left.extend(
                fs::read_dir(&at).into_iter().flatten().flatten().map(|e| e.path()).filter(|p| p.is_dir()),
            );
            found.push(at.display().to_string());
        }
    }
    found
}

/// A connection to a pod process.
pub struct Client(pub OwnedFd);

impl Client {
    pub fn send(&mut self, request: &Request, descriptors: &[BorrowedFd<'_>]) {
        seqpacket::send(self.0.as_fd(), &serde_json::to_vec(request).unwrap(), descriptors).unwrap();
    }

    pub fn ask(&mut self, request: &Request) -> Reply {
        self.send(request, &[]);
        self.hear()
    }

    pub fn hear(&mut self) -> Reply {
        self.hear_within(LONG).expect("the connection lives")
    }

    /// `None` when the connection is closed.
    pub fn hear_within(&mut self, longest: Duration) -> Option<Reply> {
        assert!(readable(self.0.as_fd(), longest), "nothing heard");
        let packet = seqpacket::recv(self.0.as_fd(), MAX_PACKET).unwrap()?;
        Some(serde_json::from_slice(&packet.bytes).unwrap())
    }

    /// Waits for an exit, letting those of others pass.
    pub fn exited(&mut self, name: &str, attempt: u32) -> Exited {
        loop {
            match self.hear() {
                Reply::Notice(Notice::Exited(exited)) if exited.name == name && exited.attempt == attempt => {
                    return exited;
                }
                Reply::Notice(_) => {}
                other => panic!("{other:?}"),
            }
        }
    }
}

/// A command in a container.
pub struct Running {
    pub client: Client,
    pub output: File,
}

impl Running {
    /// Its exit code, and its output to the end.
    pub fn end(mut self) -> (i32, String) {
        match self.client.hear() {
            Reply::Started { .. } => {}
            other => panic!("{other:?}"),
        }
        let mut text = String::new();
        self.output.read_to_string(&mut text).unwrap();
        match self.client.hear() {
            Reply::Exited { code } => (code, text),
            other => panic!("{other:?}"),
        }
    }
}

pub fn readable(descriptor: BorrowedFd<'_>, longest: Duration) -> bool {
    use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
    let mut wanted = [PollFd::new(descriptor, PollFlags::POLLIN)];
    poll(&mut wanted, PollTimeout::try_from(longest).unwrap()).unwrap() > 0
}

/// Waits until something is so.
pub fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let until = Instant::now() + LONG;
    while !holds() {
        assert!(Instant::now() < until, "not so: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// The text of CRI records, both streams, whole lines.
pub fn text_of(log: &str) -> String {
    log.lines().map(|line| format!("{}\n", line.splitn(4, ' ').nth(3).unwrap_or(""))).collect()
}

/// An OCI configuration as for an ordinary container.
pub fn config(args: &[&str]) -> Value {
    let mount = |destination: &str, kind: &str, options: &[&str]| json!({ "destination": destination, "type": kind, "source": kind, "options": options });
    let capabilities = CAPABILITIES.map(|name| format!("CAP_{name}"));
    json!({
        "ociVersion": "1.0.2",
        "root": { "path": "rootfs", "readonly": false },
        "process": {
            "terminal": false,
            "user": { "uid": 0, "gid": 0 },
            "args": args,
            "env": ["PATH=/bin:/usr/bin", "MARK=mine"],
            "cwd": "/",
            "capabilities": {
                "bounding": capabilities, "effective": capabilities, "permitted": capabilities,
                "inheritable": [], "ambient": [],
            },
            "oomScoreAdj": 500,
        },
        "mounts": [
            mount("/proc", "proc", &["nosuid", "noexec", "nodev"]),
            mount("/dev", "tmpfs", &["nosuid", "strictatime", "mode=755", "size=65536k"]),
            mount("/dev/pts", "devpts", &["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"]),
            mount("/sys", "sysfs", &["nosuid", "noexec", "nodev", "ro"]),
        ],
        "linux": {
            "resources": {},
            "namespaces": [{ "type": "mount" }, { "type": "pid" }, { "type": "cgroup" }],
            "maskedPaths": ["/proc/kcore"],
            "readonlyPaths": ["/proc/sys"],
        },
    })
}

/// An image of one layer with busybox in it, made once.
pub fn image() -> &'static Path {
    static IMAGE: OnceLock<PathBuf> = OnceLock::new();
    IMAGE.get_or_init(|| {
        let place = Path::new(env!("CARGO_TARGET_TMPDIR")).join("pod-process-image");
        let layer = place.join("layer");
        fs::create_dir_all(&place).unwrap();
        let _alone = {
            let file = File::create(place.join("lock")).unwrap();
            file.lock().unwrap();
            file
        };
        if layer.exists() {
            return layer;
        }
        let half = place.join("half");
        let _ = fs::remove_dir_all(&half);
        for folder in ["bin", "etc", "tmp", "proc", "dev", "sys", "data"] {
            fs::create_dir_all(half.join(folder)).unwrap();
        }
        fs::copy(crate::debian::busybox(), half.join("bin/busybox")).unwrap();
        for name in [
            "sh", "cat", "chmod", "dd", "echo", "env", "grep", "head", "id", "kill", "ls", "mkfifo", "mount",
            "nc", "printf", "ps", "readlink", "seq", "sleep", "stat", "tail", "touch", "true", "tty", "wc",
            "yes",
        ] {
            std::os::unix::fs::symlink("busybox", half.join("bin").join(name)).unwrap();
        }
        let passwd = "root:x:0:0::/root:/bin/sh\nredis:x:999:1000::/data:/bin/sh\n";
        fs::write(half.join("etc/passwd"), passwd).unwrap();
        fs::write(half.join("etc/group"), "root:x:0:\naudio:x:29:redis\nredis:x:1000:\n").unwrap();
        fs::write(half.join("bin/forbidden"), "#!/bin/sh\n").unwrap();
        fs::write(half.join("bin/nonsense"), "neither a program nor a script\n").unwrap();
        executable(&half.join("bin/nonsense"));
        fs::rename(half, &layer).unwrap();
        layer
    })
}

pub fn executable(path: &Path) {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

/// Sends a signal to a process of ours.
pub fn signal(pid: i32, number: i32) {
    process::signal(pid, number).unwrap();
}
