//! What must not be lost, and what must not spread: data when something is missing for a while, and other pods when one
//! of them hangs.

use std::fs::{self, File};
use std::os::fd::AsRawFd;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sys::signal::Signal;
use serde_json::{Value, json};

use super::lifecycle::main_process;
use super::survival::imitate_power_cut;
use crate::harness::image::IMAGE_2;
use crate::harness::kernel::signal;
use crate::harness::pod::{container, pod, with, with_main};
use crate::harness::{A_WHILE, SOON, Seen, World, eventually, stays_true_for};

/// A pod whose container writes `text` into a volume of its own.
pub fn keeper(name: &str, text: &str) -> Value {
    let main = pod(name, &["write", "/data/mark", text]);
    let main = with_main(main, json!({"volumeMounts": [{"name": "data", "mountPath": "/data"}]}));
    with(main, json!({"volumes": [{"name": "data", "emptyDir": {}}]}))
}

/// Where the keeper's mark is on the node.
pub fn mark(world: &World, uid: &str) -> PathBuf {
    world.data().join("agent/holdfast/pods").join(uid).join("volumes/data/mark")
}

/// At a boot the manifests may be on a stick that is not there yet, and a file may be half of itself.
#[test]
fn volumes_outlive_a_boot_at_which_their_manifests_could_not_be_read() {
    let mut world = World::new();
    world.write("keeper.yaml", &keeper("keeper", "precious"));
    world.write("other.yaml", &pod("other", &["trap-term"]));
    let uid = world.running("keeper").uid();
    let kept = mark(&world, &uid);
    let written = || fs::read(&kept).is_ok_and(|text| text == b"precious");
    eventually(SOON, "the mark is written", || written().then_some(()));
    // Its container writes the mark anew each time, which takes an instant; this one nobody touches.
    let untouched = kept.with_file_name("untouched");
    fs::write(&untouched, "").unwrap();
    let staged = world.dir.join("staging");
    for torn in [false, true] {
        imitate_power_cut(&mut world);
        fs::rename(world.manifests().join("keeper.yaml"), staged.join("keeper")).unwrap();
        fs::rename(world.manifests().join("other.yaml"), staged.join("other")).unwrap();
        if torn {
            fs::copy(staged.join("other"), world.manifests().join("other.yaml")).unwrap();
            fs::write(world.manifests().join("keeper.yaml"), "{\"apiVersion\": \"v1\", \"ki").unwrap();
        }
        world.start_agent();
        stays_true_for(A_WHILE, "the volume is there", || untouched.exists());
        fs::rename(staged.join("keeper"), world.manifests().join("keeper.yaml")).unwrap();
        fs::rename(staged.join("other"), world.manifests().join("other.yaml")).unwrap();
        assert_eq!(world.running("keeper").uid(), uid);
        assert!(untouched.exists());
        eventually(SOON, "the mark is there", || written().then_some(()));
    }
    imitate_power_cut(&mut world);
    world.remove("keeper.yaml");
    world.start_agent();
    world.running("other");
    eventually(SOON, "what nobody wants is removed", || (!kept.exists()).then_some(()));
}

/// A pod that comes back while what it left before is being removed gets what is new, and keeps it.
#[test]
fn a_pod_that_comes_back_at_once_keeps_what_it_writes_now() {
    let mut world = World::new();
    world.write("keeper.yaml", &keeper("keeper", "new"));
    world.write("other.yaml", &pod("other", &["trap-term"]));
    let uid = world.running("keeper").uid();
    imitate_power_cut(&mut world);
    let many = mark(&world, &uid).with_file_name("many");
    fs::create_dir(&many).unwrap();
    for number in 0..30_000 {
        File::create(many.join(number.to_string())).unwrap();
    }
    fs::rename(world.manifests().join("keeper.yaml"), world.dir.join("staging/keeper")).unwrap();
    world.start_agent();
    eventually(SOON, "the removal has begun", || {
        (fs::read_dir(&many).map(Iterator::count).unwrap_or(0) < 30_000).then_some(())
    });
    fs::rename(world.dir.join("staging/keeper"), world.manifests().join("keeper.yaml")).unwrap();
    world.running("keeper");
    let pods = world.data().join("agent/holdfast/pods");
    let count = || fs::read_dir(&pods).map(Iterator::count).unwrap_or(0);
    eventually(SOON, "the removal has ended", || (!many.exists() && count() == 2).then_some(()));
    stays_true_for(A_WHILE, "its mark is there", || mark(&world, &uid).exists());
}

/// A stick with manifests that is pulled out: what is seen then is the empty directory that it was mounted on.
#[test]
fn an_unmounted_directory_ends_nothing_not_even_under_the_next_agent() {
    let mut world = World::without_agent();
    let stick = world.dir.join("stick");
    fs::create_dir(&stick).unwrap();
    let none = None::<&str>;
    mount(Some("tmpfs"), &stick, Some("tmpfs"), MsFlags::empty(), none).unwrap();
    // What keeps an empty directory in a repository is no manifest.
    fs::write(world.manifests().join(".keep"), "").unwrap();
    let plug = || mount(Some(&stick), &world_manifests(&stick), none, MsFlags::MS_BIND, none).unwrap();
    plug();
    world.start_agent();
    fs::write(world.manifests().join("web.yaml"), pod("web", &["trap-term"]).to_string()).unwrap();
    let life = world.running("web").life();
    umount2(&world.manifests(), MntFlags::MNT_DETACH).unwrap();
    let lives = |world: &World| world.pod("web").is_some_and(|pod| pod.life() == life && pod.is("Ready"));
    eventually(Duration::from_secs(40), "it is reported", || {
        let said = world.cli(&["get", "manifests"]).stderr;
        String::from_utf8_lossy(&said).contains("mount it again").then_some(())
    });
    stays_true_for(A_WHILE, "web runs", || lives(&world));
    world.kill_agent();
    world.start_agent();
    stays_true_for(A_WHILE, "web runs under the next agent", || lives(&world));
    plug();
    world.kill_agent();
    world.start_agent();
    stays_true_for(A_WHILE, "web runs with its manifest", || lives(&world));
    world.remove("web.yaml");
    world.gone("web");
    umount2(&world.manifests(), MntFlags::MNT_DETACH).unwrap();
    umount2(&stick, MntFlags::MNT_DETACH).unwrap();
}

fn world_manifests(stick: &Path) -> PathBuf {
    stick.with_file_name("manifests")
}

/// Where logs are on a tmpfs, runs are numbered from 0 again; a root is fresh all the same.
#[test]
fn a_run_sees_nothing_of_a_run_with_its_number_before_the_boot() {
    let mut world = World::new();
    let steps = pod("web", &["steps", "/mark", "run", "7"]);
    world.write("web.yaml", &with(steps, json!({"restartPolicy": "Never"})));
    world.running("web");
    imitate_power_cut(&mut world);
    fs::remove_dir_all(world.logs()).unwrap();
    world.start_agent();
    let seen = world.once("web", "has begun", |pod| pod.is("Ready") || pod.phase() == "Failed");
    assert_eq!((seen.exit_code(), seen.restarts()), (None, 0), "the old /mark is there");
}

/// A FUSE file system whose server never says a word, as a hard NFS mount of a dead server.
struct Dead(PathBuf, #[expect(dead_code, reason = "held")] File);

impl Dead {
    fn mount(at: PathBuf) -> Dead {
        fs::create_dir(&at).unwrap();
        let server = File::options().read(true).write(true).open("/dev/fuse").unwrap();
        let options = format!("fd={},rootmode=40000,user_id=0,group_id=0", server.as_raw_fd());
        mount(Some("dead"), &at, Some("fuse"), MsFlags::empty(), Some(&*options)).unwrap();
        Dead(at, server)
    }
}

impl Drop for Dead {
    fn drop(&mut self) {
        let _ = umount2(&self.0, MntFlags::MNT_FORCE | MntFlags::MNT_DETACH);
    }
}

#[test]
fn volumes_that_do_not_answer_stop_no_other_pod_and_can_be_removed() {
    let world = World::new();
    let dead = Dead::mount(world.shared().join("dead"));
    let names: Vec<String> = (0..16).map(|number| format!("hangs{number}")).collect();
    for name in &names {
        let volume = json!({"name": "data", "hostPath": {"path": dead.0.join("x"), "type": "Directory"}});
        world.write(&format!("{name}.yaml"), &with(pod(name, &["trap-term"]), json!({"volumes": [volume]})));
    }
    world.once("hangs0", "is told about", |pod| pod.phase() == "Pending");
    world.write("web.yaml", &pod("web", &["trap-term"]));
    eventually(Duration::from_secs(60), "web runs", || world.pod("web").filter(|pod| pod.is("Ready")));
    eventually(SOON, "it is told which path", || {
        let told = world.says(&["describe", "pod", &world.pod_name("hangs0")]);
        (told.contains("does not answer") && told.contains("/dead/x")).then_some(())
    });
    for name in &names {
        world.remove(&format!("{name}.yaml"));
    }
    eventually(Duration::from_secs(60), "they are gone", || (world.pods().len() == 1).then_some(()));
}

/// Two edits within one tick of the clock of a file system, or an editor that sets the time back.
#[test]
fn an_edit_in_place_that_leaves_length_and_time_as_they_were_counts() {
    let world = World::new();
    world.write("web.yaml", &pod("web", &["trap-term", "1"]));
    let old = world.running("web");
    let path = world.manifests().join("web.yaml");
    let time = fs::metadata(&path).unwrap().modified().unwrap();
    let mut file = File::options().write(true).open(&path).unwrap();
    std::io::Write::write_all(&mut file, pod("web", &["trap-term", "2"]).to_string().as_bytes()).unwrap();
    file.set_modified(time).unwrap();
    drop(file);
    world.once("web", "is the new one", |pod| pod.uid() != old.uid() && pod.is("Ready"));
}

/// The directory of archives may be exchanged, or be a stick that is mounted later.
#[test]
fn an_archive_is_found_in_a_directory_that_was_made_anew() {
    let mut world = World::without_agent();
    let (archive, staged) = (world.archives().join("workload-2.tar"), world.dir.join("staging/late.tar"));
    fs::rename(&archive, &staged).unwrap();
    world.start_agent();
    world.write("late.yaml", &with_main(pod("late", &["trap-term"]), json!({"image": IMAGE_2})));
    world.once("late", "waits for its image", |pod| pod.reason().contains("ImagePull"));
    fs::rename(world.archives(), world.dir.join("away")).unwrap();
    fs::create_dir(world.archives()).unwrap();
    fs::rename(&staged, &archive).unwrap();
    eventually(Duration::from_secs(40), "it runs", || world.pod("late").filter(|pod| pod.is("Ready")));
}

/// What is in a file's name is shown, not obeyed.
#[test]
fn a_hostile_file_name_steers_no_terminal() {
    let world = World::new();
    world.write_text("a\u{1b}[31mb\nc.yaml", "{");
    world.reported(&["not JSON"]);
    for text in [world.says(&["get", "manifests"]), world.agent_log()] {
        assert!(!text.contains('\u{1b}'), "{text:?}");
    }
}

/// More than any person writes, and more than a pod process could tell of in one packet.
#[test]
fn a_pod_of_a_thousand_containers_is_refused_and_one_of_fifty_survives_the_agent() {
    let mut world = World::new();
    let containers = |count: usize| -> Value {
        (0..count).map(|number| container(&format!("c{number}"), &["trap-term"])).collect()
    };
    world.write("many.yaml", &with(pod("many", &[]), json!({"containers": containers(1000)})));
    world.reported(&["many.yaml", "spec.containers"]);
    world.write("fifty.yaml", &with(pod("fifty", &[]), json!({"containers": containers(50)})));
    let life = eventually(Duration::from_secs(60), "all run", || {
        world.pod("fifty").filter(|pod| pod.is("Ready")).map(|pod| pod.life())
    });
    world.kill_agent();
    world.start_agent();
    stays_true_for(A_WHILE, "they go on", || world.pod("fifty").is_some_and(|pod| pod.life() == life));
}

/// Logs outlive `down`, for whoever wants to know; but not for ever.
#[test]
fn logs_kept_by_down_go_when_their_manifest_is_gone() {
    let mut world = World::new();
    world.write("goes.yaml", &pod("goes", &["echo", "last words"]));
    world.write("stays.yaml", &pod("stays", &["trap-term"]));
    let uid = world.once("goes", "has run", |pod| pod.restarts() > 0 || pod.exit_code().is_some()).uid();
    world.running("stays");
    let logs = world.logs().join(format!("default_{}_{uid}", world.pod_name("goes")));
    let links = world.logs().with_file_name("containers");
    let links = || fs::read_dir(&links).unwrap().map(|link| link.unwrap().file_name().into_string().unwrap());
    let linked = || links().any(|name| name.starts_with("goes-"));
    world.down();
    assert!(logs.exists() && linked());
    world.remove("goes.yaml");
    world.start_agent();
    world.running("stays");
    eventually(SOON, "its logs are gone", || (!logs.exists() && !linked()).then_some(()));
}

/// The unit starts an agent that died again: that must not bring back what was told to end.
#[test]
fn an_agent_that_dies_over_down_is_followed_by_one_that_goes_on_with_it() {
    let mut world = World::new();
    world.write("deaf.yaml", &pod("deaf", &["ignore-term"]));
    world.write("idle.yaml", &pod("idle", &["trap-term"]));
    world.running("deaf");
    world.running("idle");
    fs::write(world.runtime.join("orders/down"), "").unwrap();
    world.gone("idle");
    world.kill_agent();
    world.start_agent();
    eventually(SOON, "the agent has ended", || (!world.agent_lives()).then_some(()));
    assert!(world.pods().is_empty());
    world.forget_agent();
    world.start_agent();
    world.running("idle");
}

/// Threat 22: a container that mounts the directory of all logs leads neither the writer nor the remover astray.
#[test]
fn links_in_the_directory_of_logs_are_not_followed_and_stop_no_removal() {
    let world = World::new();
    let elsewhere = world.shared().join("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    for number in 0..3 {
        fs::write(elsewhere.join(format!("{number}.log")), "precious").unwrap();
    }
    world.write("web.yaml", &pod("web", &["trap-term", "1"]));
    world.write("other.yaml", &pod("other", &["trap-term"]));
    let (web, other) = (world.running("web"), world.running("other"));
    let logs = |seen: &Seen| world.logs().join(format!("default_{}_{}", seen.name(), seen.uid()));
    fs::remove_dir_all(logs(&web).join("main")).unwrap();
    symlink(&elsewhere, logs(&web).join("main")).unwrap();
    fs::rename(logs(&other), world.shared().join("away")).unwrap();
    symlink(&elsewhere, logs(&other)).unwrap();
    for restarts in 1..=3 {
        signal(main_process(&world, &web.uid(), "main"), Signal::SIGTERM);
        eventually(Duration::from_secs(50), "it runs again", || {
            world.pod("web").filter(|pod| pod.restarts() == restarts && pod.is("Ready"))
        });
    }
    let text = |number: u32| fs::read_to_string(elsewhere.join(format!("{number}.log"))).unwrap_or_default();
    assert_eq!([0, 1, 2, 3].map(text), ["precious", "precious", "precious", ""]);
    for name in ["web", "other"] {
        world.remove(&format!("{name}.yaml"));
        world.gone(name);
    }
    assert_eq!([0, 1, 2, 3].map(text), ["precious", "precious", "precious", ""]);
}

/// Kinds of damage to a file, as power cuts on bad flash and people do it.
const DAMAGES: [fn(&Path); 5] = [
    |path| fs::write(path, "").unwrap(),
    |path| File::options().write(true).open(path).unwrap().set_len(20).unwrap(),
    |path| fs::write(path, [0; 4096]).unwrap(),
    |path| {
        fs::remove_file(path).unwrap();
        fs::create_dir_all(path.join("folder")).unwrap();
    },
    |path| fs::remove_file(path).unwrap(),
];

/// A pod of the test image that keeps running, and its files that nobody has opened yet.
fn reads_what_it_never_opened(world: &World, life: &str, round: usize) {
    stays_true_for(A_WHILE, "it goes on", || world.pod("old").is_some_and(|pod| pod.life() == life));
    let read = world.exec("old", &["cat", &format!("/etc/unread{round}")]);
    assert_eq!(String::from_utf8_lossy(&read.stdout), "of the image\n", "{read:?}");
}

/// Its layers stay under a pod that runs, whatever becomes of the index, and the archives are read again.
#[test]
fn an_index_lost_with_its_copy_costs_no_pod_and_is_made_anew_from_the_archives() {
    let mut world = World::new();
    let store = world.data().join("agent/holdfast/images");
    world.write("old.yaml", &pod("old", &["trap-term"]));
    let life = world.running("old").life();
    for (round, damage) in DAMAGES.iter().enumerate() {
        world.kill_agent();
        damage(&store.join("index.json"));
        fs::remove_file(store.join("index.copy")).unwrap();
        world.start_agent();
        let new = format!("new{round}");
        world.write(&format!("{new}.yaml"), &pod(&new, &["trap-term"]));
        world.running(&new);
        reads_what_it_never_opened(&world, &life, round);
        assert!(fs::read_dir(store.join("aside")).unwrap().count() > 0, "its layers made way");
        world.remove(&format!("{new}.yaml"));
        world.gone(&new);
    }
    assert!(world.agent_log().contains("archives are read again"));
    imitate_power_cut(&mut world);
    DAMAGES[1](&store.join("index.json"));
    fs::remove_file(store.join("index.copy")).unwrap();
    world.start_agent();
    world.running("old");
}

/// Archives may be deleted once they are read: the copy serves then.
#[test]
fn a_damaged_index_costs_no_image_even_without_the_archives() {
    let mut world = World::new();
    let store = world.data().join("agent/holdfast/images");
    world.write("old.yaml", &pod("old", &["trap-term"]));
    let life = world.running("old").life();
    eventually(SOON, "both are read", || (world.says(&["get", "images"]).lines().count() == 3).then_some(()));
    fs::remove_dir_all(world.archives()).unwrap();
    fs::create_dir(world.archives()).unwrap();
    for (round, damage) in DAMAGES.iter().enumerate() {
        world.kill_agent();
        damage(&store.join("index.json"));
        world.start_agent();
        reads_what_it_never_opened(&world, &life, round);
    }
    eventually(SOON, "it is told", || {
        world.says(&["describe", "node"]).contains("copy is used").then_some(())
    });
    imitate_power_cut(&mut world);
    DAMAGES[0](&store.join("index.json"));
    world.start_agent();
    world.running("old");
    // While the agent runs it is mended with the next look at the directory.
    DAMAGES[2](&store.join("index.json"));
    world.write("two.yaml", &with_main(pod("two", &["trap-term"]), json!({"image": IMAGE_2})));
    eventually(Duration::from_secs(60), "two runs", || world.pod("two").filter(|pod| pod.is("Ready")));
}
