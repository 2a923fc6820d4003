//! Probes: what is asked of a running container, how often, and how many answers count.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// What a probe is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum ProbeKind {
    /// Holds the others back until it succeeded once; a container that never comes up is ended.
    Startup,
    /// A container that fails it is ended, and restarted by the pod's policy.
    Liveness,
    /// Says whether the container is ready, and nothing else.
    Readiness,
}

impl ProbeKind {
    /// All of them.
    pub const ALL: [ProbeKind; 3] = [ProbeKind::Startup, ProbeKind::Liveness, ProbeKind::Readiness];

    /// As the kubelet's events begin.
    pub fn title(self) -> &'static str {
        match self {
            ProbeKind::Startup => "Startup",
            ProbeKind::Liveness => "Liveness",
            ProbeKind::Readiness => "Readiness",
        }
    }

    /// As in the middle of a sentence.
    pub fn word(self) -> &'static str {
        match self {
            ProbeKind::Startup => "startup",
            ProbeKind::Liveness => "liveness",
            ProbeKind::Readiness => "readiness",
        }
    }
}

/// The probes of a container, each where it has one.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Probes {
    /// `startupProbe`.
    pub startup: Option<Probe>,
    /// `livenessProbe`.
    pub liveness: Option<Probe>,
    /// `readinessProbe`.
    pub readiness: Option<Probe>,
}

impl Probes {
    /// The probe of `kind`.
    pub fn get(&self, kind: ProbeKind) -> Option<&Probe> {
        match kind {
            ProbeKind::Startup => self.startup.as_ref(),
            ProbeKind::Liveness => self.liveness.as_ref(),
            ProbeKind::Readiness => self.readiness.as_ref(),
        }
    }
}

/// One probe, with Kubernetes' defaults filled in.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Probe {
    /// What is asked.
    pub check: Check,
    /// `initialDelaySeconds`: not before this much of the run has passed.
    pub initial_delay: Duration,
    /// `timeoutSeconds`: no answer by then is a failure.
    pub timeout: Duration,
    /// `periodSeconds`.
    pub period: Duration,
    /// `successThreshold`: successes in a row that count.
    pub success_threshold: u32,
    /// `failureThreshold`: failures in a row that count.
    pub failure_threshold: u32,
    /// `terminationGracePeriodSeconds`: in place of the pod's, where this probe ends the container.
    pub grace: Option<Duration>,
}

/// What a probe asks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Check {
    /// Runs a command in the container; `$(VAR)` not yet expanded.
    Exec(Vec<String>),
    /// Gets a page.
    Http(HttpGet),
    /// Connects.
    Tcp {
        /// An address; the pod's where absent.
        host: Option<String>,
        /// Port number.
        port: u16,
    },
    /// Asks for the health of a service over gRPC.
    Grpc {
        /// Port number of the pod.
        port: u16,
        /// The service; empty for the server as a whole.
        service: String,
    },
}

/// By which protocol a page is asked for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Scheme {
    /// As text.
    #[default]
    Http,
    /// Over TLS. Whose certificate it is does not matter.
    Https,
}

impl Scheme {
    /// As an address begins.
    pub fn word(self) -> &'static str {
        match self {
            Scheme::Http => "http",
            Scheme::Https => "https",
        }
    }

    /// The port of an address without one.
    pub fn port(self) -> u16 {
        match self {
            Scheme::Http => 80,
            Scheme::Https => 443,
        }
    }
}

/// See [`Check::Http`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HttpGet {
    /// By which protocol. Agents before this one wrote none, and knew HTTP only.
    #[serde(default)]
    pub scheme: Scheme,
    /// An address; the pod's where absent.
    pub host: Option<String>,
    /// Port number.
    pub port: u16,
    /// Path and query as written, beginning with `/`.
    pub path: String,
    /// Names and values as written, in order; a name may come again.
    pub headers: Vec<(String, String)>,
}
