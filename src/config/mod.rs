//! Flags to one plain configuration.
