//! configMap, secret, downwardAPI and projected volumes: what files are in them, or what is wrong with that.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1 as core;

use super::defaults::MODE;
use super::problems::Problems;
use super::sources::{complain, document_name};
use super::{downward, names};
use crate::spec::{DownwardFile, Item, Kind, Projection};
use crate::yaml::tree::Path;

/// What `volume`, which is at `path`, is made of; `None` where it is of another kind.
pub fn volume(
    pod: &core::Pod,
    volume: &core::Volume,
    path: &Path,
    problems: &mut Problems<'_>,
) -> Option<Vec<Projection>> {
    let mut reader = Reader { pod, mode: MODE, seen: BTreeSet::new(), problems };
    if let Some(map) = &volume.config_map {
        let path = reader.enter(path, "configMap", map.default_mode);
        return Some(vec![reader.document(
            Kind::ConfigMap,
            &map.name,
            &map.items,
            map.optional,
            "name",
            &path,
        )]);
    }
    if let Some(secret) = &volume.secret {
        let path = reader.enter(path, "secret", secret.default_mode);
        let name = secret.secret_name.as_deref().unwrap_or_default();
        return Some(vec![reader.document(
            Kind::Secret,
            name,
            &secret.items,
            secret.optional,
            "secretName",
            &path,
        )]);
    }
    if let Some(downward) = &volume.downward_api {
        let path = reader.enter(path, "downwardAPI", downward.default_mode);
        return Some(vec![reader.downward(&downward.items, &path)]);
    }
    let projected = volume.projected.as_ref()?;
    let path = reader.enter(path, "projected", projected.default_mode).key("sources");
    let sources = projected.sources.iter().flatten().enumerate();
    Some(sources.filter_map(|(index, source)| reader.projection(source, &path.index(index))).collect())
}

struct Reader<'a, 'p> {
    pod: &'a core::Pod,
    /// The volume's `defaultMode`.
    mode: i32,
    /// Files that there are.
    seen: BTreeSet<String>,
    problems: &'a mut Problems<'p>,
}

impl Reader<'_, '_> {
    /// Takes the volume's mode; where its source is.
    fn enter(&mut self, path: &Path, source: &str, mode: Option<i32>) -> Path {
        let path = path.key(source);
        self.mode = self.checked_mode(mode, MODE, &path.key("defaultMode"));
        path
    }

    fn projection(&mut self, source: &core::VolumeProjection, path: &Path) -> Option<Projection> {
        match (&source.config_map, &source.secret, &source.downward_api) {
            (Some(map), None, None) => {
                let path = path.key("configMap");
                Some(self.document(Kind::ConfigMap, &map.name, &map.items, map.optional, "name", &path))
            }
            (None, Some(secret), None) => {
                let path = path.key("secret");
                Some(self.document(Kind::Secret, &secret.name, &secret.items, secret.optional, "name", &path))
            }
            (None, None, Some(downward)) => Some(self.downward(&downward.items, &path.key("downwardAPI"))),
            // It has been refused by its name.
            (None, None, None) if *source != core::VolumeProjection::default() => None,
            _ => {
                self.problems.error(path, "must have one of configMap, secret and downwardAPI", "");
                None
            }
        }
    }

    #[allow(clippy::too_many_arguments, reason = "the fields of a source, which core/v1 has in four types")]
    fn document(
        &mut self,
        kind: Kind,
        name: &str,
        items: &Option<Vec<core::KeyToPath>>,
        optional: Option<bool>,
        field: &str,
        path: &Path,
    ) -> Projection {
        document_name(kind, name, &path.key(field), self.problems);
        let mut read = Vec::new();
        for (index, item) in items.iter().flatten().enumerate() {
            let path = path.key("items").index(index);
            complain(&path.key("key"), names::document_key(&item.key), self.problems);
            self.file(&item.path, &path);
            let mode = self.checked_mode(item.mode, self.mode, &path.key("mode"));
            read.push(Item { key: item.key.clone(), path: item.path.clone(), mode: mode.unsigned_abs() });
        }
        Projection::Document {
            kind,
            name: name.to_owned(),
            optional: optional.unwrap_or_default(),
            items: read,
            mode: self.mode.unsigned_abs(),
        }
    }

    fn downward(&mut self, items: &Option<Vec<core::DownwardAPIVolumeFile>>, path: &Path) -> Projection {
        let mut files = Vec::new();
        for (index, item) in items.iter().flatten().enumerate() {
            let path = path.key("items").index(index);
            self.file(&item.path, &path);
            let mode = self.checked_mode(item.mode, self.mode, &path.key("mode"));
            let source = match (&item.field_ref, &item.resource_field_ref) {
                (Some(field), None) => downward::file(self.pod, field, &path.key("fieldRef"), self.problems),
                (None, Some(selector)) => {
                    downward::amount(self.pod, None, selector, &path.key("resourceFieldRef"), self.problems)
                }
                _ => {
                    self.problems.error(&path, "must have one of fieldRef and resourceFieldRef", "");
                    None
                }
            };
            let file = |source| DownwardFile { path: item.path.clone(), mode: mode.unsigned_abs(), source };
            files.extend(source.map(file));
        }
        Projection::Downward(files)
    }

    /// Checks where a file is to be; two in one place would be one.
    fn file(&mut self, file: &str, path: &Path) {
        complain(&path.key("path"), names::file_path(file), self.problems);
        if !self.seen.insert(file.to_owned()) {
            let message = format!("another file of the volume is {file:?} already");
            self.problems.error(&path.key("path"), message, "");
        }
    }

    fn checked_mode(&mut self, mode: Option<i32>, default: i32, path: &Path) -> i32 {
        let mode = mode.unwrap_or(default);
        if !(0..=0o777).contains(&mode) {
            let fix = "write it in octal with a leading 0, such as 0644, or in JSON in decimal, such as 420";
            self.problems.error(path, "must be between 0 and 0777 (511)", fix);
            return default;
        }
        mode
    }
}
