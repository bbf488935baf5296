//! Latent attention, the products around it and a norm in one kernel each way. Where the kernels do
//! not take a call, or a library computes one of its products, it is done in steps.

use ltm_ptx::launch::latent_block as kernels;

use super::latent_attention::{gradient, ropes, shape};
use super::{Driver, Gpu, Product, ProductKind, ProductShape, extent, optional, pointer, storage};
use crate::Result;
use crate::ops::{LatentBlockBackward, LatentBlockForward};

/// One of the products: `[rows, width]` of `activations`, times a weight.
fn product(
    op: &'static str,
    args: (ProductKind, usize, usize),
    added: bool,
    storage: ltm_ptx::Storage,
    [activations, other, addend, out]: [u64; 4],
) -> Result<Product> {
    let (kind, rows, width) = args;
    let (rows, width) = (extent(op, "rows", rows)?, extent(op, "width", width)?);
    let shape = ProductShape { kind, rows, inner: width, outer: width, added, storage };
    Ok(Product { shape, activations, other, addend, out })
}

pub fn forward<D: Driver>(gpu: &mut Gpu<D>, args: &LatentBlockForward<'_>) -> Result<()> {
    const OP: &str = "latent_block_forward";
    let (storage, shape) = (storage(OP, "q", args.q)?, shape(OP, &args.shape)?);
    if shape.batch == 0 || shape.seq == 0 {
        return Ok(());
    }
    let (tokens, latents) = ropes(gpu, &args.shape)?;
    let query = args.query.as_ref();
    let kernel = kernels::LatentBlockForward {
        n: optional(gpu.id, OP, query.map(|query| query.x))?,
        query_weight: optional(gpu.id, OP, query.map(|query| query.weight))?,
        q: pointer(gpu.id, OP, args.q)?,
        kv: pointer(gpu.id, OP, args.kv)?,
        out_weight: pointer(gpu.id, OP, args.out_weight)?,
        residual: pointer(gpu.id, OP, args.residual)?,
        gain: pointer(gpu.id, OP, args.gain)?,
        out: pointer(gpu.id, OP, args.out)?,
        normed: pointer(gpu.id, OP, args.normed)?,
        inv_rms: pointer(gpu.id, OP, args.inv_rms)?,
        cos: tokens.cos,
        sin: tokens.sin,
        latent_cos: latents.cos,
        latent_sin: latents.sin,
        eps: args.eps,
        shape,
    };
    let extents = (ProductKind::Forward, args.shape.rows(), args.shape.width());
    let kernels::LatentBlockForward {
        n, query_weight, q, out_weight, residual, out, normed, ..
    } = kernel;
    let own = kernel.launch(storage);
    let mut products =
        vec![product(OP, extents, true, storage, [normed, out_weight, residual, out])?];
    if query.is_some() {
        products.push(product(OP, extents, false, storage, [n, query_weight, q, q])?);
    }
    match own {
        Some(launch) => gpu.launch_or(&[launch], &products, |gpu| args.in_steps(gpu)),
        None => args.in_steps(gpu),
    }
}

pub fn backward<D: Driver>(gpu: &mut Gpu<D>, args: &LatentBlockBackward<'_>) -> Result<()> {
    const OP: &str = "latent_block_backward";
    let (storage, shape) = (storage(OP, "d_out", args.d_out)?, shape(OP, &args.shape)?);
    if shape.batch == 0 || shape.seq == 0 {
        return args.in_steps(gpu);
    }
    let (tokens, latents) = ropes(gpu, &args.shape)?;
    let [d_kv, partial] = gradient(gpu, OP, &args.d_kv, &shape)?;
    let source = args.source.as_ref();
    let d_out = pointer(gpu.id, OP, args.d_out)?;
    let kernel = kernels::LatentBlockBackward {
        d_out,
        q: pointer(gpu.id, OP, args.q)?,
        kv: pointer(gpu.id, OP, args.kv)?,
        out_weight: pointer(gpu.id, OP, args.out_weight)?,
        query_weight: optional(gpu.id, OP, source.map(|source| source.weight))?,
        residual: optional(gpu.id, OP, source.map(|source| source.residual))?,
        gain: optional(gpu.id, OP, source.map(|source| source.gain))?,
        inv_rms: optional(gpu.id, OP, source.map(|source| source.inv_rms))?,
        d_residual: if source.is_some() { d_out } else { 0 },
        d_kv,
        partial,
        cos: tokens.cos,
        sin: tokens.sin,
        latent_cos: latents.cos,
        latent_sin: latents.sin,
        shape,
    };
    let extents = (ProductKind::BackwardInput, args.shape.rows(), args.shape.width());
    // Where the steps would put them.
    let room = pointer(gpu.id, OP, args.room)?;
    let next = room + (args.shape.rows() * args.shape.width() * storage.size()) as u64;
    let mut products =
        vec![product(OP, extents, false, storage, [d_out, kernel.out_weight, room, room])?];
    if source.is_some() {
        products.push(product(
            OP,
            extents,
            false,
            storage,
            [next, kernel.query_weight, room, room],
        )?);
    }
    match kernel.launches(storage) {
        Some(launches) => gpu.launch_or(&launches, &products, |gpu| args.in_steps(gpu)),
        None => args.in_steps(gpu),
    }
}
