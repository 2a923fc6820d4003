//! The pods that are up, which find each other by name: in `/etc/hosts` of each, written anew when one comes or goes.
//!
//! Invariant: whoever writes last writes the latest, since it is read when nobody else writes.
//! Invariant: a file that cannot be written holds up no other pod.

use std::collections::BTreeMap;
use std::fs;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::Result;
use log::warn;

use super::world::World;
use crate::bundle::{self, Found, Names};
use crate::spec::{Pod, Uid};
use crate::volume;

/// Who is up.
#[derive(Default)]
pub struct Neighbours {
    up: Mutex<Up>,
    /// How many changes are in all files. Held while they are written.
    written: Mutex<u64>,
}

#[derive(Default)]
struct Up {
    /// Each with its addresses; none where it is in the node's network.
    pods: BTreeMap<Uid, (Arc<Pod>, Vec<IpAddr>)>,
    /// How often it changed.
    changes: u64,
}

/// Takes in pods that are up, with their addresses, and tells all.
pub fn join(world: &World, pods: impl IntoIterator<Item = (Arc<Pod>, Vec<IpAddr>)>) {
    let mut up = world.neighbours.up();
    up.pods.extend(pods.into_iter().map(|(pod, addresses)| (pod.uid.clone(), (pod, addresses))));
    up.changes += 1;
    drop(up);
    tell(world);
}

/// Takes in that pod `uid` is not up any more, and tells the others.
pub fn leave(world: &World, uid: &Uid) {
    let mut up = world.neighbours.up();
    if up.pods.remove(uid).is_some() {
        up.changes += 1;
        drop(up);
        tell(world);
    }
}

/// Has `write` write `/etc/hosts` of `pod`, given as text, while nobody else does.
pub fn written<T>(world: &World, pod: &Pod, write: impl FnOnce(String) -> Result<T>) -> Result<T> {
    let _alone = world.neighbours.written();
    let pods = world.neighbours.up().pods.clone();
    write(hosts(world, pod, &names(world, &pods, &world.network.of_node(), &pod.namespace)))
}

/// Brings all files up to date, unless somebody who came later did meanwhile.
fn tell(world: &World) {
    let changes = world.neighbours.up().changes;
    let mut written = world.neighbours.written();
    if changes <= *written {
        return;
    }
    let (pods, changes) = {
        let up = world.neighbours.up();
        (up.pods.clone(), up.changes)
    };
    let of_node = world.network.of_node();
    let mut by_namespace = BTreeMap::new();
    for (pod, _) in pods.values() {
        let names = || names(world, &pods, &of_node, &pod.namespace);
        let text = hosts(world, pod, by_namespace.entry(pod.namespace.as_str()).or_insert_with(names));
        if let Err(error) = volume::renew_hosts(&world.data, &pod.uid.0, &text) {
            warn!("pod {}: it does not learn who else is up: {error:#}", pod.full_name());
        }
    }
    *written = changes;
}

/// What pods of `namespace` call those that are up.
fn names<'a>(
    world: &World,
    pods: &'a BTreeMap<Uid, (Arc<Pod>, Vec<IpAddr>)>,
    of_node: &'a [IpAddr],
    namespace: &str,
) -> Names<'a> {
    let found = |(pod, addresses): &'a (Arc<Pod>, Vec<IpAddr>)| Found {
        pod,
        addresses: if pod.host_network { of_node } else { addresses },
    };
    let mut found: Vec<Found<'_>> = pods.values().map(found).collect();
    found.sort_by_key(|found| (&found.pod.namespace, &found.pod.name));
    bundle::names(&found, namespace, &world.config.cluster_domain)
}

/// `/etc/hosts` of `pod`. A file of the node's that is not there says nothing, as for its own programs.
fn hosts(world: &World, pod: &Pod, names: &Names<'_>) -> String {
    let own = match pod.host_network {
        true => bundle::node_hosts(&fs::read_to_string("/etc/hosts").unwrap_or_default(), pod),
        false => bundle::hosts(&world.network.addresses(&pod.uid.0), pod, &world.config.cluster_domain),
    };
    bundle::with_names(own, names)
}

impl Neighbours {
    fn up(&self) -> MutexGuard<'_, Up> {
        self.up.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn written(&self) -> MutexGuard<'_, u64> {
        self.written.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
