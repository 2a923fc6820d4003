//! The README's example: the redis manifest, and Debian's redis in an archive made by umoci and skopeo.

use std::fs;
use std::path::Path;

use nix::sys::signal::Signal;

use super::lifecycle::main_process;
use crate::harness::image::{run, tool};
use crate::harness::kernel::signal;
use crate::harness::servers::redis;
use crate::harness::{SOON, Seen, World, eventually};

const CONTAINER: &str = "redis-container";

/// What redis-cli, run in the container, says to `args`; "" while redis does not answer.
fn ask(world: &World, args: &[&str]) -> String {
    let command = ["exec", "static-pod", "--", "redis-cli"].into_iter().chain(args.iter().copied());
    let output = world.cli(&command.collect::<Vec<_>>());
    String::from_utf8_lossy(&output.stdout).trim_end().to_owned()
}

fn answers(world: &World) {
    eventually(SOON, "redis answers", || (ask(world, &["ping"]) == "PONG").then_some(()));
}

fn restarts(pod: &Seen) -> Option<u64> {
    pod.container(CONTAINER)["restartCount"].as_u64()
}

#[test]
fn redis_runs_from_the_example_survives_what_dies_is_changed_and_removed() {
    let mut world = World::new();
    let manifest = fs::read_to_string("examples/redis.yaml").unwrap();
    world.write_text("redis.yaml", &manifest);
    world.once("static-pod", "misses its image", |pod| {
        pod.container(CONTAINER)["state"]["waiting"]["reason"] == "ErrImagePull"
    });
    assert!(
        world
            .says(&["describe", "pod", "static-pod"])
            .contains("skopeo copy docker://docker.io/library/redis")
    );
    fs::copy(redis(), world.archives().join("redis.tar")).unwrap();
    let first = world.running("static-pod");
    answers(&world);
    assert_eq!(ask(&world, &["set", "colour", "blue"]), "OK");

    world.kill_agent();
    assert_eq!(ask(&world, &["get", "colour"]), "blue");
    world.start_agent();
    assert_eq!(world.running("static-pod").life(), first.life());
    assert!(world.reported(&["redis.yaml"]).contains("Accepted"));

    signal(main_process(&world, &first.uid(), CONTAINER), Signal::SIGKILL);
    world.once("static-pod", "redis is started again", |pod| restarts(pod) == Some(1) && pod.is("Ready"));
    answers(&world);
    assert!(world.says(&["logs", "static-pod", "--previous"]).contains("Ready to accept connections"));

    let process = world.place().pod_process(&first.uid()).unwrap();
    signal(process, Signal::SIGKILL);
    world.once("static-pod", "all of it is started anew", |pod| restarts(pod) == Some(2) && pod.is("Ready"));
    answers(&world);

    world.write_text("redis.yaml", &manifest.replace("tier: backend", "tier: front"));
    let edited = world.once("static-pod", "is another", |pod| pod.uid() != first.uid() && pod.is("Ready"));
    world.write_text("redis.yaml", &manifest.replace("spec:", "spec"));
    world.reported(&["redis.yaml", "as it was"]);
    answers(&world);
    assert_eq!(world.running("static-pod").life(), edited.life());

    world.remove("redis.yaml");
    world.gone("static-pod");
    let told = |words: &str| world.agent_log().matches(words).count();
    let gone = format!("pod default/{}: gone", world.pod_name("static-pod"));
    eventually(SOON, "the log tells both ends by name", || (told(&gone) == 2).then_some(()));
    assert_eq!(told("ErrImagePull") + told("Failed: image"), 1, "adopting tells nothing anew");
}

#[test]
fn who_misses_an_image_is_told_which_archives_are_of_no_use_and_the_log_says_it_once() {
    let world = World::new();
    let (other, nameless) = (world.dir.join("other.tar"), world.dir.join("nameless.tar"));
    let copy = |from: &Path, to: &Path| {
        run(tool("skopeo")
            .args(["--insecure-policy", "copy", "--quiet"])
            .arg(format!("docker-archive:{}", from.display()))
            .arg(format!("docker-archive:{}", to.display())));
    };
    copy(redis(), &nameless);
    fs::write(&other, "no archive at all").unwrap();
    for archive in [&other, &nameless] {
        fs::copy(archive, world.archives().join(archive.file_name().unwrap())).unwrap();
    }
    world.write_text("redis.yaml", &fs::read_to_string("examples/redis.yaml").unwrap());
    let told = |words: &[&str]| {
        eventually(SOON, &format!("describe says {words:?}"), || {
            let said = world.cli(&["describe", "pod", "static-pod"]).stdout;
            let said = String::from_utf8_lossy(&said);
            words.iter().all(|word| said.contains(word)).then_some(())
        });
    };
    told(&["nameless.tar (its image has no name", "other.tar ("]);
    fs::copy(redis(), world.archives().join("redis.tar")).unwrap();
    world.running("static-pod");
    let log = world.agent_log();
    for archive in ["other.tar: ", "nameless.tar: "] {
        let lines = log.lines().filter(|line| line.contains("image archive") && line.contains(archive));
        assert_eq!(lines.count(), 1, "{archive} in\n{log}");
    }
}
