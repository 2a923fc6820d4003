//! Stories of what fails, how it is told, and that nothing is left of it afterwards.

use super::published::tick;
use super::waits::whys;
use super::*;

#[test]
fn each_failure_is_told_and_counted() {
    check(
        vec![
            (0, Fails(web(ALWAYS), &[("start pod", Reason::FailedMount)])),
            (1, Fails(Event::Tick, &[("pull", Reason::ErrImagePull)])),
            (11, Fails(Event::Tick, &[("start c#0", Reason::CreateContainerError)])),
            (12, Fails(Event::Tick, &[("start c#0", Reason::StartError)])),
            (14, Fails(gone("web"), &[("stop c#1 until 44s", Reason::Failed)])),
            (14, Seen(events)),
            tick(15),
            (16, Fails(exit_in(0, 16, 1, 143, 3), &[("remove pod", Reason::Failed)])),
            (16, Seen(events)),
        ],
        "0s: start pod, [wake at 1s]
         1s: start pod, pull, [wake at 11s]
         11s: pull, start c#0, [wake at 12s]
         12s: pull, start c#0, pull, start c#1
         14s: stop c#1 until 44s, [wake at 16s]
         14s: FailedMount: no luck, Failed: no luck, Failed: Error: no luck x2, Pulled: present x3, Created: Created container c, Started: Started container c, Killing: Stopping container c, FailedKillPod: no luck, [wake at 16s]
         15s: [wake at 16s]
         16s: remove pod, [wake at 20s]
         16s: FailedMount: no luck, Failed: no luck, Failed: Error: no luck x2, Pulled: present x3, Created: Created container c, Started: Started container c, Killing: Stopping container c, FailedKillPod: no luck x2, [wake at 20s]",
    );
}

#[test]
fn what_never_succeeds_is_tried_every_few_minutes_in_the_end() {
    const POD: &[(&str, Reason)] = &[("start pod", Reason::FailedMount)];
    const IMAGE: &[(&str, Reason)] = &[("pull", Reason::ErrImagePull)];
    let story = |what: &str, fails, times: &[u64]| {
        let told = times.iter().skip(1).zip(times);
        let story = told.clone().map(|(next, at)| format!("{at}s: {what}, [wake at {next}s]"));
        let story = story.collect::<Vec<_>>().join("\n");
        let told = told.map(|(_, at)| (*at, Fails(if *at == 0 { web(ALWAYS) } else { Event::Tick }, fails)));
        check(told.collect(), &story.replacen("0s: pull", "0s: start pod, pull", 1));
    };
    story("start pod", POD, &[0, 1, 3, 7, 15, 31, 63, 127, 247, 367]);
    story("pull", IMAGE, &[0, 10, 30, 70, 150, 310, 610, 910]);
}

#[test]
fn failures_are_counted_by_their_kind() {
    check(
        vec![
            (0, Fails(web(ALWAYS), &[("pull", Reason::ErrImagePull)])),
            (10, Fails(Event::Tick, &[("pull", Reason::ErrImagePull)])),
            (30, Fails(Event::Tick, &[("start c#0", Reason::CreateContainerError)])),
            (31, Fails(Event::Tick, &[("start c#0", Reason::CreateContainerError)])),
            (33, Fails(Event::Tick, &[("pull", Reason::ErrImagePull)])),
            (33, Shown),
            (43, Fails(Event::Tick, &[("pull", Reason::ErrImagePull)])),
            (43, Shown),
        ],
        "0s: start pod, pull, [wake at 10s]
         10s: pull, [wake at 30s]
         30s: pull, start c#0, [wake at 31s]
         31s: pull, start c#0, [wake at 33s]
         33s: pull, [wake at 43s]
         33s: Pending: c waiting ErrImagePull restarts 0, [wake at 43s]
         43s: pull, [wake at 63s]
         43s: Pending: c waiting ImagePullBackOff restarts 0, [wake at 63s]",
    );
}

#[test]
fn of_a_failure_that_is_over_nothing_is_told_at_the_next() {
    check(
        vec![
            (0, Fails(web(ALWAYS), &[("pull", Reason::ErrImagePull)])),
            tick(10),
            (11, Hangs(exit_in(0, 11, 0, 1, 1), &["pull"])),
            (11, Shown),
            (12, Ends("pull", Err(Reason::ErrImagePull))),
            (12, Shown),
        ],
        "0s: start pod, pull, [wake at 10s]
         10s: pull, start c#0
         11s: pull
         11s: Running: c terminated Error 1 restarts 0
         12s: [wake at 22s]
         12s: Running: c waiting ErrImagePull after Error 1 restarts 0, [wake at 22s]",
    );
    check(
        vec![
            (0, Fails(web(ALWAYS), &[("start pod", Reason::FailedMount)])),
            (0, Seen(whys)),
            (1, Hangs(Event::Tick, &["pull"])),
            (1, Seen(whys)),
        ],
        "0s: start pod, [wake at 1s]
         0s: FailedMount: no luck, [wake at 1s]
         1s: start pod, pull
         1s:",
    );
}

#[test]
fn an_image_is_looked_for_again_in_another_sandbox() {
    check(
        vec![
            (0, Hangs(web(ALWAYS), &["start c#0"])),
            (1, Happens(lost(0))),
            (2, Ends("start c#0", Err(Reason::CreateContainerError))),
        ],
        "0s: start pod, pull, start c#0
         1s:
         2s: clean pod, start pod ', pull ', start 'c#0",
    );
}

#[test]
fn what_failed_on_a_lost_sandbox_holds_nothing_up() {
    check(
        vec![
            (0, Happens(web(ALWAYS))),
            (1, Fails(gone("web"), &[("stop c#0 until 31s", Reason::Failed)])),
            (1, Happens(lost(0))),
        ],
        "0s: start pod, pull, start c#0
         1s: stop c#0 until 31s, [wake at 2s]
         1s: clean pod, remove pod '",
    );
}
