//! `port-forward`: what connects to a port of the node speaks to a port in a pod, which need not be reachable otherwise.
//!
//! Each connection has a thread, which goes into the pod's network and connects there, to the pod's loopback, as a
//! kubelet's runtime does. It ends with the person or with the pod, as kubectl's does.
//!
//! Invariant: what is carried is bytes of others: it goes from socket to socket, and nowhere else.

use std::fs::File;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use nix::sched::{CloneFlags, setns};

use super::exec::connect;
use super::field::{containers, list, number, text};
use super::read::{self, Found};
use super::{args, print, say};
use crate::host::Runtime;

/// Connections at once: each has two threads and three descriptors, of which a process has 1,024 usually.
const MOST: usize = 256;
/// How long to wait where the kernel lets us have no connection, such as for want of descriptors.
const PAUSE: Duration = Duration::from_millis(100);

/// Forwards until the pod ends.
pub fn port_forward(runtime: &Runtime, asked: &args::PortForward) -> Result<ExitCode> {
    let found = read::pod(runtime, &asked.pod.namespace.namespace, &asked.pod.name)?;
    let forwards: Vec<_> =
        asked.ports.iter().map(|words| Forward::parse(words, &found)).collect::<Result<_>>()?;
    let phase = text(&found.pod.object, "/status/phase");
    ensure!(phase == "Running", "unable to forward port because pod is not running. Current status={phase}");
    let client = connect(runtime, &found, "forward a port of")?;
    let network = Arc::new(client.network()?);
    let mut listeners = Vec::new();
    for forward in forwards {
        listeners.extend(forward.listen(&asked.address)?);
    }
    let under_way = Arc::new(AtomicUsize::new(0));
    for (listener, forward) in listeners {
        print(&format!("Forwarding from {} -> {}\n", listener.local_addr()?, forward.remote))?;
        let (network, under_way) = (network.clone(), under_way.clone());
        let thread = thread::Builder::new().name("listener".to_owned());
        thread.spawn(move || forward.serve(&listener, &network, &under_way)).context("start a thread")?;
    }
    // Nothing was asked: what comes is the end of the pod's process.
    while client.receive()?.is_some() {}
    bail!("lost connection to pod: {} has ended", found.name())
}

/// One port of the pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Forward {
    /// Of the node; 0 for any that is free.
    local: u16,
    /// In the pod.
    remote: u16,
}

impl Forward {
    /// Reads `80`, `8080:80`, `:80`, `web` or `8080:web`.
    fn parse(words: &str, found: &Found) -> Result<Forward> {
        let (local, remote) =
            words.split_once(':').map_or((None, words), |(local, remote)| (Some(local), remote));
        let remote = match remote.parse() {
            Ok(port) => port,
            Err(_) => named(remote, found)?,
        };
        ensure!(remote > 0, "{words:?}: remote port must be > 0");
        let local = match local {
            None => remote,
            Some("") => 0,
            Some(local) => local.parse().with_context(|| format!("{words:?}: {local:?} is no port"))?,
        };
        Ok(Forward { local, remote })
    }

    /// Listens on the local port at each of `addresses`, of `localhost` at one at least. A port that nobody chose is the same
    /// at all of them.
    fn listen(mut self, addresses: &[String]) -> Result<Vec<(TcpListener, Forward)>> {
        let mut listeners = Vec::new();
        for address in addresses {
            let (before, mut errors) = (listeners.len(), Vec::new());
            for ip in parse_address(address)? {
                let at = SocketAddr::new(ip, self.local);
                match TcpListener::bind(at) {
                    Ok(listener) => {
                        self.local = listener.local_addr()?.port();
                        listeners.push((listener, self));
                    }
                    Err(error) => errors.push(format!("{at}: {error}")),
                }
            }
            let port = self.local;
            ensure!(before < listeners.len(), "unable to listen on port {port}: {}", errors.join("; "));
        }
        Ok(listeners)
    }

    /// Takes what connects, for ever.
    fn serve(self, listener: &TcpListener, network: &Arc<File>, under_way: &Arc<AtomicUsize>) {
        loop {
            let client = match listener.accept() {
                Ok((client, _)) => client,
                Err(error) => {
                    say(&format!("error: accept a connection for {}: {error}", self.local));
                    thread::sleep(PAUSE);
                    continue;
                }
            };
            if under_way.fetch_add(1, Ordering::Relaxed) >= MOST {
                under_way.fetch_sub(1, Ordering::Relaxed);
                say(&format!("error: a connection for {} is refused: there are {MOST} already", self.local));
                continue;
            }
            say(&format!("Handling connection for {}", self.local));
            let (network, count) = (network.clone(), under_way.clone());
            let carry = move || {
                if let Err(error) = carry(&client, &network, self.remote) {
                    let (local, remote) = (self.local, self.remote);
                    say(&format!("error: an error occurred forwarding {local} -> {remote}: {error:#}"));
                }
                count.fetch_sub(1, Ordering::Relaxed);
            };
            if let Err(error) = thread::Builder::new().name("connection".to_owned()).spawn(carry) {
                under_way.fetch_sub(1, Ordering::Relaxed);
                say(&format!("error: start a thread: {error}"));
            }
        }
    }
}

/// Where `--address` says to listen.
fn parse_address(text: &str) -> Result<Vec<IpAddr>> {
    match text {
        "localhost" => Ok(vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()]),
        _ => Ok(vec![
            text.parse().with_context(|| format!("--address {text:?}: write an IP address or localhost"))?,
        ]),
    }
}

/// The number of the port that a container of the pod calls `name`.
fn named(name: &str, found: &Found) -> Result<u16> {
    let mut ports = containers(&found.pod.object).flat_map(|container| list(container, "/ports"));
    let Some(port) = ports.find(|port| text(port, "/name") == name) else {
        bail!("pod {} has no port {name:?}: give its number", found.name());
    };
    let protocol = text(port, "/protocol");
    ensure!(matches!(protocol, "" | "TCP"), "port {name:?} is of {protocol}, and only TCP can be forwarded");
    u16::try_from(number(port, "/containerPort")).with_context(|| format!("port {name:?} has no number"))
}

/// Carries what `client` and the pod's `port` say to each other, until both have said all.
fn carry(client: &TcpStream, network: &File, port: u16) -> Result<()> {
    setns(network, CloneFlags::CLONE_NEWNET).context("enter the pod's network")?;
    let connect = |ip: IpAddr| TcpStream::connect(SocketAddr::new(ip, port));
    let pod = connect(Ipv4Addr::LOCALHOST.into())
        .or_else(|error| connect(Ipv6Addr::LOCALHOST.into()).map_err(|_| error));
    let pod = pod.with_context(|| format!("connect to localhost:{port} inside the pod"))?;
    thread::scope(|scope| {
        let there = thread::Builder::new().spawn_scoped(scope, || pass(client, &pod)).map(drop);
        pass(&pod, client);
        there.context("start a thread")
    })
}

/// Passes on what `from` says; its end too, and that of a connection that broke, which ends both ways.
fn pass(mut from: &TcpStream, mut to: &TcpStream) {
    let how = match io::copy(&mut from, &mut to) {
        Ok(_) => Shutdown::Write,
        // That one of the two went is theirs to know: the other sees its connection close.
        Err(_) => {
            let _ = from.shutdown(Shutdown::Both);
            Shutdown::Both
        }
    };
    // It is closed already where the other side was the first to go.
    let _ = to.shutdown(how);
}

#[cfg(test)]
mod tests;
