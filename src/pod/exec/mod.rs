//! Running a command in a container, as the container itself runs: user, groups, capabilities, limits, environment.
//!
//! Without libcontainer, and by forks of this process alone, which has one thread: a probe does it every few seconds in every
//! pod. The first child enters the container and lets go of every right that the container's own process never had, where
//! nobody in there sees it: its number is one of the pod process's own PID namespace. The second is born in the container's,
//! as the first one's sibling, with nothing left to lose, and becomes the command; the first waits until it did, and tells.
//!
//! Invariant: the command is no less confined than the container's own process: what the bundle says of that is either done
//! here or is an error ([`wanted`]).
//! Invariant: a seccomp program is loaded where nobody in the container sees it, since that takes CAP_SYS_ADMIN: who may trace in
//! there could take that. With no_new_privs it takes nothing, and is the last thing before the command.
//! Invariant: the pod process's descriptors are closed in the first child before anything else, and its memory cannot be looked
//! into. So there is nothing to be got from either.

mod wanted;

use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::rc::Rc;

use anyhow::{Context, Result, ensure};
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::sched::setns;
use nix::sys::prctl;
use nix::sys::resource::setrlimit;
use nix::sys::stat::{SFlag, fstat, major, minor, umask};
use nix::unistd::{dup2, setsid};

use super::program::{self, Started, answer, limit_files};
use super::spawn::Worker;
use super::user_namespace::give_pipe;
use crate::cgroup::Hierarchy;
use crate::protocol::Exec;
use crate::spec::IdMapping;
use crate::status::{Failure, Reason};
use crate::sys::privileges::{self, Capabilities};
use crate::sys::{apparmor, process, seccomp, selinux, seqpacket, working_directory};
use wanted::Wanted;

/// A command, and where it is to run.
pub struct Entry<'a> {
    /// What was asked for.
    pub exec: &'a Exec,
    /// The container's bundle.
    pub bundle: &'a Path,
    /// Process ID of the container's own process, which is ours to reap and was not yet.
    pub pid: i32,
    /// The container's cgroup.
    pub cgroup: &'a str,
    /// Name of the command's own cgroup in there.
    pub name: &'a str,
    /// Soft and hard limit of open files where the bundle has none.
    pub nofile: (u64, u64),
    /// Where cgroups are.
    pub cgroups: &'a Hierarchy,
    /// The IDs of the pod's user namespace, where it has one of its own.
    pub users: Option<IdMapping>,
}

/// The descriptors of the first child, after the command's own three.
const SEAT: i32 = 3;
const CONTAINER: i32 = 4;

/// Begins to run the command, with `streams` as its descriptors 0, 1 and 2, or with a terminal where there are none.
pub fn begin(entry: &Entry<'_>, streams: &[BorrowedFd<'_>]) -> Result<Worker> {
    let container = process::pidfd(entry.pid).context("find the container's process")?;
    let (ours, theirs) = seqpacket::pair().context("make a socket pair")?;
    fcntl(ours.as_raw_fd(), FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).context("set non-blocking")?;
    let null = File::options().read(true).write(true).open("/dev/null").context("open /dev/null")?;
    let mut descriptors = match streams {
        [] => vec![null.as_fd(); 3],
        streams => streams.to_vec(),
    };
    ensure!(descriptors.len() == 3, "a command has three descriptors");
    descriptors.extend([theirs.as_fd(), container.as_fd()]);
    let pid = process::fork(&descriptors, || serve(entry)).context("fork")?;
    Ok(Worker { pid: pid.as_raw(), socket: Some(ours) })
}

/// All that the first child does.
fn serve(entry: &Entry<'_>) -> u8 {
    // The log is a file by its path, and paths will be the container's.
    log::set_max_level(log::LevelFilter::Off);
    let (Ok(seat), Ok(container)) = (process::inherited(SEAT), process::inherited(CONTAINER)) else {
        return 1;
    };
    // Its exit code is all that is left to tell by.
    u8::from(answer(seat.as_fd(), start(entry, container)).is_err())
}

fn start(entry: &Entry<'_>, container: OwnedFd) -> Result<Started, Failure> {
    let wrong = |error: anyhow::Error| Failure::new(Reason::RunContainerError, format!("{error:#}"));
    let terminal = entry.exec.terminal.then_some(entry.exec.size);
    let (mut program, outcome) = program::prepare(terminal).map_err(wrong)?;
    let wanted = enter(entry, container).map_err(wrong)?;
    // Else it was loaded already, and is handed on.
    program.filter = wanted.filter.clone().filter(|_| wanted.no_new_privileges).map(Rc::new);
    let environment = wanted.environment(entry.exec.terminal);
    let become_it = || {
        let ready = process::close_others(3, &program.descriptors()).and_then(|()| Ok(setsid()?));
        match ready {
            Ok(_) => drop(program.execute(&entry.exec.args, &environment)),
            Err(error) => program.complain(&format!("prepare to execute: {error}")),
        }
        1
    };
    let pid = process::fork_sibling(become_it).context("fork in the container").map_err(wrong)?;
    drop(program);
    match outcome.complaint() {
        None => Ok(Started { pid: pid.as_raw(), terminal: outcome.terminal().map_err(wrong)? }),
        Some(reason) => Err(Failure::new(Reason::StartError, reason)),
    }
}

/// Goes where the container is, and becomes as it is.
fn enter(entry: &Entry<'_>, container: OwnedFd) -> Result<Wanted> {
    prctl::set_dumpable(false).context("set not dumpable")?;
    prctl::set_name(c"holdfast-exec").context("set the name")?;
    // First of all: from here on this can be killed with all that comes of it.
    entry.cgroups.enter_below(entry.cgroup, entry.name)?;
    let wanted = wanted::read(entry.bundle)?;
    if let Some(score) = wanted.oom_score_adj {
        set_oom_score(score)?;
    }
    if let Some(ids) = entry.users {
        (0..3).try_for_each(|number| give_pipe(number, ids, (wanted.ids.uid, wanted.ids.gid)))?;
    }
    // While /proc is still the node's. A fork hands it on.
    if let Some(profile) = &wanted.apparmor {
        apparmor::on_execve(profile).with_context(|| format!("confine by the AppArmor profile {profile}"))?;
    }
    if let Some(label) = &wanted.selinux {
        selinux::on_execve(label).with_context(|| format!("give the SELinux label {label}"))?;
    }
    setns(&container, wanted.namespaces).context("enter the container's namespaces")?;
    drop(container);
    umask(wanted.umask);
    // With our own rights, as the container's own was entered; and with its user's where those have none, as on NFS. Whether
    // it leads out is asked by the program itself.
    let entered = match working_directory::enter(&wanted.directory) {
        Err(Errno::EPERM | Errno::EACCES) => false,
        other => other.map(|()| true).with_context(|| wanted.at_directory())?,
    };
    limit_files(entry.nofile)?;
    for (resource, soft, hard) in &wanted.limits {
        setrlimit(*resource, *soft, *hard).with_context(|| format!("set the limit {resource:?}"))?;
    }
    if wanted.no_new_privileges {
        prctl::set_no_new_privs().context("set no_new_privs")?;
    }
    let early = wanted.filter.is_some() && !wanted.no_new_privileges;
    let exactly = wanted.capabilities;
    // Held back, so that nothing below is done with it.
    let lent =
        if early { exactly.permitted.with(ADMIN).context("no CAP_SYS_ADMIN")? } else { exactly.permitted };
    let until_then = Capabilities { permitted: lent, ..exactly };
    privileges::become_only(&wanted.ids, &until_then).context("drop privileges")?;
    if !entered {
        working_directory::enter(&wanted.directory).with_context(|| wanted.at_directory())?;
    }
    // A terminal takes their place.
    if !entry.exec.terminal {
        reopen_null()?;
    }
    if let Some(filter) = wanted.filter.as_deref().filter(|_| early) {
        privileges::set(&Capabilities { effective: lent, ..until_then })
            .context("take what loads seccomp programs")?;
        seccomp::load(filter).context("load the container's seccomp program")?;
        privileges::set(&exactly).context("give it back, which the seccomp program must permit (capset)")?;
    }
    Ok(wanted)
}

/// What it takes to load a seccomp program without no_new_privs.
const ADMIN: &str = "CAP_SYS_ADMIN";

/// Where a descriptor is the node's /dev/null, it becomes the container's own: what is behind a descriptor can be given other
/// permissions by whoever has it.
fn reopen_null() -> Result<()> {
    let is_null = |of: RawFd| -> Result<bool> {
        let stat = fstat(of)?;
        let character = SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT == SFlag::S_IFCHR;
        Ok(character && (major(stat.st_rdev), minor(stat.st_rdev)) == NULL)
    };
    for number in 0..3 {
        if is_null(number).context("look at a descriptor")? {
            // Whatever stands there is only opened, with the container's own rights.
            let flags = libc::O_NOCTTY | libc::O_NONBLOCK | libc::O_NOFOLLOW;
            let own = File::options().read(true).write(true).custom_flags(flags).open("/dev/null");
            let own = own.context("open the container's /dev/null")?;
            ensure!(is_null(own.as_raw_fd())?, "the container's /dev/null is something else");
            dup2(own.as_raw_fd(), number).context("put /dev/null in place")?;
        }
    }
    Ok(())
}

/// The device number of /dev/null (Linux, `Documentation/admin-guide/devices.txt`).
const NULL: (u64, u64) = (1, 3);

/// As for the container's own process, which has the score that is allowed here; ours may be higher where it cannot be lowered.
fn set_oom_score(score: i64) -> Result<()> {
    match fs::write("/proc/self/oom_score_adj", score.to_string()) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(()),
        other => other.with_context(|| format!("set oom_score_adj to {score}")),
    }
}
