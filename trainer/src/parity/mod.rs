//! Comparison of this build with the PyTorch oracle, quantity by quantity.
//!
//! A fixture is a safetensors file of inputs and float64 results with a JSON beside it, which
//! records how far a float32 run of the same PyTorch code lands from them. Ten times that
//! distance is allowed, and half an ulp of the quantity in f32 if that is more; where the distance
//! is zero, nothing is.

mod error;
pub(crate) mod fixture;
pub(crate) mod model;
mod operations;
mod report;
mod schedules;
pub(crate) mod settings;

pub use error::ParityError;
pub use report::{Check, ParityReport};

use std::path::Path;

use ltm_engine::{Device, DeviceKind};

use crate::config::Dtype;
use fixture::Fixture;
use report::Checker;

/// Result of the calls of this module.
type Result<T> = std::result::Result<T, ParityError>;

/// Checks every result in the fixture `path` on a device of `kind` with `threads` threads.
///
/// A model is checked with its activations stored in `dtype`; the allowances are those of f32,
/// which bf16 cannot meet. Fixtures of single operations are checked in f32 whatever it is.
///
/// # Errors
/// If the fixture cannot be read or asks for something that no backend could compute. A
/// quantity that is off is no error but a failed [`Check`].
pub fn run(path: &Path, kind: DeviceKind, threads: usize, dtype: Dtype) -> Result<ParityReport> {
    run_on(path, &|| ltm_engine::open(kind, threads), dtype)
}

/// As [`run`], on devices that `open` opens.
///
/// # Errors
/// As [`run`].
pub fn run_on(path: &Path, open: Open<'_>, dtype: Dtype) -> Result<ParityReport> {
    let fixture = Fixture::open(path)?;
    let mut device = open()?;
    let name = device.name();
    let mut checker = Checker::new(&fixture);
    match fixture.json.get("model") {
        Some(_) => model::check(&mut checker, open, dtype)?,
        None => {
            operations::check(&mut checker, device.as_mut())?;
            schedules::check(&mut checker)?;
        }
    }
    Ok(checker.finish(name))
}

/// Opens the device anew for each part of a model fixture.
pub type Open<'a> = &'a dyn Fn() -> ltm_engine::Result<Box<dyn Device>>;
