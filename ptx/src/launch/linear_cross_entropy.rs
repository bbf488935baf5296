//! Launches of `kernels/linear_cross_entropy.cu`.

use super::EntryPoint;

/// Entry points of this operation.
pub const ENTRY_POINTS: &[EntryPoint] = &[];
