//! A manifest is an order: put there, changed, removed.

use std::time::Duration;

use serde_json::json;

use crate::harness::image::IMAGE_2;
use crate::harness::pod::{pod, with, with_main};
use crate::harness::{A_WHILE, Seen, World, stays_true_for};

/// 1.01, 1.13
#[test]
fn a_manifest_becomes_a_running_pod_named_after_its_node() {
    let world = World::new();
    world.write("x.yaml", &pod("web", &["trap-term"]));
    let seen = world.running("web");
    assert_eq!(seen.full_name(), format!("default/web-{}", world.name));
    assert!(seen.is("ContainersReady") && seen.main()["ready"] == true);
    assert_eq!(seen.0["metadata"]["annotations"]["kubernetes.io/config.source"], "file");
    assert_eq!(seen.0["metadata"]["annotations"]["kubernetes.io/config.hash"], *seen.uid());
    assert_eq!(seen.0["spec"]["nodeName"], *world.name);
}

/// 1.02
#[test]
fn a_changed_image_is_another_pod() {
    let world = World::new();
    let manifest = pod("web", &["trap-term"]);
    world.write("web.yaml", &manifest);
    let old = world.running("web");
    let old_processes = world.place().container_processes(&old.uid());
    assert!(!old_processes.is_empty());
    world.write("web.yaml", &with_main(manifest, json!({"image": IMAGE_2})));
    let new = world.once("web", "runs the second image", |pod| runs_image_2(pod) && pod.uid() != old.uid());
    assert_eq!(new.restarts(), 0);
    assert!(!old_processes.iter().any(|pid| crate::harness::kernel::lives(*pid)), "the old one ended wholly");
    let inside = world.exec("web", &["status"]);
    assert!(String::from_utf8_lossy(&inside.stdout).contains("env.IMAGE: 2"));
}

fn runs_image_2(pod: &Seen) -> bool {
    pod.main()["image"].as_str().is_some_and(|image| image.ends_with("workload:2")) && pod.is("Ready")
}

/// 1.03
#[test]
fn a_removed_manifest_ends_its_pod_and_nothing_is_left() {
    let world = World::new();
    world.write("web.yaml", &pod("web", &["trap-term"]));
    let uid = world.running("web").uid();
    world.remove("web.yaml");
    world.gone("web");
    assert_eq!(world.place().pod_cgroup(&uid), None);
    assert!(!world.runtime.join("pods").join(&uid).exists(), "its runtime directory");
    assert!(!world.data().join("agent/holdfast/pods").join(&uid).exists(), "its volumes");
    assert_eq!(world.place().processes().len(), 1, "the agent alone: {:?}", world.place().processes());
}

/// 1.04
#[test]
fn the_same_manifest_put_back_while_its_pod_ends_is_another_life_of_the_same_pod() {
    let world = World::new();
    let manifest = with(pod("web", &["ignore-term"]), json!({"terminationGracePeriodSeconds": 2}));
    world.write("web.yaml", &manifest);
    let first = world.running("web");
    world.remove("web.yaml");
    world.once("web", "is ending", Seen::is_terminating);
    world.write("web.yaml", &manifest);
    let second = world.once("web", "is back", |pod| pod.is("Ready") && !pod.is_terminating());
    assert_eq!(second.uid(), first.uid());
    assert_eq!(second.restarts(), 1, "its first log is kept, so its number is taken");
    assert_ne!(second.main()["containerID"], first.main()["containerID"]);
    stays_true_for(A_WHILE, "the second life runs", || {
        world.pod("web").is_some_and(|pod| pod.life() == second.life())
    });
    world.remove("web.yaml");
    world.gone("web");
}

/// 1.05
#[test]
fn a_deaf_pod_is_there_until_its_grace_is_over() {
    let world = World::new();
    world.write("web.yaml", &pod("web", &["ignore-term"]));
    let seen = world.running("web");
    world.remove("web.yaml");
    stays_true_for(Duration::from_secs(4), "still running within its grace of 5 s", || {
        let now = world.pod("web");
        now.is_some_and(|now| now.phase() == "Running" && now.uid() == seen.uid())
    });
    world.gone("web");
}

/// 1.06
#[test]
fn an_edited_deaf_pod_keeps_its_image_until_its_grace_is_over() {
    let world = World::new();
    let manifest = pod("web", &["ignore-term"]);
    world.write("web.yaml", &manifest);
    let old = world.running("web");
    world.write("web.yaml", &with_main(manifest, json!({"image": IMAGE_2})));
    stays_true_for(
        Duration::from_secs(4),
        "the old one runs within its grace of 5 s, the new one waits",
        || {
            let (old, new): (Vec<Seen>, Vec<Seen>) =
                world.pods().into_iter().partition(|pod| pod.uid() == old.uid());
            old.iter().any(|old| old.phase() == "Running") && new.iter().all(|new| new.phase() == "Pending")
        },
    );
    world.once("web", "runs the second image", runs_image_2);
}

/// 1.07
#[test]
fn three_hundred_edits_end_in_the_last_one() {
    let mut world = World::new();
    for number in 0..300 {
        let image = if number % 2 == 0 { crate::harness::image::IMAGE } else { IMAGE_2 };
        let env = json!([{"name": "EDIT", "value": number.to_string()}]);
        world.write("web.yaml", &with_main(pod("web", &["trap-term"]), json!({"image": image, "env": env})));
        stays_true_for(Duration::from_millis(100), "the agent lives", || world.agent_lives());
    }
    let last = world.once("web", "runs the last edit", |pod| {
        runs_image_2(pod) && pod.0["spec"]["containers"][0]["env"][0]["value"] == "299"
    });
    stays_true_for(A_WHILE, "it stays", || world.pod("web").is_some_and(|pod| pod.life() == last.life()));
    assert_eq!(world.pods().len(), 1);
    assert_eq!(world.place().container_processes(&last.uid()).len(), 1);
}

/// 1.21, 1.22: unlike the kubelet, a broken edit ends nothing.
#[test]
fn a_broken_file_disturbs_nobody_and_a_broken_edit_keeps_the_old_pod() {
    let world = World::new();
    world.write("good.yaml", &pod("good", &["trap-term"]));
    world.write("web.yaml", &pod("web", &["trap-term"]));
    let (good, web) = (world.running("good").life(), world.running("web").life());
    world.write_text("new.yaml", "apiVersion: v1\nkind: Pod\nmetadata: {name: new\n");
    world.write_text("web.yaml", "apiVersion: v1\nkind: Pod\nmetadata: [\n");
    world.reported(&["new.yaml", "web.yaml"]);
    stays_true_for(A_WHILE, "both run as before", || {
        world.pod("good").is_some_and(|pod| pod.life() == good)
            && world.pod("web").is_some_and(|pod| pod.life() == web)
    });
    world.write("web.yaml", &pod("web", &["trap-term"]));
    stays_true_for(A_WHILE, "mended, it is the same pod", || {
        world.pod("web").is_some_and(|pod| pod.life() == web)
    });
}

/// A wrong field is as good as broken bytes, and it is named.
#[test]
fn an_invalid_edit_keeps_the_old_pod_and_names_the_field() {
    let world = World::new();
    world.write("web.yaml", &pod("web", &["trap-term"]));
    let life = world.running("web").life();
    world.write("web.yaml", &with_main(pod("web", &["trap-term"]), json!({"imagePullPolicy": "Sometimes"})));
    world.reported(&["web.yaml", "spec.containers[0].imagePullPolicy"]);
    assert_eq!(world.running("web").life(), life);
}

/// 1.23
#[test]
fn a_renamed_file_is_another_pod() {
    let world = World::new();
    world.write("a.yaml", &pod("web", &["trap-term"]));
    let old = world.running("web");
    std::fs::rename(world.manifests().join("a.yaml"), world.manifests().join("b.yaml")).unwrap();
    let new = world.once("web", "runs anew", |pod| pod.uid() != old.uid() && pod.is("Ready"));
    assert_eq!(new.restarts(), 0);
}

/// 1.24: unlike the kubelet, the first in sorted order runs, and goes on when the other one comes.
#[test]
fn of_two_files_with_one_name_the_first_runs_and_the_other_is_reported() {
    let world = World::new();
    world.write("b.yaml", &pod("web", &["trap-term", "2"]));
    let second = world.running("web");
    world.write("c.yaml", &pod("web", &["trap-term", "3"]));
    world.reported(&["c.yaml", "b.yaml"]);
    assert_eq!(world.running("web").life(), second.life(), "a later file changes nothing");
    world.write("a.yaml", &pod("web", &["trap-term", "1"]));
    let first = world.once("web", "is the first file's", |pod| pod.uid() != second.uid() && pod.is("Ready"));
    assert_eq!(first.0["spec"]["containers"][0]["command"][2], "1");
    assert_eq!(world.pods().len(), 1);
    world.remove("a.yaml");
    world.once("web", "is the second file's", |pod| pod.uid() == second.uid() && pod.is("Ready"));
    assert_eq!(world.pods().len(), 1);
}

/// 1.26: unlike the kubelet, every document counts.
#[test]
fn every_document_of_a_file_runs() {
    let world = World::new();
    let (one, two) = (pod("one", &["trap-term"]), pod("two", &["trap-term"]));
    let list = json!({"apiVersion": "v1", "kind": "List", "items": [pod("three", &["trap-term"])]});
    world.write_text("all.yaml", &format!("# nothing\n---\n{one}\n---\n{two}\n---\n{list}\n"));
    let lives = ["one", "two", "three"].map(|name| world.running(name).life());
    world.write_text("all.yaml", &format!("{one}\n---\n{list}\n"));
    world.gone("two");
    assert_eq!(
        [world.running("one").life(), world.running("three").life()],
        [lives[0].clone(), lives[2].clone()]
    );
}

/// 1.27
#[test]
fn what_is_not_built_yet_is_refused_by_name_and_others_run() {
    let world = World::new();
    world.write("good.yaml", &pod("good", &["trap-term"]));
    world.write(
        "claim.yaml",
        &with(
            pod("claim", &["trap-term"]),
            json!({
                "volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}],
            }),
        ),
    );
    world.write(
        "later.yaml",
        &with(
            pod("later", &["trap-term"]),
            json!({
                "runtimeClassName": "gvisor",
            }),
        ),
    );
    world.write(
        "deployment.yaml",
        &json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d"}}),
    );
    world.running("good");
    world.reported(&["claim.yaml", "persistentVolumeClaim", "later.yaml", "runtimeClassName", "Deployment"]);
    assert_eq!(world.pods().len(), 1);
}

#[test]
fn touching_a_file_or_changing_a_comment_does_nothing() {
    let world = World::new();
    let manifest = pod("web", &["trap-term"]);
    world.write_text("web.yaml", &format!("# before\n{manifest}\n"));
    let life = world.running("web").life();
    world.write_text("web.yaml", &format!("# after\n{manifest}\n"));
    let file = std::fs::File::options().append(true).open(world.manifests().join("web.yaml")).unwrap();
    file.set_modified(std::time::SystemTime::now()).unwrap();
    stays_true_for(A_WHILE, "it runs as before", || world.pod("web").is_some_and(|pod| pod.life() == life));
}
