//! The posterior, the optimiser, random numbers and sampling.

use super::bench::Bench;
use super::noting::Noting;
use crate::ops::*;
use crate::philox::Stream;
use crate::{DType, Result};

pub fn measure<D: Noting>(b: &mut Bench<'_, D>) -> Result<()> {
    gaussian(b)?;
    update(b)?;
    adamw(b)?;
    sample(b)?;
    if b.once() {
        once(b)?;
    }
    Ok(())
}

fn gaussian_shape<D: Noting>(b: &Bench<'_, D>) -> GaussianShape {
    let s = b.shape();
    GaussianShape { samples: s.batch, layers: s.layers, per_layer: s.latents * s.dim() }
}

fn gaussian<D: Noting>(b: &mut Bench<'_, D>) -> Result<()> {
    let shape = gaussian_shape(b);
    let n = shape.len();
    let [mu, logvar, eps] = [b.floats(n)?, b.floats(n)?, b.floats(n)?];
    let z = b.output(n)?;
    b.run("gaussian_reparameterise", |gpu| {
        let (mu, logvar, eps, z) = (&mu, &logvar, &eps, &z);
        gpu.gaussian_reparameterise(&GaussianReparameterise { mu, logvar, eps, z, shape })
    })?;
    let [mu, logvar, eps] = [b.floats(n)?, b.floats(n)?, b.floats(n)?];
    let d_z = b.input(n)?;
    let (d_mu, d_logvar) = (b.result(DType::F32, n)?, b.result(DType::F32, n)?);
    b.run("gaussian_backward", |gpu| {
        gpu.gaussian_backward(&GaussianBackward {
            d_z: &d_z,
            mu: &mu,
            logvar: &logvar,
            eps: &eps,
            d_mu: &d_mu,
            d_logvar: &d_logvar,
            shape,
        })
    })
}

fn update<D: Noting>(b: &mut Bench<'_, D>) -> Result<()> {
    let shape = gaussian_shape(b);
    let n = shape.len();
    let (d_z, eps) = (b.input(n)?, b.floats(n)?);
    let (mu, logvar) = (b.updated(n)?, b.updated(n)?);
    let (mu_moments, logvar_moments) = (b.updated(2 * n)?, b.updated(2 * n)?);
    let (kl, z) = (b.result(DType::F64, shape.samples)?, b.output(n)?);
    let (schedule, step) = (b.constants()?, b.indices(&vec![0; shape.samples])?);
    b.run("gaussian_update", |gpu| {
        gpu.gaussian_update(&GaussianUpdate {
            d_z: &d_z,
            d_z_scale: 1.0,
            eps: &eps,
            mu: &mu,
            logvar: &logvar,
            mu_moments: &mu_moments,
            logvar_moments: &logvar_moments,
            kl: &kl,
            z: &z,
            schedule: &schedule,
            step: &step,
            steps: 1,
            shape,
        })
    })
}

fn trace<D: Noting>(b: &mut Bench<'_, D>) -> Result<()> {
    let (samples, seq) = (b.shape().batch, b.shape().seq);
    let token_nll = b.floats(samples * seq)?;
    let kl = b.result(DType::F64, samples)?;
    let step = b.indices(&vec![0; samples])?;
    let trace = b.result(DType::F64, 2 * samples)?;
    b.run("trace", |gpu| {
        gpu.trace(&Trace {
            token_nll: &token_nll,
            kl: &kl,
            step: &step,
            trace: &trace,
            samples,
            seq,
            rows: 1,
        })
    })
}

/// As many parameters as a feed-forward block has, with a bf16 copy where that is stored.
fn adamw<D: Noting>(b: &mut Bench<'_, D>) -> Result<()> {
    let n = 3 * b.shape().dim() * b.shape().ffn;
    let (params, gradients) = (b.updated(n)?, b.floats(n)?);
    let (first_moment, second_moment) = (b.updated(n)?, b.updated(n)?);
    let copy = match b.storage() {
        DType::BF16 => Some(b.output(n)?),
        _ => None,
    };
    let step = b.constants()?;
    b.run("adamw", |gpu| {
        gpu.adamw(&AdamW {
            params: &params,
            gradients: &gradients,
            first_moment: &first_moment,
            second_moment: &second_moment,
            copy: copy.as_ref(),
            clip: None,
            segments: &[AdamWSegment { offset: 0, len: n, decay: true }],
            step: &step,
        })
    })
}

fn sample<D: Noting>(b: &mut Bench<'_, D>) -> Result<()> {
    let (rows, vocab) = (b.shape().batch, b.shape().vocab);
    for (name, temperature, top_k) in
        [("sample (greedy)", 0.0, 0), ("sample", 0.8, 0), ("sample (top_k)", 0.8, 40)]
    {
        let (logits, tokens) = (b.input(rows * vocab)?, b.result(DType::I32, rows)?);
        b.run(name, |gpu| {
            gpu.sample(&Sample {
                logits: &logits,
                tokens: &tokens,
                rows,
                vocab,
                temperature,
                top_k,
                top_p: 1.0,
                stream: Stream { seed: 1, site: 1, sample: 0, iteration: 0 },
                position: 0,
            })
        })?;
    }
    Ok(())
}

/// Operations that have no argument in storage.
fn once<D: Noting>(b: &mut Bench<'_, D>) -> Result<()> {
    let shape = gaussian_shape(b);
    let n = shape.len();
    let (mu, logvar) = (b.floats(n)?, b.floats(n)?);
    let kl = b.result(DType::F64, shape.samples)?;
    b.run("gaussian_kl", |gpu| {
        gpu.gaussian_kl(&GaussianKl { mu: &mu, logvar: &logvar, kl: &kl, shape })
    })?;
    let out = b.result(DType::F32, n)?;
    b.run("normal", |gpu| {
        gpu.normal(&Normal {
            out: &out,
            seed: 1,
            site: 1,
            iteration: 0,
            first_sample: 0,
            samples: shape.samples,
            per_sample: shape.per_sample(),
            mean: 0.0,
            std: 1.0,
        })
    })?;
    trace(b)?;
    let gradients = b.floats(3 * b.shape().dim() * b.shape().ffn)?;
    let out = b.result(DType::F64, 2)?;
    b.run("global_norm", |gpu| {
        gpu.global_norm(&GlobalNorm { gradients: &gradients, out: &out, limit: 1.0 })
    })
}
