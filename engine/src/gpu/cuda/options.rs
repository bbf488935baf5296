//! What a user can set about the GPU.

use std::path::PathBuf;

use super::error::SYNCHRONIZE;

/// How the driver is used.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CudaOptions {
    /// Waits after every launch and records none, so that an error names the one kernel that made
    /// it; slow.
    pub synchronize: bool,
    /// Folder for what the driver compiled; without one, it compiles in every process.
    pub cache: Option<PathBuf>,
}

impl CudaOptions {
    /// As the environment says: `LTM_CUDA_SYNC=1` waits after every launch; the cache is `ltm` in
    /// `XDG_CACHE_HOME`, or else in `.cache` of `HOME`.
    pub fn from_environment() -> Self {
        Self::from_variables(|name| std::env::var_os(name).map(PathBuf::from))
    }

    /// The same from any source of variables.
    pub(super) fn from_variables(variable: impl Fn(&str) -> Option<PathBuf>) -> Self {
        let set = |name: &str| variable(name).filter(|value| !value.as_os_str().is_empty());
        let synchronize = set(SYNCHRONIZE).is_some_and(|value| value.as_os_str() != "0");
        // A path that is not absolute is to be ignored, says the standard of these variables.
        let folder = |name: &str| set(name).filter(|path| path.is_absolute());
        let caches = folder("XDG_CACHE_HOME").or_else(|| Some(folder("HOME")?.join(".cache")));
        Self { synchronize, cache: caches.map(|caches| caches.join("ltm")) }
    }
}
