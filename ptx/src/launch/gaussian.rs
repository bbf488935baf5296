//! Launches of `kernels/gaussian.cu`.

use super::{Arg, EntryPoint, Launch, Module, Storage};

/// The compiled kernels of this operation.
pub const MODULE: Module =
    Module { name: "gaussian", ptx: include_str!("../../compiled/sm_80/gaussian.ptx") };

/// Entry points of this operation.
pub const ENTRY_POINTS: &[EntryPoint] = &[
    entry("gaussian_reparameterise_f32"),
    entry("gaussian_reparameterise_bf16"),
    entry("gaussian_kl_f32"),
    entry("gaussian_backward_f32"),
    entry("gaussian_backward_bf16"),
    entry("gaussian_update_f32"),
    entry("gaussian_update_bf16"),
];

const fn entry(name: &'static str) -> EntryPoint {
    EntryPoint { name, module: "gaussian" }
}

/// Threads of a block of the elementwise passes; four columns each.
const THREADS: u32 = 256;
/// Threads of a block that does a whole sample.
const SAMPLE_THREADS: u32 = 512;
/// Most blocks in y.
const MOST_Y: u32 = 65_535;

/// Extents shared by the passes. Every one is at least 1, and `samples * layers` below 2^31.
#[derive(Clone, Copy, Debug)]
pub struct GaussianShape {
    /// Sequences.
    pub samples: u32,
    /// Decoder layers.
    pub layers: u32,
    /// Latent numbers of one sequence in one layer.
    pub per_layer: u32,
}

impl GaussianShape {
    fn args(&self) -> [Arg; 3] {
        [self.samples, self.layers, self.per_layer].map(Arg::U32)
    }

    /// One block per (sample, layer) and piece of columns.
    fn elementwise(&self, entry: &'static EntryPoint, pointers: &[u64]) -> Launch {
        let pieces = self.per_layer.div_ceil(4 * THREADS).min(MOST_Y);
        Launch {
            entry,
            grid: [self.samples * self.layers, pieces, 1],
            block: [THREADS, 1, 1],
            shared_bytes: 0,
            args: pointers.iter().map(|&p| Arg::Pointer(p)).chain(self.args()).collect(),
        }
    }
}

/// `z = mu + eps * exp(logvar / 2)`.
#[derive(Clone, Copy, Debug)]
pub struct GaussianReparameterise {
    /// Means, f32.
    pub mu: u64,
    /// Log variances, f32.
    pub logvar: u64,
    /// Standard normal draw, f32.
    pub eps: u64,
    /// Layer-major latents, storage, overwritten.
    pub z: u64,
    /// Extents.
    pub shape: GaussianShape,
}

impl GaussianReparameterise {
    /// Its launch.
    pub fn launch(&self, storage: Storage) -> Launch {
        let entry = storage.pick(&ENTRY_POINTS[0], &ENTRY_POINTS[1]);
        self.shape.elementwise(entry, &[self.mu, self.logvar, self.eps, self.z])
    }
}

/// `kl[s] = 0.5 * sum(mu^2 + exp(logvar) - logvar - 1)`.
#[derive(Clone, Copy, Debug)]
pub struct GaussianKl {
    /// Means, f32.
    pub mu: u64,
    /// Log variances, f32.
    pub logvar: u64,
    /// `[samples]` f64, overwritten.
    pub kl: u64,
    /// Sequences, at least 1.
    pub samples: u32,
    /// Latent numbers of one sequence.
    pub per_sample: u32,
}

impl GaussianKl {
    /// Its launch.
    pub fn launch(&self) -> Launch {
        Launch {
            entry: &ENTRY_POINTS[2],
            grid: [self.samples, 1, 1],
            block: [SAMPLE_THREADS, 1, 1],
            shared_bytes: 0,
            args: vec![
                Arg::Pointer(self.mu),
                Arg::Pointer(self.logvar),
                Arg::Pointer(self.kl),
                Arg::U32(self.per_sample),
            ],
        }
    }
}

/// Gradients of `loss(z) + sum(kl)`.
#[derive(Clone, Copy, Debug)]
pub struct GaussianBackward {
    /// Layer-major gradient of the loss, storage.
    pub d_z: u64,
    /// Means, f32.
    pub mu: u64,
    /// Log variances, f32.
    pub logvar: u64,
    /// The draw that made z, f32.
    pub eps: u64,
    /// f32, overwritten.
    pub d_mu: u64,
    /// f32, overwritten.
    pub d_logvar: u64,
    /// Extents.
    pub shape: GaussianShape,
}

impl GaussianBackward {
    /// Its launch.
    pub fn launch(&self, storage: Storage) -> Launch {
        let entry = storage.pick(&ENTRY_POINTS[3], &ENTRY_POINTS[4]);
        let pointers = [self.d_z, self.mu, self.logvar, self.eps, self.d_mu, self.d_logvar];
        self.shape.elementwise(entry, &pointers)
    }
}

/// A whole fast update: KL, gradients, AdamW on `mu` and `logvar`, and the new `z`.
#[derive(Clone, Copy, Debug)]
pub struct GaussianUpdate {
    /// Layer-major gradient of the loss, storage.
    pub d_z: u64,
    /// Factor of `d_z`.
    pub d_z_scale: f32,
    /// The draw, f32.
    pub eps: u64,
    /// Means, f32, updated.
    pub mu: u64,
    /// Log variances, f32, updated.
    pub logvar: u64,
    /// `[2, samples, layers, per_layer]` f32 moments of `mu`, updated.
    pub mu_moments: u64,
    /// The same for `logvar`.
    pub logvar_moments: u64,
    /// `[samples]` f64, overwritten: KL before the step.
    pub kl: u64,
    /// Layer-major latents, storage, overwritten.
    pub z: u64,
    /// Extents.
    pub shape: GaussianShape,
    /// `[steps, 9]` f32: the constants of each step, as those of [`super::adamw::AdamW`]; all
    /// elements decay.
    pub schedule: u64,
    /// `[samples]` i32: the row of the schedule that each sample takes.
    pub step: u64,
    /// `[1]` u64 that takes the complement of `sample << 32 | step` of the first sample whose step
    /// is not below `steps`; left alone where there is none.
    pub fault: u64,
    /// Rows of the schedule.
    pub steps: u32,
}

impl GaussianUpdate {
    /// Its launch.
    pub fn launch(&self, storage: Storage) -> Launch {
        let pointers = [
            self.d_z,
            self.eps,
            self.mu,
            self.logvar,
            self.mu_moments,
            self.logvar_moments,
            self.kl,
            self.z,
        ];
        let mut args: Vec<Arg> = pointers.map(Arg::Pointer).into();
        args.extend(self.shape.args());
        args.push(Arg::F32(self.d_z_scale));
        args.extend([self.schedule, self.step, self.fault].map(Arg::Pointer));
        args.push(Arg::U32(self.steps));
        Launch {
            entry: storage.pick(&ENTRY_POINTS[5], &ENTRY_POINTS[6]),
            grid: [self.shape.samples, 1, 1],
            block: [SAMPLE_THREADS, 1, 1],
            shared_bytes: 0,
            args,
        }
    }
}
