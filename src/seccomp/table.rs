//! Names of system calls, and the machines that have them.

/// One kind of system calls.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Machine {
    /// What the kernel calls it (`linux/audit.h`).
    pub audit: u32,
    /// Its column in the table, from 1.
    pub column: usize,
    /// Whether calls from 0x40000000 on are of another kind, x32, which nobody may make.
    pub x32: bool,
}

/// The four machines of the table.
pub const X86_64: Machine = Machine { audit: 0xc000_003e, column: 1, x32: true };
const I386: Machine = Machine { audit: 0x4000_0003, column: 2, x32: false };
const AARCH64: Machine = Machine { audit: 0xc000_00b7, column: 3, x32: false };
const ARM: Machine = Machine { audit: 0x4000_0028, column: 4, x32: false };

/// What this program runs on, and the 32-bit one that the kernel runs beside.
pub const MACHINES: [Machine; 2] = if cfg!(target_arch = "x86_64") { [X86_64, I386] } else { [AARCH64, ARM] };

/// The highest number in the table that is the same on all machines; ARM has some of its own far above.
pub const LAST: u32 = 469;

const TABLE: &str = include_str!("syscalls.txt");

/// The calls of `machine`: names and numbers.
pub fn calls(machine: Machine) -> impl Iterator<Item = (&'static str, u32)> {
    let lines = TABLE.lines().filter(|line| !line.starts_with('#'));
    lines.filter_map(move |line| {
        let mut words = line.split(' ');
        let name = words.next()?;
        Some((name, words.nth(machine.column - 1)?.parse().ok()?))
    })
}

/// Whether a call of this name is in the table, of whichever machine.
pub fn is_known(name: &str) -> bool {
    TABLE.lines().any(|line| line.split(' ').next() == Some(name))
}
