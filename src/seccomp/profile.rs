//! Profiles in files: `Localhost`. As containerd reads them: OCI's `linux.seccomp`.

use std::collections::BTreeSet;

use oci_spec::runtime::{
    Arch, LinuxSeccomp, LinuxSeccompAction as Action, LinuxSeccompArg, LinuxSeccompOperator as Operator,
};
use serde_json::Value;

use super::action::{ALLOW, ERRNO, KILL_PROCESS, KILL_THREAD, LOG, TRACE, TRAP};
use super::{Comparison, Condition, EPERM, Profile, Rule, table};

/// Highest errno that the kernel hands out (`MAX_ERRNO`).
const MAX_ERRNO: u32 = 4095;

/// The profile in `text`.
///
/// # Errors
/// A sentence where it is no profile, or asks for something that is not to be had here.
pub fn parse(text: &[u8]) -> Result<Profile, String> {
    let value: Value = serde_json::from_slice(text).map_err(|error| format!("it is not JSON: {error}"))?;
    of_oci(&value)?;
    let profile: LinuxSeccomp =
        serde_json::from_value(value).map_err(|error| format!("it is no profile: {error}"))?;
    if profile.listener_path().is_some() || profile.listener_metadata().is_some() {
        return Err("it asks for somebody who listens (listenerPath), and nobody does".to_owned());
    }
    let default = action(profile.default_action(), profile.default_errno_ret())?;
    let mut rules = Vec::new();
    for call in profile.syscalls().iter().flatten() {
        let action = action(call.action(), call.errno_ret())?;
        let each = alternatives(call.args().as_deref().unwrap_or_default())?;
        for name in call.names() {
            if !table::is_known(name) && action != ALLOW && action != LOG {
                return Err(format!("the system call {name}, which it restricts, is not known here"));
            }
            rules.extend(each.iter().map(|conditions| Rule {
                name: name.clone(),
                conditions: conditions.clone(),
                action,
            }));
        }
    }
    let machines = profile.architectures().as_deref().unwrap_or_default();
    let other = if cfg!(target_arch = "x86_64") { Arch::ScmpArchX86 } else { Arch::ScmpArchArm };
    Ok(Profile { default, unknown: default, rules, compatible: machines.contains(&other) })
}

/// Docker's profiles look alike, and have conditions that would be passed over: what is meant for few would be everybody's.
fn of_oci(value: &Value) -> Result<(), String> {
    let calls = value.get("syscalls").and_then(Value::as_array);
    let says = |call: &Value, field: &str| {
        let found = call.get(field);
        found.is_some_and(|found| {
            !found.is_null() && found.as_object().is_none_or(|fields| !fields.is_empty())
        })
    };
    let conditional = |call: &Value| ["includes", "excludes", "name"].iter().any(|field| says(call, field));
    if value.get("archMap").is_some() || calls.into_iter().flatten().any(conditional) {
        return Err("it is in Docker's format (archMap, includes, excludes), and OCI's is needed".to_owned());
    }
    Ok(())
}

fn action(action: Action, errno: Option<u32>) -> Result<u32, String> {
    let lower = errno.unwrap_or(EPERM);
    if MAX_ERRNO < lower {
        return Err(format!("errnoRet must be no more than {MAX_ERRNO}, and is {lower}"));
    }
    Ok(match action {
        Action::ScmpActKill | Action::ScmpActKillThread => KILL_THREAD,
        Action::ScmpActKillProcess => KILL_PROCESS,
        Action::ScmpActTrap => TRAP,
        Action::ScmpActErrno => ERRNO | lower,
        Action::ScmpActTrace => TRACE | lower,
        Action::ScmpActLog => LOG,
        Action::ScmpActAllow => ALLOW,
        Action::ScmpActNotify => {
            return Err("it asks for somebody who decides (SCMP_ACT_NOTIFY), and nobody does".to_owned());
        }
    })
}

/// The lists of conditions of which one must hold: all of `args`, but each by itself where two are about the same argument, as
/// in runc.
fn alternatives(args: &[LinuxSeccompArg]) -> Result<Vec<Vec<Condition>>, String> {
    let conditions = args.iter().map(condition).collect::<Result<Vec<_>, _>>()?;
    let about: BTreeSet<u8> = conditions.iter().map(|condition| condition.argument).collect();
    Ok(match about.len() == conditions.len() {
        true => vec![conditions],
        false => conditions.into_iter().map(|condition| vec![condition]).collect(),
    })
}

fn condition(arg: &LinuxSeccompArg) -> Result<Condition, String> {
    let argument = u8::try_from(arg.index()).ok().filter(|index| *index < 6);
    let argument = argument
        .ok_or_else(|| format!("a system call has arguments 0 to 5, and it names {}", arg.index()))?;
    let (comparison, value) = match arg.op() {
        Operator::ScmpCmpNe => (Comparison::Ne, arg.value()),
        Operator::ScmpCmpLt => (Comparison::Lt, arg.value()),
        Operator::ScmpCmpLe => (Comparison::Le, arg.value()),
        Operator::ScmpCmpEq => (Comparison::Eq, arg.value()),
        Operator::ScmpCmpGe => (Comparison::Ge, arg.value()),
        Operator::ScmpCmpGt => (Comparison::Gt, arg.value()),
        Operator::ScmpCmpMaskedEq => (Comparison::Masked(arg.value()), arg.value_two().unwrap_or_default()),
    };
    Ok(Condition { argument, comparison, value })
}
