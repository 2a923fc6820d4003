//! The seam between the agent, a pod process and the command line: messages and files, as plain data.
//!
//! A pod process may live for years under newer agents, so everything here is additive: fields are added with
//! `#[serde(default)]`, variants only where an older peer is never sent them ([`Hello::version`] tells).
//!
//! Transport: a Unix socket of type `SOCK_SEQPACKET` at `<runtime-dir>/pods/<uid>/sock`, one JSON document a packet, at
//! most [`MAX_PACKET`] bytes. A connection carries one [`Request`] at a time; each is answered by one [`Reply`], except
//! [`Request::Watch`], after which the pod process sends a [`Reply::Notice`] for everything that happens, until the
//! connection ends. The end of a watching connection is the end of the pod process.
//!
//! Invariant: an exit is in the pod process's journal before it is told.
//! Invariant: nothing here touches the world.

mod message;
mod record;
mod sandbox;

pub use message::{
    Attach, Exec, Exited, FileLabels, Hello, Layers, LogFile, Notice, Overlay, Propagation, Reply, Request,
    RunState, Size, StartContainer, State, Stdin, Stop, SubPath, VOLUMES,
};
pub use record::log_record;
pub use sandbox::{Sandbox, Tmpfs};

/// Version of the protocol that this build speaks. Raised when a peer must know the difference.
///
/// 2: [`Request::Attach`], terminals and stdin of containers, and terminals of commands made in the container.
/// 3: [`SubPath`].
/// 4: security contexts.
/// 5: [`SubPath::image`].
/// 6: [`StartContainer::device_rules`], and AppArmor profiles of commands.
/// 7: [`Sandbox::user_namespace`].
/// 8: [`Sandbox::selinux_level`], [`StartContainer::labels`].
pub const VERSION: u32 = 8;

/// The first version whose pod processes know terminals, stdin and [`Request::Attach`].
pub const TERMINALS: u32 = 2;

/// The first version whose pod processes mount parts of volumes.
pub const SUB_PATHS: u32 = 3;

/// The first version whose pod processes do all that a security context asks for.
pub const SECURITY: u32 = 4;

/// The first version whose pod processes mount images as volumes.
pub const IMAGES: u32 = 5;

/// The first version whose pod processes make device rules hold on cgroup v2, and give commands the AppArmor profile of their
/// container.
pub const CONFINEMENT: u32 = 6;

/// The first version whose pod processes make user namespaces.
pub const USERS: u32 = 7;

/// Longest packet, in bytes: far above any message, far below the default socket buffer (212,992).
pub const MAX_PACKET: usize = 128 * 1024;
