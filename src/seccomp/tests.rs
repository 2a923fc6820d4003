#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::action::{ALLOW, ERRNO, KILL_PROCESS, LOG, TRAP};
use super::emit::{Instruction, code};
use super::*;

/// What every container has.
const CAPABILITIES: [&str; 3] = ["CAP_CHOWN", "CAP_MKNOD", "CAP_SYS_CHROOT"];

const X86_64: table::Machine = table::X86_64;

fn instructions(bytes: &[u8]) -> Vec<Instruction> {
    let (chunks, rest) = bytes.as_chunks::<8>();
    assert!(rest.is_empty());
    let one = |[c0, c1, then, otherwise, v0, v1, v2, v3]: &[u8; 8]| Instruction {
        code: u16::from_ne_bytes([*c0, *c1]),
        then: *then,
        otherwise: *otherwise,
        value: u32::from_ne_bytes([*v0, *v1, *v2, *v3]),
    };
    chunks.iter().map(one).collect()
}

/// What `program` says of the call `number` of `audit`, as the kernel runs it.
fn run(program: &[Instruction], audit: u32, number: u32, arguments: [u64; 6]) -> u32 {
    let (mut at, mut word) = (0, 0);
    loop {
        let step = program[at];
        at += 1;
        let jump = |holds: bool| usize::from(if holds { step.then } else { step.otherwise });
        match step.code {
            code::LOAD => {
                word = match step.value {
                    0 => number,
                    4 => audit,
                    offset => {
                        let argument = arguments[(offset as usize - 16) / 8];
                        (argument >> (8 * ((offset - 16) % 8))) as u32
                    }
                }
            }
            code::AND => word &= step.value,
            code::JUMP => at += step.value as usize,
            code::RETURN => return step.value,
            code::JUMP_EQUAL => at += jump(word == step.value),
            code::JUMP_GREATER => at += jump(word > step.value),
            code::JUMP_GREATER_EQUAL => at += jump(word >= step.value),
            other => panic!("operation {other:#x}"),
        }
    }
}

fn emitted(profile: &Profile) -> Vec<Instruction> {
    emit::program(profile, &[X86_64]).unwrap()
}

fn number(name: &str) -> u32 {
    table::calls(X86_64).find(|(known, _)| *known == name).unwrap().1
}

/// Values at and around every edge.
fn values() -> Vec<u64> {
    let edges = [0, 0x8, 38, 39, 40, 0x20000, 0x20008, 0xffff_ffff, 0x7e02_0000, 1 << 32, 40 << 32, u64::MAX];
    edges.iter().flat_map(|edge: &u64| [edge.wrapping_sub(1), *edge, edge.wrapping_add(1)]).collect()
}

#[test]
fn the_default_allows_what_is_harmless_and_forbids_the_rest_14_18() {
    let program = emitted(&runtime_default(CAPABILITIES.into_iter()));
    let ask = |name: &str, first: u64| run(&program, X86_64.audit, number(name), [first, 0, 0, 0, 0, 0]);
    for name in ["read", "execve", "mseal", "chroot", "ptrace", "capset", "seccomp", "uretprobe"] {
        assert_eq!(ask(name, 0), ALLOW, "{name}");
    }
    for name in
        ["mount", "unshare", "setns", "keyctl", "add_key", "bpf", "reboot", "kcmp", "open_by_handle_at"]
    {
        assert_eq!(ask(name, 0), ERRNO | EPERM, "{name}");
    }
    assert_eq!(ask("clone", 0x0003_d0f00), ALLOW, "a thread");
    for flag in [0x2_0000_u64, 0x200_0000, 0x400_0000, 0x800_0000, 0x1000_0000, 0x2000_0000, 0x4000_0000] {
        assert_eq!(ask("clone", 0x11 | flag), ERRNO | EPERM, "{flag:#x}");
    }
    assert_eq!(ask("clone3", 0), ERRNO | ENOSYS);
    for (domain, becomes) in [(1, ALLOW), (38, ERRNO | EPERM), (39, ALLOW), (40, ERRNO | EPERM), (41, ALLOW)]
    {
        assert_eq!(ask("socket", domain), becomes, "{domain}");
    }
    let by_number = |number| run(&program, X86_64.audit, number, [0; 6]);
    assert_eq!(by_number(table::LAST + 1), ERRNO | ENOSYS, "newer than the profile");
    assert_eq!([0x4000_0000, 0x4000_0001, u32::MAX].map(by_number), [ERRNO | EPERM; 3], "x32");
    assert_eq!(run(&program, 0x0000_0016, 0, [0; 6]), KILL_PROCESS, "another machine");
}

#[test]
fn capabilities_allow_what_they_are_for() {
    for (capability, name) in [
        ("CAP_SYS_ADMIN", "mount"),
        ("CAP_SYS_ADMIN", "clone3"),
        ("CAP_SYS_TIME", "settimeofday"),
        ("CAP_SYS_MODULE", "init_module"),
        ("CAP_SYS_PTRACE", "kcmp"),
        ("CAP_BPF", "bpf"),
    ] {
        let ask = |capabilities: &[&'static str]| {
            let program = emitted(&runtime_default(capabilities.iter().copied()));
            run(&program, X86_64.audit, number(name), [0; 6])
        };
        assert_ne!(ask(&[]), ALLOW, "{name}");
        assert_eq!(ask(&[capability]), ALLOW, "{name}");
    }
    let admin = emitted(&runtime_default(["CAP_SYS_ADMIN"].into_iter()));
    assert_eq!(run(&admin, X86_64.audit, number("clone"), [0x7e02_0000, 0, 0, 0, 0, 0]), ALLOW);
}

/// All four machines, each with its own numbers: fork is 57 on x86-64, 2 on i386 and ARM, and aarch64 has none.
#[test]
fn each_machine_has_its_own_numbers() {
    let machines = [1, 2, 3, 4].map(|column| table::Machine { audit: column as u32, column, x32: false });
    let program = emit::program(&runtime_default(CAPABILITIES.into_iter()), &machines).unwrap();
    for machine in machines {
        for (name, number) in table::calls(machine) {
            let becomes = run(&program, machine.audit, number, [0; 6]);
            match name {
                "getpid" | "exit_group" | "openat2" => assert_eq!(becomes, ALLOW, "{name} {number}"),
                "mount" | "kexec_load" | "userfaultfd" | "io_uring_setup" => {
                    assert_eq!(becomes, ERRNO | EPERM, "{name} {number}");
                }
                _ => {}
            }
        }
    }
    let fork =
        machines.map(|machine| table::calls(machine).find(|(name, _)| *name == "fork").map(|(_, of)| of));
    assert_eq!(fork, [Some(57), Some(2), None, Some(2)]);
    let set_tls = run(&program, 4, 0x000f_0005, [0; 6]);
    assert_eq!((set_tls, run(&program, 4, 0x000f_0006, [0; 6])), (ALLOW, ERRNO | ENOSYS));
}

/// Profiles as they are written, judged by another implementation at and around every edge.
#[test]
fn another_implementation_judges_alike() {
    let operators = ["NE", "LT", "LE", "EQ", "GE", "GT", "MASKED_EQ"];
    let two = |one: &str, other: &str, value: u64| {
        let arg = |index: u32, op: &str, value: u64| json!({"index": index, "value": value, "valueTwo": value, "op": op});
        json!([arg(0, &format!("SCMP_CMP_{one}"), value), arg(1, &format!("SCMP_CMP_{other}"), 40 << 32)])
    };
    let mut cases = 0;
    let mut profiles = vec![runtime_default(CAPABILITIES.into_iter())];
    for (one, other, value) in operators.iter().flat_map(|one| {
        operators.iter().flat_map(move |other| [39, 40 << 32, u64::MAX - 1].map(|value| (one, other, value)))
    }) {
        let calls =
            json!([{"names": ["socket"], "action": "SCMP_ACT_ALLOW", "args": two(one, other, value)}]);
        let text = json!({"defaultAction": "SCMP_ACT_ERRNO", "syscalls": calls}).to_string();
        profiles.push(parse(text.as_bytes()).unwrap());
    }
    for profile in &profiles {
        let ours = emitted(profile);
        let theirs = judge(profile);
        // What is known to it and is no matter of two actions alone.
        let numbers: Vec<u32> = match profile.rules.len() {
            1 => vec![number("socket")],
            _ => (0..=table::LAST).filter(|of| *of != number("clone3")).collect(),
        };
        for (number, value) in
            numbers.iter().flat_map(|number| values().into_iter().map(|value| (*number, value)))
        {
            for second in [0, 8, 40 << 32, (40 << 32) + 1] {
                let arguments = [value, second, 0, 0, 0, 0];
                let (mine, its) = (
                    run(&ours, X86_64.audit, number, arguments),
                    run(&theirs, X86_64.audit, number, arguments),
                );
                let mine = if mine == ERRNO | ENOSYS { ERRNO | EPERM } else { mine };
                assert_eq!(mine, its, "{number} {arguments:x?} {:?}", profile.rules.first());
                cases += 1;
            }
        }
    }
    assert!(20_000 < cases, "{cases}");
}

/// What seccompiler makes of it, which knows two actions.
fn judge(profile: &Profile) -> Vec<Instruction> {
    use seccompiler::*;
    let operator = |comparison| match comparison {
        Comparison::Ne => SeccompCmpOp::Ne,
        Comparison::Lt => SeccompCmpOp::Lt,
        Comparison::Le => SeccompCmpOp::Le,
        Comparison::Eq => SeccompCmpOp::Eq,
        Comparison::Ge => SeccompCmpOp::Ge,
        Comparison::Gt => SeccompCmpOp::Gt,
        Comparison::Masked(mask) => SeccompCmpOp::MaskedEq(mask),
    };
    let of = |Condition { argument, comparison, value }: &Condition| {
        SeccompCondition::new(*argument, SeccompCmpArgLen::Qword, operator(*comparison), *value).unwrap()
    };
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> = BTreeMap::new();
    for rule in profile.rules.iter().filter(|rule| rule.action == ALLOW) {
        let Some((_, number)) = table::calls(X86_64).find(|(name, _)| *name == rule.name) else { continue };
        let list = rules.entry(number.into()).or_default();
        if !rule.conditions.is_empty() {
            list.push(SeccompRule::new(rule.conditions.iter().map(of).collect()).unwrap());
        }
    }
    let (default, allow) = (SeccompAction::Errno(EPERM), SeccompAction::Allow);
    let filter = SeccompFilter::new(rules, default, allow, TargetArch::x86_64).unwrap();
    let program: BpfProgram = filter.try_into().unwrap();
    let one = |it: sock_filter| Instruction { code: it.code, then: it.jt, otherwise: it.jf, value: it.k };
    program.into_iter().map(one).collect()
}

fn told(profile: Value) -> Result<Vec<Instruction>, String> {
    emit::program(&parse(profile.to_string().as_bytes())?, &[X86_64])
}

#[test]
fn a_profile_of_a_file_counts_as_it_is_written() {
    let call = |action: &str, names: &[&str]| json!({"names": names, "action": action});
    let program = told(json!({
        "defaultAction": "SCMP_ACT_ALLOW",
        "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_MIPS"],
        "flags": ["SECCOMP_FILTER_FLAG_LOG"],
        "syscalls": [
            {"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 38},
            call("SCMP_ACT_TRAP", &["chdir"]),
            call("SCMP_ACT_LOG", &["getcwd", "of_tomorrow"]),
            call("SCMP_ACT_KILL_PROCESS", &["fork", "breakpoint"]),
            // Twice the same argument: either is enough.
            {"names": ["kill"], "action": "SCMP_ACT_ERRNO", "args": [
                {"index": 1, "value": 9, "op": "SCMP_CMP_EQ"}, {"index": 1, "value": 15, "op": "SCMP_CMP_EQ"}]},
        ],
    }));
    let program = program.unwrap();
    let ask = |name: &str, second| run(&program, X86_64.audit, number(name), [0, second, 0, 0, 0, 0]);
    assert_eq!(
        ["mkdir", "mkdirat", "chdir", "getcwd", "fork", "read"].map(|name| ask(name, 0)),
        [ERRNO | 38, ERRNO | 38, TRAP, LOG, KILL_PROCESS, ALLOW]
    );
    assert_eq!([9, 15, 1].map(|signal| ask("kill", signal)), [ERRNO | EPERM, ERRNO | EPERM, ALLOW]);
    let newer = run(&program, X86_64.audit, table::LAST + 1, [0; 6]);
    assert_eq!(newer, ALLOW, "as the profile says of what it does not name");
}

/// Threat 20: what cannot be enforced is told, and never left out.
#[test]
fn a_profile_that_cannot_be_enforced_is_refused() {
    let with = |syscalls: Value| json!({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": syscalls});
    let one = |action: &str, names: &[&str]| json!({"names": names, "action": action});
    let arg = |index: u32| {
        json!([{"names": ["kill"], "action": "SCMP_ACT_ERRNO", "args": [
        {"index": index, "value": 1, "op": "SCMP_CMP_EQ"}]}])
    };
    for (profile, why) in [
        (json!({}), "no profile"),
        (json!([]), "no profile"),
        (json!({"defaultAction": "SCMP_ACT_MAYBE"}), "no profile"),
        (json!({"defaultAction": "SCMP_ACT_NOTIFY"}), "SCMP_ACT_NOTIFY"),
        (json!({"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 4096}), "4095"),
        (json!({"defaultAction": "SCMP_ACT_ALLOW", "listenerPath": "/run/x"}), "listenerPath"),
        (json!({"defaultAction": "SCMP_ACT_ALLOW", "archMap": []}), "Docker"),
        (
            with(json!([{"names": ["bpf"], "action": "SCMP_ACT_ALLOW", "includes": {"caps": ["CAP_BPF"]}}])),
            "Docker",
        ),
        (with(json!([one("SCMP_ACT_ERRNO", &["of_tomorrow"])])), "of_tomorrow"),
        (with(json!([one("SCMP_ACT_ERRNO", &["kill"]), one("SCMP_ACT_ALLOW", &["kill"])])), "kill"),
        (with(arg(6)), "arguments 0 to 5"),
    ] {
        let error = told(profile.clone()).unwrap_err();
        assert!(error.contains(why), "{profile}: {error}");
    }
    assert!(parse(b"").unwrap_err().contains("JSON"), "an empty file is no profile");
    // Docker's own, without a condition, is OCI's too.
    let empty =
        json!([{"names": ["bpf"], "action": "SCMP_ACT_ERRNO", "includes": {}, "excludes": {}, "args": null}]);
    assert!(told(with(empty)).is_ok());
}

#[test]
fn the_program_of_this_machine_is_short() {
    let bytes = program(&runtime_default(CAPABILITIES.into_iter())).unwrap();
    assert!(bytes.len() <= 4096, "{} bytes", bytes.len());
    assert_eq!(
        run(&instructions(&bytes), table::MACHINES[0].audit, u32::MAX - 1, [0; 6]) & 0xffff_0000,
        ERRNO
    );
}
