//! Spec and image configuration to an OCI runtime configuration; pure.

use serde::{Deserialize, Serialize};

/// What an image says about running it (OCI image config, `config` object).
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ImageConfig {
    /// ENTRYPOINT.
    pub entrypoint: Vec<String>,
    /// CMD.
    pub cmd: Vec<String>,
    /// ENV, as `NAME=value`.
    pub env: Vec<String>,
    /// USER as written: a name or number, with an optional group after a colon; empty for root.
    pub user: String,
    /// WORKDIR; empty for `/`.
    pub working_dir: String,
    /// STOPSIGNAL as written (`SIGQUIT`, `3`); empty for SIGTERM.
    pub stop_signal: String,
}
