//! `agent`: flags to a configuration, and a log.

use std::io::Write;

use anyhow::Result;
use env_logger::Target;
use log::LevelFilter;

use super::args::Agent;
use super::{harmless, now};
use crate::config;
use crate::host::{Data, Runtime};

/// Runs the agent until it is told to end.
pub fn agent(flags: Agent, runtime: &Runtime) -> Result<()> {
    let config = config(flags, runtime);
    log_to_stderr(config.log);
    crate::agent::run(config)
}

fn config(flags: Agent, runtime: &Runtime) -> config::Agent {
    let manifests = Data::new(&flags.data_dir).manifests();
    config::Agent {
        pod_manifest_path: flags.pod_manifest_path.unwrap_or(manifests),
        data_dir: flags.data_dir,
        node_name: flags.node_name,
        log_dir: flags.log_dir,
        cgroup_root: flags.cgroup_root,
        runtime_dir: runtime.root().to_path_buf(),
        force: flags.force,
        log: match flags.verbose {
            0 => LevelFilter::Info,
            1 => LevelFilter::Debug,
            _ => LevelFilter::Trace,
        },
    }
}

/// One line a fact; the time only where nobody else adds it, as systemd's journal does.
pub fn log_to_stderr(level: LevelFilter) {
    let journal = std::env::var_os("JOURNAL_STREAM").is_some();
    let mut builder = env_logger::Builder::new();
    builder.filter_level(level).target(Target::Stderr).format(move |out, record| {
        if !journal {
            write!(out, "{:.3} ", now())?;
        }
        // File names, and what images say, are others' words.
        let text = harmless::line(&record.args().to_string());
        writeln!(out, "{:5} {text}", record.level().as_str().to_lowercase())
    });
    builder.init();
}
