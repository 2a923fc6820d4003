//! When containers run again.

use k8s_openapi::api::core::v1 as core;

use crate::spec::{RestartAction, RestartPolicy, RestartRule, Role};

/// What `container` is there for; `init` if it is one of `spec.initContainers`.
pub fn role(container: &core::Container, init: bool) -> Role {
    match (init, container.restart_policy.as_deref()) {
        (true, Some("Always")) => Role::Sidecar,
        (true, _) => Role::Init,
        (false, _) => Role::Regular,
    }
}

/// The policy called `word`, which was validated.
pub fn policy(word: &str) -> RestartPolicy {
    match word {
        "OnFailure" => RestartPolicy::OnFailure,
        "Never" => RestartPolicy::Never,
        _ => RestartPolicy::Always,
    }
}

/// One rule, which was validated.
pub fn rule(rule: &core::ContainerRestartRule) -> RestartRule {
    let codes = rule.exit_codes.as_ref();
    RestartRule {
        exit_codes: codes.and_then(|codes| codes.values.clone()).unwrap_or_default(),
        not: codes.is_some_and(|codes| codes.operator == "NotIn"),
        action: match rule.action.as_str() {
            "RestartAllContainers" => RestartAction::RestartAllContainers,
            _ => RestartAction::Restart,
        },
    }
}
