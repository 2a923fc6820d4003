//! `get`.

use std::ffi::OsStr;

use clap::builder::{PossibleValue, StringValueParser, TypedValueParser};
use clap::{Args, Command};

use super::Namespace;

/// What to list, and how.
#[derive(Debug, Args)]
pub struct Get {
    /// What to list: a kind, several with commas between, or KIND/NAME
    #[arg(value_name = "KIND", value_parser = KindParser)]
    pub what: String,
    /// These ones alone, by name, or as KIND/NAME
    #[arg(value_name = "NAME")]
    pub names: Vec<String>,
    #[command(flatten)]
    pub namespace: Namespace,
    /// Of all namespaces
    #[arg(short = 'A', long)]
    pub all_namespaces: bool,
    /// Another format than a table: wide, json, yaml, name, jsonpath=TEMPLATE, jsonpath-as-json=TEMPLATE,
    /// jsonpath-file=FILE, custom-columns=HEAD:PATH,…
    #[arg(short, long, value_name = "FORMAT")]
    pub output: Option<String>,
    /// Those with these labels alone: a=b, a!=b, 'a in (b,c)', 'a notin (b,c)', a, '!a', with commas between
    #[arg(short = 'l', long, value_name = "LABELS")]
    pub selector: Option<String>,
    /// Those with these fields alone: status.phase=Running, spec.nodeName!=a, with commas between
    #[arg(long, value_name = "FIELDS")]
    pub field_selector: Option<String>,
    /// In the order of a field, such as .metadata.creationTimestamp
    #[arg(long, value_name = "PATH")]
    pub sort_by: Option<String>,
    /// A column with all labels
    #[arg(long)]
    pub show_labels: bool,
    /// A column for each of these labels
    #[arg(short = 'L', long, value_name = "LABEL", value_delimiter = ',')]
    pub label_columns: Vec<String>,
    /// No line with the names of the columns
    #[arg(long)]
    pub no_headers: bool,
    /// Names with their kind: pod/NAME
    #[arg(long)]
    pub show_kind: bool,
    /// Exit code 0 where one that is named is not there
    #[arg(long)]
    pub ignore_not_found: bool,
    /// Go on, and tell each change
    #[arg(short, long)]
    pub watch: bool,
}

/// Takes any text, and knows the kinds for help and completion: what is no kind is explained better than by a list.
#[derive(Clone)]
struct KindParser;

impl TypedValueParser for KindParser {
    type Value = String;

    fn parse_ref(
        &self,
        command: &Command,
        arg: Option<&clap::Arg>,
        value: &OsStr,
    ) -> Result<String, clap::Error> {
        StringValueParser::new().parse_ref(command, arg, value)
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        let kinds = [
            PossibleValue::new("pods").help("Pods").aliases(["pod", "po"]),
            PossibleValue::new("manifests").help("Files of the manifests directory").alias("manifest"),
            PossibleValue::new("events").help("What happened").aliases(["event", "ev"]),
            PossibleValue::new("images").help("Images that are here").alias("image"),
            PossibleValue::new("nodes").help("This node").aliases(["node", "no"]),
        ];
        Some(Box::new(kinds.into_iter()))
    }
}
