//! What the containers of a pod say together, as the API server adds it up (`AggregateContainerRequests`).

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1 as core;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity as Written;

use super::quantity::Quantity;
use super::restart;
use crate::spec::Role;

/// How the names of huge pages begin; what follows is the size of one.
pub const HUGE_PAGES: &str = "hugepages-";

/// Amounts by the names of their resources.
pub type Amounts = BTreeMap<String, Written>;

/// Whether a pod as a whole can have some of it (`IsSupportedPodLevelResource`).
pub fn is_of_pods(resource: &str) -> bool {
    matches!(resource, "cpu" | "memory") || resource.starts_with(HUGE_PAGES)
}

/// The size of a page, in bytes, of the huge pages called `resource`; `None` where it is none.
pub fn page_size(resource: &str) -> Option<u64> {
    let size = Quantity::parse(resource.strip_prefix(HUGE_PAGES)?)?.bytes().0;
    (size > 0).then_some(size)
}

/// The sum of all requests or limits, which `of` chooses, at the dearest moment of the pod's life: an init container runs beside
/// the sidecars before it, the others beside all sidecars. What is no quantity counts nothing.
pub fn totals(
    spec: &core::PodSpec,
    of: fn(&core::ResourceRequirements) -> Option<&Amounts>,
) -> BTreeMap<String, Quantity> {
    let amounts = |container: &core::Container| container.resources.as_ref().and_then(of).cloned();
    let inits = spec.init_containers.iter().flatten().map(|it| (restart::role(it, true), amounts(it)));
    let regular = spec.containers.iter().map(|it| (Role::Regular, amounts(it)));
    let all: Vec<(Role, Amounts)> =
        inits.chain(regular).map(|(role, amounts)| (role, amounts.unwrap_or_default())).collect();
    let names: BTreeSet<&String> = all.iter().flat_map(|(_, amounts)| amounts.keys()).collect();
    let total = |name: &String| {
        let (mut sidecars, mut regular, mut most) = (Quantity::ZERO, Quantity::ZERO, Quantity::ZERO);
        for (role, amounts) in &all {
            let Some(amount) = amounts.get(name).and_then(|written| Quantity::parse(&written.0)) else {
                continue;
            };
            match role {
                Role::Init => most = most.at_least(sidecars.plus(amount)),
                Role::Sidecar => sidecars = sidecars.plus(amount),
                Role::Regular => regular = regular.plus(amount),
            }
        }
        most.at_least(sidecars.plus(regular))
    };
    names.into_iter().map(|name| (name.clone(), total(name))).collect()
}

/// How a medium of huge pages begins; a hyphen and the size of one may follow.
pub const MEDIUM: &str = "HugePages";

/// The size of a page of an emptyDir of `medium`, in bytes; `None` where the pod may use no such pages, or where the medium does
/// not say which of several.
pub fn page_of(medium: &str, spec: Option<&core::PodSpec>) -> Option<u64> {
    let own =
        spec.iter().filter_map(|spec| spec.resources.as_ref()?.limits.clone()).flat_map(BTreeMap::into_keys);
    let totals = spec.iter().flat_map(|spec| totals(spec, |of| of.limits.as_ref()).into_keys());
    let sizes: BTreeSet<u64> = own.chain(totals).filter_map(|name| page_size(&name)).collect();
    match medium.strip_prefix(MEDIUM)?.strip_prefix('-') {
        Some(size) => Quantity::parse(size).map(|size| size.bytes().0).filter(|size| sizes.contains(size)),
        None if medium == MEDIUM && sizes.len() == 1 => sizes.first().copied(),
        None => None,
    }
}
