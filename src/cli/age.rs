//! How long ago, as kubectl says it.

use jiff::Timestamp;

/// The time between the RFC 3339 time `at` and `now`; `<unknown>` where there is none.
pub fn since(at: &str, now: Timestamp) -> String {
    match at.parse::<Timestamp>() {
        Ok(at) => human(now.as_second() - at.as_second()),
        Err(_) => "<unknown>".to_string(),
    }
}

/// `seconds` with one or two units, as coarse as they are many (Kubernetes' `duration.HumanDuration`).
pub fn human(seconds: i64) -> String {
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match seconds {
        // Two clocks may disagree a little.
        ..-1 => "<invalid>".to_string(),
        -1 => "0s".to_string(),
        0..120 => format!("{seconds}s"),
        120..600 => two(minutes, "m", seconds % 60, "s"),
        600..10_800 => format!("{minutes}m"),
        10_800..28_800 => two(hours, "h", minutes % 60, "m"),
        28_800..172_800 => format!("{hours}h"),
        172_800..691_200 => two(days, "d", hours % 24, "h"),
        691_200..63_072_000 => format!("{days}d"),
        63_072_000..252_288_000 => two(days / 365, "y", days % 365, "d"),
        _ => format!("{}y", days / 365),
    }
}

fn two(large: i64, unit: &str, small: i64, small_unit: &str) -> String {
    if small == 0 { format!("{large}{unit}") } else { format!("{large}{unit}{small}{small_unit}") }
}

/// An RFC 3339 time as a description shows it (RFC 1123 with a numeric zone); as it stands where it is none.
pub fn long(at: &str) -> String {
    at.parse::<Timestamp>()
        .map_or_else(|_| at.to_string(), |at| at.strftime("%a, %d %b %Y %H:%M:%S +0000").to_string())
}
