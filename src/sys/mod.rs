//! The kernel: the only place for `unsafe`.
#![allow(unsafe_code, reason = "every block says why it holds")]

pub mod beneath;
