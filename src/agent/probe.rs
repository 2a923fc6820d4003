//! Asking a probe once.
//!
//! Commands run through the pod process, as those of `holdfast exec` do. What goes over the network is asked from the pod's
//! network namespace, by a thread that lives for that one question: which network a thread is in is its own affair.

use std::fs::File;
use std::sync::PoisonError;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use nix::sched::{CloneFlags, setns};

use super::client::Client;
use super::command;
use super::tally::Run;
use super::world::World;
use crate::bundle;
use crate::lifecycle::{Learnt, Outcome};
use crate::probe::{self, Answer, Deadline};
use crate::spec::{Check, Container, HttpGet, Pod, Probe, ProbeKind};
use crate::status::{Failure, Reason};
use crate::sys::clock;

/// How often what went wrong on our side is tried at once, as in the kubelet.
const TRIES: usize = 3;

/// Asks the probe of `kind` of `container`. Fails where it could not be asked.
pub fn ask(world: &World, pod: &Pod, container: &Container, kind: ProbeKind) -> Result<Learnt, Failure> {
    let name = &container.name;
    let probe = container.probes.get(kind);
    let probe = probe.ok_or_else(|| {
        Failure::new(Reason::Unhealthy, format!("container {name} has no {} probe", kind.word()))
    })?;
    let (begun, before) = (clock::boottime(), clock::of_thread());
    let mut cpu = Duration::ZERO;
    let result = tried(|| match &probe.check {
        Check::Exec(command) => execute(world, pod, container, command, probe, &mut cpu),
        _ => over_network(world, pod, probe, &mut cpu),
    });
    let run = Run {
        answer: match &result {
            Ok((Outcome::Success, _)) => "success",
            Ok((Outcome::Warning, _)) => "warning",
            Ok((Outcome::Failure, _)) => "failure",
            Err(_) => "error",
        },
        wall: clock::boottime().saturating_sub(begun),
        cpu: cpu + clock::of_thread().saturating_sub(before),
    };
    let mut tally = world.probes.lock().unwrap_or_else(PoisonError::into_inner);
    tally.note((pod, container, kind, probe), &run, &world.runtime.probes());
    match result {
        Ok((outcome, message)) => Ok(Learnt::Probed { outcome, message }),
        Err(error) => Err(Failure::new(Reason::Unhealthy, format!("{error:#}"))),
    }
}

/// What `ask` comes to, after a few tries where it goes wrong.
fn tried(mut ask: impl FnMut() -> Result<Answer>) -> Result<Answer> {
    let mut result = ask();
    for _ in 1..TRIES {
        if result.is_ok() {
            break;
        }
        result = ask();
    }
    result
}

fn over_network(world: &World, pod: &Pod, probe: &Probe, cpu: &mut Duration) -> Result<Answer> {
    let network = network(world, pod)?;
    let address = own_address(world, pod);
    let host = |host: Option<&String>| host.cloned().or_else(|| address.clone());
    let check = || -> Result<Answer> {
        enter(network.as_ref())?;
        let deadline = Deadline::after(probe.timeout);
        match &probe.check {
            Check::Http(get) => {
                Ok(probe::get(&HttpGet { host: host(get.host.as_ref()), ..get.clone() }, deadline))
            }
            Check::Tcp { host: at, port } => Ok(probe::tcp(host(at.as_ref()).as_deref(), *port, deadline)),
            Check::Grpc { port, service } => {
                Ok(probe::grpc(host(None).as_deref(), *port, service, probe.timeout, deadline))
            }
            Check::Exec(_) => bail!("a command does not go over the network"),
        }
    };
    let measured = || (check(), clock::of_thread());
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().name("probe".to_owned());
        let thread = thread.spawn_scoped(scope, measured).context("start a thread")?;
        let (answer, used) = thread.join().map_err(|_| anyhow!("the probe's thread panicked"))?;
        *cpu += used;
        answer
    })
}

/// Where a check goes that names no host: to the pod's own address, as a kubelet's does, so that a server that listens on the
/// pod's loopback alone is not well. `None` for the loopback, where the pod has no address.
pub fn own_address(world: &World, pod: &Pod) -> Option<String> {
    world.network.addresses(&pod.uid.0).first().map(ToString::to_string)
}

/// The network namespace of `pod`, where it has one of its own.
pub fn network(world: &World, pod: &Pod) -> Result<Option<File>> {
    match pod.host_network {
        true => Ok(None),
        false => Client::connect(&world.runtime.pod(&pod.uid.0).socket())?.network().map(Some),
    }
}

/// Takes this thread, and nothing else, into `network`.
pub fn enter(network: Option<&File>) -> Result<()> {
    let enter = |network| setns(network, CloneFlags::CLONE_NEWNET).context("enter the pod's network");
    network.map_or(Ok(()), enter)
}

fn execute(
    world: &World,
    pod: &Pod,
    container: &Container,
    command: &[String],
    probe: &Probe,
    cpu: &mut Duration,
) -> Result<Answer> {
    let args = bundle::expand_static(command, &container.env);
    let deadline = Deadline::after(probe.timeout);
    let ended = command::run(world, pod, container, args.clone(), Some(probe.timeout))?;
    *cpu += ended.cpu;
    let late = || format!("command timed out: \"{}\" timed out after {:?}", args.join(" "), probe.timeout);
    match ended.code {
        _ if deadline.left().is_none() => Ok((Outcome::Failure, late())),
        Ok(0) => Ok((Outcome::Success, ended.output)),
        Ok(_) => Ok((Outcome::Failure, ended.output)),
        Err(failure) => bail!("{}", failure.message),
    }
}
