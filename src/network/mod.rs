//! The network of pods: a bridge of the node's, a pair of links and addresses for each pod.
//!
//! All that is made on the node is called after the instance, and says in its alias whose it is. A pod's end of its links dies
//! with its network namespace, and with it the node's: so whatever kills a pod takes its links away too, and [`Network`] only
//! keeps account of the addresses, in a file that survives the agent and not the boot.
//!
//! Invariant: a lease is written down before its address is used, and given back after the pod's processes are dead.
//! Invariant: nothing is changed that does not bear the instance's name.
//! Invariant: a machine that cannot do this runs pods all the same, with their loopback alone, and says so.

mod bridge;
mod choice;
mod family;
mod flows;
mod inability;
mod leases;
mod links;
mod nftables;
mod rules;
mod trial;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::net::IpAddr;
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

use anyhow::{Context, Result, anyhow, bail};
use log::warn;
use nix::sched::{CloneFlags, setns};

use crate::host::Runtime;
use crate::spec::{HostPort, Pod, Range, Uid};
use crate::sys::netlink::{Family, Refused, Socket};
use inability::{errno, is_inability, lacks_rules};
use leases::Leases;
use rules::Rules;
pub use trial::{in_the_way, try_out};

/// What a pod's link is called in the pod, as under any other runtime.
const IN_POD: &str = "eth0";

/// The network of this instance's pods.
pub struct Network {
    /// Where leases are written.
    path: PathBuf,
    /// In the alias of whatever is ours.
    owner: String,
    /// The ranges to be used, any where empty; `None` where pods are to have no network.
    wanted: Option<Vec<Range>>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    leases: Leases,
    /// The bridge, once it is known to be there and whole.
    bridge: Option<u32>,
    /// Ports of the node that pods with an address have, by UID.
    ports: BTreeMap<Uid, Vec<HostPort>>,
    /// To nf_tables, once it was needed.
    filter: Option<Socket>,
    /// The rules are in place.
    ruled: bool,
    /// What a person should know, not told yet.
    warning: Option<String>,
}

impl Network {
    /// The network of the instance in `runtime`, of which nothing is touched yet. Pods get addresses of `wanted`: of each
    /// family one range at most, or any that is free, or none at all.
    pub fn new(runtime: &Runtime, wanted: Option<Vec<Range>>) -> Network {
        let path = runtime.leases();
        let mut leases = Leases::read(&path).unwrap_or_default();
        if leases.name.is_empty() {
            leases.name = runtime.instance();
        }
        let owner = format!("holdfast {}", runtime.root().display());
        Network { path, owner, wanted, state: Mutex::new(State { leases, ..State::default() }) }
    }

    /// Takes over what an earlier agent left: pods, and the addresses they are known to have. Links and addresses of any
    /// other are removed, and rules are made anew.
    pub fn adopt(&self, known: &[(&Pod, &[IpAddr])]) -> Result<()> {
        let mut state = self.state();
        let leases = &mut state.leases;
        leases.pods.retain(|uid, _| known.iter().any(|(known, _)| known.uid.0 == *uid));
        known.iter().for_each(|(pod, addresses)| leases.learn(&pod.uid.0, addresses));
        if leases.ranges.is_empty() {
            return Ok(());
        }
        let socket = open()?;
        if let Some(wanted) = self.wanted.as_ref().filter(|it| !it.is_empty() && **it != leases.ranges) {
            let (is, asked) = (listed(&leases.ranges), listed(wanted));
            if leases.pods.is_empty() {
                bridge::remove(&socket, &leases.name, &self.owner)?;
                leases.ranges.clear();
            } else {
                let warning = format!(
                    "pods get addresses of {is} as before, not of {asked}: say `holdfast down` and start the agent anew"
                );
                state.warning = Some(warning);
            }
        }
        let leases = &state.leases;
        leases.write(&self.path).with_context(|| format!("write {}", self.path.display()))?;
        sweep(&socket, leases)?;
        let connected = known.iter().filter(|(pod, _)| state.leases.pods.contains_key(&pod.uid.0));
        state.ports = connected.map(|(pod, _)| (pod.uid.clone(), pod.host_ports.clone())).collect();
        if state.leases.pods.is_empty() { Ok(()) } else { rule(&mut state) }
    }

    /// Makes the rules anew where somebody cleared them away.
    pub fn heal(&self) -> Result<()> {
        let mut state = self.state();
        if !state.ruled || state.rules(Vec::new()).and_then(|rules| rules.is_there()).unwrap_or(true) {
            return Ok(());
        }
        warn!("somebody removed table {} of rules: it is made anew", state.leases.name);
        rule(&mut state)
    }

    /// Connects `pod`, whose network namespace is `namespace`, and leads its ports of the node to it. Its addresses: none where
    /// pods are to have none, and where this machine cannot, of which a warning tells.
    pub fn attach(&self, pod: &Pod, namespace: &File) -> Result<Vec<IpAddr>> {
        if self.wanted.is_none() {
            return Ok(Vec::new());
        }
        let error = match self.connect(&pod.uid.0, &pod.full_name(), namespace) {
            Ok(addresses) => {
                let mut state = self.state();
                state.ports.insert(pod.uid.clone(), pod.host_ports.clone());
                let ports = lead(&pod.host_ports, &addresses);
                if !state.ruled || state.rules(ports.clone()).and_then(|rules| rules.lead()).is_err() {
                    rule(&mut state)?;
                } else {
                    state.forget(&ports);
                }
                return Ok(addresses);
            }
            Err(error) => error,
        };
        self.detach(&pod.uid)?;
        if !is_inability(&error) {
            return Err(error.context("connect the pod to the network"));
        }
        self.state().warning = Some(format!(
            "this machine cannot connect pods to the network, so that they have their loopback alone: {error:#}; load the \
             modules veth and bridge, let the agent have CAP_NET_ADMIN and write to /proc/sys/net, or say --pod-cidr none"
        ));
        Ok(Vec::new())
    }

    /// Gives the addresses of pod `uid` back, whose processes are dead, and its ports of the node.
    pub fn detach(&self, uid: &Uid) -> Result<()> {
        let mut state = self.state();
        if let Some(ports) = state.ports.remove(uid).filter(|ports| state.ruled && !ports.is_empty()) {
            let led = lead(&ports, &state.leases.addresses(&uid.0));
            if state.rules(led).and_then(|rules| rules.leave()).is_err()
                && let Err(error) = rule(&mut state)
            {
                // In vain it is tried again: the ports are given back when the rules say so.
                state.ports.insert(uid.clone(), ports);
                return Err(error);
            }
            state.forget(&lead(&ports, &[]));
        }
        if state.leases.pods.remove(&uid.0).is_none() {
            return Ok(());
        }
        state.leases.write(&self.path).with_context(|| format!("write {}", self.path.display()))
    }

    /// The node's own addresses among the pods'; none while there are no pods.
    pub fn of_node(&self) -> Vec<IpAddr> {
        self.state().leases.numbered(leases::NODE)
    }

    /// The addresses of pod `uid`, of IPv4 first.
    pub fn addresses(&self, uid: &str) -> Vec<IpAddr> {
        self.state().leases.addresses(uid)
    }

    /// What a person should know, each time that it is found out.
    pub fn warning(&self) -> Option<String> {
        self.state().warning.take()
    }

    /// Removes what is left when there are no pods any more.
    pub fn take_down(&self) -> Result<()> {
        let mut state = self.state();
        if !state.leases.ranges.is_empty() {
            let socket = open()?;
            if let Err(error) = rules::remove(&state.leases.name)
                && !lacks_rules(&error.cause)
            {
                return Err(error).with_context(|| format!("remove table {} of rules", state.leases.name));
            }
            state.leases.pods.clear();
            sweep(&socket, &state.leases)?;
            bridge::remove(&socket, &state.leases.name, &self.owner)?;
        }
        let name = std::mem::take(&mut state.leases.name);
        *state = State { leases: Leases { name, ..Leases::default() }, ..State::default() };
        match fs::remove_file(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(error).with_context(|| format!("remove {}", self.path.display()))
            }
            _ => Ok(()),
        }
    }

    fn connect(&self, uid: &str, alias: &str, namespace: &File) -> Result<Vec<IpAddr>> {
        let socket = open()?;
        for last in [false, true] {
            let (plan, bridge) = self.lease(&socket, uid)?;
            let pair = links::Pair {
                name: &plan.link,
                alias: bridge::short(alias),
                bridge,
                namespace: namespace.as_fd(),
                peer: IN_POD,
            };
            let inside = || -> Result<()> {
                setns(namespace, CloneFlags::CLONE_NEWNET).context("enter the pod's network")?;
                for of in ["all", "default"] {
                    bridge::deaf(of)?;
                }
                let made = links::make_pair(&socket, &pair);
                made.with_context(|| format!("make link {} and its other end in the pod", plan.link))?;
                let socket = open()?;
                let link = links::find(&socket, IN_POD)?;
                let link = link.with_context(|| format!("the pod has no link {IN_POD}"))?;
                let settled = links::settle(&socket, link.index, &plan.addresses, &plan.gateways);
                settled.with_context(|| format!("give the pod's link {IN_POD} its addresses"))
            };
            match in_thread(inside) {
                Ok(()) => return Ok(plan.addresses.into_iter().map(|(address, _)| address).collect()),
                // Somebody removed the bridge, or a dead pod's namespace is held open by someone.
                Err(error) if !last && errno(&error) == Some(libc::ENODEV) => self.state().bridge = None,
                Err(error) if !last && errno(&error) == Some(libc::EEXIST) => {
                    links::remove(&socket, &plan.link)?;
                }
                Err(error) => return Err(error),
            }
        }
        bail!("link and bridge come and go")
    }

    /// Makes the bridge where it is not there yet, and leases addresses.
    fn lease(&self, socket: &Socket, uid: &str) -> Result<(Plan, u32)> {
        let mut state = self.state();
        let bridge = match state.bridge {
            Some(bridge) => bridge,
            None => {
                let wanted = self.wanted.as_deref().unwrap_or_default();
                let bridge = bridge::ensure(socket, &mut state.leases, wanted, &self.owner)?;
                state.bridge = Some(bridge);
                bridge
            }
        };
        let leases = &mut state.leases;
        let before = leases.clone();
        let Some(number) = leases.lease(uid) else {
            bail!("no address is free in {}: give pods a wider range by --pod-cidr", listed(&leases.ranges));
        };
        if let Err(error) = leases.write(&self.path) {
            *leases = before;
            return Err(error).with_context(|| format!("write {}", self.path.display()));
        }
        let lengths = leases.ranges.iter().map(Range::length);
        let plan = Plan {
            link: port(&leases.name, number),
            addresses: leases.numbered(number).into_iter().zip(lengths).collect(),
            gateways: leases.numbered(leases::NODE),
        };
        Ok((plan, bridge))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a pod is to have.
struct Plan {
    /// The node's end.
    link: String,
    /// Each with the length of its range.
    addresses: Vec<(IpAddr, u8)>,
    gateways: Vec<IpAddr>,
}

fn open() -> Result<Socket> {
    Socket::open(Family::Route).context("speak to the kernel of links and addresses")
}

/// Each of `ports`, and where it is to lead.
fn lead(ports: &[HostPort], addresses: &[IpAddr]) -> Vec<(HostPort, Vec<IpAddr>)> {
    ports.iter().map(|port| (*port, addresses.to_vec())).collect()
}

impl State {
    /// The rules for `ports`.
    fn rules(&mut self, ports: Vec<(HostPort, Vec<IpAddr>)>) -> Result<Rules<'_>, Refused> {
        let socket = match self.filter {
            Some(ref socket) => socket,
            None => self.filter.insert(Socket::open(Family::Filter)?),
        };
        Ok(Rules { name: &self.leases.name, ranges: &self.leases.ranges, ports, socket })
    }

    /// Has whoever speaks to `ports` by UDP meet the pod that has them now.
    fn forget(&mut self, ports: &[(HostPort, Vec<IpAddr>)]) {
        if let Err(refused) = flows::forget(ports, &self.leases.ranges) {
            self.warning = Some(format!(
                "this machine does not forget flows of packets ({refused}), so that who speaks to a hostPort by UDP all the \
                 while may miss its next pod: load the module nf_conntrack_netlink"
            ));
        }
    }
}

/// Makes the rules anew. A machine that has none for packets connects its pods all the same.
fn rule(state: &mut State) -> Result<()> {
    let leases = &state.leases;
    let of_pod = |(uid, ports): (&Uid, &Vec<HostPort>)| lead(ports, &leases.addresses(&uid.0));
    let ports: Vec<_> = state.ports.iter().flat_map(of_pod).collect();
    match state.rules(ports.clone()).and_then(|rules| rules.install()) {
        Ok(()) => {
            bridge::pass_on(&state.leases.name, &state.leases.ranges)?;
            state.ruled = true;
            state.forget(&ports);
            Ok(())
        }
        Err(refused) if lacks_rules(&refused.cause) => {
            state.ruled = false;
            state.warning = Some(format!(
                "this machine has no rules for packets ({refused}), so that pods reach the node and each other and nothing \
                 beyond, and no hostPort leads to a pod: load the modules nf_tables, nft_nat, nft_masq, nft_fib_inet and nft_ct"
            ));
            Ok(())
        }
        Err(refused) => Err(refused).with_context(|| format!("make table {} of rules", state.leases.name)),
    }
}

/// Removes links of ours that are no pod's: of one that is dead, and whose network somebody holds open.
fn sweep(socket: &Socket, leases: &Leases) -> Result<()> {
    let Some(bridge) = links::find(socket, &leases.name)? else { return Ok(()) };
    let theirs: Vec<String> = leases.pods.values().map(|number| port(&leases.name, *number)).collect();
    for link in links::ports(socket, bridge.index)? {
        if link.name.starts_with(&port_prefix(&leases.name)) && !theirs.contains(&link.name) {
            let removed = links::remove(socket, &link.name);
            removed.with_context(|| format!("remove link {}, which is no pod's", link.name))?;
        }
    }
    Ok(())
}

/// The name of the node's end of the links of the pod with this number.
fn port(name: &str, number: u32) -> String {
    format!("{}{number}", port_prefix(name))
}

fn port_prefix(name: &str) -> String {
    format!("{name}-")
}

/// Runs `inside` in a thread of its own, which may go to another network for good.
fn in_thread(inside: impl FnOnce() -> Result<()> + Send) -> Result<()> {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().name("network".to_owned());
        let thread = thread.spawn_scoped(scope, inside).context("start a thread")?;
        thread.join().map_err(|_| anyhow!("the thread in the pod's network panicked"))?
    })
}

fn listed(ranges: &[Range]) -> String {
    ranges.iter().map(ToString::to_string).collect::<Vec<_>>().join(" and ")
}
