//! Which pod has which address: numbers within the node's ranges, the same in each. Written down before they are used.
//!
//! Invariant: a number that was given back is the last to be given out again, so that whoever still speaks to a pod that is
//! gone does not meet another.

use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::spec::Range;
use crate::sys::atomic;

/// The node's own number in each range; the number before it is the range's name.
pub const NODE: u32 = 1;
/// The highest number: it is in a link's name, which has room for five digits.
const HIGHEST: u32 = 65_534;

/// What is known of the pods' addresses; also what is written down.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Leases {
    /// What bridge and links are called, and begin with.
    pub name: String,
    /// At most one of each family; none until a pod asks for an address.
    pub ranges: Vec<Range>,
    /// The number that was given out last.
    pub last: u32,
    /// By the pod's UID.
    pub pods: BTreeMap<String, u32>,
}

impl Leases {
    /// What an earlier agent wrote to `path`; `None` where it wrote nothing, or nothing that can be read.
    pub fn read(path: &Path) -> Option<Leases> {
        serde_json::from_slice(&std::fs::read(path).ok()?).ok()
    }

    /// Writes them to `path`.
    pub fn write(&self, path: &Path) -> io::Result<()> {
        atomic::replace(path, &serde_json::to_vec(self)?, 0o600)
    }

    /// A number for `uid`: the one that it has, else the next that is free; `None` where there is none.
    pub fn lease(&mut self, uid: &str) -> Option<u32> {
        if let Some(number) = self.pods.get(uid) {
            return Some(*number);
        }
        let highest = self.highest();
        let next = |number: u32| if (NODE..highest).contains(&number) { number + 1 } else { NODE + 1 };
        let mut number = next(self.last);
        for _ in NODE..highest {
            if !self.pods.values().any(|taken| *taken == number) {
                self.last = number;
                self.pods.insert(uid.to_owned(), number);
                return Some(number);
            }
            number = next(number);
        }
        None
    }

    /// The addresses of `uid`.
    pub fn addresses(&self, uid: &str) -> Vec<IpAddr> {
        self.pods.get(uid).map(|number| self.numbered(*number)).unwrap_or_default()
    }

    /// The addresses with this number.
    pub fn numbered(&self, number: u32) -> Vec<IpAddr> {
        self.ranges.iter().filter_map(|range| range.address(number)).collect()
    }

    /// Takes in that a pod has `addresses`, which were learnt elsewhere.
    pub fn learn(&mut self, uid: &str, addresses: &[IpAddr]) {
        let numbers = addresses.iter().find_map(|it| self.ranges.iter().find_map(|range| range.index(*it)));
        if let Some(number) = numbers {
            self.pods.entry(uid.to_owned()).or_insert(number);
        }
    }

    /// The highest number that is an address of its own in every range: of IPv4 the last one is for everybody.
    fn highest(&self) -> u32 {
        let last = |range: &Range| {
            let bits = if range.first().is_ipv4() { 32 } else { 128 } - u32::from(range.length());
            1u32.checked_shl(bits).map_or(HIGHEST, |count| count.saturating_sub(2))
        };
        self.ranges.iter().map(last).min().unwrap_or(0).min(HIGHEST)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leases(ranges: &[&str]) -> Leases {
        let ranges = ranges.iter().map(|text| text.parse().expect("a range")).collect();
        Leases { ranges, ..Leases::default() }
    }

    #[test]
    fn a_number_that_was_given_back_is_the_last_to_be_given_out_again() {
        // Five numbers: 2 to 6.
        let mut leases = leases(&["10.42.0.0/29"]);
        assert_eq!((leases.lease("a"), leases.lease("b"), leases.lease("a")), (Some(2), Some(3), Some(2)));
        leases.pods.remove("a");
        let given: Vec<_> = ["c", "d", "e", "f"].iter().map(|uid| leases.lease(uid)).collect();
        assert_eq!(given, [Some(4), Some(5), Some(6), Some(2)]);
        assert_eq!(leases.lease("g"), None, "all are taken");
        leases.pods.remove("d");
        assert_eq!(leases.lease("g"), Some(5));
    }

    #[test]
    fn a_pod_has_the_same_number_in_each_range() {
        let mut leases = leases(&["10.42.0.0/24", "fd42::/64"]);
        assert_eq!(leases.lease("a"), Some(2));
        let shown: Vec<_> = leases.addresses("a").iter().map(ToString::to_string).collect();
        assert_eq!(shown, ["10.42.0.2", "fd42::2"]);
        assert_eq!(leases.highest(), 254);
        assert_eq!(leases.addresses("b"), Vec::<IpAddr>::new());
        let known = leases.numbered(9);
        leases.learn("b", &known);
        assert_eq!(leases.addresses("b"), known);
        assert_eq!(super::tests::leases(&[]).lease("a"), None);
        assert_eq!(super::tests::leases(&["fd42::/64"]).highest(), HIGHEST);
    }
}
