//! The kernel: the only place for `unsafe`.
//!
//! Small functions over descriptors and paths that keep no state of their own. What `nix` says safely is used as it is;
//! here is what it lacks, or what would be wrong to say twice.
//!
//! Invariant: every descriptor made here is close-on-exec from birth.
#![allow(unsafe_code, reason = "every block says why it holds")]

pub mod apparmor;
pub mod atomic;
pub mod beneath;
pub mod clock;
pub mod device_program;
pub mod lock;
pub mod loopback;
pub mod mount_tree;
pub mod netlink;
pub mod privileges;
pub mod process;
pub mod regular;
pub mod seccomp;
pub mod selinux;
pub mod seqpacket;
pub mod signal;
pub mod terminal;
pub mod untouchable;
pub mod working_directory;
pub mod write_back;
