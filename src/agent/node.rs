//! The agent's own published file, `node.json`: what the machine is and has left, and what a person should know of it.

use std::path::Path;
use std::time::Duration;

use super::world::World;
use crate::api::{self, Amounts, Machine, Named, Pressure, Strain, published};
use crate::host::machine::{self, Left};
use crate::lifecycle::Now;
use crate::manifest;
use crate::status::Wall;

/// What was seen of the machine in one look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Look {
    machine: Machine,
    left: Left,
}

impl Look {
    /// Looks; may block for as long as the disk of `data` does.
    pub fn at(data: &Path) -> Look {
        Look { machine: machine::machine(data), left: machine::left(data) }
    }
}

/// What the node is short of, and has been.
pub struct Strains {
    strains: [Strain; 3],
    /// When the node was last seen to be short of each.
    seen: [Duration; 3],
    /// For how long a node that was short of something is still said to be: kubelet's `evictionPressureTransitionPeriod`.
    /// Without it, whatever is at the edge of being short would be written with every look.
    calm: Duration,
}

impl Strains {
    /// As they are at the agent's start.
    fn new(left: &Left, calm: Duration, now: Now) -> Strains {
        let strain = |kind| {
            let (short, message) = machine::short_of(kind, left);
            Strain { short, since: now.wall, message }
        };
        Strains { strains: Pressure::ALL.map(strain), seen: [now.boot; 3], calm }
    }

    /// Takes in another look. What changed, for the worse or the better.
    fn look(&mut self, left: &Left, now: Now) -> Vec<(Pressure, bool)> {
        let mut turned = Vec::new();
        for (at, kind) in Pressure::ALL.into_iter().enumerate() {
            let (short, message) = machine::short_of(kind, left);
            let strain = &mut self.strains[at];
            if short {
                self.seen[at] = now.boot;
            }
            if short != strain.short && (short || self.calm <= now.boot.saturating_sub(self.seen[at])) {
                *strain = Strain { short, since: now.wall, message };
                turned.push((kind, short));
            }
        }
        turned
    }
}

/// What is published of the node.
pub struct NodeFile {
    started: Wall,
    created: Wall,
    /// Sentences of the node that stay.
    pub warnings: Vec<String>,
    /// Of a rival; as long as it is there.
    pub rival: Option<String>,
    /// Of image archives; as long as they are there.
    pub refused_archives: Vec<String>,
    /// Of lists of images; as long as they are there.
    pub refused_lists: Vec<String>,
    machine: Machine,
    strains: Strains,
}

impl NodeFile {
    /// The node of an agent that begins now.
    pub fn new(world: &World, look: Look, now: Now) -> NodeFile {
        let created = std::fs::metadata(world.data.node_name()).and_then(|file| file.modified()).ok();
        let created = created.and_then(|at| at.duration_since(std::time::UNIX_EPOCH).ok());
        let created = created.and_then(|since| i64::try_from(since.as_nanos()).ok());
        NodeFile {
            started: now.wall,
            created: created.map_or(now.wall, Wall),
            warnings: Vec::new(),
            rival: None,
            refused_archives: Vec::new(),
            refused_lists: Vec::new(),
            strains: Strains::new(&look.left, world.config.pressure_transition, now),
            machine: look.machine,
        }
    }

    /// Takes in another look. What the node is short of now, or no longer; and whether anything is to be published.
    pub fn look(&mut self, look: Look, now: Now) -> (Vec<(Pressure, bool)>, bool) {
        let turned = self.strains.look(&look.left, now);
        let changed = !turned.is_empty() || look.machine != self.machine;
        self.machine = look.machine;
        (turned, changed)
    }

    /// The node's address, as of the last look.
    pub fn address(&self) -> Option<&str> {
        self.machine.address.as_deref()
    }

    /// What it has for pods, as of the last look.
    pub fn allocatable(&self, world: &World) -> Amounts {
        world.config.allocatable(&self.machine)
    }

    /// What the node is short of.
    pub fn strained(&self) -> impl Iterator<Item = Pressure> {
        let strains = Pressure::ALL.into_iter().zip(&self.strains.strains);
        strains.filter(|(_, strain)| strain.short).map(|(kind, _)| kind)
    }

    /// The file.
    pub fn published(&self, world: &World) -> published::Node {
        let config = &world.config;
        let text = |path: &Path| path.display().to_string();
        // Not its name: kubectl looks for events of the one and of the other, and would list each twice.
        let uid = manifest::node_uid(&world.node_name);
        let named = Named {
            name: &world.node_name,
            uid: &uid.0,
            created: self.created,
            ready: self.started,
            version: env!("CARGO_PKG_VERSION"),
            labels: &config.node_labels,
            max_pods: config.max_pods,
            reserved: config.reserved(&self.machine),
            lacks: &world.lacks,
        };
        published::Node {
            version: published::VERSION,
            name: world.node_name.clone(),
            pid: std::process::id(),
            started: self.started,
            cgroup_root: config.cgroup_root.clone(),
            data_dir: text(&config.data_dir),
            manifests_dir: text(&config.pod_manifest_path),
            log_dir: text(&config.log_dir),
            warnings: [
                &self.warnings[..],
                self.rival.as_slice(),
                &self.refused_archives,
                &self.refused_lists,
            ]
            .concat(),
            object: api::node(&named, &self.machine, &self.strains.strains),
        }
    }
}

#[cfg(test)]
mod tests;
