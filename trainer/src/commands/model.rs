//! A trained model, opened for evaluation or generation.

use std::path::Path;

use anyhow::Context;
use ltm::checkpoint::{self, Checkpoint, Purpose};
use ltm::config::{Config, Layers};
use ltm::model::Parameters;
use ltm::run_dir::RunPaths;
use ltm_engine::Device;
use ltm_tools::tokenizer::{Tokenizer, TokenizerKind};

use super::device::DeviceArgs;

/// Weights on a device, with what they were trained with.
pub struct Model {
    /// The device.
    pub device: Box<dyn Device>,
    /// Settings of the run.
    pub config: Config,
    /// Frozen weights.
    pub parameters: Parameters,
    /// Tokenizer of the training text.
    pub tokenizer: Tokenizer,
    /// Iterations that the weights have seen.
    pub iteration: u64,
}

impl Model {
    /// Opens the last checkpoint of a run, or a checkpoint directory.
    pub fn open(path: &Path, device: &DeviceArgs) -> anyhow::Result<Self> {
        let checkpoint = match path.join("model.safetensors").is_file() {
            true => Checkpoint::open(path, Purpose::Inference)?,
            false => {
                let checkpoints = RunPaths::new(path).checkpoints();
                checkpoint::latest(&checkpoints, Purpose::Inference)?.with_context(|| {
                    format!(
                        "{} has no checkpoint; give a run directory or a checkpoint directory",
                        path.display()
                    )
                })?
            }
        };
        let config = device.layer(Layers::from_config(checkpoint.config().clone()))?;
        let config = config.finish(None)?;
        device.check(&config)?;
        let kind: TokenizerKind = checkpoint.state().tokenizer.parse()?;
        let mut device = device.open()?;
        let parameters =
            Parameters::zeroed(device.as_mut(), &config.model, (config.storage(), false))?;
        parameters.load(device.as_mut(), &checkpoint)?;
        let iteration = checkpoint.state().iteration;
        Ok(Self { device, config, parameters, tokenizer: Tokenizer::new(kind)?, iteration })
    }
}
