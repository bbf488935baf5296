//! Bytes, before any of them is allocated.

use ltm_engine::Processor;
use ltm_engine::cpu::{LossGradients, latent_attention_swiglu_scratch_bytes, loss_scratch_bytes};
use serde::Serialize;

use super::PlanError;
use crate::Result;
use crate::Trainer;
use crate::config::{Config, Dtype};
use crate::decoder_update::DecoderUpdate;
use crate::model::{BatchShape, latent_swiglu_shape};
use crate::passes::{PassPlan, Purpose};
use crate::trainer::traces_len;
use crate::workspace::Workspace;

/// Bytes of training. On a GPU each is what the device allocates, in whole blocks of 256 bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Memory {
    /// Weights, f32.
    pub weights: usize,
    /// The same in bf16, which passes read; 0 where they read f32.
    pub weights_copy: usize,
    /// Their gradient, f32.
    pub gradients: usize,
    /// Both moments of the optimiser, f32.
    pub moments: usize,
    /// Posterior, latents, losses and prefix of a micro-batch, and the tokens of two batches.
    pub workspace: usize,
    /// What the prefix keeps for its backward pass, in the type of `train.dtype`.
    pub prefix_arena: usize,
    /// What all other passes take turns in.
    pub suffix_arena: usize,
    /// What operations of a GPU work in, and the sizes of its parts in `scratch_blocks`.
    pub scratch: usize,
    /// Tables of angles of a GPU.
    pub tables: usize,
    /// The traces of all micro-batches, and the few numbers that are kept beside all that.
    pub words: usize,
    /// The sum of the above, which is what the trainer allocates on its device.
    pub allocated: usize,
    /// What the texts that a run writes take beside it on a GPU, while they are written.
    pub samples: usize,
    /// About what the CPU backend keeps beside its arguments: partial sums, and a block of
    /// logits. Threads add a few megabytes each. 0 for what the CPU does not compute.
    pub cpu_scratch: usize,
    /// `allocated + samples + cpu_scratch`.
    pub total: usize,
    /// Bytes of the blocks of `scratch`, by number.
    pub scratch_blocks: Vec<usize>,
}

/// Far below the range of the counters, far beyond any machine.
const LARGEST: f64 = (1_u64 << 58) as f64;

/// Whether every number of bytes fits its counter.
///
/// # Errors
/// [`PlanError::TooLarge`].
fn check_sizes(config: &Config, shape: BatchShape) -> std::result::Result<(), PlanError> {
    let model = &config.model;
    let [d, f, v] = [model.dim, model.ffn_dim(), model.vocab_size].map(|n| n as f64);
    let (layers, latents) = (model.layers as f64, model.latents as f64);
    let rows = shape.batch as f64 * shape.seq as f64;
    // Four numbers of 4 bytes for each parameter.
    let attention = if model.is_autoregressive() { 4.0 } else { 8.0 };
    let weights = 16.0 * (v * d + layers * (attention * d * d + 3.0 * d * f));
    // Generous: no layer keeps more than this, forward and backward together.
    let activations = 4.0 * layers * rows * (64.0 * d + 16.0 * f + v.min(8192.0));
    let posterior = 64.0 * shape.batch as f64 * latents * d;
    for (what, bytes) in [
        ("the weights, their gradient and moments", weights),
        ("the activations of a micro-batch", activations),
        ("the posteriors of a micro-batch", posterior),
    ] {
        if bytes > LARGEST {
            return Err(PlanError::TooLarge { what, bytes });
        }
    }
    Ok(())
}

impl Memory {
    /// Bytes of training on micro-batches of `batch` sequences.
    pub(super) fn of(config: &Config, batch: usize, processor: Processor) -> Result<Self> {
        let shape = BatchShape { batch, seq: config.seq_len() };
        check_sizes(config, shape)?;
        match processor {
            Processor::Cpu => Self::on_cpu(config, shape),
            Processor::Gpu => super::gpu::memory(config, batch),
        }
    }

    fn on_cpu(config: &Config, shape: BatchShape) -> Result<Self> {
        let passes = PassPlan::record(config, shape, Purpose::Training, Processor::Cpu)?;
        let weights = config.parameter_count() * size_of::<f32>();
        let (weights_copy, cpu_scratch) = match config.train.dtype {
            Dtype::F32 => (0, cpu_scratch(config, shape)),
            dtype => (config.parameter_count() * dtype.storage().size(), 0),
        };
        let mut memory = Self {
            weights,
            weights_copy,
            gradients: weights,
            moments: 2 * weights,
            workspace: Workspace::bytes(
                &config.model,
                shape,
                (config.storage(), true),
                (config.fast.steps, Processor::Cpu),
            ) + Trainer::batch_bytes(config),
            prefix_arena: passes.prefix_arena_bytes(),
            suffix_arena: passes.suffix_arena_bytes(),
            words: DecoderUpdate::BYTES + size_of::<f64>() * traces_len(config, shape),
            cpu_scratch,
            ..Self::default()
        };
        memory.allocated = memory.weights
            + memory.weights_copy
            + memory.gradients
            + memory.moments
            + memory.workspace
            + memory.prefix_arena
            + memory.suffix_arena
            + memory.words;
        memory.total = memory.allocated + memory.cpu_scratch;
        Ok(memory)
    }
}

/// The largest partial sums, which share one memory, and the stored logits beside them.
fn cpu_scratch(config: &Config, shape: BatchShape) -> usize {
    let model = &config.model;
    let loss = |weight| {
        let gradients = LossGradients { hidden: true, weight };
        loss_scratch_bytes(shape.rows(), model.dim, model.vocab_size, gradients)
    };
    let attention = match model.is_autoregressive() {
        true => 0,
        false => latent_attention_swiglu_scratch_bytes(&latent_swiglu_shape(model, shape)),
    };
    loss(false).max(attention) + loss(true)
}
