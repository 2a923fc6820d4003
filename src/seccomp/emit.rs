//! A profile as instructions: for each machine a search by halves among ranges of numbers.

use std::collections::BTreeMap;

use super::action::{ERRNO, KILL_PROCESS};
use super::table::{self, Machine};
use super::{Comparison, Condition, EPERM, Profile, Rule};

/// One instruction (`struct sock_filter`): the last two but one are jumps, by how many instructions, if it holds and if not.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Instruction {
    /// What is done.
    pub code: u16,
    /// Where to if it holds.
    pub then: u8,
    /// Where to if not.
    pub otherwise: u8,
    /// With what.
    pub value: u32,
}

impl Instruction {
    /// As the kernel takes it.
    pub fn bytes(self) -> [u8; 8] {
        let mut bytes = [0; 8];
        bytes[..2].copy_from_slice(&self.code.to_ne_bytes());
        bytes[2] = self.then;
        bytes[3] = self.otherwise;
        bytes[4..].copy_from_slice(&self.value.to_ne_bytes());
        bytes
    }
}

/// Operations of classic BPF (`linux/bpf_common.h`): load a word at an offset, and it with a mask, compare it, jump, return.
pub mod code {
    pub const LOAD: u16 = 0x20;
    pub const AND: u16 = 0x54;
    pub const JUMP_EQUAL: u16 = 0x15;
    pub const JUMP_GREATER: u16 = 0x25;
    pub const JUMP_GREATER_EQUAL: u16 = 0x35;
    pub const JUMP: u16 = 0x05;
    pub const RETURN: u16 = 0x06;
}
use code::{AND, JUMP, JUMP_EQUAL, JUMP_GREATER, JUMP_GREATER_EQUAL, LOAD, RETURN};

/// Offsets in `struct seccomp_data`.
const NUMBER: u32 = 0;
const MACHINE: u32 = 4;
const ARGUMENTS: u32 = 16;

/// The first number of x32.
const X32: u32 = 0x4000_0000;

/// What becomes of one call: rules in order, the last without conditions.
type Fate = Vec<(Vec<Condition>, u32)>;

/// The program; calls of other machines end the process.
pub fn program(profile: &Profile, machines: &[Machine]) -> Result<Vec<Instruction>, String> {
    let mut all = vec![plain(LOAD, MACHINE)];
    for machine in machines {
        let mut body = vec![plain(LOAD, NUMBER)];
        body.extend(search(&ranges(profile, *machine)?));
        all.push(jump(JUMP_EQUAL, machine.audit, 1, 0));
        all.push(plain(JUMP, length(&body)));
        all.extend(body);
    }
    all.push(plain(RETURN, KILL_PROCESS));
    Ok(all)
}

/// From which number on which fate, beginning with 0.
fn ranges(profile: &Profile, machine: Machine) -> Result<Vec<(u32, Fate)>, String> {
    let beyond = |number: u32| match () {
        () if machine.x32 && X32 <= number => ERRNO | EPERM,
        () if table::LAST < number => profile.unknown,
        () => profile.default,
    };
    let mut fates: BTreeMap<u32, Fate> = BTreeMap::new();
    for number in [0, table::LAST + 1].into_iter().chain(machine.x32.then_some(X32)) {
        fates.insert(number, vec![(Vec::new(), beyond(number))]);
    }
    let mut rules: BTreeMap<&str, Vec<&Rule>> = BTreeMap::new();
    for rule in &profile.rules {
        rules.entry(&rule.name).or_default().push(rule);
    }
    for (name, number) in table::calls(machine) {
        let Some(rules) = rules.get(name) else { continue };
        fates.insert(number, fate(rules, name, beyond(number))?);
        fates.entry(number + 1).or_insert_with(|| vec![(Vec::new(), beyond(number + 1))]);
    }
    let mut ranges: Vec<(u32, Fate)> = fates.into_iter().collect();
    ranges.dedup_by(|next, before| next.1 == before.1);
    Ok(ranges)
}

/// What its rules make of the call `name`. Rules with and without conditions that differ have no
/// order that everybody agrees on.
fn fate(rules: &[&Rule], name: &str, otherwise: u32) -> Result<Fate, String> {
    let mut fate = Fate::new();
    let mut always = None;
    for rule in rules {
        match rule.conditions.is_empty() {
            true if always.is_some_and(|action| action != rule.action) => return Err(contradicts(name)),
            true => always = Some(rule.action),
            false => fate.push((rule.conditions.clone(), rule.action)),
        }
    }
    match always {
        Some(action) if fate.iter().any(|(_, other)| *other != action) => return Err(contradicts(name)),
        Some(_) => fate.clear(),
        None => {}
    }
    fate.push((Vec::new(), always.unwrap_or(otherwise)));
    Ok(fate)
}

fn contradicts(name: &str) -> String {
    format!("it says different things of the system call {name}")
}

/// Looks for the last of `ranges` that begins at or below the number.
fn search(ranges: &[(u32, Fate)]) -> Vec<Instruction> {
    let [_, _, ..] = ranges else { return ranges.first().map(|(_, fate)| leaf(fate)).unwrap_or_default() };
    let (low, high) = ranges.split_at(ranges.len() / 2);
    let (begin, low, high) = (high[0].0, search(low), search(high));
    let mut all = match u8::try_from(low.len()) {
        Ok(over) => vec![jump(JUMP_GREATER_EQUAL, begin, over, 0)],
        Err(_) => vec![jump(JUMP_GREATER_EQUAL, begin, 0, 1), plain(JUMP, length(&low))],
    };
    all.extend(low);
    all.extend(high);
    all
}

fn leaf(fate: &Fate) -> Vec<Instruction> {
    let mut all = Vec::new();
    for (conditions, action) in fate {
        let mut steps: Vec<Step> = conditions.iter().flat_map(condition).collect();
        // Behind them comes what is returned; the next rule is behind that. Six conditions of six steps are the most.
        let count = steps.len();
        for (at, step) in steps.iter_mut().enumerate() {
            let next = u8::try_from(count - at).unwrap_or(u8::MAX);
            match step.leaves {
                Leaves::Never => {}
                Leaves::Then => step.instruction.then = next,
                Leaves::Otherwise => step.instruction.otherwise = next,
            }
        }
        all.extend(steps.iter().map(|step| step.instruction));
        all.push(plain(RETURN, *action));
    }
    all
}

/// An instruction of a condition, and by which of its jumps the rule is left.
struct Step {
    instruction: Instruction,
    leaves: Leaves,
}

enum Leaves {
    Never,
    Then,
    Otherwise,
}

/// The steps that go on behind the last one where the condition holds. Words are 32 bits: the high one decides first.
fn condition(condition: &Condition) -> Vec<Step> {
    let (high, low) = ((condition.value >> 32) as u32, condition.value as u32);
    let at = ARGUMENTS + 8 * u32::from(condition.argument);
    // The machines that there are have the low word first.
    let (load_low, load_high) = (load(at), load(at + 4));
    let unless = |code, value| Step { instruction: jump(code, value, 0, 0), leaves: Leaves::Otherwise };
    let when = |code, value| Step { instruction: jump(code, value, 0, 0), leaves: Leaves::Then };
    // A greater high word holds, and skips the three behind; another lesser one does not.
    let above = |compare: Step| {
        let greater = goes_on(jump(JUMP_GREATER, high, 3, 0));
        vec![load(at + 4), greater, unless(JUMP_EQUAL, high), load(at), compare]
    };
    // A greater one does not hold, a lesser one holds and skips the two behind.
    let below = |compare: Step| {
        let lesser = goes_on(jump(JUMP_EQUAL, high, 0, 2));
        vec![load(at + 4), when(JUMP_GREATER, high), lesser, load(at), compare]
    };
    match condition.comparison {
        Comparison::Eq => vec![load_high, unless(JUMP_EQUAL, high), load_low, unless(JUMP_EQUAL, low)],
        Comparison::Ne => {
            let other = goes_on(jump(JUMP_EQUAL, high, 0, 2));
            vec![load_high, other, load_low, when(JUMP_EQUAL, low)]
        }
        Comparison::Masked(mask) => {
            let (mask_high, mask_low) =
                (goes_on(plain(AND, (mask >> 32) as u32)), goes_on(plain(AND, mask as u32)));
            let high = unless(JUMP_EQUAL, high);
            vec![load_high, mask_high, high, load_low, mask_low, unless(JUMP_EQUAL, low)]
        }
        Comparison::Gt => above(unless(JUMP_GREATER, low)),
        Comparison::Ge => above(unless(JUMP_GREATER_EQUAL, low)),
        Comparison::Lt => below(when(JUMP_GREATER_EQUAL, low)),
        Comparison::Le => below(when(JUMP_GREATER, low)),
    }
}

fn load(at: u32) -> Step {
    goes_on(plain(LOAD, at))
}

fn goes_on(instruction: Instruction) -> Step {
    Step { instruction, leaves: Leaves::Never }
}

fn plain(code: u16, value: u32) -> Instruction {
    jump(code, value, 0, 0)
}

fn jump(code: u16, value: u32, then: u8, otherwise: u8) -> Instruction {
    Instruction { code, then, otherwise, value }
}

/// A program is far shorter than that: the kernel takes 4096.
fn length(of: &[Instruction]) -> u32 {
    u32::try_from(of.len()).unwrap_or(u32::MAX)
}
