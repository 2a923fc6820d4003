#![allow(clippy::unwrap_used)]

use super::*;

fn identity() -> Identity {
    Identity { uid: 999, gid: 1000, groups: vec![29, 1000], home: "/home/redis".to_owned() }
}

#[test]
fn the_primary_group_is_listed_once_and_first() {
    let mut process = json!({ "user": { "uid": 0, "gid": 0, "umask": 7, "additionalGids": [5, 29] } });
    set_user(process.as_object_mut().unwrap(), &identity());
    assert_eq!(
        process["user"],
        json!({ "uid": 999, "gid": 1000, "umask": 7, "additionalGids": [1000, 5, 29] })
    );
}

#[test]
fn a_home_is_set_only_where_the_image_has_none() {
    let mut process = json!({ "env": ["HOME=/elsewhere"] });
    set_unless_there(process.as_object_mut().unwrap(), "HOME", "/home/redis");
    assert_eq!(process["env"], json!(["HOME=/elsewhere"]));
    let mut process = json!({ "env": ["HOMER=/x"] });
    set_unless_there(process.as_object_mut().unwrap(), "HOME", "/home/redis");
    assert_eq!(process["env"], json!(["HOMER=/x", "HOME=/home/redis"]));
}

#[test]
fn a_working_directory_is_made_where_it_will_be_seen() {
    let mounts = json!([
        { "destination": "/data", "type": "bind", "source": "/volumes/data" },
        { "destination": "/data/cache", "type": "bind", "source": "/volumes/cache" },
        { "destination": "/dev/shm", "type": "tmpfs", "source": "shm" },
    ]);
    let check = |path: &str, root: &str, rest: &str| {
        let found = below(Path::new("/bundle/rootfs"), mounts.as_array().unwrap(), Path::new(path));
        assert_eq!(found, (PathBuf::from(root), PathBuf::from(rest)), "{path}");
    };
    check("/srv/app", "/bundle/rootfs", "/srv/app");
    check("/data/app", "/volumes/data", "app");
    check("/data/cache/app", "/volumes/cache", "app");
    check("/database", "/bundle/rootfs", "/database");
    check("/dev/shm/app", "", "app");
}
