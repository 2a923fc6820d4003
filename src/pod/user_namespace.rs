//! The user namespace of a pod with `hostUsers: false`, and the namespaces that belong to it.
//!
//! The pod process stays who it is, since nobody comes back from a user namespace that he entered. So a child makes it, and then the
//! pod's network, IPC and UTS namespaces, which are that user namespace's thereby: who is root in the pod may do there what root
//! may. The child ends when the pod process is in these too.

use std::fs;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd, RawFd};

use anyhow::{Context, Result};
use nix::errno::Errno;
use nix::sched::{CloneFlags, setns, unshare};
use nix::sys::stat::{SFlag, fstat};
use nix::sys::wait::waitpid;
use nix::unistd::{Gid, Uid, fchown};

use crate::spec::IdMapping;
use crate::sys::{process, seqpacket};

/// What belongs to the user namespace, and the pod process enters.
const ITS_OWN: CloneFlags =
    CloneFlags::CLONE_NEWNET.union(CloneFlags::CLONE_NEWIPC).union(CloneFlags::CLONE_NEWUTS);

/// Makes them and enters all but the user namespace, which is what comes back.
pub fn enter(ids: IdMapping) -> Result<OwnedFd> {
    let (ours, theirs) = seqpacket::pair().context("make a socket pair")?;
    let child = process::fork(&[theirs.as_fd()], make).context("fork")?;
    drop(theirs);
    let entered = adopt(ours.as_fd(), child.as_raw(), ids);
    // By this it ends.
    drop(ours);
    waitpid(child, None).context("wait for the process that made the namespaces")?;
    entered
}

/// The child's part: each step is told, and the next one waits for an answer.
fn make() -> u8 {
    let Ok(seat) = process::inherited(0) else { return 1 };
    for step in [CloneFlags::CLONE_NEWUSER, ITS_OWN] {
        let done = unshare(step).map_or_else(|error| error as i32, |()| 0);
        let told = seqpacket::send(seat.as_fd(), &done.to_ne_bytes(), &[]);
        if done != 0 || told.is_err() || !matches!(seqpacket::recv(seat.as_fd(), 1), Ok(Some(_))) {
            break;
        }
    }
    0
}

fn adopt(seat: BorrowedFd<'_>, child: i32, ids: IdMapping) -> Result<OwnedFd> {
    heard(seat).map_err(refused).context("make the pod's user namespace")?;
    let mapping = format!("0 {} {}\n", ids.host_id, ids.length);
    for file in ["uid_map", "gid_map"] {
        let path = format!("/proc/{child}/{file}");
        fs::write(&path, &mapping).with_context(|| format!("write {:?} to {path}", mapping.trim()))?;
    }
    seqpacket::send(seat, &[0], &[]).context("go on")?;
    heard(seat).map_err(anyhow::Error::from).context("make the pod's namespaces")?;
    let pidfd = process::pidfd(child).context("find who made the pod's namespaces")?;
    setns(&pidfd, ITS_OWN).context("enter the pod's namespaces")?;
    let users = fs::File::open(format!("/proc/{child}/ns/user")).context("hold the pod's user namespace")?;
    Ok(users.into())
}

/// Waits for what came of a step.
fn heard(seat: BorrowedFd<'_>) -> Result<(), Errno> {
    let told = seqpacket::recv(seat, 4).ok().flatten().and_then(|packet| packet.bytes.try_into().ok());
    match told.map(i32::from_ne_bytes) {
        Some(0) => Ok(()),
        Some(error) => Err(Errno::from_raw(error)),
        // It died.
        None => Err(Errno::ESRCH),
    }
}

/// What is behind it, and what can be done.
fn refused(error: Errno) -> anyhow::Error {
    const ELSE: &str = "or let the pod do without by hostUsers: true";
    match error {
        Errno::ENOSPC => anyhow::anyhow!(
            "this node permits no more of them: raise the limit (sysctl -w user.max_user_namespaces=15000), {ELSE}"
        ),
        Errno::EINVAL => anyhow::anyhow!("this kernel has none: use one with CONFIG_USER_NS, {ELSE}"),
        other => anyhow::anyhow!("{}: ask the node's security module why, {ELSE}", other.desc()),
    }
}

/// Gives a pipe to a user of the pod, who may open it again by `/dev/stdout`, as with other runtimes. What is no pipe stays whose it
/// is.
pub fn give_pipe(number: RawFd, ids: IdMapping, (uid, gid): (u32, u32)) -> Result<()> {
    let mode = fstat(number).context("look at a descriptor")?.st_mode;
    if SFlag::from_bits_truncate(mode) & SFlag::S_IFMT != SFlag::S_IFIFO {
        return Ok(());
    }
    let (uid, gid) = (ids.on_host(uid).map(Uid::from_raw), ids.on_host(gid).map(Gid::from_raw));
    fchown(number, uid, gid).context("give a pipe to its user")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_has_no_user_namespace_is_told_what_to_do() {
        for (error, words) in [
            (Errno::ENOSPC, "sysctl -w user.max_user_namespaces"),
            (Errno::EINVAL, "CONFIG_USER_NS"),
            (Errno::EPERM, "Operation not permitted"),
        ] {
            let told = refused(error).to_string();
            assert!(told.contains(words) && told.contains("hostUsers: true"), "{told}");
        }
    }
}
