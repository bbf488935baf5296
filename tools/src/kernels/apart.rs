//! One source compiled by a process of its own. NVRTC orders some of its work by addresses, so what
//! it gives depends on everything that a process has allocated before: a fresh process with a fixed
//! layout gives the same text again.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::compile::read_headers;
use super::nvrtc::Nvrtc;
use super::{Error, OPTIONS};

/// What one process compiles.
#[derive(Clone, Debug)]
pub struct Source {
    /// The folder of the sources and headers.
    pub kernels: PathBuf,
    /// The source below it.
    pub name: String,
    /// The folder of NVRTC.
    pub nvrtc: PathBuf,
    /// Small blocks that are allocated first: another number gives other addresses, for the few
    /// sources of which NVRTC has several texts.
    pub blocks: usize,
}

impl Source {
    /// The PTX, as NVRTC gives it in this process.
    ///
    /// # Errors
    /// [`Error`] of a file, the library, or the compiler.
    pub fn compile(&self) -> Result<String, Error> {
        let blocks: Vec<Box<[u8]>> = (0..self.blocks).map(|_| vec![0; 4000].into()).collect();
        let nvrtc = Nvrtc::load(&self.nvrtc)?;
        let headers = read_headers(&self.kernels)?;
        let path = self.kernels.join(&self.name);
        let text = std::fs::read_to_string(&path).map_err(Error::file(&path))?;
        let ptx = nvrtc.compile(&self.name, &text, &headers, &OPTIONS);
        drop(blocks);
        ptx
    }

    /// The same in a process of its own: `program` called with `--apart` and the fields.
    ///
    /// # Errors
    /// [`Error::Compile`] with what the process said.
    pub fn compile_apart(&self, program: &Path) -> Result<String, Error> {
        let failed = |log: String| Error::Compile { kernel: self.name.clone(), code: -1, log };
        let mut command = Command::new(program);
        command.arg("--apart").arg(&self.name).arg("--folder").arg(&self.kernels);
        command.arg("--toolchain").arg(&self.nvrtc).arg("--blocks").arg(self.blocks.to_string());
        let output = command.output().map_err(|e| failed(e.to_string()))?;
        match output.status.success() {
            true => String::from_utf8(output.stdout).map_err(|e| failed(e.to_string())),
            false => Err(failed(String::from_utf8_lossy(&output.stderr).trim().to_owned())),
        }
    }
}
