use super::*;

const MIB: u64 = 1 << 20;

/// Seconds since the boot, and of the wall clock.
fn now(seconds: u64) -> Now {
    let wall = Wall(i64::try_from(seconds).unwrap_or_default() * 1_000_000_000);
    Now { boot: Duration::from_secs(seconds), wall }
}

fn with(available: u64) -> Left {
    Left { memory: (8192 * MIB, available * MIB), disk: None, threads: (1000, 10) }
}

#[test]
fn a_node_at_the_edge_of_its_memory_changes_its_mind_once_in_five_minutes() {
    let mut strains = Strains::new(&with(4096), Duration::from_secs(300), now(0));
    let mut changes = Vec::new();
    // Twenty looks that alternate, then calm.
    for at in (0..400).step_by(20) {
        let left = with(if at / 20 % 2 == 0 { 50 } else { 4096 });
        changes.extend(strains.look(&left, now(at)).into_iter().map(|(kind, short)| (at, kind, short)));
    }
    for at in (400..1000).step_by(20) {
        changes.extend(strains.look(&with(4096), now(at)).into_iter().map(|(kind, short)| (at, kind, short)));
    }
    // Short at once; and no longer once it was well for five minutes after second 360.
    assert_eq!(changes, [(0, Pressure::Memory, true), (660, Pressure::Memory, false)]);
    assert_eq!(strains.strains[0].since, now(660).wall);
}

#[test]
fn an_agent_that_begins_on_a_node_without_memory_says_so_from_the_start() {
    let mut strains = Strains::new(&with(50), Duration::from_secs(300), now(0));
    assert!(strains.strains[0].short && !strains.strains[1].short);
    assert_eq!(strains.look(&with(50), now(20)), []);
}
