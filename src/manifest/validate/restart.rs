//! When containers run again, and what those before the others may not have (the API server's `validateInitContainers` and
//! `validateContainerRestartPolicy`).

use k8s_openapi::api::core::v1 as core;

use super::one_of;
use crate::manifest::problems::Problems;
use crate::manifest::restart::role;
use crate::spec::Role;
use crate::yaml::tree::Path;

/// Most rules of a container.
const MAX_RULES: usize = 20;
/// Most exit codes of a rule.
const MAX_CODES: usize = 255;
/// A container's own policy.
const POLICIES: [&str; 3] = ["Always", "OnFailure", "Never"];

/// Checks what only those before the others may not have.
pub fn init(container: &core::Container, path: &Path, problems: &mut Problems<'_>) {
    if role(container, true) == Role::Sidecar {
        return;
    }
    for (field, there) in [
        ("lifecycle", container.lifecycle.is_some()),
        ("livenessProbe", container.liveness_probe.is_some()),
        ("readinessProbe", container.readiness_probe.is_some()),
        ("startupProbe", container.startup_probe.is_some()),
    ] {
        if there {
            let message = "may not be set for init containers without restartPolicy: Always";
            problems.error(&path.key(field), message, "remove it, or let it go on beside the others");
        }
    }
}

/// Checks the container's own policy and rules.
pub fn check(container: &core::Container, path: &Path, problems: &mut Problems<'_>) {
    let policy = container.restart_policy.as_deref();
    if policy.is_some() {
        one_of(&path.key("restartPolicy"), policy, &POLICIES, problems);
    }
    let rules = container.restart_policy_rules.as_deref().unwrap_or_default();
    let root = path.key("restartPolicyRules");
    if !rules.is_empty() && policy.is_none() {
        let message = "must be set together with restartPolicyRules";
        problems.error(
            &path.key("restartPolicy"),
            message,
            "say what holds where no rule does, such as Never",
        );
    }
    if MAX_RULES < rules.len() {
        problems.error(&root, format!("must hold no more than {MAX_RULES} rules"), "");
    }
    for (index, rule) in rules.iter().enumerate() {
        let path = root.index(index);
        one_of(&path.key("action"), Some(&rule.action), &["Restart", "RestartAllContainers"], problems);
        let path = path.key("exitCodes");
        let Some(codes) = &rule.exit_codes else {
            problems.error(
                &path,
                "must be set: a rule is about exit codes",
                "add one, like {operator: In, values: [42]}",
            );
            continue;
        };
        one_of(&path.key("operator"), Some(&codes.operator), &["In", "NotIn"], problems);
        let values = codes.values.as_deref().unwrap_or_default();
        if values.is_empty() || MAX_CODES < values.len() {
            problems.error(&path.key("values"), format!("must hold 1 to {MAX_CODES} exit codes"), "");
        }
    }
}
