//! Requests and limits.

use k8s_openapi::api::core::v1 as core;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity as Written;

use crate::manifest::problems::Problems;
use crate::manifest::quantity::Quantity;
use crate::yaml::tree::Path;

/// Checks that all are quantities, none negative, and no request above its limit.
pub fn check(resources: Option<&core::ResourceRequirements>, path: &Path, problems: &mut Problems<'_>) {
    let Some(resources) = resources else { return };
    let (limits, requests) = (path.key("limits"), path.key("requests"));
    for (resource, limit) in resources.limits.iter().flatten() {
        amount(limit, &limits.key(resource), problems);
    }
    for (resource, request) in resources.requests.iter().flatten() {
        let path = requests.key(resource);
        let limit = resources.limits.as_ref().and_then(|limits| limits.get(resource));
        // What was defaulted from its limit has been reported there.
        if limit == Some(request) {
            continue;
        }
        let request = amount(request, &path, problems);
        let limit = limit.and_then(|limit| Quantity::parse(&limit.0));
        if let (Some(request), Some(limit)) = (request, limit)
            && request.milli() > limit.milli()
        {
            let message = format!("must be no more than the {resource} limit, which is {limit}");
            problems.error(&path, message, "raise the limit or lower the request");
        }
    }
}

/// What `written` says; an error where it is no quantity, or negative.
pub(super) fn amount(written: &Written, path: &Path, problems: &mut Problems<'_>) -> Option<Quantity> {
    let read = Quantity::parse(&written.0);
    match read {
        None => problems.error(path, "must be a quantity", "write one like 500m, 1.5, 64Mi or 1G"),
        Some(quantity) if quantity.milli() < 0 => problems.error(path, "must not be negative", ""),
        Some(_) => {}
    }
    read
}
