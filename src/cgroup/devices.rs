//! Which devices the processes of a group may use.

use std::fs::File;
use std::os::fd::AsFd;

use anyhow::{Context, Result};
use oci_spec::runtime::LinuxDeviceCgroup;

use super::{Hierarchy, write};
use crate::bundle;
use crate::sys::device_program;

/// The question is not looked at: `r0 = 1; exit`.
const ALLOW_EVERYTHING: [u8; 16] = [0xb7, 0, 0, 0, 1, 0, 0, 0, 0x95, 0, 0, 0, 0, 0, 0, 0];

/// Whether the kernel takes programs that decide about devices. For v2; it takes root to know.
pub fn device_programs() -> std::io::Result<()> {
    device_program::load(&ALLOW_EVERYTHING).map(drop)
}

impl Hierarchy {
    /// Makes `rules` hold for the group and all below it, which has no process of a container's image in it yet.
    ///
    /// On v1 they are written once more where libcontainer wrote them, since it allows more than they do behind them. On v2 a
    /// program is attached, which goes with the group. Fails where the kernel does not take it.
    pub fn restrict_devices(&self, path: &str, rules: &[LinuxDeviceCgroup]) -> Result<()> {
        self.check_ours(path)?;
        let group = self.dir_of("devices", path).context("there is no controller for devices")?;
        if self.unified {
            let program = bundle::device_program(rules).map_err(anyhow::Error::msg)?;
            let Some(program) = program else { return Ok(()) };
            let program = device_program::load(&program).context("load the device program")?;
            let at = File::open(&group).with_context(|| format!("open cgroup {}", group.display()))?;
            return device_program::attach(at.as_fd(), program.as_fd())
                .with_context(|| format!("attach the device program to cgroup {}", group.display()));
        }
        for rule in rules {
            let file = group.join(if rule.allow() { "devices.allow" } else { "devices.deny" });
            let written = write(&file, &rule.to_string());
            written.with_context(|| format!("write \"{rule}\" to {}", file.display()))?;
        }
        Ok(())
    }

    /// Whether rules can be made to hold. On v2 it is tried, by a program that allows everything, on a group without processes
    /// that is there once [`Hierarchy::ensure_tree`] was called.
    pub(super) fn restricts_devices(&self) -> bool {
        let group = self.dir_of("devices", &self.tree("besteffort"));
        let tried = || -> std::io::Result<()> {
            let group = File::open(group.unwrap_or_default())?;
            let program = device_program::load(&ALLOW_EVERYTHING)?;
            device_program::attach(group.as_fd(), program.as_fd())?;
            device_program::detach(group.as_fd(), program.as_fd())
        };
        !self.unified || tried().is_ok()
    }
}
