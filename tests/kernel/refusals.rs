//! When the agent refuses to start, and says why.

use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use crate::harness::image::{copy_program, workload};
use crate::harness::{A_WHILE, SOON, World, eventually, stays_true_for};

/// Runs an agent that must end by itself; what it said.
fn refused(mut agent: Command) -> String {
    let mut child = agent.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let id = child.id();
    let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        eventually(SOON, "the agent refuses", || child.try_wait().unwrap())
    }));
    if ended.is_err() {
        child.kill().unwrap();
    }
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(ended.is_ok_and(|status| !status.success()), "process {id} was not refused: {text}");
    text
}

#[test]
fn a_second_agent_on_the_same_data_runtime_or_cgroup_root_is_refused() {
    let world = World::new();
    let other = World::without_agent();
    let text = |path: std::path::PathBuf| path.display().to_string();
    let all = [
        ("--data-dir", text(other.data())),
        ("--runtime-dir", text(other.runtime.clone())),
        ("--cgroup-root", other.cgroup_root()),
        ("--pod-manifest-path", text(other.manifests())),
        ("--log-dir", text(other.logs())),
    ];
    for shared in ["--data-dir", "--runtime-dir", "--cgroup-root"] {
        let changes: Vec<(&str, &str)> = all
            .iter()
            .filter(|(flag, _)| *flag != shared)
            .map(|(flag, value)| (*flag, value.as_str()))
            .collect();
        let said = refused(world.agent_command(&changes));
        assert!(said.contains("another") || said.contains("already"), "{shared}: {said}");
        assert!(other.place().mounts().is_empty());
    }
}

/// The locks are apart, and every pod would run twice all the same.
#[test]
fn a_second_agent_on_the_same_manifests_is_refused() {
    let world = World::new();
    world.write("web.yaml", &crate::harness::pod::pod("web", &["trap-term"]));
    world.running("web");
    let other = World::without_agent();
    let manifests = world.manifests().display().to_string();
    let said = refused(other.agent_command(&[("--pod-manifest-path", &manifests)]));
    assert!(said.contains("--force"), "{said}");
    assert!(other.place().cgroups().is_empty(), "{:?}", other.place().cgroups());
}

#[test]
fn who_is_not_root_is_refused() {
    let world = World::without_agent();
    let mut agent = world.agent_command(&[]);
    agent.uid(65534).gid(65534);
    let said = refused(agent);
    assert!(said.contains("root"), "{said}");
}

#[test]
fn who_is_not_root_and_looks_is_told_to_be() {
    let world = World::new();
    let mut get = Command::new(crate::harness::binary());
    get.arg("--runtime-dir").arg(&world.runtime).args(["get", "pods"]).uid(65534).gid(65534);
    let said = refused(get);
    assert!(said.contains("run this as root"), "{said}");
}

/// As the agent sees it, in a mount namespace of its own: what the kernel says it has is a file of ours.
#[test]
fn a_kernel_without_overlays_is_refused_by_name() {
    let world = World::without_agent();
    let known = world.shared().join("filesystems");
    std::fs::write(&known, "nodev\ttmpfs\n\text4\n").unwrap();
    let agent = world.agent_command(&[]);
    let mut poorer = Command::new("unshare");
    poorer.args(["--mount", "--propagation", "private", "sh", "-c"]);
    poorer.arg("mount --bind \"$0\" /proc/filesystems && exec \"$@\"").arg(&known);
    poorer.arg(agent.get_program()).args(agent.get_args()).stdin(Stdio::null());
    let said = refused(poorer);
    assert!(said.contains("CONFIG_OVERLAY_FS"), "{said}");
}

/// A kubelet takes one; here it is the directory that tells a removed file from a stick that was pulled.
#[test]
fn a_single_file_in_the_place_of_the_directory_is_refused_by_name() {
    let world = World::without_agent();
    let file = world.manifests().join("web.yaml");
    world.write("web.yaml", &crate::harness::pod::pod("web", &["trap-term"]));
    let said = refused(world.agent_command(&[("--pod-manifest-path", file.to_str().unwrap())]));
    assert!(said.contains(&format!("{} is a file", file.display())) && said.contains("directory"), "{said}");
    assert!(world.place().cgroups().is_empty(), "{:?}", world.place().cgroups());
}

/// Two supervisors of one directory would run everything twice, on the same data.
#[test]
fn a_kubelet_that_reads_the_same_directory_is_a_refusal() {
    let mut world = World::without_agent();
    // Not a kubelet, but called like one and watching like one.
    let program = world.shared().join("kubelet");
    copy_program(&workload(), &program);
    let mut kubelet = Command::new(&program);
    kubelet.arg("watch").arg(world.manifests()).stdout(Stdio::piped());
    let mut kubelet = Process(kubelet.spawn().unwrap());
    let mut says = BufReader::new(kubelet.0.stdout.take().unwrap());
    says.read_line(&mut String::new()).unwrap();
    let said = refused(world.agent_command(&[]));
    assert!(said.contains("kubelet") && said.contains("--force"), "{said}");
    kubelet.end();
    world.start_agent();
}

/// The agent goes on with its pods: which of the two is to end is for a person to say.
#[test]
fn a_kubelet_that_comes_later_is_told_once_and_forgotten_when_it_went() {
    let mut world = World::without_agent();
    world.kubelet_config = Some("fileCheckFrequency: 1s\n".to_owned());
    world.write("web.yaml", &crate::harness::pod::pod("web", &["trap-term"]));
    world.start_agent();
    let life = world.running("web").life();
    let warnings = || {
        let node: serde_json::Value =
            serde_json::from_slice(&std::fs::read(world.runtime.join("node.json")).unwrap()).unwrap();
        node["warnings"].to_string()
    };
    let program = world.shared().join("kubelet");
    copy_program(&workload(), &program);
    let mut kubelet = Process(
        Command::new(&program).arg("watch").arg(world.manifests()).stdout(Stdio::null()).spawn().unwrap(),
    );
    eventually(SOON, "the node says so", || warnings().contains("kubelet (process").then_some(()));
    eventually(SOON, "so do events", || world.says(&["events"]).contains("kubelet (process").then_some(()));
    // More looks, at which it is still there.
    stays_true_for(A_WHILE, "it is said", || warnings().contains("every pod runs twice"));
    kubelet.end();
    eventually(SOON, "it is forgotten", || (!warnings().contains("kubelet (process")).then_some(()));
    let log = world.agent_log();
    assert_eq!(log.matches("kubelet (process").count(), 1, "{log}");
    assert!(log.contains("nobody else reads manifests"), "{log}");
    assert_eq!(world.running("web").life(), life);
}

/// No refusal, since a node that nobody is at must come up: after a power cut a file may hold nothing but NULs.
#[test]
fn a_remembered_name_that_is_none_is_replaced_by_the_hosts_with_a_warning() {
    let world = World::without_agent();
    let kept = world.data().join("agent/holdfast/node-name");
    std::fs::create_dir_all(kept.parent().unwrap()).unwrap();
    std::fs::write(&kept, [0; 12]).unwrap();
    let named = world.agent_command(&[]);
    let mut unnamed = Command::new(named.get_program());
    let name = world.cgroup_root();
    let is_name = |arg: &std::ffi::OsStr| ["--node-name", &name[1..]].iter().any(|it| arg == *it);
    unnamed.args(named.get_args().filter(|arg| !is_name(arg)));
    unnamed.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let _agent = Process(unnamed.spawn().unwrap());
    let host = nix::unistd::gethostname().unwrap().into_string().unwrap().to_lowercase();
    eventually(SOON, "the agent tells", || {
        let node = std::fs::read_to_string(world.runtime.join("node.json")).ok()?;
        node.contains("held no name for a node").then_some(())
    });
    assert_eq!(std::fs::read_to_string(&kept).unwrap(), host);
}

/// Ends with its story.
struct Process(std::process::Child);

impl Process {
    fn end(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
