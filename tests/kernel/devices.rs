//! Devices of the node: which of them a container can use, on both versions of cgroups.

use std::fs;

use serde_json::{Value, json};

use crate::harness::pod::{container, pod, with};
use crate::harness::{SOON, World, eventually};
use crate::isolation::{CAPABILITIES, parse};

/// Starts the agent in mounts of its own, where the v2 hierarchy that is beside v1 here is what it finds, without controllers.
pub const ON_V2: [&str; 6] =
    ["unshare", "--mount", "sh", "-c", "mount -t cgroup2 none /sys/fs/cgroup && exec \"$@\"", "sh"];

/// Nodes of devices, and whether a container that is not privileged can open them.
const NODES: [([&str; 3], bool); 6] = [
    (["c", "1", "3"], true),
    (["c", "1", "5"], true),
    // A loop device, as good as the disk and harmless where nothing holds. FUSE and tun.
    (["b", "7", "0"], false),
    (["c", "10", "229"], false),
    (["c", "10", "200"], false),
    // The number of a harmless one, and another kind.
    (["b", "1", "3"], false),
];

/// What whoever is called `who` says of a node that it makes.
fn device_to(numbers: [&str; 3], who: &str) -> Vec<String> {
    let [kind, major, minor] = numbers;
    ["/workload", "device", kind, major, minor, &format!("/{who}-{kind}-{major}-{minor}")]
        .map(str::to_owned)
        .to_vec()
}

/// A pod with an ordinary container, and a privileged one; an init container and a probe tell of what they may open.
fn manifest(world: &World) -> Value {
    let mounts = json!([{"name": "shared", "mountPath": "/shared"}]);
    let mut first = container("first", &[]);
    first["command"] = json!(device_to(["b", "7", "0"], "first"));
    let mut main = container("main", &["trap-term"]);
    let probe = ["/workload", "status-to", "/shared/probe"];
    main["startupProbe"] = json!({"exec": {"command": probe}, "periodSeconds": 1, "timeoutSeconds": 30});
    main["volumeMounts"] = mounts;
    let mut mighty = container("mighty", &["trap-term"]);
    mighty["securityContext"] = json!({"privileged": true});
    let volumes = json!([{"name": "shared", "hostPath": {"path": world.shared()}}]);
    with(
        pod("dev", &[]),
        json!({"initContainers": [first], "containers": [main, mighty], "volumes": volumes}),
    )
}

/// Threats 1 to 6 and 21, kernel.md: makes every node, opens the harmless ones; so does a command, which is in a group below.
fn harmless_ones_open(world: &World) {
    world.write("dev.yaml", &manifest(world));
    world.running("dev");
    let pod = world.pod_name("dev");
    let exec = |container: &str, command: &[String]| {
        let words: Vec<&str> = command.iter().map(String::as_str).collect();
        world.says(&[&["exec", &pod, "-c", container, "--"][..], &words].concat())
    };
    assert_eq!(world.says(&["logs", &pod, "-c", "first"]), "made EPERM\n");
    for (numbers, usable) in NODES {
        let said = exec("main", &device_to(numbers, "exec"));
        assert_eq!(said.trim(), if usable { "made opened" } else { "made EPERM" }, "{numbers:?}");
        let said = exec("mighty", &device_to(numbers, "exec"));
        assert!(!said.contains("EPERM"), "{numbers:?} in a privileged container: {said}");
    }
    let usable =
        ["null", "zero", "full", "random", "urandom", "ptmx", "pts/ptmx"].map(|name| format!("/dev/{name}"));
    let open: Vec<String> =
        ["/workload", "open"].map(str::to_owned).into_iter().chain(usable.clone()).collect();
    assert_eq!(exec("main", &open), usable.map(|name| format!("{name} opened\n")).concat());
    // There is no terminal to open, which is another matter than not to be allowed to.
    assert_eq!(exec("main", &["/workload", "open", "/dev/tty"].map(str::to_owned)), "/dev/tty ENXIO\n");
    let probe = parse(&fs::read_to_string(world.shared().join("probe")).unwrap());
    assert_eq!(probe["status.CapEff"], CAPABILITIES);
}

#[test]
fn a_container_makes_every_node_of_a_device_and_opens_the_harmless_ones_on_cgroup_v1() {
    harmless_ones_open(&World::new());
}

#[test]
fn a_container_makes_every_node_of_a_device_and_opens_the_harmless_ones_on_cgroup_v2() {
    let mut world = World::without_agent();
    world.through = ON_V2.to_vec();
    world.start_agent();
    assert!(!conditions(&world).contains("DeviceRulesUnavailable"), "{}", conditions(&world));
    harmless_ones_open(&world);
    // The agent goes and comes back: the program is its container's.
    world.kill_agent();
    world.start_agent();
    world.running("dev");
    assert_eq!(world.pod("dev").unwrap().restarts(), 0);
    let said = exec_main(&world, &device_to(["b", "7", "0"], "again"));
    assert_eq!(said, "made EPERM\n");
}

fn exec_main(world: &World, command: &[String]) -> String {
    let words: Vec<&str> = command.iter().map(String::as_str).collect();
    world.says(&[&["exec", &world.pod_name("dev"), "-c", "main", "--"][..], &words].concat())
}

fn conditions(world: &World) -> String {
    let node: Value = serde_json::from_slice(&fs::read(world.runtime.join("node.json")).unwrap()).unwrap();
    node["object"]["status"]["conditions"].to_string()
}

/// A kernel without CONFIG_CGROUP_BPF, played by one that refuses bpf(2) to the agent and all that it starts.
#[test]
fn where_no_rules_hold_nobody_makes_nodes_and_none_works_and_the_node_says_so() {
    let mut world = World::without_agent();
    world.through = ON_V2.to_vec();
    let refuses = json!({"defaultAction": "SCMP_ACT_ALLOW",
        "syscalls": [{"names": ["bpf"], "action": "SCMP_ACT_ERRNO", "errnoRet": 22}]});
    let profile = holdfast::seccomp::parse(refuses.to_string().as_bytes()).unwrap();
    let program = holdfast::seccomp::program(&profile).unwrap();
    std::thread::scope(|scope| {
        // A filter is of the thread that loads it, and of what that starts.
        scope.spawn(|| {
            holdfast::sys::seccomp::load(&program).unwrap();
            world.start_agent();
        });
    });
    assert!(conditions(&world).contains("\"DeviceRulesUnavailable\""), "{}", conditions(&world));
    assert!(world.agent_log().contains("CONFIG_CGROUP_BPF"), "{}", world.agent_log());
    // As an image would bring it.
    let volumes = json!([{"name": "shared", "hostPath": {"path": world.shared()}}]);
    let mut main = container("main", &["trap-term"]);
    main["volumeMounts"] = json!([{"name": "shared", "mountPath": "/shared"}]);
    world.write("dev.yaml", &with(pod("dev", &[]), json!({"containers": [main], "volumes": volumes})));
    world.running("dev");
    assert_eq!(exec_main(&world, &device_to(["c", "1", "3"], "exec")), "EPERM ENOENT\n");
    let seen = parse(&exec_main(&world, &["/workload", "status"].map(str::to_owned)));
    assert_eq!(seen["status.CapBnd"], "00000000a00425fb");
    let root = seen["mount"].lines().find(|line| line.split(' ').nth(4) == Some("/")).unwrap().to_owned();
    assert!(root.split(' ').nth(5).unwrap().split(',').any(|option| option == "nodev"), "{root}");
    eventually(SOON, "it runs", || world.pod("dev").filter(|pod| pod.is("Ready")));
}
