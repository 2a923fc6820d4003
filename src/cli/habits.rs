//! What hands type that know kubectl, and the grammar does not have: taken where it means the same here, answered with what
//! does its work where there is nothing of it.
//!
//! Invariant: what the grammar understands by itself is left as it is.

use std::ffi::OsString;

use clap::builder::StyledStr;
use clap::error::{ContextKind, ContextValue};
use clap::{ArgAction, Command, Error};

const MANIFESTS: &str = "what runs is what the files of the manifests directory say: write, change or remove one there; \
    `holdfast get manifests` lists them, `holdfast check FILE` judges one";
const END: &str = "a pod ends when its manifest is removed: `holdfast describe pod NAME` names the file; \
    `holdfast restart NAME` begins it anew, `holdfast down` ends all pods and the agent";
const SCHEDULE: &str =
    "nothing is scheduled here: remove manifests, or `holdfast down` ends all pods and the agent";
const CLUSTER: &str =
    "there is no cluster: `holdfast status` shows the node, `holdfast config` what its agent goes by";
const ARCHIVE: &str = "`holdfast image pull IMAGE` gets an image from a registry, `holdfast image import FILE` from an \
    archive; `skopeo copy docker://IMAGE docker-archive:FILE:IMAGE` makes one";
const REACH: &str = "`holdfast port-forward POD PORT` reaches a port in a pod";

/// Verbs of kubectl and of container tools, and what does their work.
const VERBS: &[(&[&str], &str)] = &[
    (&["delete", "rm", "remove", "stop", "kill"], END),
    (
        &["apply", "create", "replace", "run", "edit", "patch", "set", "label", "annotate", "scale", "diff"],
        MANIFESTS,
    ),
    (&["rollout"], "`holdfast restart POD` ends a pod's containers and starts them anew"),
    (&["drain", "cordon", "uncordon", "taint"], SCHEDULE),
    (&["cluster-info", "auth"], CLUSTER),
    (&["expose", "proxy"], REACH),
    (
        &["debug"],
        "`holdfast describe pod NAME` tells why one does not run, `holdfast exec POD -- COMMAND` looks inside",
    ),
    (&["wait"], "`holdfast get pod NAME -w` tells each change"),
    (
        &["explain", "api-resources", "api-versions"],
        "there are pods, manifests, events, images and nodes; `holdfast check FILE` tells each field that is not known or \
         not built",
    ),
    (&["ps", "pod", "pods", "po"], "`holdfast get pods -A` lists all pods"),
    (&["images"], "`holdfast get images` lists them"),
    (&["pull", "load", "import"], ARCHIVE),
    (&["inspect"], "`holdfast describe pod NAME`, or `holdfast image inspect NAME`"),
    (&["stats"], "`holdfast top pods` shows what pods use"),
    (&["health", "healthz"], "`holdfast status` tells by its exit code whether all is well"),
    (&["start", "up", "server", "kubelet"], "`holdfast agent` runs the pods of the manifests directory"),
];

/// Flags of kubectl, and what there is instead.
const FLAGS: &[(&[&str], &str)] = &[
    (
        &["--context", "--kubeconfig", "--cluster", "--user", "--server", "-s", "--token", "--as"],
        "there is no cluster to choose; --runtime-dir chooses among the agents of this node",
    ),
    (&["-f", "--filename"], MANIFESTS),
];

/// Flags that kubectl takes before its verb too.
const AFTER_THE_VERB: &[&str] =
    &["-n", "--namespace", "-A", "--all-namespaces", "-o", "--output", "-l", "--selector"];

/// What a cluster has and a node has not, by all the words for it, and what to do instead. The first is the plural.
const ABSENT: &[(&[&str], &str)] = &[
    (&["deployments", "deployment", "deploy"], PODS),
    (&["replicasets", "replicaset", "rs"], PODS),
    (&["statefulsets", "statefulset", "sts"], PODS),
    (&["daemonsets", "daemonset", "ds"], PODS),
    (&["jobs", "job"], PODS),
    (&["cronjobs", "cronjob", "cj"], PODS),
    (&["replicationcontrollers", "replicationcontroller", "rc"], PODS),
    (&["configmaps", "configmap", "cm"], FILES),
    (&["secrets", "secret"], FILES),
    (&["namespaces", "namespace", "ns"], "a namespace is but a part of a pod's name: holdfast get pods -A"),
    (&["services", "service", "svc"], PORTS),
    (&["endpoints", "endpoint", "ep", "endpointslices", "endpointslice"], PORTS),
    (&["ingresses", "ingress", "ing"], PORTS),
    (&["persistentvolumes", "persistentvolume", "pv"], VOLUMES),
    (&["persistentvolumeclaims", "persistentvolumeclaim", "pvc"], VOLUMES),
    (&["storageclasses", "storageclass", "sc"], VOLUMES),
];
const PODS: &str = "pods come from manifests: holdfast get pods";
const FILES: &str = "files of the manifests directory hold them: holdfast get manifests";
const PORTS: &str =
    "a port in a pod is reached by holdfast port-forward, or at the node's address with hostNetwork: true";
const VOLUMES: &str = "a pod's volumes are its own: holdfast describe pod NAME";

/// Why there is nothing of the kind that kubectl calls `word`, where a cluster has it.
pub fn absent(word: &str) -> Option<String> {
    let lower = word.to_lowercase();
    // `deployments.apps` too.
    let name = lower.split('.').next()?;
    let (words, instead) = ABSENT.iter().find(|(words, _)| words.contains(&name))?;
    Some(format!("there are no {} on this node; {instead}", words[0]))
}

/// The command line, the program's name first, as the grammar has it: `help get` is `get --help`, `version` is
/// `--version`, and `--watch=true` is `--watch`.
pub fn understood(words: Vec<OsString>, grammar: &Command) -> Vec<OsString> {
    let mut words = words;
    let asks = |word: &OsString| word == "help" || word == "version";
    let first = words.iter().position(|word| asks(word) || grammar.find_subcommand(word).is_some());
    if let Some(at) = first.filter(|at| asks(&words[*at])) {
        match words[at] == "help" {
            true => {
                words.remove(at);
                words.push("--help".into());
            }
            false => words[at] = "--version".into(),
        }
    }
    let mut command = grammar;
    let mut ours = true;
    words.retain_mut(|word| {
        let Some(text) = word.to_str() else { return true };
        ours &= text != "--";
        if let Some(verb) = command.find_subcommand(text) {
            command = verb;
        }
        // Behind a hidden verb is what is being typed, for completion.
        if !ours || command.is_hide_set() {
            return true;
        }
        match switch(text, command) {
            Some((flag, true)) => *word = flag.into(),
            Some((_, false)) => return false,
            None => {}
        }
        true
    });
    words
}

/// The flag without a value, and the truth, of `--flag=true`, in Go's spellings.
fn switch(text: &str, command: &Command) -> Option<(String, bool)> {
    let (flag, value) = text.split_once('=')?;
    let long = flag.strip_prefix("--")?;
    let arg = command.get_arguments().find(|arg| arg.get_long() == Some(long))?;
    let truth = match value {
        "true" | "True" | "TRUE" | "t" | "T" | "1" => true,
        "false" | "False" | "FALSE" | "f" | "F" | "0" => false,
        _ => return None,
    };
    matches!(arg.get_action(), ArgAction::SetTrue).then(|| (flag.to_string(), truth))
}

/// What clap has to say of `words`, with what does the work here.
pub fn answered(error: Error, words: &[OsString], grammar: &Command) -> Error {
    let mut error = error;
    // clap guesses that any flag may be a value, which none is here.
    if let Some(ContextValue::StyledStrs(tips)) = error.remove(ContextKind::Suggested) {
        let fit = tips.into_iter().filter(|tip| !tip.to_string().starts_with("to pass "));
        let fit: Vec<StyledStr> = fit.collect();
        if !fit.is_empty() {
            error.insert(ContextKind::Suggested, ContextValue::StyledStrs(fit));
        }
    }
    if let Some(tip) = tip(&error, words, grammar) {
        error.remove(ContextKind::SuggestedSubcommand);
        error.remove(ContextKind::SuggestedArg);
        error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![StyledStr::from(tip)]));
    } else if let Some(ContextValue::Strings(similar)) = error.remove(ContextKind::SuggestedSubcommand) {
        let hidden = |name: &String| grammar.find_subcommand(name).is_some_and(Command::is_hide_set);
        let shown: Vec<String> = similar.into_iter().filter(|name| !hidden(name)).collect();
        if !shown.is_empty() {
            error.insert(ContextKind::SuggestedSubcommand, ContextValue::Strings(shown));
        }
    }
    error
}

fn tip(error: &Error, words: &[OsString], grammar: &Command) -> Option<String> {
    let word = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text.as_str()),
        _ => None,
    };
    if let Some(verb) = word(ContextKind::InvalidSubcommand) {
        let tip = match before(words, verb) {
            Some("top") => None,
            // Of images there is less to say.
            Some("image") if found(VERBS, verb) != Some(ARCHIVE) => None,
            _ => found(VERBS, verb),
        };
        return tip.map(str::to_string);
    }
    let missing = match error.get(ContextKind::InvalidArg) {
        Some(ContextValue::Strings(missing)) => missing.iter().any(|missing| missing == "<KIND>"),
        _ => false,
    };
    if missing {
        let verb = words.iter().find_map(|word| grammar.find_subcommand(word))?;
        let kind = verb.get_positionals().next()?;
        let kinds: Vec<String> =
            kind.get_possible_values().iter().map(|kind| kind.get_name().to_string()).collect();
        return Some(format!("there are: {}", kinds.join(", ")));
    }
    let flag = word(ContextKind::InvalidArg)?;
    let verb = words.iter().position(|word| grammar.find_subcommand(word).is_some());
    let at = words.iter().position(|word| word.to_str().is_some_and(|word| word.starts_with(flag)));
    if AFTER_THE_VERB.contains(&flag) && verb.is_none_or(|verb| at.is_some_and(|at| at < verb)) {
        return Some(format!("{flag} comes after the verb, as in `holdfast get pods {flag} …`"));
    }
    found(FLAGS, flag).map(str::to_string)
}

/// What a table says of `word`.
fn found(table: &[(&[&str], &'static str)], word: &str) -> Option<&'static str> {
    table.iter().find(|(words, _)| words.contains(&word)).map(|(_, tip)| *tip)
}

/// The word before the first that is `word`.
fn before<'w>(words: &'w [OsString], word: &str) -> Option<&'w str> {
    let at = words.iter().position(|one| one == word)?;
    words.get(at.checked_sub(1)?)?.to_str()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::args::grammar;
    use super::*;

    fn words(line: &str) -> Vec<OsString> {
        line.split(' ').map(OsString::from).collect()
    }

    #[track_caller]
    fn check_understood(line: &str, expected: &str) {
        assert_eq!(understood(words(line), &grammar()), words(expected), "{line}");
    }

    #[test]
    fn what_means_the_same_is_taken() {
        check_understood("holdfast help", "holdfast --help");
        check_understood("holdfast help get", "holdfast get --help");
        check_understood("holdfast version --client", "holdfast --version --client");
        check_understood("holdfast --color never help get", "holdfast --color never get --help");
        check_understood("holdfast get po --watch=true --show-kind=false", "holdfast get po --watch");
        check_understood("holdfast logs a --all-containers=True", "holdfast logs a --all-containers");
        check_understood("holdfast top pods --containers=1", "holdfast top pods --containers");
    }

    #[test]
    fn what_is_understood_already_is_left_alone() {
        for line in [
            "holdfast get po --watch=maybe",
            "holdfast describe po --show-events=false",
            "holdfast get po -l help=true --output=true",
            "holdfast exec a -- x --tty=true",
            "holdfast __complete bash holdfast get --watch=true",
            "holdfast exec a -- help",
            "holdfast logs help",
        ] {
            check_understood(line, line);
        }
    }

    /// Hidden verbs are nobody's business, and no verb that is there is said to be missing.
    #[test]
    fn each_answer_is_about_something_that_is_not_there() {
        let grammar = grammar();
        for verb in VERBS.iter().flat_map(|(verbs, _)| *verbs) {
            assert!(grammar.find_subcommand(verb).is_none(), "{verb}");
        }
        for (_, tip) in VERBS {
            for named in tip.split("`holdfast ").skip(1) {
                let verb = named.split([' ', '`']).next().unwrap();
                assert!(grammar.find_subcommand(verb).is_some(), "{tip}");
            }
        }
    }
}
