//! Launches of `kernels/sample.cu`.

use super::EntryPoint;

/// Entry points of this operation.
pub const ENTRY_POINTS: &[EntryPoint] = &[];
