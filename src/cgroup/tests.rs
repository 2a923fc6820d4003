#![allow(clippy::unwrap_used)]

use std::process::{Child, Command};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use super::*;
use crate::bundle;
use crate::spec::{Bytes, Container, Millicores, Resources, Uid};

const LIMIT: Duration = Duration::from_secs(10);

/// A tree of its own on the real kernel, gone at the end whatever happened.
struct World(Hierarchy);

/// How many use the v2 hierarchy that is beside those of v1. The last one takes back what was handed down at its root: a
/// controller that is given away there cannot be mounted.
static BESIDE: Mutex<usize> = Mutex::new(0);

impl World {
    /// What [`Hierarchy::detect`] finds.
    fn real() -> World {
        World(Hierarchy::detect(&World::root()).unwrap())
    }

    /// The v2 hierarchy, without controllers where v1 has them.
    fn v2() -> World {
        let path = ["/sys/fs/cgroup/unified", "/sys/fs/cgroup"]
            .map(PathBuf::from)
            .into_iter()
            .find(|path| path.join("cgroup.controllers").exists())
            .expect("a cgroup v2 mount");
        *BESIDE.lock().unwrap() += usize::from(is_beside(&path));
        World(Hierarchy {
            root: World::root(),
            unified: true,
            mounts: vec![Mount { path, controllers: Vec::new() }],
        })
    }

    fn root() -> String {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        format!("/holdfast-cgroup-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
    }

    /// A shell that enters `path` and then runs `script`.
    fn run(&self, path: &str, script: &str) -> Child {
        run(&self.0, path, script)
    }

    /// Waits until `number` processes have entered the last hierarchy, and thereby all.
    fn wait_for_processes(&self, path: &str, number: usize) {
        let last = Hierarchy { mounts: self.0.mounts[self.0.mounts.len() - 1..].to_vec(), ..self.0.clone() };
        wait(|| last.pids(path).unwrap().len() >= number);
    }

    fn read(&self, controller: &str, path: &str, file: &str) -> String {
        let file = self.0.dir_of(controller, path).unwrap().join(file);
        fs::read_to_string(&file)
            .unwrap_or_else(|error| panic!("{}: {error}", file.display()))
            .trim()
            .to_owned()
    }

    fn exists(&self, path: &str) -> bool {
        self.0.dirs(path).any(|dir| dir.exists())
    }

    fn clean(&self) -> Result<()> {
        for path in self.0.pods_present()?.into_values() {
            self.0.kill(&path, LIMIT)?;
            self.0.remove(&path, LIMIT)?;
        }
        self.0.remove_tree(LIMIT)
    }
}

impl Drop for World {
    fn drop(&mut self) {
        let cleaned = self.clean();
        assert!(cleaned.is_ok() || std::thread::panicking(), "{cleaned:?}");
        assert!(!self.exists(&self.0.root) || std::thread::panicking(), "{} is left", self.0.root);
        let path = &self.0.mounts[0].path;
        if is_beside(path) {
            let mut using = BESIDE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            *using -= 1;
            let control = path.join("cgroup.subtree_control");
            let given = fs::read_to_string(&control).unwrap_or_default();
            for name in given.split_whitespace().filter(|_| *using == 0) {
                let _ = fs::write(&control, format!("-{name}"));
            }
        }
    }
}

fn is_beside(path: &Path) -> bool {
    path.ends_with("unified")
}

fn run(hierarchy: &Hierarchy, path: &str, script: &str) -> Child {
    let enter = |dir: PathBuf| format!("echo 0 > {}/cgroup.procs || exit 99\n", dir.display());
    let enter: String = hierarchy.dirs(path).map(enter).collect();
    Command::new("sh").arg("-c").arg(format!("{enter}{script}")).spawn().unwrap()
}

fn wait(mut so: impl FnMut() -> bool) {
    assert!(kill::until(Instant::now() + LIMIT, || Ok(so())).unwrap(), "waited in vain");
}

fn pod(qos: Qos, containers: &[Resources]) -> Pod {
    let container = |(index, resources): (usize, &Resources)| Container {
        name: format!("c{index}"),
        image: "x".into(),
        resources: resources.clone(),
        ..Container::default()
    };
    Pod {
        uid: Uid("0a1b".into()),
        namespace: "default".into(),
        name: "web".into(),
        qos,
        containers: containers.iter().enumerate().map(container).collect(),
        ..Pod::default()
    }
}

fn resources(cpu: (u64, u64), memory: (u64, u64)) -> Resources {
    let given = |amount: u64| (amount > 0).then_some(amount);
    Resources {
        cpu_request: given(cpu.0).map(Millicores),
        cpu_limit: given(cpu.1).map(Millicores),
        memory_request: given(memory.0).map(Bytes),
        memory_limit: given(memory.1).map(Bytes),
        ..Resources::default()
    }
}

/// What a node says that nobody told anything.
const POLICY: Policy = Policy { pids: None, cpu_quota: true, reserves: false };

// --- what is mounted ---------------------------------------------------------------------------------------------

const HYBRID: &str = "\
22 1 254:0 / / rw,relatime - ext4 /dev/vda rw
31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,relatime shared:9 - cgroup cgroup rw,cpu,cpuacct
34 31 0:31 / /sys/fs/cgroup/cpuset rw,relatime - cgroup cgroup rw,cpuset
36 31 0:33 / /sys/fs/cgroup/devices rw,relatime - cgroup cgroup rw,devices
40 31 0:37 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,xattr,name=systemd
41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw
50 1 0:33 /docker/x /var/lib/x/cgroup/devices rw,relatime - cgroup cgroup rw,devices
51 31 0:33 / /sys/fs/cgroup/again rw,relatime - cgroup cgroup rw,devices
";

#[test]
fn the_hybrid_layout_is_v1() {
    let found = detect::parse(HYBRID, "/").unwrap();
    assert!(!found.unified());
    let mounts: Vec<_> = found.mounts.iter().map(|mount| mount.path.to_str().unwrap()).collect();
    assert_eq!(mounts, ["/sys/fs/cgroup/cpu,cpuacct", "/sys/fs/cgroup/cpuset", "/sys/fs/cgroup/devices"]);
    assert_eq!(found.dir_of("cpuacct", "/a/b").unwrap(), Path::new("/sys/fs/cgroup/cpu,cpuacct/a/b"));
    assert_eq!(found.dir_of("memory", "/a"), None);
}

#[test]
fn one_hierarchy_at_the_usual_place_is_v2() {
    let found =
        detect::parse("25 1 0:22 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw,nsdelegate", "/edge/").unwrap();
    assert!(found.unified());
    assert_eq!(found.tree("x"), "/edge/kubepods/x");
    assert_eq!(found.dir_of("memory", "/a").unwrap(), Path::new("/sys/fs/cgroup/a"));
}

#[test]
fn what_is_missing_is_named() {
    let error = |mountinfo: &str, root: &str| detect::parse(mountinfo, root).unwrap_err().to_string();
    assert!(error("22 1 254:0 / / rw - ext4 /dev/vda rw", "/").contains("mount -t cgroup2"));
    assert!(error("25 1 0:22 / /mnt/cg rw - cgroup2 cgroup2 rw", "/").contains("no cgroups are mounted"));
    let without = HYBRID.replace("rw,devices", "rw,freezer");
    assert!(error(&without, "/").contains("CONFIG_CGROUP_DEVICE"), "{}", error(&without, "/"));
    assert!(error(HYBRID, "relative").contains("--cgroup-root"));
    assert!(error(HYBRID, "/a/../b").contains("--cgroup-root"));
}

#[test]
fn a_node_without_a_memory_controller_is_told_what_to_write_where() {
    let mut able = bundle::Cgroup { cpu: true, cpu_quota: true, memory: true, ..bundle::Cgroup::default() };
    assert_eq!(detect::missing(&able), Vec::<String>::new());
    able.memory = false;
    assert!(detect::missing(&able)[0].contains("cgroup_enable=memory"));
    able.cpu_quota = false;
    assert!(detect::missing(&able)[1].contains("CONFIG_CFS_BANDWIDTH"));
    able.cpu = false;
    assert_eq!(detect::missing(&able).len(), 2);
}

// --- numbers -----------------------------------------------------------------------------------------------------

#[test]
fn weights_as_in_the_kubelet() {
    for (shares, weight) in [(0, 1), (2, 1), (1024, 39), (262_144, 10_000), (u64::MAX, 10_000), (512, 20)] {
        assert_eq!(limits::weight(shares), weight, "{shares}");
    }
}

#[test]
fn a_pod_is_limited_only_where_all_its_containers_are() {
    let pids = Some(1024);
    let limits =
        |qos, containers: &[Resources]| PodLimits::of(&pod(qos, containers), Policy { pids, ..POLICY });
    assert_eq!(
        limits(Qos::BestEffort, &[Resources::default()]),
        PodLimits { shares: 2, quota_us: None, memory: None, pids, ..PodLimits::default() }
    );
    assert_eq!(
        limits(Qos::Guaranteed, &[resources((500, 500), (64, 64)), resources((250, 250), (36, 36))]),
        PodLimits {
            shares: 768,
            quota_us: Some(75_000),
            memory: Some(Bytes(100)),
            pids,
            ..PodLimits::default()
        }
    );
    assert_eq!(
        limits(Qos::Burstable, &[resources((500, 500), (0, 64)), resources((250, 0), (0, 64))]),
        PodLimits { shares: 768, quota_us: None, memory: Some(Bytes(128)), pids, ..PodLimits::default() }
    );
    assert_eq!(
        limits(Qos::Burstable, &[resources((0, 500), (0, 64)), Resources::default()]),
        PodLimits { shares: 512, quota_us: None, memory: None, pids, ..PodLimits::default() }
    );
}

/// 12.08
#[test]
fn a_pod_that_says_itself_what_it_may_use_is_limited_by_that() {
    let mut whole = pod(Qos::Burstable, &[resources((500, 0), (0, 0)), Resources::default()]);
    whole.resources = Some(resources((0, 2000), (32, 64)));
    let own = PodLimits::of(&whole, POLICY);
    // Of what it does not say its containers tell: here a request of CPU.
    let expected =
        PodLimits { shares: 512, quota_us: Some(200_000), memory: Some(Bytes(64)), ..PodLimits::default() };
    assert_eq!(own, expected);
    let without = PodLimits::of(&whole, Policy { cpu_quota: false, ..POLICY });
    assert_eq!(without.quota_us, None, "cpuCFSQuota: false");
    let mut huge = pod(Qos::Burstable, &[resources((1, 1), (1, 1)), Resources::default()]);
    huge.containers[0].resources.huge_pages = BTreeMap::from([(2 << 20, Bytes(4 << 20))]);
    huge.containers[1].resources.huge_pages =
        BTreeMap::from([(2 << 20, Bytes(2 << 20)), (1 << 30, Bytes(0))]);
    let pages = BTreeMap::from([(2 << 20, Bytes(6 << 20)), (1 << 30, Bytes(0))]);
    assert_eq!(PodLimits::of(&huge, POLICY).huge_pages, pages);
    huge.resources =
        Some(Resources { huge_pages: BTreeMap::from([(2 << 20, Bytes(8 << 20))]), ..Resources::default() });
    assert_eq!(PodLimits::of(&huge, POLICY).huge_pages[&(2 << 20)], Bytes(8 << 20));
}

/// 12.04
#[test]
fn memory_that_is_asked_for_is_kept_after_the_class_where_the_node_keeps_any() {
    let keeping = Policy { reserves: true, ..POLICY };
    let kept = |qos, policy| PodLimits::of(&pod(qos, &[resources((1, 1), (64, 64))]), policy).kept;
    assert_eq!(kept(Qos::Guaranteed, keeping), Some(("memory.min", Bytes(64))));
    assert_eq!(kept(Qos::Burstable, keeping), Some(("memory.low", Bytes(64))));
    assert_eq!(kept(Qos::BestEffort, keeping), None);
    assert_eq!(kept(Qos::Guaranteed, POLICY), None);
}

#[test]
fn classes_weigh_what_their_pods_ask_for_together() {
    let pods = [
        pod(Qos::Guaranteed, &[resources((1000, 1000), (64, 64))]),
        pod(Qos::Burstable, &[resources((250, 0), (32, 0))]),
        pod(Qos::Burstable, &[resources((250, 500), (0, 0))]),
        pod(Qos::BestEffort, &[Resources::default()]),
    ];
    let asked = Asked::by(pods.iter());
    let (cpu, burstable, guaranteed) = (Millicores(500), Bytes(32), Bytes(64));
    let expected = Asked { burstable_cpu: cpu, burstable_memory: burstable, guaranteed_memory: guaranteed };
    assert_eq!(asked, expected);
}

// --- the tree ----------------------------------------------------------------------------------------------------

#[test]
fn the_kubelets_tree_is_made_and_pods_are_in_their_class_12_01_12_02() {
    let world = World::real();
    assert_eq!(world.0.ensure_tree().unwrap(), Vec::<String>::new());
    assert_eq!(world.0.ensure_tree().unwrap(), Vec::<String>::new(), "twice is as good");
    for name in ["kubepods", "kubepods/burstable", "kubepods/besteffort"] {
        let path = format!("{}/{name}", world.0.root);
        assert!(world.0.dirs(&path).all(|dir| dir.is_dir()), "{path}");
    }
    for (qos, expected) in [
        (Qos::Guaranteed, "kubepods/pod0a1b"),
        (Qos::Burstable, "kubepods/burstable/pod0a1b"),
        (Qos::BestEffort, "kubepods/besteffort/pod0a1b"),
    ] {
        let pod = pod(qos, &[Resources::default()]);
        let path = world.0.pod_path(&pod);
        assert_eq!(path, format!("{}/{expected}", world.0.root));
        assert_eq!(world.0.create_pod(&path, &PodLimits::of(&pod, POLICY)).unwrap(), Vec::<String>::new());
        assert!(world.0.dirs(&leaf(&path)).all(|dir| dir.is_dir()));
        assert_eq!(world.0.pods_present().unwrap(), BTreeMap::from([("0a1b".into(), path.clone())]));
        world.0.remove(&path, LIMIT).unwrap();
        assert!(!world.exists(&path));
    }
    assert_eq!(world.0.pods_present().unwrap(), BTreeMap::new());
}

#[test]
fn limits_are_in_the_kernel_as_they_were_meant() {
    let world = World::real();
    world.0.ensure_tree().unwrap();
    assert_eq!(world.0.missing(), Vec::<String>::new(), "this machine has all controllers");
    let pod = pod(Qos::Burstable, &[resources((250, 500), (0, 64 << 20))]);
    let path = world.0.pod_path(&pod);
    assert_eq!(world.0.create_pod(&path, &PodLimits::of(&pod, POLICY)).unwrap(), Vec::<String>::new());
    let asked = Asked::by([&pod].into_iter());
    assert_eq!(world.0.weigh(asked, POLICY), Vec::<String>::new());
    let all = NodeLimits { cpu: Millicores(1500), memory: Some(Bytes(1 << 30)) };
    assert_eq!(world.0.limit_all(all), Vec::<String>::new());
    let kubepods = format!("{}/kubepods", world.0.root);
    let burstable = format!("{}/kubepods/burstable", world.0.root);
    let besteffort = format!("{}/kubepods/besteffort", world.0.root);
    if world.0.unified() {
        assert_eq!(world.read("cpu", &path, "cpu.weight"), "10");
        assert_eq!(world.read("cpu", &path, "cpu.max"), "50000 100000");
        assert_eq!(world.read("memory", &path, "memory.max"), (64 << 20).to_string());
        assert_eq!(world.read("cpu", &besteffort, "cpu.weight"), "1");
        assert_eq!(world.read("cpu", &kubepods, "cpu.weight"), "59");
        assert_eq!(world.read("memory", &kubepods, "memory.max"), (1 << 30).to_string());
    } else {
        assert_eq!(world.read("cpu", &path, "cpu.shares"), "256");
        assert_eq!(world.read("cpu", &path, "cpu.cfs_quota_us"), "50000");
        assert_eq!(world.read("cpu", &path, "cpu.cfs_period_us"), "100000");
        assert_eq!(world.read("memory", &path, "memory.limit_in_bytes"), (64 << 20).to_string());
        assert_eq!(world.read("cpu", &besteffort, "cpu.shares"), "2");
        assert_eq!(world.read("cpu", &burstable, "cpu.shares"), "256");
        assert_eq!(world.read("cpu", &kubepods, "cpu.shares"), "1536");
        assert_eq!(world.read("memory", &kubepods, "memory.limit_in_bytes"), (1 << 30).to_string());
        let cpus = fs::read_to_string("/sys/fs/cgroup/cpuset/cpuset.cpus").unwrap();
        assert_eq!(world.read("cpuset", &leaf(&path), "cpuset.cpus"), cpus.trim());
    }
}

#[test]
fn a_limit_that_the_kernel_refuses_is_a_warning() {
    let world = World::real();
    world.0.ensure_tree().unwrap();
    let path = world.0.tree("podaa");
    // A quota above the kernel's maximum.
    let (quota_us, memory) = (Some(u64::MAX / 2), Some(Bytes(64 << 20)));
    let limits = PodLimits { shares: 1024, quota_us, memory, ..PodLimits::default() };
    let warnings = world.0.create_pod(&path, &limits).unwrap();
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(warnings[0].contains("/podaa/cpu."), "{warnings:?}");
    let memory = if world.0.unified() { "memory.max" } else { "memory.limit_in_bytes" };
    assert_eq!(world.read("memory", &path, memory), (64 << 20).to_string(), "the rest is applied");
}

#[test]
fn nothing_but_our_own_is_touched() {
    let world = World::real();
    world.0.ensure_tree().unwrap();
    let ours = world.0.tree("podaa");
    for path in [
        "/".to_owned(),
        "/kubepods/podaa".to_owned(),
        world.0.root.clone(),
        world.0.tree(""),
        format!("{ours}/../../.."),
        format!("{ours}//x"),
        format!("{}x/podaa", world.0.tree("").trim_end_matches('/')),
    ] {
        assert!(world.0.kill(&path, LIMIT).is_err(), "{path}");
        assert!(world.0.remove(&path, LIMIT).is_err(), "{path}");
        assert!(world.0.create(&path).is_err(), "{path}");
        assert!(world.0.enter(&path).is_err(), "{path}");
        assert!(world.0.kill_now(&path).is_err(), "{path}");
        assert!(world.0.remove_now(&path).is_err(), "{path}");
    }
    assert!(world.exists(&world.0.tree("besteffort")));
}

#[test]
fn what_is_not_there_is_empty_and_removed_already() {
    for world in [World::real(), World::v2()] {
        let path = world.0.tree("podaa");
        assert_eq!(world.0.pods_present().unwrap(), BTreeMap::new());
        assert!(world.0.is_empty(&path).unwrap());
        assert_eq!(world.0.oom_kills(&path).unwrap(), 0);
        world.0.kill(&path, LIMIT).unwrap();
        world.0.kill_now(&path).unwrap();
        world.0.remove(&path, LIMIT).unwrap();
        world.0.remove_now(&path).unwrap();
    }
}

#[test]
fn who_knows_a_path_knows_the_root_that_it_must_not_leave() {
    let root =
        |path: &str| Hierarchy::around(path).map(|found| found.root).map_err(|error| error.to_string());
    assert_eq!(root("/kubepods/burstable/podaa/web-0").unwrap(), "");
    assert_eq!(root("/edge/kubepods/podaa").unwrap(), "/edge");
    assert_eq!(root("/kubepods/kubepods/podaa").unwrap(), "/kubepods");
    for path in ["", "/", "/..", "/kubepods", "kubepods/podaa", "/edge/podaa"] {
        assert!(root(path).unwrap_err().contains("not below a kubepods"), "{path}");
    }
    assert!(root("/a/../kubepods/podaa").is_err());
}

#[test]
fn a_file_that_this_kernel_lacks_is_missing_rather_than_forbidden() {
    for world in [World::real(), World::v2()] {
        world.0.ensure_tree().unwrap();
        let dir = world.0.dirs(&world.0.tree("besteffort")).next().unwrap();
        assert!(gone(&write(&dir.join("cgroup.no_such_file"), "1").unwrap_err()));
    }
}

// --- killing and removing ----------------------------------------------------------------------------------------

/// Makes a pod with two levels of groups and gives the path of the deepest.
fn nested(world: &World) -> (String, String) {
    world.0.ensure_tree().unwrap();
    let pod = world.0.tree("besteffort/podaa");
    world.0.create_pod(&pod, &PodLimits { shares: 2, ..PodLimits::default() }).unwrap();
    let deep = format!("{}/exec-1", container_path(&pod, "web", 0));
    world.0.create(&deep).unwrap();
    (pod, deep)
}

#[test]
fn killing_a_pod_ends_its_whole_tree_of_processes() {
    for world in [World::real(), World::v2()] {
        let (pod, deep) = nested(&world);
        let stubborn = "trap '' TERM HUP INT; sleep 1000 & (sleep 1000 & sleep 1000) & wait";
        let mut children = [world.run(&deep, stubborn), world.run(&leaf(&pod), stubborn)];
        world.wait_for_processes(&pod, 8);
        assert!(!world.0.is_empty(&pod).unwrap());
        world.0.kill(&pod, LIMIT).unwrap();
        assert!(world.0.is_empty(&pod).unwrap());
        for child in &mut children {
            assert!(!child.wait().unwrap().success());
        }
        world.0.remove(&pod, LIMIT).unwrap();
        assert!(!world.exists(&pod));
    }
}

#[test]
fn killing_a_container_leaves_its_pod_process_alone() {
    let world = World::real();
    let (pod, deep) = nested(&world);
    let mut killed = world.run(&deep, "exec sleep 1000");
    let mut spared = world.run(&leaf(&pod), "exec sleep 1000");
    world.wait_for_processes(&pod, 2);
    world.0.kill(&container_path(&pod, "web", 0), LIMIT).unwrap();
    assert!(!killed.wait().unwrap().success());
    assert_eq!(spared.try_wait().unwrap(), None);
    assert!(world.0.is_empty(&deep).unwrap() && !world.0.is_empty(&leaf(&pod)).unwrap());
    world.0.kill(&pod, LIMIT).unwrap();
    spared.wait().unwrap();
}

#[test]
fn a_kill_that_waits_for_nobody_reaches_all_the_same() {
    for world in [World::real(), World::v2()] {
        let (pod, deep) = nested(&world);
        let worker = worker_path(&container_path(&pod, "web", 0));
        world.0.for_killing().create(&worker).unwrap();
        let sleep = "exec sleep 1000";
        let mut children = [world.run(&deep, sleep), run(&world.0.for_killing(), &worker, sleep)];
        world.wait_for_processes(&deep, 1);
        for (path, child) in [&deep, &worker].into_iter().zip(&mut children) {
            wait(|| !world.0.is_empty(path).unwrap());
            assert!(world.0.remove_now(path).is_err(), "while something is in it");
            world.0.kill_now(path).unwrap();
            assert!(!child.wait().unwrap().success());
            wait(|| world.0.is_empty(path).unwrap());
            wait(|| world.0.remove_now(path).is_ok());
        }
    }
}

#[test]
fn a_fork_bomb_ends() {
    let world = World::real();
    let (pod, deep) = nested(&world);
    // Bounded by the kernel, so that a failure of this test endangers nobody.
    let bound = world.0.dir_of("pids", &pod).unwrap().join("pids.max");
    fs::write(&bound, "50").unwrap_or_else(|error| panic!("{}: {error}", bound.display()));
    let mut child = world.run(&deep, "exec perl -e 'fork while 1'");
    world.wait_for_processes(&pod, 45);
    world.0.kill(&pod, LIMIT).unwrap();
    assert!(world.0.is_empty(&pod).unwrap());
    child.wait().unwrap();
    world.0.remove(&pod, LIMIT).unwrap();
}

#[test]
fn a_frozen_container_is_killed_too() {
    for world in [World::real(), World::v2()] {
        let (pod, deep) = nested(&world);
        let mut child = world.run(&deep, "exec sleep 1000");
        world.wait_for_processes(&deep, 1);
        let (file, value) =
            if world.0.unified() { ("cgroup.freeze", "1") } else { ("freezer.state", "FROZEN") };
        fs::write(world.0.dir_of("freezer", &deep).unwrap().join(file), value).unwrap();
        world.0.kill(&pod, LIMIT).unwrap();
        child.wait().unwrap();
        assert!(world.0.is_empty(&pod).unwrap());
    }
}

#[test]
fn a_group_with_a_process_is_not_removed_but_named() {
    let world = World::real();
    let (pod, deep) = nested(&world);
    let mut child = world.run(&deep, "exec sleep 1000");
    world.wait_for_processes(&deep, 1);
    let error = world.0.remove(&pod, Duration::from_millis(50)).unwrap_err().to_string();
    assert!(error.contains("/web-0/exec-1: Device or resource busy"), "{error}");
    assert!(!world.exists(&leaf(&pod)), "the rest is removed");
    assert!(world.0.remove_tree(LIMIT).is_err(), "while a pod is there");
    world.0.kill(&pod, LIMIT).unwrap();
    child.wait().unwrap();
}

/// The other half of the two tests below: does nothing unless they start it in a process of its own.
#[test]
fn entering() {
    let Ok(root) = std::env::var("HOLDFAST_TEST_ENTER") else { return };
    let hierarchy = Hierarchy::detect(&root).unwrap();
    let path = leaf(&hierarchy.tree("podaa"));
    hierarchy.enter(&path).unwrap();
    let pid = i32::try_from(std::process::id()).unwrap();
    assert!(hierarchy.pids(&path).unwrap().contains(&pid));
    let error = hierarchy.kill(&hierarchy.tree("podaa"), LIMIT).unwrap_err().to_string();
    assert!(error.contains("the caller itself is in it"), "{error}");
}

#[test]
fn a_process_enters_and_does_not_kill_itself() {
    let world = World::real();
    world.0.ensure_tree().unwrap();
    let path = world.0.tree("podaa");
    world.0.create_pod(&path, &PodLimits { shares: 2, ..PodLimits::default() }).unwrap();
    let status = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "cgroup::tests::entering", "--test-threads=1"])
        .env("HOLDFAST_TEST_ENTER", &world.0.root)
        .status()
        .unwrap();
    assert!(status.success(), "{status}");
}

#[test]
fn what_the_kernel_killed_for_memory_is_counted_below_too() {
    let world = World::real();
    let (pod, deep) = nested(&world);
    let (file, bytes) =
        (if world.0.unified() { "memory.max" } else { "memory.limit_in_bytes" }, (16 << 20).to_string());
    fs::write(world.0.dir_of("memory", &container_path(&pod, "web", 0)).unwrap().join(file), bytes).unwrap();
    assert_eq!(world.0.oom_kills(&pod).unwrap(), 0);
    // One line of 64 MiB: tail keeps it in memory. Bounded, should the limit not bite.
    let mut child = world.run(&deep, "head -c 67108864 /dev/zero | tail -n 1 > /dev/null");
    child.wait().unwrap();
    assert_eq!(world.0.oom_kills(&pod).unwrap(), 1);
    assert_eq!(world.0.oom_kills(&leaf(&pod)).unwrap(), 0);
}
