//! Security contexts, told from inside: by a container's own process, by a probe and by a command in it.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use serde_json::{Value, json};

use crate::harness::image::{busybox, copy_program};
use crate::harness::pod::{container, pod, with, with_main};
use crate::harness::{SOON, World, eventually};
use crate::isolation::{CAPABILITIES, parse};

const NONE: &str = "0000000000000000";

/// One container and what is to be seen in it.
struct Case {
    name: &'static str,
    context: Value,
    /// User and groups.
    ids: [&'static str; 3],
    /// Effective and permitted capabilities, and the bounding set.
    capabilities: [String; 2],
    no_new_privs: &'static str,
    /// `Seccomp`: 2 with a filter, 0 without.
    seccomp: &'static str,
}

fn cases() -> Vec<Case> {
    let all = fs::read_to_string("/proc/self/status").unwrap();
    let all = all.lines().find_map(|line| line.strip_prefix("CapBnd:")).unwrap().trim().to_owned();
    let case = |name, context, ids, [effective, bounding]: [&str; 2], no_new_privs| {
        let capabilities = [effective, bounding].map(str::to_owned);
        // 11.13, 14.18
        let seccomp = if matches!(name, "mighty" | "bare") { "0" } else { "2" };
        Case { name, context, ids, capabilities, no_new_privs, seccomp }
    };
    let default = [CAPABILITIES, CAPABILITIES];
    vec![
        case("plain", json!({}), ["0 0", "0 0", "0 2000 4000"], default, "0"),
        // 11.01, 11.06, 11.07: a number that the image's files know, with its groups.
        case(
            "worker",
            json!({"runAsUser": 1234, "runAsNonRoot": true, "allowPrivilegeEscalation": false}),
            ["1234 1234", "5678 5678", "2000 4000 5678 7777"],
            [NONE, CAPABILITIES],
            "1",
        ),
        case(
            "grouped",
            json!({"runAsUser": 65534, "runAsGroup": 3000}),
            ["65534 65534", "3000 3000", "2000 3000 4000"],
            [NONE, CAPABILITIES],
            "0",
        ),
        // 14.16
        case(
            "bare",
            json!({"capabilities": {"drop": ["ALL"], "add": ["net_bind_service"]}, "readOnlyRootFilesystem": true,
                "seccompProfile": {"type": "Unconfined"}}),
            ["0 0", "0 0", "0 2000 4000"],
            ["0000000000000400"; 2],
            "0",
        ),
        case(
            "tracer",
            json!({"capabilities": {"drop": ["CHOWN"], "add": ["SYS_PTRACE"]}}),
            ["0 0", "0 0", "0 2000 4000"],
            ["00000000a80c25fa"; 2],
            "0",
        ),
        case(
            "linked",
            json!({"runAsUser": 1000, "capabilities": {"add": ["NET_ADMIN"]}, "allowPrivilegeEscalation": true}),
            ["1000 1000", "0 0", "0 2000 4000"],
            [NONE, "00000000a80435fb"],
            "0",
        ),
        // 11.05
        case("mighty", json!({"privileged": true}), ["0 0", "0 0", "0 2000 4000"], [&all, &all], "0"),
    ]
}

impl Case {
    fn check(&self, seen: &BTreeMap<String, String>, who: &str) {
        let is = |name: &str, value: &str| {
            let seen = seen.get(name).map(String::as_str);
            assert_eq!(seen, Some(value), "{}, {who}: {name}", self.name);
        };
        is("uid", self.ids[0]);
        is("gid", self.ids[1]);
        let mut groups: Vec<u32> = seen["groups"].split(' ').map(|group| group.parse().unwrap()).collect();
        groups.sort_unstable();
        let groups: Vec<_> = groups.iter().map(u32::to_string).collect();
        assert_eq!(groups.join(" "), self.ids[2], "{}, {who}: groups", self.name);
        let [effective, bounding] = &self.capabilities;
        is("status.CapEff", effective);
        is("status.CapPrm", effective);
        is("status.CapBnd", bounding);
        is("status.CapInh", NONE);
        is("status.CapAmb", NONE);
        is("status.NoNewPrivs", self.no_new_privs);
        is("status.Seccomp", self.seccomp);
        is("status.SigIgn", NONE);
        is("fds", "0 1 2");
        // Blocked by the container's own, before it tells.
        if who != "own" {
            is("status.SigBlk", NONE);
        }
    }
}

/// 11.01, 11.02, 11.04–11.07, 10.05, 14.14–14.17, 14.19, threats 18 and 19: as an init container, as one that stays, in a probe
/// and in a command.
#[test]
fn processes_are_exactly_what_their_security_context_says() {
    let world = World::new();
    fs::set_permissions(world.shared(), fs::Permissions::from_mode(0o777)).unwrap();
    let cases = cases();
    let mounts = json!([
        {"name": "shared", "mountPath": "/shared"}, {"name": "data", "mountPath": "/data"},
        {"name": "key", "mountPath": "/key"},
    ]);
    let run = |name: &str, context: &Value, args: &[&str]| {
        let mut container = container(name, args);
        container["securityContext"] = context.clone();
        container["volumeMounts"] = mounts.clone();
        container
    };
    let (mut inits, mut regular) = (Vec::new(), Vec::new());
    for Case { name, context, .. } in &cases {
        inits.push(run(&format!("{name}-init"), context, &["status-to", &format!("/shared/{name}.init")]));
        let mut stays = run(name, context, &["status-to", &format!("/shared/{name}.own"), "stay"]);
        let probe = ["/workload", "status-to", &format!("/shared/{name}.probe")];
        stays["startupProbe"] = json!({"exec": {"command": probe}, "periodSeconds": 1, "timeoutSeconds": 30});
        regular.push(stays);
    }
    let spec = json!({
        "securityContext": {"supplementalGroups": [4000], "fsGroup": 2000, "fsGroupChangePolicy": "OnRootMismatch"},
        "volumes": [
            {"name": "shared", "hostPath": {"path": world.shared()}},
            {"name": "data", "emptyDir": {}},
            {"name": "key", "secret": {"secretName": "key", "defaultMode": 0o400}},
        ],
        "initContainers": inits,
        "containers": regular,
    });
    let key = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "key"}, "stringData": {"k": "turned"}});
    world.write("key.yaml", &key);
    world.write("all.yaml", &with(pod("all", &[]), spec));
    world.once("all", "all are ready", |pod| pod.is("Ready"));
    let pod = world.pod_name("all");
    let exec = |container: &str, args: &[&str]| {
        let command = ["exec", &pod, "-c", container, "--", "/workload"];
        world.cli(&[&command, args].concat())
    };
    for case in &cases {
        let name = case.name;
        assert!(exec(name, &["status-to", &format!("/shared/{name}.exec")]).status.success(), "{name}");
        for who in ["init", "own", "probe", "exec"] {
            let file = world.shared().join(format!("{name}.{who}"));
            case.check(
                &parse(&eventually(SOON, &file.display().to_string(), || fs::read_to_string(&file).ok())),
                who,
            );
        }
        // 10.05: the volumes are the group's, whoever writes; those of the node are not touched.
        assert!(exec(name, &["say", "0", &format!("/data/{name}"), "x"]).status.success(), "{name}");
        let read = exec(name, &["cat", "/key/k"]);
        assert_eq!(String::from_utf8_lossy(&read.stdout), "turned", "{name}: {read:?}");
        let writes = exec(name, &["say", "0", "/etc/new", "x"]).status.success();
        assert_eq!(writes, matches!(name, "plain" | "tracer" | "mighty"), "{name} writes to its root");
    }
    let uid = world.pod("all").unwrap().uid();
    let data = world.data().join("agent/holdfast/pods").join(uid).join("volumes/data");
    let look = |name: &str| fs::metadata(data.join(name)).unwrap();
    assert_eq!((look("").gid(), look("").mode() & 0o7777), (2000, 0o2777));
    assert_eq!(cases.iter().map(|case| look(case.name).gid()).collect::<Vec<_>>(), vec![2000; cases.len()]);
    assert_eq!(fs::metadata(world.shared()).unwrap().gid(), 0);
    unhidden(&parse(&fs::read_to_string(world.shared().join("mighty.own")).unwrap()));
}

/// 11.05, 14.17: of a privileged container nothing is masked or read-only.
fn unhidden(seen: &BTreeMap<String, String>) {
    for line in seen["mount"].lines() {
        let fields: Vec<&str> = line.split(' ').collect();
        let (path, options) = (fields[4], fields[5]);
        assert!(!path.starts_with("/proc/") && !path.starts_with("/sys/firmware"), "{line}");
        if path == "/sys" || path == "/sys/fs/cgroup" {
            assert!(options.split(',').any(|option| option == "rw"), "{line}");
        }
    }
}

/// 11.07 Strict, 11.03: nothing runs, and the kubelet's sentence says why, until the image or the manifest changes.
#[test]
fn groups_of_the_image_are_left_out_and_root_is_refused_as_the_pod_says() {
    let world = World::new();
    let context =
        json!({"runAsUser": 1234, "supplementalGroups": [4000], "supplementalGroupsPolicy": "Strict"});
    let strict =
        with(pod("strict", &["status"]), json!({"restartPolicy": "Never", "securityContext": context}));
    world.write("strict.yaml", &strict);
    world.write(
        "root.yaml",
        &with_main(pod("root", &["sleep"]), json!({"securityContext": {"runAsNonRoot": true}})),
    );
    world.once("strict", "has ended", |pod| pod.exit_code() == Some(0));
    assert_eq!(parse(&world.log("strict"))["groups"], "4000 5678");
    let root = world.once("root", "cannot start", |pod| pod.reason() == "CreateContainerConfigError");
    let message = root.main()["state"]["waiting"]["message"].as_str().unwrap();
    assert!(
        message.starts_with("container has runAsNonRoot and image will run as root (pod: \"root-"),
        "{message}"
    );
    eventually(SOON, "an event says so", || {
        let told = world.says(&["events"]);
        told.lines().any(|line| line.contains("Failed") && line.contains("runAsNonRoot")).then_some(())
    });
}

/// Threat 20, 11.13, 14.18: what a profile of the node forbids fails, for the container and for a command, with and without
/// no_new_privs; one that is not there or cannot be enforced starts nothing.
#[test]
fn profiles_of_the_node_count_and_what_cannot_be_enforced_does_not_start() {
    let world = World::new();
    let profiles = world.data().join("agent/seccomp");
    fs::create_dir_all(profiles.join("deep")).unwrap();
    // The workload makes its files by rename(2) or renameat(2).
    let names = ["rename", "renameat", "renameat2"];
    let forbids = json!({"names": names, "action": "SCMP_ACT_ERRNO", "errnoRet": 95});
    let profile = json!({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [forbids]});
    fs::write(profiles.join("deep/no-rename.json"), profile.to_string()).unwrap();
    fs::write(profiles.join("empty.json"), "").unwrap();
    let localhost = |path: &str| json!({"type": "Localhost", "localhostProfile": path});
    let volumes = json!([{"name": "shared", "hostPath": {"path": world.shared()}}]);
    let mounts = json!([{"name": "shared", "mountPath": "/shared"}]);
    let mut regular = Vec::new();
    for (name, escalation) in [("loose", true), ("tight", false)] {
        let mut container = container(name, &["trap-term"]);
        container["securityContext"] = json!({"allowPrivilegeEscalation": escalation});
        container["volumeMounts"] = mounts.clone();
        regular.push(container);
    }
    for (name, path) in [("absent", "absent.json"), ("empty", "empty.json"), ("out", "link.json")] {
        let mut container = container(name, &["sleep"]);
        container["securityContext"] = json!({"seccompProfile": localhost(path)});
        regular.push(container);
    }
    fs::write(world.shared().join("outside.json"), profile.to_string()).unwrap();
    std::os::unix::fs::symlink(world.shared().join("outside.json"), profiles.join("link.json")).unwrap();
    let context = json!({"seccompProfile": localhost("deep/no-rename.json")});
    let spec = json!({"containers": regular, "volumes": volumes, "securityContext": context});
    world.write("local.yaml", &with(pod("local", &[]), spec));
    let waits = |name: &str| {
        let seen = world.once("local", "is judged", |pod| {
            pod.container(name)["state"]["waiting"]["reason"] == "CreateContainerError"
        });
        seen.container(name)["state"]["waiting"]["message"].as_str().unwrap().to_owned()
    };
    assert!(waits("absent").contains("neither"), "{}", waits("absent"));
    assert!(waits("empty").contains("it is not JSON"), "{}", waits("empty"));
    assert!(waits("out").contains("link.json"), "{}", waits("out"));
    let pod = world.pod_name("local");
    for (name, no_new_privs) in [("loose", "0"), ("tight", "1")] {
        world.once("local", "runs", |pod| pod.container(name)["ready"] == true);
        let exec =
            |args: &[&str]| world.cli(&[&["exec", &pod, "-c", name, "--", "/workload"], args].concat());
        let renames = exec(&["status-to", "/shared/status"]);
        let said = String::from_utf8_lossy(&renames.stderr).into_owned();
        assert!(!renames.status.success() && said.contains("code: 95"), "{name}: {said}");
        assert!(exec(&["say", "0", "/shared/said", "x"]).status.success(), "{name}");
        let seen = parse(&String::from_utf8_lossy(&exec(&["status"]).stdout));
        assert_eq!((&*seen["status.Seccomp"], &*seen["status.NoNewPrivs"]), ("2", no_new_privs), "{name}");
    }
}

/// 11.15, 14.21 on a kernel without AppArmor: a pod that asks for it never begins, in the kubelet's words, by whichever of its
/// containers and in whichever form; one that asks for none runs.
#[test]
fn a_pod_that_asks_for_apparmor_never_begins_on_a_kernel_without_it() {
    let mut world = World::without_agent();
    // Where this kernel has it, the agent does not see that.
    let hide = "[ ! -d /sys/module/apparmor ] || mount -t tmpfs none /sys/module/apparmor; exec \"$@\"";
    world.through = vec!["unshare", "--mount", "sh", "-c", hide, "sh"];
    world.start_agent();
    let beta = "container.apparmor.security.beta.kubernetes.io/main";
    let annotated = |name: &str, value: &str| {
        let mut pod = pod(name, &["trap-term"]);
        pod["metadata"]["annotations"] = json!({beta: value});
        pod
    };
    let default = json!({"appArmorProfile": {"type": "RuntimeDefault"}});
    let local = json!({"appArmorProfile": {"type": "Localhost", "localhostProfile": "tight"}});
    let mut first = container("first", &["exit", "0"]);
    first["securityContext"] = local;
    world.write("default.yaml", &with(pod("default", &["trap-term"]), json!({"securityContext": default})));
    world.write("local.yaml", &with(pod("local", &["trap-term"]), json!({"initContainers": [first]})));
    world.write("old.yaml", &annotated("old", "localhost/tight"));
    for name in ["default", "local", "old"] {
        let refused = world.once(name, "has failed", |pod| pod.phase() == "Failed");
        let status = &refused.0["status"];
        assert_eq!(status["reason"], "AppArmor", "{name}");
        assert_eq!(
            status["message"], "Cannot enforce AppArmor: AppArmor is not enabled on the host",
            "{name}"
        );
        assert!(refused.main()["containerID"].is_null(), "{name}: {}", refused.main());
    }
    world.write("none.yaml", &annotated("none", "unconfined"));
    let none = json!({"securityContext": {"appArmorProfile": {"type": "Unconfined"}}});
    world.write(
        "field.yaml",
        &with_main(with(pod("field", &["trap-term"]), json!({"securityContext": default})), none),
    );
    world.running("none");
    world.running("field");
}

/// 11.09–11.11, 14.12, threat 16: what is safe is set inside and nowhere else, anything else ends the pod before it begins, and
/// a value is one setting's.
#[test]
fn sysctls_are_set_inside_refused_or_forbidden() {
    let world = World::new();
    let of_node = || {
        ["kernel/shm_rmid_forced", "net/ipv4/tcp_fin_timeout"]
            .map(|name| fs::read_to_string(format!("/proc/sys/{name}")).unwrap_or_default())
    };
    let before = of_node();
    let sysctls = |list: &[(&str, &str)]| {
        let list: Vec<_> = list.iter().map(|(name, value)| json!({"name": name, "value": value})).collect();
        json!({"securityContext": {"runAsUser": 65534, "sysctls": list}, "restartPolicy": "Never"})
    };
    let files = ["kernel/shm_rmid_forced", "net/ipv4/tcp_fin_timeout", "net/ipv4/ip_unprivileged_port_start"];
    let files = files.map(|name| format!("/proc/sys/{name}"));
    let cat = ["cat", &files[0], &files[1], &files[2]];
    let safe = [("kernel.shm_rmid_forced", "1"), ("net/ipv4/tcp_fin_timeout", "17")];
    world.write("safe.yaml", &with(pod("safe", &cat), sysctls(&safe)));
    world.write("other.yaml", &with(pod("other", &cat), sysctls(&[("net.core.somaxconn", "1024")])));
    let tricky = [("kernel.shm_rmid_forced", "1+net.ipv4.tcp_fin_timeout=19")];
    world.write("tricky.yaml", &with(pod("tricky", &cat), sysctls(&tricky)));
    world.write(
        "wrong.yaml",
        &with(pod("wrong", &cat), sysctls(&[("foo-", "bar"), ("kernel.shmmax", "1"), ("bar..", "42")])),
    );
    world.once("safe", "has ended", |pod| pod.exit_code() == Some(0));
    assert_eq!(world.log("safe"), "1\n17\n0\n");
    let other = world.once("other", "has failed", |pod| pod.phase() == "Failed");
    let status = &other.0["status"];
    assert_eq!(status["reason"], "SysctlForbidden");
    assert_eq!(status["message"], "forbidden sysctl: \"net.core.somaxconn\" not allowlisted");
    // 11.10: the message lists only the bad ones.
    let told = world.reported(&["wrong.yaml", "sysctls[0].name", "sysctls[2].name"]);
    assert!(!told.contains("sysctls[1]"), "{told}");
    let failed = |pod: &crate::harness::pod::Seen| pod.main()["state"]["waiting"]["message"].to_string();
    let tricky = world.once("tricky", "cannot start", |pod| failed(pod).contains("shm_rmid_forced"));
    assert_eq!(tricky.phase(), "Pending");
    assert_eq!(of_node(), before);
}

/// Threat 16: what would be the node's own. The values are those that it has, so that nothing comes of it in any case.
#[test]
fn sysctls_of_namespaces_that_are_the_nodes_are_refused() {
    let world = World::new();
    for (name, field, sysctl) in [
        ("net", "hostNetwork", "net.ipv4.tcp_fin_timeout"),
        ("slashes", "hostNetwork", "net/ipv4/tcp_fin_timeout"),
        ("ipc", "hostIPC", "kernel.shm_rmid_forced"),
    ] {
        let value = fs::read_to_string(format!("/proc/sys/{}", sysctl.replace('.', "/"))).unwrap();
        let sysctls = json!([{"name": sysctl, "value": value.trim()}]);
        let spec = json!({field: true, "securityContext": {"sysctls": sysctls}});
        world.write(&format!("{name}.yaml"), &with(pod(name, &["trap-term"]), spec));
        world.reported(&[&format!("{name}.yaml"), "sysctls[0].name", field]);
        assert!(world.pod(name).is_none(), "{name} runs");
    }
}

/// Threats 20 and 21, CVE-2022-0492: who is in a container makes no namespaces, in which it would have every right, and mounts
/// no cgroups, whose `release_agent` the node executes: the one by its filter, the other by its capabilities too.
#[test]
fn nobody_gets_at_cgroups_by_a_mount_or_a_namespace_of_his_own() {
    let world = World::new();
    copy_program(&busybox(), &world.shared().join("busybox"));
    let volumes = json!([{"name": "shared", "hostPath": {"path": world.shared()}}]);
    let mut regular = Vec::new();
    for (name, profile) in [("usual", "RuntimeDefault"), ("loose", "Unconfined")] {
        let mut container = container(name, &["trap-term"]);
        container["securityContext"] = json!({"seccompProfile": {"type": profile}});
        container["volumeMounts"] = json!([{"name": "shared", "mountPath": "/shared"}]);
        regular.push(container);
    }
    world.write("tries.yaml", &with(pod("tries", &[]), json!({"containers": regular, "volumes": volumes})));
    world.running("tries");
    let pod = world.pod_name("tries");
    let refused = |container: &str, command: &[&str]| {
        let exec = ["exec", &pod, "-c", container, "--", "/shared/busybox"];
        let output = world.cli(&[&exec, command].concat());
        let said = String::from_utf8_lossy(&output.stderr).to_lowercase();
        let refused = said.contains("not permitted") || said.contains("permission denied");
        assert!(!output.status.success() && refused, "{container}, {command:?}: {said}");
    };
    for container in ["usual", "loose"] {
        for (kind, of) in [("cgroup2", ""), ("cgroup", "none,name=holdfast")] {
            refused(container, &["mount", "-t", kind, "-o", of, "none", "/shared"]);
        }
    }
    for flag in ["-r", "-m", "-u", "-i", "-n", "-p"] {
        refused("usual", &["unshare", flag, "/shared/busybox", "true"]);
    }
}

/// 14.21: where there is no SELinux nobody has labels, whoever asks; where there is, who asks does not start.
#[test]
fn labels_of_selinux_are_for_nodes_that_have_it() {
    let world = World::new();
    let labels = json!({"securityContext": {"seLinuxOptions": {"level": "s0:c1"}}});
    world.write("labels.yaml", &with_main(pod("labels", &["trap-term"]), labels));
    if !Path::new("/sys/fs/selinux").exists() {
        world.running("labels");
        return;
    }
    world.once("labels", "is told why", |pod| {
        let waiting = &pod.main()["state"]["waiting"];
        waiting["reason"] == "CreateContainerError"
            && waiting["message"].to_string().contains("this node has SELinux")
    });
}
