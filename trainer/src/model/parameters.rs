//! The parameters on a device, with what training needs beside them.

use std::ops::Range;

use ltm_engine::{Buffer, DType, Device, DeviceExt, Error, Result, bf16};

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
    /// `[P]` f32: what is trained and saved; written by [`Parameters::set`] and the optimiser.
    pub values: Buffer,
    /// `[P]` bf16: `values` rounded, which is what passes read. Absent where they read f32.
    pub copy: Option<Buffer>,
    /// Present if the parameters are to be trained.
    pub training: Option<Training>,
}

impl Parameters {
    /// Allocates zeroed parameters that passes read in `storage`.
    ///
    /// # Errors
    /// If the device has no memory left, or does not compute on what is stored so.
    pub fn zeroed(
        device: &mut dyn Device,
        model: &ModelConfig,
        (storage, trainable): (DType, bool),
    ) -> Result<Self> {
        if !device.stores(storage) {
            return Err(Error::Storage { device: device.name(), found: storage });
        }
        let layout = ParameterLayout::new(model);
        let values = device.alloc(DType::F32, layout.len())?;
        let copy = match storage {
            DType::F32 => None,
            storage => Some(device.alloc(storage, layout.len())?),
        };
        let training = match trainable {
            false => None,
            true => Some(Training {
                gradients: device.alloc(DType::F32, layout.len())?,
                first_moment: device.alloc(DType::F32, layout.len())?,
                second_moment: device.alloc(DType::F32, layout.len())?,
            }),
        };
        Ok(Self { layout, values, copy, training })
    }

    /// `[P]` storage: what passes read.
    pub fn weights(&self) -> &Buffer {
        self.copy.as_ref().unwrap_or(&self.values)
    }

    /// The same weights, on the same memory, without what training needs.
    pub fn frozen(&self) -> Self {
        Self {
            layout: self.layout.clone(),
            values: self.values.clone(),
            copy: self.copy.clone(),
            training: None,
        }
    }

    /// Sets a range of the values, and of what passes read.
    ///
    /// # Errors
    /// If the device fails.
    pub fn set(&self, device: &mut dyn Device, range: Range<usize>, values: &[f32]) -> Result<()> {
        device.upload(&self.values.slice(range.clone())?, values)?;
        match &self.copy {
            None => Ok(()),
            Some(copy) => {
                let rounded: Vec<bf16> = values.iter().map(|&x| bf16::from_f32(x)).collect();
                device.upload(&copy.slice(range)?, &rounded)
            }
        }
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
        let values = initial_weights(model, &self.layout, seed);
        self.set(device, 0..values.len(), &values)
    }

    /// Loads weights, and moments if the parameters are to be trained.
    ///
    /// # Errors
    /// If the checkpoint is damaged or the device fails.
    pub fn load(&self, device: &mut dyn Device, checkpoint: &Checkpoint) -> crate::Result<()> {
        for entry in self.layout.entries() {
            let mut values = vec![0.0; entry.range.len()];
            checkpoint.read_weight(&entry.name, &mut values)?;
            self.set(device, entry.range.clone(), &values)?;
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
