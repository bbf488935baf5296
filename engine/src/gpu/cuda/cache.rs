//! What the driver compiled, on disk: one file per module, GPU architecture and driver.
//!
//! A file is a line that names the format, the SHA-256 of the rest, and the machine code. It is
//! written beside its place and renamed. One that is damaged counts as absent, so files may be
//! deleted at any time.

use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};

use ltm_ptx::Module;
use sha2::{Digest, Sha256};

/// The first line of a file.
const FORMAT: &[u8] = b"ltm cubin 1\n";
/// Bytes of a SHA-256.
const HASH: usize = 32;

/// The files for one GPU and driver.
#[derive(Debug)]
pub struct Cache {
    folder: Option<PathBuf>,
    architecture: String,
    driver: String,
}

impl Cache {
    /// Files in `folder`; without one, nothing is kept.
    pub fn new(folder: Option<PathBuf>, architecture: String, driver: String) -> Self {
        Self { folder, architecture, driver }
    }

    /// The machine code of a module, if it is there and whole.
    pub fn read(&self, module: &Module) -> Option<Vec<u8>> {
        let mut bytes = fs::read(self.path(module)?).ok()?;
        let rest = bytes.strip_prefix(FORMAT)?;
        let (hash, code) = rest.split_at_checked(HASH)?;
        if Sha256::digest(code)[..] != *hash {
            return None;
        }
        bytes.drain(..FORMAT.len() + HASH);
        Some(bytes)
    }

    /// Keeps the machine code of a module.
    ///
    /// # Errors
    /// Whatever the file system refuses. Nobody needs the file: the driver compiles again.
    pub fn write(&self, module: &Module, code: &[u8]) -> io::Result<()> {
        static COUNTER: AtomicU64 = AtomicU64::new(0);
        let Some(path) = self.path(module) else { return Ok(()) };
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        let number = COUNTER.fetch_add(1, Ordering::Relaxed);
        let beside = path.with_extension(format!("{}-{number}.tmp", std::process::id()));
        let bytes = [FORMAT, &Sha256::digest(code), code].concat();
        let written = fs::write(&beside, bytes).and_then(|()| fs::rename(&beside, &path));
        if written.is_err() {
            // The first error is the one that tells.
            let _ = fs::remove_file(&beside);
        }
        written
    }

    /// Where the machine code of a module is, or would be.
    pub fn path(&self, module: &Module) -> Option<PathBuf> {
        let mut hash = Sha256::new();
        // A zero byte, which is in none of them, keeps them apart.
        for part in [module.ptx, &self.architecture, &self.driver] {
            hash.update(part);
            hash.update([0]);
        }
        let key: String = hash.finalize()[..8].iter().map(|byte| format!("{byte:02x}")).collect();
        let name = format!("{}-{}-{key}.cubin", module.name, self.architecture);
        Some(self.folder.as_ref()?.join("kernels").join(name))
    }
}
