//! From an ordinary process to the one that holds a pod: descriptors, cgroup, namespaces, socket, in this order.

use std::fs;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use nix::errno::Errno;
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::sys::prctl;
use nix::sys::signalfd::SignalFd;
use nix::sys::stat::{Mode, umask};

use super::job::{self, Answer, Job, MORE, PauseTask, Task};
use super::spawn::{self, Heard};
use super::user_namespace;
use crate::cgroup::{Hierarchy, leaf};
use crate::protocol::{Sandbox, Tmpfs};
use crate::spec::{IdMapping, Sysctl};
use crate::sys::{clock, loopback, process, seqpacket, signal};

/// What a pod process works with.
pub struct Parts {
    /// Where signals are read.
    pub signals: SignalFd,
    /// Where connections come in.
    pub listener: OwnedFd,
    /// Where cgroups are.
    pub cgroups: Hierarchy,
    /// The pod's user namespace, where it has one of its own.
    pub users: Option<Users>,
    /// The process that holds a shared PID namespace.
    pub pause: Option<i32>,
}

/// The user namespace of a pod.
pub struct Users {
    /// It itself, held.
    pub namespace: OwnedFd,
    /// Its IDs.
    pub ids: IdMapping,
}

/// libcontainer's name for the process that holds a shared PID namespace; also of its cgroup and directory. No container
/// has it: theirs end with a number.
pub const PAUSE: &str = "pause";

/// How long that process may take to start.
const PAUSE_DEADLINE: Duration = Duration::from_secs(30);

/// Lets go of everything that came from the agent but `keep`: descriptors, directory, file mode mask.
pub fn detach(keep: &[BorrowedFd<'_>]) -> Result<()> {
    let null = fs::File::options().read(true).write(true).open("/dev/null").context("open /dev/null")?;
    for number in 0..3 {
        nix::unistd::dup2(null.as_raw_fd(), number).context("put /dev/null in place")?;
    }
    drop(null);
    process::close_others(3, keep).context("close inherited descriptors (Linux 5.9 is needed)")?;
    nix::unistd::chdir("/").context("enter /")?;
    umask(Mode::from_bits_truncate(0o077));
    Ok(())
}

/// Makes the sandbox around the calling process.
pub fn make(sandbox: &Sandbox, directory: &Path) -> Result<Parts> {
    let signals = signal::block_all().context("block signals")?;
    let cgroups = Hierarchy::around(&sandbox.cgroup).context("look for cgroups")?;
    let leaf = leaf(&sandbox.cgroup);
    cgroups.create(&leaf)?;
    cgroups.enter(&leaf)?;
    prctl::set_child_subreaper(true).context("become a subreaper")?;
    set_oom_score(sandbox.oom_score_adj)?;
    prctl::set_name(c"holdfast-pod").context("set the name")?;
    prctl::set_dumpable(false).context("set not dumpable")?;
    let users = enter_namespaces(sandbox)?;
    set_sysctls(sandbox)?;
    for tmpfs in &sandbox.tmpfs {
        mount_tmpfs(tmpfs)?;
    }
    let runtime = directory.join("runtime");
    fs::create_dir_all(&runtime).with_context(|| format!("make {}", runtime.display()))?;
    let pause = sandbox
        .share_process_namespace
        .then(|| start_pause(sandbox, directory, users.as_ref()))
        .transpose()?;
    let socket = directory.join("sock");
    let listener = seqpacket::listen(&socket).with_context(|| format!("listen at {}", socket.display()))?;
    Ok(Parts { signals, listener, cgroups, users, pause })
}

/// A node without CAP_SYS_RESOURCE may not lower the score; pods run there, too.
fn set_oom_score(score: i32) -> Result<()> {
    match fs::write("/proc/self/oom_score_adj", score.to_string()) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            log::warn!("oom_score_adj {score} of the pod process is not allowed here: {error}");
            Ok(())
        }
        other => other.with_context(|| format!("set oom_score_adj to {score}")),
    }
}

/// Its user namespace, where it has one: that is not entered.
fn enter_namespaces(sandbox: &Sandbox) -> Result<Option<Users>> {
    let mut wanted = CloneFlags::CLONE_NEWNS;
    let users = sandbox
        .user_namespace
        .map(|ids| user_namespace::enter(ids).map(|namespace| Users { namespace, ids }));
    let users = users.transpose()?;
    if !sandbox.host_network && users.is_none() {
        wanted |= CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWUTS;
    }
    if !sandbox.host_ipc && users.is_none() {
        wanted |= CloneFlags::CLONE_NEWIPC;
    }
    unshare(wanted).context("make the pod's namespaces")?;
    // Later mounts of the host arrive; ours do not get out.
    let slave = MsFlags::MS_REC | MsFlags::MS_SLAVE;
    mount(None::<&str>, "/", None::<&str>, slave, None::<&str>).context("make / a slave of the host's")?;
    if !sandbox.host_network {
        loopback::up().context("set the loopback interface up")?;
        nix::unistd::sethostname(&sandbox.hostname)
            .with_context(|| format!("set the host name {:?}", sandbox.hostname))?;
    }
    Ok(users)
}

/// Of the namespaces that the calling process is in. Some kernels lack one that is only a default, and some nodes let nobody
/// write there: pods run there, too.
fn set_sysctls(sandbox: &Sandbox) -> Result<()> {
    let set = |sysctl: &Sysctl| fs::write(Path::new("/proc/sys").join(sysctl.path()), &sysctl.value);
    for sysctl in &sandbox.sysctls {
        set(sysctl).with_context(|| format!("set the sysctl {} to {:?}", sysctl.name, sysctl.value))?;
    }
    for sysctl in &sandbox.default_sysctls {
        if let Err(error) = set(sysctl) {
            log::warn!("set the sysctl {} to {:?}: {error}", sysctl.name, sysctl.value);
        }
    }
    Ok(())
}

fn mount_tmpfs(tmpfs: &Tmpfs) -> Result<()> {
    let mut flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
    let options = tmpfs.options.split(',').filter(|option| match *option {
        "noexec" => {
            flags |= MsFlags::MS_NOEXEC;
            false
        }
        "nosuid" | "nodev" | "rw" => false,
        _ => true,
    });
    let options: Vec<_> = options.collect();
    let kind = if tmpfs.huge { "hugetlbfs" } else { "tmpfs" };
    let mount =
        |options: &[&str]| mount(Some(kind), &*tmpfs.path, Some(kind), flags, Some(&*options.join(",")));
    let mounted = match mount(&options) {
        // Since Linux 6.4.
        Err(Errno::EINVAL) if options.contains(&"noswap") => {
            mount(&options.iter().copied().filter(|option| *option != "noswap").collect::<Vec<_>>())
        }
        other => other,
    };
    mounted.with_context(|| format!("mount a {kind} at {}", tmpfs.path))
}

/// Starts the process that holds the shared PID namespace, and waits for it: nothing else goes on yet.
fn start_pause(sandbox: &Sandbox, directory: &Path, users: Option<&Users>) -> Result<i32> {
    let bundle = directory.join(PAUSE);
    let runtime = directory.join("runtime");
    let task = PauseTask {
        id: PAUSE.to_owned(),
        bundle: bundle.to_string_lossy().into_owned(),
        cgroup: format!("{}/{PAUSE}", sandbox.cgroup),
    };
    let job = Job {
        runtime: runtime.to_string_lossy().into_owned(),
        nofile: sandbox.nofile,
        users: users.map(|users| job::Users { descriptor: MORE, ids: users.ids }),
        task: Task::Pause(task),
    };
    let more: Vec<_> = users.iter().map(|users| users.namespace.as_fd()).collect();
    let mut worker =
        spawn::worker(PAUSE, &job, directory, &more).context("start the PID namespace's process")?;
    let until = clock::boottime() + PAUSE_DEADLINE;
    loop {
        let left = until.saturating_sub(clock::boottime());
        if left.is_zero() {
            bail!("start the PID namespace's process: nothing heard for {PAUSE_DEADLINE:?}");
        }
        if let Some(socket) = &worker.socket {
            spawn::wait_readable(socket.as_fd(), left).context("wait for a worker")?;
        }
        match worker.answer() {
            Heard::Nothing => {}
            Heard::Answer(Answer::Started { pid }, _) => return Ok(pid),
            Heard::Answer(Answer::Failed(failure), _) => {
                bail!("start the PID namespace's process: {}", failure.message)
            }
            Heard::Gone => bail!("start the PID namespace's process: its worker died"),
        }
    }
}
