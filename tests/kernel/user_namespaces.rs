//! Pods with users of their own (acceptance 11.08, 11.14).

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};

use serde_json::{Value, json};

use crate::devices::ON_V2;
use crate::harness::image::{busybox, copy_program};
use crate::harness::pod::{container, pod, with, with_main};
use crate::harness::{SOON, Seen, World, eventually};
use crate::isolation::{CAPABILITIES, parse};

const NONE: &str = "0000000000000000";

/// A world with a shell at `/shared/busybox` of those that mount it.
fn with_shell() -> World {
    let world = World::new();
    fs::set_permissions(world.shared(), fs::Permissions::from_mode(0o777)).unwrap();
    copy_program(&busybox(), &world.shared().join("busybox"));
    world
}

/// A pod with users of its own, which has `shared` at `/shared`, and `fields` laid over its spec.
fn own(world: &World, name: &str, args: &[&str], fields: Value) -> Value {
    let volumes = json!([{"name": "shared", "hostPath": {"path": world.shared()}}]);
    let mounts = json!([{"name": "shared", "mountPath": "/shared"}]);
    let pod = with_main(pod(name, args), json!({"volumeMounts": mounts}));
    with(with(pod, json!({"hostUsers": false, "volumes": volumes})), fields)
}

/// What the shell of a container prints.
fn sh(world: &World, pod: &str, script: &str) -> String {
    let output =
        world.cli(&["exec", &world.pod_name(pod), "-c", "main", "--", "/shared/busybox", "sh", "-c", script]);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    assert!(output.status.success(), "{script}: {} {}", text(&output.stdout), text(&output.stderr));
    text(&output.stdout)
}

/// As whom the node knows the root of a pod's first container.
fn root_of(world: &World, pod: &Seen) -> u32 {
    let processes = world.place().container_processes(&pod.uid());
    let owner = |pid: &i32| fs::metadata(format!("/proc/{pid}")).ok();
    processes.iter().filter_map(owner).map(|found| found.uid()).max().unwrap()
}

/// 11.08: the node's IDs are not those of the pod, no two pods have the same, and files are whose they are by the IDs inside.
#[test]
fn a_pod_has_users_of_its_own_and_its_volumes_are_theirs() {
    let world = with_shell();
    fs::write(world.shared().join("of-1000"), "x").unwrap();
    chown(world.shared().join("of-1000"), Some(1000), Some(1001)).unwrap();
    for (kind, name) in [("ConfigMap", "map"), ("Secret", "key")] {
        let field = if kind == "Secret" { "stringData" } else { "data" };
        let document =
            json!({"apiVersion": "v1", "kind": kind, "metadata": {"name": name}, field: {"k": "turned"}});
        world.write(&format!("{name}.yaml"), &document);
    }
    let volumes = json!([
        {"name": "shared", "hostPath": {"path": world.shared()}},
        {"name": "disk", "emptyDir": {}},
        {"name": "memory", "emptyDir": {"medium": "Memory"}},
        {"name": "map", "configMap": {"name": "map", "defaultMode": 0o500}},
        {"name": "key", "secret": {"secretName": "key", "defaultMode": 0o400}},
        {"name": "down", "downwardAPI": {"items": [{"path": "name", "fieldRef": {"fieldPath": "metadata.name"}}]}},
        {"name": "all", "projected": {"sources": [{"secret": {"name": "key"}}, {"configMap": {"name": "map", "items": [
            {"key": "k", "path": "m"}]}}]}},
        {"name": "image", "image": {"reference": crate::harness::image::IMAGE_2}},
    ]);
    let names = ["shared", "disk", "memory", "map", "key", "down", "all", "image"];
    let mut mounts: Vec<_> =
        names.iter().map(|name| json!({"name": name, "mountPath": format!("/{name}")})).collect();
    mounts.push(json!({"name": "disk", "mountPath": "/part", "subPath": "made/deep"}));
    mounts.push(json!({"name": "memory", "mountPath": "/quick", "subPath": "made"}));
    mounts.push(
        json!({"name": "shared", "mountPath": "/read", "readOnly": true, "recursiveReadOnly": "Enabled"}),
    );
    mounts.push(json!({"name": "map", "mountPath": "/one", "subPath": "k"}));
    let fields = |host_users: bool| json!({"hostUsers": host_users, "volumes": volumes, "securityContext": {"fsGroup": 2000}});
    for (name, host_users) in [("one", false), ("two", false), ("host", true)] {
        let args = ["status-to", "/etc/own", "stay"];
        let manifest =
            with_main(pod(name, &args), json!({"volumeMounts": mounts, "workingDir": "/made/there"}));
        world.write(&format!("{name}.yaml"), &with(manifest, fields(host_users)));
    }
    let [one, two, host] = ["one", "two", "host"].map(|name| world.running(name));
    let map = |name: &str| sh(&world, name, "cat /proc/self/uid_map; cat /proc/self/gid_map");
    let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    let of_node = fs::read_to_string("/proc/self/uid_map").unwrap();
    assert_eq!(words(&map("host")), words(&of_node.repeat(2)));
    let mut roots: Vec<u32> = [&one, &two].map(|pod| root_of(&world, pod)).to_vec();
    for (name, root) in [("one", roots[0]), ("two", roots[1])] {
        let line = ["0".to_owned(), root.to_string(), "65536".to_owned()];
        assert_eq!(words(&map(name)), [&line[..], &line[..]].concat(), "{name}");
    }
    roots.sort_unstable();
    assert_eq!(roots, [65536, 131_072]);
    assert_eq!(root_of(&world, &host), 0);

    for name in ["one", "two", "host"] {
        let stat = |file: &str| sh(&world, name, &format!("/shared/busybox stat -c '%u %g %a' {file}"));
        for (file, expected) in [
            ("/", "0 0 755"),
            ("/workload", "0 0 755"),
            ("/made/there", "0 0 755"),
            ("/etc/own", "0 0 644"),
            ("/etc/hosts", "0 0 644"),
            ("/etc/resolv.conf", "0 0 644"),
            ("/etc/hostname", "0 0 644"),
            ("/dev/termination-log", "0 0 666"),
            ("/dev/shm", "0 0 1777"),
            ("/shared/of-1000", "1000 1001 644"),
            ("/read/of-1000", "1000 1001 644"),
            ("/disk", "0 2000 2777"),
            ("/part", "0 2000 2777"),
            ("/memory", "0 2000 2777"),
            ("/quick", "0 2000 2777"),
            ("-L /map/k", "0 2000 540"),
            ("-L /key/k", "0 2000 440"),
            ("-L /one", "0 2000 540"),
            ("-L /down/name", "0 2000 644"),
            ("-L /all/m", "0 2000 644"),
            ("/image/workload", "0 0 755"),
        ] {
            assert_eq!(stat(file), expected, "{name}: {file}");
        }
        let read = sh(&world, name, "cat /map/k /key/k /one /all/k /all/m; cat /down/name");
        assert_eq!(read, format!("{}{}", "turned".repeat(5), world.pod_name(name)));
        let written = "for d in disk part memory quick shared dev/shm tmp; do \
             mkdir -p /$d && echo x > /$d/NAME && /shared/busybox chown 3:4 /$d/NAME && \
             /shared/busybox stat -c '%u %g' /$d/NAME; done";
        let owners = sh(&world, name, &written.replace("NAME", name));
        assert_eq!(owners, ["3 4"; 7].join("\n"), "{name}");
        assert_eq!(sh(&world, name, "echo x > /read/no 2>/dev/null || echo refused"), "refused");
        // Values are no programs by the mount of the runtime directory, and may be all the same.
        assert_eq!(
            sh(&world, name, "echo x > /dev/stdout; echo y > /dev/null; echo done"),
            "x\ndone",
            "{name}"
        );
    }
    // On the disk they are as inside, whatever the pod's IDs are.
    for (name, pod) in [("one", &one), ("host", &host)] {
        let data = world.data().join("agent/holdfast/pods").join(pod.uid());
        for file in [
            world.shared().join(name),
            data.join("volumes/disk").join(name),
            data.join("volumes/disk/made/deep").join(name),
            data.join("containers/main-0/upper/tmp").join(name),
        ] {
            let found = fs::metadata(&file).unwrap();
            assert_eq!((found.uid(), found.gid()), (3, 4), "{}", file.display());
        }
        assert_eq!(fs::metadata(data.join("containers/main-0/upper/etc/own")).unwrap().uid(), 0);
    }
    for name in ["one", "two", "host"] {
        world.remove(&format!("{name}.yaml"));
        world.gone(name);
    }
}

/// 11.08 with 11.01–11.07, 14.19: rights are those that the Pod says, in the container, in a probe, in hooks and in commands.
#[test]
fn processes_have_exactly_the_rights_that_their_pod_says_among_its_users() {
    let world = with_shell();
    let cases = [
        ("plain", json!({}), ["0 0", "0 0", "0 2000 4000"], [CAPABILITIES; 2], "0"),
        (
            "worker",
            json!({"runAsUser": 1234, "allowPrivilegeEscalation": false}),
            ["1234 1234", "5678 5678", "2000 4000 5678 7777"],
            [NONE, CAPABILITIES],
            "1",
        ),
        (
            "last",
            json!({"runAsUser": 65535, "runAsGroup": 65535}),
            ["65535 65535", "65535 65535", "2000 4000 65535"],
            [NONE, CAPABILITIES],
            "0",
        ),
        (
            "tracer",
            json!({"capabilities": {"drop": ["CHOWN"], "add": ["SYS_PTRACE"]}}),
            ["0 0", "0 0", "0 2000 4000"],
            ["00000000a80c25fa"; 2],
            "0",
        ),
    ];
    for share in [false, true] {
        let mut containers = Vec::new();
        for (name, context, ..) in &cases {
            let to =
                |who: &str| ["/workload", "status-to", &format!("/shared/{name}.{who}")].map(str::to_owned);
            let mut one = container(name, &["status-to", &format!("/shared/{name}.own"), "stay"]);
            one["securityContext"] = context.clone();
            one["volumeMounts"] = json!([{"name": "shared", "mountPath": "/shared"}]);
            one["startupProbe"] =
                json!({"exec": {"command": to("probe")}, "periodSeconds": 1, "timeoutSeconds": 30});
            one["lifecycle"] = json!({"postStart": {"exec": {"command": to("hook")}},
                "preStop": {"exec": {"command": to("stop")}}});
            containers.push(one);
        }
        let context = json!({"supplementalGroups": [4000], "fsGroup": 2000});
        let fields =
            json!({"containers": containers, "securityContext": context, "shareProcessNamespace": share});
        world.write("all.yaml", &own(&world, "all", &[], fields));
        let all = world.once("all", "all are ready", |pod| pod.is("Ready"));
        let root = world.place().container_processes(&all.uid());
        assert!(root.iter().all(|pid| fs::metadata(format!("/proc/{pid}")).unwrap().uid() >= 65536));
        let name = world.pod_name("all");
        for (container, ..) in &cases {
            let file = format!("/shared/{container}.exec");
            let output = world.cli(&["exec", &name, "-c", container, "--", "/workload", "status-to", &file]);
            assert!(output.status.success(), "{container}: {output:?}");
        }
        world.remove("all.yaml");
        world.gone("all");
        for (container, _, ids, [effective, bounding], no_new_privs) in &cases {
            let namespaces: Vec<_> = ["own", "probe", "hook", "exec", "stop"]
                .iter()
                .map(|who| {
                    let file = world.shared().join(format!("{container}.{who}"));
                    let seen = parse(&fs::read_to_string(&file).unwrap());
                    fs::remove_file(file).unwrap();
                    let mut groups: Vec<u32> =
                        seen["groups"].split(' ').map(|group| group.parse().unwrap()).collect();
                    groups.sort_unstable();
                    let groups = groups.iter().map(u32::to_string).collect::<Vec<_>>().join(" ");
                    assert_eq!([&*seen["uid"], &*seen["gid"], &*groups], *ids, "{container}, {who}");
                    for (field, expected) in [
                        ("CapEff", *effective),
                        ("CapPrm", effective),
                        ("CapBnd", bounding),
                        ("CapInh", NONE),
                        ("CapAmb", NONE),
                        ("NoNewPrivs", no_new_privs),
                        ("Seccomp", "2"),
                        ("SigIgn", NONE),
                    ] {
                        assert_eq!(seen[&format!("status.{field}")], expected, "{container}, {who}: {field}");
                    }
                    assert_eq!(seen["fds"], "0 1 2", "{container}, {who}");
                    ["user", "mnt", "pid", "net", "ipc", "uts"]
                        .map(|kind| seen[&format!("ns.{kind}")].clone())
                })
                .collect();
            assert!(namespaces.iter().all(|other| *other == namespaces[0]), "{container}: {namespaces:?}");
        }
    }
}

/// 11.14: what is hidden of `/proc` is there with `procMount: Unmasked`, which only a pod with users of its own may say.
#[test]
fn proc_is_masked_unless_the_pod_says_otherwise() {
    let world = with_shell();
    let open = json!({"procMount": "Unmasked"});
    world.write("masked.yaml", &own(&world, "masked", &["trap-term"], json!({})));
    let mut open_pod = own(&world, "open", &["trap-term"], json!({}));
    open_pod["spec"]["containers"][0]["securityContext"] = open.clone();
    world.write("open.yaml", &open_pod);
    world.write("refused.yaml", &with_main(pod("refused", &["trap-term"]), json!({"securityContext": open})));
    world.running("masked");
    world.running("open");
    let below = |pod: &str| sh(&world, pod, "cut -d' ' -f5 /proc/self/mountinfo");
    let covers = |pod: &str| below(pod).lines().filter(|path| path.starts_with("/proc/")).count();
    assert!(covers("masked") > 5, "{}", below("masked"));
    assert_eq!(covers("open"), 0, "{}", below("open"));
    world.reported(&["refused.yaml", "`hostUsers` must be false to use `Unmasked`"]);
}

/// 11.08: whoever is root among the pod's users may do with its network what root may, and nothing to the node, privileged or not.
#[test]
fn root_of_a_pod_is_root_of_its_namespaces_alone() {
    let world = with_shell();
    let mut web = own(&world, "web", &["listen", "80"], json!({}));
    web["spec"]["containers"][0]["readinessProbe"] = json!({"httpGet": {"port": 80}, "periodSeconds": 1});
    world.write("web.yaml", &web);
    // A terminal is of the pod's own /dev/pts, for whoever its process is.
    let mut shows = own(&world, "shows", &[], json!({"restartPolicy": "Never"}));
    let fields = [
        ("command", json!(["/shared/busybox", "sh", "-c", "/shared/busybox tty; /shared/busybox id -u"])),
        ("tty", json!(true)),
        ("stdin", json!(true)),
        ("securityContext", json!({"runAsUser": 1000})),
    ];
    fields.into_iter().for_each(|(name, value)| shows["spec"]["containers"][0][name] = value);
    world.write("shows.yaml", &shows);
    world.once("shows", "has ended", |pod| pod.exit_code() == Some(0));
    assert_eq!(world.log("shows").replace('\r', ""), "/dev/pts/0\n1000\n");
    let context = json!({"privileged": true});
    let mut mighty = own(&world, "mighty", &["trap-term"], json!({}));
    mighty["spec"]["containers"][0]["securityContext"] = context;
    world.write("mighty.yaml", &mighty);
    world.once("web", "is ready", |pod| pod.is("Ready"));
    let pod = world.running("mighty");
    let shared = world.shared().display().to_string();
    assert_eq!(sh(&world, "web", "/shared/busybox wget -q -O - http://127.0.0.1:80/"), "hello");
    let node = |path: &str| fs::read_to_string(path).unwrap();
    let before = (node("/proc/sys/kernel/hostname"), node("/proc/sys/vm/overcommit_memory"));
    for (script, expected) in [
        ("hostname mine; hostname", "mine"),
        ("mkdir -p /m; mount -t tmpfs none /m && echo done", "done"),
        ("ip link set lo down && ip link set lo up && echo done", "done"),
        ("(echo 1 > /proc/sys/vm/overcommit_memory) 2>/dev/null || echo refused", "refused"),
        ("(echo b > /proc/sysrq-trigger) 2>/dev/null || echo refused", "refused"),
        ("(echo x > /sys/kernel/mm/transparent_hugepage/enabled) 2>/dev/null || echo refused", "refused"),
        (
            "(for disk in vda sda nvme0n1; do mount /dev/$disk /m; done) 2>/dev/null || echo refused",
            "refused",
        ),
        ("(mknod /tmp-disk b 254 0) 2>/dev/null || echo refused", "refused"),
        ("(mkdir /sys/fs/cgroup/memory/x || mkdir /sys/fs/cgroup/x) 2>/dev/null || echo refused", "refused"),
        ("(head -c 1 /dev/mem || head -c 1 /dev/vda) 2>/dev/null || echo refused", "refused"),
    ] {
        let script = format!("PATH=/b; mkdir -p /b; /shared/busybox --install -s /b; {script}");
        assert_eq!(sh(&world, "mighty", &script), expected, "{script}");
    }
    assert_eq!((node("/proc/sys/kernel/hostname"), node("/proc/sys/vm/overcommit_memory")), before);
    let status = parse(&sh(&world, "mighty", "/workload status"));
    let all = parse(&node("/proc/self/status").replace('\t', " "))["CapBnd"].clone();
    assert_eq!((&status["status.CapEff"], &*status["status.Seccomp"]), (&all, "0"));
    // Nobody of the node's: what is for its root alone is not for the pod's.
    let secret = world.shared().join("of-node");
    fs::write(&secret, "x").unwrap();
    chown(&secret, Some(100_000), Some(100_000)).unwrap();
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o600)).unwrap();
    assert_eq!(sh(&world, "mighty", "cat /shared/of-node 2>/dev/null || echo refused"), "refused");
    assert!(root_of(&world, &pod) >= 65536, "{shared}");
}

/// 11.08: IDs are kept apart and kept, whichever agent is there and however often a container starts.
#[test]
fn ids_stay_whose_they_are_under_another_agent_and_run() {
    let mut world = with_shell();
    let steps = ["steps", "/shared/steps", "1", "run"];
    world.write("first.yaml", &own(&world, "first", &steps, json!({"restartPolicy": "Always"})));
    world.write("second.yaml", &own(&world, "second", &["trap-term"], json!({})));
    let first = world.once("first", "runs again", |pod| pod.restarts() == 1 && pod.is("Ready"));
    let second = world.running("second");
    let [a, b] = [&first, &second].map(|pod| root_of(&world, pod));
    assert_ne!(a, b);
    world.kill_agent();
    world.start_agent();
    world.write("third.yaml", &own(&world, "third", &["trap-term"], json!({})));
    let third = world.running("third");
    assert_eq!(root_of(&world, &third), 196_608);
    assert_eq!([&world.running("first"), &world.running("second")].map(|pod| root_of(&world, pod)), [a, b]);
    assert_eq!(sh(&world, "second", "cat /proc/1/uid_map").split_whitespace().nth(1), Some(&*b.to_string()));
    // What is given back is given again.
    world.remove("first.yaml");
    world.gone("first");
    world.write("fourth.yaml", &own(&world, "fourth", &["trap-term"], json!({})));
    let fourth = world.running("fourth");
    assert_eq!(root_of(&world, &fourth), a);
    for name in ["second", "third", "fourth"] {
        world.remove(&format!("{name}.yaml"));
        world.gone(name);
    }
    eventually(SOON, "nothing is left", || world.place().pod_cgroups().is_empty().then_some(()));
}

/// Whom a pod lacks nobody can be; and what a file system or the kernel cannot do starts nothing, and says so.
#[test]
fn what_cannot_be_done_for_a_pod_is_told_and_harms_no_other() {
    let mut world = World::without_agent();
    world.kubelet_config = Some("userNamespaces: {idsPerPod: 131072}\n".to_owned());
    world.start_agent();
    let user = |name: &str, user: u32| {
        let context = json!({"runAsUser": user, "runAsGroup": user});
        with(
            pod(name, &["status"]),
            json!({"hostUsers": false, "restartPolicy": "Never", "securityContext": context}),
        )
    };
    world.write("wide.yaml", &user("wide", 131_071));
    world.write("beyond.yaml", &user("beyond", 131_072));
    let volumes = json!([{"name": "sys", "hostPath": {"path": "/sys/kernel"}}]);
    let mounts = json!({"volumeMounts": [{"name": "sys", "mountPath": "/s"}]});
    let sys = with(pod("sys", &["trap-term"]), json!({"hostUsers": false, "volumes": volumes}));
    world.write("sys.yaml", &with_main(sys, mounts));
    world.write("other.yaml", &pod("other", &["trap-term"]));
    world.once("wide", "has ended", |pod| pod.exit_code() == Some(0));
    assert_eq!(parse(&world.log("wide"))["uid"], "131071 131071");
    let told = |name: &str, words: &[&str]| {
        world.once(name, "says why", |pod| {
            let state = pod.main()["state"].to_string();
            words.iter().all(|word| state.contains(word))
        });
    };
    told("beyond", &["user 131072 is not in the pod's user namespace, which has 0 to 131071"]);
    told("sys", &["CreateContainerError", "map the owners of /sys/kernel", "hostUsers: true"]);
    world.running("other");
}

/// On cgroup v2 too, where a container sees its own group, and may change nothing there.
#[test]
fn a_pod_has_users_of_its_own_on_cgroup_v2_too() {
    let mut world = World::without_agent();
    world.through = ON_V2.to_vec();
    copy_program(&busybox(), &world.shared().join("busybox"));
    world.start_agent();
    let mut manifest = own(&world, "new", &["trap-term"], json!({"shareProcessNamespace": true}));
    let mut mighty = manifest["spec"]["containers"][0].clone();
    mighty["name"] = json!("mighty");
    mighty["securityContext"] = json!({"privileged": true});
    manifest["spec"]["containers"].as_array_mut().unwrap().push(mighty);
    world.write("new.yaml", &manifest);
    world.running("new");
    let names = |file: &str| {
        format!("/shared/busybox stat -f -c %t /sys/fs/cgroup; /shared/busybox head -c 1 {file}")
    };
    let seen = sh(&world, "new", &names("/dev/zero | /shared/busybox wc -c"));
    assert_eq!(seen.split_whitespace().collect::<Vec<_>>(), ["63677270", "1"]);
    let write = "mkdir /sys/fs/cgroup/x 2>/dev/null || echo refused";
    assert_eq!(sh(&world, "new", &format!("/shared/busybox {write}")), "refused");
    let words = ["exec", &world.pod_name("new"), "-c", "mighty", "--", "/shared/busybox", "sh", "-c"];
    let said = world.says(&[&words[..], &[&format!("/shared/busybox {write}")]].concat());
    assert_eq!(said.trim(), "refused");
    world.remove("new.yaml");
    world.gone("new");
}
