#![allow(clippy::unwrap_used)]

use core::net::IpAddr;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use super::*;
use crate::api::Amounts;
use crate::spec::{
    self, Address, Allocatable, DnsConfig, DnsPolicy, Document, Documents, EnvFrom, EnvVar, HostAlias,
    IdMapping, Kind, Millicores, Qos, Resource, Resources, Role, Security, Uid, ValueSource,
};

mod security;

/// One container of one pod on one node; tests change what they are about.
struct World {
    pod: Pod,
    container: Container,
    image: ImageConfig,
    node: Node,
    binds: Vec<Bind>,
    devices: Vec<Device>,
    seccomp: bool,
    device_rules: bool,
    apparmor: Option<String>,
    selinux: Option<Labels>,
    users: Option<IdMapping>,
    pause_pid: Option<i32>,
    documents: Documents,
    files: BTreeMap<(String, String), Result<String, String>>,
}

fn world() -> World {
    World {
        pod: Pod {
            uid: Uid("0123456789abcdef0123456789abcdef".into()),
            namespace: "default".into(),
            name: "web-edge-1".into(),
            origin: "/m/web.yaml".into(),
            object: r#"{"metadata":{"annotations":{"io.kubernetes.cri.evil":"1"}}}"#.into(),
            node_name: "edge-1".into(),
            hostname: "web-edge-1".into(),
            grace: Duration::from_secs(30),
            ..Pod::default()
        },
        container: Container { name: "web".into(), image: "nginx".into(), ..Container::default() },
        image: ImageConfig {
            entrypoint: vec!["/entry".into()],
            cmd: vec!["cmd".into()],
            ..ImageConfig::default()
        },
        node: Node {
            memory: Bytes(1000 << 20),
            cgroup: Cgroup {
                unified: false,
                cpu: true,
                cpu_quota: true,
                memory: true,
                swap: false,
                oom_group: false,
                devices: true,
            },
            huge_pages: Vec::new(),
            memory_qos: None,
            nofile: (1024, 4096),
            nofile_max: u64::MAX,
            oom_score_floor: Some(-1000),
            capabilities: u64::MAX,
            masked: Vec::new(),
        },
        binds: Vec::new(),
        devices: Vec::new(),
        seccomp: false,
        device_rules: true,
        apparmor: None,
        selinux: None,
        users: None,
        pause_pid: None,
        documents: Documents::default(),
        files: BTreeMap::new(),
    }
}

fn variable(name: &str, value: &str) -> EnvVar {
    EnvVar { name: name.into(), value: value.into(), from: None }
}

fn strings(list: &[&str]) -> Vec<String> {
    list.iter().map(|text| text.to_string()).collect()
}

impl World {
    fn config(&self) -> Result<Spec, Failure> {
        let file = |name: &str| format!("/data/etc/{name}");
        config(&Inputs {
            pod: &self.pod,
            container: &self.container,
            hostname: &kernel_hostname(&self.pod, "c.local")?,
            variables: own_variables(&self.pod, &self.container, &self.around())?,
            image: &self.image,
            node: &self.node,
            cgroup: "/kubepods/besteffort/pod0123/web-0".into(),
            files: Files {
                hosts: file("hosts"),
                resolv_conf: file("resolv.conf"),
                hostname: file("hostname"),
                shm: "/run/shm".into(),
            },
            last_words: "/data/last-words".into(),
            binds: self.binds.clone(),
            seccomp: self.seccomp,
            device_rules: self.device_rules,
            apparmor: self.apparmor.clone(),
            selinux: self.selinux.clone(),
            users: self.users,
            devices: self.devices.clone(),
            pause_pid: self.pause_pid,
        })
    }

    fn around(&self) -> Surroundings<'_> {
        Surroundings {
            documents: &self.documents,
            host_ip: Some("192.0.2.7"),
            pod_ips: Vec::new(),
            allocatable: Amounts { cpu_milli: 3500, memory: 1000 << 20, storage: 5 },
            files: self.files.clone(),
        }
    }

    /// The configuration as it is written to `config.json`.
    fn json(&self) -> Value {
        serde_json::to_value(self.config().unwrap()).unwrap()
    }

    /// What is mounted, in order: path, type, source, options.
    fn mounts(&self) -> Vec<(String, String, String, String)> {
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let mounts = self.json()["mounts"].as_array().unwrap().clone();
        let row = |mount: &Value| {
            let options = mount["options"].as_array().unwrap().iter().map(text).collect::<Vec<_>>().join(",");
            (text(&mount["destination"]), text(&mount["type"]), text(&mount["source"]), options)
        };
        mounts.iter().map(row).collect()
    }

    fn paths(&self) -> Vec<String> {
        self.mounts().into_iter().map(|mount| mount.0).collect()
    }

    fn bind(mut self, source: &str, path: &str, read_only: bool) -> World {
        self.binds.push(Bind {
            source: source.into(),
            path: path.into(),
            read_only,
            recursive_read_only: false,
            of_values: false,
            of_image: false,
            of_node: true,
        });
        self
    }
}

// --- the whole ---------------------------------------------------------------------------------------------------

#[test]
fn nobody_makes_device_nodes_where_no_rule_keeps_them_from_working() {
    for rules in [false, true] {
        let mut world = world();
        world.device_rules = rules;
        let document = world.json();
        for set in ["bounding", "effective", "permitted"] {
            let names = document["process"]["capabilities"][set].as_array().unwrap();
            assert_eq!(names.contains(&json!("CAP_MKNOD")), rules, "{set}");
            assert_eq!(names.len(), if rules { 14 } else { 13 }, "{set}");
        }
    }
}

#[test]
fn a_plain_container_on_cgroup_v1() {
    let mut document = world().json();
    // Sets without an order in oci_spec.
    for set in ["bounding", "effective", "permitted"] {
        let capabilities = document["process"]["capabilities"][set].take();
        let names: BTreeSet<String> = serde_json::from_value(capabilities).unwrap();
        assert_eq!(names.len(), 14, "{set}");
        assert!(names.contains("CAP_AUDIT_WRITE") && !names.contains("CAP_SYS_ADMIN"), "{names:?}");
    }
    let expected = json!({
        "ociVersion": "1.1.0",
        "root": { "path": "rootfs", "readonly": false },
        "mounts": document["mounts"],
        "process": {
            "terminal": false,
            "user": { "uid": 0, "gid": 0, "additionalGids": [] },
            "args": ["/entry", "cmd"],
            "env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOSTNAME=web-edge-1"],
            "cwd": "/",
            "capabilities": {
                "bounding": null, "effective": null, "permitted": null, "inheritable": [], "ambient": []
            },
            "rlimits": [{ "type": "RLIMIT_NOFILE", "hard": 4096, "soft": 1024 }],
            "oomScoreAdj": 1000,
        },
        "annotations": {
            "io.kubernetes.pod.name": "web-edge-1",
            "io.kubernetes.pod.namespace": "default",
            "io.kubernetes.pod.uid": "0123456789abcdef0123456789abcdef",
            "io.kubernetes.container.name": "web",
        },
        "linux": {
            "cgroupsPath": "/kubepods/besteffort/pod0123/web-0",
            "resources": {
                "devices": document["linux"]["resources"]["devices"],
                "cpu": { "shares": 2 },
            },
            "namespaces": [{ "type": "mount" }, { "type": "pid" }],
            "rootfsPropagation": "private",
            "maskedPaths": [
                "/proc/asound", "/proc/acpi", "/proc/interrupts", "/proc/kcore", "/proc/keys", "/proc/latency_stats",
                "/proc/timer_list", "/proc/timer_stats", "/proc/sched_debug", "/proc/scsi", "/sys/firmware",
                "/sys/devices/virtual/powercap",
            ],
            "readonlyPaths": ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"],
        },
    });
    assert_eq!(document, expected, "{document:#}");
}

/// A misspelt key would be dropped without a word when the document becomes a `Spec`.
#[test]
fn nothing_is_lost_on_the_way_to_the_type() {
    fn keys(value: &Value, at: &str, found: &mut BTreeSet<String>) {
        match value {
            Value::Object(map) => {
                for (key, inner) in map {
                    found.insert(format!("{at}.{key}"));
                    keys(inner, &format!("{at}.{key}"), found);
                }
            }
            Value::Array(list) => list.iter().for_each(|inner| keys(inner, &format!("{at}[]"), found)),
            _ => {}
        }
    }
    let mut world = world();
    world.node.cgroup = Cgroup {
        unified: true,
        cpu: true,
        cpu_quota: true,
        memory: true,
        swap: true,
        oom_group: true,
        devices: true,
    };
    world.container.resources.memory_limit = Some(Bytes(1 << 20));
    world.container.resources.cpu_limit = Some(Millicores(100));
    world.pod.share_process_namespace = true;
    world.pause_pid = Some(7);
    world.seccomp = true;
    world.apparmor = Some("tight".into());
    world.container.security = Security { privileged: true, no_new_privileges: true, ..Security::default() };
    world.users = Some(IdMapping { host_id: 65536, length: 65536 });
    let (path, owner) = ("/dev/x".into(), (0, 0));
    world.devices = vec![Device { path, block: true, number: (8, 0), mode: 0o600, owner }];
    let files =
        Files { hosts: "/h".into(), resolv_conf: "/r".into(), hostname: "/n".into(), shm: "/s".into() };
    let inputs = Inputs {
        pod: &world.pod,
        container: &world.container,
        hostname: "web",
        variables: Variables::default(),
        image: &world.image,
        node: &world.node,
        cgroup: "/x".into(),
        files,
        last_words: String::new(),
        binds: Vec::new(),
        seccomp: true,
        device_rules: true,
        apparmor: world.apparmor.clone(),
        selinux: world.selinux.clone(),
        users: world.users,
        devices: world.devices.clone(),
        pause_pid: world.pause_pid,
    };
    let (mut written, mut kept) = (BTreeSet::new(), BTreeSet::new());
    let linux = linux::linux(&inputs).unwrap();
    keys(&json!({ "linux": linux, "process": process::process(&inputs).unwrap() }), "", &mut written);
    keys(&json!({ "mounts": mounts::mounts(&inputs).unwrap() }), "", &mut written);
    keys(&world.json(), "", &mut kept);
    let lost: Vec<_> = written.difference(&kept).collect();
    assert!(lost.is_empty(), "{lost:?}");
}

// --- command, environment, directory -----------------------------------------------------------------------------

#[test]
fn command_and_args_against_entrypoint_and_cmd_9_01() {
    let table: &[(&[&str], &[&str], &[&str])] = &[
        (&[], &[], &["/entry", "cmd"]),
        (&[], &["a", "b"], &["/entry", "a", "b"]),
        (&["/c"], &[], &["/c"]),
        (&["/c"], &["a"], &["/c", "a"]),
    ];
    for (command, args, expected) in table {
        let mut world = world();
        world.container.command = strings(command);
        world.container.args = strings(args);
        assert_eq!(world.json()["process"]["args"], json!(expected), "{command:?} {args:?}");
    }
}

#[test]
fn a_container_without_a_program_is_not_created() {
    for entrypoint in [vec![], vec![String::new()]] {
        let mut world = world();
        world.image = ImageConfig { entrypoint, ..ImageConfig::default() };
        let failure = world.config().unwrap_err();
        assert_eq!(failure.reason, Reason::CreateContainerError);
        assert!(failure.message.contains("container web: no command specified"), "{failure}");
    }
}

#[test]
fn a_nul_byte_is_refused_before_it_reaches_exec() {
    let mut world = world();
    world.container.args = vec!["a\0b".into()];
    assert_eq!(world.config().unwrap_err().reason, Reason::CreateContainerConfigError);
}

#[test]
fn references_are_expanded_in_env_command_and_args_9_02() {
    let mut world = world();
    world.image.env = vec!["IMAGE=i".into()];
    world.container.env = vec![
        variable("FOO", "foo"),
        variable("BAR", "bar"),
        variable("FOOBAR", "$(FOO);;$(BAR)"),
        variable("EARLY", "$(LATE)"),
        variable("LATE", "late"),
        variable("FOO", "again-$(FOO)"),
        variable("KEPT", "$(IMAGE) $(PATH) $(HOSTNAME)"),
    ];
    world.container.command = strings(&["/c", "$(FOO)", "$(IMAGE)"]);
    world.container.args = strings(&["$$(FOO)", "$(FOOBAR)", "$(LATE) $(none)"]);
    let document = world.json();
    let args = ["/c", "again-foo", "$(IMAGE)", "$(FOO)", "foo;;bar", "late $(none)"];
    assert_eq!(document["process"]["args"], json!(args));
    let env = [
        "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "HOSTNAME=web-edge-1",
        "IMAGE=i",
        "FOO=again-foo",
        "BAR=bar",
        "FOOBAR=foo;;bar",
        "EARLY=$(LATE)",
        "LATE=late",
        "KEPT=$(IMAGE) $(PATH) $(HOSTNAME)",
    ];
    assert_eq!(document["process"]["env"], json!(env));
}

#[test]
fn a_terminal_is_named_unless_image_or_manifest_do_and_never_the_runtimes() {
    let mut world = world();
    world.container.tty = true;
    let terms = |document: &Value| -> Vec<String> {
        let env = document["process"]["env"].as_array().unwrap().iter();
        env.filter_map(|entry| Some(entry.as_str()?.strip_prefix("TERM=")?.to_owned())).collect()
    };
    assert_eq!(
        (terms(&world.json()), &world.json()["process"]["terminal"]),
        (strings(&["xterm"]), &json!(false))
    );
    world.image.env = vec!["TERM=vt100".into()];
    assert_eq!(terms(&world.json()), ["vt100"]);
    world.container.env = vec![variable("TERM", "linux")];
    assert_eq!(terms(&world.json()), ["linux"]);
}

#[test]
fn image_command_is_not_expanded() {
    let mut world = world();
    world.image.cmd = strings(&["$(FOO)", "$$"]);
    world.container.env = vec![variable("FOO", "foo")];
    assert_eq!(world.json()["process"]["args"], json!(["/entry", "$(FOO)", "$$"]));
}

#[test]
fn later_variables_win_and_none_is_there_twice() {
    let mut world = world();
    world.image.env = strings(&["PATH=/image", "A=1", "A=2", "bare", "=x", "EMPTY=", "EQ=a=b"]);
    world.container.env =
        vec![variable("HOSTNAME", "other"), variable("A", "3"), variable("odd name!", "9.05")];
    let env = ["PATH=/image", "HOSTNAME=other", "A=3", "EMPTY=", "EQ=a=b", "odd name!=9.05"];
    assert_eq!(world.json()["process"]["env"], json!(env));
}

/// The cases of upstream's expand_test.go, told anew: a, b, c are known, `empty` is.
#[test]
fn expansion_as_in_the_kubelet() {
    let known = [("A", "a"), ("B", "b"), ("C", "c"), ("REF", "$(A)"), ("EMPTY", ""), ("VAR.X-1", "odd")];
    let table = [
        ("", ""),
        ("plain", "plain"),
        ("$(A)", "a"),
        ("___$(A)___", "___a___"),
        ("$(A)$(B)-$(C)", "ab-c"),
        ("$(EMPTY)|", "|"),
        ("$(REF)", "$(A)"),
        ("$(VAR.X-1)", "odd"),
        ("$(UNKNOWN)", "$(UNKNOWN)"),
        ("$(UNKNOWN$(A)", "$(UNKNOWN$(A)"),
        ("$()", "$()"),
        ("$$(A)", "$(A)"),
        ("$$$(A)", "$a"),
        ("$$$$(A)", "$$(A)"),
        ("$$$$$(A)", "$$a"),
        ("$$$$$$(A)", "$$$(A)"),
        ("foo$$var$(A)", "foo$vara"),
        ("$", "$"),
        ("$$", "$"),
        ("a$", "a$"),
        ("$(", "$("),
        ("$(A", "$(A"),
        ("$(A)$(", "a$("),
        ("$A", "$A"),
        ("${A}", "${A}"),
        ("$(A)$", "a$"),
        ("\n$(A)\n", "\na\n"),
        ("($(A))", "(a)"),
        ("$($$(A))", "$($$(A))"),
        ("5€ $€ $(A)", "5€ $€ a"),
        ("$((A))", "$((A))"),
        ("$$(A)$(B)", "$(A)b"),
    ];
    for (text, expected) in table {
        let lookup = |name: &str| known.iter().find(|(known, _)| *known == name).map(|(_, value)| *value);
        assert_eq!(expansion::expand(text, lookup), expected, "{text:?}");
    }
}

#[test]
fn the_directory_is_the_manifests_then_the_images_then_the_root() {
    for (own, image, expected) in [
        (Some("/own"), "/image", "/own"),
        (None, "/image", "/image"),
        (None, "", "/"),
        (None, "image", "/image"),
    ] {
        let mut world = world();
        world.container.working_dir = own.map(str::to_owned);
        world.image.working_dir = image.into();
        assert_eq!(world.json()["process"]["cwd"], json!(expected));
    }
}

// --- what the node does not permit -------------------------------------------------------------------------------

#[test]
fn a_node_that_may_not_raise_limits_gives_what_it_can() {
    let mut world = world();
    world.pod.qos = Qos::Guaranteed;
    world.node.nofile = (20_000, 1 << 20);
    world.node.nofile_max = 10_000;
    world.node.oom_score_floor = Some(0);
    let process = world.json()["process"].clone();
    assert_eq!(process["rlimits"], json!([{ "type": "RLIMIT_NOFILE", "hard": 10_000, "soft": 10_000 }]));
    assert_eq!(process["oomScoreAdj"], json!(0));
    world.node.oom_score_floor = None;
    assert_eq!(world.json()["process"].get("oomScoreAdj"), None);
}

#[test]
fn a_node_without_a_memory_controller_runs_what_asks_for_memory() {
    let mut world = world();
    world.node.cgroup = Cgroup { memory: false, swap: false, ..world.node.cgroup };
    world.container.resources.memory_limit = Some(Bytes(64 << 20));
    assert_eq!(world.json()["linux"]["resources"].get("memory"), None);
    world.node.cgroup = Cgroup::default();
    world.container.resources.cpu_limit = Some(Millicores(100));
    assert_eq!(world.json()["linux"]["resources"].get("cpu"), None);
}

// --- resources ---------------------------------------------------------------------------------------------------

#[test]
fn shares_and_quota_as_in_the_kubelet() {
    for (milli, shares, quota) in [
        (0, 2, 1000),
        (1, 2, 1000),
        (2, 2, 1000),
        (10, 10, 1000),
        (100, 102, 10_000),
        (250, 256, 25_000),
        (1000, 1024, 100_000),
        (2500, 2560, 250_000),
        (300_000, 262_144, 30_000_000),
        (u64::MAX, 262_144, u64::MAX / 1000),
    ] {
        assert_eq!(cpu_shares(Millicores(milli)), shares, "{milli}");
        assert_eq!(cpu_quota_us(Millicores(milli)), quota, "{milli}");
    }
}

#[test]
fn limits_of_a_burstable_container() {
    let mut world = world();
    world.pod.qos = Qos::Burstable;
    world.container.resources = Resources {
        cpu_request: Some(Millicores(250)),
        cpu_limit: Some(Millicores(500)),
        memory_request: Some(Bytes(100 << 20)),
        memory_limit: Some(Bytes(200 << 20)),
        ..Resources::default()
    };
    let resources = world.json()["linux"]["resources"].clone();
    assert_eq!(resources["cpu"], json!({ "shares": 256, "quota": 50_000, "period": 100_000 }));
    assert_eq!(resources["memory"], json!({ "limit": 200 << 20 }));
    assert_eq!(resources.get("unified"), None);
    assert_eq!(resources.get("pids"), None);
    assert_eq!(world.json()["process"]["oomScoreAdj"], json!(900));

    world.node.cgroup.swap = true;
    let memory = world.json()["linux"]["resources"]["memory"].clone();
    assert_eq!(memory, json!({ "limit": 200 << 20, "swap": 200 << 20 }));

    world.node.cgroup.unified = true;
    world.node.cgroup.oom_group = true;
    let resources = world.json()["linux"]["resources"].clone();
    assert_eq!(resources["memory"], json!({ "limit": 200 << 20 }));
    assert_eq!(resources["unified"], json!({ "memory.oom.group": "1", "memory.swap.max": "0" }));
}

/// 12.08
#[test]
fn a_container_without_a_limit_has_its_pods() {
    let mut world = world();
    world.pod.qos = Qos::Burstable;
    world.pod.resources = Some(Resources {
        cpu_limit: Some(Millicores(500)),
        memory_limit: Some(Bytes(200 << 20)),
        ..Resources::default()
    });
    let resources = world.json()["linux"]["resources"].clone();
    assert_eq!(resources["cpu"], json!({ "shares": 512, "quota": 50_000, "period": 100_000 }));
    assert_eq!(resources["memory"], json!({ "limit": 200 << 20 }));
    world.container.resources.memory_limit = Some(Bytes(100 << 20));
    assert_eq!(world.json()["linux"]["resources"]["memory"], json!({ "limit": 100 << 20 }));
}

/// 12.06
#[test]
fn whoever_asks_for_no_huge_pages_gets_none() {
    let mut world = world();
    assert_eq!(world.json()["linux"]["resources"].get("hugepageLimits"), None, "where nothing limits them");
    world.node.huge_pages = vec![2 << 20, 1 << 30];
    let limits = |world: &World| world.json()["linux"]["resources"]["hugepageLimits"].clone();
    let both = |two: u64| json!([{"pageSize": "2MB", "limit": two}, {"pageSize": "1GB", "limit": 0}]);
    assert_eq!(limits(&world), both(0));
    world.container.resources.huge_pages = [(2 << 20, Bytes(4 << 20))].into();
    assert_eq!(limits(&world), both(4 << 20));
    world.pod.resources =
        Some(Resources { huge_pages: [(2 << 20, Bytes(8 << 20))].into(), ..Resources::default() });
    assert_eq!(limits(&world), both(4 << 20), "its own comes before its pod's");
    world.container.resources.huge_pages.clear();
    assert_eq!(limits(&world), both(8 << 20));
    assert_eq!([4 << 10, 2 << 20, 1 << 30].map(page_name), ["4KB", "2MB", "1GB"]);
}

/// 12.04, by the formula of kubelet's `memory.high`.
#[test]
fn a_container_is_slowed_down_before_its_limit_where_the_node_says_so() {
    let mut world = world();
    world.pod.qos = Qos::Burstable;
    world.node.cgroup.unified = true;
    world.node.memory_qos =
        Some(MemoryQos { throttling: 900, reserves: false, allocatable: Bytes(1000 << 20), page: 4096 });
    let unified = |world: &World| world.json()["linux"]["resources"]["unified"].clone();
    for (request, limit, high) in [
        (Some(128 << 20), Some(256 << 20), Some(255_012_864_u64)),
        (Some(128 << 20), None, Some(957_136_896)),
        (None, Some(256 << 20), Some(241_590_272)),
        (Some(64 << 20), Some(64 << 20), None),
        (None, None, None),
    ] {
        world.container.resources.memory_request = request.map(Bytes);
        world.container.resources.memory_limit = limit.map(Bytes);
        let told = unified(&world);
        let expected = high.map_or(Value::Null, |bytes| json!(bytes.to_string()));
        assert_eq!(told["memory.high"], expected, "{request:?} of {limit:?}");
    }
    world.container.resources.memory_request = Some(Bytes(64 << 20));
    world.node.memory_qos = world.node.memory_qos.map(|qos| MemoryQos { reserves: true, ..qos });
    for (qos, file) in [(Qos::Guaranteed, "memory.min"), (Qos::Burstable, "memory.low")] {
        world.pod.qos = qos;
        assert_eq!(unified(&world)[file], (64 << 20).to_string());
    }
    world.node.cgroup.unified = false;
    assert_eq!(unified(&world), Value::Null, "v1 has none of it");
}

/// A sidecar is killed no sooner than those that it serves; what a pod asks for beyond its containers is all of theirs.
#[test]
fn oom_scores_of_a_pod_with_a_sidecar_and_resources_of_its_own() {
    const MI: u64 = 1 << 20;
    let container = |name: &str, role, request: u64| Container {
        name: name.into(),
        role,
        resources: Resources { memory_request: Some(Bytes(request * MI)), ..Resources::default() },
        ..Container::default()
    };
    let mut world = world();
    world.pod.qos = Qos::Burstable;
    world.pod.containers = vec![
        container("sidecar", Role::Sidecar, 100),
        container("large", Role::Regular, 400),
        container("small", Role::Regular, 200),
    ];
    let scores = |pod: &Pod| {
        let score = |container| oom_score_adj(pod, container, Bytes(1000 * MI));
        pod.containers.iter().map(score).collect::<Vec<_>>()
    };
    assert_eq!(scores(&world.pod), [800, 600, 800]);
    world.pod.containers[0] = container("sidecar", Role::Sidecar, 300);
    assert_eq!(scores(&world.pod), [700, 600, 800]);
    world.pod.containers[0] = container("sidecar", Role::Sidecar, 100);
    world.pod.resources = Some(Resources { memory_request: Some(Bytes(1000 * MI)), ..Resources::default() });
    assert_eq!(scores(&world.pod), [700, 500, 700], "300 MiB are beyond theirs");
}

#[test]
fn oom_scores_as_in_the_kubelet() {
    const MI: u64 = 1 << 20;
    for (qos, class, request, expected) in [
        (Qos::Guaranteed, "", Some(10), -997),
        (Qos::BestEffort, "", None, 1000),
        (Qos::BestEffort, "system-node-critical", None, -997),
        (Qos::BestEffort, "system-cluster-critical", None, 1000),
        (Qos::Burstable, "", None, 999),
        (Qos::Burstable, "", Some(1), 999),
        (Qos::Burstable, "", Some(500), 500),
        (Qos::Burstable, "", Some(999), 3),
        (Qos::Burstable, "", Some(5_000), 3),
        (Qos::Burstable, "", Some(u64::MAX / MI), 3),
    ] {
        let mut world = world();
        world.pod.qos = qos;
        world.pod.priority_class = class.into();
        world.container.resources.memory_request = request.map(|request| Bytes(request * MI));
        let score = oom_score_adj(&world.pod, &world.container, Bytes(1000 * MI));
        assert_eq!(score, expected, "{qos:?} {class} {request:?}");
    }
}

#[test]
fn devices_are_denied_first_and_no_block_device_can_be_opened() {
    let document = world().json();
    let devices = document["linux"]["resources"]["devices"].as_array().unwrap();
    assert_eq!(devices[0], json!({ "allow": false, "access": "rwm" }));
    for rule in &devices[1..] {
        assert_eq!(rule["allow"], json!(true));
        let opens = rule["access"] != json!("m");
        assert!(!opens || (rule["type"] == json!("c") && rule.get("major").is_some()), "{rule}");
    }
    assert_eq!(devices.len(), 12);
}

// --- namespaces --------------------------------------------------------------------------------------------------

#[test]
fn namespaces_are_the_containers_the_pods_or_the_nodes_11_12() {
    let check = |change: fn(&mut World), expected: Value| {
        let mut world = world();
        change(&mut world);
        assert_eq!(world.json()["linux"]["namespaces"], expected);
        assert_eq!(world.json().get("hostname"), None);
    };
    check(|_| (), json!([{ "type": "mount" }, { "type": "pid" }]));
    check(|world| world.pod.host_pid = true, json!([{ "type": "mount" }]));
    check(|world| world.pod.host_network = true, json!([{ "type": "mount" }, { "type": "pid" }]));
    check(|world| world.pause_pid = Some(42), json!([{ "type": "mount" }, { "type": "pid" }]));
    check(
        |world| (world.pod.share_process_namespace, world.pause_pid) = (true, Some(42)),
        json!([{ "type": "mount" }, { "type": "pid", "path": "/proc/42/ns/pid" }]),
    );
    check(
        |world| world.node.cgroup.unified = true,
        json!([{ "type": "mount" }, { "type": "pid" }, { "type": "cgroup" }]),
    );
    check(
        |world| world.users = Some(IdMapping { host_id: 65536, length: 65536 }),
        json!([{ "type": "mount" }, { "type": "pid" }, { "type": "user" }]),
    );
}

#[test]
fn files_of_the_node_have_owners_of_the_pods_own_users_11_08() {
    let mut world = world().bind("/srv", "/of-node", false).bind("/run/tmpfs", "/of-pod", false);
    world.binds[1].of_node = false;
    world.container.last_words.path = "/last".into();
    let mapped = |world: &World| -> Vec<String> {
        let document = world.json();
        let mounts = document["mounts"].as_array().unwrap().iter();
        let mapped = mounts.filter(|mount| !mount["uidMappings"].is_null());
        mapped.map(|mount| mount["destination"].as_str().unwrap().to_owned()).collect()
    };
    assert!(mapped(&world).is_empty());
    world.users = Some(IdMapping { host_id: 131_072, length: 65536 });
    assert_eq!(mapped(&world), ["/last", "/of-node", "/etc/hostname", "/etc/hosts", "/etc/resolv.conf"]);
    let document = world.json();
    let expected = json!([{ "containerID": 0, "hostID": 131_072, "size": 65536 }]);
    for mappings in ["uidMappings", "gidMappings"] {
        assert_eq!(document["linux"][mappings], expected);
        assert_eq!(document["mounts"][1][mappings].is_null(), document["mounts"][1]["type"] != "bind");
    }
}

#[test]
fn a_shared_pid_namespace_without_its_holder_is_not_silently_an_own_one() {
    let mut world = world();
    world.pod.share_process_namespace = true;
    assert_eq!(world.config().unwrap_err().reason, Reason::CreateContainerError);
}

// --- mounts ------------------------------------------------------------------------------------------------------

#[test]
fn default_mounts_on_v1_have_no_cgroup_file_system_21() {
    let row = |path: &str, typ: &str, source: &str, options: &str| {
        (path.to_owned(), typ.to_owned(), source.to_owned(), options.to_owned())
    };
    let expected = vec![
        row("/dev", "tmpfs", "tmpfs", "nosuid,strictatime,mode=755,size=65536k"),
        row("/proc", "proc", "proc", "nosuid,noexec,nodev"),
        row("/sys", "sysfs", "sysfs", "nosuid,noexec,nodev,ro"),
        row("/dev/mqueue", "mqueue", "mqueue", "nosuid,noexec,nodev"),
        row("/dev/pts", "devpts", "devpts", "nosuid,noexec,newinstance,ptmxmode=0666,mode=0620,gid=5"),
        row("/dev/shm", "bind", "/run/shm", "rbind,rprivate,nosuid,noexec,nodev,rw"),
        row("/etc/hostname", "bind", "/data/etc/hostname", "rbind,rprivate,rw"),
        row("/etc/hosts", "bind", "/data/etc/hosts", "rbind,rprivate,rw"),
        row("/etc/resolv.conf", "bind", "/data/etc/resolv.conf", "rbind,rprivate,rw"),
        row("/sys/fs/cgroup", "tmpfs", "tmpfs", "nosuid,noexec,nodev,ro,mode=755,size=4k"),
    ];
    assert_eq!(world().mounts(), expected);

    let mut world = world();
    world.node.cgroup.unified = true;
    let cgroup = world.mounts().into_iter().find(|mount| mount.0 == "/sys/fs/cgroup").unwrap();
    assert_eq!(cgroup, row("/sys/fs/cgroup", "cgroup", "cgroup", "nosuid,noexec,nodev,relatime,ro"));
}

#[test]
fn volumes_come_after_what_they_are_in() {
    let world = world()
        .bind("/v/deep", "/data/a/b", true)
        .bind("/v/data", "/data", false)
        .bind("/v/a", "/data/a/", false)
        .bind("/v/etc", "/etc", false)
        .bind("/v/serial", "/dev/ttyUSB0", false);
    let paths = world.paths();
    let at = |path: &str| paths.iter().position(|found| found == path).unwrap();
    assert!(at("/data") < at("/data/a") && at("/data/a") < at("/data/a/b"), "{paths:?}");
    assert!(at("/etc") < at("/etc/hosts") && at("/dev") < at("/dev/ttyUSB0"), "{paths:?}");
    let mounts = world.mounts();
    let options = |path: &str| mounts[at(path)].3.clone();
    assert_eq!(options("/data/a/b"), "rbind,rprivate,ro");
    assert_eq!(options("/data"), "rbind,rprivate,rw");
}

#[test]
fn a_volume_takes_the_place_of_a_default_9_14() {
    for path in ["/etc/hosts", "/etc//hosts/", "/etc/hostname", "/etc/resolv.conf", "/dev/shm", "/sys"] {
        let world = world().bind("/v", path, false);
        let clean = path.replace("//", "/");
        let clean = clean.trim_end_matches('/');
        let found: Vec<_> = world.mounts().into_iter().filter(|mount| mount.0 == clean).collect();
        assert_eq!(found.len(), 1, "{path}: {found:?}");
        assert_eq!(found[0].2, "/v");
    }
}

#[test]
fn volumes_where_the_runtime_works_are_refused_1_3() {
    for path in
        ["/", "//", "/dev", "/dev/", "/proc", "/proc/sys", "/./proc/self", "relative", "/a/../proc", "/a\0"]
    {
        let failure = world().bind("/v", path, false).config().unwrap_err();
        assert_eq!(failure.reason, Reason::CreateContainerConfigError, "{path:?}");
        assert!(failure.message.starts_with("container web: mountPath"), "{failure}");
    }
}

#[test]
fn the_node_may_mask_more() {
    let mut world = world();
    world.node.masked = vec!["/sys/devices/system/cpu/cpu0/thermal_throttle".into()];
    let document = world.json();
    let masked = document["linux"]["maskedPaths"].as_array().unwrap();
    assert_eq!(masked.last().unwrap(), "/sys/devices/system/cpu/cpu0/thermal_throttle");
    assert_eq!(masked.len(), 13);
}

// --- files in /etc -----------------------------------------------------------------------------------------------

const MANAGED: &str = "# Kubernetes-managed hosts file.\n127.0.0.1\tlocalhost\n\
    ::1\tlocalhost ip6-localhost ip6-loopback\nfe00::0\tip6-localnet\nfe00::0\tip6-mcastprefix\n\
    fe00::1\tip6-allnodes\nfe00::2\tip6-allrouters\n";

/// A pod that is called `web`.
fn web() -> Pod {
    Pod { hostname: "web".into(), namespace: "shop".into(), ..Pod::default() }
}

#[test]
fn etc_hosts_is_managed_or_the_nodes_9_14() {
    let addresses: Vec<IpAddr> = vec!["10.88.0.5".parse().unwrap(), "fd00::5".parse().unwrap()];
    assert_eq!(hosts(&addresses, &web(), "c.local"), format!("{MANAGED}10.88.0.5\tweb\nfd00::5\tweb\n"));
    assert_eq!(hosts(&[], &web(), "c.local"), format!("{MANAGED}127.0.0.1\tweb\n"));
    let node = "127.0.0.1 localhost\n10.0.0.1 edge-1\n";
    let expected = format!("# Kubernetes-managed hosts file (host network).\n{node}");
    assert_eq!(node_hosts(node, &web()), expected);
    assert_eq!(hostname("web"), "web\n");
}

#[test]
fn host_aliases_are_further_lines_of_etc_hosts_9_13() {
    let alias = |ip: &str, names: &[&str]| HostAlias { ip: ip.into(), hostnames: strings(names) };
    let host_aliases = vec![alias("192.0.2.7", &["plc", "plc.lan"]), alias("fd00::7", &["hmi"])];
    let pod = Pod { host_aliases, ..web() };
    let further = "\n# Entries added by HostAliases.\n192.0.2.7\tplc\tplc.lan\nfd00::7\thmi\n";
    assert_eq!(hosts(&[], &pod, ""), format!("{MANAGED}127.0.0.1\tweb\n{further}"));
    let of_node = format!("# Kubernetes-managed hosts file (host network).\n::1 node\n{further}");
    assert_eq!(node_hosts("::1 node\n", &pod), of_node);
}

#[test]
fn a_subdomain_makes_a_whole_name_which_the_kernel_is_told_if_wanted_9_15() {
    let called = |pod: &Pod, domain: &str| kernel_hostname(pod, domain).unwrap();
    assert_eq!(called(&Pod { hostname_as_fqdn: true, ..web() }, "c.local"), "web", "there is no more of it");
    let pod = Pod { subdomain: "sub".into(), ..web() };
    assert_eq!(called(&pod, "c.local"), "web");
    let line = "127.0.0.1\tweb.sub.shop.svc.c.local\tweb\n";
    assert_eq!(hosts(&[], &pod, "c.local"), format!("{MANAGED}{line}"));
    assert!(hosts(&[], &pod, "").ends_with("\tweb.sub.shop.svc\tweb\n"), "a cluster without a domain");

    let mut pod = Pod { hostname_as_fqdn: true, ..pod };
    assert_eq!(called(&pod, "c.local"), "web.sub.shop.svc.c.local");
    pod.subdomain = "s".repeat(43);
    assert_eq!(called(&pod, "c.local").len(), 64);
    pod.subdomain.push('s');
    let failure = kernel_hostname(&pod, "c.local").unwrap_err();
    assert_eq!(failure.reason, Reason::CreatePodSandboxError);
    let why = "is too long (64 characters is the max, 65 characters requested)";
    assert!(failure.message.ends_with(why), "{}", failure.message);
    pod.hostname_as_fqdn = false;
    assert_eq!(called(&pod, "c.local"), "web");
}

#[test]
fn the_variable_is_what_the_kernel_says_9_15() {
    let mut world = world();
    let has = |world: &World, variable: &str| {
        world.json()["process"]["env"].as_array().unwrap().contains(&json!(variable))
    };
    assert!(has(&world, "HOSTNAME=web-edge-1"));
    (world.pod.subdomain, world.pod.hostname_as_fqdn) = ("sub".into(), true);
    assert!(has(&world, "HOSTNAME=web-edge-1.sub.default.svc.c.local"));
}

fn of_node(node: &str) -> String {
    let pod = Pod { dns_policy: DnsPolicy::Default, ..Pod::default() };
    resolv_conf(&pod, node, Cluster { servers: &["192.0.2.53".into()], domain: "no" })
}

#[test]
fn resolv_conf_is_the_nodes_cut_to_what_resolvers_take() {
    let node = "# by hand\nsearch old.example\n; comment\nnameserver 10.0.0.1\nnameserver\n  nameserver 10.0.0.2 # x\n\
        nameserver fd00::1\nnameserver 10.0.0.4\nsearch lan. example.org .\noptions ndots:2 rotate\nsortlist 1\n\
        options edns0\n";
    let expected = "search lan example.org .\nnameserver 10.0.0.1\nnameserver 10.0.0.2\nnameserver fd00::1\n\
        options ndots:2 rotate edns0\n";
    assert_eq!(of_node(node), expected);
    assert_eq!(of_node("domain lan other\nnameserver 1.1.1.1"), "search lan\nnameserver 1.1.1.1\n");
    assert_eq!(of_node(""), "");
    assert_eq!(of_node(ASK_THE_NODE), "search .\nnameserver 127.0.0.1\n");

    let many: Vec<String> = (0..40).map(|number| format!("d{number}")).collect();
    let kept = of_node(&format!("search {}\n", many.join(" ")));
    assert_eq!(kept.split_whitespace().count(), 1 + 32);
    let long = of_node(&format!("search {}\n", vec!["a".repeat(250); 20].join(" ")));
    assert_eq!(long.split_whitespace().count(), 1 + 8, "8 × 250 + 7 ≤ 2048 < 9 × 250 + 8");
}

#[test]
fn a_pod_of_the_cluster_asks_its_servers_alone_and_looks_for_its_names_first() {
    let node = "search plant.example svc.cluster.local\nnameserver 192.0.2.1\noptions rotate\n";
    let of_cluster =
        |node: &str, servers: &[String], domain: &str| resolv_conf(&web(), node, Cluster { servers, domain });
    let servers = ["10.43.0.10".to_owned()];
    assert_eq!(
        of_cluster(node, &servers, "cluster.local"),
        "search shop.svc.cluster.local svc.cluster.local cluster.local plant.example\nnameserver 10.43.0.10\noptions ndots:5\n"
    );
    assert_eq!(of_cluster("", &servers, ""), "nameserver 10.43.0.10\noptions ndots:5\n", "without a domain");
    let many: Vec<String> = (1..9).map(|last| format!("10.0.0.{last}")).collect();
    assert_eq!(of_cluster("", &many, "").matches("nameserver").count(), 3);
    assert_eq!(of_cluster("nameserver 192.0.2.1\n", &[], "c"), "nameserver 192.0.2.1\n", "nobody to ask");
}

#[test]
fn a_pods_own_servers_domains_and_options_come_on_top_14_11() {
    let option = |name: &str, value: Option<&str>| (name.to_owned(), value.map(str::to_owned));
    let dns = DnsConfig {
        servers: strings(&["192.0.2.9", "192.0.2.1"]),
        searches: strings(&["lan", "plant.example."]),
        options: vec![option("ndots", Some("2")), option("edns0", None), option("rotate", Some(""))],
    };
    let node = "search lan\nnameserver 192.0.2.1\noptions ndots:1 rotate:1 trust-ad\n";
    let servers = ["10.43.0.10".to_owned()];
    for (dns_policy, expected) in [
        (
            DnsPolicy::None,
            "search lan plant.example.\nnameserver 192.0.2.9\nnameserver 192.0.2.1\noptions ndots:2 edns0 rotate\n",
        ),
        (
            DnsPolicy::Default,
            "search lan plant.example.\nnameserver 192.0.2.1\nnameserver 192.0.2.9\noptions ndots:2 rotate trust-ad edns0\n",
        ),
        (
            DnsPolicy::ClusterFirst,
            "search shop.svc.c svc.c c lan plant.example.\nnameserver 10.43.0.10\nnameserver 192.0.2.9\n\
             nameserver 192.0.2.1\noptions ndots:2 edns0 rotate\n",
        ),
    ] {
        let pod = Pod { dns_policy, dns: dns.clone(), ..web() };
        let cluster = Cluster { servers: &servers, domain: "c" };
        assert_eq!(resolv_conf(&pod, node, cluster), expected, "{dns_policy:?}");
    }
}

// --- STOPSIGNAL --------------------------------------------------------------------------------------------------

#[test]
fn stop_signals_by_name_number_and_distance() {
    for (written, expected) in [
        ("", 15),
        ("SIGTERM", 15),
        ("SIGQUIT", 3),
        ("quit", 3),
        ("3", 3),
        ("9", 9),
        ("SIGKILL", 9),
        ("SIGWINCH", 28),
        ("SIGUSR1", 10),
        ("SIGSYS", 31),
        ("SIGHUP", 1),
        ("SIGPOLL", 29),
        ("SIGRTMIN", 34),
        ("SIGRTMIN+3", 37),
        ("rtmax-2", 62),
        ("SIGRTMAX", 64),
        ("37", 37),
        // No signals at all.
        ("0", 15),
        ("65", 15),
        ("-1", 15),
        ("SIGNOTHING", 15),
        ("SIGRTMIN+99", 15),
        ("RTMIN3", 15),
        ("RTMIN-1", 15),
        ("SIGRTMAX+1", 15),
    ] {
        let image = ImageConfig { stop_signal: written.into(), ..ImageConfig::default() };
        let mut container = Container::default();
        assert_eq!(stop_signal(&container, &image), expected, "{written:?}");
        // 6.08: the manifest has the last word.
        container.stop_signal = Some("SIGUSR2".into());
        assert_eq!(stop_signal(&container, &image), 12, "{written:?}");
    }
}

// --- values from elsewhere ---------------------------------------------------------------------------------------

fn document(kind: Kind, name: &str, data: &[(&str, &[u8])]) -> Arc<Document> {
    let binary = [("binary".to_owned(), spec::Value(vec![0]))].into();
    Arc::new(Document { binary, ..Document::example(kind, name, data) })
}

fn from(name: &str, source: ValueSource) -> EnvVar {
    EnvVar { name: name.into(), value: String::new(), from: Some(source) }
}

fn key(kind: Kind, name: &str, key: &str, optional: bool) -> ValueSource {
    ValueSource::Key { kind, name: name.into(), key: key.into(), optional }
}

/// What the manifest gives, after the three that every container has; or why it cannot.
fn own(world: &World) -> Result<Vec<String>, String> {
    let config = world.config().map_err(|failure| {
        assert_eq!(failure.reason, Reason::CreateContainerConfigError);
        failure.message
    })?;
    Ok(config.process().as_ref().unwrap().env().as_ref().unwrap()[2..].to_vec())
}

#[test]
fn values_of_config_maps_and_secrets_come_first_whole_then_one_by_one() {
    let mut world = world();
    let map: &[(&str, &[u8])] = &[("colour", b"red"), ("odd.key-1", b"$(colour)")];
    world.documents = [document(Kind::ConfigMap, "m", map), document(Kind::Secret, "s", &[("p", b"hush")])]
        .into_iter()
        .collect();
    let all = |kind, name: &str, prefix: &str, optional| EnvFrom {
        kind,
        name: name.into(),
        prefix: prefix.into(),
        optional,
    };
    world.container.env_from = vec![
        all(Kind::ConfigMap, "m", "", false),
        all(Kind::Secret, "s", "S_", false),
        all(Kind::Secret, "none", "", true),
    ];
    world.container.env = vec![
        variable("URL", "$(S_p)@$(colour)"),
        from("colour", key(Kind::Secret, "s", "p", false)),
        from("NONE", key(Kind::Secret, "s", "none", true)),
        from("NONE", key(Kind::Secret, "none", "p", true)),
        from("TEXT", ValueSource::Text("$(colour)".into())),
        from("HOST", ValueSource::Address(Address::HostIps)),
        from("POD", ValueSource::Address(Address::PodIp)),
        from("CPU", ValueSource::Allocatable(Allocatable { resource: Resource::Cpu, divisor: 1000 })),
        from(
            "MEMORY",
            ValueSource::Allocatable(Allocatable { resource: Resource::Memory, divisor: 1 << 20 }),
        ),
        from(
            "DISK",
            ValueSource::Allocatable(Allocatable { resource: Resource::EphemeralStorage, divisor: 2 }),
        ),
    ];
    let expected = [
        "colour=hush",
        "odd.key-1=$(colour)",
        "S_p=hush",
        "URL=hush@red",
        "TEXT=$(colour)",
        "HOST=192.0.2.7",
        "POD=",
        "CPU=4",
        "MEMORY=1000",
        "DISK=3",
    ];
    assert_eq!(own(&world).unwrap(), expected);
    let variables = own_variables(&world.pod, &world.container, &world.around()).unwrap();
    let told = format!("{variables:?} {:?}", world.around());
    assert!(told.contains("S_p") && !told.contains("hush") && !told.contains("104, 117, 115, 104"), "{told}");
}

#[test]
fn what_is_missing_is_told_in_the_kubelets_words_with_its_cure() {
    let mut world = world();
    let bytes: &[(&str, &[u8])] = &[("latin", b"\xe4"), ("nul", b"a\0b")];
    let elsewhere = Document { namespace: "other".into(), ..(*document(Kind::Secret, "far", &[])).clone() };
    world.documents =
        [document(Kind::ConfigMap, "m", &[]), document(Kind::Secret, "s", bytes), Arc::new(elsewhere)]
            .into_iter()
            .collect();
    for (source, message) in [
        (
            key(Kind::ConfigMap, "none", "k", false),
            "configmap \"none\" not found; write the ConfigMap none of namespace default into /m/web.yaml, or into a \
             file of its own in /m",
        ),
        (
            key(Kind::Secret, "far", "k", false),
            "secret \"far\" not found; /m/far.yaml holds one of namespace other, and the pod is of namespace default",
        ),
        (
            key(Kind::ConfigMap, "m", "k", false),
            "couldn't find key k in ConfigMap default/m; add it to /m/m.yaml",
        ),
        (
            key(Kind::ConfigMap, "m", "binary", false),
            "couldn't find key binary in ConfigMap default/m; add it to /m/m.yaml under data: what is under binaryData \
             is for files only",
        ),
        (
            key(Kind::Secret, "s", "latin", true),
            "key latin in Secret default/s is not UTF-8 text, and cannot be a variable",
        ),
        (
            key(Kind::Secret, "s", "nul", false),
            "key nul in Secret default/s has a NUL byte in it, and cannot be a variable",
        ),
    ] {
        world.container.env = vec![from("X", source)];
        assert_eq!(own(&world).unwrap_err(), message);
    }
}

#[test]
fn a_file_of_variables_that_cannot_be_used_is_told_unless_it_is_optional() {
    let mut world = world();
    let file = |path: &str, key: &str, optional| ValueSource::File {
        volume: "v".into(),
        path: path.into(),
        key: key.into(),
        optional,
    };
    for (path, text) in
        [("good", Ok("A='1'\n".into())), ("bad", Ok("\nA=1".into())), ("none", Err("no such file".into()))]
    {
        world.files.insert(("v".into(), path.into()), text);
    }
    let mut read = |source| {
        world.container.env = vec![from("X", source)];
        own(&world)
    };
    assert_eq!(read(file("good", "A", false)).unwrap(), ["X=1"]);
    assert_eq!(read(file("good", "B", true)).unwrap(), [""; 0]);
    assert_eq!(read(file("none", "B", true)).unwrap(), [""; 0]);
    for (source, message) in [
        (
            file("good", "B", false),
            "environment variable key \"B\" not found in file \"good\" of volume \"v\"",
        ),
        (file("none", "B", false), "read file \"none\" of volume \"v\": no such file"),
        (file("bad", "A", true), "file \"bad\" of volume \"v\": line 2 is not KEY='value'"),
    ] {
        assert_eq!(read(source).unwrap_err(), message);
    }
}
