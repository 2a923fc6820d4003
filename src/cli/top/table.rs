//! The tables of `top`, as kubectl has them.

use std::cmp::Reverse;

use super::{OfNode, Row, Used};
use crate::cli::args::{Sort, TopNode, TopPods};
use crate::cli::harmless::line;
use crate::cli::tabs;

/// `top pods`.
pub fn pods(containers: Vec<Row>, asked: &TopPods) -> String {
    let rows = if asked.containers { containers } else { by_pod(containers) };
    let sum = rows.iter().fold(Used::default(), |sum, row| sum.plus(row.used));
    let mut head = Vec::new();
    head.extend(asked.all_namespaces.then_some("NAMESPACE"));
    head.extend(asked.containers.then_some("POD"));
    head.push("NAME");
    let names = head.len();
    head.extend(["CPU(cores)", "MEMORY(bytes)"]);
    let wide = ["PIDS", "READ(bytes)", "WRITTEN(bytes)", "WRITTEN/DAY"];
    head.extend(asked.wide.then_some(wide).into_iter().flatten());
    let mut out = if asked.no_headers { String::new() } else { joined(&head) };
    for row in sorted(rows, asked) {
        let mut cells = Vec::new();
        cells.extend(asked.all_namespaces.then(|| line(&row.namespace)));
        cells.push(line(&row.pod));
        cells.extend(asked.containers.then(|| line(&row.container)));
        cells.extend(amounts(row.used, asked.wide));
        out += &joined(&cells);
    }
    if asked.sum {
        let amounts = amounts(sum, asked.wide);
        let line = |cells: Vec<String>| joined(&[vec![String::new(); names], cells].concat());
        out += &line(vec!["________".to_string(); amounts.len()]);
        out += &line(amounts);
    }
    layout(&out)
}

/// `top node`.
pub fn node(node: &OfNode, asked: &TopNode) -> String {
    let mut head = vec!["NAME", "CPU(cores)", "CPU(%)", "MEMORY(bytes)", "MEMORY(%)"];
    if asked.wide {
        head.extend(["DISK", "WRITTEN(bytes)", "WRITTEN/DAY"]);
    }
    let mut out = if asked.no_headers { String::new() } else { joined(&head) };
    let share = |used: u64, all: u64| match all {
        0 => "<unknown>".to_string(),
        all => format!("{}%", u128::from(used) * 100 / u128::from(all)),
    };
    let used = node.used;
    let [cpu, memory] = [cores(used.millicores), mebibytes(used.memory)];
    let [cpu_share, memory_share] = [share(used.millicores, node.cpu), share(used.memory, node.memory)];
    let mut cells = vec![line(&node.name), cpu, cpu_share, memory, memory_share];
    if asked.wide {
        cells.extend(match &node.disk {
            Some(disk) => [line(disk), mebibytes(used.io.written), mebibytes(used.io.per_day)],
            None => ["<unknown>"; 3].map(str::to_string),
        });
    }
    out += &joined(&cells);
    layout(&out)
}

/// The containers of a pod together.
fn by_pod(containers: Vec<Row>) -> Vec<Row> {
    let mut pods: Vec<Row> = Vec::new();
    for row in containers {
        match pods.last_mut() {
            Some(pod) if (&pod.namespace, &pod.pod) == (&row.namespace, &row.pod) => {
                let io = pod.used.io;
                pod.used = Used { io, ..pod.used.plus(row.used) };
            }
            _ => pods.push(Row { used: Used { io: row.of_pod, ..row.used }, ..row }),
        }
    }
    pods
}

/// By name, or with who uses most first; containers stay with their pods, as with kubectl.
fn sorted(mut rows: Vec<Row>, asked: &TopPods) -> Vec<Row> {
    let amount = |used: Used| match asked.sort_by {
        None => 0,
        Some(Sort::Cpu) => used.millicores,
        Some(Sort::Memory) => used.memory,
    };
    let pods = by_pod(rows.clone());
    let of_pod = |row: &Row| {
        let pod = pods.iter().find(|pod| (&pod.namespace, &pod.pod) == (&row.namespace, &row.pod));
        pod.map_or(0, |pod| amount(pod.used))
    };
    rows.sort_by_cached_key(|row| {
        let pod = (Reverse(of_pod(row)), row.namespace.clone(), row.pod.clone());
        (pod, Reverse(amount(row.used)), row.container.clone())
    });
    rows
}

fn amounts(used: Used, wide: bool) -> Vec<String> {
    let mut cells = vec![cores(used.millicores), mebibytes(used.memory)];
    if wide {
        let bytes = [used.io.read, used.io.written, used.io.per_day].map(mebibytes);
        cells.push(used.pids.to_string());
        cells.extend(bytes);
    }
    cells
}

fn cores(millicores: u64) -> String {
    format!("{millicores}m")
}

fn mebibytes(bytes: u64) -> String {
    format!("{}Mi", bytes >> 20)
}

/// A line; a tab after each cell makes the last a column too.
pub fn joined(cells: &[impl AsRef<str>]) -> String {
    let cells = cells.iter().flat_map(|cell| [cell.as_ref(), "\t"]);
    cells.chain(["\n"]).collect()
}

/// kubectl's columns: at least 6 wide, 3 apart.
pub fn layout(table: &str) -> String {
    tabs::align(table, 6, 3).lines().flat_map(|line| [line.trim_end(), "\n"]).collect()
}
