//! The Gaussian posterior.

use ltm_ptx::launch::gaussian;

use super::fault::Check;
use super::{Driver, Gpu, extent, pointer, storage};
use crate::Result;
use crate::ops::{
    GaussianBackward, GaussianKl, GaussianReparameterise, GaussianShape, GaussianUpdate,
};

fn extents(op: &'static str, shape: &GaussianShape) -> Result<gaussian::GaussianShape> {
    extent(op, "samples * layers", shape.samples.saturating_mul(shape.layers))?;
    extent(op, "latent numbers of a sample", shape.per_sample())?;
    Ok(gaussian::GaussianShape {
        samples: extent(op, "samples", shape.samples)?,
        layers: extent(op, "layers", shape.layers)?,
        per_layer: extent(op, "per_layer", shape.per_layer)?,
    })
}

pub fn reparameterise<D: Driver>(
    gpu: &mut Gpu<D>,
    args: &GaussianReparameterise<'_>,
) -> Result<()> {
    const OP: &str = "gaussian_reparameterise";
    let launch = gaussian::GaussianReparameterise {
        mu: pointer(gpu.id, OP, args.mu)?,
        logvar: pointer(gpu.id, OP, args.logvar)?,
        eps: pointer(gpu.id, OP, args.eps)?,
        z: pointer(gpu.id, OP, args.z)?,
        shape: extents(OP, &args.shape)?,
    };
    if args.shape.is_empty() {
        return Ok(());
    }
    gpu.launch(&launch.launch(storage(OP, "z", args.z)?))
}

pub fn kl<D: Driver>(gpu: &mut Gpu<D>, args: &GaussianKl<'_>) -> Result<()> {
    const OP: &str = "gaussian_kl";
    let shape = extents(OP, &args.shape)?;
    let launch = gaussian::GaussianKl {
        mu: pointer(gpu.id, OP, args.mu)?,
        logvar: pointer(gpu.id, OP, args.logvar)?,
        kl: pointer(gpu.id, OP, args.kl)?,
        samples: shape.samples,
        per_sample: shape.layers * shape.per_layer,
    };
    if args.shape.is_empty() {
        return gpu.driver.zero(launch.kl, args.kl.byte_len());
    }
    gpu.launch(&launch.launch())
}

pub fn backward<D: Driver>(gpu: &mut Gpu<D>, args: &GaussianBackward<'_>) -> Result<()> {
    const OP: &str = "gaussian_backward";
    let launch = gaussian::GaussianBackward {
        d_z: pointer(gpu.id, OP, args.d_z)?,
        mu: pointer(gpu.id, OP, args.mu)?,
        logvar: pointer(gpu.id, OP, args.logvar)?,
        eps: pointer(gpu.id, OP, args.eps)?,
        d_mu: pointer(gpu.id, OP, args.d_mu)?,
        d_logvar: pointer(gpu.id, OP, args.d_logvar)?,
        shape: extents(OP, &args.shape)?,
    };
    if args.shape.is_empty() {
        return Ok(());
    }
    gpu.launch(&launch.launch(storage(OP, "d_z", args.d_z)?))
}

pub fn update<D: Driver>(gpu: &mut Gpu<D>, args: &GaussianUpdate<'_>) -> Result<()> {
    const OP: &str = "gaussian_update";
    let mut launch = gaussian::GaussianUpdate {
        d_z: pointer(gpu.id, OP, args.d_z)?,
        d_z_scale: args.d_z_scale,
        eps: pointer(gpu.id, OP, args.eps)?,
        mu: pointer(gpu.id, OP, args.mu)?,
        logvar: pointer(gpu.id, OP, args.logvar)?,
        mu_moments: pointer(gpu.id, OP, args.mu_moments)?,
        logvar_moments: pointer(gpu.id, OP, args.logvar_moments)?,
        kl: pointer(gpu.id, OP, args.kl)?,
        z: pointer(gpu.id, OP, args.z)?,
        shape: extents(OP, &args.shape)?,
        schedule: pointer(gpu.id, OP, args.schedule)?,
        step: pointer(gpu.id, OP, args.step)?,
        fault: 0,
        steps: extent(OP, "steps", args.steps)?,
    };
    if args.shape.is_empty() {
        return gpu.driver.zero(launch.kl, args.kl.byte_len());
    }
    launch.fault = gpu.fault([Check::Step { op: OP, steps: args.steps }])?;
    gpu.launch(&launch.launch(storage(OP, "d_z", args.d_z)?))
}
