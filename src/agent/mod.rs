//! The agent: one loop around the core.

use anyhow::{Result, bail};

use crate::config;

/// Runs the agent until it is told to end.
pub fn run(_config: config::Agent) -> Result<()> {
    bail!("the agent is not built yet")
}

/// Ends what an agent that is gone left running.
pub fn down(_config: config::Agent) -> Result<()> {
    bail!("the agent is not built yet")
}
