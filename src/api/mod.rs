//! The outside shape of spec and status: core/v1 objects and the published files.
//!
//! What is made here is what a kubelet would publish of the same pod, field by field (`tests.rs` holds one that did), and
//! reads back as `k8s_openapi::api::core::v1`. It is made as plain JSON, since the object that a manifest became is kept
//! as JSON: nothing in it is lost or renamed on the way.
//!
//! Invariant: nothing here touches the world; times are given.

mod event;
mod node;
mod pod;
pub mod published;
mod time;

#[cfg(test)]
mod tests;

pub use event::{NodeEvent, event, node_event};
pub use node::{Amounts, Lack, Machine, Named, Pressure, Strain, node};
pub use pod::pod;
pub use time::{nanoseconds, seconds};
