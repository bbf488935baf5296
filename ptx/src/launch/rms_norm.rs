//! Launches of `kernels/rms_norm.cu`.

use super::EntryPoint;

/// Entry points of this operation.
pub const ENTRY_POINTS: &[EntryPoint] = &[];
