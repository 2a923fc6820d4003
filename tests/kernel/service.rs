//! The agent under service managers: what it tells them, what of theirs reaches nobody else, and the script for systems
//! without one.

use std::fs;
use std::io::IoSliceMut;
use std::net::Shutdown;
use std::os::fd::AsRawFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use nix::sys::signal::Signal;
use nix::sys::socket::{ControlMessageOwned, MsgFlags, recvmsg, setsockopt, sockopt};

use serde_json::json;

use crate::harness::image::{busybox, run};
use crate::harness::kernel::signal;
use crate::harness::pod::{pod, with};
use crate::harness::{SOON, World, eventually, stays_true_for};

/// A service manager's ear: what it was told so far, and by which process. It hears all the time, since no more than ten
/// messages wait for whoever does not listen.
struct Manager {
    socket: UnixDatagram,
    told: Arc<Mutex<Vec<(i32, String)>>>,
}

impl Drop for Manager {
    fn drop(&mut self) {
        self.socket.shutdown(Shutdown::Both).unwrap();
    }
}

impl Manager {
    /// Hears what is sent to `address`.
    fn at(address: &SocketAddr) -> Manager {
        let socket = UnixDatagram::bind_addr(address).unwrap();
        setsockopt(&socket, sockopt::PassCred, &true).unwrap();
        let manager = Manager { socket, told: Arc::default() };
        let (socket, told) = (manager.socket.try_clone().unwrap(), Arc::clone(&manager.told));
        thread::spawn(move || {
            while let Some(lines) = hear(&socket) {
                told.lock().unwrap().extend(lines);
            }
        });
        manager
    }

    fn told(&self) -> Vec<(i32, String)> {
        self.told.lock().unwrap().clone()
    }

    /// How often it was told `line` by the process `by`.
    fn count(&self, by: i32, line: &str) -> usize {
        self.told().iter().filter(|told| **told == (by, line.to_owned())).count()
    }

    fn hears(&self, by: i32, line: &str) {
        eventually(SOON, &format!("{line} from {by}"), || (0 < self.count(by, line)).then_some(()));
    }
}

/// The lines of the next message, each with its sender; `None` once nobody listens any more.
fn hear(socket: &UnixDatagram) -> Option<Vec<(i32, String)>> {
    let mut words = [0; 4096];
    let mut pieces = [IoSliceMut::new(&mut words)];
    let mut space = nix::cmsg_space!(nix::sys::socket::UnixCredentials);
    let got = recvmsg::<()>(socket.as_raw_fd(), &mut pieces, Some(&mut space), MsgFlags::empty()).unwrap();
    let sender = got.cmsgs().unwrap().find_map(|message| match message {
        ControlMessageOwned::ScmCredentials(who) => Some(who.pid()),
        _ => None,
    });
    let length = got.bytes;
    let text = String::from_utf8(words[..length].to_vec()).unwrap();
    let line = |line: &str| (sender.expect("the kernel says who it was"), line.to_owned());
    (length != 0).then(|| text.lines().map(line).collect())
}

/// What a manager puts into the environment of what it starts.
fn environment(socket: &str, watchdog: Duration) -> Vec<(String, String)> {
    let set = |name: &str, value: String| (name.to_owned(), value);
    vec![
        set("NOTIFY_SOCKET", socket.to_owned()),
        set("WATCHDOG_USEC", watchdog.as_micros().to_string()),
        // For another process: none of ours takes it.
        set("LISTEN_PID", "1".to_owned()),
        set("LISTEN_FDS", "1".to_owned()),
        set("LISTEN_FDNAMES", "leak".to_owned()),
    ]
}

#[test]
fn a_service_manager_hears_of_start_pods_life_and_end() {
    let mut world = World::without_agent();
    let path = world.dir.join("notify");
    let manager = Manager::at(&SocketAddr::from_pathname(&path).unwrap());
    world.write("web.yaml", &pod("web", &["trap-term"]));
    // The loop must turn twice a second, which an idle agent does for this alone.
    world.environment = environment(&path.display().to_string(), Duration::from_secs(1));
    world.start_agent();
    let agent = world.agent();
    manager.hears(agent, "READY=1");
    manager.hears(agent, "STATUS=1 pod, 1 running");
    world.write("other.yaml", &pod("other", &["trap-term"]));
    manager.hears(agent, "STATUS=2 pods, 2 running");
    world.remove("other.yaml");
    eventually(SOON, "one pod is left", || {
        let told = manager.told();
        let last = told.iter().rev().find(|(_, line)| line.starts_with("STATUS="))?;
        (last.1 == "STATUS=1 pod, 1 running").then_some(())
    });
    let turns = |more: usize| {
        let before = manager.count(agent, "WATCHDOG=1");
        eventually(SOON, "the loop turns", || {
            (before + more <= manager.count(agent, "WATCHDOG=1")).then_some(())
        });
    };
    turns(3);
    // What does not turn tells nothing, whatever the kernel still holds of it.
    signal(agent, Signal::SIGSTOP);
    eventually(SOON, "the agent is stopped", || {
        let status = fs::read_to_string(format!("/proc/{agent}/status")).unwrap();
        status.contains("State:\tT").then_some(())
    });
    let before = manager.count(agent, "WATCHDOG=1");
    stays_true_for(Duration::from_secs(3), "it tells nothing", || {
        before == manager.count(agent, "WATCHDOG=1")
    });
    signal(agent, Signal::SIGCONT);
    turns(1);
    assert_eq!(manager.count(agent, "STOPPING=1"), 0);
    world.stop_agent();
    manager.hears(agent, "STOPPING=1");
    manager.hears(agent, "STATUS=stopped by SIGTERM; pods go on");
    assert_eq!(manager.count(agent, "READY=1"), 1);
    let others = manager.told().into_iter().filter(|(by, _)| *by != agent).collect::<Vec<_>>();
    assert_eq!(others, [], "nobody but the agent itself tells anything");
    world.start_agent();
    let second = world.agent();
    world.down();
    manager.hears(second, "STATUS=going down, 1 pod left");
    manager.hears(second, "STOPPING=1");
}

#[test]
fn an_abstract_address_is_told_too_and_one_that_nobody_is_at_harms_nobody() {
    let mut world = World::without_agent();
    let name = format!("{}/notify", world.name);
    let manager = Manager::at(&SocketAddr::from_abstract_name(&name).unwrap());
    world.environment = environment(&format!("@{name}"), Duration::from_secs(1));
    world.start_agent();
    manager.hears(world.agent(), "READY=1");
    drop(manager);
    world.write("web.yaml", &pod("web", &["trap-term"]));
    world.running("web");
    // A manager that comes back at the same address is told again.
    let manager = Manager::at(&SocketAddr::from_abstract_name(&name).unwrap());
    manager.hears(world.agent(), "WATCHDOG=1");
}

/// Whatever pods could tell the manager with these, it would believe of the agent.
#[test]
fn no_process_of_a_pod_gets_the_managers_variables() {
    let mut world = World::without_agent();
    let path = world.dir.join("notify");
    let manager = Manager::at(&SocketAddr::from_pathname(&path).unwrap());
    world.environment = environment(&path.display().to_string(), Duration::from_secs(60));
    world.start_agent();
    world.write("web.yaml", &pod("web", &["trap-term"]));
    let uid = world.running("web").uid();
    let environ = |pid: i32| {
        let bytes = fs::read(format!("/proc/{pid}/environ")).unwrap();
        String::from_utf8(bytes).unwrap().replace('\0', "\n")
    };
    let leaks = |text: &str| ["NOTIFY_", "WATCHDOG_", "LISTEN_"].iter().any(|name| text.contains(name));
    assert!(leaks(&environ(world.agent())), "they are there to be leaked");
    let main = super::lifecycle::main_process(&world, &uid, "main");
    for pid in [world.place().pod_process(&uid).unwrap(), main] {
        assert!(!leaks(&environ(pid)), "process {pid}: {}", environ(pid));
    }
    let said = world.exec("web", &["cat", "/proc/self/environ"]);
    assert!(said.status.success() && !leaks(&String::from_utf8_lossy(&said.stdout)), "{said:?}");
    manager.hears(world.agent(), "READY=1");
}

/// A power cut in the middle of `down`, on a machine whose `/run` is a disk.
#[test]
fn an_order_of_an_earlier_boot_ends_no_pod_of_this_one() {
    let mut world = World::without_agent();
    fs::create_dir_all(world.runtime.join("orders")).unwrap();
    fs::create_dir_all(world.runtime.join("pods")).unwrap();
    fs::write(world.runtime.join("boot-id"), "another\n").unwrap();
    let order = world.runtime.join("orders/down");
    fs::write(&order, "").unwrap();
    world.write("web.yaml", &pod("web", &["trap-term"]));
    world.start_agent();
    assert!(!order.exists());
    world.running("web");
}

/// A machine without a service manager: the script, busybox's shell and nothing but busybox's tools.
struct Machine {
    world: World,
    script: PathBuf,
}

impl Machine {
    fn new() -> Machine {
        let world = World::without_agent();
        let tools = world.shared().join("bin");
        fs::create_dir(&tools).unwrap();
        run(Command::new(busybox()).args(["--install", "-s"]).arg(&tools));
        let script = world.shared().join("holdfast");
        let ours = Path::new(env!("CARGO_MANIFEST_DIR")).join("sysv/holdfast");
        fs::copy(ours, &script).unwrap();
        let machine = Machine { world, script };
        let world = &machine.world;
        let agent = world.agent_command(&[]);
        let words: Vec<_> = agent.get_args().map(|word| word.to_str().unwrap().to_owned()).collect();
        // Without `agent`, and what the script itself says: --runtime-dir.
        let lines = [
            format!("HOLDFAST={}", agent.get_program().to_str().unwrap()),
            format!("ARGUMENTS='{}'", words[3..].join(" ")),
            format!("RUNTIME_DIR={}", world.runtime.display()),
            format!("PIDFILE={}", machine.pidfile().display()),
            format!("LOG={}", world.dir.join("agent.log").display()),
            "DELAY=0".to_owned(),
        ];
        assert_eq!(&words[..2], ["agent", "--runtime-dir"]);
        fs::write(machine.defaults(), lines.map(|line| line + "\n").concat()).unwrap();
        machine
    }

    fn defaults(&self) -> PathBuf {
        self.world.shared().join("defaults")
    }

    fn pidfile(&self) -> PathBuf {
        self.world.shared().join("pid")
    }

    fn command(&self, script: &Path, action: &str) -> Command {
        let tools = self.world.shared().join("bin");
        let mut command = Command::new(tools.join("sh"));
        command.env_clear().env("PATH", tools).env("HOLDFAST_DEFAULTS", self.defaults());
        // Of its own, so that a watcher that held on to it would hold the test up.
        command.arg(script).arg(action).stdin(Stdio::null());
        command
    }

    /// What the script says, and its exit code.
    fn says(&self, action: &str) -> (Option<i32>, String) {
        let output = self.command(&self.script, action).output().unwrap();
        let said = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8(said).unwrap())
    }

    /// Says `action`, which must succeed.
    fn does(&self, action: &str) {
        let (code, said) = self.says(action);
        assert_eq!(code, Some(0), "{action}: {said}");
    }

    /// The watcher and its agent.
    fn known(&self) -> Option<(i32, i32)> {
        let text = fs::read_to_string(self.pidfile()).ok()?;
        let (watcher, agent) = text.trim().split_once(' ')?;
        Some((watcher.parse().ok()?, agent.parse().ok()?))
    }

    /// Another agent than `before` has published itself.
    fn comes_back(&self, before: i32) -> i32 {
        eventually(SOON, "the next agent publishes itself", || {
            let (_, agent) = self.known().filter(|(_, agent)| *agent != before)?;
            let node = fs::read_to_string(self.world.runtime.join("node.json")).ok()?;
            node.contains(&format!("\"pid\":{agent},")).then_some(agent)
        })
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        // The world takes away what a story that failed left.
        let _ = self.command(&self.script, "shutdown").output();
    }
}

#[test]
fn the_script_starts_tells_restarts_and_stops_and_no_pod_notices() {
    let machine = Machine::new();
    assert_eq!(machine.says("status").0, Some(3));
    machine.does("start");
    let first = machine.comes_back(0);
    assert_eq!(machine.says("status"), (Some(0), format!("holdfast: the agent runs as process {first}\n")));
    machine.world.write("web.yaml", &pod("web", &["trap-term"]));
    let life = machine.world.running("web").life();
    machine.does("start");
    assert_eq!(machine.known().unwrap().1, first, "it ran already");

    machine.does("restart");
    let second = machine.comes_back(first);
    signal(second, Signal::SIGKILL);
    let third = machine.comes_back(second);
    machine.does("stop");
    assert_eq!(machine.says("status").0, Some(3));
    assert!(!Path::new(&format!("/proc/{third}")).exists());
    let uid = machine.world.pod("web").unwrap().uid();
    let main = super::lifecycle::main_process(&machine.world, &uid, "main");
    let given = fs::read_to_string(format!("/proc/{main}/status")).unwrap();
    // A shell's background processes ignore what a terminal sends: no container inherits that.
    let ignored = given.lines().find(|line| line.starts_with("SigIgn:")).unwrap();
    assert_eq!(ignored, "SigIgn:\t0000000000000000");

    machine.does("start");
    let fourth = machine.comes_back(third);
    assert_eq!(machine.world.running("web").life(), life);
    // Without its watcher, an agent is taken for what it is and gets another.
    let (watcher, _) = machine.known().unwrap();
    signal(watcher, Signal::SIGKILL);
    eventually(SOON, "the watcher is gone", || (!is_alive(watcher)).then_some(()));
    assert_eq!(machine.says("status").0, Some(0));
    machine.does("start");
    let fifth = machine.comes_back(fourth);
    assert!(!is_alive(fourth) && is_alive(fifth));
    assert_eq!(machine.world.running("web").life(), life);
    let log = machine.world.agent_log();
    assert!(log.contains("the agent ended with 137, and is started again"), "{log}");
}

#[test]
fn after_an_ordered_down_the_script_starts_no_agent() {
    let machine = Machine::new();
    machine.does("start");
    let agent = machine.comes_back(0);
    let (watcher, _) = machine.known().unwrap();
    machine.world.says(&["down"]);
    eventually(SOON, "the watcher ends too", || (!is_alive(watcher)).then_some(()));
    assert!(!is_alive(agent));
    assert_eq!(machine.says("status").0, Some(3));
}

/// By priority, and nothing is remembered: the next start runs them again.
#[test]
fn at_power_off_the_script_ends_pods_in_order_and_the_next_boot_runs_them() {
    let machine = Machine::new();
    let world = &machine.world;
    for (name, priority) in [("low", 0), ("middle", 1000), ("high", 2_000_001_000)] {
        let args = ["trap-term", "0"];
        world.write(&format!("{name}.yaml"), &with(pod(name, &args), json!({"priority": priority})));
    }
    let in_order = |what: &str, ends: &dyn Fn()| {
        machine.does("start");
        ["low", "middle", "high"].iter().for_each(|name| drop(world.running(name)));
        ends();
        assert!(world.pods().is_empty(), "{what}: {:?}", world.pods());
        assert_eq!(machine.says("status").0, Some(3), "{what}");
    };
    // As System V's init does.
    in_order("runlevel 0", &|| {
        let ended = machine.command(&machine.script, "stop").env("RUNLEVEL", "0").output().unwrap();
        said_in_order(&ended.stderr);
    });
    // As busybox's init does on Buildroot, by a script of that name.
    let caller = world.shared().join("rcK");
    fs::write(&caller, "sh \"$HOLDFAST_SCRIPT\" stop\n").unwrap();
    in_order("rcK", &|| {
        let mut ended = machine.command(&caller, "");
        let ended = ended.env("HOLDFAST_SCRIPT", &machine.script).output().unwrap();
        said_in_order(&ended.stderr);
    });
    in_order("shutdown", &|| said_in_order(machine.says("shutdown").1.as_bytes()));
}

/// The names of pods, in the order in which they went.
#[track_caller]
fn said_in_order(said: &[u8]) {
    let said = String::from_utf8_lossy(said);
    let gone = said.lines().filter_map(|line| line.strip_suffix(": gone")?.split_once("pod default/"));
    let names: Vec<_> = gone.filter_map(|(_, name)| name.split('-').next()).collect();
    assert_eq!(names, ["low", "middle", "high"], "{said}");
}

fn is_alive(pid: i32) -> bool {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    status.contains("State:") && !status.contains("State:\tZ")
}
