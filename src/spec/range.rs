//! A range of addresses, as `10.42.0.0/24`.

use core::fmt;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use core::str::FromStr;

use serde::{Deserialize, Serialize};

/// The addresses that begin with the same bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Range {
    /// Its first address: every bit behind `length` is 0.
    first: IpAddr,
    /// How many bits are the same.
    length: u8,
}

impl Range {
    /// The range of `length` bits that `address` is in; `None` where there are not so many.
    pub fn around(address: IpAddr, length: u8) -> Option<Range> {
        let behind = bits(address).checked_sub(length)?;
        let first = number(address) & u128::MAX.checked_shl(behind.into()).unwrap_or(0);
        Some(Range { first: with(address, first), length })
    }

    /// Its first address.
    pub fn first(&self) -> IpAddr {
        self.first
    }

    /// How many bits are the same.
    pub fn length(&self) -> u8 {
        self.length
    }

    /// Whether `address` is in it.
    pub fn contains(&self, address: IpAddr) -> bool {
        Range::around(address, self.length).is_some_and(|around| around == *self)
    }

    /// Whether some address is in both.
    pub fn meets(&self, other: &Range) -> bool {
        self.contains(other.first) || other.contains(self.first)
    }

    /// The address `index` behind the first; `None` where that is not in it.
    pub fn address(&self, index: u32) -> Option<IpAddr> {
        let address = number(self.first).checked_add(index.into())?;
        let largest = if self.first.is_ipv4() { u128::from(u32::MAX) } else { u128::MAX };
        let address = with(self.first, Some(address).filter(|it| *it <= largest)?);
        self.contains(address).then_some(address)
    }

    /// How far `address` is behind the first; `None` where it is not in it, or too far.
    pub fn index(&self, address: IpAddr) -> Option<u32> {
        let contained = self.contains(address).then(|| number(address) - number(self.first))?;
        u32::try_from(contained).ok()
    }
}

fn bits(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => address.to_bits().into(),
        IpAddr::V6(address) => address.to_bits(),
    }
}

/// `number` as an address of the family of `like`.
fn with(like: IpAddr, number: u128) -> IpAddr {
    match like {
        IpAddr::V4(_) => Ipv4Addr::from_bits(number as u32).into(),
        IpAddr::V6(_) => Ipv6Addr::from_bits(number).into(),
    }
}

impl FromStr for Range {
    type Err = ();

    /// Bits behind the length may be anything, as in `10.42.0.1/24`.
    fn from_str(text: &str) -> Result<Range, ()> {
        let (address, length) = text.split_once('/').ok_or(())?;
        let (address, length) = (address.parse().map_err(drop)?, length.parse().map_err(drop)?);
        Range::around(address, length).ok_or(())
    }
}

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.first, self.length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(text: &str) -> Range {
        text.parse().unwrap_or_else(|()| panic!("{text}"))
    }

    #[test]
    fn a_range_begins_where_its_bits_do() {
        for (written, shown) in [
            ("10.42.7.9/24", "10.42.7.0/24"),
            ("10.42.7.9/32", "10.42.7.9/32"),
            ("1.2.3.4/0", "0.0.0.0/0"),
            ("fd00:1::7/64", "fd00:1::/64"),
            ("::1/0", "::/0"),
        ] {
            assert_eq!(range(written).to_string(), shown);
        }
        for wrong in ["", "10.42.0.0", "10.42.0.0/33", "10.42.0/24", "::/129", "10.42.0.0/x", "/24"] {
            assert_eq!(wrong.parse::<Range>(), Err(()), "{wrong}");
        }
    }

    #[test]
    fn ranges_meet_where_one_is_in_the_other() {
        for (one, other, meet) in [
            ("10.0.0.0/8", "10.42.0.0/24", true),
            ("10.42.0.0/24", "10.42.1.0/24", false),
            ("0.0.0.0/0", "10.42.0.0/24", true),
            ("::/0", "10.42.0.0/24", false),
            ("fd00::/8", "fd42::/64", true),
        ] {
            assert_eq!(range(one).meets(&range(other)), meet, "{one} {other}");
            assert_eq!(range(other).meets(&range(one)), meet, "{other} {one}");
        }
    }

    #[test]
    fn addresses_are_counted_from_the_first() {
        let four = range("10.42.0.0/24");
        assert_eq!(four.address(2).map(|it| it.to_string()).as_deref(), Some("10.42.0.2"));
        assert_eq!(four.address(256), None);
        assert_eq!(range("255.255.255.0/24").address(u32::MAX), None);
        let six = range("fd42::/64");
        assert_eq!(six.address(0x1_0002).map(|it| it.to_string()).as_deref(), Some("fd42::1:2"));
        assert_eq!(six.index(six.address(77).expect("it is in it")), Some(77));
        assert_eq!(six.index(IpAddr::from([10, 42, 0, 1])), None);
    }
}
