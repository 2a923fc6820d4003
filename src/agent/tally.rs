//! What probes were answered and what they cost, for `top --probes`.
//!
//! Invariant: it is written with the end of a probe, at most once in [`PAUSE`], and never on a clock of its own: it costs no
//! wake-up, and nothing on a node without probes.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use log::error;

use crate::api::published::{self, VERSION};
use crate::spec::{Container, Pod, Probe, ProbeKind, Uid};
use crate::sys::{atomic, clock};

/// Between two writes.
const PAUSE: Duration = Duration::from_secs(10);

/// Of pods that have not been asked for this long, or for ten periods, nothing is kept.
const FORGOTTEN: Duration = Duration::from_secs(600);

/// One run of a probe.
pub struct Run {
    /// In one word.
    pub answer: &'static str,
    /// From question to answer.
    pub wall: Duration,
    /// Processor time.
    pub cpu: Duration,
}

/// All probes.
#[derive(Default)]
pub struct Tally {
    probes: BTreeMap<(Uid, String, ProbeKind), (Duration, published::Probe)>,
    written: Duration,
}

impl Tally {
    /// Counts a run of the probe of `kind`, and writes to `path` what there is, if it is time.
    pub fn note(&mut self, asked: (&Pod, &Container, ProbeKind, &Probe), run: &Run, path: &Path) {
        let (pod, container, kind, probe) = asked;
        let now = clock::boottime();
        let first = || published::Probe {
            namespace: pod.namespace.clone(),
            pod: pod.name.clone(),
            uid: pod.uid.0.clone(),
            container: container.name.clone(),
            kind: kind.word().to_owned(),
            period: probe.period.as_secs(),
            last: String::new(),
            at: clock::wall(),
            runs: 0,
            failures: 0,
            wall_ns: 0,
            cpu_ns: 0,
        };
        let key = (pod.uid.clone(), container.name.clone(), kind);
        let (at, count) = self.probes.entry(key).or_insert_with(|| (now, first()));
        *at = now;
        run.answer.clone_into(&mut count.last);
        count.at = clock::wall();
        count.runs += 1;
        count.failures += u64::from(matches!(run.answer, "failure" | "error"));
        count.wall_ns += u64::try_from(run.wall.as_nanos()).unwrap_or(0);
        count.cpu_ns += u64::try_from(run.cpu.as_nanos()).unwrap_or(0);
        if self.written.is_zero() || self.written + PAUSE <= now {
            self.written = now;
            self.write(now, path);
        }
    }

    fn write(&mut self, now: Duration, path: &Path) {
        self.probes.retain(|_, (at, probe)| {
            let period = Duration::from_secs(probe.period);
            now < *at + FORGOTTEN.max(period.saturating_mul(10))
        });
        let probes = self.probes.values().map(|(_, probe)| probe.clone()).collect();
        let words = serde_json::to_vec(&published::Probes { version: VERSION, probes });
        let written = words.map_err(std::io::Error::from).and_then(|it| atomic::replace(path, &it, 0o600));
        if let Err(cause) = written {
            error!("write {}: {cause}", path.display());
        }
    }
}
