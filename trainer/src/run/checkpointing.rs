//! Parameters and moments from the device to a checkpoint, one tensor at a time.

use std::borrow::Cow;
use std::cell::RefCell;
use std::path::PathBuf;

use ltm_engine::{Device, DeviceExt};

use crate::checkpoint::{self, Part, State, TensorSource};
use crate::model::Parameters;
use crate::run_dir::RunPaths;
use crate::{Error, Result, Trainer};

struct OnDevice<'a> {
    device: RefCell<&'a mut dyn Device>,
    parameters: &'a Parameters,
}

impl TensorSource for OnDevice<'_> {
    fn tensor(
        &self,
        part: Part,
        parameter: usize,
    ) -> std::result::Result<Cow<'_, [f32]>, Box<dyn std::error::Error + Send + Sync>> {
        let training = self.parameters.training.as_ref().ok_or(Error::Frozen)?;
        let buffer = match part {
            Part::Weight => &self.parameters.values,
            Part::FirstMoment => &training.first_moment,
            Part::SecondMoment => &training.second_moment,
        };
        let range = self.parameters.layout.entries()[parameter].range.clone();
        Ok(Cow::Owned(self.device.borrow_mut().read(&buffer.slice(range)?)?))
    }
}

/// Saves a checkpoint and prunes old ones.
pub(super) fn save(trainer: &mut Trainer, paths: &RunPaths, state: &State) -> Result<PathBuf> {
    let Trainer { device, config, parameters, .. } = trainer;
    let source = OnDevice { device: RefCell::new(device.as_mut()), parameters };
    let keep = config.train.keep_checkpoints;
    Ok(checkpoint::save(&paths.checkpoints(), config, state, &source, keep)?)
}
