//! Where in the grammar the last word stands, and what the grammar itself has for it.

use std::collections::BTreeMap;

use clap::{Arg, Command};

use super::Candidate;

/// What is asked for.
#[derive(Debug, Default)]
pub struct Asked {
    /// The last word, as far as it is typed.
    pub word: String,
    /// What of the last word stands before the value: `--flag=`, or the kind of `pod/`.
    pub before: String,
    /// What the grammar has.
    pub known: Vec<Candidate>,
    /// The value's name in the grammar, such as `POD`, where the value is free.
    pub name: Option<String>,
    /// What was given before, by the name of the value.
    pub given: BTreeMap<String, String>,
    /// Whether a path fits.
    pub files: bool,
}

/// Walks `words` through the grammar of `root`.
pub fn asked(mut root: Command, words: &[String]) -> Asked {
    root.build();
    let mut asked = Asked::default();
    let Some((last, typed)) = words.split_last() else { return asked };
    let mut walk = Walk { command: &root, places: 0, flag: None, over: false, given: BTreeMap::new() };
    typed.iter().for_each(|word| walk.step(word));
    asked.word = last.clone();
    asked.given = std::mem::take(&mut walk.given);
    let Walk { command, places, flag, over, .. } = walk;
    if let Some(flag) = flag {
        asked.value(flag);
    } else if over {
        // What follows `--` is another program's.
    } else if let Some((name, _)) = last.strip_prefix("--").and_then(|flag| flag.split_once('=')) {
        asked.before = format!("--{name}=");
        if let Some(flag) = long(command, name) {
            asked.value(flag);
        }
    } else if last.starts_with('-') {
        asked.known = flags(command);
    } else if command.has_subcommands() {
        asked.known = verbs(command);
    } else if let Some(place) = place(command, places) {
        asked.value(place);
    }
    asked
}

impl Asked {
    /// The last word is the value of `arg`, or the end of it.
    fn value(&mut self, arg: &Arg) {
        let values = arg.get_possible_values();
        let shown = values.iter().filter(|value| !value.is_hide_set());
        let about = |help: Option<&clap::builder::StyledStr>| help.map(first_line).unwrap_or_default();
        let word = |name: &str| format!("{}{name}", self.before);
        self.known =
            shown.map(|value| Candidate::new(word(value.get_name()), about(value.get_help()))).collect();
        let path = |name: &str| name.contains("DIR") || name.contains("FILE");
        self.files = self.before.is_empty() && arg.get_value_names().is_some_and(|names| path(&names[0]));
        if values.is_empty() {
            self.name = name(arg);
        } else if let (Some((kind, _)), Some("KIND")) = (self.word.split_once('/'), name(arg).as_deref()) {
            self.before = format!("{kind}/");
            self.given.insert("KIND".to_string(), kind.to_string());
            self.known.clear();
            self.name = Some("NAME".to_string());
        }
    }
}

/// A walk along the words.
struct Walk<'c> {
    command: &'c Command,
    /// How many places were filled.
    places: usize,
    /// The flag whose value is next.
    flag: Option<&'c Arg>,
    /// Whether `--` was met.
    over: bool,
    given: BTreeMap<String, String>,
}

impl<'c> Walk<'c> {
    fn step(&mut self, word: &str) {
        let command = self.command;
        if let Some(flag) = self.flag.take() {
            self.give(flag, word);
        } else if self.over {
        } else if word == "--" {
            self.over = true;
        } else if let Some(flag) = word.strip_prefix("--") {
            let (name, value) =
                flag.split_once('=').map_or((flag, None), |(name, value)| (name, Some(value)));
            match (long(command, name).filter(|flag| takes_value(flag)), value) {
                (Some(flag), Some(value)) => self.give(flag, value),
                (Some(flag), None) if !flag.is_require_equals_set() => self.flag = Some(flag),
                _ => {}
            }
        } else if let Some(cluster) = word.strip_prefix('-').filter(|cluster| !cluster.is_empty()) {
            self.short(cluster);
        } else if let Some(verb) = command.find_subcommand(word) {
            (self.command, self.places) = (verb, 0);
        } else if command.has_subcommands() {
            // No verb of ours: whatever follows, nothing is known of it.
            self.over = true;
        } else if let Some(place) = place(command, self.places) {
            self.give(place, word);
            self.places += 1;
        }
    }

    /// `-it`, `-nweb`, `-n` and the value next.
    fn short(&mut self, cluster: &str) {
        for (at, letter) in cluster.char_indices() {
            let flag = self.command.get_arguments().find(|arg| arg.get_short() == Some(letter));
            let Some(flag) = flag.filter(|flag| takes_value(flag)) else { continue };
            match cluster[at + letter.len_utf8()..].trim_start_matches('=') {
                "" => self.flag = Some(flag),
                value => self.give(flag, value),
            }
            return;
        }
    }

    fn give(&mut self, arg: &Arg, value: &str) {
        if let Some(name) = name(arg) {
            self.given.entry(name).or_insert_with(|| value.to_string());
        }
    }
}

fn name(arg: &Arg) -> Option<String> {
    // A flag's name tells more than the name of its value.
    if let Some(long) =
        arg.get_long().filter(|_| arg.get_value_names().is_some_and(|names| names[0] == "DIR"))
    {
        return Some(long.to_string());
    }
    match arg.get_value_names() {
        Some([name, ..]) => Some(name.to_string()),
        _ => Some(arg.get_id().as_str().to_uppercase()),
    }
}

fn takes_value(arg: &Arg) -> bool {
    arg.get_action().takes_values()
}

fn long<'c>(command: &'c Command, name: &str) -> Option<&'c Arg> {
    command.get_arguments().find(|arg| arg.get_long() == Some(name))
}

/// The place after `filled` ones; the last goes on where it takes several.
fn place(command: &Command, filled: usize) -> Option<&Arg> {
    let places: Vec<&Arg> = command.get_positionals().filter(|arg| !arg.is_last_set()).collect();
    let goes_on = |arg: &&Arg| arg.get_num_args().is_some_and(|count| count.max_values() > 1);
    places.get(filled).or(places.last().filter(|last| goes_on(last))).copied()
}

fn flags(command: &Command) -> Vec<Candidate> {
    let shown = command.get_arguments().filter(|arg| !arg.is_positional() && !arg.is_hide_set());
    let word = |arg: &Arg| match (arg.get_long(), arg.get_short()) {
        (Some(long), _) => Some(format!("--{long}")),
        (None, short) => short.map(|short| format!("-{short}")),
    };
    let about = |arg: &Arg| arg.get_help().map(first_line).unwrap_or_default();
    shown.filter_map(|arg| Some(Candidate::new(word(arg)?, about(arg)))).collect()
}

fn verbs(command: &Command) -> Vec<Candidate> {
    let shown = command.get_subcommands().filter(|verb| !verb.is_hide_set());
    let about = |verb: &Command| verb.get_about().map(first_line).unwrap_or_default();
    shown.map(|verb| Candidate::new(verb.get_name(), about(verb))).collect()
}

fn first_line(help: &clap::builder::StyledStr) -> String {
    help.to_string().lines().next().unwrap_or_default().replace('\t', " ")
}
