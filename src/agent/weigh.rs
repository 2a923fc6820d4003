//! The weight of each class of pods, after what those of it ask for together.

use log::warn;

use super::world::World;
use crate::cgroup::Asked;
use crate::lifecycle::Facts;

/// What the pods asked for when they were weighed last.
#[derive(Default)]
pub struct Weighed(Option<Asked>);

impl Weighed {
    /// Weighs them where that changed. A pod that is over asks for nothing more.
    pub fn again<'f>(&mut self, world: &World, pods: impl Iterator<Item = &'f Facts>) {
        let asked = Asked::by(pods.filter(|facts| !facts.ended).map(|facts| &*facts.pod));
        if self.0.replace(asked) != Some(asked) {
            let warnings = world.cgroups.weigh(asked, world.policy);
            warnings.iter().for_each(|warning| warn!("{warning}"));
        }
    }
}
