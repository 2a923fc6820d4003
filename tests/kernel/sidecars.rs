//! Sidecars that fail, are asked, and end: acceptance section 5. Long graces are played in virtual time, in `lifecycle`'s own
//! tests.

use std::fs;

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::harness::image::IMAGE_2;
use crate::harness::kernel::{signal, tasks};
use crate::harness::pod::{Seen, container};
use crate::harness::{A_WHILE, SOON, World, eventually, stays_true_for};
use crate::order::{diary, pod_of, sidecar, writes, wrote};
use crate::survival::imitate_power_cut;

fn named(name: &str, mut pod: Value) -> Value {
    pod["metadata"]["name"] = json!(name);
    pod
}

fn command(words: &[&str]) -> Value {
    let words: Vec<&str> = ["/workload"].iter().chain(words).copied().collect();
    json!({"exec": {"command": words}})
}

/// `container` with a preStop hook that says `file`.begun and lasts until `file` is there.
fn hooked(mut container: Value, file: &str) -> Value {
    container["lifecycle"] = json!({"preStop": command(&["until", &format!("/shared/{file}")])});
    container
}

/// Every second, and the first failure counts.
fn there(file: &str) -> Value {
    let mut probe = command(&["there", &format!("/shared/{file}")]);
    (probe["periodSeconds"], probe["failureThreshold"], probe["timeoutSeconds"]) =
        (json!(1), json!(1), json!(30));
    probe
}

/// A sidecar, or another container, that is deaf to SIGTERM.
fn deaf(mut container: Value) -> Value {
    container["command"] = json!(["/workload", "ignore-term"]);
    container
}

fn put(world: &World, file: &str) {
    fs::write(world.shared().join(file), "").unwrap();
}

fn take(world: &World, file: &str) {
    fs::remove_file(world.shared().join(file)).unwrap();
}

fn is_there(world: &World, file: &str) {
    eventually(SOON, &format!("{file} is there"), || world.shared().join(file).exists().then_some(()));
}

fn runs(pod: &Seen, name: &str) -> bool {
    pod.container(name)["state"]["running"].is_object()
}

fn exit(pod: &Seen, name: &str) -> (Value, Value) {
    let ended = &pod.container(name)["state"]["terminated"];
    (ended["exitCode"].clone(), ended["reason"].clone())
}

fn end_well(world: &World, pod: &Seen, run: &str) {
    let cgroup = world.place().pod_cgroup(&pod.uid()).unwrap().join(run);
    tasks(&cgroup).into_iter().for_each(|pid| signal(pid, Signal::SIGTERM));
}

/// 5.04, 5.06, 5.07: those behind never start; what becomes of the pod is its policy's affair.
#[test]
fn what_fails_beside_a_sidecar_holds_back_those_behind_it() {
    let world = World::new();
    let policies = ["Never", "OnFailure", "Always"];
    let fails = |name: &str| container(name, &["exit", "1"]);
    for policy in policies {
        let mut absent = sidecar("s1");
        absent["image"] = json!("holdfast.test/not-there:1");
        let main = || json!([writes("main", "run")]);
        for (kind, inits) in [
            ("absent", json!([absent, writes("never", "0")])),
            ("before", json!([fails("i1"), sidecar("s1")])),
            ("after", json!([sidecar("s1"), fails("i1")])),
        ] {
            let name = format!("{kind}-{}", policy.to_lowercase());
            world.write(&format!("{name}.yaml"), &named(&name, pod_of(&world, policy, inits, main())));
        }
    }
    for policy in ["never", "onfailure", "always"] {
        world.once(&format!("absent-{policy}"), "waits for an image", |pod| {
            let reason = &pod.container("s1")["state"]["waiting"]["reason"];
            pod.phase() == "Pending" && (reason == "ErrImagePull" || reason == "ImagePullBackOff")
        });
    }
    for kind in ["before", "after"] {
        let seen = world.once(&format!("{kind}-never"), "has failed", |pod| pod.phase() == "Failed");
        assert_eq!(seen.container("s1")["state"]["waiting"].is_object(), kind == "before", "{kind}");
    }
    for policy in ["onfailure", "always"] {
        world.once(&format!("before-{policy}"), "tries again, without its sidecar", |pod| {
            let sidecar = &pod.container("s1")["state"]["waiting"]["reason"];
            let restarts = pod.container("i1")["restartCount"].as_u64();
            pod.phase() == "Pending" && sidecar == "PodInitializing" && Some(1) <= restarts
        });
        world.once(&format!("after-{policy}"), "tries again, beside its sidecar", |pod| {
            let restarts = pod.container("i1")["restartCount"].as_u64();
            pod.phase() == "Pending" && runs(pod, "s1") && Some(1) <= restarts
        });
    }
    assert!(diary(&world).iter().all(|line| line.starts_with("s1")), "{:?}", diary(&world));
}

/// 5.09, 5.10: while the hook of a sidecar that did not come up runs, and until the next run has come up, nobody is started.
#[test]
fn a_sidecar_whose_startup_fails_runs_its_hook_and_holds_back_the_next() {
    let world = World::new();
    let mut gate = hooked(sidecar("s1"), "go");
    gate["startupProbe"] = there("up");
    world.write("web.yaml", &pod_of(&world, "Always", json!([gate]), json!([writes("main", "run")])));
    is_there(&world, "go.begun");
    stays_true_for(A_WHILE, "main waits, and the sidecar runs", || {
        world.pod("web").is_some_and(|pod| runs(&pod, "s1") && pod.reason() == "PodInitializing")
    });
    put(&world, "up");
    put(&world, "go");
    let seen = world.running("web");
    assert_eq!((&seen.container("s1")["restartCount"], seen.restarts()), (&json!(1), 0));
    wrote(&world, &["s1", "s1-ends", "s1", "main"]);
}

/// 5.11: those behind it start while its hook runs.
#[test]
fn a_sidecar_whose_liveness_fails_runs_its_hook_and_holds_back_nobody() {
    let world = World::new();
    let mut sick = hooked(sidecar("s1"), "go");
    sick["livenessProbe"] = there("healthy");
    let inits = json!([sick, writes("init", "0")]);
    world.write("web.yaml", &pod_of(&world, "Always", inits, json!([writes("main", "run")])));
    is_there(&world, "go.begun");
    let seen = world.once("web", "runs main", |pod| runs(pod, "main") && runs(pod, "s1"));
    assert_eq!(seen.container("s1")["restartCount"], 0);
    put(&world, "healthy");
    put(&world, "go");
    let seen = world.once("web", "has its sidecar again", |pod| {
        pod.container("s1")["restartCount"] == 1 && pod.is("Ready")
    });
    assert_eq!((seen.restarts(), &seen.container("init")["restartCount"]), (0, &json!(0)));
    assert!(diary(&world).contains(&"s1-ends".to_owned()), "{:?}", diary(&world));
}

/// 5.12, 5.23, 5.24: an edit is another pod, which begins in order once the old one is wholly gone; while it runs, while no
/// agent is there, and over a reboot.
#[test]
fn an_edit_of_a_sidecar_replaces_the_pod_whenever_it_comes() {
    let mut world = World::new();
    let with_image = |world: &World, image: &str, label: &str| {
        let mut served = sidecar("s1");
        served["image"] = json!(image);
        let mut pod = pod_of(world, "Always", json!([served]), json!([writes("main", "run")]));
        pod["metadata"]["labels"] = json!({"edit": label});
        world.write("web.yaml", &pod);
    };
    let first = crate::harness::image::IMAGE;
    with_image(&world, first, "none");
    let mut before = world.running("web");
    let mut expected = vec!["s1", "main"];
    wrote(&world, &expected);
    for (when, image) in [("running", IMAGE_2), ("agent", first), ("reboot", IMAGE_2)] {
        match when {
            "running" => {}
            "agent" => world.kill_agent(),
            _ => imitate_power_cut(&mut world),
        }
        with_image(&world, image, when);
        if when != "running" {
            world.start_agent();
        }
        let now = world.once("web", "is another", |pod| pod.uid() != before.uid() && pod.is("Ready"));
        if when != "reboot" {
            expected.extend(["main-ends", "s1-ends"]);
        }
        expected.extend(["s1", "main"]);
        wrote(&world, &expected);
        let served = now.container("s1");
        assert_eq!(
            (&served["image"], &served["restartCount"], now.restarts()),
            (&json!(image), &json!(0), 0)
        );
        before = now;
    }
}

/// 5.14: hooks of all begin when main has ended; whoever is deaf, and whose hook never ends, dies two seconds after the grace.
/// 5.15: where they end, sidecars end in reverse order all the same.
#[test]
fn hooks_of_sidecars_run_together() {
    let world = World::new();
    let names = ["s1", "s2", "s3"];
    let inits = |kind: &str| -> Vec<Value> {
        let each = names.iter().map(|name| hooked(sidecar(name), &format!("{kind}-{name}")));
        each.map(|sidecar| if kind == "endless" { deaf(sidecar) } else { sidecar }).collect()
    };
    for (kind, grace) in [("endless", 2), ("finite", 600)] {
        let mut pod = pod_of(&world, "Never", json!(inits(kind)), json!([container("main", &["trap-term"])]));
        pod["spec"]["terminationGracePeriodSeconds"] = json!(grace);
        world.write(&format!("{kind}.yaml"), &named(kind, pod));
    }
    for kind in ["endless", "finite"] {
        let seen = world.running(kind);
        end_well(&world, &seen, "main-0");
        names.iter().for_each(|name| is_there(&world, &format!("{kind}-{name}.begun")));
    }
    put(&world, "finite-s1");
    put(&world, "finite-s2");
    let ended = world.once("endless", "has succeeded", |pod| pod.phase() == "Succeeded");
    let finished = |name: &str| {
        let at = ended.container(name)["state"]["terminated"]["finishedAt"].as_str().unwrap().to_owned();
        at.parse::<jiff::Timestamp>().unwrap().as_second()
    };
    for name in names {
        assert_eq!(exit(&ended, name), (json!(137), json!("Error")), "{name}");
        let after = finished(name) - finished("main");
        assert!((3..=6).contains(&after), "{name} {after}s after main: grace and two seconds");
    }
    // Meanwhile nobody of the others has ended, since the last one's hook runs.
    assert!(world.pod("finite").is_some_and(|pod| names.iter().all(|name| runs(&pod, name))));
    put(&world, "finite-s3");
    let seen = world.once("finite", "has succeeded", |pod| pod.phase() == "Succeeded");
    names.iter().for_each(|name| assert_eq!(exit(&seen, name), (json!(0), json!("Completed")), "{name}"));
    let ends: Vec<String> = diary(&world).into_iter().filter(|line| line.ends_with("-ends")).collect();
    assert_eq!(ends, ["s3-ends", "s2-ends", "s1-ends"]);
}

/// 5.18, 5.19, 5.20, 5.21: who is killed at the end of the grace, its own or its hook's fault, and the phase that follows.
#[test]
fn the_phase_is_that_of_the_regular_containers_whoever_is_killed() {
    let world = World::new();
    let main = || {
        let mut main = container("main", &["trap-term"]);
        main["volumeMounts"] = json!([{"name": "shared", "mountPath": "/shared"}]);
        main
    };
    // A liveness that fails ends main as a removal would, and leaves the pod to be seen.
    let sick = |mut main: Value| {
        main["livenessProbe"] = there("healthy");
        main
    };
    put(&world, "healthy");
    let cases = [
        ("main", sidecar("s1"), sick(deaf(main())), "Failed"),
        ("sidecar", deaf(sidecar("s1")), main(), "Succeeded"),
        ("main-hook", sidecar("s1"), sick(deaf(hooked(main(), "never-1"))), "Failed"),
        ("sidecar-hook", deaf(hooked(sidecar("s1"), "never-2")), main(), "Succeeded"),
    ];
    for (name, sidecar, main, _) in &cases {
        let mut pod = pod_of(&world, "Never", json!([sidecar]), json!([main]));
        pod["spec"]["terminationGracePeriodSeconds"] = json!(1);
        world.write(&format!("{name}.yaml"), &named(name, pod));
    }
    for (name, _, main, _) in &cases {
        let seen = world.running(name);
        if main["livenessProbe"].is_null() {
            end_well(&world, &seen, "main-0");
        }
    }
    take(&world, "healthy");
    for (name, _, _, phase) in &cases {
        let seen = world.once(name, "is over", |pod| ["Failed", "Succeeded"].contains(&pod.phase().as_str()));
        assert_eq!(seen.phase(), *phase, "{name}");
        let (killed, other) = if *phase == "Failed" { ("main", "s1") } else { ("s1", "main") };
        assert_eq!(exit(&seen, other), (json!(0), json!("Completed")), "{name}: {other}");
        assert_eq!(exit(&seen, killed), (json!(137), json!("Error")), "{name}: {killed}");
    }
}

/// 5.25, 7.18: in a pod that ends readiness is asked, and liveness is not.
#[test]
fn a_pod_that_ends_loses_its_readiness_and_restarts_nobody() {
    let world = World::new();
    put(&world, "ready");
    put(&world, "healthy");
    let mut served = sidecar("s1");
    served["livenessProbe"] = there("healthy");
    let mut main = hooked(writes("main", "run"), "go");
    (main["readinessProbe"], main["livenessProbe"]) = (there("ready"), there("healthy"));
    let mut pod = pod_of(&world, "Always", json!([served]), json!([main]));
    pod["spec"]["terminationGracePeriodSeconds"] = json!(600);
    world.write("web.yaml", &pod);
    let seen = world.running("web");
    world.remove("web.yaml");
    is_there(&world, "go.begun");
    take(&world, "ready");
    take(&world, "healthy");
    let unready = |pod: &Seen| !pod.is("Ready") && pod.life() == seen.life();
    world.once("web", "is not ready any more", unready);
    stays_true_for(A_WHILE, "and all of it runs on", || {
        let now = world.pod("web");
        now.is_some_and(|pod| unready(&pod) && runs(&pod, "main") && runs(&pod, "s1"))
    });
    put(&world, "go");
    world.gone("web");
    assert_eq!(diary(&world)[2..], ["main-ends", "s1-ends"]);
}
