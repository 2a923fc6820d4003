//! `top --probes`: what the agent counted since it started.

use std::time::Duration;

use anyhow::Result;

use super::table::{joined, layout};
use crate::api::published::{Probe, Probes};
use crate::cli::args::TopProbes;
use crate::cli::harmless::line;
use crate::cli::{print, read, say};
use crate::host::Runtime;

/// Shows them.
pub fn probes(runtime: &Runtime, asked: &TopProbes) -> Result<()> {
    read::agent_runs_or_say(runtime)?;
    let published = read::file::<Probes>(&runtime.probes())?;
    let mut probes = published.map(|published| published.probes).unwrap_or_default();
    // Those of pods that are gone are kept for a while.
    probes.retain(|probe| runtime.pod(&probe.uid).status().exists());
    probes.retain(|probe| asked.all_namespaces || probe.namespace == asked.namespace.namespace);
    if probes.is_empty() {
        say("No probe has an answer yet; answers are written down every ten seconds");
        return Ok(());
    }
    print(&table(probes, asked))
}

/// The table of `probes`.
pub fn table(mut probes: Vec<Probe>, asked: &TopProbes) -> String {
    let key = |it: &Probe| (it.namespace.clone(), it.pod.clone(), it.container.clone(), it.kind.clone());
    probes.sort_by_cached_key(key);
    let mut head = Vec::new();
    head.extend(asked.all_namespaces.then_some("NAMESPACE"));
    head.extend(["POD", "CONTAINER", "PROBE", "PERIOD", "LAST", "RUNS", "FAILURES", "CPU/RUN", "TIME/RUN"]);
    let mut out = if asked.no_headers { String::new() } else { joined(&head) };
    for probe in probes {
        let mut cells = Vec::new();
        cells.extend(asked.all_namespaces.then(|| line(&probe.namespace)));
        cells.extend([line(&probe.pod), line(&probe.container), line(&probe.kind)]);
        cells.extend([format!("{}s", probe.period), line(&probe.last)]);
        cells.extend([probe.runs.to_string(), probe.failures.to_string()]);
        cells.extend([probe.cpu_ns, probe.wall_ns].map(|total| mean(total, probe.runs)));
        out += &joined(&cells);
    }
    layout(&out)
}

/// Of one run, in milliseconds.
fn mean(total: u64, runs: u64) -> String {
    format!("{:.1}ms", Duration::from_nanos(total / runs.max(1)).as_secs_f64() * 1000.0)
}
