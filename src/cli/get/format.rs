//! `-o`: how objects are shown.

use std::fs;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use super::super::jsonpath::Template;
use super::super::table::Table;
use super::super::yaml::yaml;
use super::json;
use super::kind::Kind;

/// A format.
#[derive(Debug, Clone, PartialEq)]
pub enum Format {
    /// A table, with more columns where it is wide.
    Table {
        /// Whether it is.
        wide: bool,
    },
    /// JSON.
    Json,
    /// YAML.
    Yaml,
    /// `pod/NAME`, a line each.
    Name,
    /// What a template gives.
    Text(Template),
    /// What a template gives, as JSON.
    Values(Template),
    /// A table of what paths give: the head of each and the path.
    Columns(Vec<(String, Template)>),
}

const FORMATS: &str =
    "wide, json, yaml, name, jsonpath=…, jsonpath-as-json=…, jsonpath-file=FILE, custom-columns=HEAD:PATH,…";

impl Format {
    /// Reads what `-o` was given.
    pub fn parse(output: Option<&str>) -> Result<Format> {
        let Some(output) = output else { return Ok(Format::Table { wide: false }) };
        let (name, rest) = output.split_once('=').map_or((output, None), |(name, rest)| (name, Some(rest)));
        let template = || match rest {
            Some(text) if !text.is_empty() => Ok(text),
            _ => bail!("template format specified but no template given: write -o {name}=…"),
        };
        Ok(match (name, rest) {
            ("", None) => Format::Table { wide: false },
            ("wide", None) => Format::Table { wide: true },
            ("json", None) => Format::Json,
            ("yaml", None) => Format::Yaml,
            ("name", None) => Format::Name,
            ("jsonpath", _) => Format::Text(Template::parse(template()?)?),
            ("jsonpath-as-json", _) => Format::Values(Template::parse(template()?)?),
            ("jsonpath-file", _) => {
                let path = template()?;
                let text = fs::read_to_string(path).with_context(|| format!("read {path}"))?;
                Format::Text(Template::parse(&text)?)
            }
            ("custom-columns", _) => Format::Columns(columns(template()?)?),
            _ => {
                bail!(
                    "unable to match a printer suitable for the output format {output:?}, allowed formats are: {FORMATS}"
                )
            }
        })
    }

    /// `document` in a format that is no table.
    pub fn document(&self, document: &Value) -> Result<String> {
        match self {
            Format::Json => json(document),
            Format::Yaml => Ok(yaml(document)),
            Format::Text(template) => template.text(document),
            Format::Values(template) => template.json(document),
            Format::Table { .. } | Format::Name | Format::Columns(_) => Ok(String::new()),
        }
    }
}

/// `HEAD:PATH,HEAD:PATH`
fn columns(text: &str) -> Result<Vec<(String, Template)>> {
    // Commas inside of brackets belong to a path.
    let mut depth = 0_i32;
    let parts = text.split(|c: char| {
        depth += i32::from(c == '[') - i32::from(c == ']');
        c == ',' && depth == 0
    });
    parts
        .map(|part| {
            let (head, path) = part.split_once(':').unwrap_or((part, ""));
            ensure!(
                !path.is_empty(),
                "custom-columns: {part:?} is not HEAD:PATH, such as NAME:.metadata.name"
            );
            Ok((head.to_string(), Template::parse_path(path)?))
        })
        .collect()
}

/// One row of custom columns: what a path finds, `<none>` where that is nothing.
pub fn custom(columns: &[(String, Template)], object: &Value) -> Result<Vec<String>> {
    let cell = |path: &Template| -> Result<String> {
        let values = path.values(object)?;
        let shown = values.iter().map(|value| match &**value {
            Value::Null => "<none>".to_string(),
            Value::String(text) => text.clone(),
            other => other.to_string(),
        });
        let shown = shown.collect::<Vec<_>>().join(",");
        Ok(if values.is_empty() { "<none>".to_string() } else { shown })
    };
    columns.iter().map(|(_, path)| cell(path)).collect()
}

/// The table of custom columns.
pub fn custom_table(columns: &[(String, Template)], headless: bool) -> Table {
    match headless {
        true => Table::headless(),
        false => Table::new(columns.iter().map(|(head, _)| head.clone()).collect()),
    }
}

/// `pod/NAME`
pub fn name(kind: Kind, object: &Value) -> String {
    super::super::harmless::line(&format!("{}/{}", kind.singular(), kind.name(object))) + "\n"
}
