//! What a container does besides running, defaulted and validated, as plain data.

use k8s_openapi::api::core::v1 as core;

use crate::spec::TerminationMessage;

/// Where `container` says its last words.
pub fn last_words(container: &mut core::Container) -> TerminationMessage {
    let path = container.termination_message_path.take().unwrap_or_default();
    TerminationMessage {
        // As the kubelet: what is not absolute is so from the root.
        path: if path.starts_with('/') { path } else { format!("/{path}") },
        or_log: container.termination_message_policy.as_deref() == Some("FallbackToLogsOnError"),
    }
}
