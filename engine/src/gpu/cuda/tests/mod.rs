//! The driver on a double of NVIDIA's library.

mod capture;
mod double;
mod failures;
mod files;
mod products;
mod recordings;
mod transfers;
mod work;

use super::{Cuda, CudaOptions};
use crate::gpu::Gpu;
use crate::ops::{Add, Ops, RmsNormForward};
use crate::{Buffer, DeviceExt, Result};
use double::Double;

/// A device on a double, without files.
fn on(double: &Double) -> Result<Gpu<Cuda<Double>>> {
    with(double, CudaOptions::default())
}

fn with(double: &Double, options: CudaOptions) -> Result<Gpu<Cuda<Double>>> {
    Ok(Gpu::new(Cuda::on(double.clone(), options)?))
}

/// Two vectors of four numbers.
fn vectors(gpu: &mut Gpu<Cuda<Double>>) -> [Buffer; 2] {
    [[1.0f32, 2.0, 3.0, 4.0], [0.5; 4]].map(|values| gpu.alloc_from(&values).unwrap())
}

/// Launches `add_f32`.
fn add(gpu: &mut Gpu<Cuda<Double>>, [x, into]: &[Buffer; 2]) -> Result<()> {
    gpu.add(&Add { x, into })
}

/// Launches `rms_norm_forward_f32`, from the module of another operation.
fn norm(gpu: &mut Gpu<Cuda<Double>>, [x, out]: &[Buffer; 2], inv_rms: &Buffer) -> Result<()> {
    let (rows, width, eps) = (1, 4, 1e-5);
    gpu.rms_norm_forward(&RmsNormForward {
        x,
        residual: None,
        weight: x,
        out,
        inv_rms,
        rows,
        width,
        eps,
    })
}
