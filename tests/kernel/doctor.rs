//! `doctor` finds what was broken on purpose, says what to do, and changes nothing.

use std::collections::BTreeMap;
use std::fs::{self, File, Permissions};
use std::io::{BufRead, BufReader};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, SystemTime};

use holdfast::host::Runtime;
use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::harness::image::{copy_program, tool, workload};
use crate::harness::kernel::signal;
use crate::harness::pod::pod;
use crate::harness::{Machine, SOON, World, eventually};

/// The command line that looks at this world, whether an agent has run in it or not.
fn doctor(world: &World) -> Command {
    let mut command = Command::new(crate::harness::binary());
    command.arg("--runtime-dir").arg(&world.runtime).arg("doctor");
    command.arg("--data-dir").arg(world.data()).arg("--pod-manifest-path").arg(world.manifests());
    command.arg("--log-dir").arg(world.logs()).args(["--cgroup-root", &world.cgroup_root()]);
    command.args(["-o", "json"]).stdin(Stdio::null());
    command
}

fn said(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)))
}

/// What doctor finds, each as `level area: what`, and its exit code.
fn look(world: &World) -> (Vec<String>, Option<i32>) {
    let output = doctor(world).output().unwrap();
    (lines(&said(&output)), output.status.code())
}

fn lines(said: &Value) -> Vec<String> {
    let text = |finding: &Value, key: &str| finding[key].as_str().unwrap().to_owned();
    let findings = said["findings"].as_array().unwrap().iter();
    findings.map(|it| format!("{} {}: {}", text(it, "level"), text(it, "area"), text(it, "what"))).collect()
}

/// Doctor finds something that begins so and says all of `words`.
fn finds(world: &World, begins: &str, words: &[&str]) {
    eventually(SOON, &format!("doctor finds {begins} {words:?}"), || {
        let (found, code) = look(world);
        let fits = |line: &&String| line.starts_with(begins) && words.iter().all(|word| line.contains(word));
        let found = found.iter().find(fits)?;
        let expected = if begins.starts_with("problem") { Some(2) } else { code };
        assert_eq!(code, expected, "{found}");
        Some(())
    });
}

/// What is the matter, but for what is the matter with the machine itself.
fn matters(world: &World) -> Vec<String> {
    let areas =
        ["clock: ", "limits: ", "disk: ", "network: chain ", "agent: it says: this machine does not let"];
    let of_machine = |line: &String| areas.iter().any(|area| line.contains(&format!(" {area}")));
    let (found, _) = look(world);
    found.into_iter().filter(|line| !line.starts_with("ok ") && !of_machine(line)).collect()
}

/// Every file below `folder`, with all that a change would change.
fn everything(folder: &Path) -> BTreeMap<PathBuf, (u64, i64, i64, u32)> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap().flatten() {
            let look = entry.path().symlink_metadata().unwrap();
            if look.is_dir() {
                folders.push(entry.path());
            }
            found.insert(entry.path(), (look.size(), look.mtime(), look.mtime_nsec(), look.mode()));
        }
    }
    found
}

#[test]
fn where_all_is_well_nothing_is_found_and_nothing_is_changed() {
    let world = World::new();
    world.write("a.yaml", &pod("a", &["trap-term"]));
    world.running("a");
    assert_eq!(matters(&world), Vec::<String>::new());
    // The agent itself may still write what happened; doctor, at any look, would each time.
    eventually(SOON, "a look changes nothing", || {
        let before = (everything(&world.runtime), everything(&world.dir));
        look(&world);
        ((everything(&world.runtime), everything(&world.dir)) == before).then_some(())
    });
    let (found, code) = look(&world);
    for line in
        ["ok agent: 1 pod process answer", "ok agent: it runs as process", "ok images: 2 images whole"]
    {
        assert!(found.iter().any(|found| found.starts_with(line)), "{line}: {found:?}");
    }
    assert!(code < Some(2), "{found:?}");
}

#[test]
fn a_node_on_which_no_agent_ran_is_looked_at_too() {
    let world = World::without_agent();
    finds(&world, "warning agent: no agent has run", &[]);
    let never: Vec<_> =
        matters(&world).into_iter().filter(|line| !line.contains("no agent has run")).collect();
    assert_eq!(never, Vec::<String>::new());
    assert!(!world.runtime.exists(), "nothing was made");
}

#[test]
fn who_is_not_root_is_told_what_could_not_be_looked_at() {
    let world = World::new();
    let copy = world.dir.join("holdfast");
    copy_program(&crate::harness::binary(), &copy);
    let asked = doctor(&world);
    let mut other = Command::new(&copy);
    other.args(asked.get_args()).uid(65534).gid(65534).stdin(Stdio::null());
    let output = other.output().unwrap();
    let found = lines(&said(&output));
    assert!(found.iter().any(|line| line.starts_with("unseen agent:")), "{found:?}");
    assert!(found.iter().any(|line| line.starts_with("ok kernel: Linux")), "{found:?}");
    assert!(!found.iter().any(|line| line.starts_with("problem")), "{found:?}");
}

#[test]
fn directories_that_others_reach_are_problems() {
    let world = World::new();
    let open = |path: PathBuf, mode: u32| {
        let before = fs::metadata(&path).unwrap().permissions();
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        finds(&world, "problem directories:", &[&path.display().to_string()]);
        fs::set_permissions(&path, before).unwrap();
    };
    open(world.runtime.clone(), 0o755);
    open(world.runtime.join("pods"), 0o701);
    open(world.data().join("agent/holdfast"), 0o750);
    open(world.manifests(), 0o777);
    open(world.archives(), 0o1777);
    open(world.logs(), 0o757);
    // Whoever may write above can put another directory there.
    open(world.dir.clone(), 0o777);
    world.write("a.yaml", &pod("a", &["trap-term"]));
    world.running("a");
    open(world.manifests().join("a.yaml"), 0o666);
    assert_eq!(matters(&world), Vec::<String>::new());
}

#[test]
fn an_agent_that_is_not_there_or_does_nothing_is_a_problem() {
    let mut world = World::new();
    world.write("a.yaml", &pod("a", &["trap-term"]));
    let uid = world.running("a").uid();
    world.write_text("b.yaml", "kind: Pod\n");
    finds(&world, "problem agent: 1 manifest is wrong", &[]);
    world.remove("b.yaml");
    eventually(SOON, "the manifest is forgotten", || matters(&world).is_empty().then_some(()));

    signal(world.agent(), Signal::SIGSTOP);
    finds(&world, "problem agent: the agent", &["is stopped"]);
    let order = world.runtime.join("orders/restart-nobody");
    let written = File::create(&order).unwrap();
    written.set_modified(SystemTime::now() - Duration::from_secs(60)).unwrap();
    drop(written);
    finds(&world, "problem agent: nobody takes the order", &["restart-nobody"]);
    signal(world.agent(), Signal::SIGCONT);
    eventually(SOON, "the order is taken", || (!order.exists()).then_some(()));

    let process = world.place().pod_process(&uid).unwrap();
    signal(process, Signal::SIGSTOP);
    finds(&world, "problem agent: the process of pod default/a-", &["does not answer"]);
    signal(process, Signal::SIGCONT);
    eventually(SOON, "it answers again", || matters(&world).is_empty().then_some(()));

    world.kill_agent();
    finds(&world, "problem agent: the agent is not running", &[]);
    signal(process, Signal::SIGKILL);
    finds(&world, "problem agent: the process of pod default/a-", &["is dead"]);
    world.start_agent();
    world.running("a");
}

/// A process that is called like a kubelet and watches like one; it ends with its story.
struct Kubelet(Child);

impl Drop for Kubelet {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn another_supervisor_of_the_same_manifests_is_a_problem_and_the_agent_itself_is_none() {
    let world = World::new();
    assert_eq!(matters(&world), Vec::<String>::new());
    let program = world.shared().join("kubelet");
    copy_program(&workload(), &program);
    let mut kubelet = Command::new(&program);
    kubelet.arg("watch").arg(world.manifests()).stdout(Stdio::piped());
    let mut kubelet = Kubelet(kubelet.spawn().unwrap());
    BufReader::new(kubelet.0.stdout.take().unwrap()).read_line(&mut String::new()).unwrap();
    finds(&world, "problem agent: kubelet (process", &["runs twice"]);
}

#[test]
fn what_belongs_to_no_pod_is_found() {
    let world = World::new();
    world.write("a.yaml", &pod("a", &["trap-term"]));
    let uid = world.running("a").uid();
    let cgroup = world.place().pod_cgroup(&uid).unwrap().with_file_name("podghost");
    let links = world.logs().with_file_name("containers");
    let (junk, volume) = (world.runtime.join("pods/junk"), world.data().join("agent/holdfast/pods/ghost"));
    let log = world.logs().join("default_ghost_0123");
    let link = links.join("ghost.log");
    for folder in [&cgroup, &junk, &volume, &log] {
        fs::create_dir(folder).unwrap();
    }
    symlink(log.join("0.log"), &link).unwrap();
    finds(&world, "warning leftovers: cgroup", &["podghost", "belongs to no pod"]);
    finds(&world, "warning leftovers: directories in", &["junk"]);
    finds(&world, "warning leftovers: volumes", &["ghost"]);
    finds(&world, "warning leftovers: logs", &["default_ghost_0123"]);
    finds(&world, "warning leftovers: links", &["ghost.log"]);
    fs::remove_file(&link).unwrap();
    for folder in [&cgroup, &junk, &volume, &log] {
        fs::remove_dir(folder).unwrap();
    }
    let boot = world.runtime.join("boot-id");
    let this = fs::read(&boot).unwrap();
    fs::write(&boot, "another\n").unwrap();
    finds(&world, "warning leftovers:", &["earlier boot"]);
    fs::write(&boot, this).unwrap();
    assert_eq!(matters(&world), Vec::<String>::new());
}

#[test]
fn a_store_that_lost_something_is_a_problem() {
    let world = World::new();
    world.write("a.yaml", &pod("a", &["trap-term"]));
    world.running("a");
    let store = world.data().join("agent/holdfast/images");
    let half = store.join("tmp/half");
    fs::create_dir(&half).unwrap();
    finds(&world, "warning images:", &["0 layers and 1 halves"]);
    fs::remove_dir(&half).unwrap();
    let layers: Vec<_> =
        fs::read_dir(store.join("layers")).unwrap().flatten().map(|entry| entry.path()).collect();
    let aside = store.join("aside");
    fs::rename(&layers[0], &aside).unwrap();
    finds(&world, "problem images: image", &["is gone"]);
    fs::rename(&aside, &layers[0]).unwrap();
    let index = store.join("index.json");
    let whole = fs::read(&index).unwrap();
    fs::write(&index, &whole[..whole.len() / 2]).unwrap();
    finds(&world, "problem images:", &["cannot be read"]);
    fs::write(&index, whole).unwrap();
    assert_eq!(matters(&world), Vec::<String>::new());
}

/// Doctor in a mount namespace of its own, in which `script` has changed what it sees.
fn look_after(world: &World, script: &str) -> Vec<String> {
    let asked = doctor(world);
    let mut poorer = Command::new("unshare");
    poorer.args(["--mount", "--propagation", "private", "sh", "-c"]).arg(format!("{script} && exec \"$@\""));
    poorer.arg(&world.dir).arg(asked.get_program()).args(asked.get_args()).stdin(Stdio::null());
    lines(&said(&poorer.output().unwrap()))
}

#[track_caller]
fn assert_found(found: &[String], begins: &str, words: &[&str]) {
    let fits = |line: &String| line.starts_with(begins) && words.iter().all(|word| line.contains(word));
    assert!(found.iter().any(fits), "{begins} {words:?}: {found:?}");
}

/// What the kernel says it has is a file of ours.
#[test]
fn a_kernel_or_disk_that_lacks_something_is_found() {
    let world = World::new();
    fs::write(world.dir.join("filesystems"), "nodev\ttmpfs\n").unwrap();
    fs::write(world.dir.join("release"), "4.19.0-18-amd64\n").unwrap();
    let found = look_after(
        &world,
        "mount --bind \"$0/filesystems\" /proc/filesystems && mount --bind \"$0/release\" /proc/sys/kernel/osrelease",
    );
    assert_found(&found, "problem kernel: Linux 4.19.0-18-amd64 is too old", &[]);
    assert_found(&found, "problem kernel: the kernel has no overlay", &[]);

    let found = look_after(&world, "mount -t tmpfs none /sys/fs/cgroup");
    assert_found(&found, "problem cgroups: no cgroups are mounted", &["mount -t cgroup2"]);
    if !Path::new("/sys/fs/cgroup/cgroup.controllers").exists() {
        let cgroups = fs::read_to_string("/proc/cgroups").unwrap();
        let without = cgroups.lines().filter(|line| !line.starts_with("memory"));
        fs::write(world.dir.join("cgroups"), without.collect::<Vec<_>>().join("\n")).unwrap();
        let found = look_after(&world, "mount --bind \"$0/cgroups\" /proc/cgroups");
        assert_found(&found, "warning cgroups: there is no memory controller", &[]);
    }

    let found =
        look_after(&world, "mount --bind \"$0/data\" \"$0/data\" && mount -o remount,bind,ro \"$0/data\"");
    assert_found(&found, "problem disk:", &["/data", "read-only"]);
    let full = "mount -t tmpfs -o size=1M none \"$0/data\" && head -c 1000000 /dev/zero > \"$0/data/file\"";
    assert_found(&look_after(&world, full), "problem disk:", &["/data: ", "free ("]);
    let found = look_after(&world, "mount -t proc none \"$0/data\"");
    assert_found(&found, "problem disk:", &["/data is on proc, on which containers cannot write"]);
    let pods =
        "mkdir -p \"$0/data/agent/holdfast/pods/x\" && mount -t tmpfs none \"$0/data/agent/holdfast/pods/x\"";
    assert_found(
        &look_after(&world, pods),
        "warning leftovers: mounts that no pod holds",
        &["holdfast/pods/x"],
    );
    fs::remove_dir(world.data().join("agent/holdfast/pods/x")).unwrap();
}

#[test]
fn a_clock_that_is_behind_is_told_and_what_to_do_is_told_to_people() {
    let world = World::new();
    let name = File::open(world.data().join("agent/holdfast/node-name")).unwrap();
    let future = SystemTime::now() + Duration::from_secs(30 * 86_400);
    name.set_modified(future).unwrap();
    finds(&world, "warning clock: the clock is wrong", &["has been"]);
    let output = world.cli(&["doctor"]);
    let page = String::from_utf8(output.stdout).unwrap();
    assert!(page.contains("warning  clock        the clock is wrong"), "{page}");
    assert!(page.contains("                      -> pods run all the same;"), "{page}");
    assert!(page.contains("ok       kernel       Linux "), "{page}");
    assert_eq!(output.status.code(), Some(1), "{page}");
    assert_eq!(said(&doctor(&world).output().unwrap())["version"], json!(1));
}

/// As Docker leaves it, whose own packets alone get through.
#[test]
fn a_chain_that_drops_what_is_passed_on_is_named_until_a_rule_knows_of_pods() {
    let world = World::without_agent();
    let machine = Machine::new();
    let nft = |words: &str| machine.run(tool("nft").arg(words));
    let told = || {
        let (found, _) = machine.inside(|| look(&world));
        found.into_iter().filter(|line| line.contains(" network: ")).collect::<Vec<_>>()
    };
    let fine = "ok network: pods can have links, addresses and rules for packets";
    assert_eq!(told(), [fine]);
    nft("add table ip filter");
    nft("add chain ip filter FORWARD { type filter hook forward priority 0; policy drop; }");
    nft("add chain ip filter INPUT { type filter hook input priority 0; policy drop; }");
    nft("add table ip6 filter");
    let what = "warning network: chain FORWARD of table ip filter drops what it has no rule for";
    let found = told();
    assert!(found.len() == 2 && found[0] == fine && found[1].starts_with(what), "{found:?}");
    let bridge = Runtime::new(&world.runtime).instance();
    nft("add chain ip6 filter FORWARD");
    nft(&format!("add rule ip6 filter FORWARD iifname {bridge} accept"));
    assert_eq!(told().len(), 2, "that is another table");
    nft(&format!("insert rule ip filter FORWARD iifname {bridge} accept"));
    assert_eq!(told(), [fine]);
    assert_eq!(machine.links(), ["lo"]);
    assert!(
        !machine.run(tool("nft").args(["list", "ruleset"])).contains("inet"),
        "nothing of the trial is left"
    );
}
