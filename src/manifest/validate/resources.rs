//! Requests and limits.

use k8s_openapi::api::core::v1 as core;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity as Written;

use crate::manifest::problems::Problems;
use crate::manifest::quantity::Quantity;
use crate::manifest::totals::{self, Amounts, HUGE_PAGES};
use crate::yaml::tree::Path;

/// Checks that all are quantities, none negative, and no request above its limit; and huge pages.
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
    huge_pages(resources, path, problems);
}

/// Nobody gets more of them than was asked for, and they are memory that somebody has to ask for beside.
fn huge_pages(resources: &core::ResourceRequirements, path: &Path, problems: &mut Problems<'_>) {
    let of = |amounts: &Option<Amounts>, name: &str| {
        amounts.as_ref().and_then(|amounts| amounts.get(name)).and_then(|it| Quantity::parse(&it.0))
    };
    let mut any = None;
    for (kind, amounts) in [("limits", &resources.limits), ("requests", &resources.requests)] {
        for name in
            amounts.iter().flat_map(|amounts| amounts.keys()).filter(|name| name.starts_with(HUGE_PAGES))
        {
            let path = path.key(kind).key(name);
            let told =
                kind == "requests" && resources.limits.as_ref().is_some_and(|it| it.contains_key(name));
            if totals::page_size(name).is_none() && !told {
                problems.error(&path, "does not name the size of a page", "write it as in hugepages-2Mi");
            }
            let (limit, request) = (of(&resources.limits, name), of(&resources.requests, name));
            if limit.map(Quantity::milli) != request.map(Quantity::milli) && kind == "requests" {
                problems.error(
                    &path,
                    format!("must be what the limit of {name} is"),
                    "leave the request out",
                );
            }
            any.get_or_insert(path);
        }
    }
    let beside = |amounts: &Option<Amounts>| {
        amounts
            .iter()
            .flat_map(|amounts| amounts.keys())
            .any(|name| matches!(name.as_str(), "cpu" | "memory"))
    };
    if let Some(path) = any.filter(|_| !beside(&resources.limits) && !beside(&resources.requests)) {
        problems.error(&path, "huge pages require cpu or memory", "ask for some of either, too");
    }
}

/// Checks what the pod says of itself as a whole, beside what its containers do.
pub fn of_pod(spec: &core::PodSpec, problems: &mut Problems<'_>) {
    let Some(own) = &spec.resources else { return };
    let root = Path::of("spec.resources");
    check(Some(own), &root, problems);
    for (kind, amounts) in [("limits", &own.limits), ("requests", &own.requests)] {
        let others =
            amounts.iter().flat_map(|amounts| amounts.keys()).filter(|name| !totals::is_of_pods(name));
        for name in others {
            let path = root.key(kind).key(name);
            problems.error(&path, "a pod has cpu, memory and huge pages only", "write it in a container");
        }
    }
    let requests = totals::totals(spec, |of| of.requests.as_ref());
    let limits = totals::totals(spec, |of| of.limits.as_ref());
    let huge = limits.iter().filter(|(name, _)| name.starts_with(HUGE_PAGES));
    let sums = requests.iter().map(|it| ("requests", &own.requests, it));
    for (kind, amounts, (name, sum)) in sums.chain(huge.map(|it| ("limits", &own.limits, it))) {
        let said = amounts.as_ref().and_then(|amounts| Quantity::parse(&amounts.get(name)?.0));
        if said.is_some_and(|said| said.milli() < sum.milli()) {
            let message =
                format!("must be no less than the {kind} of its containers together, which are {sum}");
            problems.error(&root.key(kind).key(name), message, "raise it, or lower theirs");
        }
    }
    for (index, container) in spec.containers.iter().enumerate() {
        let theirs = container.resources.as_ref().and_then(|it| it.limits.as_ref());
        for (name, limit) in theirs.into_iter().flatten() {
            let limit = Quantity::parse(&limit.0);
            let most = own.limits.as_ref().and_then(|limits| Quantity::parse(&limits.get(name)?.0));
            if let (Some(limit), Some(most)) = (limit, most)
                && most.milli() < limit.milli()
            {
                let path = Path::of("spec.containers").index(index).key("resources").key("limits").key(name);
                let message = format!("must be no more than the pod's own limit of {name}, which is {most}");
                problems.error(&path, message, "lower it, or raise the pod's");
            }
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
