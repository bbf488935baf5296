//! Launches of `kernels/latent_attention.cu`.

use super::EntryPoint;

/// Entry points of this operation.
pub const ENTRY_POINTS: &[EntryPoint] = &[];
