#![allow(clippy::unwrap_used)]

use super::*;

#[test]
fn a_node_that_swaps_is_refused_where_it_was_not_to() {
    let head = "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n";
    no_swap("").unwrap();
    no_swap(head).unwrap();
    let swaps = format!("{head}/dev/zram0                              partition\t1048572\t\t0\t\t100\n");
    let refused = no_swap(&swaps).unwrap_err().to_string();
    assert!(refused.starts_with("this node swaps to /dev/zram0, and failSwapOn is true"), "{refused}");
}

/// 12.07
#[test]
fn all_pods_may_use_what_is_neither_kept_back_nor_below_a_threshold() {
    use crate::config::{Threshold, Thresholds};
    let machine = Machine { cpus: 2, memory: 1000 << 20, storage: 1000, ..Machine::default() };
    let mut config = config::Agent::new(Path::new("/run/holdfast"));
    let all = NodeLimits { cpu: Millicores(2000), memory: Some(Bytes(1000 << 20)) };
    assert_eq!(all_pods(&config, &machine), all);
    config.system_reserved = Amounts { cpu_milli: 100, memory: 200 << 20, storage: 0 };
    config.eviction_hard =
        Thresholds { memory: Some(Threshold::Bytes(100 << 20)), storage: Some(Threshold::Part(100)) };
    let left = NodeLimits { cpu: Millicores(1900), memory: Some(Bytes(700 << 20)) };
    assert_eq!(all_pods(&config, &machine), left);
    assert_eq!(config.allocatable(&machine).storage, 900);
    config.enforce_allocatable = false;
    assert_eq!(all_pods(&config, &machine), NodeLimits { memory: None, ..all });
}
