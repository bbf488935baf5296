//! A model's parameters from a file of this program or of the released PyTorch code.

use std::collections::BTreeMap;
use std::path::Path;

use super::{CheckpointError, TensorFile};
use crate::config::Config;

const EMBEDDING: &str = "tok_embeddings.weight";
/// The tied projection, under which PyTorch's tools may store the embedding, or store it again.
const OUTPUT: &str = "output.weight";

/// An open file with the parameters of a model, checked for names, shapes and type.
#[derive(Debug)]
pub struct Weights {
    file: TensorFile,
    embedding: &'static str,
}

impl Weights {
    /// Opens a safetensors file with the parameters of `config`. The embedding may be stored as
    /// the output projection that it is tied to, or as both if they are equal.
    ///
    /// # Errors
    /// A damaged file, or other tensors than the model's.
    pub fn open(path: &Path, config: &Config) -> Result<Self, CheckpointError> {
        Self::open_known(path, config, BTreeMap::new())
    }

    /// The same with the checksums that are known of its tensors, by name.
    pub(super) fn open_known(
        path: &Path,
        config: &Config,
        checksums: BTreeMap<String, String>,
    ) -> Result<Self, CheckpointError> {
        let file = TensorFile::open(path)?.with_checksums(checksums);
        let mut shapes = config.parameter_shapes();
        let mut embedding = EMBEDDING;
        if file.contains(OUTPUT) {
            if file.contains(EMBEDDING) {
                shapes.push((OUTPUT.to_owned(), shapes[0].1.clone()));
            } else {
                OUTPUT.clone_into(&mut shapes[0].0);
                embedding = OUTPUT;
            }
        }
        file.expect(&shapes)?;
        let weights = Self { file, embedding };
        if shapes.len() > config.parameter_shapes().len() {
            weights.expect_tied(shapes[0].1.iter().product())?;
        }
        Ok(weights)
    }

    /// Reads one parameter, row-major.
    ///
    /// # Errors
    /// As [`TensorFile::read`].
    pub fn read(&self, parameter: &str, out: &mut [f32]) -> Result<(), CheckpointError> {
        match parameter {
            EMBEDDING => self.file.read(self.embedding, out),
            _ => self.file.read(parameter, out),
        }
    }

    fn expect_tied(&self, elements: usize) -> Result<(), CheckpointError> {
        let (mut embedding, mut output) = (vec![0.0; elements], vec![0.0; elements]);
        self.file.read(EMBEDDING, &mut embedding)?;
        self.file.read(OUTPUT, &mut output)?;
        match embedding == output {
            true => Ok(()),
            false => Err(CheckpointError::Untied {
                path: self.file.path().to_owned(),
                embedding: EMBEDDING,
                output: OUTPUT,
            }),
        }
    }
}
