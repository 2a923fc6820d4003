//! What the API server fills in (reference D.0), for what is used here.

use k8s_openapi::api::core::v1 as core;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity as Written;

use super::image_name;
use super::quantity::Quantity;
use super::totals::{Amounts, HUGE_PAGES, is_of_pods, page_size, totals};

/// Fills in what `pod` leaves out.
pub fn apply(pod: &mut core::Pod) {
    let spec = pod.spec.get_or_insert_default();
    default(&mut spec.restart_policy, "Always");
    default(&mut spec.dns_policy, "ClusterFirst");
    default(&mut spec.scheduler_name, "default-scheduler");
    spec.termination_grace_period_seconds.get_or_insert(30);
    spec.enable_service_links.get_or_insert(true);
    spec.security_context.get_or_insert_default();
    let host_network = spec.host_network.unwrap_or_default();
    for container in spec.init_containers.iter_mut().flatten().chain(&mut spec.containers) {
        apply_to_container(container, host_network);
    }
    apply_to_resources(spec);
    for volume in spec.volumes.iter_mut().flatten() {
        apply_to_projected(volume);
        // Every other kind has been refused.
        if *volume == (core::Volume { name: volume.name.clone(), ..core::Volume::default() }) {
            volume.empty_dir.get_or_insert_default();
        }
        if let Some(image) = &mut volume.image {
            let latest = image.reference.as_deref().is_none_or(image_name::is_latest);
            default(&mut image.pull_policy, if latest { "Always" } else { "IfNotPresent" });
        }
        if let Some(limit) = volume.empty_dir.as_mut().and_then(|empty| empty.size_limit.as_mut()) {
            canonicalize(limit);
        }
        if let Some(path) = &mut volume.host_path {
            path.type_.get_or_insert_default();
        }
    }
}

fn apply_to_container(container: &mut core::Container, host_network: bool) {
    let latest = container.image.as_deref().is_none_or(image_name::is_latest);
    default(&mut container.image_pull_policy, if latest { "Always" } else { "IfNotPresent" });
    default(&mut container.termination_message_path, "/dev/termination-log");
    default(&mut container.termination_message_policy, "File");
    for port in container.ports.iter_mut().flatten() {
        default(&mut port.protocol, "TCP");
        if host_network && port.host_port.unwrap_or_default() == 0 {
            port.host_port = Some(port.container_port);
        }
    }
    for source in container.env.iter_mut().flatten().filter_map(|variable| variable.value_from.as_mut()) {
        apply_to_field(&mut source.field_ref);
    }
    for probe in [&mut container.startup_probe, &mut container.liveness_probe, &mut container.readiness_probe]
    {
        probe.iter_mut().for_each(apply_to_probe);
    }
    if let Some(lifecycle) = &mut container.lifecycle {
        for hook in [&mut lifecycle.post_start, &mut lifecycle.pre_stop].into_iter().flatten() {
            apply_to_get(&mut hook.http_get);
        }
    }
    let resources = container.resources.get_or_insert_default();
    canonicalize_all(resources);
    if let Some(limits) = resources.limits.clone() {
        let requests = resources.requests.get_or_insert_default();
        for (resource, limit) in limits {
            requests.entry(resource).or_insert(limit);
        }
    }
}

/// A pod that says something of its resources asks for what its containers do together, and else for what it may use. Of huge
/// pages it may use what they may.
fn apply_to_resources(spec: &mut core::PodSpec) {
    let Some(mut resources) = spec.resources.take() else { return };
    canonicalize_all(&mut resources);
    let says = |amounts: &Option<Amounts>| amounts.as_ref().is_some_and(|amounts| !amounts.is_empty());
    let written = |amount: Quantity| Written(amount.to_string());
    if says(&resources.limits) || says(&resources.requests) {
        let limits = totals(spec, |of| of.limits.as_ref());
        for (name, limit) in limits.into_iter().filter(|(name, _)| page_size(name).is_some()) {
            resources.limits.get_or_insert_default().entry(name).or_insert_with(|| written(limit));
        }
    }
    if says(&resources.limits) {
        let overcommitted = |name: &str| is_of_pods(name) && !name.starts_with(HUGE_PAGES);
        let asked = totals(spec, |of| of.requests.as_ref()).into_iter();
        let asked = asked.filter(|(name, _)| overcommitted(name)).map(|(name, sum)| (name, written(sum)));
        let limits = resources.limits.clone().unwrap_or_default();
        let requests = resources.requests.get_or_insert_default();
        for (name, amount) in asked.chain(limits.into_iter().filter(|(name, _)| is_of_pods(name))) {
            requests.entry(name).or_insert(amount);
        }
    }
    spec.resources = Some(resources);
}

fn canonicalize_all(resources: &mut core::ResourceRequirements) {
    for amounts in [&mut resources.limits, &mut resources.requests].into_iter().flatten() {
        amounts.values_mut().for_each(canonicalize);
    }
}

/// Mode of files in volumes that are made of values.
pub const MODE: i32 = 0o644;

fn apply_to_projected(volume: &mut core::Volume) {
    if let Some(map) = &mut volume.config_map {
        map.default_mode.get_or_insert(MODE);
    }
    if let Some(secret) = &mut volume.secret {
        secret.default_mode.get_or_insert(MODE);
    }
    if let Some(downward) = &mut volume.downward_api {
        downward.default_mode.get_or_insert(MODE);
        downward.items.iter_mut().flatten().for_each(|item| apply_to_field(&mut item.field_ref));
    }
    if let Some(projected) = &mut volume.projected {
        projected.default_mode.get_or_insert(MODE);
        let sources = projected.sources.iter_mut().flatten();
        let items = sources.filter_map(|source| source.downward_api.as_mut()?.items.as_mut()).flatten();
        items.for_each(|item| apply_to_field(&mut item.field_ref));
    }
}

fn apply_to_field(field: &mut Option<core::ObjectFieldSelector>) {
    if let Some(field) = field {
        default(&mut field.api_version, "v1");
    }
}

/// A zero is as good as absent, except for the delay.
fn apply_to_probe(probe: &mut core::Probe) {
    for (field, value) in [
        (&mut probe.timeout_seconds, 1),
        (&mut probe.period_seconds, 10),
        (&mut probe.success_threshold, 1),
        (&mut probe.failure_threshold, 3),
    ] {
        if field.unwrap_or_default() == 0 {
            *field = Some(value);
        }
    }
    apply_to_get(&mut probe.http_get);
    if let Some(grpc) = &mut probe.grpc {
        grpc.service.get_or_insert_default();
    }
}

fn apply_to_get(get: &mut Option<core::HTTPGetAction>) {
    if let Some(get) = get {
        default(&mut get.path, "/");
        default(&mut get.scheme, "HTTP");
    }
}

/// As the API server writes it; what is no quantity is left for validation.
fn canonicalize(written: &mut Written) {
    if let Some(quantity) = Quantity::parse(&written.0) {
        written.0 = quantity.to_string();
    }
}

fn default(field: &mut Option<String>, value: &str) {
    if field.as_deref().unwrap_or_default().is_empty() {
        *field = Some(value.to_owned());
    }
}
