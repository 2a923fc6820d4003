//! What a container can see of the outside, told from inside: by its first process and by an exec'ed one.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use serde_json::{Value, json};

use crate::harness::pod::{container, pod, with, with_main};
use crate::harness::{SOON, World, eventually};

/// containerd's 14 default capabilities.
pub const CAPABILITIES: &str = "00000000a80425fb";

/// `name: value` lines of the workload's `status`; repeated names are joined by line ends.
pub fn parse(status: &str) -> BTreeMap<String, String> {
    let mut found = BTreeMap::<String, String>::new();
    for (name, value) in status
        .lines()
        .filter_map(|line| line.split_once(": ").or(line.strip_suffix(':').map(|name| (name, ""))))
    {
        let values = found.entry(name.to_owned()).or_default();
        if !values.is_empty() {
            values.push('\n');
        }
        values.push_str(value);
    }
    found
}

/// What the first process and an exec'ed process of a pod with `spec` see.
fn inside(world: &World, name: &str, spec: Value) -> [BTreeMap<String, String>; 2] {
    let mut manifest = with(pod(name, &["status"]), spec);
    let mut stays = container("stays", &["trap-term"]);
    stays["volumeMounts"] = manifest["spec"]["containers"][0]["volumeMounts"].clone();
    manifest["spec"]["containers"].as_array_mut().unwrap().push(stays);
    world.write(&format!("{name}.yaml"), &with(manifest, json!({"restartPolicy": "Never"})));
    world.once(name, "status is told", |pod| {
        pod.exit_code() == Some(0) && pod.container("stays")["ready"] == true
    });
    let first = parse(&world.says(&["logs", &world.pod_name(name), "-c", "main"]));
    let second =
        parse(&world.says(&["exec", &world.pod_name(name), "-c", "stays", "--", "/workload", "status"]));
    [first, second]
}

/// Holes 1, 2, 5, 16 of the runtime: nothing of the agent's own is handed on, and exec is like the container.
#[test]
fn a_container_has_exactly_what_its_pod_says() {
    let world = World::new();
    let both = inside(&world, "plain", json!({}));
    for (seen, who) in both.iter().zip(["first process", "exec'ed process"]) {
        let is = |name: &str, value: &str| {
            assert_eq!(seen.get(name).map(String::as_str), Some(value), "{who}: {name}")
        };
        is("fds", "0 1 2");
        is("uid", "0 0");
        is("gid", "0 0");
        is("groups", "0");
        is("cwd", "/etc");
        is("hostname", &format!("plain-{}", world.name));
        is("status.SigBlk", "0000000000000000");
        is("status.SigIgn", "0000000000000000");
        is("status.CapEff", CAPABILITIES);
        is("status.CapPrm", CAPABILITIES);
        is("status.CapBnd", CAPABILITIES);
        is("status.CapInh", "0000000000000000");
        is("status.CapAmb", "0000000000000000");
        is("status.NoNewPrivs", "0");
        is("link", "lo");
        assert!(
            !seen.keys().any(|name| name.contains("LISTEN_") || name.contains("RUST_")),
            "{who}: {:?}",
            seen.keys()
        );
    }
    let limits = |seen: &BTreeMap<String, String>| seen["limit"].clone();
    assert_eq!(limits(&both[0]), limits(&both[1]));
    assert_eq!(both[0]["oom_score_adj"], both[1]["oom_score_adj"]);
    assert_eq!(both[0]["pid"], "1");
    assert_eq!(both[0]["processes"], "1", "sees itself alone");
}

/// Holes 2 and 5 once more: what an exec'ed process and a probe are given is what the container's own process has, to the letter.
#[test]
fn a_command_and_a_probe_have_exactly_what_their_container_has() {
    let world = World::new();
    let to = |file: &str| ["/workload", "status-to", file].map(str::to_owned).to_vec();
    let probe = json!({"exec": {"command": to("/shared/probe")}, "periodSeconds": 1, "timeoutSeconds": 30});
    let volumes = json!([{"name": "shared", "hostPath": {"path": world.shared()}}]);
    let alike = with(pod("alike", &["status-to", "/shared/own", "stay"]), json!({"volumes": volumes}));
    let mounts = json!([{"name": "shared", "mountPath": "/shared"}]);
    let limits = json!({"limits": {"memory": "64Mi", "cpu": "500m"}});
    let fields = json!({"volumeMounts": mounts, "readinessProbe": probe, "resources": limits});
    world.write("alike.yaml", &with_main(alike, fields));
    world.running("alike");
    let exec = world.exec("alike", &["status-to", "/shared/exec"]);
    assert!(exec.status.success(), "{exec:?}");
    let seen = ["own", "exec", "probe"].map(|name| {
        let file = world.shared().join(name);
        parse(&eventually(SOON, name, || fs::read_to_string(&file).ok()))
    });
    let [own, commands @ ..] = &seen;
    for (command, who) in commands.iter().zip(["exec'ed process", "probe"]) {
        assert!(own.keys().eq(command.keys()), "{who}: {:?} {:?}", own.keys(), command.keys());
        for (name, value) in own {
            match name.as_str() {
                // Blocked by the one that stays, before it tells.
                "pid" | "status.NSpid" | "processes" | "args" | "status.SigBlk" => {}
                // Of all processes of the user, whichever container they are in.
                "status.SigQ" => {}
                // A group of its own, where it is killed by.
                "cgroup" => {
                    let differing = value.lines().zip(command[name].lines()).filter(|(own, its)| own != its);
                    let differing: Vec<_> = differing.collect();
                    let [(own, its)] = differing[..] else { panic!("{who}: {differing:?}") };
                    let beyond = its.strip_prefix(own).map(|beyond| beyond.trim_start_matches('/'));
                    assert!(beyond.is_some_and(|beyond| beyond.starts_with("exec-")), "{who}: {own} {its}");
                }
                _ => assert_eq!(&command[name], value, "{who}: {name}"),
            }
        }
        assert_eq!(command["status.SigBlk"], "0000000000000000", "{who}");
        assert_eq!(command["status.CapEff"], CAPABILITIES, "{who}");
    }
}

/// Masked and read-only paths; cgroups are not to be written; nothing of the host is mounted but what belongs.
#[test]
fn kernel_files_are_masked_or_read_only() {
    let world = World::new();
    let [seen, _] = inside(&world, "masked", json!({}));
    let mounts: Vec<Vec<&str>> = seen["mount"].lines().map(|line| line.split(' ').collect()).collect();
    let at = |path: &str| mounts.iter().rfind(|fields| fields[4] == path).map(|fields| fields[5].to_owned());
    let exists = |path: &&str| std::path::Path::new(path).exists();
    let read_only = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger", "/sys"];
    for path in read_only.into_iter().filter(exists) {
        let options = at(path).unwrap_or_else(|| panic!("{path} is a mount of its own: {}", seen["mount"]));
        assert!(options.split(',').any(|option| option == "ro"), "{path}: {options}");
    }
    for path in ["/proc/kcore", "/proc/keys", "/proc/timer_list"].into_iter().filter(exists) {
        assert!(at(path).is_some(), "{path} is masked");
    }
    for fields in mounts.iter().filter(|fields| fields[4].starts_with("/sys/fs/cgroup")) {
        assert!(fields[5].split(',').any(|option| option == "ro"), "{fields:?}");
        let kind = fields.iter().skip_while(|field| **field != "-").nth(1);
        assert_ne!(kind, Some(&"cgroup"), "a v1 cgroup mount ignores ro");
    }
    assert!(at("/dev/shm").is_some());
    world.write("mem.yaml", &pod("mem", &["trap-term"]));
    world.running("mem");
    for path in ["/proc/sys/kernel/hostname", "/sys/fs/cgroup/x", "/proc/sysrq-trigger"] {
        assert!(!world.exec("mem", &["write", path, "x"]).status.success(), "{path} was written");
    }
}

/// 11.12
#[test]
fn namespaces_are_the_pods_or_the_hosts_as_it_says() {
    let world = World::new();
    let host = |kind: &str| fs::read_link(format!("/proc/self/ns/{kind}")).unwrap().display().to_string();
    let cases = [
        ("default", json!({}), ""),
        ("hostpid", json!({"hostPID": true}), "pid"),
        ("hostipc", json!({"hostIPC": true}), "ipc"),
        ("hostnet", json!({"hostNetwork": true}), "net uts"),
        ("shared", json!({"shareProcessNamespace": true}), ""),
    ];
    for (name, spec, of_host) in cases {
        let [first, second] = inside(&world, name, spec);
        for kind in ["pid", "ipc", "net", "uts"] {
            let key = format!("ns.{kind}");
            let wanted = of_host.split(' ').any(|one| one == kind);
            assert_eq!(first[&key] == host(kind), wanted, "{name}: {kind} is the host's");
            // The number of a namespace that ended is given to a new one: that PID namespaces differ is told by the
            // count of processes below.
            if kind != "pid" || matches!(name, "hostpid" | "shared") {
                assert_eq!(first[&key], second[&key], "{name}: {kind} is shared");
            }
        }
        let processes: usize = second["processes"].parse().unwrap();
        match name {
            "shared" => assert!(processes >= 3, "the keeper, a container and the exec'ed one: {processes}"),
            "hostpid" => assert!(processes > 10, "the host's: {processes}"),
            _ => assert_eq!(processes, 2, "{name}: the container and the exec'ed one"),
        }
    }
}

/// 9.14
#[test]
fn etc_hosts_is_managed_unless_the_pod_brings_its_own() {
    let world = World::new();
    fs::write(world.shared().join("hosts"), "# of the pod\n").unwrap();
    let hosts = |name: &str, spec: Value, fields: Value| {
        let once = with(pod(name, &["cat", "/etc/hosts"]), json!({"restartPolicy": "Never"}));
        let spec = with(once, spec);
        world.write(&format!("{name}.yaml"), &with_main(spec, fields));
        world.once(name, "has ended", |pod| pod.phase() == "Succeeded");
        world.log(name)
    };
    let managed = hosts("managed", json!({}), json!({}));
    assert!(managed.starts_with("# Kubernetes-managed hosts file.\n127.0.0.1\tlocalhost\n"), "{managed}");
    let of_node = hosts("node", json!({"hostNetwork": true}), json!({}));
    assert!(of_node.starts_with("# Kubernetes-managed hosts file (host network).\n"), "{of_node}");
    assert!(of_node.ends_with(&fs::read_to_string("/etc/hosts").unwrap_or_default()), "{of_node}");
    let file = world.shared().join("hosts");
    let volumes = json!([{"name": "own", "hostPath": {"path": file, "type": "File"}}]);
    let mounts = json!([{"name": "own", "mountPath": "/etc/hosts"}]);
    let own = hosts("own", json!({"volumes": volumes}), json!({"volumeMounts": mounts}));
    assert_eq!(own, "# of the pod\n");
}

/// Threat 6, CVE-2024-21626: a hostile working directory. Descriptors of ours lead nowhere, whatever their numbers.
#[test]
fn no_descriptor_of_ours_is_a_working_directory() {
    let world = World::new();
    for first in (3..=64).step_by(16) {
        let numbers = first..(first + 16).min(65);
        let of = |number: i32| {
            let mut container = container(&format!("fd{number}"), &["status"]);
            container["workingDir"] = json!(format!("/proc/self/fd/{number}"));
            container
        };
        let name = format!("fds{first}");
        let spec =
            json!({"containers": numbers.clone().map(of).collect::<Vec<_>>(), "restartPolicy": "Never"});
        world.write(&format!("{name}.yaml"), &with(pod(&name, &[]), spec));
        // Each is tried again and again, so that they need not all be judged at one moment.
        let judged = RefCell::new(BTreeSet::new());
        let seen = world.once(&name, "each is judged", |pod| {
            for number in numbers.clone() {
                let state = &pod.container(&format!("fd{number}"))["state"];
                assert!(state["terminated"].is_null(), "{number} ran: {state}");
                if state["waiting"]["reason"].as_str().is_some_and(|reason| reason.ends_with("Error")) {
                    judged.borrow_mut().insert(number);
                }
            }
            judged.borrow().len() == numbers.len()
        });
        assert_eq!(seen.phase(), "Pending");
        world.remove(&format!("{name}.yaml"));
    }
}

/// Threat 1, CVE-2025-31133 and CVE-2025-62161: a volume stands nowhere where the runtime makes devices, masks files by them or
/// writes before the program runs, in whichever words; the volume has nothing in it afterwards.
#[test]
fn no_volume_is_where_the_runtime_has_its_hands() {
    let world = World::new();
    let volumes = json!([{"name": "shared", "hostPath": {"path": world.shared()}}]);
    let places =
        ["/", "/dev", "/dev/", "//dev", "/./dev", "/proc", "/proc/sys", "/proc/self/attr", "/dev/../dev"];
    for (index, place) in places.into_iter().enumerate() {
        let name = format!("at{index}");
        let mounts = json!([{"name": "shared", "mountPath": place}]);
        let spec = with(pod(&name, &["trap-term"]), json!({"volumes": volumes}));
        world.write(&format!("{name}.yaml"), &with_main(spec, json!({"volumeMounts": mounts})));
    }
    for (index, place) in places.into_iter().enumerate() {
        let name = format!("at{index}");
        let refused = |pod: &crate::harness::Seen| pod.reason() == "CreateContainerConfigError";
        // What is wrong by itself is told with its manifest, which may not have been read yet.
        let told = || {
            let said = world.cli(&["get", "manifests"]);
            let said = [said.stdout, said.stderr].concat();
            let said = String::from_utf8_lossy(&said).into_owned();
            said.lines().any(|line| line.contains(&format!("{name}.yaml")) && line.contains("mountPath"))
        };
        eventually(SOON, &format!("a volume at {place} is refused"), || {
            (world.pod(&name).is_some_and(|pod| refused(&pod)) || told()).then_some(())
        });
    }
    assert_eq!(fs::read_dir(world.shared()).unwrap().count(), 0);
}

/// Threat 17: whatever other runtimes read of annotations, none of it reaches ours.
#[test]
fn annotations_change_nothing_of_a_container() {
    let world = World::new();
    let mut manifest = pod("noted", &["trap-term"]);
    manifest["metadata"]["annotations"] = json!({
        "cdi.k8s.io/x": "vendor.com/device=all",
        "io.kubernetes.cri-o.Devices": "/dev/kmsg",
        "io.kubernetes.cri-o.UnifiedCgroup.main": "memory.max=max",
        "io.kubernetes.cri.untrusted-workload": "true",
        "org.systemd.property.DeviceAllow": "'/dev/kmsg rwm'",
        "run.oci.keep_original_groups": "1",
        "run.oci.seccomp_fail_unknown_syscall": "0",
    });
    world.write("noted.yaml", &manifest);
    let uid = world.running("noted").uid();
    let bundle = world.runtime.join("pods").join(uid).join("containers/main-0/config.json");
    let config: Value = serde_json::from_slice(&fs::read(bundle).unwrap()).unwrap();
    let annotations = config["annotations"].as_object().unwrap();
    let mut names: Vec<&str> = annotations.keys().map(String::as_str).collect();
    names.sort_unstable();
    let ours = ["container.name", "pod.name", "pod.namespace", "pod.uid"]
        .map(|name| format!("io.kubernetes.{name}"));
    assert_eq!(names, ours);
    let seen = parse(&String::from_utf8_lossy(&world.exec("noted", &["status"]).stdout));
    assert_eq!(
        (&*seen["groups"], &*seen["status.CapEff"], &*seen["status.Seccomp"]),
        ("0", CAPABILITIES, "2")
    );
}

/// Only root of the host reaches the sockets and the state.
#[test]
fn nothing_of_ours_is_open_to_others() {
    use std::os::unix::fs::MetadataExt;
    let world = World::new();
    world.write("web.yaml", &pod("web", &["trap-term"]));
    let uid = world.running("web").uid();
    let mode = |path: &std::path::Path| fs::metadata(path).unwrap().mode() & 0o777;
    assert_eq!(mode(&world.runtime), 0o700);
    assert_eq!(mode(&world.runtime.join("pods").join(&uid).join("spec.json")), 0o600);
    assert_eq!(mode(&world.runtime.join("pods").join(&uid)), 0o700);
    assert_eq!(mode(&world.runtime.join("pods").join(&uid).join("sock")), 0o600);
    assert_eq!(mode(&world.data().join("agent/holdfast")), 0o700);
    let abstract_sockets = fs::read_to_string("/proc/net/unix").unwrap();
    assert!(
        !abstract_sockets.lines().any(|line| line.contains('@') && line.contains("holdfast")),
        "{abstract_sockets}"
    );
    eventually(SOON, "it still runs", || world.pod("web").filter(|pod| pod.is("Ready")));
}
