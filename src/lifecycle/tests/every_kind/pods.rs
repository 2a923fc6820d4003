//! Pods of any kind, by chance.

use std::sync::Arc;
use std::time::Duration;

use crate::spec::{
    Bytes, Check, Container, Hook, Hooks, Pod, Probe, Probes, RestartAction, RestartPolicy, RestartRule, Role,
};

/// Xorshift: the same story every time.
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Dice {
        Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    /// From 0 up to, but not `sides`.
    pub fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % sides
    }

    fn pick<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.roll(all.len() as u64) as usize]
    }
}

const POLICIES: &[RestartPolicy] = &[RestartPolicy::Always, RestartPolicy::OnFailure, RestartPolicy::Never];

/// Some pod called `name`.
pub fn any(uid: &str, name: &str, dice: &mut Dice) -> Arc<Pod> {
    let mut pod = Pod::clone(&super::super::pod(uid, name, dice.pick(POLICIES)));
    pod.grace = Duration::from_secs(dice.roll(60));
    pod.priority = dice.roll(3) as i32;
    pod.active_deadline = (dice.roll(3) == 0).then(|| Duration::from_secs(dice.roll(1500)));
    let before = dice.roll(4);
    let beside = 1 + dice.roll(2);
    let inits = (0..before).map(|index| init(index, dice)).collect::<Vec<_>>();
    pod.containers = inits;
    pod.containers.extend((0..beside).map(|index| regular(index, dice)));
    pod.containers[0].resources.storage_limit = (dice.roll(3) == 0).then_some(Bytes(1));
    Arc::new(pod)
}

fn init(index: u64, dice: &mut Dice) -> Container {
    match dice.roll(2) {
        0 => container(&format!("i{index}"), Role::Init, dice),
        _ => lively(container(&format!("s{index}"), Role::Sidecar, dice), dice),
    }
}

fn regular(index: u64, dice: &mut Dice) -> Container {
    lively(container(&format!("c{index}"), Role::Regular, dice), dice)
}

/// With what an init container must not have.
fn lively(container: Container, dice: &mut Dice) -> Container {
    Container {
        probes: probes(dice),
        hooks: Hooks { post_start: hook(dice), pre_stop: hook(dice) },
        ..container
    }
}

fn hook(dice: &mut Dice) -> Option<Hook> {
    match dice.roll(6) {
        0 => Some(Hook::Exec(Vec::new())),
        1 => Some(Hook::Sleep(Duration::from_secs(dice.roll(90)))),
        _ => None,
    }
}

fn container(name: &str, role: Role, dice: &mut Dice) -> Container {
    let own = role != Role::Sidecar && dice.roll(3) == 0;
    let restart_policy = own.then(|| dice.pick(POLICIES));
    let rules = if own || role == Role::Sidecar { dice.roll(3) } else { 0 };
    let restart_rules = (0..rules).map(|_| rule(dice)).collect();
    Container {
        name: name.into(),
        image: "a:1".into(),
        role,
        restart_policy,
        restart_rules,
        ..Container::default()
    }
}

/// Never about 0: whoever ends well would begin again for ever.
fn rule(dice: &mut Dice) -> RestartRule {
    let action = dice.pick(&[RestartAction::Restart, RestartAction::RestartAllContainers]);
    let not = dice.roll(2) == 0;
    let exit_codes = if not { vec![0, dice.pick(&[1, 42])] } else { vec![dice.pick(&[1, 42, 137, 143])] };
    RestartRule { exit_codes, not, action }
}

fn probes(dice: &mut Dice) -> Probes {
    let mut probe = |one_in| {
        (dice.roll(one_in) == 0).then(|| Probe {
            check: Check::Exec(Vec::new()),
            initial_delay: Duration::from_secs(dice.roll(60)),
            timeout: Duration::from_secs(1),
            period: Duration::from_secs(60 + dice.roll(600)),
            success_threshold: 1,
            failure_threshold: 1 + dice.roll(3) as u32,
            grace: (dice.roll(2) == 0).then(|| Duration::from_secs(dice.roll(90))),
        })
    };
    Probes { startup: probe(3), liveness: probe(3), readiness: probe(3) }
}

/// The policy that counts for `spec`.
pub fn policy(pod: &Pod, spec: &Container) -> RestartPolicy {
    spec.restart_policy.unwrap_or(pod.restart_policy)
}

/// Whether `spec` is a program that goes on, where luck is good; the others come to their good end.
pub fn goes_on(pod: &Pod, spec: &Container) -> bool {
    match spec.role {
        Role::Init => false,
        Role::Sidecar => true,
        Role::Regular => policy(pod, spec) == RestartPolicy::Always,
    }
}
