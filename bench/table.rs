//! One line a figure.

use std::time::Duration;

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

fn ms(time: Duration) -> String {
    format!("{:.1} ms", time.as_secs_f64() * 1e3)
}
