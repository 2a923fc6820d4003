//! seccomp: which system calls processes may make, as the program that the kernel runs at each of them. Pure, and no C.
//!
//! A [`Profile`] is [`runtime_default`], or a file in OCI's format ([`parse`]); [`program`] makes bytes of it, which whoever
//! becomes the container's process hands to the kernel.
//!
//! Invariant: what of a profile cannot be enforced is an error, unless leaving it out forbids more than is asked for.

mod default;
mod emit;
mod profile;
mod table;
#[cfg(test)]
mod tests;

pub use default::runtime_default;
pub use profile::parse;

/// What is to become of each system call.
#[derive(Debug, Clone, PartialEq)]
pub struct Profile {
    /// Of those that no rule is about.
    pub default: u32,
    /// Of those that are newer than this program, where that is something else.
    pub unknown: u32,
    /// In order; of those of one call the first counts whose conditions hold.
    pub rules: Vec<Rule>,
    /// Whether 32-bit programs of this machine may run.
    pub compatible: bool,
}

/// What is to become of one call.
#[derive(Debug, Clone, PartialEq)]
pub struct Rule {
    /// Its name.
    pub name: String,
    /// All of these must hold.
    pub conditions: Vec<Condition>,
    /// What the kernel does then: one of [`action`].
    pub action: u32,
}

/// Something about an argument of a call.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Condition {
    /// Which argument, from 0 to 5.
    pub argument: u8,
    /// How it is compared with `value`.
    pub comparison: Comparison,
    /// What with.
    pub value: u64,
}

/// How an argument is compared, without sign.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Comparison {
    /// It is another.
    Ne,
    /// It is less.
    Lt,
    /// It is less or the same.
    Le,
    /// It is the same.
    Eq,
    /// It is greater or the same.
    Ge,
    /// It is greater.
    Gt,
    /// Its bits in this mask are the same.
    Masked(u64),
}

/// What the kernel can do about a call (`linux/seccomp.h`).
pub mod action {
    /// Ends the process.
    pub const KILL_PROCESS: u32 = 0x8000_0000;
    /// Ends the thread.
    pub const KILL_THREAD: u32 = 0;
    /// Sends SIGSYS.
    pub const TRAP: u32 = 0x0003_0000;
    /// Fails; the lower half is the errno.
    pub const ERRNO: u32 = 0x0005_0000;
    /// Asks a tracer; ENOSYS where there is none.
    pub const TRACE: u32 = 0x7ff0_0000;
    /// Lets it pass, with a line in the kernel's log.
    pub const LOG: u32 = 0x7ffc_0000;
    /// Lets it pass.
    pub const ALLOW: u32 = 0x7fff_0000;
}

/// `EPERM` and `ENOSYS`, which are the same on every machine that there is a table for.
const EPERM: u32 = 1;
const ENOSYS: u32 = 38;

/// Longest program that the kernel takes, in instructions (`BPF_MAXINSNS`).
const LONGEST: usize = 4096;

/// The program that enforces `profile` on this machine: instructions of eight bytes (`struct sock_filter`).
///
/// # Errors
/// A sentence where it cannot be enforced.
pub fn program(profile: &Profile) -> Result<Vec<u8>, String> {
    let [native, compatible] = table::MACHINES;
    let mut machines = vec![native];
    if profile.compatible {
        machines.push(compatible);
    }
    let program = emit::program(profile, &machines)?;
    if LONGEST < program.len() {
        return Err(format!("it takes {} instructions, and the kernel takes {LONGEST}", program.len()));
    }
    Ok(program.into_iter().flat_map(emit::Instruction::bytes).collect())
}
