//! What says that a machine cannot do a thing at all, and not that it failed.

use std::io;

use crate::sys::netlink::Refused;

/// Whether the kernel has no nf_tables, or lacks a part of it, which it does not find.
pub fn lacks_rules(error: &io::Error) -> bool {
    error.raw_os_error() == Some(libc::ENOENT) || cannot(error)
}

/// The system's number for what went wrong.
pub fn errno(error: &anyhow::Error) -> Option<i32> {
    error.chain().find_map(|cause| match cause.downcast_ref::<Refused>() {
        Some(refused) => refused.cause.raw_os_error(),
        None => cause.downcast_ref::<io::Error>()?.raw_os_error(),
    })
}

/// Whether this machine cannot do it at all: a module is missing, or a right.
pub fn is_inability(error: &anyhow::Error) -> bool {
    errno(error).is_some_and(|errno| cannot(&io::Error::from_raw_os_error(errno)))
}

fn cannot(error: &io::Error) -> bool {
    use libc::{EACCES, EAFNOSUPPORT, EOPNOTSUPP, EPERM, EPROTONOSUPPORT, EROFS};
    let known = [EACCES, EAFNOSUPPORT, EOPNOTSUPP, EPERM, EPROTONOSUPPORT, EROFS];
    error.raw_os_error().is_some_and(|errno| known.contains(&errno))
}
