#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;

use super::*;

const MIB: u64 = 1 << 20;

/// Pulls layers of these names and bytes with three connections, of which each brings the smallest first. What happened: `+a` is
/// begun, `a` is whole, `take 2`; and most bytes that waited.
fn pull(layers: &[(&str, u64)]) -> (String, u64) {
    let name = |digest: &Digest| layers.iter().find(|it| Digest::of(it.0.as_bytes()) == *digest).unwrap();
    let digests: Vec<_> = layers.iter().map(|(name, size)| (Digest::of(name.as_bytes()), *size)).collect();
    let mut plan = Plan::new(&digests);
    let (mut coming, mut whole) = (BTreeSet::new(), BTreeSet::new());
    let (mut told, mut most, mut steps) = (Vec::new(), 0, 0);
    while !plan.is_over() {
        steps += 1;
        assert!(steps < 10_000, "it ends: {}", told.join(" "));
        while coming.len() < 3
            && let Some((digest, size)) = plan.next()
        {
            plan.begins(&digest);
            told.push(format!("+{}", name(&digest).0));
            assert!(coming.insert((size, digest)), "begun twice");
        }
        let held = coming.iter().map(|(size, _)| size).chain(whole.iter().map(|(size, _)| size));
        most = most.max(held.sum());
        match plan.ready() {
            0 => {
                let (size, digest) = coming.pop_first().expect("there is something to wait for");
                plan.is_whole(&digest);
                told.push(name(&digest).0.to_owned());
                whole.insert((size, digest));
            }
            count => {
                told.push(format!("take {count}"));
                let useless = plan.took(count);
                whole.retain(|(_, digest)| !useless.contains(digest));
            }
        }
    }
    (told.join(" "), most)
}

#[track_caller]
fn check(layers: &[(&str, u64)], expected: &str) {
    assert_eq!(pull(layers).0, expected);
}

#[test]
fn small_layers_are_fetched_side_by_side_and_taken_in_together() {
    check(&[("a", MIB), ("b", 2 * MIB), ("c", 3 * MIB)], "+a +b +c a b c take 3");
    check(&[("a", MIB)], "+a a take 1");
    // A fourth has no connection before one is free.
    check(&[("a", 4), ("b", 5), ("c", 6), ("d", 7)], "+a +b +c a +d b c d take 4");
}

#[test]
fn a_large_layer_waits_for_what_is_below_it_to_be_given_back() {
    check(&[("a", MIB), ("b", 100 * MIB), ("c", MIB)], "+a a take 1 +b b take 1 +c c take 1");
    check(&[("a", 40 * MIB), ("b", 50 * MIB), ("c", 100 * MIB)], "+a +b a take 1 b take 1 +c c take 1");
}

#[test]
fn enough_is_taken_in_while_others_come() {
    let layers = [("a", 9 * MIB), ("b", 10 * MIB), ("c", 30 * MIB), ("d", MIB)];
    check(&layers, "+a +b a take 1 b take 1 +c c take 1 +d d take 1");
}

#[test]
fn an_empty_layer_that_comes_again_is_fetched_once_and_a_large_one_again() {
    check(&[("e", 32), ("a", 100 * MIB), ("e", 32), ("b", MIB)], "+e +a e a take 2 +b b take 2");
    check(&[("a", 100 * MIB), ("b", 5), ("a", 100 * MIB)], "+a +b b a take 1 +a a take 2");
}

#[test]
fn what_somebody_else_has_lets_nothing_wait() {
    let digest = |name: &str| Digest::of(name.as_bytes());
    let mut plan = Plan::new(&[(digest("a"), 5), (digest("b"), 5), (digest("c"), 5)]);
    plan.begins(&digest("a"));
    plan.is_whole(&digest("a"));
    assert_eq!(
        (plan.next(), plan.ready()),
        (Some((digest("b"), 5)), 0),
        "it is better to wait for the others"
    );
    assert!(plan.is_elsewhere());
    assert!(!plan.is_elsewhere(), "no news");
    assert_eq!(plan.ready(), 1);
    assert_eq!(plan.took(1), [digest("a")]);
    plan.begins(&digest("b"));
    assert_eq!((plan.places(&digest("c")).collect::<Vec<_>>(), plan.ready()), (vec![2], 0));
    assert_eq!(plan.places(&digest("none")).count(), 0);
}

/// Two images with the same small layers in opposite orders: who has to wait keeps nothing from the other.
#[test]
fn who_waits_for_somebody_else_lets_go_of_what_he_keeps_for_later() {
    let [e, a, b] = ["e", "a", "b"].map(|name| Digest::of(name.as_bytes()));
    let mut plan = Plan::new(&[(e.clone(), 32), (a.clone(), 40), (e.clone(), 32), (b.clone(), 50)]);
    plan.begins(&e);
    assert_eq!(plan.lets_go(), []);
    plan.is_whole(&e);
    assert!(plan.is_elsewhere());
    assert_eq!((plan.lets_go(), plan.ready()), (vec![], 1), "what may be taken in is");
    assert_eq!(plan.took(1), []);
    assert_eq!(plan.lets_go(), std::slice::from_ref(&e));
    assert_eq!(plan.next(), Some((a.clone(), 40)), "it comes after the other again");
    plan.begins(&a);
    assert_eq!((plan.next(), plan.lets_go()), (Some((e, 32)), vec![]));
}

/// Whatever the layers are: all come, and no more waits than the largest has.
#[test]
fn no_more_waits_than_the_largest_layer_has() {
    let names: Vec<String> = (0..12).map(|number| number.to_string()).collect();
    let mut sum = Digest::bytes_of(b"seed");
    for _ in 0..300 {
        sum = Digest::bytes_of(&sum);
        let layer = |at: usize| {
            // Some come again, and then with the same bytes.
            let name = usize::from(sum[at] % 12);
            let size = [32, 70 << 10, MIB, 7 * MIB, 9 * MIB, 60 * MIB][usize::from(sum[31 - name] % 6)];
            (names[name].as_str(), size)
        };
        let layers: Vec<_> = (0..12).map(layer).collect();
        let (told, most) = pull(&layers);
        let largest = layers.iter().map(|(_, size)| *size).max().unwrap().max(LITTLE);
        assert!(most <= largest + 12 * 32, "{most} of {largest}: {layers:?}: {told}");
    }
}
