//! What a listing of the manifests directory brings, and what is looked at with it, so that an idle node is not woken once more.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};

use log::{info, warn};

use super::watch::Listing;
use super::{Agent, Message, remove_pod, values};
use crate::lifecycle::{self, Event};
use crate::manifest::verdict::Verdict;
use crate::spec::{Documents, Pod, Uid};

impl Agent {
    /// Takes in what the manifests ask for now.
    pub(super) fn take_listing(&mut self, listing: Listing) {
        self.publisher.look(listing.look);
        self.publisher.rival(listing.rival);
        self.publisher.verdict(&listing.verdict);
        let changed = self.documents(listing.documents);
        self.wanted(listing.pods, listing.verdict);
        self.hand_out(changed);
        self.collect_images();
        self.meter.begin(&self.world, &self.node, &self.sender);
        if let Err(error) = self.world.network.heal() {
            warn!("{error:#}");
        }
    }

    /// Tells the core what changed in what the manifests ask for.
    pub(super) fn wanted(&mut self, pods: Vec<Arc<Pod>>, verdict: Verdict) {
        self.world.collector.pods(pods.iter().map(|pod| &**pod), self.node.all());
        let wanted: BTreeMap<Uid, Arc<Pod>> = pods.into_iter().map(|pod| (pod.uid.clone(), pod)).collect();
        let most = self.world.config.max_pods;
        if most < u64::try_from(wanted.len()).unwrap_or(u64::MAX) {
            // Nobody else could run them: a kubelet, too, would only say so of a pod that is no manifest's.
            let warning =
                format!("there are manifests of more pods than the {most} of maxPods: all of them run");
            self.publisher.warn(warning);
        }
        let gone: Vec<Uid> = self.wanted.keys().filter(|uid| !wanted.contains_key(uid)).cloned().collect();
        for uid in gone {
            self.wanted.remove(&uid);
            self.event(Event::ManifestGone(uid));
        }
        let mut wanted: Vec<_> = wanted.into_iter().collect();
        wanted.sort_by(|(_, one), (_, other)| lifecycle::by_rank(one, other));
        for (uid, pod) in wanted {
            if self.wanted.insert(uid, pod.clone()).is_none() {
                info!("pod {}: asked for by {}", pod.full_name(), pod.origin);
                self.event(Event::ManifestSet(pod));
            }
        }
        if !self.listed && verdict.is_complete() {
            self.listed = true;
            let known = self.node.all().map(|facts| facts.pod.uid.clone()).collect();
            // Here and now, so that a pod that comes back next finds nothing of its former life, and loses nothing of the new.
            let aside = remove_pod::set_orphans_aside(&self.world, &known);
            self.spawn(smol::unblock(move || remove_pod::orphans(&aside)));
        }
    }

    /// Begins a round of it with the re-list in which it is due, so that an idle node is not woken once more.
    fn collect_images(&self) {
        let (world, sender) = (self.world.clone(), self.sender.clone());
        if world.collector.begins(&world.config) {
            self.spawn(async move {
                for note in smol::unblock(move || world.collector.round(&world)).await {
                    let _ = sender.send(Message::Note(note)).await;
                }
            });
        }
    }

    /// Takes in the ConfigMaps and Secrets, before whatever starts with them. Whether they changed.
    pub(super) fn documents(&self, documents: Arc<Documents>) -> bool {
        let mut held = self.world.documents.lock().unwrap_or_else(PoisonError::into_inner);
        let changed = !Arc::ptr_eq(&held, &documents);
        *held = documents;
        changed
    }

    /// Brings what `changed` to the pods that there are: into their volumes, and to those that wait for it.
    pub(super) fn hand_out(&mut self, changed: bool) {
        if changed {
            let (world, pods) = (self.world.clone(), self.wanted.values().cloned().collect::<Vec<_>>());
            self.spawn(smol::unblock(move || values::refresh(&world, &pods)));
            self.event(Event::DocumentsChanged);
        }
    }
}
