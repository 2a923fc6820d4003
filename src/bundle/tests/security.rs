//! Security contexts: who a container is and what it may do.

use super::*;

fn with(security: Security) -> World {
    let mut world = world();
    world.container.security = security;
    world
}

fn set(world: &World) -> Result<BTreeSet<String>, Failure> {
    let document = serde_json::to_value(world.config()?).unwrap();
    let of = |set: &str| -> BTreeSet<String> {
        serde_json::from_value(document["process"]["capabilities"][set].clone()).unwrap()
    };
    let bounding = of("bounding");
    assert!(bounding == of("effective") && bounding == of("permitted"));
    assert!(of("inheritable").is_empty() && of("ambient").is_empty());
    Ok(bounding)
}

#[test]
fn the_user_is_the_manifests_then_the_images_11_01() {
    let user = |user: Option<u32>, group: Option<u32>, image: &str| {
        let world = with(Security { user, group, ..Security::default() });
        let image = ImageConfig { user: image.into(), ..ImageConfig::default() };
        super::user(&world.pod, &world.container, &image).unwrap()
    };
    assert_eq!(user(None, None, ""), "");
    assert_eq!(user(None, None, "redis:redis"), "redis:redis");
    assert_eq!(user(Some(65534), None, "redis:redis"), "65534");
    assert_eq!(user(Some(0), Some(7), "redis"), "0:7");
    // 14.14: the group without a user goes with the image's.
    assert_eq!(user(None, Some(7), "redis:redis"), "redis:7");
    assert_eq!(user(None, Some(7), ""), ":7");
}

#[test]
fn root_is_refused_in_the_kubelets_words_11_02_11_03() {
    let check = |user: Option<u32>, image: &str, expected: Option<&str>| {
        let world = with(Security { user, non_root: true, ..Security::default() });
        let image = ImageConfig { user: image.into(), ..ImageConfig::default() };
        let told = super::user(&world.pod, &world.container, &image);
        let why = expected.map(|why| {
            let message = format!(
                "{why} (pod: \"web-edge-1_default(0123456789abcdef0123456789abcdef)\", container: web)"
            );
            Failure::new(Reason::CreateContainerConfigError, message)
        });
        assert_eq!(told.err(), why, "{user:?} {image:?}");
    };
    check(Some(1000), "", None);
    check(None, "1000", None);
    check(None, "1000:0", None);
    check(Some(1000), "redis", None);
    check(Some(0), "1000", Some("container's runAsUser breaks non-root policy"));
    let as_root = Some("container has runAsNonRoot and image will run as root");
    for image in ["", "0", "00", "0:5", ":5"] {
        check(None, image, as_root);
    }
    for (image, name) in [("root", "root"), ("redis:0", "redis"), ("-1", "-1")] {
        let why = format!(
            "container has runAsNonRoot and image has non-numeric user ({name}), cannot verify user is non-root"
        );
        check(None, image, Some(&why));
    }
}

#[test]
fn capabilities_are_added_and_dropped_14_16() {
    let check = |add: &[&str], drop: &[&str], more: &[&str], less: &[&str]| {
        let world = with(Security { add: strings(add), drop: strings(drop), ..Security::default() });
        let all = add.contains(&"ALL") && !drop.contains(&"ALL");
        let base: &[&str] = if all { &spec::CAPABILITIES } else { &CAPABILITIES };
        let base: &[&str] = if drop.contains(&"ALL") { &[] } else { base };
        let wanted = base.iter().chain(more).filter(|name| !less.contains(name));
        let wanted: BTreeSet<String> = wanted.map(|name| format!("CAP_{name}")).collect();
        assert_eq!(set(&world).unwrap(), wanted, "{add:?} {drop:?}");
    };
    check(&[], &[], &[], &[]);
    check(&["NET_ADMIN"], &[], &["NET_ADMIN"], &[]);
    check(&[], &["CHOWN"], &[], &["CHOWN"]);
    check(&["ALL"], &[], &[], &[]);
    check(&["ALL"], &["SYS_TIME", "CHOWN"], &[], &["SYS_TIME", "CHOWN"]);
    check(&[], &["ALL"], &[], &[]);
    check(&["NET_BIND_SERVICE"], &["ALL"], &["NET_BIND_SERVICE"], &[]);
    check(&["ALL", "SYS_TIME"], &["ALL"], &["SYS_TIME"], &[]);
    check(&["SYS_TIME"], &["SYS_TIME"], &[], &["SYS_TIME"]);
}

#[test]
fn what_the_node_lacks_is_not_given_and_not_silently_left_out() {
    let mut world = with(Security { add: strings(&["ALL"]), ..Security::default() });
    // Bit 24 is SYS_RESOURCE.
    world.node.capabilities = !(1 << 24);
    assert_eq!(set(&world).unwrap().len(), spec::CAPABILITIES.len() - 1);
    world.container.security.add = strings(&["SYS_RESOURCE"]);
    let failure = set(&world).unwrap_err();
    assert_eq!(failure.reason, Reason::CreateContainerConfigError);
    let why =
        "container web: capability SYS_RESOURCE cannot be had: this machine does not give it to the agent";
    assert_eq!(failure.message, why);
    world.device_rules = false;
    world.container.security.add = strings(&["MKNOD"]);
    assert!(set(&world).unwrap_err().message.contains("cgroup v2"));
    world.container.security.add = strings(&["ALL"]);
    assert!(!set(&world).unwrap().contains("CAP_MKNOD"));
}

#[test]
fn switches_reach_the_runtime_11_04_11_06_11_07() {
    let plain = world().json();
    assert_eq!((&plain["root"]["readonly"], plain["process"].get("noNewPrivileges")), (&json!(false), None));
    let security = Security {
        read_only_root: true,
        no_new_privileges: true,
        groups: vec![4000, 2000],
        ..Security::default()
    };
    let world = with(security);
    let document = world.json();
    assert_eq!(document["root"]["readonly"], json!(true));
    assert_eq!(document["process"]["noNewPrivileges"], json!(true));
    assert_eq!(document["process"]["user"]["additionalGids"], json!([4000, 2000]));
    let options = |path: &str| world.mounts().into_iter().find(|mount| mount.0 == path).unwrap().3;
    assert!(options("/etc/hosts").ends_with(",rw"));
    assert!(options("/etc/hostname").ends_with(",ro") && options("/etc/resolv.conf").ends_with(",ro"));
}

#[test]
fn from_a_privileged_container_nothing_is_hidden_11_05() {
    for unified in [false, true] {
        let (add, drop) = (strings(&["CHOWN"]), strings(&["ALL"]));
        let mut world = with(Security { privileged: true, add, drop, ..Security::default() });
        world.node.cgroup.unified = unified;
        let number = (188, 0);
        let (path, owner) = ("/dev/ttyUSB0".into(), (0, 20));
        world.devices = vec![Device { path, block: false, number, mode: 0o660, owner }];
        assert_eq!(set(&world).unwrap().len(), spec::CAPABILITIES.len(), "nothing is dropped");
        let linux = world.json()["linux"].take();
        assert_eq!(linux["resources"]["devices"], json!([{ "allow": true, "access": "rwm" }]));
        assert_eq!((&linux["maskedPaths"], &linux["readonlyPaths"]), (&json!([]), &json!([])));
        assert_eq!(linux["namespaces"], json!([{ "type": "mount" }, { "type": "pid" }]));
        let device = json!({
            "path": "/dev/ttyUSB0", "type": "c", "major": 188, "minor": 0, "fileMode": 0o660, "uid": 0, "gid": 20,
        });
        assert_eq!(linux["devices"], json!([device]));
        let mount = |path: &str| world.mounts().into_iter().find(|mount| mount.0 == path).unwrap();
        assert_eq!(mount("/sys").3, "nosuid,noexec,nodev,rw");
        let (_, kind, source, options) = mount("/sys/fs/cgroup");
        assert_eq!((kind.as_str(), source.as_str()), ("bind", "/sys/fs/cgroup"));
        assert!(options.ends_with(",rw"), "{options}");
    }
}

#[test]
fn labels_of_selinux_are_of_the_process_and_its_own_file_systems_14_21() {
    let mut world = with(Security::default());
    let context = |config: &Value| {
        let mounts = config["mounts"].as_array().unwrap().iter();
        let labelled = mounts.filter(|mount| mount["options"].to_string().contains("context="));
        labelled.map(|mount| mount["destination"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let config = world.json();
    assert_eq!((config["process"].get("selinuxLabel"), context(&config)), (None, Vec::new()));
    world.selinux =
        Some(Labels { process: Some("u:r:t:s0:c1,c2".into()), file: "u:object_r:f:s0:c1,c2".into() });
    let config = world.json();
    assert_eq!(config["process"]["selinuxLabel"], json!("u:r:t:s0:c1,c2"));
    assert_eq!(context(&config), ["/dev", "/dev/pts", "/sys/fs/cgroup"]);
    assert!(config.to_string().contains("\"context=u:object_r:f:s0:c1,c2\""), "{config}");
    world.node.cgroup.unified = true;
    assert_eq!(context(&world.json()), ["/dev", "/dev/pts"], "cgroups are the kernel's");
    world.selinux = Some(Labels { process: None, file: "u:object_r:f:s0".into() });
    assert_eq!(world.json()["process"].get("selinuxLabel"), None);
}

#[test]
fn a_profile_of_apparmor_is_the_process_own_14_21() {
    let mut world = world();
    assert_eq!(world.json()["process"].get("apparmorProfile"), None);
    world.apparmor = Some("tight".into());
    assert_eq!(world.json()["process"]["apparmorProfile"], json!("tight"));
}

/// What is lent is in no set that lasts, and nothing is lent where no_new_privs does.
#[test]
fn who_loads_a_seccomp_program_is_lent_what_it_takes_and_no_more_14_18() {
    for (no_new_privileges, add, lent) in
        [(false, "CHOWN", true), (true, "CHOWN", false), (false, "SYS_ADMIN", true)]
    {
        let mut world = with(Security { no_new_privileges, add: strings(&[add]), ..Security::default() });
        assert_eq!(world.json()["linux"].get("seccomp"), None);
        world.seccomp = true;
        let document = world.json();
        assert_eq!(document["linux"]["seccomp"], json!({ "defaultAction": "SCMP_ACT_ERRNO" }));
        let has = |set: &str| {
            let set = document["process"]["capabilities"][set].as_array().unwrap().clone();
            set.contains(&json!("CAP_SYS_ADMIN"))
        };
        assert_eq!(["effective", "permitted"].map(has), [lent; 2]);
        assert_eq!(["bounding", "inheritable", "ambient"].map(has), [add == "SYS_ADMIN", false, false]);
    }
}

#[test]
fn proc_is_hidden_unless_the_container_says_otherwise_11_14() {
    for (security, hidden) in [
        (Security::default(), true),
        (Security { unmasked: true, ..Security::default() }, false),
        (Security { privileged: true, ..Security::default() }, false),
    ] {
        let document = serde_json::to_value(with(security).config().unwrap()).unwrap();
        for list in ["maskedPaths", "readonlyPaths"] {
            assert_eq!(!document["linux"][list].as_array().unwrap().is_empty(), hidden, "{list}");
        }
    }
}
