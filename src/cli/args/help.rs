//! What `--help` shows beyond the grammar: verbs in groups, and examples, as kubectl has them.

use clap::Command;
use clap::builder::StyledStr;

/// Headings, and the verbs below each; what is in none comes last.
const GROUPS: &[(&str, &[&str])] = &[
    ("See what there is", &["get", "describe", "logs", "events", "top", "status"]),
    ("Work in containers", &["exec", "attach", "cp", "port-forward"]),
    ("Change what runs, besides the manifests", &["restart", "down"]),
    ("Prepare and check", &["check", "image", "config", "doctor"]),
    ("Run the node", &["agent", "demo"]),
];

/// The heading of verbs that are in no group.
const OTHERS: &str = "Others";

/// The last line, as kubectl has one.
const MORE: &str = "`holdfast COMMAND --help` tells more of a command, with examples.";

/// Examples by verb: what each does, and the command line.
const EXAMPLES: &[(&str, &[(&str, &str)])] = &[
    (
        "agent",
        &[
            ("Run the pods of the usual directory, until Ctrl-C; the pods go on", "holdfast agent"),
            (
                "Run those of another directory",
                "holdfast agent --pod-manifest-path /etc/kubernetes/manifests",
            ),
            ("Go by a kubelet's configuration", "holdfast agent --config /var/lib/kubelet/config.yaml"),
        ],
    ),
    (
        "config",
        &[
            ("See what is configurable, and the defaults", "holdfast config"),
            (
                "Is this file right, and what of it does something here?",
                "holdfast config --config config.yaml",
            ),
        ],
    ),
    (
        "get",
        &[
            ("List the pods of all namespaces", "holdfast get pods -A"),
            ("See what became of each manifest", "holdfast get manifests"),
            ("Print a pod as Kubernetes has it", "holdfast get pod web -o yaml"),
        ],
    ),
    (
        "describe",
        &[
            ("Why does a pod not run?", "holdfast describe pod web"),
            ("What is wrong with a manifest, and in which line?", "holdfast describe manifest web.yaml"),
            ("All pods with a label", "holdfast describe pods -l app=web"),
        ],
    ),
    (
        "logs",
        &[
            ("Print what the first container of a pod wrote", "holdfast logs web"),
            ("Go on as it writes, beginning with the last lines", "holdfast logs -f --tail 20 web"),
            ("Print the run before, of another container", "holdfast logs --previous -c side web"),
        ],
    ),
    (
        "exec",
        &[
            ("Run a command in the first container of a pod", "holdfast exec web -- ls /"),
            ("Pass a file to a command in another container", "holdfast exec -i -c side web -- wc -l < file"),
        ],
    ),
    (
        "attach",
        &[
            ("See what a pod's first container writes from now on", "holdfast attach web"),
            ("Sit down at a container that has a terminal", "holdfast attach -it shell"),
        ],
    ),
    (
        "port-forward",
        &[
            ("Reach port 80 in a pod as localhost:8080", "holdfast port-forward web 8080:80"),
            ("Reach the port that its manifest calls http, by any port", "holdfast port-forward web :http"),
        ],
    ),
    (
        "check",
        &[
            ("Judge a file and all that is in a directory", "holdfast check web.yaml manifests/"),
            ("Judge what another program writes, for another node", "holdfast check --node-name edge-7 -"),
        ],
    ),
    (
        "cp",
        &[
            ("Copy a directory out of a pod's first container", "holdfast cp web:/etc/nginx ./nginx"),
            ("Copy a file into another container", "holdfast cp -c side page.html web:/srv"),
        ],
    ),
    (
        "top",
        &[
            ("Who uses most memory?", "holdfast top pods -A --sort-by memory"),
            ("What does the node use, of what it has?", "holdfast top node"),
        ],
    ),
    (
        "image",
        &[
            ("Take an archive in", "holdfast image import redis.tar.gz"),
            ("Get one from its registry", "holdfast image pull redis:7"),
            ("See what there is", "holdfast image ls"),
            ("Write one down for a box without a registry", "holdfast image save redis:7 -o redis.tar"),
        ],
    ),
    (
        "events",
        &[
            ("What happened to a pod, also to one that is gone?", "holdfast events --for pod/web"),
            ("See only warnings, as they come", "holdfast events -A -w --types Warning"),
        ],
    ),
    (
        "doctor",
        &[
            ("What is wrong with this box?", "holdfast doctor"),
            ("Would an agent with this configuration do well here?", "holdfast doctor --config config.yaml"),
        ],
    ),
    ("restart", &[("End a pod's containers and start them anew", "holdfast restart web")]),
    (
        "completion",
        &[
            ("In this bash", "source <(holdfast completion bash)"),
            ("In every zsh", "holdfast completion zsh > /usr/share/zsh/site-functions/_holdfast"),
            ("In this fish", "holdfast completion fish | source"),
        ],
    ),
];

/// `command` with the groups and the examples.
pub fn with_help(command: Command) -> Command {
    let command =
        command.mut_subcommands(|verb| match EXAMPLES.iter().find(|(name, _)| *name == verb.get_name()) {
            Some((_, examples)) => {
                let lines = examples.iter().map(|(what, line)| format!("  # {what}\n  {line}\n"));
                verb.after_help(format!("Examples:\n{}", lines.collect::<Vec<_>>().join("\n")))
            }
            None => verb,
        });
    let template = format!(
        "{{about-with-newline}}\n{{usage-heading}} {{usage}}\n\n{}{}:\n{{options}}\n\n{MORE}",
        verbs(&command),
        super::FOR_ALL,
    );
    command.help_template(template)
}

/// The verbs that are shown, with what each does, below their headings.
fn verbs(command: &Command) -> String {
    let shown: Vec<&Command> = command.get_subcommands().filter(|verb| !verb.is_hide_set()).collect();
    let width = shown.iter().map(|verb| verb.get_name().len()).max().unwrap_or_default();
    let grouped = |verb: &Command| GROUPS.iter().any(|(_, verbs)| verbs.contains(&verb.get_name()));
    let line = |verb: &Command| {
        let about = verb.get_about().map(StyledStr::to_string).unwrap_or_default();
        format!("  {:width$}  {about}\n", verb.get_name())
    };
    let group = |heading: &str, verbs: Vec<&Command>| match verbs.is_empty() {
        true => String::new(),
        false => format!("{heading}:\n{}\n", verbs.into_iter().map(line).collect::<String>()),
    };
    let known = GROUPS.iter().map(|(heading, names)| {
        let verbs =
            names.iter().filter_map(|name| shown.iter().find(|verb| verb.get_name() == *name).copied());
        group(heading, verbs.collect())
    });
    let others = group(OTHERS, shown.iter().copied().filter(|verb| !grouped(verb)).collect());
    known.chain([others]).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::cli::args::grammar;

    /// The words of an example that a shell would pass on.
    fn words(line: &str) -> Vec<&str> {
        let line = line.strip_prefix("source <(").map_or(line, |inside| inside.trim_end_matches(')'));
        line.split([' ']).take_while(|word| !matches!(*word, "<" | ">" | "|")).collect()
    }

    #[test]
    fn every_example_is_understood() {
        for (verb, examples) in EXAMPLES {
            for (_, line) in *examples {
                let words = words(line);
                assert_eq!(words[1], *verb, "{line}");
                grammar().try_get_matches_from(words).unwrap_or_else(|error| panic!("{line}: {error}"));
            }
        }
    }

    #[test]
    fn help_has_every_verb_once_and_no_hidden_one() {
        let help = grammar().render_help().to_string();
        for verb in grammar().get_subcommands() {
            let lines =
                help.lines().filter(|line| line.starts_with(&format!("  {} ", verb.get_name()))).count();
            assert_eq!(lines, usize::from(!verb.is_hide_set()), "{}\n{help}", verb.get_name());
        }
    }

    #[test]
    fn each_place_and_flag_says_what_it_is() {
        let mut root = grammar();
        root.build();
        for verb in root.get_subcommands().filter(|verb| !verb.is_hide_set()) {
            assert!(verb.get_about().is_some(), "{}", verb.get_name());
            for arg in verb.get_arguments() {
                assert!(arg.get_help().is_some(), "{} {}", verb.get_name(), arg.get_id());
            }
        }
    }
}
