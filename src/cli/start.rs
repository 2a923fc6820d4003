//! `agent` and `config`: flags and files to a configuration, and a log.

use std::ffi::OsString;
use std::io::Write;
use std::path::PathBuf;

use anyhow::{Result, anyhow, bail};
use env_logger::Target;
use log::LevelFilter;
use serde_json::json;

use super::args::{Agent, Config};
use super::table::Table;
use super::{harmless, now, print, say};
use crate::config::effective::{CommandLine, Effective, Files, effective};
use crate::config::{Given, Key};
use crate::host::Runtime;

/// Runs the agent until it is told to end.
pub fn agent(flags: Agent, runtime: &Runtime) -> Result<()> {
    let config = in_force(flags, runtime)?.agent;
    log_to_stderr(config.log);
    crate::agent::run(config)
}

/// Prints what an agent with these flags would go by.
pub fn config(asked: Config, runtime: &Runtime) -> Result<()> {
    let Effective { agent, settings } = in_force(asked.agent, runtime)?;
    if asked.output.is_some() {
        let each = settings
            .iter()
            .map(|it| json!({"name": it.name, "value": it.value, "origin": it.origin.to_string()}));
        let document = json!({"settings": each.collect::<Vec<_>>(), "notes": agent.notes});
        return print(&format!("{document:#}\n"));
    }
    agent.notes.iter().for_each(|note| say(note));
    let empty = |value: &str| if value.is_empty() { "<none>".to_owned() } else { value.to_owned() };
    let row = |it: &crate::config::effective::Setting| {
        vec![it.name.to_owned(), empty(&it.value), it.origin.to_string()]
    };
    let rows: Vec<Vec<String>> = settings.iter().map(row).collect();
    let mut table = Table::new(["NAME", "VALUE", "FROM"].map(str::to_owned).to_vec());
    print(&table.lines(&rows, |_, cell| cell.to_owned()))
}

/// What an agent with these flags would go by.
pub fn would_be(flags: Agent, runtime: &Runtime) -> Result<crate::config::Agent> {
    Ok(in_force(flags, runtime)?.agent)
}

/// What is in force; the error names what is wrong, and what else is wrong was told before.
fn in_force(flags: Agent, runtime: &Runtime) -> Result<Effective> {
    let files = Files { main: flags.config.clone(), drop_ins: flags.config_dir.clone() };
    let mut problems = match effective(command_line(flags)?, &files, runtime.root()) {
        Ok(found) => return Ok(found),
        Err(problems) => problems,
    };
    let last = problems.pop();
    problems.iter().for_each(|problem| say(&format!("error: {problem}")));
    match last {
        Some(last) => bail!("{last}"),
        None => bail!("the configuration is wrong"),
    }
}

/// Flags as the configuration wants them.
fn command_line(flags: Agent) -> Result<CommandLine> {
    let mut givens = Vec::new();
    let one = |key: Key, value: Option<String>| value.map(|value| Given::flag(key, vec![value]));
    let text = |path: Option<PathBuf>| -> Result<Option<String>> {
        let utf8 = |path: OsString| path.into_string().map_err(|path| anyhow!("{path:?} is not UTF-8"));
        path.map(|path| utf8(path.into_os_string())).transpose()
    };
    givens.extend(one(Key::DataDir, text(flags.data_dir)?));
    givens.extend(one(Key::PodManifestPath, text(flags.pod_manifest_path)?));
    givens.extend(one(Key::LogDir, text(flags.log_dir)?));
    givens.extend(one(Key::NodeName, flags.node_name));
    givens.extend(one(Key::CgroupRoot, flags.cgroup_root));
    givens.extend(one(Key::ResolvConf, flags.resolv_conf));
    givens.extend(one(Key::PodCidr, flags.pod_cidr));
    givens.extend(Some(Given::flag(Key::NodeLabel, flags.node_label)));
    givens.extend(one(Key::Force, flags.force.then(|| "true".to_owned())));
    let level = match flags.verbose {
        0 => None,
        1 => Some("debug"),
        _ => Some("trace"),
    };
    givens.extend(one(Key::Log, level.map(str::to_owned)));
    givens.extend(one(Key::PrivateRegistry, text(flags.private_registry)?));
    givens.extend(one(Key::OnlyMirrors, flags.disable_default_registry_endpoint.then(|| "true".to_owned())));
    Ok(CommandLine { givens, kubelet_args: flags.kubelet_arg })
}

/// One line a fact; the time only where nobody else adds it, as systemd's journal does.
pub fn log_to_stderr(level: LevelFilter) {
    let journal = std::env::var_os("JOURNAL_STREAM").is_some();
    let mut builder = env_logger::Builder::new();
    builder.filter_level(level).target(Target::Stderr).format(move |out, record| {
        if !journal {
            write!(out, "{:.3} ", now())?;
        }
        // File names, and what images say, are others' words.
        let text = harmless::line(&record.args().to_string());
        writeln!(out, "{:5} {text}", record.level().as_str().to_lowercase())
    });
    builder.init();
}
