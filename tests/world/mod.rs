//! A published directory of its own for each test, and who plays the agent and pod processes in it.

use std::fs::{self, File};
use std::io::{IoSliceMut, Write};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::time::Duration;

use holdfast::protocol::{Exited, Hello, MAX_PACKET, Reply, Request, RunState, State};
use holdfast::status::Wall;
use nix::sys::signal::{Signal, kill};
use nix::sys::socket::{
    AddressFamily, Backlog, ControlMessageOwned, MsgFlags, SockFlag, SockType, UnixAddr, accept4, bind,
    listen, recvmsg, send, setsockopt, socket, sockopt,
};
use nix::sys::time::TimeVal;
use nix::unistd::Pid;
use serde_json::{Value, json};

/// A directory that is removed at the end.
pub struct World {
    root: PathBuf,
    agent: Option<File>,
}

impl World {
    /// With an agent: the lock is held.
    pub fn with_agent() -> World {
        let mut world = World::without_agent();
        let lock = File::create(world.runtime().join("lock")).unwrap();
        lock.lock().unwrap();
        world.agent = Some(lock);
        world
    }

    /// Nobody holds the lock.
    pub fn without_agent() -> World {
        let root = nix::unistd::mkdtemp("/tmp/holdfast-cli-XXXXXX").unwrap();
        let world = World { root, agent: None };
        fs::create_dir_all(world.runtime().join("orders")).unwrap();
        fs::create_dir_all(world.runtime().join("pods")).unwrap();
        File::create(world.runtime().join("lock")).unwrap();
        world
    }

    /// The agent dies.
    pub fn end_agent(&mut self) {
        drop(self.agent.take().unwrap());
        // What another test is about to start holds it too, until it is started.
        File::open(self.runtime().join("lock")).unwrap().lock().unwrap();
    }

    pub fn root(&self) -> &Path {
        &self.root
    }

    pub fn runtime(&self) -> PathBuf {
        self.root.join("run")
    }

    pub fn pod(&self, uid: &str) -> PathBuf {
        self.runtime().join("pods").join(uid)
    }

    pub fn logs(&self) -> PathBuf {
        self.root.join("log/pod")
    }

    /// Publishes a pod as an agent does: whole, by a rename.
    pub fn publish(&self, uid: &str, object: Value) {
        let published = json!({
            "version": 1, "object": object, "events": [], "manifest": "/manifests/x.yaml", "log_directory": self.logs(),
        });
        fs::create_dir_all(self.pod(uid)).unwrap();
        fs::write(self.pod(uid).join(".status"), published.to_string()).unwrap();
        fs::rename(self.pod(uid).join(".status"), self.pod(uid).join("status.json")).unwrap();
    }

    pub fn write_log(&self, name: &str, text: &str) {
        let path = self.logs().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    pub fn append_log(&self, name: &str, text: &str) {
        File::options()
            .append(true)
            .open(self.logs().join(name))
            .unwrap()
            .write_all(text.as_bytes())
            .unwrap();
    }

    /// Starts the binary with all its streams piped.
    pub fn spawn(&self, arguments: &[&str]) -> Child {
        self.spawn_with(arguments, &[])
    }

    pub fn spawn_with(&self, arguments: &[&str], variables: &[(&str, &str)]) -> Child {
        let mut command = Command::new(env!("CARGO_BIN_EXE_holdfast"));
        command.args(arguments_before_dashes(arguments, &self.runtime()));
        command.envs(variables.iter().copied());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    pub fn run(&self, arguments: &[&str]) -> Run {
        output(self.spawn(arguments))
    }

    pub fn run_with_input(&self, arguments: &[&str], input: &[u8]) -> Run {
        let mut child = self.spawn(arguments);
        let mut stdin = child.stdin.take().unwrap();
        let input = input.to_vec();
        // The command may not want it.
        let writing = std::thread::spawn(move || stdin.write_all(&input));
        let run = output(child);
        let _ = writing.join().unwrap();
        run
    }

    /// Runs well, and says exactly this.
    #[track_caller]
    pub fn check(&self, arguments: &[&str], expected: &str) {
        let run = self.run(arguments);
        assert_eq!((run.code, &*run.out, &*run.err), (0, expected, ""), "{arguments:?}");
    }

    /// Ends with 1 and an error that begins so.
    #[track_caller]
    pub fn check_error(&self, arguments: &[&str], expected: &str) {
        let run = self.run(arguments);
        assert_eq!((run.code, &*run.out), (1, ""), "{arguments:?}: {}", run.err);
        assert!(run.err.starts_with(expected) && run.err.lines().count() == 1, "{arguments:?}: {}", run.err);
    }

    /// Waits for a file to appear, at most 10 s.
    #[track_caller]
    pub fn wait_for(&self, path: &Path) {
        let mut inotify = inotify::Inotify::init().unwrap();
        inotify
            .watches()
            .add(path.parent().unwrap(), inotify::WatchMask::CREATE | inotify::WatchMask::MOVED_TO)
            .unwrap();
        while !path.exists() {
            use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
            use std::os::fd::AsFd;
            let mut descriptors = [PollFd::new(inotify.as_fd(), PollFlags::POLLIN)];
            assert!(
                poll(&mut descriptors, PollTimeout::from(10_000u16)).unwrap() > 0,
                "no {}",
                path.display()
            );
            let _ = inotify.read_events(&mut [0; 4096]).unwrap().count();
        }
    }
}

impl Drop for World {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.root).unwrap();
    }
}

/// The flag that says where, in front of what belongs to a command.
fn arguments_before_dashes(arguments: &[&str], runtime: &Path) -> Vec<String> {
    let mut all: Vec<String> = arguments.iter().map(ToString::to_string).collect();
    let at = all.iter().position(|argument| argument == "--").unwrap_or(all.len());
    all.insert(at, format!("--runtime-dir={}", runtime.display()));
    all
}

/// What became of a run.
pub struct Run {
    pub code: i32,
    pub out: String,
    pub err: String,
}

/// Longest that anything here may take on a machine with much to do.
pub const LONGEST: Duration = Duration::from_secs(60);

/// Kills a child that goes on for longer than [`LONGEST`], so that who waits for it does not do so for ever.
pub struct Leash(#[allow(dead_code, reason = "its end is what counts")] Sender<()>);

impl Leash {
    pub fn of(child: &Child) -> Leash {
        let id = Pid::from_raw(child.id().try_into().unwrap());
        let (sender, held) = channel();
        std::thread::spawn(move || {
            if held.recv_timeout(LONGEST) == Err(RecvTimeoutError::Timeout) {
                let _ = kill(id, Signal::SIGKILL);
            }
        });
        Leash(sender)
    }
}

pub fn output(child: Child) -> Run {
    let _leash = Leash::of(&child);
    let output = child.wait_with_output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Run {
        code: output.status.code().expect("killed: it did not end"),
        out: text(output.stdout),
        err: text(output.stderr),
    }
}

fn ago(days: i64) -> String {
    jiff::Timestamp::from_second(jiff::Timestamp::now().as_second() - days * 86_400).unwrap().to_string()
}

/// A core/v1 Pod of 400 days, on node edge-1, with these container statuses.
pub fn object(name: &str, namespace: &str, statuses: Value) -> Value {
    let containers: Vec<Value> = statuses
        .as_array()
        .unwrap()
        .iter()
        .map(|status| json!({"name": status["name"], "image": "x"}))
        .collect();
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": format!("{name}-edge-1"), "namespace": namespace, "creationTimestamp": ago(400)},
        "spec": {"nodeName": "edge-1", "containers": containers},
        "status": {"phase": "Running", "containerStatuses": statuses},
    })
}

pub fn running(name: &str) -> Value {
    json!({
        "name": name, "image": "x", "imageID": "", "ready": true, "restartCount": 0,
        "state": {"running": {"startedAt": ago(400)}}, "lastState": {},
    })
}

pub fn waiting(name: &str, reason: &str) -> Value {
    json!({
        "name": name, "image": "x", "imageID": "", "ready": false, "restartCount": 2,
        "state": {"waiting": {"reason": reason}},
        "lastState": {"terminated": {"exitCode": 1, "finishedAt": ago(300)}},
    })
}

pub fn state(runs: Vec<RunState>) -> State {
    State {
        hello: Hello { version: 1, uid: "1".into(), sandbox: 0, pid: 1, pause_pid: None },
        runs,
        dropped: 0,
    }
}

pub fn runs(name: &str, attempt: u32) -> RunState {
    let (name, pid, stopping) = (name.to_string(), 1, false);
    RunState::Running { name, attempt, pid, started: Wall(0), started_boot: Duration::ZERO, stopping }
}

pub fn exited(name: &str, attempt: u32, code: i32) -> Exited {
    let (name, ran) = (name.to_string(), Duration::ZERO);
    let (started, finished) = (Wall(0), Wall(0));
    Exited {
        name,
        attempt,
        code,
        signal: None,
        oom_killed: false,
        started,
        finished,
        finished_boot: ran,
        ran,
    }
}

/// Plays a pod process.
pub struct PodProcess(OwnedFd);

impl PodProcess {
    pub fn listen(world: &World, uid: &str) -> PodProcess {
        let path = world.pod(uid).join("sock");
        let _ = fs::remove_file(&path);
        let fd = socket(AddressFamily::Unix, SockType::SeqPacket, SockFlag::SOCK_CLOEXEC, None).unwrap();
        bind(fd.as_raw_fd(), &UnixAddr::new(&path).unwrap()).unwrap();
        listen(&fd, Backlog::new(8).unwrap()).unwrap();
        let longest = TimeVal::new(LONGEST.as_secs().cast_signed(), 0);
        setsockopt(&fd, sockopt::ReceiveTimeout, &longest).unwrap();
        PodProcess(fd)
    }

    pub fn accept(&self) -> Connection {
        let accepted = accept4(self.0.as_raw_fd(), SockFlag::SOCK_CLOEXEC);
        Connection(accepted.expect("somebody connects in time"))
    }
}

/// A connection of the command line.
pub struct Connection(RawFd);

impl Connection {
    /// The request and its descriptors.
    pub fn request(&self) -> (Request, Vec<File>) {
        let mut packet = vec![0; MAX_PACKET];
        let mut control = nix::cmsg_space!([RawFd; 3]);
        let mut io = [IoSliceMut::new(&mut packet)];
        let flags = MsgFlags::MSG_CMSG_CLOEXEC;
        let message = recvmsg::<UnixAddr>(self.0, &mut io, Some(&mut control), flags).unwrap();
        let mut files = Vec::new();
        for control in message.cmsgs().unwrap() {
            let ControlMessageOwned::ScmRights(descriptors) = control else { continue };
            for (index, descriptor) in descriptors.into_iter().enumerate() {
                // Opened anew, since a number alone is nobody's.
                let path = format!("/proc/self/fd/{descriptor}");
                files.push(File::options().read(index == 0).write(index > 0).open(path).unwrap());
                nix::unistd::close(descriptor).unwrap();
            }
        }
        let length = message.bytes;
        (serde_json::from_slice(&packet[..length]).unwrap(), files)
    }

    /// As [`Connection::reply`], to one who may have given up.
    #[allow(dead_code, reason = "not every test program needs it")]
    pub fn reply_or_be_late(&self, reply: &Reply) {
        let packet = serde_json::to_vec(reply).unwrap();
        let _ = send(self.0, &packet, MsgFlags::MSG_NOSIGNAL);
    }

    pub fn reply(&self, reply: &Reply) {
        let packet = serde_json::to_vec(reply).unwrap();
        send(self.0, &packet, MsgFlags::MSG_NOSIGNAL).unwrap();
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        nix::unistd::close(self.0).unwrap();
    }
}
