//! Huge pages: who gets them, and who waits. The machine keeps four of 2 MiB meanwhile.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::json;

use crate::harness::pod::{container, pod, with, with_main};
use crate::harness::{SOON, Seen, World, eventually};

const MIB: u64 = 1 << 20;

/// How many huge pages the machine keeps; the old number is back at the end.
struct HugePages(String);

impl HugePages {
    const FILE: &str = "/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages";

    fn keep(pages: u64) -> HugePages {
        let before = HugePages(fs::read_to_string(HugePages::FILE).unwrap());
        fs::write(HugePages::FILE, pages.to_string()).unwrap();
        assert_eq!(
            fs::read_to_string(HugePages::FILE).unwrap().trim(),
            pages.to_string(),
            "no room for huge pages"
        );
        before
    }
}

impl Drop for HugePages {
    fn drop(&mut self) {
        let _ = fs::write(HugePages::FILE, &self.0);
    }
}

/// Where the controller of huge pages is to be mounted on v1, in the agent's own mount namespace, where this machine has it
/// nowhere. Such a hierarchy lives as long as there is a group in it: those of this world go at the end.
struct Hugetlb {
    ours: bool,
    world: String,
}

impl Hugetlb {
    const PLACE: &str = "/sys/fs/cgroup/hugetlb";
    /// For a moment another test may have given the controller away. It stays away where somebody made it cgroup v2's.
    const RUN: &str = "for _ in $(seq 100); do \
                       mountpoint -q /sys/fs/cgroup/hugetlb && exec \"$@\"; \
                       mount -t cgroup -o hugetlb cgroup /sys/fs/cgroup/hugetlb || sleep 0.1; \
                       done; exit 1";

    fn new() -> Hugetlb {
        let ours = fs::create_dir(Hugetlb::PLACE).is_ok();
        Hugetlb { ours, world: String::new() }
    }

    fn remove_groups(&self) {
        let groups = format!("{}/{}", Hugetlb::PLACE, self.world);
        let within = ["unshare", "-m", "sh", "-c", Hugetlb::RUN, "sh"];
        let remove = ["find", &groups, "-depth", "-type", "d", "-exec", "rmdir", "{}", ";"];
        let _ = Command::new(within[0]).args(&within[1..]).args(remove).output();
    }

    fn is_gone() -> Option<()> {
        let known = fs::read_to_string("/proc/cgroups").unwrap();
        let hierarchy = known.lines().find_map(|line| line.strip_prefix("hugetlb\t"))?.split('\t').next()?;
        (hierarchy == "0").then_some(())
    }
}

impl Drop for Hugetlb {
    fn drop(&mut self) {
        if self.ours {
            let mut looks = 0..;
            let look = || {
                // It goes with a mount's end at which no group is going any more, and that takes a moment.
                if looks.next().is_some_and(|look| look % 100 == 0) {
                    self.remove_groups();
                }
                Hugetlb::is_gone()
            };
            let gone = || eventually(SOON, "the hierarchy of huge pages is gone", look);
            let cleared = std::panic::catch_unwind(std::panic::AssertUnwindSafe(gone));
            let removed = fs::remove_dir(Hugetlb::PLACE);
            assert!((cleared.is_ok() && removed.is_ok()) || std::thread::panicking(), "{removed:?}");
        }
    }
}

/// 12.06
#[test]
fn huge_pages_are_for_those_who_ask_for_them_and_no_more_than_they_ask_for() {
    let _kept = HugePages::keep(4);
    let is_v1 = !Path::new("/sys/fs/cgroup/cgroup.controllers").exists();
    let mut hugetlb = is_v1.then(Hugetlb::new);
    let mut world = World::without_agent();
    if let Some(hugetlb) = &mut hugetlb {
        hugetlb.world = world.name.clone();
        world.through = vec!["unshare", "-m", "sh", "-c", Hugetlb::RUN, "sh"];
    }
    world.start_agent();
    let root = PathBuf::from(format!("/proc/{}/root", world.agent()));
    let hierarchy = root.join(if is_v1 { "sys/fs/cgroup/hugetlb" } else { "sys/fs/cgroup" });
    let file = if is_v1 { "hugetlb.2MB.limit_in_bytes" } else { "hugetlb.2MB.max" };
    let limit = |group: &str| {
        let path = hierarchy.join(&world.name).join("kubepods").join(group).join(file);
        fs::read_to_string(&path)
            .unwrap_or_else(|error| panic!("{}: {error}", path.display()))
            .trim()
            .to_owned()
    };
    let (two, four) = ((2 * MIB).to_string(), (4 * MIB).to_string());
    let pages = |bytes: &str| json!({"limits": {"cpu": "100m", "memory": "32Mi", "hugepages-2Mi": bytes}});
    let with_pages = |name: &str, words: &[&str], bytes: &str| {
        let volumes = json!([{"name": "huge", "emptyDir": {"medium": "HugePages"}}]);
        let mounts = json!([{"name": "huge", "mountPath": "/huge"}]);
        let main = json!({"resources": pages(bytes), "volumeMounts": mounts});
        with(with_main(pod(name, words), main), json!({"volumes": volumes, "restartPolicy": "Never"}))
    };

    // Half of what the machine keeps, in a volume; who asks for none gets none of the other half.
    let mut manifest = with_pages("huge", &["map", "/huge/a", &four], "4Mi");
    let none = container("none", &["map", "huge", &two]);
    manifest["spec"]["containers"].as_array_mut().unwrap().push(none);
    world.write("huge.yaml", &manifest);
    let ended = |seen: &Seen, name: &str| seen.container(name)["state"]["terminated"]["exitCode"].clone();
    let seen = world.once("huge", "one gets none", |seen| ended(seen, "none") == 1);
    eventually(SOON, "one has its pages", || world.log("huge").contains("mapped").then_some(()));
    let refused = "mmap: ENOMEM: Out of memory\n";
    assert_eq!(world.says(&["logs", &world.pod_name("huge"), "-c", "none"]), refused);
    let group = format!("burstable/pod{}", seen.uid());
    assert_eq!(limit(&group), four);
    assert_eq!(limit(&format!("{group}/main-0")), four);
    world.remove("huge.yaml");
    world.gone("huge");

    // No more than it asks for, though there is more.
    world.write("more.yaml", &with_pages("more", &["map", "huge", &four], "2Mi"));
    let seen = world.once("more", "gets no more", |seen| ended(seen, "main") == 1);
    assert_eq!(limit(&format!("pod{}", seen.uid())), two);
    assert_eq!(world.log("more"), refused);

    // More than the machine keeps: the pod waits, and is told what to do.
    world.write("most.yaml", &with_pages("most", &["trap-term"], "16Mi"));
    let waits =
        |pod: &crate::harness::Seen| pod.phase() == "Pending" && pod.0.to_string().contains("nr_hugepages");
    let seen = world.once("most", "waits for huge pages", waits);
    let told = world.says(&["describe", "pod", &world.pod_name("most")]);
    assert!(told.contains("OutOfhugepages") && told.contains("echo 8 >"), "{told}\n{}", seen.0);
}
