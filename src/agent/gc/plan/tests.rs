//! Rounds in virtual time, on small disks: each row of a table is one round.

#![allow(clippy::unwrap_used)]

use std::time::Duration;

use super::{Candidate, Disk, Facts, Policy, Step, Why};
use crate::lifecycle::Time;

const MINUTE: Duration = Duration::from_secs(60);

fn policy() -> Policy {
    Policy { high: 85, low: 80, min_age: 2 * MINUTE, max_age: Duration::ZERO, floor: 5 }
}

fn disk(available: u64) -> Disk {
    Disk { capacity: 100_000, available: available * 1000, inodes: 0, inodes_free: 0 }
}

/// An image of ten percent of the disk, used so many minutes after the boot, and seen first at the boot.
fn image(id: &str, used: Option<u32>) -> Candidate {
    Candidate {
        id: id.to_owned(),
        held: false,
        detected: Time::ZERO,
        used: used.map(|minutes| minutes * MINUTE),
        can_come_back: None,
    }
}

/// What a whole round does, as words. `has` says which images a registry has.
fn round(facts: &mut Facts, has: &dyn Fn(&str) -> bool) -> String {
    let mut told = Vec::new();
    for _ in 0..100 {
        let step = facts.next();
        match step {
            Step::Over => return told.join(" "),
            Step::Short(wanted, freed) => {
                told.push(format!("short:{}/{}", freed / 1000, wanted / 1000));
                return told.join(" ");
            }
            Step::Partials => {
                told.push("partials".to_owned());
                facts.partials = false;
            }
            Step::Ask(id) => facts.image(&id).unwrap().can_come_back = Some(has(&id)),
            Step::Remove(id, why) => {
                let why = match why {
                    Why::Unused(idle) => format!("{}m", idle.as_secs() / 60),
                    Why::Full => "full".to_owned(),
                    Why::Floor => "floor".to_owned(),
                };
                told.push(format!("{id}:{why}"));
                // What the disk says comes late.
                facts.removed(&id, 10_000, facts.disk);
            }
        }
    }
    panic!("a round without an end: {told:?}");
}

fn facts(minutes: u32, free: u64, images: &[Candidate]) -> Facts {
    Facts::new(minutes * MINUTE, policy(), disk(free), images.to_vec())
}

fn three() -> [Candidate; 3] {
    [image("b", Some(2)), image("a", Some(1)), image("c", Some(3))]
}

#[test]
fn those_used_longest_ago_go_until_there_is_room() {
    for (free, expected) in [
        (100, ""),
        (16, ""),
        // 85 percent are used: down to 80.
        (15, "a:full"),
        (10, "a:full"),
        (9, "a:full b:full"),
        (1, "a:full b:full"),
    ] {
        assert_eq!(round(&mut facts(10, free, &three()), &|_| true), expected, "{free} percent are free");
    }
    let unused = [image("never", None), image("once", Some(1))];
    assert_eq!(round(&mut facts(10, 5, &unused), &|_| true), "never:full once:full");
}

#[test]
fn what_is_held_or_young_stays_and_a_lack_is_told() {
    let mut held = three();
    held[1].held = true;
    assert_eq!(round(&mut facts(10, 11, &held), &|_| true), "b:full");
    held[0].held = true;
    assert_eq!(round(&mut facts(10, 6, &held), &|_| true), "c:full short:10/14");
    let mut young = three();
    for (index, detected) in [(0, 9), (1, 8), (2, 9)] {
        young[index].detected = detected * MINUTE;
    }
    // a is two minutes old, and the others one.
    assert_eq!(round(&mut facts(10, 6, &young), &|_| true), "a:full short:10/14");
    // Not even at the floor.
    assert_eq!(round(&mut facts(9, 0, &young), &|_| false), "short:0/20");
    assert_eq!(round(&mut facts(10, 11, &[]), &|_| true), "short:0/9");
}

#[test]
fn what_cannot_come_back_stays_but_at_the_floor() {
    let b_alone = |id: &str| id == "b";
    for (free, expected) in [
        (15, "b:full"),
        (5, "b:full short:10/15"),
        // Below five percent something must go, and no more than that.
        (4, "b:full short:10/16"),
    ] {
        assert_eq!(round(&mut facts(10, free, &three()), &b_alone), expected, "{free} percent are free");
    }
    for (free, expected) in [(6, "short:0/14"), (5, "short:0/15"), (4, "a:floor short:10/16")] {
        assert_eq!(round(&mut facts(10, free, &three()), &|_| false), expected, "{free} percent are free");
    }
}

#[test]
fn layers_that_came_in_part_go_first_at_the_floor() {
    for (free, expected) in [(4, "partials a:full b:full"), (5, "a:full b:full"), (50, "")] {
        let mut facts = facts(10, free, &three());
        facts.partials = true;
        assert_eq!(round(&mut facts, &|_| true), expected, "{free} percent are free");
    }
}

/// Acceptance 9.21.
#[test]
fn what_nobody_used_for_the_maximum_age_goes_and_not_before() {
    let mut aged = policy();
    aged.max_age = 5 * MINUTE;
    let images = [image("a", Some(1)), image("never", None), image("c", Some(3))];
    let at = |time: Time| Facts::new(time, aged, disk(90), images.to_vec());
    let second = Duration::from_secs(1);
    assert_eq!(round(&mut at(5 * MINUTE), &|_| true), "");
    assert_eq!(round(&mut at(5 * MINUTE + second), &|_| true), "never:5m");
    assert_eq!(round(&mut at(6 * MINUTE + second), &|_| true), "never:6m a:5m");
    assert_eq!(round(&mut at(6 * MINUTE + second), &|id| id == "a"), "a:5m");
    assert_eq!(round(&mut at(60 * MINUTE), &|_| false), "");
    // Both: age first, then for room.
    let full = Facts::new(6 * MINUTE + second, aged, disk(1), images.to_vec());
    assert_eq!(round(&mut full.clone(), &|_| true), "never:6m a:5m");
    aged.min_age = 10 * MINUTE;
    assert_eq!(round(&mut Facts::new(9 * MINUTE, aged, disk(90), images.to_vec()), &|_| true), "");
}

#[test]
fn inodes_count_at_the_floor_and_a_hundred_percent_turn_it_off() {
    let few = |inodes_free| Disk { inodes: 1000, inodes_free, ..disk(90) };
    let on = |disk| Facts::new(10 * MINUTE, policy(), disk, three().to_vec());
    assert_eq!(round(&mut on(few(50)), &|_| true), "");
    assert_eq!(round(&mut on(few(49)), &|_| true), "a:full b:full c:full short:30/30");
    let off = Policy { high: 100, ..policy() };
    assert_eq!(round(&mut Facts::new(10 * MINUTE, off, disk(0), three().to_vec()), &|_| true), "");
    let odd = Disk { capacity: 0, available: 0, inodes: 0, inodes_free: 0 };
    assert_eq!(round(&mut on(odd), &|_| true), "");
}
