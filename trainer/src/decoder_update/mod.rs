//! The slow step: global-norm clip and AdamW on all weights.

use ltm_engine::ops::{AdamW, AdamWSegment, AdamWStep, GlobalNorm};
use ltm_engine::{Buffer, DType, Device, DeviceExt};

use crate::config::SlowConfig;
use crate::model::Parameters;
use crate::{Error, Result};

/// The optimiser of the decoder.
pub struct DecoderUpdate {
    segments: Vec<AdamWSegment>,
    clip: Buffer,
}

/// Norm of the gradient before clipping, and the factor that clipping applied.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Clip {
    /// L2 norm over all parameters.
    pub norm: f64,
    /// `min(1, limit / (norm + 1e-6))`.
    pub factor: f64,
}

impl DecoderUpdate {
    /// What [`DecoderUpdate::new`] allocates.
    pub const BYTES: usize = 2 * size_of::<f64>();

    /// An optimiser for these parameters.
    ///
    /// # Errors
    /// If the device has no memory left.
    pub fn new(device: &mut dyn Device, parameters: &Parameters) -> Result<Self> {
        let segments = parameters.layout.segments();
        Ok(Self { segments, clip: device.alloc(DType::F64, 2)? })
    }

    /// Measures the gradient and computes its clipping factor.
    ///
    /// # Errors
    /// If the device fails or the parameters are frozen.
    pub fn measure(
        &self,
        device: &mut dyn Device,
        parameters: &Parameters,
        slow: &SlowConfig,
    ) -> Result<Clip> {
        let training = parameters.training.as_ref().ok_or(Error::Frozen)?;
        let args = GlobalNorm { gradients: &training.gradients, out: &self.clip, limit: slow.clip };
        device.global_norm(&args)?;
        let values = device.read::<f64>(&self.clip)?;
        Ok(Clip { norm: values[0], factor: values[1] })
    }

    /// Applies the measured gradient: AdamW step number `number` (from 1) at learning rate `lr`.
    ///
    /// # Errors
    /// If the device fails or the parameters are frozen.
    pub fn apply(
        &self,
        device: &mut dyn Device,
        parameters: &Parameters,
        slow: &SlowConfig,
        (lr, number): (f64, u64),
    ) -> Result<()> {
        let training = parameters.training.as_ref().ok_or(Error::Frozen)?;
        device.adamw(&AdamW {
            params: &parameters.values,
            gradients: &training.gradients,
            first_moment: &training.first_moment,
            second_moment: &training.second_moment,
            copy: parameters.copy.as_ref(),
            clip: Some(&self.clip),
            segments: &self.segments,
            step: AdamWStep {
                lr,
                beta1: slow.beta1,
                beta2: slow.beta2,
                eps: slow.eps,
                weight_decay: slow.weight_decay,
                number,
            },
        })?;
        Ok(())
    }
}
