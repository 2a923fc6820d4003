//! One action, done. Each runs in a thread of its own and may block, within its own deadline.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use anyhow::{Result, anyhow};
use log::debug;

use super::client::{Client, PATIENCE};
use super::pull_image::pull_image;
use super::world::World;
use super::{hook, neighbours, probe, remake, remove_pod, start_container, start_pod};
use crate::lifecycle::{Action, Facts, Learnt, Time};
use crate::protocol::{Reply, Request, Stop};
use crate::spec::{Container, Pod};
use crate::status::{Failure, Reason};
use crate::sys::clock;

/// The kubelet never gives a process less time than this between the stop signal and SIGKILL (reference B.7).
const MIN_GRACE: Time = Time::from_secs(2);

/// An action and what it needs.
pub struct Job {
    world: Arc<World>,
    action: Action,
    pod: Arc<Pod>,
}

impl Job {
    /// `action` on the pod of `facts`.
    pub fn new(world: Arc<World>, action: Action, facts: &Facts) -> Job {
        Job { world, action, pod: facts.pod.clone() }
    }

    /// Whether it may take as long as a container runs.
    pub fn is_hook(&self) -> bool {
        matches!(self.action, Action::Hook { .. })
    }

    /// What came of it, if it could not even be tried.
    pub fn failed(&self, failure: Failure) -> (Action, Result<Learnt, Failure>) {
        (self.action.clone(), Err(failure))
    }

    /// Does it. A pod that was started comes with a connection that watches it.
    pub fn perform(self) -> (Action, Result<Learnt, Failure>, Option<OwnedFd>) {
        let mut link = None;
        let (world, pod) = (&*self.world, &*self.pod);
        let result = match &self.action {
            Action::StartPod { sandbox, .. } => anew(world, || start_pod::start_pod(world, pod, *sandbox))
                .map(|(learnt, fd)| {
                    link = Some(fd);
                    if let Learnt::Pod { addresses, .. } = &learnt {
                        neighbours::join(world, [(self.pod.clone(), addresses.clone())]);
                    }
                    learnt
                }),
            Action::PullImage { container, .. } => {
                container_of(pod, container).and_then(|it| pull_image(&self.world, pod, it))
            }
            Action::StartContainer { container, attempt, .. } => {
                container_of(pod, container).and_then(|it| {
                    let start = || start_container::start_container(world, pod, it, *attempt);
                    let started = anew(world, start);
                    remake::suspect(&self.world, it, &started);
                    started
                })
            }
            Action::StopContainer { container, attempt, until, .. } => {
                told(Reason::FailedKillPod, stop(world, pod, container, *attempt, *until))
            }
            Action::Probe { container, kind, .. } => {
                container_of(pod, container).and_then(|it| probe::ask(world, pod, it, *kind))
            }
            Action::Hook { container, attempt, kind, .. } => {
                container_of(pod, container).and_then(|it| hook::run(world, pod, it, *attempt, *kind))
            }
            Action::CleanPod { .. } => told(Reason::FailedKillPod, remove_pod::clean_pod(world, pod)),
            Action::ReleasePod { .. } => told(Reason::FailedKillPod, remove_pod::release_pod(world, pod)),
            Action::RemovePod { keep_logs, .. } => {
                told(Reason::FailedKillPod, remove_pod::remove_pod(world, pod, *keep_logs))
            }
        };
        debug!("{:?}: {result:?}", self.action);
        (self.action, result, link)
    }
}

/// Starts once more where a ConfigMap or Secret was missing that came meanwhile: the core, which wakes those that wait for
/// one, did not know yet that this one does.
fn anew<T>(world: &World, start: impl Fn() -> Result<T, Failure>) -> Result<T, Failure> {
    loop {
        let before = world.documents();
        let waits = [Reason::FailedMount, Reason::CreateContainerConfigError];
        match start() {
            Err(failure) if waits.contains(&failure.reason) && !Arc::ptr_eq(&before, &world.documents()) => {}
            done => return done,
        }
    }
}

/// An effect's chain of context as one sentence.
fn told(reason: Reason, result: Result<()>) -> Result<Learnt, Failure> {
    result.map(|()| Learnt::Done).map_err(|error| Failure::new(reason, format!("{error:#}")))
}

fn container_of<'a>(pod: &'a Pod, name: &str) -> Result<&'a Container, Failure> {
    pod.container(name).ok_or_else(|| {
        Failure::new(
            Reason::CreateContainerConfigError,
            format!("pod {} has no container {name}", pod.full_name()),
        )
    })
}

fn stop(world: &World, pod: &Pod, container: &str, attempt: u32, until: Time) -> Result<()> {
    let directory = world.runtime.pod(&pod.uid.0);
    let request = Request::Stop(Stop {
        name: container.to_owned(),
        attempt,
        signal: start_container::stop_signal(&directory.bundle(container, attempt)),
        grace: until.saturating_sub(clock::boottime()).max(MIN_GRACE),
    });
    match Client::connect(&directory.socket())?.ask(&request, PATIENCE)? {
        Reply::Done => Ok(()),
        Reply::Failed(failure) => Err(anyhow!("stop container {container}: {failure}")),
        other => Err(anyhow!("stop container {container}: an answer that fits no question: {other:?}")),
    }
}
