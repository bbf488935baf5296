//! The record beside the compiled kernels.

use std::collections::BTreeMap;

use serde::Serialize;

use super::Usage;

/// `ptx/compiled/manifest.json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Manifest {
    /// Compiler and its version.
    pub compiler: &'static str,
    /// Options it was given.
    pub options: Vec<&'static str>,
    /// Compiled files.
    pub modules: Vec<ModuleRecord>,
    /// Entry points of all modules.
    pub entries: Vec<EntryUsage>,
}

/// One compiled file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ModuleRecord {
    /// Operation: `kernels/{module}.cu`, `compiled/sm_80/{module}.ptx`.
    pub module: String,
    /// SHA-256 of the source followed by the headers that it includes, in order of inclusion.
    pub source_sha256: String,
    /// Those headers.
    pub headers: Vec<String>,
    /// SHA-256 of the PTX.
    pub ptx_sha256: String,
    /// `.version` of the PTX: the lowest that assembles.
    pub ptx_version: String,
}

/// What one entry point takes of the machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct EntryUsage {
    /// Name.
    pub entry: String,
    /// Operation.
    pub module: String,
    /// On sm_80.
    #[serde(flatten)]
    pub usage: Usage,
    /// Registers and spills on later architectures.
    pub others: BTreeMap<String, Usage>,
}
