//! What the end of each action teaches.

use std::time::Duration;

use super::container::{EXIT_NOT_STARTED, State};
use super::facts::SandboxState;
use super::order::Over;
use super::report::container_id;
use super::{Action, Learnt, Node, Now, RunEnd};
use crate::spec::Uid;
use crate::status::{EventKind, Exit, Failure, Reason};

impl Node {
    pub(super) fn done(&mut self, now: Now, action: Action, result: Result<Learnt, Failure>) {
        match (action, result) {
            (Action::StartPod { uid, sandbox }, result) => self.pod_started(now, &uid, sandbox, result),
            (Action::PullImage { uid, container, .. }, result) => self.pulled(now, &uid, &container, result),
            (Action::StartContainer { uid, sandbox, container, attempt }, result) => {
                self.container_started(now, &uid, sandbox, &container, attempt, result);
            }
            (Action::StopContainer { uid, sandbox, container, attempt, .. }, Ok(_)) => {
                self.of(&uid, |facts| {
                    if facts.is_up(sandbox) {
                        facts.container(&container).into_iter().for_each(|known| known.stops(attempt));
                    }
                });
            }
            (action @ Action::Probe { .. }, result) => self.probed(now, action, result),
            (action @ Action::Hook { .. }, result) => self.hooked(now, action, result),
            (Action::CleanPod { uid, .. }, Ok(_)) => {
                let back_off = self.back_off;
                self.of(&uid, |facts| facts.cleaned(now, &back_off));
            }
            (Action::ReleasePod { uid, .. }, Ok(_)) => {
                let back_off = self.back_off;
                self.of(&uid, |facts| {
                    facts.cleaned(now, &back_off);
                    facts.released = true;
                });
            }
            (Action::RemovePod { uid, .. }, Ok(_)) => self.removed(now, &uid),
            (
                Action::StopContainer { uid, .. }
                | Action::CleanPod { uid, .. }
                | Action::ReleasePod { uid, .. }
                | Action::RemovePod { uid, .. },
                Err(failure),
            ) => self.hold(now, &uid, Reason::FailedKillPod, failure),
        }
    }

    fn pod_started(&mut self, now: Now, uid: &Uid, sandbox: u32, result: Result<Learnt, Failure>) {
        match result {
            Ok(Learnt::Pod { addresses, attempts }) => self.of(uid, |facts| {
                if facts.sandbox.number != sandbox || facts.sandbox.state != SandboxState::Absent {
                    return;
                }
                facts.sandbox.state = SandboxState::Up;
                facts.sandbox.up_since = now.boot;
                facts.sandbox.failure = None;
                facts.sandbox.addresses = addresses;
                let pod = facts.pod.clone();
                for known in &mut facts.containers {
                    let Some(attempt) = attempts.get(&known.name) else { continue };
                    match known.state {
                        State::Waiting { .. } => known.attempt = known.attempt.max(*attempt),
                        _ => known.ran_unseen(&pod, attempt.saturating_sub(1), now),
                    }
                }
            }),
            Ok(_) => (),
            // The kubelet sees to huge pages and to the volumes before it makes a sandbox, and says so.
            Err(failure) if matches!(failure.reason, Reason::OutOfhugepages | Reason::FailedMount) => {
                self.hold(now, uid, failure.reason, failure);
            }
            Err(failure) if matches!(failure.reason, Reason::SysctlForbidden | Reason::AppArmor) => {
                self.of(uid, |facts| {
                    let (reason, message) = (failure.reason, failure.message.clone());
                    facts.history.note(now.wall, EventKind::Warning, reason, None, message);
                    facts.over = Some((Over::Rejected, now.stamp()));
                    facts.sandbox.failure = Some(failure);
                })
            }
            Err(failure) => self.hold(now, uid, Reason::FailedCreatePodSandBox, failure),
        }
    }

    fn pulled(&mut self, now: Now, uid: &Uid, container: &str, result: Result<Learnt, Failure>) {
        let back_off = self.back_off;
        self.of(uid, |facts| {
            let Some(known) = facts.container(container) else { return };
            match result {
                Ok(Learnt::Image { id, message, volumes }) => {
                    known.image = Some(id);
                    known.volume_images = volumes;
                    facts.history.note(now.wall, EventKind::Normal, Reason::Pulled, Some(container), message);
                }
                Ok(Learnt::Pulling { message }) => {
                    let waits = |failure: &Failure| failure.reason == Reason::ContainerCreating;
                    let begins = !known.failure.as_ref().is_some_and(waits);
                    known.pulls(message.clone(), now);
                    if begins {
                        let (kind, reason) = (EventKind::Normal, Reason::Pulling);
                        facts.history.note(now.wall, kind, reason, Some(container), message);
                    }
                }
                Ok(_) => (),
                // It comes, or its absence is told in a moment: no reason to worry anybody.
                Err(failure) if failure.reason == Reason::ContainerCreating => {
                    known.hold(failure, |_| back_off.pull(1), now);
                }
                Err(failure) => {
                    known.hold(failure.clone(), |failures| back_off.pull(failures), now);
                    let history = &mut facts.history;
                    history.note(
                        now.wall,
                        EventKind::Warning,
                        Reason::Failed,
                        Some(container),
                        failure.message,
                    );
                }
            }
        });
    }

    fn container_started(
        &mut self,
        now: Now,
        uid: &Uid,
        sandbox: u32,
        container: &str,
        attempt: u32,
        result: Result<Learnt, Failure>,
    ) {
        let back_off = self.back_off;
        self.of(uid, |facts| {
            if !facts.is_up(sandbox) {
                // It began in a sandbox that was lost meanwhile: its number is spent.
                let pod = facts.pod.clone();
                if let (Ok(Learnt::Started { at }), Some(known)) = (result, facts.container(container)) {
                    known.started(attempt, at, now.boot);
                    known.lost(&pod, now);
                }
                return;
            }
            let id = container_id(&facts.pod, container, attempt);
            let Some(known) = facts.container(container) else { return };
            match result {
                Ok(Learnt::Started { at }) => {
                    known.started(attempt, at, now.boot);
                    let history = &mut facts.history;
                    let (created, started) =
                        (format!("Created container {container}"), format!("Started container {container}"));
                    history.note(now.wall, EventKind::Normal, Reason::Created, Some(container), created);
                    history.note(now.wall, EventKind::Normal, Reason::Started, Some(container), started);
                }
                Ok(_) => (),
                Err(failure) => {
                    let message = format!("Error: {}", failure.message);
                    match failure.reason {
                        // Its process could not be started: that was a run, as under containerd.
                        Reason::StartError => {
                            let exit = not_started(failure, now, id);
                            let (container, finished) = (container.to_owned(), now.boot);
                            let end = RunEnd { container, attempt, exit, finished, ran: Duration::ZERO };
                            known.exited(&end, &back_off);
                        }
                        _ => known.hold(failure, |failures| back_off.hold(failures), now),
                    }
                    facts.history.note(
                        now.wall,
                        EventKind::Warning,
                        Reason::Failed,
                        Some(container),
                        message,
                    );
                }
            }
        });
    }

    fn removed(&mut self, now: Now, uid: &Uid) {
        let Some(facts) = self.pods.remove(uid) else { return };
        if facts.again && !self.going_down {
            self.changed.insert(uid.clone());
            self.pods.insert(uid.clone(), facts.reborn(now));
        } else {
            self.gone.push(uid.clone());
        }
    }

    fn hold(&mut self, now: Now, uid: &Uid, reason: Reason, failure: Failure) {
        let back_off = self.back_off;
        self.of(uid, |facts| {
            facts.history.note(now.wall, EventKind::Warning, reason, None, failure.message.clone());
            facts.hold(failure, now, &back_off);
        });
    }
}

fn not_started(failure: Failure, now: Now, container_id: String) -> Exit {
    Exit {
        code: EXIT_NOT_STARTED,
        signal: None,
        reason: Reason::StartError,
        message: failure.message,
        started: now.wall,
        finished: now.wall,
        container_id,
    }
}
