//! What hands type that know kubectl, by the binary: no root needed, no agent, no containers.
#![allow(missing_docs, reason = "each name is a sentence")]
#![allow(clippy::unwrap_used, reason = "a test may fail loudly")]

#[allow(dead_code, reason = "each file of tests plays only some of it")]
mod world;

use serde_json::json;
use world::{World, object, running};

/// Cannot be read, and what does its work here is said.
#[track_caller]
fn check_answered(typed: &str, expected: &str) {
    let world = World::with_agent();
    let run = world.run(&typed.split(' ').collect::<Vec<_>>());
    assert_eq!((run.code, &*run.out), (2, ""), "{typed}: {}", run.err);
    assert!(run.err.contains(expected), "{typed}: {}", run.err);
}

#[test]
fn verbs_of_a_cluster_are_answered_with_what_does_their_work() {
    check_answered(
        "delete pod web",
        "tip: a pod ends when its manifest is removed: `holdfast describe pod NAME`",
    );
    check_answered("apply -f web.yaml", "tip: what runs is what the files of the manifests directory say");
    check_answered("rollout restart deploy/web", "tip: `holdfast restart POD`");
    check_answered("images", "tip: `holdfast get images`");
    check_answered("pull redis", "tip: `holdfast image pull IMAGE` gets an image");
    check_answered("image load redis.tar", "tip: `holdfast image pull IMAGE` gets an image");
    check_answered("help delete", "tip: a pod ends when");
}

#[test]
fn flags_of_a_cluster_are_answered_too() {
    check_answered("get pods --context=prod", "tip: there is no cluster to choose; --runtime-dir chooses");
    check_answered("-n prod get pods", "tip: -n comes after the verb, as in `holdfast get pods -n …`");
    check_answered("get pods -f web.yaml", "tip: what runs is what the files");
    check_answered("get", "tip: there are: pods, manifests, events, images, nodes");
}

#[test]
fn kinds_of_a_cluster_are_answered_wherever_they_are_named() {
    for typed in [
        "describe deploy web",
        "describe deploy/web",
        "logs deploy/web",
        "exec deploy/web -- ls",
        "restart deploy/web",
    ] {
        check_answered(
            typed,
            "there are no deployments on this node; pods come from manifests: holdfast get pods",
        );
    }
    check_answered(
        "port-forward svc/web 80",
        "there are no services on this node; a port in a pod is reached by",
    );
}

/// The grammar has verbs that are for nobody to type, and flags that are never values.
#[test]
fn no_answer_leads_astray() {
    let world = World::with_agent();
    for typed in ["reload", "healt", "get pods --chunk-size=5", "image tag a b", "top stop"] {
        let run = world.run(&typed.split(' ').collect::<Vec<_>>());
        assert_eq!(run.code, 2, "{typed}");
        assert!(!run.err.contains("tip:") && !run.err.contains("\n\n\n"), "{typed}: {}", run.err);
    }
    check_answered("statsu", "tip: a similar subcommand exists: 'status'");
}

#[test]
fn what_means_the_same_works() {
    let world = World::with_agent();
    world.publish("1", object("web", "default", json!([running("a")])));
    world.write_log("a/0.log", "1 stdout F one\n");
    world.check(&["logs", "web", "--all-containers=true", "--timestamps=false"], "one\n");
    let all = "\
NAME             READY   STATUS    RESTARTS   AGE
pod/web-edge-1   1/1     Running   0          400d
";
    world.check(&["get", "all"], all);
    assert_eq!(world.run(&["help", "logs"]).out, world.run(&["logs", "--help"]).out);
    assert_eq!(world.run(&["help"]).out, world.run(&["--help"]).out);
    assert_eq!(world.run(&["version"]).out, world.run(&["--version"]).out);
}
