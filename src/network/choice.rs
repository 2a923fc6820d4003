//! Which range pods get where nobody says.

use std::net::IpAddr;

use crate::spec::Range;

/// Bits of a range that we choose: 253 pods.
const LENGTH: u8 = 24;
/// Whatever is wider than the widest private range is a way out, such as a default route in two halves.
const WIDEST: u8 = 8;

/// The first range of ours that meets none of `taken`, the ranges that the node knows a way to; `None` where all do.
///
/// k3s' own comes first: it is what such a box had. Then its neighbours, and those of the other private ranges that fewest
/// have.
pub fn free(taken: &[Range]) -> Option<Range> {
    let ten = (42..=126).map(|second| [10, second, 0, 0]);
    let twelve = (16..=31).rev().map(|second| [172, second, 42, 0]);
    let sixteen = (100..=254).rev().map(|third| [192, 168, third, 0]);
    let mut candidates = ten.chain(twelve).chain(sixteen);
    candidates.find_map(|first| {
        let range = Range::around(IpAddr::from(first), LENGTH)?;
        let meets = |other: &Range| WIDEST <= other.length() && other.meets(&range);
        (!taken.iter().any(meets)).then_some(range)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_that_somebody_has_is_left_to_them() {
        for (taken, chosen) in [
            (&[][..], "10.42.0.0/24"),
            (&["192.168.1.0/24", "fd00::/8"], "10.42.0.0/24"),
            (&["0.0.0.0/0", "0.0.0.0/1", "128.0.0.0/1"], "10.42.0.0/24"),
            (&["10.42.0.0/16"], "10.43.0.0/24"),
            (&["10.42.0.7/32", "10.43.0.0/29"], "10.44.0.0/24"),
            (&["10.0.0.0/8"], "172.31.42.0/24"),
            (&["10.0.0.0/8", "172.16.0.0/12"], "192.168.254.0/24"),
        ] {
            let taken: Vec<Range> = taken.iter().map(|text| text.parse().expect("a range")).collect();
            assert_eq!(free(&taken).map(|range| range.to_string()).as_deref(), Some(chosen), "{taken:?}");
        }
        let all =
            ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"].map(|text| text.parse().expect("a range"));
        assert_eq!(free(&all), None);
    }
}
