//! Launches of `kernels/swiglu.cu`.

use super::EntryPoint;

/// Entry points of this operation.
pub const ENTRY_POINTS: &[EntryPoint] = &[];
