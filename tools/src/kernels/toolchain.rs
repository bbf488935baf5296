//! Where the pinned compiler lies, and how it gets there.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::Error;

/// An installed compiler: NVRTC and ptxas of one version.
pub struct Toolchain {
    directory: PathBuf,
}

impl Toolchain {
    /// The compiler in `directory`; installed there from `requirements` if it is missing.
    ///
    /// # Errors
    /// [`Error::Install`].
    pub fn open(directory: &Path, requirements: &Path) -> Result<Self, Error> {
        let toolchain = Self { directory: directory.to_owned() };
        if !(toolchain.nvrtc().join("libnvrtc.so.12").exists() && toolchain.ptxas().exists()) {
            toolchain.install(requirements)?;
        }
        Ok(toolchain)
    }

    /// Directory of the NVRTC libraries.
    pub fn nvrtc(&self) -> PathBuf {
        self.directory.join("nvidia/cuda_nvrtc/lib")
    }

    /// The assembler.
    pub fn ptxas(&self) -> PathBuf {
        self.directory.join("nvidia/cuda_nvcc/bin/ptxas")
    }

    fn install(&self, requirements: &Path) -> Result<(), Error> {
        let failed = |detail: String| Error::Install { requirements: requirements.into(), detail };
        let output = Command::new("python3")
            .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"])
            .args(["--no-deps", "--require-hashes", "--upgrade", "--target"])
            .arg(&self.directory)
            .arg("--requirement")
            .arg(requirements)
            .output()
            .map_err(|e| failed(format!("python3: {e}")))?;
        if !output.status.success() {
            let told = String::from_utf8_lossy(&output.stderr).trim().to_owned();
            return Err(failed(told));
        }
        make_executable(&self.ptxas())
    }
}

/// A wheel does not say which of its data files are programs.
fn make_executable(path: &Path) -> Result<(), Error> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let permissions = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(path, permissions).map_err(Error::file(path))?;
    }
    Ok(())
}
