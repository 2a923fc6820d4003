//! The agent is killed at random moments while pods come and go. 50 times here, 1,000 by `make chaos` (`HOLDFAST_CHAOS`).

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;

use crate::harness::pod::pod;
use crate::harness::{SOON, World, eventually};

/// Names that come and go.
const NAMES: u64 = 6;

/// xorshift: the same moments for the same `HOLDFAST_SEED`.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}

/// 3.24: the agent is our runtime.
#[test]
fn an_agent_killed_at_random_restarts_nothing_and_loses_nothing() {
    let kills: u64 = std::env::var("HOLDFAST_CHAOS").map_or(50, |number| number.parse().unwrap());
    let seed: u64 = std::env::var("HOLDFAST_SEED").map_or(0x5eed, |number| number.parse().unwrap());
    println!("HOLDFAST_SEED={seed}");
    let mut dice = Dice(seed.max(1));
    let mut world = World::new();
    world.write("witness.yaml", &pod("witness", &["trap-term"]));
    let witness = world.running("witness");
    let processes = world.place().container_processes(&witness.uid());
    let mut wanted = BTreeMap::<String, Value>::new();
    for kill in 0..kills {
        if dice.below(3) > 0 {
            change(&world, &mut dice, &mut wanted, kill);
        }
        let moment = Duration::from_millis(dice.below(400));
        eventually_after(moment);
        world.kill_agent();
        if dice.below(3) == 0 {
            change(&world, &mut dice, &mut wanted, kill);
        }
        world.start_agent();
        assert_eq!(world.place().container_processes(&witness.uid()), processes, "kill {kill}");
    }
    for (name, manifest) in &wanted {
        let command = &manifest["spec"]["containers"][0]["command"];
        let seen = world.once(name, "runs its last edit", |pod| {
            pod.is("Ready") && !pod.is_terminating() && pod.0["spec"]["containers"][0]["command"] == *command
        });
        assert_eq!(world.place().container_processes(&seen.uid()).len(), 1, "{name}");
    }
    eventually(SOON, "no pod but those wanted", || (world.pods().len() == wanted.len() + 1).then_some(()));
    assert_eq!(world.running("witness").life(), witness.life());
    assert_eq!(world.place().container_processes(&witness.uid()), processes);
}

/// One manifest comes, changes or goes.
fn change(world: &World, dice: &mut Dice, wanted: &mut BTreeMap<String, Value>, number: u64) {
    let name = format!("chaos{}", dice.below(NAMES));
    let file = format!("{name}.yaml");
    if dice.below(3) == 0 && wanted.remove(&name).is_some() {
        world.remove(&file);
    } else {
        let manifest = pod(&name, &["trap-term", &(number % 100).to_string()]);
        world.write(&file, &manifest);
        wanted.insert(name, manifest);
    }
}

/// Lets `moment` pass: the random part of the story, not a wait for anything.
fn eventually_after(moment: Duration) {
    crate::harness::stays_true_for(moment, "time passes", || true);
}
