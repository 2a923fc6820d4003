//! What manifests mean: each `tests/manifests/*` has beside it a `.txt` of what becomes of it.
//!
//! `kubernetes-docs/` has what the public documentation of Kubernetes shows of Pods, `kubeadm/` a control plane, both
//! written down from their description.
//!
//! `BLESS=1 cargo test --test manifests` writes these anew; review the difference.

#![allow(clippy::unwrap_used, reason = "a test may fail loudly")]

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use holdfast::manifest::verdict::FileState;
use holdfast::manifest::{self, Context, Directory, FileContent, Reading};
use holdfast::spec::{Container, MountPropagation, Pod, Role, SubPath};

#[test]
fn manifests_mean_what_their_txt_says() {
    let mut wrong = Vec::new();
    for path in corpus() {
        let name = path.file_name().unwrap().to_str().unwrap();
        let found = dump(&manifest::read(name, &fs::read(&path).unwrap(), &context()));
        let expected = path.with_file_name(format!("{name}.txt"));
        if std::env::var_os("BLESS").is_some() {
            fs::write(&expected, &found).unwrap();
        } else if fs::read_to_string(&expected).unwrap_or_default() != found {
            wrong.push(format!("--- {} means\n{found}", path.display()));
        }
    }
    assert!(wrong.is_empty(), "{}(BLESS=1 accepts this)", wrong.join("\n"));
}

#[test]
fn no_damaged_manifest_makes_it_fail() {
    let context = context();
    let mut random = Random(1);
    for path in corpus() {
        let whole = fs::read(&path).unwrap();
        for _ in 0..150 {
            let mut bytes = whole.clone();
            for _ in 0..=random.below(4) {
                damage(&mut bytes, &mut random);
            }
            let reading = manifest::read("x.yaml", &bytes, &context);
            // Whatever is accepted is sound enough to be written and read again.
            for pod in reading.pods {
                let written = serde_json::to_string(&*pod).unwrap();
                assert_eq!(serde_json::from_str::<Pod>(&written).unwrap(), *pod);
            }
        }
    }
}

/// Row 29 of the threats, and its like: refused, and no other manifest is disturbed. Without the limits they would take all
/// memory, or for ever.
#[test]
fn bombs_are_refused_and_disturb_nobody() {
    let mut directory = Directory::new(context());
    let good = fs::read("tests/manifests/static.yaml").unwrap();
    directory.set("good.yaml", &FileContent::Bytes(good));
    for (name, text) in bombs() {
        directory.set("bomb.yaml", &FileContent::Bytes(text.into_bytes()));
        let verdict = directory.verdict();
        assert_eq!(verdict.files[0].state, FileState::Refused, "{name}");
        assert!(verdict.files[0].problems.len() < 200, "{name}");
        assert_eq!(directory.wanted().len(), 1, "{name}");
    }
}

fn bombs() -> Vec<(&'static str, String)> {
    let pod = "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\n";
    let mut laughs = format!("{pod}a0: &a0 [x, x, x, x, x, x, x, x, x]\n");
    let keys = (0..9000).map(|number| format!("k{number}: 0, ")).collect::<String>();
    let mut merges = format!("{pod}a0: &a0 {{{keys}}}\n");
    for level in 1..40 {
        let last = level - 1;
        writeln!(laughs, "a{level}: &a{level} [{}*a{last}]", format!("*a{last}, ").repeat(8)).unwrap();
        writeln!(merges, "a{level}: &a{level} {{<<: *a{last}, own{level}: 0}}").unwrap();
    }
    let scalar = "x".repeat(10 << 20);
    let lines = |count: usize, line: fn(usize) -> String| (0..count).map(line).collect::<String>();
    vec![
        ("aliases", laughs),
        ("merge keys", merges),
        ("text by alias", format!("{pod}a: &a {}\nb: [{}]\n", &scalar[..5 << 20], "*a, ".repeat(900))),
        ("a long scalar", format!("a: {}", &scalar[10..])),
        ("a long key", format!("{}: a", &scalar[8 << 20..])),
        ("a long string", format!("a: '{}'", &scalar[8 << 20..])),
        ("a long string without end", format!("a: \"{}", &scalar[8 << 20..])),
        ("a long JSON string", format!("{{\"a\":\"{}\"}}", &scalar[8 << 20..])),
        ("too long", " ".repeat((10 << 20) + 1)),
        ("spaces", " ".repeat(2 << 20)),
        ("comments", "# x\n".repeat(1 << 18)),
        ("keys", lines(200_000, |number| format!("k{number}: 0\n"))),
        ("unknown fields", format!("{pod}{}", lines(40_000, |number| format!("k{number}: 0\n")))),
        ("JSON keys", format!("{{{}\"k\": 0}}", lines(200_000, |number| format!("\"k{number}\": 0,")))),
        ("containers", format!("{pod}spec:\n  containers:\n{}", "  - {name: A}\n".repeat(30_000))),
        ("items", "- a\n".repeat(500_000)),
        ("documents", "---\na\n".repeat(200_000)),
        ("brackets", "[".repeat(1 << 20)),
        ("JSON brackets", format!("{{\"a\":{}", "[".repeat(1 << 20))),
        ("JSON braces", "{\"a\":".repeat(1 << 18)),
        ("dashes", "- ".repeat(1 << 20)),
        ("questions", "? ".repeat(1 << 20)),
        ("steps", lines(2000, |depth| format!("{}a:\n", " ".repeat(depth)))),
    ]
}

fn context() -> Context {
    Context { node_name: "edge-1".to_owned(), directory: "/manifests".to_owned() }
}

fn corpus() -> Vec<PathBuf> {
    let folders = ["", "kubernetes-docs", "kubeadm"].map(|folder| Path::new("tests/manifests").join(folder));
    let files = folders.iter().flat_map(|folder| fs::read_dir(folder).unwrap());
    let files = files.map(|entry| entry.unwrap().path()).filter(|path| path.is_file());
    let mut files: Vec<_> = files.filter(|path| path.extension().is_none_or(|end| end != "txt")).collect();
    files.sort();
    assert!(!files.is_empty());
    files
}

/// What was read, short: one line each for what is as it always is, all of what is not.
fn dump(reading: &Reading) -> String {
    let mut text = String::new();
    for pod in &reading.pods {
        write_pod(pod, &mut text);
    }
    for document in &reading.documents {
        let keys = document.data.keys().chain(document.binary.keys()).map(String::as_str);
        let keys: Vec<_> = keys.collect();
        writeln!(text, "{} {} with {}", document.kind, document.name, keys.join(", ")).unwrap();
    }
    for problem in &reading.problems {
        writeln!(text, "{problem}").unwrap();
    }
    text
}

fn write_pod(pod: &Pod, text: &mut String) {
    writeln!(text, "pod {} uid {} from {}", pod.full_name(), pod.uid, pod.origin).unwrap();
    writeln!(text, "  {:?}, restart {:?}, grace {:?}", pod.qos, pod.restart_policy, pod.grace).unwrap();
    if let Some(own) = &pod.resources {
        writeln!(text, "  as a whole {own:?}").unwrap();
    }
    writeln!(text, "  on {} as {}", pod.node_name, pod.hostname).unwrap();
    if !pod.subdomain.is_empty() {
        let told = if pod.hostname_as_fqdn { ", which the kernel is told" } else { "" };
        writeln!(text, "  in {}{told}", pod.subdomain).unwrap();
    }
    for alias in &pod.host_aliases {
        writeln!(text, "  {} is {}", alias.ip, alias.hostnames.join(" ")).unwrap();
    }
    if pod.dns != Default::default() {
        writeln!(text, "  asks {:?} {:?}", pod.dns_policy, pod.dns).unwrap();
    }
    let shares = [
        ("host network", pod.host_network),
        ("host PID", pod.host_pid),
        ("host IPC", pod.host_ipc),
        ("shared PID", pod.share_process_namespace),
    ];
    let shares: Vec<_> = shares.into_iter().filter(|(_, is)| *is).map(|(name, _)| name).collect();
    if !shares.is_empty() {
        writeln!(text, "  {}", shares.join(", ")).unwrap();
    }
    if pod.priority != 0 || !pod.priority_class.is_empty() {
        writeln!(text, "  priority {} {}", pod.priority, pod.priority_class).unwrap();
    }
    for volume in &pod.volumes {
        writeln!(text, "  volume {} {:?}", volume.name, volume.source).unwrap();
    }
    for container in &pod.containers {
        write_container(container, text);
    }
    writeln!(text, "  {}", pod.object).unwrap();
}

fn write_container(container: &Container, text: &mut String) {
    let role = match container.role {
        Role::Init => "init container",
        Role::Sidecar => "sidecar",
        Role::Regular => "container",
    };
    writeln!(text, "  {role} {} {} {:?}", container.name, container.image, container.pull_policy).unwrap();
    if let Some(policy) = container.restart_policy {
        writeln!(text, "    restart {policy:?}").unwrap();
    }
    for rule in &container.restart_rules {
        let operator = if rule.not { "NotIn" } else { "In" };
        writeln!(text, "    {:?} at exit codes {operator} {:?}", rule.action, rule.exit_codes).unwrap();
    }
    for (name, words) in [("command", &container.command), ("args", &container.args)] {
        if !words.is_empty() {
            writeln!(text, "    {name} {words:?}").unwrap();
        }
    }
    if let Some(directory) = &container.working_dir {
        writeln!(text, "    in {directory}").unwrap();
    }
    for from in &container.env_from {
        writeln!(text, "    {from:?}").unwrap();
    }
    for variable in &container.env {
        match &variable.from {
            None => writeln!(text, "    env {}={:?}", variable.name, variable.value).unwrap(),
            Some(source) => writeln!(text, "    env {} from {source:?}", variable.name).unwrap(),
        }
    }
    if container.tty {
        writeln!(text, "    on a terminal").unwrap();
    }
    if container.stdin {
        let until = if container.stdin_once { "the first who attaches" } else { "whoever attaches" };
        writeln!(text, "    reads {until}").unwrap();
    }
    let resources = &container.resources;
    if *resources != holdfast::spec::Resources::default() {
        writeln!(text, "    cpu {:?} of {:?}", resources.cpu_request, resources.cpu_limit).unwrap();
        writeln!(text, "    memory {:?} of {:?}", resources.memory_request, resources.memory_limit).unwrap();
    }
    for mount in &container.mounts {
        let mode = match (mount.read_only, mount.recursive_read_only) {
            (true, true) => "read-only with what is mounted below",
            (true, false) => "read-only",
            _ => "writable",
        };
        let mode = match mount.propagation {
            MountPropagation::None => mode.to_owned(),
            MountPropagation::HostToContainer => format!("{mode}, with what the node mounts later"),
        };
        let part = match &mount.sub_path {
            SubPath::Whole => String::new(),
            SubPath::Path(path) => format!(", of it {path}"),
            SubPath::Expression(expression) => format!(", of it {expression} expanded"),
        };
        writeln!(text, "    mount {} at {} {mode}{part}", mount.volume, mount.path).unwrap();
    }
}

/// Changes, drops, doubles or inserts a few bytes.
fn damage(bytes: &mut Vec<u8>, random: &mut Random) {
    let at = random.below(bytes.len() + 1);
    let end = (at + 1 + random.below(12)).min(bytes.len());
    let hostile = b"{}[]&*!|>%@`'\"\t\n:-#?,~<=\0\xff\xc3/.09";
    match random.below(5) {
        0 if at < bytes.len() => bytes[at] = hostile[random.below(hostile.len())],
        1 => bytes.insert(at, hostile[random.below(hostile.len())]),
        2 => drop(bytes.drain(at.min(end)..end)),
        3 => bytes.truncate(at),
        _ => {
            let copy = bytes[at.min(end)..end].to_vec();
            let to = random.below(bytes.len() + 1);
            bytes.splice(to..to, copy);
        }
    }
}

/// xorshift64: the same damage in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % (limit.max(1) as u64)).unwrap()
    }
}
