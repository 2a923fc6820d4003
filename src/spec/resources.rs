//! Amounts of CPU, memory and disk.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Thousandths of a CPU.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Millicores(pub u64);

/// Bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Bytes(pub u64);

impl fmt::Display for Bytes {
    /// As a quantity with the largest suffix that leaves a whole number, one of powers of 1024 where there is such a one.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let reduced = |base: u64| {
            let places = (0..7).take_while(|place| self.0 != 0 && self.0 % base.pow(*place) == 0).last();
            places.map_or((self.0, 0), |place| (self.0 / base.pow(place), place as usize))
        };
        let ((binary, place), (decimal, other)) = (reduced(1024), reduced(1000));
        match place {
            0 => write!(f, "{decimal}{}", ["", "k", "M", "G", "T", "P", "E"][other]),
            _ => write!(f, "{binary}{}", ["", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"][place]),
        }
    }
}

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
    /// `limits.ephemeral-storage`.
    #[serde(default)]
    pub storage_limit: Option<Bytes>,
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
