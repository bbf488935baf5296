//! The posterior: draw, KL, gradients, and the fused update of a fast step.

use criterion::Criterion;
use ltm_benches::{MODELS, Rig, Work};
use ltm_engine::DType::{F32, F64, I32};
use ltm_engine::ops::{
    GaussianBackward, GaussianKl, GaussianReparameterise, GaussianShape, GaussianUpdate, Trace,
};
use ltm_engine::{Device, Ops};

use crate::measure;

pub fn benches(c: &mut Criterion) {
    for model in &MODELS {
        let mut rig = Rig::default();
        let per_layer = model.latents * model.width;
        let shape = GaussianShape { samples: model.batch, layers: model.layers, per_layer };
        let n = shape.len();
        let (mu, logvar) = (&rig.normals(n, 1.0), &rig.normals(n, 1.0));
        let (eps, d_z) = (&rig.normals(n, 1.0), &rig.normals(n, 1.0));
        let [z, d_mu, d_logvar] = &[0; 3].map(|_| rig.result(F32, n));
        let kl = &rig.result(F64, shape.samples);
        let work = Work::Elements(4 * n);
        measure(c, "gaussian_reparameterise", model, work, &mut rig, |device| {
            device.gaussian_reparameterise(&GaussianReparameterise { mu, logvar, eps, z, shape })
        });
        measure(c, "gaussian_kl", model, Work::Elements(2 * n), &mut rig, |device| {
            device.gaussian_kl(&GaussianKl { mu, logvar, kl, shape })
        });
        measure(c, "gaussian_backward", model, Work::Elements(6 * n), &mut rig, |device| {
            device.gaussian_backward(&GaussianBackward {
                d_z,
                mu,
                logvar,
                eps,
                d_mu,
                d_logvar,
                shape,
            })
        });
        let [mu_moments, logvar_moments] = &[0; 2].map(|_| rig.positive(2 * n));
        let (schedule, step) = (&rig.constants(), &rig.result(I32, shape.samples));
        // Reads d_z and eps, writes z, reads and writes two parameters and four moments.
        measure(c, "gaussian_update", model, Work::Elements(15 * n), &mut rig, |device| {
            device.gaussian_update(&GaussianUpdate {
                d_z,
                d_z_scale: 1.0,
                eps,
                mu,
                logvar,
                mu_moments,
                logvar_moments,
                kl,
                z,
                schedule,
                step,
                steps: 1,
                shape,
            })
        });
        let token_nll = &rig.positive(model.rows());
        let trace = &rig.result(F64, 2 * shape.samples);
        measure(c, "trace", model, Work::Elements(model.rows()), &mut rig, |device| {
            let (samples, seq, rows) = (shape.samples, model.seq, 1);
            device.zero(step)?;
            device.trace(&Trace { token_nll, kl, step, trace, samples, seq, rows })
        });
    }
}
