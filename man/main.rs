//! Manual pages, one a command, written into the directory that is named: `man -l target/man/holdfast.1`.

use std::path::{Path, PathBuf};
use std::{env, fs, io};

use clap_mangen::Man;
use holdfast::cli::grammar;

/// What a page says beyond the grammar.
const FILES: &str = ".SH FILES
.TP
.I /var/lib/rancher/k3s/agent/pod\\-manifests
Pods that run, a file each or several in one.
.TP
.I /var/lib/rancher/k3s/agent/images
Archives of images.
.TP
.I /run/holdfast
What the agent publishes: JSON, described in
.I docs/published\\-files.md
of the sources.
.SH ENVIRONMENT
.TP
.B NO_COLOR
Where it has a value, nothing is painted.
.SH EXIT STATUS
0, or 1 on any error;
.B holdfast exec
has that of its command.
";

fn main() -> io::Result<()> {
    let directory = env::args_os().nth(1).map(PathBuf::from);
    let directory = directory.ok_or_else(|| io::Error::other("which directory? man target/man"))?;
    fs::create_dir_all(&directory)?;
    let mut root = grammar();
    root.build();
    write(&directory, &root, FILES)?;
    for verb in root.get_subcommands().filter(|verb| !verb.is_hide_set()) {
        page_of(&directory, verb)?;
    }
    Ok(())
}

/// A page for the command, and one for each below it.
fn page_of(directory: &Path, command: &clap::Command) -> io::Result<()> {
    write(directory, command, "")?;
    command.get_subcommands().filter(|verb| !verb.is_hide_set()).try_for_each(|verb| page_of(directory, verb))
}

fn write(directory: &Path, command: &clap::Command, more: &str) -> io::Result<()> {
    let name = command.get_display_name().unwrap_or(command.get_name()).to_owned();
    let see = if more.is_empty() { ".SH SEE ALSO\n.BR holdfast (1)\n" } else { "" };
    let man = Man::new(command.clone()).source(format!("holdfast {}", env!("CARGO_PKG_VERSION")));
    let mut text = Vec::new();
    man.render(&mut text)?;
    let text = String::from_utf8(text).map_err(io::Error::other)?;
    // clap_mangen knows of no examples: they are its page's `EXTRA`.
    let text = match text.split_once(".SH EXTRA\nExamples:\n") {
        Some((before, examples)) => {
            let (examples, after) = examples.split_once("\n.SH").unwrap_or((examples, ""));
            let after = if after.is_empty() { String::new() } else { format!(".SH{after}") };
            format!("{before}.SH EXAMPLES\n.nf\n{examples}\n.fi\n{after}")
        }
        None => text,
    };
    let text = format!("{text}{more}{see}");
    fs::write(directory.join(format!("{name}.1")), text)
}
