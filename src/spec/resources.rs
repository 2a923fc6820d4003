//! Amounts of CPU and memory.

use serde::{Deserialize, Serialize};

/// Thousandths of a CPU.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Millicores(pub u64);

/// Bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Bytes(pub u64);

/// A container's `resources`; a request that is absent beside a limit has been defaulted to the limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resources {
    /// `requests.cpu`.
    pub cpu_request: Option<Millicores>,
    /// `limits.cpu`.
    pub cpu_limit: Option<Millicores>,
    /// `requests.memory`.
    pub memory_request: Option<Bytes>,
    /// `limits.memory`.
    pub memory_limit: Option<Bytes>,
}

/// Quality of service class (reference D.3).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Qos {
    /// Every container has CPU and memory limits that equal its requests.
    Guaranteed,
    /// Some container has some request or limit.
    Burstable,
    /// No container has any.
    #[default]
    BestEffort,
}
