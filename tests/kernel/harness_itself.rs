//! The harness itself: what it promises holds without any agent.

use std::fs;
use std::process::Command;

use crate::harness::image::{archives, run, tool, workload};
use crate::harness::{SOON, World, eventually};

/// A world that overlooks what is left would make every story green.
#[test]
fn what_is_left_behind_is_noticed_and_cleared() {
    let world = World::without_agent();
    assert_eq!(world.place().left(), Vec::<String>::new());
    let mut by_path = Command::new(workload());
    let mut by_path = by_path.arg("watch").arg(world.shared()).spawn().unwrap();
    let cgroup = fs::read_dir("/sys/fs/cgroup").unwrap().map(|entry| entry.unwrap().path());
    let pids = cgroup.into_iter().find(|path| path.ends_with("pids")).unwrap_or("/sys/fs/cgroup".into());
    let pod = pids.join(&world.name).join("kubepods/podx");
    fs::create_dir_all(&pod).unwrap();
    let mut by_cgroup = Command::new(workload()).arg("trap-term").spawn().unwrap();
    fs::write(pod.join("cgroup.procs"), by_cgroup.id().to_string()).unwrap();
    let mount = world.shared();
    nix::mount::mount(Some("left"), &mount, Some("tmpfs"), nix::mount::MsFlags::empty(), None::<&str>)
        .unwrap();
    let left = eventually(SOON, "all four are noticed", || {
        Some(world.place().left()).filter(|left| left.len() == 4)
    });
    for kind in ["process", "mount", "cgroup"] {
        assert!(left.iter().any(|line| line.starts_with(kind)), "{kind}: {left:?}");
    }
    // Whoever started a process reaps it, also when the world killed it.
    let reaper = std::thread::spawn(move || (by_path.wait().unwrap(), by_cgroup.wait().unwrap()));
    world.place().clear();
    reaper.join().unwrap();
    assert_eq!(world.place().left(), Vec::<String>::new());
    assert!(!pod.exists() && !world.dir.exists());
}

#[test]
fn the_test_images_are_what_another_tool_says() {
    let [one, two] = archives() else { panic!("two archives") };
    for (archive, tag) in [(one, "1"), (two, "2")] {
        let archive = format!("docker-archive:{}", archive.display());
        let text = run(tool("skopeo").args(["inspect", "--config", &archive]));
        let config: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(config["config"]["Entrypoint"], serde_json::json!(["/workload", "echo"]));
        assert!(
            config["config"]["Env"].as_array().unwrap().contains(&format!("IMAGE={tag}").into()),
            "{text}"
        );
    }
}
