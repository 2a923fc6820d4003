//! A machine of a story's own: a network namespace, in which its agent runs and touches nobody's links, routes and rules.

use std::fs::File;
use std::os::fd::AsRawFd;
use std::process::Command;

use nix::sched::{CloneFlags, setns, unshare};

/// A network namespace; it ends with its last process, and this.
pub struct Machine(File);

impl Machine {
    /// One with a loopback and nothing else.
    pub fn new() -> Machine {
        let made = std::thread::spawn(|| {
            unshare(CloneFlags::CLONE_NEWNET).unwrap();
            File::open("/proc/thread-self/ns/net").unwrap()
        });
        let machine = Machine(made.join().unwrap());
        machine.ip("link set lo up");
        machine
    }

    /// The machine of a process: a pod's.
    pub fn of(pid: i32) -> Machine {
        Machine(File::open(format!("/proc/{pid}/ns/net")).unwrap())
    }

    /// The namespace.
    pub fn file(&self) -> &File {
        &self.0
    }

    /// Does `what` there; a program that it starts is there for good.
    pub fn inside<T: Send>(&self, what: impl FnOnce() -> T + Send) -> T {
        std::thread::scope(|scope| {
            let thread = scope.spawn(|| {
                setns(&self.0, CloneFlags::CLONE_NEWNET).unwrap();
                what()
            });
            thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    /// What a program prints there; it must succeed.
    pub fn run(&self, command: &mut Command) -> String {
        self.inside(|| super::image::run(command))
    }

    /// `ip` with `words`.
    pub fn ip(&self, words: &str) -> String {
        self.run(super::image::tool("ip").args(words.split(' ')))
    }

    /// Connects this machine with `other` by a cable: `link` and its address here, `peer` and its address there.
    pub fn connect(
        &self,
        (link, address): (&str, &str),
        other: &Machine,
        (peer, other_address): (&str, &str),
    ) {
        let there = format!("/proc/{}/fd/{}", std::process::id(), other.0.as_raw_fd());
        self.ip(&format!("link add {link} type veth peer name {peer} netns {there}"));
        for (machine, link, address) in [(self, link, address), (other, peer, other_address)] {
            machine.ip(&format!("address add {address} dev {link}"));
            machine.ip(&format!("link set {link} up"));
        }
    }

    /// Connects this machine, where the cable's end is `link` with `address`, with the switch `bridge` of `other`, whose end is
    /// `peer`.
    pub fn plug(&self, (link, address): (&str, &str), other: &Machine, peer: &str, bridge: &str) {
        let there = format!("/proc/{}/fd/{}", std::process::id(), other.0.as_raw_fd());
        self.ip(&format!("link add {link} type veth peer name {peer} netns {there}"));
        self.ip(&format!("address add {address} dev {link}"));
        self.ip(&format!("link set {link} up"));
        other.ip(&format!("link set {peer} master {bridge} up"));
    }

    /// Names of its links, sorted.
    pub fn links(&self) -> Vec<String> {
        let told = self.ip("-o link show");
        let name = |line: &str| line.split(": ").nth(1)?.split('@').next().map(str::to_owned);
        let mut names: Vec<String> = told.lines().filter_map(name).collect();
        names.sort();
        names
    }
}
