//! What libcontainer ends with in the container's process: the program that the bundle names.
//!
//! `start` says that all is well even when nothing was executed, so that [`Program`] is what tells.

use std::collections::HashMap;

use libcontainer::workload::{Executor, ExecutorError, ExecutorSetEnvsError, ExecutorValidationError};
use oci_spec::runtime::Spec;

use crate::pod::program::Program;

/// Executes the program that the spec names.
#[derive(Clone)]
pub struct OfSpec(pub Program);

impl Executor for OfSpec {
    fn exec(&self, spec: &Spec) -> Result<(), ExecutorError> {
        let process = spec.process().as_ref();
        let arguments = process.and_then(|process| process.args().as_deref()).unwrap_or_default();
        let environment = process.and_then(|process| process.env().as_deref()).unwrap_or_default();
        Err(ExecutorError::Other(self.0.execute(arguments, environment)))
    }

    fn validate(&self, _: &Spec) -> Result<(), ExecutorValidationError> {
        // `exec` finds out by doing it.
        Ok(())
    }

    fn setup_envs(&self, _: HashMap<String, String>) -> Result<(), ExecutorSetEnvsError> {
        // `exec` hands over the spec's own list, in its order.
        Ok(())
    }
}
