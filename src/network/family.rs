//! The two families of addresses, as rules speak of them.

use std::net::IpAddr;

/// Types of data, as `nft` numbers them.
const TYPE_IPV4: u32 = 7;
const TYPE_IPV6: u32 = 8;

/// A family of addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Of {
    /// IPv4.
    Four,
    /// IPv6.
    Six,
}

impl Of {
    /// Whose `address` is.
    pub fn address(address: IpAddr) -> Of {
        if address.is_ipv4() { Of::Four } else { Of::Six }
    }

    /// As rules have it.
    pub fn number(self) -> u8 {
        (match self {
            Of::Four => libc::AF_INET,
            Of::Six => libc::AF_INET6,
        }) as u8
    }

    /// Registers that an address takes.
    pub fn registers(self) -> u32 {
        match self {
            Of::Four => 1,
            Of::Six => 4,
        }
    }

    /// The type of an address, for whoever lists a map.
    pub fn kind(self) -> u32 {
        match self {
            Of::Four => TYPE_IPV4,
            Of::Six => TYPE_IPV6,
        }
    }

    /// Where source and destination are in the packet's head.
    pub fn offsets(self) -> (u32, u32) {
        match self {
            Of::Four => (12, 16),
            Of::Six => (8, 24),
        }
    }
}
