//! How rules are written for nf_tables: expressions over registers, and chains, maps and rules of one table.
//!
//! Numbers are those of `linux/netfilter/nf_tables.h`.

use libc::{NLM_F_ACK, NLM_F_APPEND, NLM_F_CREATE, NLM_F_EXCL};

use super::family::Of;
use super::links::octets;
use crate::spec::Range;
use crate::sys::netlink::{Batch, Refused, Socket};

/// The subsystem that a message is for, and what begins and ends a batch.
pub const SUBSYSTEM: u16 = 10;
const BEGIN: u16 = 16;
const END: u16 = 17;
const NEW_TABLE: u16 = 0;
const GET_TABLE: u16 = 1;
const DELETE_TABLE: u16 = 2;
const NEW_CHAIN: u16 = 3;
const NEW_RULE: u16 = 6;
const NEW_SET: u16 = 9;
const NEW_ELEMENTS: u16 = 12;
const DELETE_ELEMENTS: u16 = 14;
/// `NFPROTO_INET`: both families.
const INET: u8 = 1;
/// A set that is a map.
const MAP: u32 = 8;
/// Elements in one message: an attribute has room for 64 KiB.
const AT_ONCE: usize = 256;
/// Types of data, for whoever lists a map: bits, and numbers as `nft` has them.
const TYPE_BITS: u32 = 6;
const TYPE_PROTOCOL: u32 = 12;
const TYPE_PORT: u32 = 13;
/// `ct status`: its destination was rewritten.
const REWRITTEN: u32 = 0x20;
/// `RTN_LOCAL`.
const LOCAL: u32 = 2;

/// The first of the registers of four bytes (`NFT_REG32_00`).
pub const FIRST: u32 = 8;

/// Where in the kernel a chain is.
#[derive(Clone, Copy)]
pub enum Hook {
    /// What comes in, before it is known where it goes.
    Prerouting = 0,
    /// What programs of this machine send.
    Output = 3,
    /// What goes out.
    Postrouting = 4,
}

/// Key and value of a map.
pub type Element = (Vec<u8>, Vec<u8>);

/// What changes in one table, all at once.
pub struct Table<'a> {
    name: &'a str,
    batch: Batch,
    /// Sets so far, which have numbers within their batch.
    sets: u32,
}

/// A rule in the making: what a packet must be like, and what becomes of it.
pub struct Rule<'a>(&'a mut Batch);

impl<'a> Table<'a> {
    /// The table called `name`, which is there, as it is.
    pub fn as_it_is(name: &'a str) -> Table<'a> {
        let mut batch = Batch::new();
        batch.message(BEGIN, 0, &head(0));
        Table { name, batch, sets: 0 }
    }

    /// Takes away the table called `name`, if it is there.
    pub fn without(name: &'a str) -> Table<'a> {
        let mut table = Table::as_it_is(name);
        // Deleting what is not there would be an error.
        table.message(NEW_TABLE, NLM_F_CREATE).text(1, name);
        table.message(DELETE_TABLE, 0).text(1, name);
        table
    }

    /// An empty table called `name`, in place of what is there.
    pub fn anew(name: &'a str) -> Table<'a> {
        let mut table = Table::without(name);
        table.message(NEW_TABLE, NLM_F_CREATE | NLM_F_EXCL).text(1, name);
        table
    }

    /// A chain that packets come through, of type `filter` or `nat`.
    pub fn chain(&mut self, name: &str, kind: &str, hook: Hook, priority: i32) {
        let table = self.name;
        self.message(NEW_CHAIN, NLM_F_CREATE)
            .text(1, table)
            .text(3, name)
            .nested(4, |place| {
                place.network_number(1, hook as u32).network_number(2, priority.cast_unsigned());
            })
            .text(7, kind);
    }

    /// A map from protocol and port, with an address of the node between where it is `narrow`, to address and port.
    pub fn map(&mut self, name: &str, of: Of, narrow: bool) {
        let (key, length) = match narrow {
            true => (
                (TYPE_PROTOCOL << (2 * TYPE_BITS)) | (of.kind() << TYPE_BITS) | TYPE_PORT,
                8 + 4 * of.registers(),
            ),
            false => ((TYPE_PROTOCOL << TYPE_BITS) | TYPE_PORT, 8),
        };
        let table = self.name;
        self.sets += 1;
        let number = self.sets;
        self.message(NEW_SET, NLM_F_CREATE | NLM_F_EXCL)
            .text(1, table)
            .text(2, name)
            .network_number(3, MAP)
            .network_number(4, key)
            .network_number(5, length)
            .network_number(6, (of.kind() << TYPE_BITS) | TYPE_PORT)
            .network_number(7, 4 * of.registers() + 4)
            .network_number(10, number);
    }

    /// Adds `elements` to `map`; one that is there and says something else is in the way.
    pub fn add(&mut self, map: &str, elements: &[Element]) {
        self.elements((NEW_ELEMENTS, NLM_F_CREATE), map, elements, |it, (key, value)| {
            part(it, 1, key);
            part(it, 2, value);
        });
    }

    /// Takes the elements with the keys of `elements` from `map`; each must be there.
    pub fn take(&mut self, map: &str, elements: &[Element]) {
        self.elements((DELETE_ELEMENTS, 0), map, elements, |it, (key, _)| part(it, 1, key));
    }

    fn elements(
        &mut self,
        (kind, flags): (u16, i32),
        map: &str,
        elements: &[Element],
        say: fn(&mut Batch, &Element),
    ) {
        let table = self.name;
        for some in elements.chunks(AT_ONCE) {
            self.message(kind, flags).text(1, table).text(2, map).nested(3, |list| {
                for element in some {
                    list.nested(1, |it| say(it, element));
                }
            });
        }
    }

    /// One more rule at the end of `chain`.
    pub fn rule(&mut self, chain: &str, make: impl FnOnce(Rule<'_>)) {
        let table = self.name;
        self.message(NEW_RULE, NLM_F_CREATE | NLM_F_APPEND)
            .text(1, table)
            .text(2, chain)
            .nested(4, |expressions| make(Rule(expressions)));
    }

    /// Whether there is a table called `name`.
    pub fn is_there(name: &str, socket: &Socket) -> Result<bool, Refused> {
        let mut batch = Batch::new();
        batch.message((SUBSYSTEM << 8) | GET_TABLE, NLM_F_ACK, &head(INET)).text(1, name);
        match socket.ask(batch) {
            Err(refused) if refused.cause.raw_os_error() == Some(libc::ENOENT) => Ok(false),
            other => other.map(|_| true),
        }
    }

    /// Has the kernel take all of it, or nothing.
    pub fn send(mut self, socket: &Socket) -> Result<(), Refused> {
        self.batch.message(END, 0, &head(0));
        socket.ask(self.batch).map(drop)
    }

    fn message(&mut self, kind: u16, flags: i32) -> &mut Batch {
        self.batch.message((SUBSYSTEM << 8) | kind, flags | NLM_F_ACK, &head(INET))
    }
}

/// Key or value of an element.
fn part(element: &mut Batch, kind: u16, bytes: &[u8]) {
    element.nested(kind, |it| {
        it.bytes(1, bytes);
    });
}

/// `nfgenmsg`: family, version, and, of a batch, the subsystem.
fn head(family: u8) -> [u8; 4] {
    [family, 0, 0, if family == 0 { SUBSYSTEM as u8 } else { 0 }]
}

impl Rule<'_> {
    /// Whose packets.
    pub fn of(self, of: Of) -> Self {
        const PROTOCOL_FAMILY: u32 = 15;
        self.meta(PROTOCOL_FAMILY, FIRST).compare(true, &[of.number()])
    }

    /// Sent to an address of this machine's own.
    pub fn for_this_machine(self) -> Self {
        const ADDRESS_TYPE: u32 = 3;
        const DESTINATION: u32 = 2;
        self.expression("fib", |fib| {
            fib.network_number(1, FIRST).network_number(2, ADDRESS_TYPE).network_number(3, DESTINATION);
        })
        .compare(true, &LOCAL.to_ne_bytes())
    }

    /// Come in by a link that is, or is not, called `name`.
    pub fn in_by_link(self, is: bool, name: &str) -> Self {
        const INPUT_NAME: u32 = 6;
        self.meta(INPUT_NAME, FIRST).compare(is, &link(name))
    }

    /// Go out by a link that is, or is not, called `name`.
    pub fn by_link(self, is: bool, name: &str) -> Self {
        const OUTPUT_NAME: u32 = 7;
        self.meta(OUTPUT_NAME, FIRST).compare(is, &link(name))
    }

    /// Come from within `range`, or not.
    pub fn from(self, is: bool, range: &Range) -> Self {
        let (source, _) = Of::address(range.first()).offsets();
        self.within(source, is, range)
    }

    /// Go to within `range`, or not.
    pub fn to(self, is: bool, range: &Range) -> Self {
        let (_, destination) = Of::address(range.first()).offsets();
        self.within(destination, is, range)
    }

    /// Whose destination was rewritten.
    pub fn rewritten(self) -> Self {
        const STATUS: u32 = 2;
        self.expression("ct", |ct| {
            ct.network_number(1, FIRST).network_number(2, STATUS);
        })
        .masked(&REWRITTEN.to_ne_bytes())
        .compare(false, &[0; 4])
    }

    /// Rewrites the destination to what the map says of protocol and port, and of the present destination where it is
    /// `narrow`; else goes on.
    pub fn redirected_by(self, map: &str, of: Of, narrow: bool) {
        const TRANSPORT_PROTOCOL: u32 = 16;
        const DESTINATION_PORT: (u32, u32, u32) = (2, 2, 2);
        let (_, destination) = of.offsets();
        let rule = self.meta(TRANSPORT_PROTOCOL, FIRST);
        let (rule, port) = match narrow {
            true => {
                let address = (1, destination, 4 * of.registers());
                (rule.payload(address, FIRST + 1), FIRST + 1 + of.registers())
            }
            false => (rule, FIRST + 1),
        };
        rule.payload(DESTINATION_PORT, port)
            .expression("lookup", |lookup| {
                lookup.text(1, map).network_number(2, FIRST).network_number(3, FIRST);
            })
            .expression("nat", |nat| {
                const DESTINATION: u32 = 1;
                nat.network_number(1, DESTINATION)
                    .network_number(2, of.number().into())
                    .network_number(3, FIRST)
                    .network_number(5, FIRST + of.registers());
            });
    }

    /// Rewrites the source to the address of this machine that the packet goes out from.
    pub fn masqueraded(self) {
        self.expression("masq", |_| {});
    }

    /// Throws it away.
    pub fn dropped(self) {
        self.expression("immediate", |immediate| {
            // The register of verdicts, and `NF_DROP`.
            immediate.network_number(1, 0).nested(2, |data| {
                data.nested(2, |verdict| {
                    verdict.network_number(1, 0);
                });
            });
        });
    }

    fn within(self, offset: u32, is: bool, range: &Range) -> Self {
        let first = octets(range.first());
        let mask: Vec<u8> = (0u8..).step_by(8).take(first.len()).map(|at| ones(range.length(), at)).collect();
        self.payload((1, offset, first.len() as u32), FIRST).masked(&mask).compare(is, &first)
    }

    fn meta(self, key: u32, register: u32) -> Self {
        self.expression("meta", |meta| {
            meta.network_number(1, register).network_number(2, key);
        })
    }

    /// Loads bytes of the packet: which head they are in, where, how many.
    fn payload(self, (base, offset, length): (u32, u32, u32), register: u32) -> Self {
        self.expression("payload", |payload| {
            payload
                .network_number(1, register)
                .network_number(2, base)
                .network_number(3, offset)
                .network_number(4, length);
        })
    }

    fn masked(self, mask: &[u8]) -> Self {
        self.expression("bitwise", |bitwise| {
            bitwise
                .network_number(1, FIRST)
                .network_number(2, FIRST)
                .network_number(3, mask.len() as u32)
                .nested(4, |it| {
                    it.bytes(1, mask);
                })
                .nested(5, |it| {
                    it.bytes(1, &vec![0; mask.len()]);
                });
        })
    }

    /// Goes on where what is in the first register is, or is not, `value`.
    fn compare(self, is: bool, value: &[u8]) -> Self {
        self.expression("cmp", |compare| {
            compare.network_number(1, FIRST).network_number(2, u32::from(!is)).nested(3, |data| {
                data.bytes(1, value);
            });
        })
    }

    fn expression(self, name: &str, inside: impl FnOnce(&mut Batch)) -> Self {
        self.0.nested(1, |expression| {
            expression.text(1, name).nested(2, inside);
        });
        self
    }
}

/// The byte at bit `at` of a mask with `length` ones.
fn ones(length: u8, at: u8) -> u8 {
    !(0xff_u8.checked_shr(length.saturating_sub(at).into()).unwrap_or(0))
}

/// A link's name as the kernel compares it.
fn link(name: &str) -> [u8; 16] {
    let mut bytes = [0; 16];
    bytes.iter_mut().zip(name.bytes()).for_each(|(to, from)| *to = from);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mask_has_its_ones_in_front() {
        let mask = |length| [0, 8, 16, 24].map(|at| ones(length, at));
        assert_eq!(mask(24), [255, 255, 255, 0]);
        assert_eq!(mask(0), [0; 4]);
        assert_eq!(mask(32), [255; 4]);
        assert_eq!(mask(13), [255, 0b1111_1000, 0, 0]);
    }
}
