//! Letting rights go, for good: capabilities, user and groups.

use std::io;

use nix::unistd::{Gid, Uid, setfsgid, setfsuid, setgroups, setresgid, setresuid};

use crate::spec::CAPABILITIES;

/// Capabilities by their numbers (`linux/capability.h`): bit n is capability n.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Set(pub u64);

impl Set {
    /// This set and the capability called `name`, as `CAP_CHOWN`; `None` where there is no such capability.
    pub fn with(self, name: &str) -> Option<Set> {
        let name = name.strip_prefix("CAP_")?;
        let number = CAPABILITIES.iter().position(|known| *known == name)?;
        Some(Set(self.0 | 1 << number))
    }

    /// What is in both.
    pub fn and(self, other: Set) -> Set {
        Set(self.0 & other.0)
    }

    fn has(self, number: u32) -> bool {
        self.0 & (1 << number) != 0
    }

    fn half(self, which: usize) -> u32 {
        ((self.0 >> (32 * which)) & u64::from(u32::MAX)) as u32
    }
}

/// The capabilities of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Capabilities {
    /// What it can ever have.
    pub bounding: Set,
    /// What counts.
    pub effective: Set,
    /// What it may make count.
    pub permitted: Set,
    /// What files may hand on to a program.
    pub inheritable: Set,
    /// What every program keeps.
    pub ambient: Set,
}

/// Who a process is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Ids {
    /// User.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// All supplementary groups.
    pub groups: Vec<u32>,
}

/// Becomes `ids` with exactly `capabilities`. Nobody who is not allowed to trace whatever he likes can look into the calling
/// process, before or after.
///
/// For a process with one thread. It fails where one of the sets has what the caller lacks; an ambient capability that the
/// kernel does not take is left out, as by other runtimes.
pub fn become_only(ids: &Ids, capabilities: &Capabilities) -> io::Result<()> {
    // The last is the kernel's own affair: it knows how many there are.
    for number in 0..u64::BITS {
        if !capabilities.bounding.has(number) && !drop_bounding(number)? {
            break;
        }
    }
    let groups: Vec<Gid> = ids.groups.iter().copied().map(Gid::from_raw).collect();
    setgroups(&groups)?;
    // Else the change of user takes all of them. `execve` undoes it.
    nix::sys::prctl::set_keepcaps(true)?;
    let gid = Gid::from_raw(ids.gid);
    setresgid(gid, gid, gid)?;
    let uid = Uid::from_raw(ids.uid);
    setresuid(uid, uid, uid)?;
    // The kernel set it anew, to what `fs.suid_dumpable` says. Until here the caller had more capabilities than those who
    // might have looked in, which keeps them out as well.
    nix::sys::prctl::set_dumpable(false)?;
    set(capabilities)?;
    set_ambient(capabilities.ambient)
}

/// False where the kernel knows no capability of that number.
fn drop_bounding(number: u32) -> io::Result<bool> {
    let number = libc::c_ulong::from(number);
    // SAFETY: plain numbers.
    match unsafe { libc::prctl(libc::PR_CAPBSET_DROP, number, 0, 0, 0) } {
        0 => Ok(true),
        _ => match io::Error::last_os_error() {
            error if error.raw_os_error() == Some(libc::EINVAL) => Ok(false),
            error => Err(error),
        },
    }
}

/// `struct __user_cap_header_struct` and `_LINUX_CAPABILITY_VERSION_3` of `linux/capability.h`.
#[repr(C)]
struct Header {
    version: u32,
    pid: libc::c_int,
}
const VERSION: u32 = 0x2008_0522;

/// `struct __user_cap_data_struct`, of which there are two: the low 32 capabilities, then the high ones.
#[repr(C)]
struct Half {
    effective: u32,
    permitted: u32,
    inheritable: u32,
}

/// Sets what is effective, permitted and inheritable.
pub fn set(wanted: &Capabilities) -> io::Result<()> {
    let header = Header { version: VERSION, pid: 0 };
    let halves = [0, 1].map(|which| Half {
        effective: wanted.effective.half(which),
        permitted: wanted.permitted.half(which),
        inheritable: wanted.inheritable.half(which),
    });
    // SAFETY: the kernel reads one header and, in this version, two halves; both live until the call returns.
    let result = unsafe { libc::syscall(libc::SYS_capset, &raw const header, halves.as_ptr()) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

fn set_ambient(wanted: Set) -> io::Result<()> {
    let call = |what: libc::c_int, number: u32| {
        let (what, number) = (what as libc::c_ulong, libc::c_ulong::from(number));
        // SAFETY: plain numbers.
        unsafe { libc::prctl(libc::PR_CAP_AMBIENT, what, number, 0, 0) }
    };
    if call(libc::PR_CAP_AMBIENT_CLEAR_ALL, 0) < 0 {
        return Err(io::Error::last_os_error());
    }
    for number in (0..u64::BITS).filter(|number| wanted.has(*number)) {
        call(libc::PR_CAP_AMBIENT_RAISE, number);
    }
    Ok(())
}

/// Does something as somebody whose new files are user `id`'s and group `id`'s, and who may do all the same what the caller may.
///
/// For a process with one thread.
pub fn as_owner<T>(id: u32, what: impl FnOnce() -> T) -> io::Result<T> {
    // Else the kernel takes away what root may do with files.
    secure_bits(NO_SETUID_FIXUP)?;
    let (user, group) = (setfsuid(Uid::from_raw(id)), setfsgid(Gid::from_raw(id)));
    // These tell no errors, but who one was.
    let became = setfsuid(Uid::from_raw(id)).as_raw() == id && setfsgid(Gid::from_raw(id)).as_raw() == id;
    let done = became.then(what);
    setfsuid(user);
    setfsgid(group);
    secure_bits(0)?;
    done.ok_or_else(|| io::Error::from(io::ErrorKind::PermissionDenied))
}

/// `SECBIT_NO_SETUID_FIXUP` of `linux/securebits.h`.
const NO_SETUID_FIXUP: libc::c_ulong = 1 << 2;

fn secure_bits(bits: libc::c_ulong) -> io::Result<()> {
    // SAFETY: plain numbers.
    let result = unsafe { libc::prctl(libc::PR_SET_SECUREBITS, bits, 0, 0, 0) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_numbers_of_the_kernel() {
        for (name, number) in
            [("CAP_CHOWN", 0), ("CAP_SYS_ADMIN", 21), ("CAP_MKNOD", 27), ("CAP_CHECKPOINT_RESTORE", 40)]
        {
            assert_eq!(Set::default().with(name), Some(Set(1 << number)), "{name}");
        }
        for name in ["CHOWN", "CAP_", "CAP_chown", ""] {
            assert_eq!(Set::default().with(name), None, "{name}");
        }
    }
}
