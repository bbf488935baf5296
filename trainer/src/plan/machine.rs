//! What a machine can compute at most.

use serde::Serialize;

use super::PlanError;

/// f32 of one Zen 4 core through the `gemm` crate.
const CPU_CORE: f64 = 110e9;
/// bf16 of an H200 through cuBLAS.
const H200: f64 = 790e12;

/// A machine and the rate of its matrix products.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Machine {
    /// For people.
    pub name: String,
    /// FLOPs per second.
    pub flops_per_second: f64,
}

impl Machine {
    /// `threads` cores of a recent CPU, f32.
    pub fn cpu(threads: usize) -> Self {
        let cores = if threads == 1 { "core" } else { "cores" };
        Self {
            name: format!("CPU, {threads} {cores} at {:.0} GFLOP/s", CPU_CORE / 1e9),
            flops_per_second: CPU_CORE * threads as f64,
        }
    }

    /// NVIDIA H200, bf16.
    pub fn h200() -> Self {
        Self { name: format!("H200, bf16 at {:.0} TFLOP/s", H200 / 1e12), flops_per_second: H200 }
    }

    /// A machine with a measured peak.
    ///
    /// # Errors
    /// [`PlanError::Peak`] for a peak that is not a finite number above 0.
    pub fn measured(gflops: f64) -> Result<Self, PlanError> {
        match gflops.is_finite() && gflops > 0.0 {
            false => Err(PlanError::Peak { gflops }),
            true => {
                Ok(Self { name: format!("at {gflops} GFLOP/s"), flops_per_second: gflops * 1e9 })
            }
        }
    }
}
