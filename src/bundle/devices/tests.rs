#![allow(clippy::unwrap_used)]

use super::*;

/// What the kernel answers, going through `program` for one question.
fn run(program: &[Instruction], kind: i32, access: i32, major: i32, minor: i32) -> bool {
    let question = [access << 16 | kind, major, minor];
    // The second register points to the question.
    let mut registers = [0i64; 6];
    let mut at = 0;
    loop {
        let Instruction { code, to, from, offset, value } = program[at];
        let (to, from, value) = (usize::from(to), usize::from(from), i64::from(value));
        at += 1;
        let mut jump = |holds: bool| at += if holds { usize::try_from(offset).unwrap() } else { 0 };
        match code {
            code::LOAD => {
                assert_eq!(from, usize::from(SCRATCH));
                registers[to] = i64::from(question[usize::try_from(offset).unwrap() / 4]);
            }
            code::MOVE => registers[to] = value,
            code::COPY => registers[to] = registers[from],
            code::AND => registers[to] &= value,
            code::SHIFT => registers[to] >>= value,
            code::JUMP_EQUAL => jump(registers[to] == value),
            code::JUMP_OTHER => jump(registers[to] != value),
            code::EXIT => return registers[0] == 1,
            other => panic!("operation {other:#x}"),
        }
    }
}

fn parsed(rules: Value) -> Vec<LinuxDeviceCgroup> {
    serde_json::from_value(rules).unwrap()
}

/// What `rules` mean, in the plainest words: each kind of access by itself, and the last rule about it counts.
fn meant(rules: &[LinuxDeviceCgroup], kind: i32, access: i32, major: i32, minor: i32) -> bool {
    let about = |rule: &&LinuxDeviceCgroup, bit: char| {
        let fits = |wanted: Option<i64>, number: i32| wanted.is_none_or(|wanted| wanted == i64::from(number));
        let typ = rule.typ().unwrap_or_default();
        (typ == LinuxDeviceType::A || (typ == LinuxDeviceType::B) == (kind == BLOCK))
            && fits(rule.major(), major)
            && fits(rule.minor(), minor)
            && rule.access().as_ref().is_none_or(|access| access.contains(bit))
    };
    let wanted = ACCESS.iter().filter(|(_, bit)| access & bit != 0);
    let last = |letter: char| rules.iter().rfind(|rule| about(rule, letter));
    wanted.into_iter().all(|(letter, _)| last(*letter).is_some_and(LinuxDeviceCgroup::allow))
}

fn agrees(rules: Value) {
    let parsed = parsed(rules.clone());
    let program = program(&parsed).unwrap();
    for kind in [BLOCK, CHARACTER] {
        for access in 1..=EVERY_ACCESS {
            for (major, minor) in (0..12).chain([136, 259]).flat_map(|major| (0..12).map(move |m| (major, m)))
            {
                let answer = run(&program, kind, access, major, minor);
                let question = format!("{kind} {access} {major}:{minor} of {rules}");
                assert_eq!(answer, meant(&parsed, kind, access, major, minor), "{question}");
            }
        }
    }
}

#[test]
fn the_program_says_what_the_rules_say() {
    let rule = |allow: bool, kind: &str, access: &str, numbers: (Option<i64>, Option<i64>)| {
        let mut rule = json!({ "allow": allow, "access": access });
        if kind != "a" {
            rule["type"] = json!(kind);
        }
        for (name, number) in [("major", numbers.0), ("minor", numbers.1)] {
            if let Some(number) = number {
                rule[name] = json!(number);
            }
        }
        rule
    };
    agrees(rules(false));
    agrees(rules(true));
    agrees(json!([]));
    // Made of two rules; and taken away again, in whole and in part.
    let one = (Some(1), Some(3));
    agrees(json!([rule(true, "c", "r", one), rule(true, "c", "w", one)]));
    agrees(json!([rule(true, "a", "rwm", (None, None)), rule(false, "b", "rwm", (None, None))]));
    agrees(json!([rule(true, "c", "rwm", (Some(1), None)), rule(false, "c", "w", one)]));
    agrees(json!([rule(false, "a", "w", (None, None)), rule(true, "a", "rm", (None, None))]));
    agrees(json!([rule(true, "b", "rwm", (None, Some(3))), rule(false, "a", "rwm", (None, None))]));
    // All short lists of these.
    let some = [
        rule(true, "c", "rw", one),
        rule(false, "c", "w", (Some(1), None)),
        rule(true, "a", "rwm", (None, Some(3))),
        rule(false, "b", "rwm", (None, None)),
        rule(true, "a", "m", (None, None)),
    ];
    for first in &some {
        for second in &some {
            for third in &some {
                agrees(json!([first, second, third]));
            }
        }
    }
}

#[test]
fn a_container_makes_every_node_and_opens_the_harmless_ones() {
    let program = program(&parsed(rules(false))).unwrap();
    let open = |kind, major, minor| run(&program, kind, 6, major, minor);
    for (major, minor) in
        [(1, 3), (1, 5), (1, 7), (1, 8), (1, 9), (5, 0), (5, 1), (5, 2), (136, 0), (136, 77)]
    {
        assert!(open(CHARACTER, major, minor), "{major}:{minor}");
        assert!(!open(BLOCK, major, minor), "{major}:{minor}");
    }
    // The memory, its ports, the kernel's messages, tun, a disk.
    for (kind, major, minor) in [
        (CHARACTER, 1, 1),
        (CHARACTER, 1, 4),
        (CHARACTER, 1, 11),
        (CHARACTER, 10, 200),
        (BLOCK, 8, 0),
        (BLOCK, 254, 0),
    ] {
        assert!(run(&program, kind, 1, major, minor), "the node of {major}:{minor}");
        for access in 2..=EVERY_ACCESS {
            assert!(!run(&program, kind, access, major, minor), "{access} of {major}:{minor}");
        }
    }
}

#[test]
fn nothing_is_loaded_where_everything_is_allowed_and_a_rule_of_nothing_is_an_error() {
    assert_eq!(device_program(&parsed(rules(true))), Ok(None));
    let bytes = device_program(&parsed(rules(false))).unwrap().unwrap();
    // struct bpf_insn: r2 = *(u32 *)(r1 + 0); r3 = r2.
    assert_eq!(bytes[..16], [0x61, 0x12, 0, 0, 0, 0, 0, 0, 0xbf, 0x23, 0, 0, 0, 0, 0, 0]);
    assert_eq!(bytes.len() % 8, 0);
    for wrong in [
        json!({ "allow": true, "type": "p", "access": "r" }),
        json!({ "allow": true, "type": "c", "major": -2 }),
        json!({ "allow": true, "type": "c", "major": 1, "minor": 1i64 << 31 }),
        json!({ "allow": true, "type": "c", "access": "rx" }),
    ] {
        assert!(device_program(&parsed(json!([wrong]))).is_err(), "{wrong}");
    }
}
