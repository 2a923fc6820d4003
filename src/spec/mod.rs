//! What the operator asked for: validated, defaulted, plain data, free of `Option` where Kubernetes has a default.
//!
//! A [`Pod`] is also written to disk beside its pod process (`spec.json`), so that an agent that was restarted goes on
//! with what was accepted, whatever the manifest says by then.
//!
//! Invariant: a pod's spec never changes; changed bytes are another [`Uid`].
//! Invariant: fields are added with `#[serde(default)]` only, since an older agent's `spec.json` must stay readable.

mod document;
mod lifecycle;
mod network;
mod pod;
mod probe;
mod range;
mod resources;
mod restart;
mod security;
mod source;
mod sysctl;
mod users;
mod volume;

pub use document::{Document, DocumentName, Documents, Kind, Value};
pub use lifecycle::{Hook, HookKind, Hooks, TerminationMessage};
pub use network::{DnsConfig, DnsPolicy, HostAlias, HostPort, Protocol};
pub use pod::{Container, EnvVar, MountPropagation, Pod, PullPolicy, Role, SubPath, Uid, VolumeMount};
pub use probe::{Check, HttpGet, Probe, ProbeKind, Probes, Scheme};
pub use range::Range;
pub use resources::{Bytes, Millicores, Qos, Resources};
pub use restart::{RestartAction, RestartPolicy, RestartRule};
pub use security::{ALL_CAPABILITIES, AppArmor, CAPABILITIES, Seccomp, Security, SelinuxOptions};
pub use source::{Address, Allocatable, DownwardFile, EnvFrom, Item, Projection, Resource, ValueSource};
pub use sysctl::{Sysctl, SysctlNamespace, sysctl_name};
pub use users::IdMapping;
pub use volume::{HostPathType, Volume, VolumeSource};
