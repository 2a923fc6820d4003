//! The process that holds a shared PID namespace: its process 1, which reaps what the containers leave behind.
//!
//! It needs no image: it is this program, in an empty read-only root, with no capability and nobody's user, that never
//! executes anything. Signals from inside the namespace do not reach it; the pod process kills it by its cgroup.

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::chown;
use std::path::Path;

use anyhow::{Context, Result};
use libcontainer::workload::{Executor, ExecutorError, ExecutorSetEnvsError, ExecutorValidationError};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sys::signal::SigSet;
use oci_spec::runtime::Spec;
use serde_json::{Value, json};

use super::stage::{self, Stage};
use super::users::Users;
use super::{failure, runtime, start};
use crate::pod::job::PauseTask;
use crate::status::{Failure, Reason};
use crate::sys::process;

/// User and group, as in the image `pause` of Kubernetes.
const NOBODY: u32 = 65535;

/// Starts it, in the user namespace of `users` where the pod has one. Its process ID.
pub fn pause(runtime: &Path, task: &PauseTask, users: Option<&Users>) -> Result<i32, Failure> {
    let bundle = Path::new(&task.bundle);
    let wrong = |error| failure(Reason::CreatePodSandboxError, &error);
    prepare(bundle, task, users).map_err(wrong)?;
    if let Some(users) = users {
        let _stage = stage::enter(bundle, runtime, users).map_err(wrong)?;
        let (runtime, bundle) = (Path::new(Stage::RUNTIME), Path::new(Stage::BUNDLE));
        return runtime::create_and_start_ours(&runtime::Container { runtime, id: &task.id, bundle }, Loop);
    }
    let container = runtime::Container { runtime, id: &task.id, bundle };
    let started = runtime::create_and_start_ours(&container, Loop);
    // It has its own copy by now.
    let root = bundle.join("rootfs");
    let unmounted = umount2(&root, MntFlags::MNT_DETACH);
    let unmounted = unmounted.with_context(|| format!("unmount {}", root.display()));
    let pid = started?;
    unmounted.map(|()| pid).map_err(wrong)
}

fn prepare(bundle: &Path, task: &PauseTask, users: Option<&Users>) -> Result<()> {
    start::enter(&task.cgroup)?;
    if users.is_some() {
        stage::apart()?;
    }
    let root = bundle.join("rootfs");
    fs::create_dir_all(&root).with_context(|| format!("make {}", root.display()))?;
    let config = bundle.join("config.json");
    fs::write(&config, config_json(&task.cgroup, users).to_string())
        .with_context(|| format!("write {}", config.display()))?;
    let owner = users.map_or(0, |users| users.ids.host_id);
    let options = format!("size=64k,mode=755,uid={owner},gid={owner}");
    mount(Some("tmpfs"), &root, Some("tmpfs"), MsFlags::MS_NOSUID, Some(&*options))
        .with_context(|| format!("mount an empty root at {}", root.display()))?;
    // libcontainer puts the usual devices there.
    let dev = root.join("dev");
    fs::create_dir(&dev).context("make /dev")?;
    chown(&dev, Some(owner), Some(owner)).context("make /dev")
}

/// Network, IPC and UTS are the pod's, inherited; the rest is its own.
fn config_json(cgroup: &str, users: Option<&Users>) -> Value {
    let mut namespaces = vec!["mount", "pid", "cgroup"];
    namespaces.extend(users.map(|_| "user"));
    let namespaces: Vec<Value> = namespaces.iter().map(|kind| json!({ "type": kind })).collect();
    json!({
        "ociVersion": "1.0.2",
        "root": { "path": "rootfs", "readonly": true },
        "process": {
            "terminal": false,
            "user": { "uid": NOBODY, "gid": NOBODY, "additionalGids": [NOBODY] },
            "args": ["pause"],
            "env": [],
            "cwd": "/",
            "capabilities": {
                "bounding": [], "effective": [], "permitted": [], "inheritable": [], "ambient": [],
            },
            "noNewPrivileges": true,
        },
        // libcontainer asks it who it is.
        "mounts": [{
            "destination": "/proc", "type": "proc", "source": "proc",
            "options": ["nosuid", "noexec", "nodev", "ro"],
        }],
        "linux": {
            "cgroupsPath": cgroup,
            "namespaces": namespaces,
        },
    })
}

#[derive(Clone)]
struct Loop;

impl Executor for Loop {
    fn exec(&self, _: &Spec) -> Result<(), ExecutorError> {
        let all = SigSet::all();
        let ready = process::close_others(3, &[]).map_err(anyhow::Error::from);
        let ready = ready.and_then(|()| Ok(nix::sys::prctl::set_name(c"pause")?));
        let ready = ready.and_then(|()| Ok(all.thread_set_mask()?));
        ready.map_err(|error| ExecutorError::Other(format!("{error:#}")))?;
        loop {
            while process::reap().is_some() {}
            // One without a name is an error, and as good as any other.
            let _ = all.wait();
        }
    }

    fn validate(&self, _: &Spec) -> Result<(), ExecutorValidationError> {
        Ok(())
    }

    fn setup_envs(&self, _: HashMap<String, String>) -> Result<(), ExecutorSetEnvsError> {
        Ok(())
    }
}
