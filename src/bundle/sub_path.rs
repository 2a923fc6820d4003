//! `subPath` and `subPathExpr`: which part of a volume a container mounts (reference D.7).

use std::cell::RefCell;
use std::collections::BTreeSet;

use super::{Variables, expansion};
use crate::spec::{SubPath, VolumeMount};
use crate::status::{Failure, Reason};

/// The part of its volume that `mount` shows, relative and without `..`; `None` for all of it.
///
/// Fails with `CreateContainerConfigError`, in the kubelet's words, where what variables bring leads out of the volume, and
/// where one of them has no value.
pub fn sub_path(mount: &VolumeMount, variables: &Variables) -> Result<Option<String>, Failure> {
    let path = match &mount.sub_path {
        SubPath::Whole => return Ok(None),
        SubPath::Path(path) => path.clone(),
        SubPath::Expression(expression) => expand(expression, variables).map_err(config)?,
    };
    if path.starts_with('/') {
        return Err(config(format!("error SubPath `{path}` must not be an absolute path")));
    }
    if path.split('/').any(|part| part == "..") {
        return Err(config(format!("unable to provision SubPath `{path}`: must not contain '..'")));
    }
    Ok((!path.is_empty()).then_some(path))
}

fn config(message: String) -> Failure {
    Failure::new(Reason::CreateContainerConfigError, message)
}

/// Unlike in commands, what has no value is an error: the part would be another one.
fn expand(expression: &str, variables: &Variables) -> Result<String, String> {
    let missing = RefCell::new(BTreeSet::new());
    let expanded = expansion::expand(expression, |name| {
        let value = variables.get(name).filter(|value| !value.is_empty());
        if value.is_none() {
            missing.borrow_mut().insert(name.to_owned());
        }
        value
    });
    let missing: Vec<String> = missing.into_inner().into_iter().collect();
    if missing.is_empty() { Ok(expanded) } else { Err(format!("missing value for {}", missing.join(", "))) }
}
