//! The disk's share of writing, begun before it is waited for.

use std::fs::File;
use std::os::fd::AsRawFd;

/// Has the kernel begin to write what is dirty of `file`, and waits for none of it, so that the disk works while more is
/// unpacked. Promises nothing: whatever must last is synced all the same, and that tells what went wrong.
pub fn begin(file: &File) {
    // SAFETY: a descriptor that is open for the call, and numbers.
    unsafe { libc::sync_file_range(file.as_raw_fd(), 0, 0, libc::SYNC_FILE_RANGE_WRITE) };
}
