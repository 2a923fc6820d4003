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
mod leases;
mod links;
mod nftables;
mod rules;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::net::IpAddr;
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

use anyhow::{Context, Result, anyhow, bail};
use nix::sched::{CloneFlags, setns};

use crate::host::Runtime;
use crate::spec::{HostPort, Pod, Range, Uid};
use crate::sys::netlink::{Family, Refused, Socket};
use leases::Leases;
use rules::Rules;

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
                if !state.ruled || !pod.host_ports.is_empty() {
                    rule(&mut state)?;
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
        // In vain it is tried again: the ports are given back when the rules say so.
        if let Some(ports) = state.ports.remove(uid).filter(|ports| state.ruled && !ports.is_empty())
            && let Err(error) = rule(&mut state)
        {
            state.ports.insert(uid.clone(), ports);
            return Err(error);
        }
        if state.leases.pods.remove(&uid.0).is_none() {
            return Ok(());
        }
        state.leases.write(&self.path).with_context(|| format!("write {}", self.path.display()))
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

/// Makes the rules anew. A machine that has none for packets connects its pods all the same.
fn rule(state: &mut State) -> Result<()> {
    let leases = &state.leases;
    let of_pod = |(uid, ports): (&Uid, &Vec<HostPort>)| {
        let addresses = leases.addresses(&uid.0);
        ports.iter().map(|port| (*port, addresses.clone())).collect::<Vec<_>>()
    };
    let ports = state.ports.iter().flat_map(of_pod).collect();
    match (Rules { name: &leases.name, ranges: &leases.ranges, ports }).install() {
        Ok(()) => {
            bridge::pass_on(&leases.name, &leases.ranges)?;
            state.ruled = true;
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
        Err(refused) => Err(refused).with_context(|| format!("make table {} of rules", leases.name)),
    }
}

/// Whether the kernel has no nf_tables, or lacks a part of it, which it does not find.
fn lacks_rules(error: &io::Error) -> bool {
    error.raw_os_error() == Some(libc::ENOENT) || cannot(error)
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

/// The system's number for what went wrong.
fn errno(error: &anyhow::Error) -> Option<i32> {
    error.chain().find_map(|cause| match cause.downcast_ref::<Refused>() {
        Some(refused) => refused.cause.raw_os_error(),
        None => cause.downcast_ref::<io::Error>()?.raw_os_error(),
    })
}

/// Whether this machine cannot do it at all: a module is missing, or a right.
fn is_inability(error: &anyhow::Error) -> bool {
    errno(error).is_some_and(|errno| cannot(&io::Error::from_raw_os_error(errno)))
}

fn cannot(error: &io::Error) -> bool {
    use libc::{EACCES, EAFNOSUPPORT, EOPNOTSUPP, EPERM, EPROTONOSUPPORT, EROFS};
    let known = [EACCES, EAFNOSUPPORT, EOPNOTSUPP, EPERM, EPROTONOSUPPORT, EROFS];
    error.raw_os_error().is_some_and(|errno| known.contains(&errno))
}
