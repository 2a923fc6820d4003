use std::ffi::OsString;
use std::time::Duration;

use super::Watchdog;

const fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn watchdog(usec: &str, pid: Option<&str>) -> Option<Watchdog> {
    Watchdog::new(Some(OsString::from(usec)), pid.map(OsString::from), 42)
}

#[test]
fn a_watchdog_is_for_the_process_that_it_names() {
    let set = Some(Watchdog { half: s(60), last: s(0) });
    assert_eq!(watchdog("120000000", None), set);
    assert_eq!(watchdog("120000000", Some("42")), set);
    for (usec, pid) in [("120000000", "43"), ("120000000", "x"), ("0", "42"), ("-1", "42"), ("1s", "42")] {
        assert_eq!(watchdog(usec, Some(pid)), None, "{usec} {pid}");
    }
    assert_eq!(Watchdog::new(None, Some("42".into()), 42), None);
}

/// 20 s is the re-list, 120 s what the unit says.
#[test]
fn the_re_list_keeps_the_watchdog_quiet_and_no_timer_does() {
    let mut watchdog = watchdog("120000000", None).expect("it is set");
    for relist in 1..100 {
        let now = s(20 * relist);
        assert!(watchdog.turns(now), "told at {now:?}");
        assert!(now + s(20) < watchdog.due(), "the next re-list comes before the timer");
    }
}

#[test]
fn a_busy_loop_tells_seldom_and_a_sleeping_one_in_time() {
    let mut watchdog = watchdog("120000000", None).expect("it is set");
    let told = (100_000..200_000).filter(|ms| watchdog.turns(Duration::from_millis(*ms))).count();
    assert_eq!(told, 7, "each 15 s in 100 s");
    let due = watchdog.due();
    assert!(watchdog.turns(due) && due < s(200) + s(60));
}
