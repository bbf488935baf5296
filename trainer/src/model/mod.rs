//! The decoder: its parameters, and the record of its computation on a tape.

mod binding;
mod cross;
mod initialise;
mod layout;
mod parameters;
mod prefix;
mod suffix;

pub use binding::{Bindings, Slot};
pub use layout::ParameterLayout;
pub use parameters::Parameters;
pub use prefix::{Prefix, record_prefix};
pub use suffix::{Suffix, SuffixArgs, record_suffix};

use ltm_engine::Processor;
use ltm_engine::ops::{LatentAttentionShape, LatentAttentionSwigluShape, WindowAttentionShape};

use crate::config::ModelConfig;

/// What a recording tells of the residual stream: `"embed"`, then for each layer i
/// `"layer{i}.self"`, `"layer{i}.cross"`, `"layer{i}.out"`, and `"norm"`.
pub type Tap<'a> = &'a mut dyn FnMut(&mut ltm_autograd::Tape, &str, ltm_autograd::Var);

/// Sequences and tokens of a recorded computation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchShape {
    /// Sequences.
    pub batch: usize,
    /// Tokens per sequence.
    pub seq: usize,
}

impl BatchShape {
    /// Tokens in all.
    pub const fn rows(&self) -> usize {
        self.batch * self.seq
    }
}

pub(crate) fn window_shape(model: &ModelConfig, shape: BatchShape) -> WindowAttentionShape {
    WindowAttentionShape {
        batch: shape.batch,
        seq: shape.seq,
        heads: model.heads,
        head_dim: model.head_dim(),
        window: model.window,
        theta: model.rope_theta,
    }
}

/// Whether what the latents do to layer 0 is computed apart from what the prefix knows: the prefix
/// then has the product of its stream with gate and up, too. Only the CPU has the operations.
pub(crate) fn splits(model: &ModelConfig, processor: Processor) -> bool {
    processor == Processor::Cpu && !model.is_autoregressive()
}

/// Numbers of gate and up of layer 0.
pub(crate) fn gate_up_len(model: &ModelConfig, shape: BatchShape) -> usize {
    2 * shape.rows() * model.ffn_dim()
}

pub(crate) fn latent_swiglu_shape(
    model: &ModelConfig,
    shape: BatchShape,
) -> LatentAttentionSwigluShape {
    let (attention, width) = (latent_shape(model, shape), model.ffn_dim());
    LatentAttentionSwigluShape { attention, width, eps: model.norm_eps as f32 }
}

pub(crate) fn latent_shape(model: &ModelConfig, shape: BatchShape) -> LatentAttentionShape {
    LatentAttentionShape {
        batch: shape.batch,
        seq: shape.seq,
        heads: model.heads,
        head_dim: model.head_dim(),
        latents: model.latents_per_layer(),
        latent_stride: model.latent_rope.then(|| model.latent_stride() as u32),
        first_position: 0,
        theta: model.rope_theta,
    }
}
