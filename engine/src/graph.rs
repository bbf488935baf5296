//! Operations that were recorded.

use crate::gpu::Recording;
use crate::{Buffer, DeviceId};

/// Operations, copies and zeroings that a device has recorded and repeats with one call; see
/// [`crate::Device::begin_recording`].
pub struct Graph {
    pub(crate) device: DeviceId,
    pub(crate) recording: Recording,
    /// Memory that the device owns and the recording has addresses of.
    pub(crate) _keeps: Vec<Buffer>,
}

impl std::fmt::Debug for Graph {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Graph").field("device", &self.device).finish_non_exhaustive()
    }
}
