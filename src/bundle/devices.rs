//! Which devices a container may use: one list of rules, and the program that the kernel asks about it on cgroup v2.
//!
//! A rule is OCI's; of those that are about a device the last one counts, for each kind of access by itself, as on v1. The
//! kernel asks once for all that an `open` wants (to read and to write), so that the program goes through the rules from the
//! last one on and takes off what each allows, until nothing is left to ask for.

use oci_spec::runtime::{LinuxDeviceCgroup, LinuxDeviceType};
use serde_json::{Value, json};

/// Character devices that may be used, by number (containerd's `WithDefaultUnixDevices`): null, random, full, tty, zero,
/// urandom, console, the terminals of `/dev/pts`, ptmx.
const USABLE: [(i64, Option<i64>); 9] = [
    (1, Some(3)),
    (1, Some(8)),
    (1, Some(7)),
    (5, Some(0)),
    (1, Some(5)),
    (1, Some(9)),
    (5, Some(1)),
    (136, None),
    (5, Some(2)),
];

/// The rules of a container. All devices for a privileged one; else nothing, then making any node (`mknod` is no access), then
/// the harmless ones.
pub fn rules(privileged: bool) -> Value {
    if privileged {
        return json!([{ "allow": true, "access": "rwm" }]);
    }
    let mut rules = vec![
        json!({ "allow": false, "access": "rwm" }),
        json!({ "allow": true, "type": "c", "access": "m" }),
        json!({ "allow": true, "type": "b", "access": "m" }),
    ];
    for (major, minor) in USABLE {
        let mut rule = json!({ "allow": true, "type": "c", "major": major, "access": "rwm" });
        if let Some(minor) = minor {
            rule["minor"] = json!(minor);
        }
        rules.push(rule);
    }
    Value::Array(rules)
}

/// Kinds of access and of devices (`BPF_DEVCG_*` of `linux/bpf.h`).
const ACCESS: [(char, i32); 3] = [('m', 1), ('r', 2), ('w', 4)];
const EVERY_ACCESS: i32 = 7;
const BLOCK: i32 = 1;
const CHARACTER: i32 = 2;

/// Operations of BPF (`linux/bpf.h`, `linux/bpf_common.h`): load a word from where a register points to, move, and, shift to the
/// right, jump where something is or is not equal, end.
mod code {
    pub const LOAD: u8 = 0x61;
    pub const MOVE: u8 = 0xb7;
    pub const COPY: u8 = 0xbf;
    pub const AND: u8 = 0x57;
    pub const SHIFT: u8 = 0x77;
    pub const JUMP_EQUAL: u8 = 0x15;
    pub const JUMP_OTHER: u8 = 0x55;
    pub const EXIT: u8 = 0x95;
}
use code::{AND, COPY, EXIT, JUMP_EQUAL, JUMP_OTHER, LOAD, MOVE, SHIFT};

/// Registers: the answer; at first the question (`struct bpf_cgroup_dev_ctx`), later what a rule has to do with it; and then what
/// is read of it.
const ANSWER: u8 = 0;
const SCRATCH: u8 = 1;
const WANTED: u8 = 2;
const KIND: u8 = 3;
const MAJOR: u8 = 4;
const MINOR: u8 = 5;

/// One instruction (`struct bpf_insn`).
#[derive(Debug, Clone, Copy, PartialEq)]
struct Instruction {
    code: u8,
    to: u8,
    from: u8,
    offset: i16,
    value: i32,
}

impl Instruction {
    /// As the machines that there are have it, which put the lower half of a byte first.
    fn bytes(self) -> [u8; 8] {
        let ([o0, o1], [v0, v1, v2, v3]) = (self.offset.to_ne_bytes(), self.value.to_ne_bytes());
        [self.code, self.from << 4 | self.to, o0, o1, v0, v1, v2, v3]
    }
}

/// The program (of type `BPF_PROG_TYPE_CGROUP_DEVICE`) that makes `rules` hold: instructions of eight bytes. None where they
/// allow everything.
///
/// # Errors
/// A sentence where a rule has a number or an access that there is none of.
pub fn device_program(rules: &[LinuxDeviceCgroup]) -> Result<Option<Vec<u8>>, String> {
    let program = program(rules)?;
    // The question is read in six instructions, and the first rule that is looked at has nothing more to ask.
    let free = program.get(6..) == Some(&answer(true)[..]);
    Ok((!free).then(|| program.into_iter().flat_map(Instruction::bytes).collect()))
}

fn program(rules: &[LinuxDeviceCgroup]) -> Result<Vec<Instruction>, String> {
    let mut all = vec![
        step(LOAD, WANTED, SCRATCH, 0, 0),
        step(COPY, KIND, WANTED, 0, 0),
        step(AND, KIND, 0, 0, 0xffff),
        step(SHIFT, WANTED, 0, 0, 16),
        step(LOAD, MAJOR, SCRATCH, 4, 0),
        step(LOAD, MINOR, SCRATCH, 8, 0),
    ];
    for rule in rules.iter().rev() {
        let (about, access) = (about(rule)?, access(rule)?);
        let body = body(rule.allow(), access);
        let length = about.len() + body.len();
        for (at, (register, value)) in about.iter().enumerate() {
            all.push(step(JUMP_OTHER, *register, 0, offset(length - at - 1), *value));
        }
        all.extend(body);
        if about.is_empty() && access == EVERY_ACCESS {
            // The kernel takes no program with instructions that are never reached.
            return Ok(all);
        }
    }
    all.extend(answer(false));
    Ok(all)
}

/// What must be in which register for a rule to be about the device.
fn about(rule: &LinuxDeviceCgroup) -> Result<Vec<(u8, i32)>, String> {
    let kind = match rule.typ().unwrap_or_default() {
        LinuxDeviceType::B => Some(BLOCK),
        LinuxDeviceType::C | LinuxDeviceType::U => Some(CHARACTER),
        LinuxDeviceType::A => None,
        LinuxDeviceType::P => return Err(format!("device rule \"{rule}\": a FIFO is no device")),
    };
    let number = |number: Option<i64>| match number {
        // As OCI had it before a number could be absent.
        None | Some(-1) => Ok(None),
        Some(number) => i32::try_from(number)
            .ok()
            .filter(|number| 0 <= *number)
            .map(Some)
            .ok_or_else(|| format!("device rule \"{rule}\": {number} is no number of a device")),
    };
    let of = |register, value: Option<i32>| value.map(|value| (register, value));
    let all = [of(KIND, kind), of(MAJOR, number(rule.major())?), of(MINOR, number(rule.minor())?)];
    Ok(all.into_iter().flatten().collect())
}

fn access(rule: &LinuxDeviceCgroup) -> Result<i32, String> {
    let Some(written) = rule.access() else { return Ok(EVERY_ACCESS) };
    written.chars().try_fold(0, |all, letter| {
        let known = ACCESS.iter().find(|(known, _)| *known == letter);
        known
            .map(|(_, bit)| all | bit)
            .ok_or_else(|| format!("device rule \"{rule}\": no access is called {letter}"))
    })
}

/// What a rule about the device does: one that allows leaves what it does not allow to those before it, and one that does not
/// ends the matter where something that it is about is still wanted.
fn body(allow: bool, access: i32) -> Vec<Instruction> {
    let over = offset(answer(allow).len());
    let first = match (allow, access) {
        (_, EVERY_ACCESS) => vec![],
        (true, _) => {
            vec![step(AND, WANTED, 0, 0, EVERY_ACCESS & !access), step(JUMP_OTHER, WANTED, 0, over, 0)]
        }
        (false, _) => vec![
            step(COPY, SCRATCH, WANTED, 0, 0),
            step(AND, SCRATCH, 0, 0, access),
            step(JUMP_EQUAL, SCRATCH, 0, over, 0),
        ],
    };
    [first, answer(allow).to_vec()].concat()
}

fn answer(allow: bool) -> [Instruction; 2] {
    [step(MOVE, ANSWER, 0, 0, i32::from(allow)), step(EXIT, 0, 0, 0, 0)]
}

fn step(code: u8, to: u8, from: u8, offset: i16, value: i32) -> Instruction {
    Instruction { code, to, from, offset, value }
}

/// A rule has nine instructions at most.
fn offset(of: usize) -> i16 {
    i16::try_from(of).unwrap_or(i16::MAX)
}

#[cfg(test)]
mod tests;
