//! What can go wrong while kernels are compiled.

use std::path::PathBuf;

/// Errors of the kernel compiler.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file could not be read or written.
    #[error("{path}: {source}")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Python or pip, which fetch the pinned compiler, failed.
    #[error(
        "cannot install the compiler of {requirements}: {detail}; it needs python3 with pip and a package index"
    )]
    Install {
        /// The list of requirements.
        requirements: PathBuf,
        /// What pip said.
        detail: String,
    },
    /// The NVRTC library is missing, or is not one.
    #[error("{path}: {detail}; remove the directory and run again to install it anew")]
    Library {
        /// Where it was looked for.
        path: PathBuf,
        /// What the loader said.
        detail: String,
    },
    /// NVRTC refused a kernel.
    #[error("{kernel}: NVRTC failed with code {code}\n{log}")]
    Compile {
        /// Source file.
        kernel: String,
        /// `nvrtcResult`.
        code: i32,
        /// The compiler's log.
        log: String,
    },
    /// ptxas refused a kernel.
    #[error("{kernel}: ptxas failed for {architecture}\n{log}")]
    Assemble {
        /// Name of the module.
        kernel: String,
        /// `sm_80`, ...
        architecture: String,
        /// The assembler's log.
        log: String,
    },
    /// Committed files differ from what their sources compile to.
    #[error("{} out of date: {}; run `cargo run --release -p ltm-tools --bin compile_kernels` and commit the result",
        if files.len() == 1 { "a compiled file is" } else { "compiled files are" }, files.join(", "))]
    Stale {
        /// Which.
        files: Vec<String>,
    },
}

impl Error {
    pub(super) fn file(path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        |source| Self::File { path, source }
    }
}
