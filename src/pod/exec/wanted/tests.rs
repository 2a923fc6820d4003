#![allow(clippy::unwrap_used)]

use serde_json::json;

use super::*;

fn config() -> Value {
    json!({
        "ociVersion": "1.1.0",
        "process": {
            "terminal": false,
            "user": {"uid": 7, "gid": 8, "additionalGids": [8, 9]},
            "args": ["own"],
            "env": ["A=1"],
            "cwd": "/srv",
            "capabilities": {"bounding": ["CAP_CHOWN", "CAP_KILL"], "effective": ["CAP_CHOWN"],
                "permitted": ["CAP_CHOWN"], "inheritable": [], "ambient": []},
            "rlimits": [{"type": "RLIMIT_NOFILE", "soft": 10, "hard": 20}],
            "oomScoreAdj": 999,
        },
        "mounts": [{"destination": "/proc", "type": "proc", "source": "proc"}],
        "linux": {
            "cgroupsPath": "/kubepods/x", "rootfsPropagation": "private", "maskedPaths": [], "readonlyPaths": [],
            "resources": {"devices": []},
            "namespaces": [{"type": "mount"}, {"type": "pid"}, {"type": "cgroup"}],
        },
    })
}

fn read(config: &Value) -> Result<Wanted> {
    parse(&serde_json::to_vec(config).unwrap()).map(|(wanted, _)| wanted)
}

#[test]
fn a_command_has_what_the_bundle_says_of_its_container() {
    let wanted = read(&config()).unwrap();
    let of = |numbers: &[u32]| Set(numbers.iter().map(|number| 1 << number).sum());
    assert_eq!(
        wanted,
        Wanted {
            namespaces: CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_NEWPID | CloneFlags::CLONE_NEWCGROUP,
            env: vec!["A=1".to_owned()],
            directory: PathBuf::from("/srv"),
            ids: Ids { uid: 7, gid: 8, groups: vec![8, 9] },
            capabilities: Capabilities {
                bounding: of(&[0, 5]),
                effective: of(&[0]),
                permitted: of(&[0]),
                ..Capabilities::default()
            },
            limits: vec![(Resource::RLIMIT_NOFILE, 10, 20)],
            no_new_privileges: false,
            oom_score_adj: Some(999),
            apparmor: None,
            selinux: None,
            filter: None,
            umask: UMASK,
        }
    );
    assert_eq!(wanted.environment(false), ["A=1"]);
    assert_eq!(wanted.environment(true), ["A=1", "TERM=xterm"]);
    let mut other = config();
    other["process"]["noNewPrivileges"] = json!(true);
    other["process"]["user"]["umask"] = json!(0o77);
    other["process"]["env"] = json!(["TERM=dumb"]);
    let wanted = read(&other).unwrap();
    assert!(wanted.no_new_privileges);
    assert_eq!(wanted.umask.bits(), 0o77);
    other["linux"]["namespaces"] = json!([{"type": "mount"}, {"type": "user", "path": "/proc/self/fd/7"}]);
    other["linux"]["uidMappings"] = json!([{"containerID": 0, "hostID": 65536, "size": 65536}]);
    let of_users = CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_NEWUSER;
    assert_eq!(read(&other).unwrap().namespaces, of_users);
    assert_eq!(wanted.environment(true), ["TERM=dumb"]);
}

/// Whoever makes containers more confined has to say here what that means for a command.
#[test]
fn what_is_not_understood_lets_no_command_run() {
    for (place, value, said) in [
        ("/linux/personality", json!({"domain": "LINUX32"}), "linux.personality"),
        ("/linux/timeOffsets", json!({}), "linux.timeOffsets"),
        ("/linux/namespaces", json!([{"type": "mount"}, {"type": "time"}]), "\"time\""),
        ("/linux/namespaces", json!([{"type": "pid"}]), "no mounts of its own"),
        ("/linux/namespaces", json!(7), "not a list"),
        ("/process/apparmorProfile", json!(7), "process.apparmorProfile"),
        ("/process/selinuxLabel", json!(7), "process.selinuxLabel"),
        ("/process/scheduler", json!({}), "process.scheduler"),
        ("/process/user/username", json!("root"), "process.user.username"),
        ("/process/user/gid", json!(-1), "user.gid"),
        ("/process/capabilities", Value::Null, "no process.capabilities"),
        ("/process/capabilities/ambient", json!(["CAP_FLY"]), "CAP_FLY"),
        ("/process/rlimits", json!([{"type": "RLIMIT_FUN", "soft": 1, "hard": 1}]), "RLIMIT_FUN"),
        ("/process/rlimits", json!([{"type": "RLIMIT_CPU", "soft": 1}]), "no hard"),
    ] {
        let mut config = config();
        let (parent, name) = place.rsplit_once('/').unwrap();
        let parent = config.pointer_mut(parent).unwrap().as_object_mut().unwrap();
        match value {
            Value::Null => drop(parent.shift_remove(name)),
            value => drop(parent.insert(name.to_owned(), value)),
        }
        let error = format!("{:#}", read(&config).unwrap_err());
        assert!(error.contains(said), "{place}: {error}");
    }
}
