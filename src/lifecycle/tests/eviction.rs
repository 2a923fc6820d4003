//! Stories of pods that take more of the disk than they may.

use super::order::{of, set};
use super::*;
use crate::lifecycle::Usage;
use crate::spec::{Bytes, Hook, Volume, VolumeSource};

const MIB: u64 = 1 << 20;

/// A pod of `s1` and `c`, whose `c` may have 10 MiB and whose volume `v` may have five; `w` may have anything.
fn limited() -> Pod {
    let mut pod = of(ALWAYS, &["s1", "c"]);
    let volume =
        |name: &str, size_limit| Volume { name: name.into(), source: VolumeSource::EmptyDir, size_limit };
    pod.volumes = vec![volume("v", Some(Bytes(5 * MIB))), volume("w", None)];
    pod.containers[1].resources.storage_limit = Some(Bytes(10 * MIB));
    pod
}

/// In volumes `v` and `w`, by containers `s1` and `c`, and in the pod's own files, each in MiB.
fn usage(volumes: [u64; 2], containers: [u64; 2], pod: u64) -> Usage {
    let named = |names: [&str; 2], amounts: [u64; 2]| {
        names.map(str::to_owned).into_iter().zip(amounts.map(|amount| amount * MIB)).collect()
    };
    Usage { volumes: named(["v", "w"], volumes), containers: named(["s1", "c"], containers), pod: pod * MIB }
}

fn used(at: u64, sandbox: u32, usage: Usage) -> (u64, Told) {
    (at, Happens(Event::Used { uid: Uid("web".into()), sandbox, usage }))
}

const BEGUN: &str = "0s: start pod, pull, start s1#0, pull, start c#0";

/// The phase, why it is so, and what happened.
fn told(facts: &Facts) -> Vec<String> {
    let status = status(facts, &BackOff::default(), None);
    let evicted = status.events.iter().filter(|event| event.reason == Reason::Evicted);
    let events = evicted.map(|event| format!("{:?} event: {}", event.kind, event.message));
    [format!("{:?}: {}", status.phase, status.message)].into_iter().chain(events).collect()
}

#[test]
fn a_pod_that_has_too_much_is_ended_within_a_second_and_gives_it_back() {
    let ended = |container| super::order::exited(11, container, 0, 143);
    check(
        vec![
            set(limited()),
            used(9, 0, usage([5, 0], [0, 5], 0)),
            used(10, 0, usage([6, 0], [0, 0], 0)),
            (10, Shown),
            ended("c"),
            ended("s1"),
            (12, Shown),
            (13, Seen(told)),
            used(14, 0, usage([6, 0], [0, 0], 0)),
            (15, Happens(Event::Restart(Uid("web".into())))),
        ],
        &format!(
            "{BEGUN}
             9s:
             10s: stop c#0 until 11s, [wake at 11s]
             10s: Running: s1 running ready restarts 0; c running ready restarts 0, [wake at 11s]
             11s: stop s1#0 until 13s, [wake at 21s]
             11s: release pod
             12s: Failed (Evicted): s1 terminated Error 143 restarts 0; c terminated Error 143 restarts 0
             13s: Failed: Usage of EmptyDir volume \"v\" exceeds the limit \"5Mi\". , Warning event: Usage of EmptyDir volume \"v\" exceeds the limit \"5Mi\". 
             14s:
             15s: remove pod 'but logs, start pod '', pull '', start ''s1#1, pull '', start ''c#1"
        ),
    );
}

#[test]
fn what_is_too_much_is_said_in_the_kubelets_words() {
    let total = "Pod ephemeral local storage usage exceeds the total limit of containers 10Mi. ";
    let of_container = "Container c exceeded its local ephemeral storage limit \"10Mi\". ";
    let mut sidecar = limited();
    sidecar.containers[0].resources.storage_limit = Some(Bytes(MIB));
    for (pod, usage, expected) in [
        (limited(), usage([5, 0], [0, 5], 0), ""),
        (limited(), usage([0, 11], [0, 0], 0), total),
        (limited(), usage([0, 0], [11, 0], 0), total),
        (limited(), usage([0, 0], [0, 0], 11), total),
        (limited(), usage([5, 5], [1, 0], 0), total),
        (limited(), Usage { pod: u64::MAX, ..usage([1, 0], [0, 0], 0) }, total),
        // With what the sidecar may have, eleven are not too much.
        (sidecar.clone(), usage([0, 0], [0, 11], 0), of_container),
        (
            sidecar,
            usage([0, 0], [2, 0], 0),
            "Container s1 exceeded its local ephemeral storage limit \"1Mi\". ",
        ),
    ] {
        let mut node = Node::new(BackOff::default(), 0);
        settle(&mut node, 0, Event::ManifestSet(Arc::new(pod)));
        let uid = Uid("web".into());
        let step = node.step(now(1), Event::Used { uid: uid.clone(), sandbox: 0, usage });
        assert_eq!(node.facts(&uid).unwrap().evicted, expected);
        assert_eq!(step.changed.is_empty(), expected.is_empty(), "what is no news is not written");
    }
}

/// Another life of the pod has other volumes, and what ends for another reason ends for that.
#[test]
fn what_was_measured_of_an_older_sandbox_or_of_one_that_ends_changes_nothing() {
    check(
        vec![
            set(limited()),
            (1, Happens(lost(0))),
            used(2, 0, usage([6, 0], [0, 0], 0)),
            (3, Happens(gone("web"))),
            used(4, 1, usage([6, 0], [0, 0], 0)),
            used(4, 7, usage([6, 0], [0, 0], 0)),
            (5, Shown),
        ],
        &format!(
            "{BEGUN}
             1s: clean pod, start pod ', pull ', start 's1#1, pull ', start 'c#1
             2s:
             3s: stop 'c#1 until 33s, [wake at 33s]
             4s: [wake at 33s]
             4s: [wake at 33s]
             5s: Running: s1 running after ContainerStatusUnknown 137 ready restarts 1; c running after ContainerStatusUnknown 137 ready restarts 1, [wake at 33s]"
        ),
    );
}

/// Whatever dies meanwhile, it is over, and its volumes go.
#[test]
fn an_eviction_survives_agents_and_pod_processes() {
    check(
        vec![
            set(limited()),
            used(10, 0, usage([6, 0], [0, 0], 0)),
            (10, Dies(|_| ())),
            (11, Dies(|found| (found.alive, found.running) = (None, Vec::new()))),
            (12, Shown),
            (13, Dies(|_| ())),
        ],
        &format!(
            "{BEGUN}
             10s: stop c#0 until 11s, [wake at 11s]
             10s: [wake at 11s]
             11s: release pod
             12s: Failed (Evicted): s1 terminated ContainerStatusUnknown 137 restarts 0; c terminated ContainerStatusUnknown 137 restarts 0
             13s:"
        ),
    );
}

/// A release that fails is tried again, and one that nobody heard of too.
#[test]
fn what_is_over_is_released_once_and_again_where_that_failed() {
    check(
        vec![
            (0, Happens(web(super::order::NEVER))),
            (1, Fails(exit_in(0, 1, 0, 0, 1), &[("release pod", Reason::Failed)])),
            (1, Seen(|facts| vec![format!("{:?}", facts.sandbox.state)])),
            (2, Hangs(Event::Tick, &["release pod"])),
            (3, Happens(lost(0))),
            (3, Dies(|found| found.alive = None)),
            (4, Seen(|facts| vec![format!("{:?}", facts.sandbox.state)])),
            (4, Shown),
            (5, Happens(gone("web"))),
        ],
        "0s: start pod, pull, start c#0
         1s: release pod, [wake at 2s]
         1s: Up, [wake at 2s]
         2s: release pod
         3s:
         3s: release pod
         4s: Absent
         4s: Succeeded: c terminated Completed 0 restarts 0
         5s: remove pod '",
    );
}

/// It has the time that a hook has in it.
#[test]
fn a_hook_of_a_pod_that_is_evicted_has_a_second() {
    let mut pod = limited();
    pod.containers[1].hooks.pre_stop = Some(Hook::Sleep(Duration::from_secs(20)));
    check(
        vec![set(pod), used(10, 0, usage([6, 0], [0, 0], 0)), (11, Happens(Event::Tick))],
        &format!(
            "{BEGUN}
             10s: [wake at 11s]
             11s: stop s1#0 until 13s, stop c#0 until 11s, [wake at 21s]"
        ),
    );
}
