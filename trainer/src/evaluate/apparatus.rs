//! Memory and programs of an evaluation.

use ltm_engine::Device;

use crate::Result;
use crate::config::Config;
use crate::model::{BatchShape, Parameters};
use crate::passes::{PassPlan, Passes, Purpose};
use crate::workspace::Workspace;

/// What an evaluation runs in: the memory of a trainer between two iterations, or that of an
/// [`Evaluator`]. Weights and their gradients are left alone.
pub struct Apparatus<'a> {
    /// The device.
    pub device: &'a mut dyn Device,
    /// Programs bound to the weights and to `workspace`.
    pub passes: &'a Passes,
    /// Buffers of a micro-batch; overwritten.
    pub workspace: &'a mut Workspace,
}

/// Memory and programs for evaluation alone.
pub struct Evaluator {
    passes: Passes,
    workspace: Workspace,
}

impl Evaluator {
    /// Allocates for micro-batches of `shape`; the results do not depend on its batch.
    ///
    /// # Errors
    /// If the configuration is contradictory or the device has no memory left.
    pub fn new(
        device: &mut dyn Device,
        config: &Config,
        parameters: &Parameters,
        shape: BatchShape,
    ) -> Result<Self> {
        let plan = PassPlan::record(config, shape, Purpose::Inference, device.processor())?;
        let kind = (config.storage(), false);
        let workspace = Workspace::new(device, &config.model, shape, kind, config.fast.steps)?;
        let passes = plan.allocate(device, parameters, &workspace)?;
        Ok(Self { passes, workspace })
    }

    /// The parts, for [`super::evaluate`].
    pub fn on<'a>(&'a mut self, device: &'a mut dyn Device) -> Apparatus<'a> {
        Apparatus { device, passes: &self.passes, workspace: &mut self.workspace }
    }
}
