//! A fixture in memory.

use std::path::{Path, PathBuf};

use safetensors::{Dtype, SafeTensors};
use serde_json::Value;

use super::{ParityError, Result};

/// A fixture: tensors by key, and the JSON beside it.
pub struct Fixture {
    path: PathBuf,
    bytes: Vec<u8>,
    keys: Vec<String>,
    /// The JSON document.
    pub json: Value,
}

impl Fixture {
    /// Reads `NAME.safetensors` and `NAME.json`; either name is taken.
    pub fn open(path: &Path) -> Result<Self> {
        let path = path.with_extension("safetensors");
        let read = |path: &Path| {
            std::fs::read(path)
                .map_err(|source| ParityError::Read { path: path.to_owned(), source })
        };
        let bytes = read(&path)?;
        let json_path = path.with_extension("json");
        let malformed =
            |path: &Path, detail: String| ParityError::Malformed { path: path.to_owned(), detail };
        let json = serde_json::from_slice(&read(&json_path)?)
            .map_err(|e| malformed(&json_path, format!("not JSON: {e}")))?;
        let mut keys: Vec<String> = SafeTensors::deserialize(&bytes)
            .map_err(|e| malformed(&path, format!("not a safetensors file: {e}")))?
            .names()
            .into_iter()
            .map(str::to_owned)
            .collect();
        keys.sort();
        Ok(Self { path, bytes, keys, json })
    }

    /// For messages about this fixture.
    pub fn malformed(&self, detail: impl Into<String>) -> ParityError {
        ParityError::Malformed { path: self.path.clone(), detail: detail.into() }
    }

    /// Every key, sorted.
    pub fn keys(&self) -> &[String] {
        &self.keys
    }

    /// Whether a tensor exists.
    pub fn has(&self, key: &str) -> bool {
        self.keys.binary_search_by(|k| k.as_str().cmp(key)).is_ok()
    }

    /// Shape of a tensor.
    pub fn shape(&self, key: &str) -> Result<Vec<usize>> {
        self.with(key, |_, shape, _| Ok(shape.to_vec()))
    }

    fn with<T>(&self, key: &str, f: impl FnOnce(Dtype, &[usize], &[u8]) -> Result<T>) -> Result<T> {
        let file = SafeTensors::deserialize(&self.bytes)
            .map_err(|e| self.malformed(format!("not a safetensors file: {e}")))?;
        let view = file.tensor(key).map_err(|e| self.malformed(format!("tensor {key}: {e}")))?;
        f(view.dtype(), view.shape(), view.data())
    }

    /// A real tensor in f64.
    pub fn doubles(&self, key: &str) -> Result<Vec<f64>> {
        self.with(key, |dtype, _, data| match dtype {
            Dtype::F64 => Ok(decode(data, f64::from_le_bytes)),
            Dtype::F32 => Ok(decode(data, |b| f32::from_le_bytes(b) as f64)),
            other => Err(self.malformed(format!("tensor {key} is {other:?}, expected a real"))),
        })
    }

    /// A real tensor in f32; inputs are stored so that this loses nothing.
    pub fn floats(&self, key: &str) -> Result<Vec<f32>> {
        Ok(self.doubles(key)?.into_iter().map(|x| x as f32).collect())
    }

    /// A tensor of 32-bit integers.
    pub fn integers(&self, key: &str) -> Result<Vec<i32>> {
        self.with(key, |dtype, _, data| match dtype {
            Dtype::I32 => Ok(decode(data, i32::from_le_bytes)),
            other => Err(self.malformed(format!("tensor {key} is {other:?}, expected I32"))),
        })
    }

    /// A value of the JSON by path.
    pub fn value(&self, path: &[&str]) -> Result<&Value> {
        let found = path.iter().try_fold(&self.json, |value, key| value.get(key));
        found.ok_or_else(|| self.malformed(format!("its JSON has no {}", path.join("."))))
    }

    /// A number of the JSON.
    pub fn number(&self, path: &[&str]) -> Result<f64> {
        let value = self.value(path)?;
        value.as_f64().ok_or_else(|| self.malformed(format!("{} is no number", path.join("."))))
    }

    /// A whole number of the JSON.
    pub fn count(&self, path: &[&str]) -> Result<usize> {
        let value = self.value(path)?;
        let count = value.as_u64().and_then(|n| usize::try_from(n).ok());
        count.ok_or_else(|| self.malformed(format!("{} is no whole number", path.join("."))))
    }
}

fn decode<const N: usize, T>(data: &[u8], f: impl Fn([u8; N]) -> T) -> Vec<T> {
    data.as_chunks::<N>().0.iter().map(|bytes| f(*bytes)).collect()
}
