//! `demo`: the main job, shown at work with no network and no registry.
//!
//! An agent of its own, in a directory of its own below /tmp, with the sample image that is this very program. Ctrl-C ends
//! everything.
//!
//! Invariant: at the end nothing is left: no process, mount, cgroup or file; what cannot be removed is named.

mod place;
mod screen;

use std::fs::File;
use std::net::{Ipv4Addr, TcpListener};
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail, ensure};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};

use super::wait::Wait;
use super::{order, print, say};
use crate::image;
use place::Place;
use screen::Screen;

/// The sample image.
const IMAGE: &str = "holdfast.local/hello";

/// How long the agent may take to exit once its pods have.
const PATIENCE: Duration = Duration::from_secs(10);

/// Runs until Ctrl-C, or until the agent ends.
pub fn demo() -> Result<()> {
    ensure!(nix::unistd::geteuid().is_root(), "the demo makes containers: run it as root");
    let mut signals = SigSet::empty();
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP, Signal::SIGCHLD] {
        signals.add(signal);
    }
    signals.thread_block()?;
    let told = SignalFd::with_flags(&signals, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)?;
    let place = Place::make()?;
    let shown = show(&place, &told);
    // All of it is tried, whatever went wrong before.
    let mut errors: Vec<String> =
        shown.into_iter().filter_map(Result::err).map(|error| format!("{error:#}")).collect();
    errors.extend(place.remove());
    ensure!(errors.is_empty(), "{}", errors.join("; "));
    print("Nothing is left.\n")
}

/// Shows everything and ends it: what became of either.
fn show(place: &Place, told: &SignalFd) -> [Result<()>; 2] {
    match prepare(place).and_then(|()| start(place)) {
        Ok(mut agent) => {
            let watched = watch(place, told, &mut agent);
            [watched, end(place, told, &mut agent)]
        }
        Err(error) => [Err(error), Ok(())],
    }
}

/// The image and the manifest, where an agent will find them.
fn prepare(place: &Place) -> Result<()> {
    image::sample(&place.program, &place.archive(), IMAGE)?;
    // Free at this moment, which is the most that can be had.
    let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|listener| listener.local_addr())?.port();
    place.write_manifest(&manifest(port))?;
    print(&introduction(place, port))
}

/// The sample manifest; the page is for this machine only.
fn manifest(port: u16) -> String {
    format!(
        "apiVersion: v1
kind: Pod
metadata:
  name: hello
spec:
  hostNetwork: true
  terminationGracePeriodSeconds: 5
  containers:
  - name: hello
    image: {IMAGE}
    imagePullPolicy: IfNotPresent
    env:
    - name: GREETING
      value: hello
    - name: HOST
      value: 127.0.0.1
    - name: PORT
      value: \"{port}\"
"
    )
}

fn introduction(place: &Place, port: u16) -> String {
    let (program, runtime) = (place.program.display(), place.runtime.root().display());
    let (manifests, log) = (place.manifests(), place.agent_log());
    let (manifests, log) = (manifests.display(), log.display());
    format!(
        "The Pods in this directory run:

  {manifests}

Ctrl-C ends and removes everything. To try, in another terminal, as root:

  cd {manifests}
  alias h='{program} --runtime-dir {runtime}'

  curl http://127.0.0.1:{port}/           # the page
  h get pods; h describe pod hello; h logs -f hello
  sed -i 's/value: hello/value: servus/' hello.yaml    # edit: see the page
  sed -i 's/^spec:/spec/' hello.yaml                   # break: it runs on
  sed -i 's/^spec$/spec:/' hello.yaml                  # repair
  curl http://127.0.0.1:{port}/crash      # kill: it is started again
  h restart hello
  mv hello.yaml ..                        # remove: it ends
  mv ../hello.yaml .                      # and begins anew
  less {log}

"
    )
}

/// An agent in a process group of its own: Ctrl-C is for us, who then end it in order.
fn start(place: &Place) -> Result<Child> {
    let log = File::create(place.agent_log())?;
    let mut agent = Command::new(&place.program);
    // Whoever looks on has no need of links that come and go on their machine.
    agent
        .args(["agent", "--pod-cidr", "none"])
        .arg("--runtime-dir")
        .arg(place.runtime.root())
        .arg("--data-dir")
        .arg(&place.data_dir);
    agent
        .arg("--log-dir")
        .arg(place.log_dir())
        .arg("--cgroup-root")
        .arg(&place.cgroup)
        .args(["--node-name", "demo"]);
    agent.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).process_group(0);
    agent.spawn().with_context(|| format!("start {}", place.program.display()))
}

/// Keeps the table up to date until a signal comes.
fn watch(place: &Place, told: &SignalFd, agent: &mut Child) -> Result<()> {
    let mut wait = Wait::new()?;
    let mut screen = Screen::default();
    loop {
        screen.show(&place.runtime, &mut wait)?;
        wait.change(&[told.as_fd()], screen.due())?;
        while let Some(signal) = told.read_signal()? {
            if signal.ssi_signo != Signal::SIGCHLD as u32 {
                say("");
                return Ok(());
            }
            if let Some(status) = agent.try_wait()? {
                return Err(ended(place, status));
            }
        }
    }
}

/// The agent ended by itself: how, and what it said last.
fn ended(place: &Place, status: ExitStatus) -> anyhow::Error {
    let log = std::fs::read_to_string(place.agent_log()).unwrap_or_default();
    let last = log.lines().last().unwrap_or("it said nothing").to_string();
    anyhow!("the agent ended by itself ({status}): {last}")
}

/// Ends all pods and the agent, in order where it listens.
fn end(place: &Place, told: &SignalFd, agent: &mut Child) -> Result<()> {
    let down = order::down(&place.runtime);
    let exited = down.is_ok() && exits(told, agent)?;
    if exited {
        return Ok(());
    }
    agent.kill()?;
    agent.wait()?;
    // Now without it.
    order::down(&place.runtime)?;
    match down {
        Ok(()) => bail!("the agent did not end after its pods and was killed"),
        Err(error) => Err(error.context("the agent did not end its pods and was killed")),
    }
}

/// Whether the agent exits in time.
fn exits(told: &SignalFd, agent: &mut Child) -> Result<bool> {
    let deadline = Instant::now() + PATIENCE;
    let mut wait = Wait::new()?;
    loop {
        if agent.try_wait()?.is_some() {
            return Ok(true);
        }
        if !wait.change(&[told.as_fd()], Some(deadline))? {
            return Ok(false);
        }
        while told.read_signal()?.is_some() {}
    }
}
