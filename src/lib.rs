//! holdfast runs the Pods found in a directory: one static binary, no cluster, no containerd, no kubelet.
//!
//! The areas, lowest first; an area uses lower ones only (`tests/tidy.rs` checks it). ARCHITECTURE.md is the map.

pub mod spec;
pub mod status;
pub mod yaml;

pub mod api;
pub mod config;
pub mod sys;
pub mod tls;

pub mod bundle;
pub mod host;
pub mod http;
pub mod lifecycle;
pub mod manifest;
pub mod protocol;
pub mod seccomp;

pub mod cgroup;
pub mod image;
pub mod network;
pub mod probe;
pub mod volume;

pub mod registry;

pub mod agent;
pub mod cli;
pub mod pod;
