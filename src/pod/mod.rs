//! The pod process and its workers.
