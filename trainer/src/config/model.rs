//! The decoder's shape and the names of its parameters.

use serde::{Deserialize, Serialize};

/// Shape of the decoder. The defaults are the published `small` model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ModelConfig {
    /// Model width D. Default 512.
    pub dim: usize,
    /// Number of decoder layers L. Default 3.
    pub layers: usize,
    /// Attention heads H; `dim / heads` is the head width and must be even. Default 8.
    pub heads: usize,
    /// Number of token ids V. Default 50258 (GPT-2 and one spare row, as the released code has it).
    pub vocab_size: usize,
    /// Longest sequence in tokens; it also fixes the latents' positions. Default 1024.
    pub max_seq_len: usize,
    /// Tokens a token attends to, itself included. Default 256.
    pub window: usize,
    /// Latent vectors N over all layers together; each layer sees N / L. 0 makes a plain
    /// autoregressive model: no latent attention, no posterior, no fast loop. Default 24.
    pub latents: usize,
    /// Width of the feed-forward block; 0 takes 8/3 of `dim` rounded up to `multiple_of`. Default 0.
    pub ffn_dim: usize,
    /// What a derived `ffn_dim` is rounded up to. Default 32.
    pub multiple_of: usize,
    /// Added to the mean square in every RMSNorm. Default 1e-5.
    pub norm_eps: f64,
    /// Base of the rotary angles. Default 10000.
    pub rope_theta: f64,
    /// Rotate the latent keys by their positions. Default true.
    pub latent_rope: bool,
    /// Distance between latent positions. Default `total`, as released.
    pub latent_spacing: LatentSpacing,
    /// Which feed-forward matrix starts with the reduced residual standard deviation.
    /// Default `up_proj`, as released.
    pub ffn_scaled_init: ScaledInit,
    /// The distribution of z before a text is seen. Default `standard`.
    pub prior: PriorKind,
}

/// The prior of the latents.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PriorKind {
    /// N(0, I).
    #[default]
    Standard,
    /// A Gaussian with a mean and a log variance of its own for each number of each latent vector,
    /// parameters of the model: 0 at first, trained by the slow step with the rest, not decayed.
    Learned,
}

/// Checkpoint names of a learned prior's mean and log variance, `[N, D]` each.
pub const PRIOR_PARAMETERS: [&str; 2] = ["prior.mean", "prior.logvar"];

/// What the latent positions of a layer are spread over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LatentSpacing {
    /// `max_seq_len / N` apart: a layer's latents cover the first 1/L of the sequence.
    Total,
    /// `max_seq_len / (N / L)` apart: a layer's latents cover the whole sequence.
    PerLayer,
}

/// The feed-forward matrix whose initial standard deviation is `0.02 / sqrt(2 L)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ScaledInit {
    /// The released code's choice.
    UpProj,
    /// The matrix that writes into the residual stream.
    DownProj,
}

impl Default for ModelConfig {
    fn default() -> Self {
        Self {
            dim: 512,
            layers: 3,
            heads: 8,
            vocab_size: 50258,
            max_seq_len: 1024,
            window: 256,
            latents: 24,
            ffn_dim: 0,
            multiple_of: 32,
            norm_eps: 1e-5,
            rope_theta: 10000.0,
            latent_rope: true,
            latent_spacing: LatentSpacing::Total,
            ffn_scaled_init: ScaledInit::UpProj,
            prior: PriorKind::Standard,
        }
    }
}

impl ModelConfig {
    /// Whether there are no latents: each token depends on those before it and on nothing else.
    pub fn is_autoregressive(&self) -> bool {
        self.latents == 0
    }

    /// Width of one attention head.
    pub fn head_dim(&self) -> usize {
        self.dim / self.heads
    }

    /// Latent vectors a single layer attends to.
    pub fn latents_per_layer(&self) -> usize {
        self.latents / self.layers
    }

    /// Width of the feed-forward block with 0 resolved.
    pub fn ffn_dim(&self) -> usize {
        match self.ffn_dim {
            0 => (8 * self.dim / 3).next_multiple_of(self.multiple_of),
            fixed => fixed,
        }
    }

    /// Distance between the rotary positions of neighbouring latents of a layer; of at least one
    /// latent.
    pub fn latent_stride(&self) -> usize {
        let spread_over = match self.latent_spacing {
            LatentSpacing::Total => self.latents,
            LatentSpacing::PerLayer => self.latents_per_layer(),
        };
        self.max_seq_len / spread_over.max(1)
    }

    /// Rotary positions of a layer's latents, one per latent; the same in every layer.
    pub fn latent_positions(&self) -> Vec<i32> {
        let stride = self.latent_stride();
        (0..self.latents_per_layer()).map(|latent| (latent * stride) as i32).collect()
    }

    /// Every parameter's name and shape (`[out, in]` for matrices), in checkpoint order.
    pub fn parameter_shapes(&self) -> Vec<(String, Vec<usize>)> {
        let (d, f) = (self.dim, self.ffn_dim());
        let mut shapes = vec![("tok_embeddings.weight".to_owned(), vec![self.vocab_size, d])];
        for layer in 0..self.layers {
            let mut push = |name: &str, shape: &[usize]| {
                shapes.push((format!("layers.{layer}.{name}.weight"), shape.to_vec()));
            };
            let (blocks, norms): (&[&str], &[&str]) = match self.is_autoregressive() {
                true => (&["attention"], &["attention_norm", "ffn_norm"]),
                false => (
                    &["attention", "cross_attention"],
                    &["attention_norm", "cross_attention_norm", "ffn_norm"],
                ),
            };
            for block in blocks {
                for matrix in ["wq", "wk", "wv", "wo"] {
                    push(&format!("{block}.{matrix}"), &[d, d]);
                }
            }
            push("feed_forward.gate_proj", &[f, d]);
            push("feed_forward.up_proj", &[f, d]);
            push("feed_forward.down_proj", &[d, f]);
            for norm in norms {
                push(norm, &[d]);
            }
        }
        shapes.push(("norm.weight".to_owned(), vec![d]));
        if self.prior == PriorKind::Learned {
            shapes.extend(PRIOR_PARAMETERS.map(|name| (name.to_owned(), vec![self.latents, d])));
        }
        shapes
    }

    /// Number of trainable scalars, the tied embedding counted once.
    pub fn parameter_count(&self) -> usize {
        self.parameter_shapes().iter().map(|(_, shape)| shape.iter().product::<usize>()).sum()
    }
}
