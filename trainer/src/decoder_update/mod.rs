//! The slow step: global-norm clip and AdamW on all weights.

use ltm_engine::ops::{ADAMW_CONSTANTS, AdamW, AdamWSegment, AdamWStep, GlobalNorm};
use ltm_engine::{Buffer, DType, Device, DeviceExt};

use crate::config::SlowConfig;
use crate::model::Parameters;
use crate::{Error, Result};

/// The optimiser of the decoder.
pub struct DecoderUpdate {
    segments: Vec<AdamWSegment>,
    clip: Buffer,
    step: Buffer,
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
    pub const BYTES: usize = 2 * size_of::<f64>() + ADAMW_CONSTANTS * size_of::<f32>();

    /// An optimiser for these parameters.
    ///
    /// # Errors
    /// If the device has no memory left.
    pub fn new(device: &mut dyn Device, parameters: &Parameters) -> Result<Self> {
        let segments = parameters.layout.segments();
        let clip = device.alloc(DType::F64, 2)?;
        Ok(Self { segments, clip, step: device.alloc(DType::F32, ADAMW_CONSTANTS)? })
    }

    /// Puts the constants of step `number` (from 1) at learning rate `lr` on the device.
    ///
    /// # Errors
    /// If the device fails, or `number` is 0.
    pub fn set_step(
        &self,
        device: &mut dyn Device,
        slow: &SlowConfig,
        (lr, number): (f64, u64),
    ) -> Result<()> {
        let step = AdamWStep {
            lr,
            beta1: slow.beta1,
            beta2: slow.beta2,
            eps: slow.eps,
            weight_decay: slow.weight_decay,
            number,
        };
        Ok(device.upload(&self.step, &step.constants()?)?)
    }

    /// Computes the norm of the gradient and its clipping factor.
    ///
    /// # Errors
    /// If the device fails or the parameters are frozen.
    pub fn measure(
        &self,
        device: &mut dyn Device,
        parameters: &Parameters,
        slow: &SlowConfig,
    ) -> Result<()> {
        let training = parameters.training.as_ref().ok_or(Error::Frozen)?;
        let args = GlobalNorm { gradients: &training.gradients, out: &self.clip, limit: slow.clip };
        Ok(device.global_norm(&args)?)
    }

    /// `[2]` f64: the norm of the gradient before clipping, and the factor, as last computed.
    pub fn clip_buffer(&self) -> &Buffer {
        &self.clip
    }

    /// The norm and the factor as last computed. Waits for the device.
    ///
    /// # Errors
    /// If the device fails.
    pub fn clip(&self, device: &mut dyn Device) -> Result<Clip> {
        let values = device.read::<f64>(&self.clip)?;
        Ok(Clip { norm: values[0], factor: values[1] })
    }

    /// Applies the measured gradient by the step at hand; does nothing if its norm is not finite.
    ///
    /// # Errors
    /// If the device fails or the parameters are frozen.
    pub fn apply(&self, device: &mut dyn Device, parameters: &Parameters) -> Result<()> {
        let training = parameters.training.as_ref().ok_or(Error::Frozen)?;
        device.adamw(&AdamW {
            params: &parameters.values,
            gradients: &training.gradients,
            first_moment: &training.first_moment,
            second_moment: &training.second_moment,
            copy: parameters.copy.as_ref(),
            clip: Some(&self.clip),
            segments: &self.segments,
            step: &self.step,
        })?;
        Ok(())
    }
}
