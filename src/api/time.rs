//! Times as Kubernetes writes them.

use jiff::Timestamp;

use crate::status::Wall;

/// RFC 3339 in UTC, in whole seconds: every time in core/v1 but the ones below.
pub fn seconds(at: Wall) -> String {
    let seconds = at.0.div_euclid(1_000_000_000);
    Timestamp::from_second(seconds).expect("292 years around 1970 are in range").to_string()
}

/// RFC 3339 in UTC with as many digits as it takes, Go's `RFC3339Nano`: annotations and logs.
pub fn nanoseconds(at: Wall) -> String {
    Timestamp::from_nanosecond(at.0.into()).expect("292 years around 1970 are in range").to_string()
}
