//! The tables of `top`, as kubectl has them.

use std::cmp::Reverse;

use super::{Row, Used};
use crate::cli::args::{Sort, TopPods};
use crate::cli::harmless::line;
use crate::cli::tabs;

/// `top pods`.
pub fn pods(containers: Vec<Row>, asked: &TopPods) -> String {
    let sum = containers.iter().fold(Used::default(), |sum, row| sum.plus(row.used));
    let rows = if asked.containers { containers } else { by_pod(containers) };
    let mut head = Vec::new();
    head.extend(asked.all_namespaces.then_some("NAMESPACE"));
    head.extend(asked.containers.then_some("POD"));
    head.push("NAME");
    let names = head.len();
    head.extend(["CPU(cores)", "MEMORY(bytes)"]);
    head.extend(asked.wide.then_some(["PIDS", "READ(bytes)", "WRITTEN(bytes)"]).into_iter().flatten());
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

/// `top node`; `all` is what it has: thousandths of a processor, and bytes.
pub fn node(name: &str, used: Used, all: (u64, u64), no_headers: bool) -> String {
    let head = ["NAME", "CPU(cores)", "CPU(%)", "MEMORY(bytes)", "MEMORY(%)"];
    let mut out = if no_headers { String::new() } else { joined(&head) };
    let share = |used: u64, all: u64| match all {
        0 => "<unknown>".to_string(),
        all => format!("{}%", u128::from(used) * 100 / u128::from(all)),
    };
    let [cpu, memory] = [cores(used.millicores), mebibytes(used.memory)];
    out += &joined(&[line(name), cpu, share(used.millicores, all.0), memory, share(used.memory, all.1)]);
    layout(&out)
}

/// The containers of a pod together.
fn by_pod(containers: Vec<Row>) -> Vec<Row> {
    let mut pods: Vec<Row> = Vec::new();
    for row in containers {
        match pods.last_mut() {
            Some(pod) if (&pod.namespace, &pod.pod) == (&row.namespace, &row.pod) => {
                pod.used = pod.used.plus(row.used);
            }
            _ => pods.push(row),
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
        cells.extend([used.pids.to_string(), mebibytes(used.io.0), mebibytes(used.io.1)]);
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
