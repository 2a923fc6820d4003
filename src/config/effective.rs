//! What is in force, of all that was said, and where it was said.

use std::path::{Path, PathBuf};

use super::file::{self, Read};
use super::given::{Given, Key, Origin, Problem, Wrong};
use super::{Agent, RUNTIME_DIR, set};
use crate::yaml::tree::Position;

/// What the command line says.
#[derive(Debug, Default)]
pub struct CommandLine {
    /// Flags that mean something.
    pub givens: Vec<Given>,
    /// Arguments for a kubelet, `name=value`.
    pub kubelet_args: Vec<String>,
}

/// Files that say something, besides the command line.
#[derive(Debug, Clone, Default)]
pub struct Files {
    /// A k3s `config.yaml` or a `KubeletConfiguration`.
    pub main: Option<PathBuf>,
    /// A directory of parts of a `KubeletConfiguration` that are laid over it, as kubelet's `--config-dir` has them.
    pub drop_ins: Option<PathBuf>,
}

/// One value and where it came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// The name.
    pub name: &'static str,
    /// The value; those of a list with commas.
    pub value: String,
    /// Where it came from.
    pub origin: Origin,
}

/// A whole configuration.
#[derive(Debug)]
pub struct Effective {
    /// For the agent.
    pub agent: Agent,
    /// For a person.
    pub settings: Vec<Setting>,
}

/// Lays the command line over the `files` over the defaults. All problems, where there are any: also in what is laid over.
pub fn effective(
    command_line: CommandLine,
    files: &Files,
    runtime_dir: &Path,
) -> Result<Effective, Vec<Problem>> {
    let mut agent = Agent::new(runtime_dir);
    let main = files.main.as_deref();
    let main = main.map(|path| (path, file::read(path, command_line.kubelet_args.is_empty())));
    let drop_ins = files.drop_ins.as_deref().map(|path| (path, file::read_parts(path)));
    let flags = flags(command_line);
    let mut problems = Vec::new();
    let mut givens = Vec::new();
    for (source, read) in main
        .into_iter()
        .chain(drop_ins)
        .map(|(path, read)| (path.display().to_string(), read))
        .chain([("command line".to_owned(), flags)])
    {
        agent.notes.extend(read.notes(&source));
        problems.extend(read.problems);
        read.givens.into_iter().for_each(|given| add(&mut givens, given));
    }
    let mut settings = Key::ALL.map(|key| lay(&mut agent, key, &givens, &mut problems)).to_vec();
    problems.extend(contradiction(&agent, &givens));
    if problems.is_empty() {
        problems.extend(set::together(&agent).into_iter().filter_map(|(key, wrong)| {
            let setting = settings.iter().find(|setting| setting.name == key.name())?;
            Some(Problem { origin: setting.origin.clone(), name: key.name().to_owned(), wrong })
        }));
    }
    settings.push(Setting {
        name: "runtime-dir",
        value: runtime_dir.display().to_string(),
        origin: if runtime_dir == Path::new(RUNTIME_DIR) { Origin::Default } else { Origin::CommandLine },
    });
    problems.sort_by_key(|problem| place(&problem.origin));
    if problems.is_empty() { Ok(Effective { agent, settings }) } else { Err(problems) }
}

/// Lays `given` over what was said before. Where it is a kubelet's mapping, names that it leaves out stay, as a kubelet has
/// it with its drop-ins.
fn add(givens: &mut Vec<Given>, mut given: Given) {
    let before = givens.iter().rfind(|before| before.key == given.key && before.name == given.name);
    let is_file = matches!(given.origin, Origin::File { .. });
    if let (
        true,
        Key::SystemReserved | Key::KubeReserved | Key::EvictionHard | Key::FeatureGates,
        Some(before),
    ) = (is_file, given.key, before)
    {
        let name = |pair: &str| pair.split_once('=').map_or(pair, |(name, _)| name).to_owned();
        let said: Vec<String> = given.values.iter().map(|pair| name(pair)).collect();
        let stays = before.values.iter().filter(|pair| !said.contains(&name(pair))).cloned();
        given.values = stays.chain(given.values).collect();
    }
    givens.push(given);
}

/// What a kubelet refuses too: many at once, one after the other.
fn contradiction(agent: &Agent, givens: &[Given]) -> Option<Problem> {
    let given = givens.iter().rfind(|given| given.key == Key::MaxParallelPulls)?;
    let is_wrong = agent.serialize_pulls && 1 < agent.max_parallel_pulls;
    is_wrong.then(|| Problem {
        origin: given.origin.clone(),
        name: given.name.clone(),
        wrong: Wrong::new("must not be above 1 with serializeImagePulls: true", "leave one of them out"),
    })
}

/// Files first, from above to below.
fn place(origin: &Origin) -> (bool, PathBuf, Option<Position>) {
    match origin {
        Origin::File { path, at } => (false, path.clone(), Some(*at)),
        Origin::Default | Origin::CommandLine => (true, PathBuf::new(), None),
    }
}

fn flags(command_line: CommandLine) -> Read {
    let mut read = Read::default();
    read.givens = command_line.givens;
    for text in command_line.kubelet_args {
        read.kubelet_arg(&text, Origin::CommandLine);
    }
    read
}

/// Sets `key` to its default and then to all that was said of it; the last one stays.
fn lay(agent: &mut Agent, key: Key, givens: &[Given], problems: &mut Vec<Problem>) -> Setting {
    let mut values: Vec<String> = key.default().iter().map(|value| (*value).to_owned()).collect();
    let mut origin = Origin::Default;
    if let Err(wrong) = set::set(agent, key, &values) {
        problems.push(Problem { origin: Origin::Default, name: key.name().to_owned(), wrong });
    }
    for given in givens.iter().filter(|given| given.key == key && !set::is_unset(key, &given.values)) {
        match set::set(agent, key, &given.values) {
            Ok(()) => (values, origin) = (given.values.clone(), given.origin.clone()),
            Err(wrong) => {
                let (origin, name) = (given.origin.clone(), given.name.clone());
                problems.push(Problem { origin, name, wrong });
            }
        }
    }
    Setting { name: key.name(), value: shown(agent, key, &values), origin }
}

/// As it is in force, where that is not what was written.
fn shown(agent: &Agent, key: Key, values: &[String]) -> String {
    match key {
        Key::DataDir => agent.data_dir.display().to_string(),
        Key::PodManifestPath => agent.pod_manifest_path.display().to_string(),
        Key::PrivateRegistry => agent.private_registry.display().to_string(),
        Key::LogDir => agent.log_dir.display().to_string(),
        Key::CgroupRoot => agent.cgroup_root.clone(),
        Key::NodeName => {
            agent.node_name.clone().unwrap_or_else(|| "<the remembered one, or the host's>".to_owned())
        }
        Key::Log => agent.log.to_string().to_lowercase(),
        Key::ClusterDns => agent.cluster_dns.join(","),
        Key::ClusterDomain => agent.cluster_domain.clone(),
        _ => values.join(","),
    }
}
