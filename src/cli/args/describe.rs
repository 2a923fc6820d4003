//! `describe`.

use std::ffi::OsStr;

use anyhow::{Result, bail};
use clap::builder::{EnumValueParser, PossibleValue, TypedValueParser};
use clap::error::ErrorKind;
use clap::{ArgAction, Args, Command, ValueEnum};

use super::super::habits;
use super::Namespace;

/// What to describe.
#[derive(Debug, Args)]
pub struct Describe {
    /// What to describe; one of it as KIND/NAME
    #[arg(value_name = "KIND", value_parser = TargetParser)]
    pub target: Target,
    /// Names, or beginnings of names; all of the kind without
    #[arg(value_name = "NAME", conflicts_with = "selector")]
    pub names: Vec<String>,
    #[command(flatten)]
    pub namespace: Namespace,
    /// Pods of all namespaces
    #[arg(short = 'A', long)]
    pub all_namespaces: bool,
    /// Pods with these labels, such as app=web,tier!=back,zone in (a,b)
    #[arg(short = 'l', long, value_name = "SELECTOR")]
    pub selector: Option<String>,
    /// Whether events are shown
    #[arg(long, value_name = "TRUTH", default_value_t = true, action = ArgAction::Set,
        num_args = 0..=1, default_missing_value = "true", require_equals = true, hide_possible_values = true)]
    pub show_events: bool,
}

impl Describe {
    /// Every kind that is asked for, and the names of it; of all without a name.
    ///
    /// Fails where `KIND NAME` and `KIND/NAME` are mixed.
    pub fn targets(&self) -> Result<Vec<Target>> {
        let Target { kind, name } = &self.target;
        // The name of an image has slashes of its own.
        let slashed = |name: &&String| {
            name.contains('/') && (*kind != DescribeKind::Image || self.target.name.is_some())
        };
        match (name, self.names.iter().find(slashed), self.names.iter().find(|name| !slashed(name))) {
            (None, None, None) => Ok(vec![self.target.clone()]),
            (None, None, Some(_)) => {
                Ok(self.names.iter().map(|name| Target { kind: *kind, name: Some(name.clone()) }).collect())
            }
            (None, Some(name), _) => {
                bail!("{name:?} is no name: write {} NAME, or {name} alone", kind.word())
            }
            (Some(_), _, Some(name)) => bail!("{name:?} has no kind: write KIND/NAME for each, or KIND NAME"),
            (Some(_), _, None) => {
                let others = self.names.iter().map(|text| Target::parse(text));
                std::iter::once(Ok(self.target.clone())).chain(others).collect()
            }
        }
    }
}

/// What can be described.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum DescribeKind {
    /// Pods
    #[value(aliases = ["pods", "po"])]
    Pod,
    /// Files of the manifests directory
    #[value(aliases = ["manifests"])]
    Manifest,
    /// Images
    #[value(alias = "images")]
    Image,
    /// The node
    #[value(aliases = ["nodes", "no"])]
    Node,
}

impl DescribeKind {
    fn word(self) -> String {
        self.to_possible_value().map(|value| value.get_name().to_string()).unwrap_or_default()
    }
}

/// A kind, and one of it where it was written as KIND/NAME.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The kind.
    pub kind: DescribeKind,
    /// A name, or the beginning of one.
    pub name: Option<String>,
}

impl Target {
    fn parse(text: &str) -> Result<Target> {
        let (kind, name) = match text.split_once('/') {
            Some((kind, name)) if name.is_empty() || name.contains('/') && !is_image(kind) => {
                bail!("{text:?}: write KIND/NAME; the namespace is given by -n")
            }
            Some((kind, name)) => (kind, Some(name.to_string())),
            None => (text, None),
        };
        match DescribeKind::from_str(kind, false) {
            Ok(kind) => Ok(Target { kind, name }),
            Err(_) => bail!("nothing of the kind {kind:?} can be described"),
        }
    }
}

fn is_image(kind: &str) -> bool {
    DescribeKind::from_str(kind, false) == Ok(DescribeKind::Image)
}

/// Reads KIND and KIND/NAME, and knows the kinds, for help and completion.
#[derive(Clone)]
struct TargetParser;

impl TypedValueParser for TargetParser {
    type Value = Target;

    fn parse_ref(
        &self,
        command: &Command,
        arg: Option<&clap::Arg>,
        value: &OsStr,
    ) -> Result<Target, clap::Error> {
        let text =
            value.to_str().ok_or_else(|| clap::Error::new(ErrorKind::InvalidUtf8).with_cmd(command))?;
        let kind = text.split('/').next().unwrap_or_default();
        let wrong = |cause: String| {
            let refuse = move |_: &str| Err::<Target, String>(cause.clone());
            refuse.parse_ref(command, arg, value)
        };
        if let Some(why) = habits::absent(kind) {
            return wrong(why);
        }
        // clap's own words for an unknown kind: it lists them, and guesses.
        EnumValueParser::<DescribeKind>::new().parse_ref(command, arg, OsStr::new(kind))?;
        Target::parse(text).or_else(|cause| wrong(cause.to_string()))
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        let kinds = DescribeKind::value_variants().iter();
        Some(Box::new(kinds.filter_map(ValueEnum::to_possible_value)))
    }
}
