//! The agent: one loop around the core.
