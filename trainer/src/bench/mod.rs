//! Times of single operations at the shapes of a training, beside what the device can do at most,
//! and of the parts of an iteration.
//!
//! Each operation has several sets of arguments, which its calls take in turn, so that none finds
//! its operands in the cache from the call before; operands hold random numbers. On a device that
//! records, the calls of a sample are one recording, so that the host is not what is timed.

mod arguments;
mod attention;
mod ceilings;
mod latent_block;
mod linear;
mod linear_rms_norm;
mod linear_swiglu;
mod parts;
mod posterior;
mod rows;
mod table;
#[cfg(test)]
mod tests;
mod timing;

pub use ceilings::Ceilings;
pub use parts::{Iterations, PartTime};
pub use timing::{Sampling, Times};

use ltm_engine::gpu::{Gemm, ProductChoices};
use ltm_engine::{DType, Device, Error};
use serde::Serialize;

use crate::Result;
use crate::config::{Config, ModelConfig};
use crate::model::BatchShape;
use arguments::Cases;

/// One operation at one shape.
#[derive(Clone, Debug, Serialize)]
pub struct KernelTime {
    /// As the engine names it.
    pub operation: &'static str,
    /// Which of its uses in the model; empty where there is one.
    pub of: &'static str,
    /// Seconds of a call.
    #[serde(flatten)]
    pub times: Times,
    /// Bytes that every implementation moves: arguments once, and both ways where added to.
    pub bytes: u64,
    /// Floating-point operations of products and attention; 0 for what memory limits.
    pub flops: f64,
    /// Seconds of the same call by cuBLASLt; absent where it is not at hand, or computes nothing
    /// of the kind.
    pub cublas: Option<Times>,
    /// Sets of arguments that took turns.
    pub sets: usize,
    /// The least time by the measured ceilings, as a share of the median.
    pub share_of_ceiling: f64,
    /// Whether that least time is one of arithmetic, and not of memory.
    pub limited_by_arithmetic: bool,
}

/// Every operation at the shapes of a configuration.
#[derive(Clone, Debug, Serialize)]
pub struct Kernels {
    /// The device.
    pub device: String,
    /// Storage of activations and weights.
    pub dtype: &'static str,
    /// Whose clock the times are on.
    pub clock: &'static str,
    /// Sequences, and tokens of each.
    pub extents: [usize; 2],
    /// What the device can do, measured before.
    pub ceilings: Ceilings,
    /// In the order of the model.
    pub kernels: Vec<KernelTime>,
}

/// What operations are measured for.
#[derive(Clone, Copy)]
struct Setting<'a> {
    model: &'a ModelConfig,
    /// Sequences held at once.
    shape: BatchShape,
    storage: DType,
}

/// Measures every operation of a training at the extents of `config`, and those that only
/// generation uses, for one sequence.
///
/// # Errors
/// If the device fails, or has too little memory for two sets of the arguments of an operation.
pub fn kernels(device: &mut dyn Device, config: &Config, sampling: Sampling) -> Result<Kernels> {
    let shape = BatchShape { batch: config.micro_batch(), seq: config.seq_len() };
    let setting = Setting { model: &config.model, shape, storage: config.storage() };
    let library = library(device)?;
    let ceilings = Ceilings::measure(device, setting.storage, sampling, library.as_deref())?;
    let with_library = library.is_some();
    let mut cases = Cases::new(device, (setting.storage, with_library), sampling, &ceilings);
    rows::measure(&mut cases, &setting)?;
    linear::measure(&mut cases, &setting)?;
    linear_rms_norm::measure(&mut cases, &setting)?;
    linear_swiglu::measure(&mut cases, &setting)?;
    attention::measure(&mut cases, &setting)?;
    if !setting.model.is_autoregressive() {
        latent_block::measure(&mut cases, &setting)?;
        posterior::measure(&mut cases, &setting)?;
    }
    posterior::optimiser(&mut cases, &setting, config)?;
    let kernels = cases.finish();
    Ok(Kernels {
        device: device.name(),
        dtype: config.train.dtype.name(),
        clock: device.clock().name(),
        extents: [shape.batch, shape.seq],
        ceilings,
        kernels,
    })
}

/// Version of the vendor's library of products, if there is one. Our own kernels are chosen then.
fn library(device: &mut dyn Device) -> Result<Option<String>> {
    let none = ProductChoices::default();
    let version = match device.choose_products(Gemm::Cublas, &none) {
        Ok(()) => device.product_choices().library,
        // It is not there, or cannot be used, which `ltm doctor` tells of.
        Err(Error::Unavailable { .. } | Error::Cuda(_)) => None,
        Err(error) => return Err(error.into()),
    };
    device.choose_products(Gemm::Own, &none)?;
    Ok(version)
}
