//! One line a figure.

use std::time::Duration;

use nix::sys::time::{TimeVal, TimeValLike};

use super::clock::median;

/// A time beside a peer's.
pub fn compared(what: &str, ours: Vec<Duration>, peer: &str, theirs: Vec<Duration>) {
    let (ours, theirs) = (median(ours), median(theirs));
    let ratio = ours.as_secs_f64() / theirs.as_secs_f64();
    println!("{what:<44} {:>9}   {peer:<22} {:>9}   x {ratio:.2}", ms(ours), ms(theirs));
}

/// A number alone.
pub fn plain(what: &str, value: impl std::fmt::Display) {
    println!("{what:<44} {value:>9}");
}

/// The one in the middle.
pub fn middle(mut values: Vec<f64>) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    values[values.len() / 2]
}

/// What a program cost.
pub struct Cost {
    /// From its start to its end.
    pub wall: Duration,
    /// Of all processors, what it started included.
    pub cpu: Duration,
    /// Most bytes in memory.
    pub peak: u64,
    /// Bytes that it gave to the disk.
    pub written: u64,
}

/// The medians of what a thing cost, a line for it and for each peer, with the peer's share of ours.
pub fn costs(what: &str, ours: &[Cost], peers: &[(&str, &[Cost])]) {
    let middle = |of: &[Cost], value: &dyn Fn(&Cost) -> f64| middle(of.iter().map(value).collect());
    for (name, theirs) in [(what, ours)].into_iter().chain(peers.iter().copied()) {
        let figure = |unit: &str, value: &dyn Fn(&Cost) -> f64| {
            let (theirs, ours) = (middle(theirs, value), middle(ours, value));
            format!("{theirs:>8.1} {unit} (x {:.2})", theirs / ours)
        };
        const MIB: f64 = (1 << 20) as f64;
        println!(
            "{name:<20} wall {}  cpu {}  memory {}  written {}",
            figure("ms", &|cost| cost.wall.as_secs_f64() * 1e3),
            figure("ms", &|cost| cost.cpu.as_secs_f64() * 1e3),
            figure("MiB", &|cost| cost.peak as f64 / MIB),
            figure("MiB", &|cost| cost.written as f64 / MIB),
        );
    }
}

/// A time as the kernel tells it.
pub fn duration(time: TimeVal) -> Duration {
    Duration::from_micros(u64::try_from(time.num_microseconds()).unwrap())
}

fn ms(time: Duration) -> String {
    format!("{:.1} ms", time.as_secs_f64() * 1e3)
}
