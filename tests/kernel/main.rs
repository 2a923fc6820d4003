//! Stories with the real binary and a real kernel: namespaces, cgroups, mounts, signals. Root needed.
//!
//! Each story has a [`harness::World`] of its own and leaves nothing. Numbers such as 1.04 are rows of the project's
//! acceptance list: what kubelet's own tests assert.

#![allow(missing_docs, reason = "each name is a sentence")]
#![allow(clippy::unwrap_used, reason = "a story that cannot go on has failed")]

mod harness;
#[path = "../openssl/mod.rs"]
mod openssl;
#[path = "../origin/mod.rs"]
mod origin;

mod air_gap;
mod chaos;
mod collection;
mod config;
mod containers;
mod copy;
mod damage;
mod demo;
mod devices;
mod directory;
mod doctor;
mod eviction;
mod examples;
mod flows;
mod get;
mod harness_itself;
mod hooks;
mod host_paths;
mod host_ports;
mod hostile_images;
mod https;
mod huge_pages;
mod image_volumes;
mod images_by_hand;
mod isolation;
mod lan;
mod last_good;
mod last_words;
mod lifecycle;
mod logs;
mod manifests;
mod names;
mod neighbours;
mod network;
mod node;
mod order;
mod port_forward;
mod probes;
mod published;
mod redis;
mod refusals;
mod registry;
mod repair;
mod resources;
mod security;
mod servers;
mod service;
mod sidecars;
mod soak;
mod standing;
mod sub_paths;
mod survival;
mod terminal;
mod termination;
mod turnover;
mod user_namespaces;
mod values;
mod volumes;

use harness::debian;
