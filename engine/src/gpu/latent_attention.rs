//! Cross-attention to the latents of a layer.

use super::{Driver, Gpu, missing};
use crate::Result;
use crate::ops::{LatentAttentionBackward, LatentAttentionForward};

pub fn forward<D: Driver>(_: &mut Gpu<D>, _: &LatentAttentionForward<'_>) -> Result<()> {
    Err(missing("latent_attention_forward"))
}

pub fn backward<D: Driver>(_: &mut Gpu<D>, _: &LatentAttentionBackward<'_>) -> Result<()> {
    Err(missing("latent_attention_backward"))
}
