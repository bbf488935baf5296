//! Measured products, on disk beside the kernels that the driver compiled: one file for each GPU,
//! driver, library and version of our kernels. A file that is damaged counts as absent.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// Seconds of a product.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Measured {
    /// By our kernels.
    pub own: f64,
    /// By the library.
    pub cublas: f64,
}

/// The file, and what is in it.
#[derive(Debug, Default)]
pub struct Remembered {
    path: Option<PathBuf>,
    products: BTreeMap<String, Measured>,
}

impl Remembered {
    /// What was measured before under the same `key`: everything that a time depends on beside the
    /// shape. Without a folder nothing is kept.
    pub fn read(folder: Option<PathBuf>, key: &[&str]) -> Self {
        let mut hash = Sha256::new();
        for part in key {
            hash.update(part);
            // In none of them; keeps them apart.
            hash.update([0]);
        }
        let name: String = hash.finalize()[..8].iter().map(|byte| format!("{byte:02x}")).collect();
        let path = folder.map(|folder| folder.join("products").join(format!("{name}.json")));
        let text = path.as_ref().and_then(|path| fs::read(path).ok());
        let products = text.and_then(|text| serde_json::from_slice(&text).ok());
        Self { path, products: products.unwrap_or_default() }
    }

    /// What is known of a shape.
    pub fn get(&self, shape: &str) -> Option<Measured> {
        self.products.get(shape).copied()
    }

    /// Keeps a measurement.
    ///
    /// # Errors
    /// Whatever the file system refuses. Nobody needs the file: it can be measured again.
    pub fn insert(&mut self, shape: String, measured: Measured) -> io::Result<()> {
        self.products.insert(shape, measured);
        let Some(path) = &self.path else { return Ok(()) };
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        let beside = path.with_extension(format!("{}.tmp", std::process::id()));
        let text = serde_json::to_vec_pretty(&self.products)?;
        let written = fs::write(&beside, text).and_then(|()| fs::rename(&beside, path));
        if written.is_err() {
            // The first error is the one that tells.
            let _ = fs::remove_file(&beside);
        }
        written
    }
}
