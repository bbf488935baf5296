//! The parameters on a device, with what training needs beside them.

use ltm_engine::{Buffer, DType, Device, DeviceExt, Result};

use super::ParameterLayout;
use super::initialise::initial_weights;
use crate::checkpoint::Checkpoint;
use crate::config::ModelConfig;

/// Gradients and moments of all parameters.
pub struct Training {
    /// `[P]` f32: the gradient of this iteration.
    pub gradients: Buffer,
    /// `[P]` f32: first moment.
    pub first_moment: Buffer,
    /// `[P]` f32: second moment.
    pub second_moment: Buffer,
}

/// All parameters as one flat vector on a device.
pub struct Parameters {
    /// Names, shapes and places.
    pub layout: ParameterLayout,
    /// `[P]` f32.
    pub values: Buffer,
    /// Present if the parameters are to be trained.
    pub training: Option<Training>,
}

impl Parameters {
    /// Allocates zeroed parameters.
    ///
    /// # Errors
    /// If the device has no memory left.
    pub fn zeroed(device: &mut dyn Device, model: &ModelConfig, trainable: bool) -> Result<Self> {
        let layout = ParameterLayout::new(model);
        let values = device.alloc(DType::F32, layout.len())?;
        let training = match trainable {
            false => None,
            true => Some(Training {
                gradients: device.alloc(DType::F32, layout.len())?,
                first_moment: device.alloc(DType::F32, layout.len())?,
                second_moment: device.alloc(DType::F32, layout.len())?,
            }),
        };
        Ok(Self { layout, values, training })
    }

    /// Sets the initial weights of a run.
    ///
    /// # Errors
    /// If the device fails.
    pub fn initialise(
        &self,
        device: &mut dyn Device,
        model: &ModelConfig,
        seed: u64,
    ) -> Result<()> {
        device.upload(&self.values, &initial_weights(model, &self.layout, seed))
    }

    /// Loads weights, and moments if the parameters are to be trained.
    ///
    /// # Errors
    /// If the checkpoint is damaged or the device fails.
    pub fn load(&self, device: &mut dyn Device, checkpoint: &Checkpoint) -> crate::Result<()> {
        for entry in self.layout.entries() {
            let mut values = vec![0.0; entry.range.len()];
            checkpoint.read_weight(&entry.name, &mut values)?;
            device.upload(&self.values.slice(entry.range.clone())?, &values)?;
            if let Some(training) = &self.training {
                let mut second = vec![0.0; entry.range.len()];
                checkpoint.read_moments(&entry.name, &mut values, &mut second)?;
                let range = entry.range.clone();
                device.upload(&training.first_moment.slice(range.clone())?, &values)?;
                device.upload(&training.second_moment.slice(range)?, &second)?;
            }
        }
        Ok(())
    }
}
