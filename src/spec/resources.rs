//! Amounts of CPU, memory and disk: what containers ask for and may use, and what a pod does.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Container, Pod};

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
            let places =
                (0..7).take_while(|place| self.0 != 0 && self.0.is_multiple_of(base.pow(*place))).last();
            places.map_or((self.0, 0), |place| (self.0 / base.pow(place), place as usize))
        };
        let ((binary, place), (decimal, other)) = (reduced(1024), reduced(1000));
        match place {
            0 => write!(f, "{decimal}{}", ["", "k", "M", "G", "T", "P", "E"][other]),
            _ => write!(f, "{binary}{}", ["", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"][place]),
        }
    }
}

/// The `resources` of a container or pod; a request that is absent beside a limit has been defaulted to the limit.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
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
    /// `limits.hugepages-<size>`, which the requests equal, by the size of a page in bytes.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub huge_pages: BTreeMap<u64, Bytes>,
}

impl Pod {
    /// What it asks for and may use as a whole: what it says itself, and of what it does not say what its containers do together
    /// at the dearest moment of its life. There is a limit only where all containers have one: else the pod's would bind the
    /// one that has none.
    pub fn together(&self) -> Resources {
        let own = self.resources.clone().unwrap_or_default();
        let asked =
            |of: &dyn Fn(&Resources) -> Option<u64>| self.dearest(|wanted| Some(of(wanted).unwrap_or(0)));
        let limit = |of: &dyn Fn(&Resources) -> Option<u64>| self.dearest(of).filter(|limit| *limit > 0);
        let cpu = asked(&|of| of.cpu_request.or(of.cpu_limit).map(|cpu| cpu.0)).map(Millicores);
        let memory = asked(&|of| of.memory_request.or(of.memory_limit).map(|memory| memory.0)).map(Bytes);
        let sizes: BTreeSet<u64> =
            self.containers.iter().flat_map(|it| it.resources.huge_pages.keys()).copied().collect();
        let mut huge_pages = own.huge_pages;
        for size in sizes {
            let sum = asked(&|of| of.huge_pages.get(&size).map(|bytes| bytes.0));
            huge_pages.entry(size).or_insert(Bytes(sum.unwrap_or(0)));
        }
        Resources {
            cpu_request: own.cpu_request.or(cpu),
            cpu_limit: own.cpu_limit.or_else(|| limit(&|of| of.cpu_limit.map(|cpu| cpu.0)).map(Millicores)),
            memory_request: own.memory_request.or(memory),
            memory_limit: own.memory_limit.or_else(|| limit(&|of| of.memory_limit.map(|it| it.0)).map(Bytes)),
            huge_pages,
            ..Resources::default()
        }
    }

    /// What `container` asks for, and what it may use: where it says nothing of that, what its pod may.
    pub fn of_container(&self, container: &Container) -> Resources {
        let mut of = container.resources.clone();
        if let Some(own) = &self.resources {
            of.cpu_limit = of.cpu_limit.or(own.cpu_limit);
            of.memory_limit = of.memory_limit.or(own.memory_limit);
            own.huge_pages.iter().for_each(|(size, bytes)| {
                of.huge_pages.entry(*size).or_insert(*bytes);
            });
        }
        of
    }
}

/// Quality of service class (reference D.3).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Qos {
    /// Every container, or the pod itself, has CPU and memory limits that equal its requests.
    Guaranteed,
    /// Some container, or the pod itself, has some request or limit.
    Burstable,
    /// None has any.
    #[default]
    BestEffort,
}
