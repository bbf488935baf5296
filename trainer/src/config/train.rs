//! Length, batch and bookkeeping of a run.

use std::fmt;
use std::str::FromStr;

use ltm_engine::DType;
use ltm_engine::gpu::Gemm;
use serde::{Deserialize, Serialize};

/// How activations and the weights that passes read are stored; arithmetic is in f32 either way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Dtype {
    /// 32 bits, on every device.
    F32,
    /// 16 bits, the upper half of those, on a GPU. The weights that are trained, their gradients
    /// and moments and the posterior stay in f32, and so does what checkpoints hold.
    Bf16,
}

impl Dtype {
    /// The name in settings.
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::Bf16 => "bf16",
        }
    }

    /// Element type of the buffers.
    pub fn storage(self) -> DType {
        match self {
            Self::F32 => DType::F32,
            Self::Bf16 => DType::BF16,
        }
    }
}

impl FromStr for Dtype {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        match name {
            "f32" => Ok(Self::F32),
            "bf16" => Ok(Self::Bf16),
            _ => Err("expected f32 or bf16".to_owned()),
        }
    }
}

impl fmt::Display for Dtype {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// How long to train, on how much at once, and what to keep of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TrainConfig {
    /// Iterations of the run. Default 60000.
    pub iterations: u64,
    /// Sequences per iteration. Default 512.
    pub batch: usize,
    /// Sequences held at once, a divisor of `batch`; the gradients of the parts add up to that of
    /// the batch, within rounding. 0 takes the largest divisor whose plan fits the memory of the
    /// device, and a run stores what was chosen. Default 0.
    pub micro_batch: usize,
    /// Tokens per sequence; 0 takes `model.max_seq_len`. Default 0.
    pub seq_len: usize,
    /// Storage of activations and of the weights that passes read: `f32`, or on a GPU `bf16`.
    /// Default `f32`.
    pub dtype: Dtype,
    /// Seed of every random number of the run. Default 1.
    pub seed: u64,
    /// Iterations between checkpoints; the end of a run is always saved, and 0 saves only that.
    /// Default 1000.
    pub checkpoint_every: u64,
    /// Checkpoints to keep, the newest ones; 0 keeps all. Default 3.
    pub keep_checkpoints: usize,
    /// Iterations between validations; 0 never validates. Default 1000.
    pub validate_every: u64,
    /// Sequences of a validation, spread evenly over the validation shards. Default 64.
    pub validation_sequences: usize,
    /// Iterations between text samples; 0 never samples. Default 1000.
    pub sample_every: u64,
    /// Whether a GPU records a fast step, and the slow one, and then repeats them with one call
    /// each. The results are the same bits. Default true.
    pub graphs: bool,
    /// Who computes matrix products on an NVIDIA GPU: `own`, our kernels; `cublas`, NVIDIA's
    /// cuBLASLt, which must be there; `auto`, for each shape whoever was faster when training
    /// began, which a run remembers. Default `auto`.
    pub gemm: Gemm,
}

impl Default for TrainConfig {
    fn default() -> Self {
        Self {
            iterations: 60000,
            batch: 512,
            micro_batch: 0,
            seq_len: 0,
            dtype: Dtype::F32,
            seed: 1,
            checkpoint_every: 1000,
            keep_checkpoints: 3,
            validate_every: 1000,
            validation_sequences: 64,
            sample_every: 1000,
            graphs: true,
            gemm: Gemm::Auto,
        }
    }
}
