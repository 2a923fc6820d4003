#![allow(clippy::unwrap_used)]

use clap::Parser;

use super::*;
use crate::cli::args::{Arguments, Verb};

fn row(namespace: &str, pod: &str, container: &str, millicores: u64, memory: u64) -> Row {
    let io = Io { read: 3 << 20, written: 1, per_day: 5 << 20 };
    let of_pod = Io { read: 9 << 20, ..io };
    let used = Used { millicores, memory, pids: 2, io };
    Row { namespace: namespace.into(), pod: pod.into(), container: container.into(), used, of_pod }
}

/// The tables are those of kubectl 1.37 for the same figures, but for the blanks at the end of its lines.
fn check(flags: &str, expected: &str) {
    let words = "holdfast top pods".split(' ').chain(flags.split_whitespace());
    let Verb::Top(Top::Pods(asked)) = Arguments::try_parse_from(words).unwrap().verb else {
        panic!("{flags}")
    };
    let rows = vec![
        row("default", "web-edge-1", "b", 1, (1 << 20) - 1),
        row("default", "web-edge-1", "a", 13, 34 << 20),
        row("prod", "db-edge-1", "a", 1500, 1 << 30),
    ];
    assert_eq!(table::pods(rows, &asked), expected, "top pods {flags}");
}

#[test]
fn pods_are_shown_as_kubectl_shows_them() {
    check(
        "-A",
        "\
NAMESPACE   NAME         CPU(cores)   MEMORY(bytes)
default     web-edge-1   14m          34Mi
prod        db-edge-1    1500m        1024Mi
",
    );
    check(
        "-A --containers",
        "\
NAMESPACE   POD          NAME   CPU(cores)   MEMORY(bytes)
default     web-edge-1   a      13m          34Mi
default     web-edge-1   b      1m           0Mi
prod        db-edge-1    a      1500m        1024Mi
",
    );
    check(
        "-A --sum --sort-by=cpu",
        "\
NAMESPACE   NAME         CPU(cores)   MEMORY(bytes)
prod        db-edge-1    1500m        1024Mi
default     web-edge-1   14m          34Mi
                         ________     ________
                         1514m        1058Mi
",
    );
    check(
        "-A --sum --containers",
        "\
NAMESPACE   POD          NAME   CPU(cores)   MEMORY(bytes)
default     web-edge-1   a      13m          34Mi
default     web-edge-1   b      1m           0Mi
prod        db-edge-1    a      1500m        1024Mi
                                ________     ________
                                1514m        1058Mi
",
    );
    check(
        "-A --no-headers --sort-by=memory",
        "prod      db-edge-1    1500m   1024Mi\ndefault   web-edge-1   14m     34Mi\n",
    );
    check(
        "--wide",
        "\
NAME         CPU(cores)   MEMORY(bytes)   PIDS   READ(bytes)   WRITTEN(bytes)   WRITTEN/DAY
web-edge-1   14m          34Mi            4      9Mi           0Mi              5Mi
db-edge-1    1500m        1024Mi          2      9Mi           0Mi              5Mi
",
    );
    check(
        "--wide --containers --no-headers",
        "\
web-edge-1   a     13m     34Mi     2     3Mi   0Mi   5Mi
web-edge-1   b     1m      0Mi      2     3Mi   0Mi   5Mi
db-edge-1    a     1500m   1024Mi   2     3Mi   0Mi   5Mi
",
    );
}

#[test]
fn the_node_is_shown_as_kubectl_shows_it() {
    let used = Used { millicores: 181, memory: 2_748_180 << 10, ..Used::default() };
    let expected = "\
NAME     CPU(cores)   CPU(%)   MEMORY(bytes)   MEMORY(%)
edge-1   181m         9%       2683Mi          11%
";
    let asked = |wide, no_headers| TopNode { name: None, wide, no_headers };
    let node = |cpu, memory, disk: Option<&str>, used| OfNode {
        name: "edge-1".to_string(),
        used,
        cpu,
        memory,
        disk: disk.map(str::to_string),
    };
    let known = node(2000, 24_684_084 << 10, None, used);
    assert_eq!(table::node(&known, &asked(false, false)), expected);
    // An agent that wrote no object of its node says not what it has.
    let unknown = table::node(&node(0, 0, None, used), &asked(false, true));
    assert_eq!(unknown, "edge-1   181m   <unknown>   2683Mi   <unknown>\n");
    let io = Io { read: 0, written: 5 << 20, per_day: 3 << 30 };
    let on_disk = node(2000, 24_684_084 << 10, Some("vda"), Used { io, ..used });
    let expected = "\
NAME     CPU(cores)   CPU(%)   MEMORY(bytes)   MEMORY(%)   DISK   WRITTEN(bytes)   WRITTEN/DAY
edge-1   181m         9%       2683Mi          11%         vda    5Mi              3072Mi
";
    assert_eq!(table::node(&on_disk, &asked(true, false)), expected);
    assert!(table::node(&known, &asked(true, true)).contains("<unknown>"), "no disk is known");
}

#[test]
fn processor_time_is_what_was_used_between_two_looks() {
    let look =
        |cpu: u64| Usage { cpu: Some(Duration::from_micros(cpu)), memory: Some(7), ..Usage::default() };
    let between =
        |first, second| Used::between(first, second, Duration::from_secs(1)).map(|used| used.millicores);
    assert_eq!(between(look(1_000_000), look(1_012_001)), Some(13));
    assert_eq!(between(look(5), look(5)), Some(0));
    assert_eq!(between(look(9), look(5)), Some(0), "another group of the same name");
    assert_eq!(between(look(5), Usage::default()), None, "it ended between the looks");
}

#[test]
fn the_nodes_processors_and_memory_are_the_kernels() {
    let stat =
        |user: u64, idle: u64| format!("cpu  {user} 0 50 {idle} 7 0 3 0 0 0\ncpu0 1 2 3 4 5 6 7 8 9\n");
    assert_eq!(busy(&stat(100, 1000)), (153, 1160));
    // Of 200 ticks on two processors 50 were busy.
    assert_eq!(share_of(busy(&stat(100, 1000)), busy(&stat(150, 1150)), 2000), 500);
    assert_eq!(share_of((0, 0), (0, 0), 2000), 0);
    let meminfo = "MemTotal: 1000 kB\nMemFree: 300 kB\nInactive: 9 kB\nInactive(file): 200 kB\n";
    assert_eq!(working_set(meminfo), 500 << 10);
}

#[test]
fn probes_are_shown_with_what_a_run_costs() {
    let probe = |pod: &str, kind: &str| crate::api::published::Probe {
        namespace: "default".into(),
        pod: pod.into(),
        uid: "1".into(),
        container: "c".into(),
        kind: kind.into(),
        period: 10,
        last: "success".into(),
        at: crate::status::Wall(0),
        runs: 4,
        failures: 1,
        wall_ns: 50_000_000,
        cpu_ns: 9_000_000,
    };
    let asked = crate::cli::args::TopProbes {
        namespace: crate::cli::args::Namespace { namespace: "default".into() },
        all_namespaces: false,
        no_headers: false,
    };
    assert_eq!(
        super::probes::table(
            vec![probe("web", "readiness"), probe("web", "liveness"), probe("db", "startup")],
            &asked
        ),
        "POD   CONTAINER   PROBE       PERIOD   LAST      RUNS   FAILURES   CPU/RUN   TIME/RUN\n\
         db    c           startup     10s      success   4      1          2.2ms     12.5ms\n\
         web   c           liveness    10s      success   4      1          2.2ms     12.5ms\n\
         web   c           readiness   10s      success   4      1          2.2ms     12.5ms\n"
    );
}
